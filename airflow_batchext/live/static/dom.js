// Elements, times and links. Text goes in as text alone: nothing here, or elsewhere, makes HTML of it.

const SVG = "http://www.w3.org/2000/svg";

/** An element: its tag and classes ("p.dim.mono"), its attributes, and what is in it: texts and elements. */
export function h(name, attributes = {}, ...inside) {
  const [tag, ...classes] = name.split(".");
  return filled(document.createElement(tag), classes, attributes, inside);
}

/** The same of a drawing. */
export function s(name, attributes = {}, ...inside) {
  const [tag, ...classes] = name.split(".");
  return filled(document.createElementNS(SVG, tag), classes, attributes, inside);
}

function filled(element, classes, attributes, inside) {
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...inside.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false && one !== ""));
  return element;
}

/** Put these into an element in place of what is there; those that stay are not touched, nor lose the focus. */
export function place(parent, children) {
  const wanted = children.filter(Boolean);
  for (const old of [...parent.children]) if (!wanted.includes(old)) old.remove();
  wanted.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
}

export const clock = {
  ahead: 0,
  /** Seconds since the epoch, by the server's clock. */
  now() {
    return Date.now() / 1000 + this.ahead;
  },
};

/** A length of time in the two largest units that matter. */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const [minutes, hours, days] = [Math.floor(whole / 60), Math.floor(whole / 3600), Math.floor(whole / 86400)];
  if (minutes < 10) return `${minutes} min ${whole % 60} s`;
  if (hours < 1) return `${minutes} min`;
  if (days < 1) return `${hours} h ${minutes % 60} min`;
  return `${days} d ${hours % 24} h`;
}

/** The moment as the reader's clock shows it; with the day, unless it is today. */
export function moment(seconds) {
  const then = new Date(seconds * 1000);
  const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const isToday = then.toDateString() === new Date(clock.now() * 1000).toDateString();
  return isToday ? time : `${then.toLocaleDateString()} ${time}`;
}

/** What stands beside a moment: the whole of it, in UTC. */
export function inFull(seconds) {
  return `${new Date(seconds * 1000).toISOString().replace("T", " ").slice(0, 19)} UTC`;
}

const ticking = new Set();

/** An element whose text follows the clock: `say` makes it of the seconds that have passed since `at`. */
export function ticks(element, at, say) {
  element.title = inFull(at);
  const tick = () => {
    const text = say(clock.now() - at);
    if (element.textContent !== text) element.textContent = text;
  };
  tick();
  ticking.add({ element, tick });
  return element;
}

setInterval(() => {
  if (document.hidden) return;
  for (const one of ticking) {
    if (one.element.isConnected) one.tick();
    else ticking.delete(one);
  }
}, 1000);

export const ago = (passed) => (passed < 2 ? "just now" : `${span(passed)} ago`);

export const many = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

// Inside Airflow the page is in a frame that may open nothing by itself; what it is framed by is Airflow.
export const airflow = (() => {
  try {
    return window.parent !== window && window.parent.document ? window.parent : null;
  } catch {
    return null;
  }
})();

/** Where Airflow is, such as "/team/airflow"; "" at the root. */
export const base = location.pathname.replace(/\/batchext\/[^/]*$/, "");

/** A link to a page of Airflow: in the frame it moves Airflow, not the frame. */
export function airflowLink(path, ...inside) {
  const href = `${base}${path}`;
  const go = (event) => {
    if (!airflow || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    airflow.history.pushState({}, "", href);
    airflow.dispatchEvent(new PopStateEvent("popstate", { state: {} }));
  };
  return h("a", { href, onclick: go }, inside);
}

/** A link to elsewhere, with its host, as anybody who may edit XComs may have written it; null for what is none. */
export function foreignLink(name, url) {
  let parsed;
  try {
    parsed = new URL(url);
  } catch {
    return null;
  }
  if (!["https:", "http:"].includes(parsed.protocol) || parsed.username || parsed.password) return null;
  const attributes = { href: parsed.href, target: "_blank", rel: "noopener noreferrer" };
  const go = (event) => {
    if (!airflow) return;
    event.preventDefault();
    const link = airflow.document.createElement("a");
    for (const [key, value] of Object.entries(attributes)) link.setAttribute(key, value);
    link.click();
  };
  return h("a", { ...attributes, onclick: go }, name || "Link", h("span.dim", {}, ` (${parsed.host})`));
}

/** Whether it is a pool that is watched for the events of an asset: there is no task then. */
export const isWatched = (gate) => gate.group === "watched";

/** The pool's name, also where only the asset tells it; that of the asset where neither does. */
export function poolOf(gate) {
  const named = /^azbatch:\/\/[^/]+\/([^?]+)/.exec(gate.uri ?? "")?.[1];
  return gate.snapshot?.pool ?? named ?? gate.asset ?? "";
}

/** Airflow's address of a DAG, of a run, or of a task in it. */
export function pathOf(gate, depth) {
  const parts = ["dags", gate.dag_id];
  if (depth !== "dag") parts.push("runs", gate.run_id);
  if (depth === "task") parts.push("tasks", gate.task_id);
  if (depth === "task" && gate.map_index >= 0) parts.push("mapped", gate.map_index);
  return `/${parts.map((part) => encodeURIComponent(part)).join("/")}`;
}
