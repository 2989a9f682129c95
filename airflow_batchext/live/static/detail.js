// One gate, opened: why, the picture of its nodes, those that are not ready, what has been, where more is.

import { ago, airflowLink, foreignLink, h, inFull, isWatched, many, moment, pathOf, span, ticks } from "./dom.js";
import { field, legend, overTime, readings } from "./picture.js";

const MODES = {
  deferrable: "waits in the triggerer",
  start_from_trigger: "waits in the triggerer, from its start",
  poke: "waits in a worker",
  reschedule: "looks in a worker, and gives its place back in between",
  worker: "waits in a worker",
  watcher: "watches in the triggerer",
};

/** So many nodes that are not ready are shown before somebody asks for all. */
const FIRST = 10;

/** The inside of an opened gate: whether it shows all nodes that are not ready, and who hears that it is to. */
export function detail(gate, isWhole, shows) {
  const snapshot = gate.snapshot;
  if (!snapshot && isWatched(gate)) {
    const why =
      "A watcher tells how its pool is from Airflow 3.3 on, some seconds after it has begun, and where its asset alone has a " +
      "watcher like it.";
    return [event(gate), h("p", {}, why), links(gate, [])];
  }
  if (!snapshot) {
    return [h("p", {}, "What this task wrote cannot be read: it was changed, or is of another version."), links(gate, [])];
  }
  return [
    isWatched(gate) && event(gate),
    why(gate, snapshot),
    picture(snapshot),
    nodes(snapshot, isWhole, shows),
    repair(snapshot),
    history(snapshot),
    facts(gate, snapshot),
    links(gate, snapshot.links),
  ];
}

function section(title, ...inside) {
  return h("section", {}, h("h4", {}, title), inside);
}

function event(gate) {
  const { event: own, other_event: other } = gate;
  const said = own
    ? [
        h("p", {}, h("b", {}, own.kind), ", ", ticks(h("span"), own.at, ago), own.nodes > 0 && ` · ${many(own.nodes, "node")}`),
        own.reasons.length > 0 && h("ul.reasons", {}, own.reasons.map((reason) => h("li", {}, reason))),
      ]
    : h("p.dim", {}, "None of this watcher is known.");
  const which = own ? "Since then the asset has had another event, " : "The last event of the asset, ";
  return section(
    "Last event",
    said,
    other !== null &&
      h("p.dim", {}, which, ticks(h("span"), other, ago), ": of a task, of another watcher, or made by hand.")
  );
}

function why(gate, snapshot) {
  const lost = gate.group === "failed" && snapshot.outcome === "waiting";
  return [
    lost && h("p.note", {}, "The task has failed without a last word. What follows is what it knew before."),
    snapshot.reasons.length > 0 &&
      section(
        { waiting: "Waits for", watched: "Not ready, because" }[gate.group] ?? "Why",
        h("ul.reasons", {}, snapshot.reasons.map((reason) => h("li", {}, reason)))
      ),
    snapshot.causes.length > 0 &&
      section(
        "Likely causes, the likeliest first",
        h("ol.causes", {}, snapshot.causes.map((cause) => h("li", {}, cause)))
      ),
    snapshot.more && h("p", {}, "For the rest: ", h("code", {}, snapshot.more)),
  ].filter(Boolean);
}

function picture(snapshot) {
  if (!snapshot.fields.length || !snapshot.fields[0].cells.length) return null;
  const readout = h("p.readout", { "aria-live": "polite" }, "Point at a square, or walk with the arrow keys.");
  const tell = ({ kind, text }) => {
    readout.className = `readout k-${kind}`;
    readout.textContent = text;
  };
  return section(
    "Nodes and extensions",
    h("p.dim", {}, readings(snapshot)),
    legend(snapshot),
    h("div.fields", {}, snapshot.fields.map((one) => field(one, snapshot, tell))),
    readout
  );
}

