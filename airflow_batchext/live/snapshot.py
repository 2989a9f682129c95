"""The snapshot of a waiting task (``live.form``) as plain JSON, which its XCom ``XCOM_KEY`` holds.

Pure: no I/O, no clock, no Airflow. What is written is bounded, and all its texts are redacted: of a large
pool the counts and a letter for each cell, in detail only nodes that are not ready. What is read may be
anything, as users can edit XComs.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.live.bounds import (
    LARGEST,
    LONGEST,
    LONGEST_NAME,
    LONGEST_TEXT,
    MOST_CAUSES,
    MOST_CELLS,
    MOST_CHANGES,
    MOST_DETAIL,
    MOST_FIELDS,
    MOST_JOBS,
    MOST_LINKS,
    MOST_NODES,
    MOST_POINTS,
    MOST_REASONS,
    MOST_SAID,
    MOST_STEPS,
    fitting,
    is_link,
    line,
    lines,
    moment,
    name,
    note_cut,
    thinned,
)
from airflow_batchext.live.form import (
    LETTERS,
    MODES,
    OUTCOMES,
    WAIT_KINDS,
    Change,
    Counts,
    ExtensionSaid,
    Field,
    Link,
    NodeSaid,
    Picture,
    Point,
    RepairSaid,
    RepairStep,
    Snapshot,
    WorkSaid,
)
from airflow_batchext.loose_json.values import as_mapping, as_number, as_sequence, as_text, below, visible
from airflow_batchext.rules.cells import KINDS

#: The XCom in which a task keeps what the page shows of it.
XCOM_KEY: Final = "batchext_live"
#: Of the form. It is raised when a member changes its meaning or goes; new members come without.
VERSION: Final = 1

_WORK_COUNTS: Final = ("waiting", "running", "succeeded", "failed")
# How a text ends that was cut.
_LONGEST_END: Final = 40
_LATEST, _MOST = 10**11, 10**7

T = TypeVar("T")
N = TypeVar("N", int, None)


def to_json(snapshot: Snapshot, most: int = LARGEST) -> dict[str, Any]:
    """It as plain JSON, cut to what is kept, with what looks secret hidden.

    :param most: so many characters of JSON it has at most, those beyond ASCII as escapes.
    """
    members, notes = _of_picture(snapshot.picture)
    return fitting({**_without_picture(snapshot, notes), **members}, most)


def to_text(snapshot: Snapshot) -> str:
    """``to_json`` as text: the XCom's value, of which Airflow copies nothing part by part.

    The text of the picture is made once for all gates that share it.
    """
    drawn, notes = _text_of_picture(snapshot.picture)
    rest = json.dumps(_without_picture(snapshot, notes))
    if len(rest) + len(drawn) > LARGEST:
        return json.dumps(to_json(snapshot))
    return f"{rest[:-1]}, {drawn[1:]}"


# The last pictures, as text, and what was left out of them.
_drawn: deque[tuple[Picture, str, tuple[str, ...]]] = deque(maxlen=8)


def _text_of_picture(picture: Picture) -> tuple[str, tuple[str, ...]]:
    for known, drawn, notes in _drawn:
        if known is picture:
            return drawn, notes
    members, notes = _of_picture(picture)
    _drawn.append((picture, json.dumps(members), notes))
    return _drawn[-1][1:]


def _of_picture(picture: Picture) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Its members, and what was left out."""
    capped: list[str] = []
    cells = len(picture.fields[0].cells) if picture.fields else 0
    nodes = _nodes(picture.nodes[:MOST_NODES])
    not_ready = max(len(picture.nodes), _not_ready(picture))
    note_cut(capped, "nodes in the picture", min(cells, MOST_CELLS), cells)
    note_cut(capped, "extensions in the picture", MOST_FIELDS, len(picture.fields) - 1)
    note_cut(capped, "nodes that are not ready in detail", len(nodes), not_ready)
    members = {
        "counts": {
            "wanted": picture.counts.wanted,
            "ready": picture.counts.ready,
            "pending": picture.counts.pending,
            "failed": picture.counts.failed,
            "unread": picture.counts.unread,
        },
        "fields": [
            {"name": name(field.name), "cells": field.cells[:MOST_CELLS]}
            for field in picture.fields[: MOST_FIELDS + 1]
        ],
        "ages": list(picture.ages[:MOST_CELLS]),
        "nodes": nodes,
    }
    return members, tuple(capped)


