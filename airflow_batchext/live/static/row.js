// One gate in the list: a line that says how it stands, and below it, once opened, the rest.

import { ago, airflowLink, clock, h, isWatched, many, pathOf, place, poolOf, span, ticks } from "./dom.js";

const KINDS = {
  gate: "Gate",
  create: "Create pool",
  update: "Update pool",
  resize: "Resize pool",
  delete: "Delete pool",
  repair: "Repair nodes",
  work: "Work",
  events: "Events",
};

export const keyOf = (gate) =>
  JSON.stringify(isWatched(gate) ? [gate.asset_id, gate.trigger_id] : [gate.dag_id, gate.run_id, gate.task_id, gate.map_index]);

/** What it is about in Airflow: the task, or the asset. */
const nameOf = (gate) =>
  isWatched(gate) ? gate.asset : `${gate.dag_id} / ${gate.task_id}${gate.map_index >= 0 ? ` [${gate.map_index}]` : ""}`;

/** How a gate stands: the class of its badge, and its word. */
export function standing(gate) {
  const { snapshot, state, group } = gate;
  if (group === "failed") {
    if (state === "up_for_retry") return ["failed", "Failed, is tried again"];
    return ["failed", { timeout: "Timed out", refused: "Refused" }[snapshot?.outcome] ?? "Failed"];
  }
  if (group === "recent") {
    if (state === "success") return ["ready", snapshot?.kind === "gate" ? "Open" : "Done"];
    return ["void", { skipped: "Skipped", removed: "Removed", none: "Cleared" }[state] ?? state];
  }
  if (gate.nobody) return ["failed", "Nobody looks"];
  if (group === "watched") return isSilent(gate) ? ["failed", "Silent"] : ["void", "Watched"];
  // It may be about to end, or to begin anew after a clear: what it wrote is that of before, either way.
  if (state === "queued" || state === "scheduled") return ["pending", "Waits for a worker"];
  if (snapshot && snapshot.outcome !== "waiting") return ["pending", "Is ending"];
  return isSilent(gate) ? ["failed", "Silent"] : ["pending", "Waits"];
}

/** Whether who should have looked by now has not. */
export function isSilent(gate) {
  const stale = gate.snapshot?.stale_at ?? null;
  return (gate.group === "waiting" || isWatched(gate)) && stale !== null && clock.now() > stale;
}

/** The order within a group: what needs somebody first. */
export function before(one, other) {
  if (one.group !== "waiting" && !isWatched(one)) return other.written - one.written;
  const lost = (gate) => Boolean(gate.nobody) || isSilent(gate);
  if (lost(one) !== lost(other)) return lost(one) ? -1 : 1;
  return (one.snapshot?.deadline ?? Infinity) - (other.snapshot?.deadline ?? Infinity) || (keyOf(one) < keyOf(other) ? -1 : 1);
}

let numbers = 0;

/** A line of the list: `element`; `update(gate)`; `open(yes)`; `fill(children)`; whether it `isOpen`. */
export class Row {
  constructor(gate, toggled) {
    this.isOpen = false;
    numbers += 1;
    const id = `gate-${numbers}`;
    this.line = h("div.line");
    this.button = h("button.opener", { type: "button", "aria-expanded": "false", "aria-controls": id, onclick: () => toggled(this) });
    this.inside = h("div.inside", { id, hidden: true });
    this.element = h("article.gate", {}, this.line, this.inside);
    this.update(gate);
  }

  update(gate) {
    this.gate = gate;
    const [kind, word] = standing(gate);
    const told = JSON.stringify([gate, kind, word]);
    if (told === this.told) return;
    this.told = told;
    this.element.dataset.kind = kind;
    const snapshot = gate.snapshot;
    const path = isWatched(gate) ? `/assets/${gate.asset_id}` : pathOf(gate, "task");
    const what = isWatched(gate) ? KINDS.events : KINDS[snapshot?.kind];
    // The button itself stays, so that it keeps the focus.
    this.button.replaceChildren(
      h("span.badge", {}, word),
      h("span.name", {}, poolOf(gate) || "Unreadable"),
      h("span.unseen", {}, `, ${nameOf(gate)}`)
    );
    place(this.line, [
      h(
        "div.who",
        {},
        h("div.head", {}, this.button),
        h("div.dim", {}, [what, snapshot?.account].filter(Boolean).join(" · ")),
        h("div.task", {}, airflowLink(path, nameOf(gate))),
        h("div.run.dim", {}, gate.run_id)
      ),
      h("div.how", {}, snapshot ? [bar(snapshot), says(gate, snapshot)] : unread(gate)),
      h("div.when", {}, isWatched(gate) ? watchedFor(gate) : null, snapshot ? when(gate, snapshot) : null),
    ]);
  }

  open(yes) {
    this.isOpen = yes;
    this.inside.hidden = !yes;
    this.button.setAttribute("aria-expanded", String(yes));
    this.element.classList.toggle("open", yes);
  }

  fill(children) {
    this.inside.replaceChildren(...children.flat(Infinity).filter(Boolean));
  }
}

