// The picture of a pool, as the HTML report draws it: a square for each node, one field for the nodes and one for
// each extension; and how many nodes were ready when.

import { clock, h, many, moment, s, span } from "./dom.js";

const STEP = 12;
const SIDE = 10;
const FEW = 60;
const WIDEST = 530;
/** Seconds after which a reading is faded. A gate does not open on what is older, unless it is told to. */
const OLD = 300;

/** The kinds of cells, the worst first, by their letters; and what the legend says of them. */
export const KINDS = {
  f: ["failed", "failed"],
  p: ["pending", "on its way"],
  u: ["unread", "not read yet, or could not be read"],
  v: ["void", "no machine now, or nothing to say"],
  r: ["ready", "ready"],
};

export function legend(snapshot) {
  const fields = snapshot.fields;
  const hasOld = snapshot.ages.some((_, index) => isOld(snapshot, index));
  const there = Object.entries(KINDS).filter(([letter]) => fields.some((field) => field.cells.includes(letter)));
  return h(
    "ul.legend",
    {},
    there.map(([, [kind, words]]) => h("li", {}, h(`i.b-${kind}`), words)),
    hasOld && h("li", {}, h("i.b-ready.old"), "faded: read more than 5 minutes ago"),
    h("li", {}, "A node has the same place in every field.")
  );
}

/** One field as a drawing that can be pointed at, or walked through with the arrow keys. */
export function field(one, snapshot, tell) {
  const cells = one.cells;
  const columns = Math.max(8, Math.min(80, Math.ceil(Math.sqrt(cells.length * 2.4))));
  const rows = Math.max(1, Math.ceil(cells.length / columns));
  const title = one.name || "nodes";
  const counts = Object.entries(KINDS)
    .map(([letter, [kind]]) => [kind, cells.split(letter).length - 1])
    .filter(([, count]) => count);
  const told = counts.map(([kind, count]) => `${count.toLocaleString("en")} ${kind}`).join(" · ");
  const width = cells.length <= FEW ? columns * STEP * 1.6 : Math.min(columns * STEP, WIDEST);

  const paths = new Map();
  for (let index = 0; index < cells.length; index += 1) {
    const [kind] = KINDS[cells[index]] ?? KINDS.v;
    const key = `path.${kind}${isOld(snapshot, index) ? ".old" : ""}`;
    paths.set(key, (paths.get(key) ?? "") + square(index, columns, kind));
  }
  const cursor = s("rect.cursor", { width: STEP, height: STEP, x: -99, y: -99 });
  const drawing = s(
    "svg",
    {
      viewBox: `0 0 ${columns * STEP} ${rows * STEP}`,
      role: "img",
      tabindex: 0,
      "aria-label": `${title}: ${told.replaceAll(" · ", ", ")}. Arrow keys walk through the nodes.`,
    },
    [...paths].map(([name, d]) => s(name, { d })),
    cursor
  );
  drawing.style.width = `${width.toFixed(0)}px`;

  let at = -1;
  const show = (index) => {
    if (index < 0 || index >= cells.length) return;
    at = index;
    cursor.setAttribute("x", (index % columns) * STEP);
    cursor.setAttribute("y", Math.floor(index / columns) * STEP);
    tell(said(one, snapshot, index));
  };
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const scale = (columns * STEP) / box.width;
    const column = Math.floor(((event.clientX - box.left) * scale) / STEP);
    const index = Math.floor(((event.clientY - box.top) * scale) / STEP) * columns + column;
    if (column < columns && index !== at) show(index);
  });
  drawing.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    show(at < 0 ? 0 : Math.max(0, Math.min(cells.length - 1, at + step)));
  });
  return h("div.field", {}, h("b", {}, title), h("span.dim", {}, told), drawing);
}

function square(index, columns, kind) {
  const [x, y] = [(index % columns) * STEP + 1, Math.floor(index / columns) * STEP + 1];
  const drawn = `M${x} ${y}h${SIDE}v${SIDE}h-${SIDE}z`;
  if (kind === "failed") return `${drawn}m2 2l6 6m0-6l-6 6`;
  return kind === "pending" ? `${drawn}m2 5h6` : drawn;
}

/** How many seconds ago a node's extensions were read; null if they were not. */
function age(snapshot, index) {
  const before = snapshot.ages[index];
  return before === null || before === undefined || snapshot.looked === null
    ? null
    : clock.now() - snapshot.looked + before;
}

