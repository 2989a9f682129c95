// The page: asks for the gates while somebody looks, keeps the list in order, and opens what is clicked on.

import { airflow, airflowLink, base, clock, h, isWatched, many, place, poolOf, span } from "./dom.js";
import { detail } from "./detail.js";
import { before, isSilent, keyOf, Row } from "./row.js";

const FILTERS = ["dag_id", "run_id", "task_id", "map_index", "pool"];
const GROUPS = { failed: "Failed", waiting: "Waiting", watched: "Watched for events", recent: "Ended in the last day" };
const SHOWN = 100;
const WORDS = { dag_id: "DAG", run_id: "run", task_id: "task", map_index: "map index" };

const by = (id) => document.getElementById(id);
const rows = new Map();
const shownOf = { failed: SHOWN, waiting: SHOWN, watched: SHOWN, recent: SHOWN };
const sections = new Map();
let data = null;
let trouble = null;
let answeredAt = 0;
let asking = false;
let timer = 0;
let pause = 5;
let filters = chosen();
let opensFirst = ["dag_id", "run_id", "task_id"].every((name) => filters[name]);
let lone = null;

/** What is asked for in the address: the page's own, else that of the Airflow around it. */
function chosen() {
  const own = new URLSearchParams(location.search);
  const around = new URLSearchParams(airflow?.location.search ?? "");
  const found = {};
  for (const name of FILTERS) {
    const value = own.get(name) ?? around.get(name) ?? "";
    // Airflow leaves its {MAP_INDEX} as it is where there is none.
    if (value && !/^\{.*\}$/.test(value) && !(name === "map_index" && value === "-1")) found[name] = value;
  }
  return found;
}

/** In the page's own address, so that it stays when it is loaded again; Airflow takes it into its own. */
function remember() {
  history.replaceState({}, "", `${location.pathname}?${new URLSearchParams(filters)}`.replace(/\?$/, ""));
}

function look() {
  const around = airflow?.document;
  const dress = () => {
    const classes = around?.documentElement.classList;
    const system = matchMedia("(prefers-color-scheme: dark)").matches;
    const isDark = classes?.contains("dark") || (!classes?.contains("light") && system);
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    if (!around) return;
    const style = getComputedStyle(around.body);
    document.body.style.fontFamily = style.fontFamily;
    document.documentElement.style.setProperty("--page", style.backgroundColor);
  };
  dress();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
  if (around) new MutationObserver(dress).observe(around.documentElement, { attributes: true, attributeFilter: ["class"] });
}

/** Whoever comes by a link of Airflow is shown the page inside Airflow, if they may see its plugins. */
async function moveIntoAirflow() {
  const parameters = new URLSearchParams(location.search);
  if (airflow || parameters.get("from") !== "airflow") return false;
  parameters.delete("from");
  try {
    const answer = await fetch(`${base}/api/v2/plugins?limit=100`);
    const isThere = answer.ok && JSON.stringify(await answer.json()).includes('"url_route":"batch-pools"');
    if (isThere) location.replace(`${base}/plugin/batch-pools?${parameters}`);
    return isThere;
  } catch {
    return false;
  }
}

async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(30000) });
  if (answer.ok) return answer.json();
  const refused = new Error(`The server answered ${answer.status}.`);
  refused.status = answer.status;
  throw refused;
}

async function poll() {
  clearTimeout(timer);
  if (asking || document.hidden) return;
  asking = true;
  try {
    data = await ask("gates");
    data.gates.push(...data.watched);
    clock.ahead = data.now - Date.now() / 1000;
    answeredAt = clock.now();
    pause = data.poll_seconds;
    trouble = null;
    await findLone();
  } catch (error) {
    trouble = error;
    pause = Math.min(60, pause * 2);
  }
  asking = false;
  draw();
  for (const row of rows.values()) if (row.isOpen && row.element.isConnected) fill(row);
  timer = setTimeout(poll, pause * 1000);
}

/** The one task that the address names, where it has ended so long ago that the list has it no more. */
async function findLone() {
  const wanted = filters.dag_id && filters.run_id && filters.task_id;
  const there = wanted && data.gates.some(isWanted);
  lone = null;
  if (!wanted || there) return;
  const named = FILTERS.filter((name) => name !== "pool" && filters[name]).map((name) => [name, filters[name]]);
  try {
    lone = (await ask(`gate?${new URLSearchParams(named)}`)).gate;
    data.gates.push(lone);
  } catch (error) {
    if (error.status !== 404 && error.status !== 422) throw error;
  }
}

