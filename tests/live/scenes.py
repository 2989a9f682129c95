"""Gates of every kind, written into the database of an Airflow that has nothing but its API server.

``python -m tests.live.scenes``: each DAG is one scene, and ``tests.live.access`` says who sees which. After
the last DAG file was read, ``python -m tests.live.scenes watchers``.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from airflow.utils.session import create_session

from airflow_batchext.live.form import (
    Change,
    Counts,
    ExtensionSaid,
    Field,
    NodeSaid,
    Picture,
    Point,
    WorkSaid,
)
from airflow_batchext.live.snapshot import to_json, to_text
from airflow_batchext.live.watched import CLASSPATH
from tests.live import planting

RUN = "scheduled__2026-11-29T06:00:00+00:00"
#: What a machine, or somebody who edits XComs, may say.
HOSTILE = '"><img src=x onerror="window.ran=1"><script>window.ran=1</script>\u202egnp'
#: The tests take their time, and nothing here is to become stale meanwhile.
_LONG = 86_400.0
_WORDS = {"f": "failed", "p": "pending", "u": "unread", "v": "void", "r": "ready"}


def plant(session: Any) -> None:
    """All scenes."""
    now = time.time()
    heard, unheard = (planting.add_triggerer(session, silent_for=silent) for silent in (-_LONG, _LONG))
    alive, dead = ({"trigger": planting.add_trigger(session, each)} for each in (heard, unheard))
    runs: dict[str, int] = {}

    def add(dag_id: str, task: str, snapshot: Any, **more: Any) -> None:
        if dag_id not in runs:
            planting.add_dag(session, dag_id)
            runs[dag_id] = planting.add_run(session, dag_id, RUN)
        value = snapshot if isinstance(snapshot, dict) else to_text(snapshot)
        planting.add_gate(session, dag_id, RUN, task, run=runs[dag_id], value=value, **more)

    def waiting(pool: str, **more: Any) -> Any:
        return planting.waiting(pool, now, **{"stale_at": now + _LONG, **more})

    add("rendering_preview", "gate", planting.failed("preview-eu", now), state="failed")
    add("rendering_nightly", "gate", waiting("frames-eu"), **alive)
    add("rendering_nightly", "gate_us", sized("frames-us", now, 200), **alive)
    resizing = waiting(
        "frames-asia",
        kind="resize",
        mode="reschedule",
        extensions=(),
        reasons=("The pool is resizing: 2 of 5 nodes are there.",),
    )
    add("rendering_nightly", "grow", resizing, state="up_for_reschedule")
    add("rendering_nightly", "render", working("stills-eu", now), **alive)
    for index in range(2):
        add("rendering_tiles", "tile", waiting(f"tile-{index}"), map_index=index, **alive)
    done = waiting(
        "proofs", outcome="done", next_look=None, stale_at=None, reasons=(), summary="All are ready"
    )
    add("rendering_proofs", "gate", done, state="success")

    add("otto_reports", "gate", waiting("reports"), **alive)
    for nodes in (5, 200, 2000):
        add("sizes", f"gate_{nodes}", sized(f"size-{nodes}", now, nodes), **alive)
    add("dead", "gate", waiting("lost"), **dead)
    silent = waiting("silent", stale_at=now - 5, next_look=now - 60)
    add("dead", "silent", silent, state="up_for_reschedule")

    hostile = waiting(
        HOSTILE,
        account=HOSTILE,
        rules=HOSTILE,
        reasons=(HOSTILE, "x" * 400),
        extensions=(HOSTILE,),
        history=(Change(now - 9, HOSTILE),),
        picture=Picture(
            Counts(1, 0, 0, 1, 0),
            (Field("", "f"), Field(HOSTILE, "f")),
            (3,),
            (NodeSaid(HOSTILE, "failed", HOSTILE, says=(HOSTILE,), extensions=(said(HOSTILE, "f"),)),),
        ),
    )
    edited = to_json(hostile) | {
        "links": [
            {"name": "javascript", "url": "javascript:window.ran=1"},
            {"name": HOSTILE, "url": HOSTILE},
        ],
        "counts": {"wanted": "many", "ready": -1, "pending": 10**12, "failed": [], "unread": None},
    }
    add("hostile", "said", hostile, **alive)
    add("hostile", "edited", edited, **alive)
    add("hostile", "spoilt", {"version": 99, "pool": HOSTILE}, **alive)


def plant_watchers(session: Any) -> None:
    """Pools that events watch. Airflow forgets those that no DAG file names when it reads the next one."""
    now = time.time()
    heard, unheard = (planting.add_triggerer(session, silent_for=silent) for silent in (-_LONG, _LONG))

    def watched(asset: int, uri: str, triggerer: int, snapshot: Any = None) -> None:
        trigger = planting.add_trigger(session, triggerer, age=90_000, classpath=CLASSPATH)
        value = None if snapshot is None else {**to_json(snapshot), "trigger": trigger}
        planting.add_watcher(session, asset, uri, trigger, value=value)

    watched(71, "azbatch://renderfarm/frames-eu?event=lost", heard, watching("frames-eu", now))
    lost = f"node {planting.node_id(3)[:14]}… is preempted"
    planting.add_event(session, 71, planting.fired("lost", lost, 2, "frames-eu"), age=4_000)
    planting.add_event(session, 71, {}, source="otto_reports", age=700)
    watched(72, "azbatch://renderfarm/stills-eu", heard)
    planting.add_event(session, 72, {"from_rest_api": True}, age=300)
    watched(73, "azbatch://renderfarm/unwatched", unheard, watching("unwatched", now))
    watched(74, "azbatch://renderfarm/hostile", heard, watching(HOSTILE, now, rules=HOSTILE))
    planting.add_event(session, 74, planting.fired("failed", HOSTILE, 1, HOSTILE), age=60)


def watching(pool: str, now: float, **more: Any) -> Any:
    """What a watcher sees of a pool, of whose nodes two are preempted."""
    told: dict[str, Any] = {
        "kind": "events",
        "mode": "watcher",
        "rules": f"events of pool {pool}: lost",
        "started": now - 90_000,
        "deadline": None,
        "stale_at": now + _LONG,
        "summary": "2 of 5 nodes ready; 3 nodes are preempted",
        "reasons": ("3 nodes are preempted: tvmps_96a296d2…, tvmps_f24f62ee…, tvmps_2c3a4249…",),
    }
    return planting.waiting(pool, now, **{**told, **more})


def working(pool: str, now: float) -> Any:
    """What an operator knows of its many Batch tasks, of which most wait for a node."""
    words = "of 240 tasks 96 succeeded, 3 failed, 4 running, 137 waiting for a node"
    why = f"nodes of pool {pool}: 2 idle, 2 running, 8 starting, 12 wanted"
    return planting.waiting(
        pool,
        now,
        kind="work",
        rules=f"pool {pool} to run the Batch tasks of this task",
        deadline=now + 80_000,
        stale_at=now + _LONG,
        extensions=(),
        picture=Picture(),
        summary=f"{words}; {why}",
        reasons=(f"{words}; {why}",),
        history=(
            Change(now - 400, "of 240 tasks 240 waiting for a node"),
            Change(now - 7, f"{words}; {why}"),
        ),
        points=tuple(Point(now - 400 + 40 * step, 10 * step, step // 3) for step in range(10)),
        work=WorkSaid(("rendering_nightly-render-0f3a-1",), waiting=137, running=4, succeeded=96, failed=3),
    )


def said(name: str, letter: str) -> ExtensionSaid:
    """What an extension says in that phase."""
    if letter == "f":
        return ExtensionSaid(name, "failed", "ProvisioningState/failed/1", "No token: no such identity.")
    return ExtensionSaid(name, "pending", "ProvisioningState/transitioning", "Plugin enabling")


def sized(pool: str, now: float, nodes: int) -> Any:
    """What a gate knows of a pool that is filling: one failed, some unread, most ready."""
    kinds = "f" + "p" * (nodes // 8) + "u" * (nodes // 20) + "v" * (nodes // 50)
    kinds += "r" * (nodes - len(kinds))
    fields = [Field("", kinds)]
    for number, name in enumerate(planting.EXTENSIONS):
        cells = (
            "r" if letter in "fp" and (index + number) % 3 else letter for index, letter in enumerate(kinds)
        )
        fields.append(Field(name, "".join(cells)))
    named = tuple(
        NodeSaid(
            planting.node_id(index),
            _WORDS[letter],  # type: ignore[arg-type]
            "starting" if letter == "v" else "idle",
            now - 300 - index,
            None if letter in "uv" else now - 20 - index,
            index % 7 > 0,
            ("its extensions have not been read yet",) if letter == "u" else (),
            (said("monitor", letter),) if letter in "fp" else (),
        )
        for index, letter in enumerate(kinds)
        if letter != "r"
    )
    counts = Counts(nodes, kinds.count("r"), nodes - kinds.count("r") - 1, kinds.count("f"), kinds.count("u"))
    ready = counts.ready
    return planting.waiting(
        pool,
        now,
        stale_at=now + _LONG,
        summary=f"{ready} of {nodes} nodes are ready",
        reasons=(
            f"{counts.pending} nodes are on their way: monitor is transitioning on most of them.",
            "1 node has failed; max_failed_nodes allows 2.",
        )[not counts.pending :],
        picture=Picture(
            counts,
            tuple(fields),
            tuple(None if letter in "uv" else (index * 13) % 420 for index, letter in enumerate(kinds)),
            named,
        ),
        points=tuple(
            Point(now - 900 + 30 * step, min(ready, ready * step // 24), int(step > 20)) for step in range(30)
        ),
        history=tuple(
            Change(now - 900 + 90 * step, f"{ready * step // 9} of {nodes} nodes are ready.")
            for step in range(10)
        ),
    )


if __name__ == "__main__":
    with create_session(scoped=False) as session:
        if sys.argv[1:] == ["watchers"]:
            plant_watchers(session)
        else:
            planting.clear(session)
            plant(session)