function isOld(snapshot, index) {
  const passed = age(snapshot, index);
  return snapshot.outcome === "waiting" && passed !== null && passed > OLD;
}

/** What is known of one node in one field. */
function said(one, snapshot, index) {
  const [kind, words] = KINDS[one.cells[index]] ?? KINDS.v;
  const node = snapshot.nodes[index];
  const extension = node?.extensions.find((each) => each.name === one.name);
  const name = node ? node.id : `node ${index + 1} of ${one.cells.length}`;
  const message = extension ? [extension.code, extension.message].filter(Boolean).join(": ") : "";
  const passed = age(snapshot, index);
  const read = passed === null ? "" : `read ${span(passed)} ago`;
  const state = !one.name && node ? node.state : "";
  const parts = [`${one.name ? `${one.name} on ` : ""}${name}`, state || words, message, read];
  return { kind, text: parts.filter(Boolean).join(" · ") };
}

/** How old the readings are, in words. */
export function readings(snapshot) {
  const known = snapshot.ages.map((_, index) => age(snapshot, index)).filter((one) => one !== null);
  if (!known.length) return "No node's extensions have been read yet.";
  const missing = snapshot.ages.length - known.length;
  const [newest, oldest] = [known.reduce((a, b) => Math.min(a, b)), known.reduce((a, b) => Math.max(a, b))];
  const ages =
    oldest - newest < 2 ? `Read ${span(newest)} ago` : `Read between ${span(newest)} and ${span(oldest)} ago`;
  return `${ages}${missing ? `; of ${many(missing, "node")} nothing was read` : ""}.`;
}

/** Ready and failed nodes over time, or tasks that have succeeded and failed. Between two looks nothing is known, so the line goes in steps. */
export function overTime(snapshot) {
  const points = snapshot.points;
  if (points.length < 2) return null;
  const wide = Math.max(240, Math.min(640, document.documentElement.clientWidth - 80));
  const [high, left, bottom] = [120, 34, 18];
  const end = Math.max(points.at(-1)[0], snapshot.looked ?? 0);
  const start = points[0][0];
  const work = snapshot.work;
  const [are, good, bad] = work
    ? ["tasks had succeeded", "tasks that have succeeded", "tasks that have failed"]
    : ["nodes were ready", "ready nodes", "failed nodes"];
  const all = work ? work.waiting + work.running + work.succeeded + work.failed : snapshot.counts.wanted;
  const most = Math.max(1, all ?? 0, ...points.map(([, ready, failed]) => Math.max(ready, failed)));
  const x = (at) => left + ((wide - left - 4) * (at - start)) / Math.max(1, end - start);
  const y = (count) => 6 + (high - bottom - 6) * (1 - count / most);
  const steps = (member) => {
    let d = `M${x(start).toFixed(1)} ${y(points[0][member]).toFixed(1)}`;
    for (const point of points.slice(1)) d += `H${x(point[0]).toFixed(1)}V${y(point[member]).toFixed(1)}`;
    return `${d}H${x(end).toFixed(1)}`;
  };
  const ready = steps(1);
  const hasFailed = points.some(([, , failed]) => failed);
  const label = `From ${moment(start)} to ${moment(end)}: ${points[0][1]} to ${points.at(-1)[1]} ${are}`;
  return h(
    "figure",
    {},
    s(
      "svg.chart",
      { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": label },
      [0, most].map((count) => [
        s("path.grid", { d: `M${left} ${y(count)}H${wide - 4}` }),
        s("text", { x: left - 6, y: y(count) + 4, "text-anchor": "end" }, count.toLocaleString("en")),
      ]),
      s("path.area", { d: `${ready}V${y(0)}H${x(start)}z` }),
      s("path.line", { d: ready }),
      hasFailed ? s("path.line.f", { d: steps(2) }) : null,
      s("text", { x: left, y: high - 3 }, moment(start)),
      s("text", { x: wide - 4, y: high - 3, "text-anchor": "end" }, moment(end))
    ),
    h(
      "figcaption.legend",
      {},
      h("span", {}, h("i.b-ready"), good),
      hasFailed ? h("span", {}, h("i.b-failed"), bad) : null
    )
  );
}