async function fill(row) {
  const { dag_id, run_id, task_id, map_index, asset_id, trigger_id } = row.gate;
  const version = isWatched(row.gate) ? JSON.stringify(row.gate) : `${row.gate.written} ${row.gate.state}`;
  const [path, which] = isWatched(row.gate)
    ? ["watch", { asset_id, trigger_id }]
    : ["gate", { dag_id, run_id, task_id, map_index }];
  if (row.filled === version || row.asks) return;
  if (row.gate.snapshot === null) {
    row.fill(detail(row.gate));
    row.filled = version;
    return;
  }
  row.asks = true;
  try {
    const answer = await ask(`${path}?${new URLSearchParams(which)}`);
    const kept = keep(row);
    row.fill(detail(answer.gate, row.isWhole, () => (row.isWhole = true)));
    kept();
    row.filled = version;
  } catch (error) {
    if (!row.filled) row.fill([h("p", {}, error.status === 404 ? "It is gone." : said(error))]);
  }
  row.asks = false;
}

/** Where somebody was with the keyboard in an opened gate; to be called after it has been drawn anew. */
function keep(row) {
  const focusable = "a, button, svg[tabindex]";
  const at = [...row.inside.querySelectorAll(focusable)].indexOf(document.activeElement);
  return () => {
    if (at >= 0) row.inside.querySelectorAll(focusable)[at]?.focus({ preventScroll: true });
  };
}

function toggled(row) {
  row.open(!row.isOpen);
  if (row.isOpen) fill(row);
}

function isWanted(gate) {
  const pool = poolOf(gate);
  for (const name of FILTERS) {
    const value = name === "pool" ? pool : String(gate[name]);
    if (filters[name] && value !== filters[name]) return false;
  }
  const text = by("text").value.toLowerCase().split(/\s+/).filter(Boolean);
  const all = [pool, gate.dag_id, gate.run_id, gate.task_id, gate.asset].filter(Boolean).join(" ").toLowerCase();
  return text.every((word) => all.includes(word));
}

function draw() {
  drawPulse();
  drawBanners();
  if (!data) return;
  drawFilters();
  const wanted = data.gates.filter(isWanted);
  const groups = Object.fromEntries(
    Object.keys(GROUPS).map((name) => [name, wanted.filter((gate) => gate.group === name).sort(before)])
  );
  drawCounts(groups);
  const known = new Set(data.gates.map(keyOf));
  for (const key of rows.keys()) if (!known.has(key)) rows.delete(key);
  const drawn = Object.keys(GROUPS).map((name) => drawGroup(name, groups[name]));
  place(by("gates"), wanted.length ? drawn : [nothing()]);
  if (opensFirst && wanted.length) {
    opensFirst = false;
    const row = rows.get(keyOf(wanted[0]));
    if (row && !row.isOpen) toggled(row);
  }
}

function drawGroup(name, gates) {
  if (!gates.length) return null;
  let section = sections.get(name);
  if (!section) {
    const title = h("h2");
    const list = h("div.list");
    const more = h("button.more", { type: "button", onclick: () => ((shownOf[name] += 5 * SHOWN), draw()) });
    section = { element: h(`section.group`, { id: `group-${name}`, tabindex: -1 }, title, list, more), title, list, more };
    sections.set(name, section);
  }
  section.title.textContent = `${GROUPS[name]} (${gates.length.toLocaleString("en")})`;
  const shown = gates.slice(0, shownOf[name]);
  place(section.list, shown.map(rowOf));
  section.more.hidden = shown.length === gates.length;
  section.more.textContent = `Show more of the other ${(gates.length - shown.length).toLocaleString("en")}`;
  return section.element;
}

function rowOf(gate) {
  const key = keyOf(gate);
  const row = rows.get(key);
  if (row) row.update(gate);
  else rows.set(key, new Row(gate, toggled));
  return rows.get(key).element;
}

function nothing() {
  if (data.gates.length || Object.keys(filters).length) {
    const all = h("button", { type: "button", onclick: () => choose({}) }, "Show all");
    const one = filters.task_id ? "This task has no gate here: it has not looked yet, or is no task of ours." : "No gate matches.";
    return h("div.empty", {}, h("p", {}, one), all);
  }
  return h(
    "div.empty",
    {},
    h("h2", {}, "Nothing waits"),
    h(
      "p",
      {},
      "Each task that waits for a Batch pool appears here when it first looks: gates, and the operators that create, " +
        "resize, delete and repair one, or run work on it. You see for which node it waits, since when, until when, what the node said, and " +
        "what helps. What has ended stays for a day. Pools that events watch are here, too."
    ),
    h(
      "p",
      {},
      "To see it at work, run the example DAG ",
      airflowLink("/dags/batch_ephemeral_pool", "batch_ephemeral_pool"),
      ". ",
      h("code", {}, "batchext up"),
      " starts an Airflow that has it, with an emulated Batch account."
    )
  );
}