/** What is waited for by how far it is, as a bar and in words: Batch tasks, or nodes. */
function bar(snapshot) {
  if (snapshot.work) {
    const { waiting, running, succeeded, failed } = snapshot.work;
    const parts = [
      ["failed", failed, "failed"],
      ["pending", running, "running"],
      ["ready", succeeded, "succeeded"],
      ["missing", waiting, "waiting"],
    ];
    const all = waiting + running + succeeded + failed;
    return drawn(parts, "No tasks are known yet", `${succeeded.toLocaleString("en")} of ${many(all, "task")} succeeded`);
  }
  if (snapshot.kind === "work") return h("p.counts", {}, "Nothing was submitted yet");
  const { wanted, ready, pending, failed, unread } = snapshot.counts;
  const there = ready + pending + failed;
  const parts = [
    ["failed", failed, "failed"],
    ["pending", pending, "pending"],
    ["ready", ready, "ready"],
    ["missing", Math.max(0, (wanted ?? 0) - there), "not there yet"],
    ["unread", unread, "unread"],
  ];
  const of = wanted === null ? many(there, "node") : wanted.toLocaleString("en");
  return drawn(parts, "No nodes are known yet", `${ready.toLocaleString("en")} of ${of} ready`);
}

/** A bar of its parts; of what is unread, and pending already, there are words alone. */
function drawn(parts, nothing, told) {
  const there = parts.filter(([, count]) => count);
  if (!there.length) return h("p.counts", {}, nothing);
  const words = there.map(([, count, word]) => `${count.toLocaleString("en")} ${word}`);
  const element = h("div.bar", { role: "img", "aria-label": words.join(", ") });
  for (const [kind, count] of there.filter(([kind]) => kind !== "unread")) {
    const piece = h(`span.b-${kind}`);
    piece.style.flexGrow = String(count);
    element.append(piece);
  }
  const rest = words.filter((_, index) => there[index][0] !== "ready");
  return [element, h("p.counts", {}, h("b", {}, told), rest.map((word) => ` · ${word}`))];
}

function unread(gate) {
  if (!isWatched(gate)) return h("p", {}, "What this task wrote cannot be read.");
  return [
    gate.nobody && h("p.lost", {}, `${gate.nobody}.`),
    h("p", {}, "What its watcher sees is not known here."),
  ].filter(Boolean);
}

/** Since when it is watched, and what has happened last. */
function watchedFor(gate) {
  const line = (name, value) => h("div", {}, h("span.dim", {}, `${name} `), value);
  const { event, other_event: other } = gate;
  const last = (kind, at) => line("event", [h("b", {}, kind), " ", ticks(h("span"), at, ago)]);
  return [
    line("watched for", ticks(h("span"), gate.since, span)),
    event ? last(event.kind, event.at) : other !== null ? last("of others", other) : line("no event", "known"),
  ];
}

/** A text in which ids of nodes, which have 64 digits, leave room for what is said of them. */
const short = (text) => text.replace(/(tvmps_[0-9a-f]{8})[0-9a-f]{20,}/g, "$1…");

function says(gate, snapshot) {
  const lines = snapshot.reasons.length ? snapshot.reasons : [snapshot.summary];
  const more = lines.length - 1;
  return [
    gate.nobody && h("p.lost", {}, `${gate.nobody}: what is shown here does not change.`),
    h("p.reason", {}, short(lines[0] || snapshot.summary), more > 0 ? h("span.dim", {}, ` and ${many(more, "more reason")}`) : null),
    snapshot.extensions.length > 0 && h("p.extensions.dim", {}, snapshot.extensions.join(", ")),
  ].filter(Boolean);
}

/** Since when, until when, and when it looks again. */
function when(gate, snapshot) {
  const line = (name, value) => h("div", {}, h("span.dim", {}, `${name} `), value);
  const rows = [];
  if (gate.group !== "waiting" && !isWatched(gate)) {
    const ended = gate.ended ?? gate.written;
    rows.push(line("ended", ticks(h("span"), ended, (passed) => `${span(passed)} ago`)));
    if (snapshot.started !== null && ended > snapshot.started) rows.push(line("took", span(ended - snapshot.started)));
    return rows;
  }
  if (snapshot.started !== null && !isWatched(gate)) rows.push(line("waits for", ticks(h("span"), snapshot.started, span)));
  if (snapshot.deadline !== null) {
    const left = (passed) => (passed < 0 ? `in ${span(-passed)}` : `${span(passed)} ago`);
    rows.push(line("deadline", ticks(h("b"), snapshot.deadline, left)));
  }
  if (snapshot.looked !== null) rows.push(line("as of", ticks(h("span"), snapshot.looked, (p) => `${span(p)} ago`)));
  if (snapshot.next_look !== null && !gate.nobody) {
    // What has not changed is written every few minutes only, so a look may be over of which nobody was told.
    const every = snapshot.interval ? `every ${span(snapshot.interval)}` : "soon";
    const next = (passed) => (isSilent(gate) ? `${span(passed)} overdue` : passed < 0 ? `in ${span(-passed)}` : every);
    rows.push(line("looks again", ticks(h("span"), snapshot.next_look, next)));
  }
  return rows;
}