def _without_picture(snapshot: Snapshot, notes: tuple[str, ...]) -> dict[str, Any]:
    capped = [*snapshot.capped, *notes]
    note_cut(capped, "reasons", MOST_REASONS, len(snapshot.reasons))
    steps = snapshot.repair.steps if snapshot.repair else ()
    note_cut(capped, "steps of the repair", MOST_STEPS, len(steps))
    return {
        "version": VERSION,
        "kind": snapshot.kind,
        "pool": name(snapshot.pool),
        "connection": name(snapshot.connection),
        "account": name(snapshot.account),
        "mode": snapshot.mode,
        "rules": line(snapshot.rules),
        "started": moment(snapshot.started),
        "deadline": moment(snapshot.deadline),
        "interval": moment(snapshot.interval),
        "looked": moment(snapshot.looked),
        "next_look": moment(snapshot.next_look),
        "stale_at": moment(snapshot.stale_at),
        "outcome": snapshot.outcome,
        "summary": line(snapshot.summary),
        "reasons": lines(snapshot.reasons, MOST_REASONS),
        "extensions": [name(one) for one in snapshot.extensions[:MOST_FIELDS]],
        "history": [
            {"at": moment(each.at), "text": line(each.text)} for each in snapshot.history[-MOST_CHANGES:]
        ],
        "points": [
            [round(each.at), each.ready, each.failed] for each in thinned(snapshot.points, MOST_POINTS)
        ],
        "repair": None
        if snapshot.repair is None
        else {
            "text": line(snapshot.repair.text),
            "steps": [
                {
                    "node": name(each.node),
                    "step": name(each.step),
                    "why": line(each.why),
                    "result": name(each.result),
                }
                for each in steps[-MOST_STEPS:]
            ],
            "notes": lines(snapshot.repair.notes, MOST_REASONS),
        },
        "work": None
        if snapshot.work is None
        else {
            "jobs": [name(job) for job in snapshot.work.jobs[:MOST_JOBS]],
            **{each: getattr(snapshot.work, each) for each in _WORK_COUNTS},
        },
        "causes": [one_line(each, 2 * LONGEST_TEXT) for each in snapshot.causes[:MOST_CAUSES]],
        "more": line(snapshot.more),
        "links": [
            {"name": name(each.name), "url": each.url}
            for each in snapshot.links[:MOST_LINKS]
            if is_link(each.url)
        ],
        "capped": [name(each) for each in capped[-MOST_FIELDS:]],
    }


def read_snapshot(value: object) -> Snapshot | None:
    """The snapshot that an XCom holds, as JSON or its text; None if that is none, or one of another version.

    What is not of its kind in it reads as if it were not there; texts are cut, and show what is invisible;
    links are of HTTP alone.

    :param value: as it was stored: anything.
    """
    body = as_mapping(_parsed(value))
    kind, mode, outcome = body.get("kind"), body.get("mode"), body.get("outcome")
    known = kind in WAIT_KINDS and mode in MODES and outcome in OUTCOMES
    if as_number(body.get("version")) != VERSION or not known or not as_text(body.get("pool")):
        return None
    return Snapshot(
        kind=kind,  # type: ignore[arg-type]
        mode=mode,  # type: ignore[arg-type]
        outcome=outcome,  # type: ignore[arg-type]
        pool=_read_name(body.get("pool")),
        connection=_read_name(body.get("connection")),
        account=_read_name(body.get("account")),
        rules=_read_text(body.get("rules")),
        started=_read_moment(body.get("started")),
        deadline=_read_moment(body.get("deadline")),
        interval=_read_moment(body.get("interval")),
        looked=_read_moment(body.get("looked")),
        next_look=_read_moment(body.get("next_look")),
        stale_at=_read_moment(body.get("stale_at")),
        summary=_read_text(body.get("summary")),
        reasons=_read_texts(body.get("reasons"), MOST_REASONS),
        extensions=_each(body.get("extensions"), MOST_FIELDS, _read_name),
        picture=_read_picture(body),
        history=_each(body.get("history"), MOST_CHANGES, _read_change),
        points=_each(body.get("points"), MOST_POINTS, _read_point),
        repair=_read_repair(body.get("repair")),
        work=_read_work(body.get("work")),
        causes=_each(body.get("causes"), MOST_CAUSES, lambda text: _read_text(text, 2 * LONGEST_TEXT)),
        more=_read_text(body.get("more")),
        links=_each(body.get("links"), MOST_LINKS, _read_link),
        capped=_read_texts(body.get("capped"), MOST_REASONS),
    )


def _parsed(value: object) -> object:
    if not isinstance(value, str) or len(value) > LONGEST:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _read_picture(body: Mapping[str, Any]) -> Picture:
    counts = as_mapping(body.get("counts"))
    wanted = counts.get("wanted")
    fields = _each(body.get("fields"), MOST_FIELDS + 1, _read_field)
    cells = len(fields[0].cells) if fields else 0
    if any(len(field.cells) != cells for field in fields):
        fields, cells = (), 0
    ages = [_read_count(age, None) for age in as_sequence(body.get("ages"))[:cells]]
    return Picture(
        counts=Counts(
            wanted=_read_count(wanted, None),
            **{each: _read_count(counts.get(each), 0) for each in ("ready", "pending", "failed", "unread")},
        ),
        fields=fields,
        ages=(*ages, *[None] * (cells - len(ages))),
        nodes=_each(body.get("nodes"), MOST_NODES, _read_node),
    )