function nodes(snapshot, isWhole, shows) {
  if (!snapshot.nodes.length) return null;
  const rows = snapshot.nodes.map((node) => {
    const since = node.since === null ? null : ticks(h("span"), node.since, (passed) => ` for ${span(passed)}`);
    const read = node.read === null ? h("span", {}, "not read") : ticks(h("span"), node.read, (p) => `read ${ago(p)}`);
    return h(
      "tr",
      {},
      h(
        "th",
        { scope: "row" },
        h("div.mono.id", { title: node.id }, node.id),
        h("div", {}, h(`span.k-${node.kind}`, {}, node.state || "no state"), since),
        h("div.dim", {}, read, node.dedicated === false ? " · low priority" : "")
      ),
      h(
        "td",
        {},
        node.says.map((text) => h("p", {}, text)),
        node.extensions
          .filter((one) => one.kind !== "ready" && one.kind !== "void")
          .map((one) =>
            h("p.mono", {}, h(`span.k-${one.kind}`, {}, one.name), ` ${[one.code, one.message].filter(Boolean).join(": ")}`)
          )
      )
    );
  });
  const body = h("tbody", {}, isWhole ? rows : rows.slice(0, FIRST));
  const all = (event) => {
    body.append(...rows.slice(FIRST));
    event.target.remove();
    shows();
  };
  return section(
    "Nodes that are not ready",
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Node"), h("th", { scope: "col" }, "What it says"))),
      body
    ),
    rows.length > FIRST && !isWhole && h("button.more", { type: "button", onclick: all }, `Show all ${rows.length}`)
  );
}

function repair(snapshot) {
  const said = snapshot.repair;
  if (!said) return null;
  return section(
    "Repair",
    said.text && h("p", {}, said.text),
    said.steps.length > 0 &&
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, ["Node", "Step", "Why", "What came of it"].map((one) => h("th", { scope: "col" }, one)))),
        h(
          "tbody",
          {},
          said.steps.map((one) => h("tr", {}, [h("span.mono", {}, one.node), one.step, one.why, one.result].map((it) => h("td", {}, it))))
        )
      ),
    said.notes.map((note) => h("p.dim", {}, note))
  );
}

function history(snapshot) {
  const chart = overTime(snapshot);
  if (!snapshot.history.length && !chart) return null;
  return section(
    "What has been",
    chart,
    h(
      "ol.timeline",
      {},
      [...snapshot.history].reverse().map((one) => h("li", {}, h("time", { title: inFull(one.at) }, moment(one.at)), one.text))
    )
  );
}

function facts(gate, snapshot) {
  const at = (seconds) => (seconds === null ? null : h("span", { title: inFull(seconds) }, moment(seconds)));
  const rows = [
    [isWatched(gate) ? "Watches for" : "Waits for", snapshot.rules],
    ["Job", snapshot.work?.jobs.join(", ")],
    ["How", `${MODES[snapshot.mode] ?? snapshot.mode}${snapshot.interval ? `, looks every ${span(snapshot.interval)}` : ""}`],
    ["Since", at(snapshot.started)],
    ["Until", snapshot.deadline !== null ? at(snapshot.deadline) : isWatched(gate) ? "for ever" : "no deadline"],
    ["As of", snapshot.looked === null ? "it has not looked yet" : at(snapshot.looked)],
    ["Connection", [snapshot.connection, snapshot.account].filter(Boolean).join(" · ")],
    ["Run", gate.run_id],
    ["Try", isWatched(gate) ? "" : String(gate.try_number)],
    ["Left out", snapshot.capped.join("; ")],
  ];
  return section(
    isWatched(gate) ? "The watcher" : "The wait",
    h("dl", {}, rows.filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]))
  );
}

function links(gate, foreign) {
  return h(
    "nav.links",
    { "aria-label": "More" },
    isWatched(gate)
      ? airflowLink(`/assets/${gate.asset_id}`, "Asset and events")
      : [
          airflowLink(pathOf(gate, "task"), "Task and log"),
          airflowLink(pathOf(gate, "run"), "Run"),
          airflowLink(pathOf(gate, "dag"), "DAG"),
        ],
    foreign.map((link) => foreignLink(link.name, link.url))
  );
}