function drawCounts(groups) {
  const there = Object.entries(groups).filter(([name, gates]) => name !== "watched" || gates.length);
  const counts = there.map(([name, gates]) => {
    const jump = () => {
      by(`group-${name}`)?.scrollIntoView({ block: "start" });
      by(`group-${name}`)?.focus({ preventScroll: true });
    };
    return h(`button.count.c-${name}`, { type: "button", onclick: jump, disabled: !gates.length }, h("b", {}, gates.length.toLocaleString("en")), ` ${name === "recent" ? "ended" : name}`);
  });
  const told = counts.map((one) => one.textContent).join(", ");
  if (by("told").textContent === told) return;
  by("told").textContent = told;
  by("counts").replaceChildren(...counts);
}

function drawFilters() {
  for (const name of ["dag_id", "pool"]) {
    const select = by(name);
    const values = new Set(data.gates.map((gate) => (name === "pool" ? poolOf(gate) : gate.dag_id)).filter(Boolean));
    if (filters[name]) values.add(filters[name]);
    const options = [...values].sort();
    const told = JSON.stringify([options, filters[name]]);
    if (select.dataset.told === told) continue;
    select.dataset.told = told;
    select.replaceChildren(h("option", { value: "" }, "all"), ...options.map((value) => h("option", { value }, value)));
    select.value = filters[name] ?? "";
  }
  const named = ["run_id", "task_id", "map_index"].filter((name) => filters[name]);
  by("chips").replaceChildren(
    ...named.map((name) =>
      h("li", {}, `${WORDS[name]} ${filters[name]} `, h("button", { type: "button", "aria-label": `Not only ${WORDS[name]} ${filters[name]}`, onclick: () => choose({ ...filters, [name]: "" }) }, "×"))
    )
  );
}

function choose(wanted) {
  filters = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value));
  if (!Object.keys(wanted).length) by("text").value = "";
  remember();
  draw();
}

function drawPulse() {
  const pulse = by("pulse");
  const passed = data ? clock.now() - answeredAt : 0;
  if (!data && !trouble) return;
  pulse.dataset.state = trouble ? "lost" : "live";
  const text = !data ? "Nothing was read" : passed < 8 && !trouble ? "Live" : `As of ${span(passed)} ago`;
  if (pulse.textContent !== text) pulse.textContent = text;
  document.body.classList.toggle("lost", Boolean(trouble && data));
}

function said(error) {
  if (error.status === 401) return "Your session has expired.";
  if (error.status === 403) return "You may not see this page.";
  if (error.status === 503) return "Airflow's database does not answer.";
  return error.status ? `Airflow cannot be read: ${error.message}` : "Airflow does not answer.";
}

function drawBanners() {
  const banners = [];
  if (trouble) {
    const sign = trouble.status === 401 && signIn();
    const then = data ? ` What is shown is ${span(clock.now() - answeredAt)} old.` : "";
    banners.push(h("p.banner", { role: "alert" }, `${said(trouble)}${then} `, sign));
  }
  if (data) {
    const lost = (group) => data.gates.filter((gate) => gate.group === group && (gate.nobody || isSilent(gate))).length;
    const [tasks, pools] = [lost("waiting"), lost("watched")];
    const whom = [tasks && `${many(tasks, "task")} that wait${tasks === 1 ? "s" : ""}`, pools && many(pools, "watched pool")];
    if (tasks || pools) banners.push(h("p.banner", { role: "alert" }, `Nobody looks for ${whom.filter(Boolean).join(" and ")}: is a triggerer running?`));
    if (data.is_capped) banners.push(h("p.banner", {}, "There is more than fits here: of tasks that have ended only the latest are shown, of watched pools the first 500."));
  }
  const told = JSON.stringify(banners.map((one) => one.textContent));
  if (by("banners").dataset.told === told) return;
  by("banners").dataset.told = told;
  by("banners").replaceChildren(...banners);
}

function signIn() {
  const go = (event) => {
    if (!airflow) return;
    event.preventDefault();
    const link = airflow.document.createElement("a");
    link.href = `${base}/`;
    link.click();
  };
  const next = encodeURIComponent(`${location.origin}${base}/batchext/`);
  return h("a", { href: `${base}/api/v2/auth/login?next=${next}`, onclick: go }, "Sign in again");
}

look();
by("filters").addEventListener("submit", (event) => event.preventDefault());
by("text").addEventListener("input", draw);
for (const name of ["dag_id", "pool"]) by(name).addEventListener("change", () => choose({ ...filters, [name]: by(name).value }));
document.addEventListener("visibilitychange", poll);
setInterval(() => !document.hidden && (drawPulse(), trouble && drawBanners()), 1000);
if (!(await moveIntoAirflow())) {
  remember();
  poll();
}