def _read_field(value: object) -> Field | None:
    body = as_mapping(value)
    cells = as_text(body.get("cells"))[:MOST_CELLS]
    if set(cells) - set(LETTERS.values()):
        return None
    return Field(_read_name(body.get("name")), cells)


def _read_node(value: object) -> NodeSaid | None:
    body = as_mapping(value)
    kind = body.get("kind")
    if kind not in KINDS:
        return None
    return NodeSaid(
        id=_read_name(body.get("id")),
        kind=kind,
        state=_read_name(body.get("state")),
        since=_read_moment(body.get("since")),
        read=_read_moment(body.get("read")),
        is_dedicated=body.get("dedicated") is not False,
        says=_read_texts(body.get("says"), MOST_SAID),
        extensions=_each(body.get("extensions"), MOST_FIELDS, _read_extension),
    )


def _read_extension(value: object) -> ExtensionSaid | None:
    body = as_mapping(value)
    kind = body.get("kind")
    if kind not in KINDS:
        return None
    return ExtensionSaid(
        _read_name(body.get("name")), kind, _read_name(body.get("code")), _read_text(body.get("message"))
    )


def _read_change(value: object) -> Change | None:
    body = as_mapping(value)
    at = _read_moment(body.get("at"))
    return None if at is None else Change(at, _read_text(body.get("text")))


def _read_point(value: object) -> Point | None:
    at, ready, failed, *_ = (*as_sequence(value)[:3], None, None, None)
    moment_ = _read_moment(at)
    return None if moment_ is None else Point(moment_, _read_count(ready, 0), _read_count(failed, 0))


def _read_repair(value: object) -> RepairSaid | None:
    if not isinstance(value, Mapping):
        return None
    steps = _each(value.get("steps"), MOST_STEPS, _read_step)
    return RepairSaid(_read_text(value.get("text")), steps, _read_texts(value.get("notes"), MOST_REASONS))


def _read_work(value: object) -> WorkSaid | None:
    if not isinstance(value, Mapping):
        return None
    counts = {each: _read_count(value.get(each), 0) for each in _WORK_COUNTS}
    return WorkSaid(_each(value.get("jobs"), MOST_JOBS, _read_name), **counts)


def _read_step(value: object) -> RepairStep:
    body = as_mapping(value)
    return RepairStep(
        _read_name(body.get("node")),
        _read_name(body.get("step")),
        _read_text(body.get("why")),
        _read_name(body.get("result")),
    )


def _read_link(value: object) -> Link | None:
    url = as_text(below(value, "url"))
    return Link(_read_name(below(value, "name")), url) if is_link(url) else None


def _each(value: object, most: int, read: Callable[[object], T | None]) -> tuple[T, ...]:
    return tuple(found for item in as_sequence(value)[:most] if (found := read(item)) is not None)


def _read_name(value: object) -> str:
    return _read_text(value, LONGEST_NAME)


def _read_text(value: object, most: int = LONGEST_TEXT) -> str:
    # What was cut when it was written says so at its end.
    return visible(as_text(value)[: most + _LONGEST_END])


def _read_texts(value: object, most: int) -> tuple[str, ...]:
    return _each(value, most, _read_text)


def _read_moment(value: object) -> float | None:
    """A time, or a length of time, that a page can count with."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value <= _LATEST else None  # type: ignore[arg-type, operator]


def _read_count(value: object, otherwise: N) -> int | N:
    number = as_number(value)
    return number if number is not None and 0 <= number <= _MOST else otherwise


def _nodes(nodes: Iterable[NodeSaid]) -> list[dict[str, Any]]:
    """As many as ``MOST_DETAIL`` allows."""
    kept: list[dict[str, Any]] = []
    size = 0
    for node in nodes:
        shown: dict[str, Any] = {
            "id": name(node.id),
            "kind": node.kind,
            "state": name(node.state),
            "since": moment(node.since),
            "read": moment(node.read),
            "dedicated": node.is_dedicated,
            "says": lines(node.says, MOST_SAID),
            "extensions": [
                {
                    "name": name(each.name),
                    "kind": each.kind,
                    "code": name(each.code),
                    "message": line(each.message),
                }
                for each in node.extensions[:MOST_FIELDS]
            ],
        }
        size += len(shown["id"]) + sum(map(len, shown["says"]))
        size += sum(len(text) for each in shown["extensions"] for text in each.values())
        if size > MOST_DETAIL and kept:
            break
        kept.append(shown)
    return kept


def _not_ready(picture: Picture) -> int:
    own = picture.fields[0].cells if picture.fields else ""
    return len(own) - own.count(LETTERS["ready"])
