"""The snapshot of a waiting task (``live.form``) as plain JSON, which its XCom ``XCOM_KEY`` holds.

Pure: no I/O, no clock, no Airflow. What is written is bounded, and all its texts are redacted: of a large
pool the counts and a letter for each cell, in detail only nodes that are not ready. What is read may be
anything, as users can edit XComs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from airflow_batchext.batch.data_plane import one_line
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

MOST_CELLS, MOST_FIELDS = 5_000, 20
MOST_NODES, MOST_SAID = 100, 5
MOST_REASONS, MOST_CHANGES, MOST_POINTS, MOST_STEPS, MOST_CAUSES, MOST_LINKS = 20, 50, 200, 50, 4, 5
MOST_JOBS: Final = 5
LONGEST_NAME, LONGEST_TEXT, LONGEST_URL = 200, 500, 2_000
#: So many characters, at most, are said of all nodes together, but for the first of them.
MOST_DETAIL: Final = 60_000

#: So many characters of JSON it has at most.
LARGEST: Final = 250_000
_WORK_COUNTS: Final = ("waiting", "running", "succeeded", "failed")
# How a text ends that was cut.
_LONGEST_END: Final = 40
_LATEST, _MOST = 10**11, 10**7

T = TypeVar("T")
N = TypeVar("N", int, None)


def to_json(snapshot: Snapshot) -> dict[str, Any]:
    """It as plain JSON, cut to what is kept, with what looks secret hidden: the XCom's value."""
    capped = list(snapshot.capped)
    picture = snapshot.picture
    cells = len(picture.fields[0].cells) if picture.fields else 0
    nodes = _nodes(picture.nodes[:MOST_NODES])
    not_ready = max(len(picture.nodes), _not_ready(picture))
    _note(capped, "nodes in the picture", min(cells, MOST_CELLS), cells)
    _note(capped, "extensions in the picture", MOST_FIELDS, len(picture.fields) - 1)
    _note(capped, "nodes that are not ready in detail", len(nodes), not_ready)
    _note(capped, "reasons", MOST_REASONS, len(snapshot.reasons))
    steps = snapshot.repair.steps if snapshot.repair else ()
    _note(capped, "steps of the repair", MOST_STEPS, len(steps))
    return _fitting(
        {
            "version": VERSION,
            "kind": snapshot.kind,
            "pool": name(snapshot.pool),
            "connection": name(snapshot.connection),
            "account": name(snapshot.account),
            "mode": snapshot.mode,
            "rules": _text(snapshot.rules),
            "started": moment(snapshot.started),
            "deadline": moment(snapshot.deadline),
            "interval": moment(snapshot.interval),
            "looked": moment(snapshot.looked),
            "next_look": moment(snapshot.next_look),
            "stale_at": moment(snapshot.stale_at),
            "outcome": snapshot.outcome,
            "summary": _text(snapshot.summary),
            "reasons": _texts(snapshot.reasons, MOST_REASONS),
            "extensions": [name(one) for one in snapshot.extensions[:MOST_FIELDS]],
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
            "history": [
                {"at": moment(each.at), "text": _text(each.text)} for each in snapshot.history[-MOST_CHANGES:]
            ],
            "points": [
                [round(each.at), each.ready, each.failed] for each in thinned(snapshot.points, MOST_POINTS)
            ],
            "repair": None
            if snapshot.repair is None
            else {
                "text": _text(snapshot.repair.text),
                "steps": [
                    {
                        "node": name(each.node),
                        "step": name(each.step),
                        "why": _text(each.why),
                        "result": name(each.result),
                    }
                    for each in steps[-MOST_STEPS:]
                ],
                "notes": _texts(snapshot.repair.notes, MOST_REASONS),
            },
            "work": None
            if snapshot.work is None
            else {
                "jobs": [name(job) for job in snapshot.work.jobs[:MOST_JOBS]],
                **{each: getattr(snapshot.work, each) for each in _WORK_COUNTS},
            },
            "causes": [one_line(each, 2 * LONGEST_TEXT) for each in snapshot.causes[:MOST_CAUSES]],
            "more": _text(snapshot.more),
            "links": [
                {"name": name(each.name), "url": each.url}
                for each in snapshot.links[:MOST_LINKS]
                if is_link(each.url)
            ],
            "capped": [name(each) for each in capped[:MOST_FIELDS]],
        }
    )


def read_snapshot(value: object) -> Snapshot | None:
    """The snapshot that an XCom holds; None if that is none, or one of another version.

    What is not of its kind in it reads as if it were not there; texts are cut, and show what is invisible;
    links are of HTTP alone.

    :param value: as it was stored: anything.
    """
    body = as_mapping(value)
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


def name(text: str) -> str:
    """A name, as it is kept."""
    return _shown(text, LONGEST_NAME)


def moment(seconds: float | None) -> float | None:
    """A time, or a length of time, as it is kept: milliseconds are enough, and infinity is no JSON."""
    return None if seconds is None or not math.isfinite(seconds) else round(seconds, 3)


def is_link(url: str) -> bool:
    """Whether it may become a link on a page: over HTTP, without a secret, of a sensible length."""
    if len(url) > LONGEST_URL or not url.isprintable() or any(c in url for c in " \"'<>\\`"):
        return False
    try:
        parts = urlsplit(url)
        is_plain = parts.username is None and parts.password is None
    except ValueError:
        return False
    return (
        parts.scheme in ("https", "http") and bool(parts.hostname) and is_plain and _shown(url, 9**9) == url
    )


def thinned(points: Sequence[T], most: int) -> Sequence[T]:
    """At most so many of the points: the last one, and of the others each second, fourth, … one."""
    step = 1
    while math.ceil(len(points) / step) > most:
        step *= 2
    return [*points[: len(points) - 1 : step], points[-1]][-most:] if step > 1 else points


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
            "says": _texts(node.says, MOST_SAID),
            "extensions": [
                {
                    "name": name(each.name),
                    "kind": each.kind,
                    "code": name(each.code),
                    "message": _text(each.message),
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


def _fitting(body: dict[str, Any]) -> dict[str, Any]:
    """The same, without what makes it too long: texts whose every character takes many bytes."""
    for member in ("nodes", "history", "repair", "reasons", "causes", "links", "fields", "extensions"):
        if len(json.dumps(body)) <= LARGEST:
            break
        body |= {
            member: None if member == "repair" else [],
            "capped": [*body["capped"], f"{member}: all of it"],
        }
    return body


def _not_ready(picture: Picture) -> int:
    own = picture.fields[0].cells if picture.fields else ""
    return len(own) - own.count(LETTERS["ready"])


def _note(capped: list[str], what: str, kept: int, count: int) -> None:
    if count > kept:
        capped.append(f"{what}: {kept:,} of {count:,}")


def _texts(texts: Iterable[str], most: int) -> list[str]:
    return [_text(text) for _, text in zip(range(most), texts, strict=False)]


def _text(text: str) -> str:
    return _shown(text, LONGEST_TEXT)


@lru_cache(maxsize=4096)
def _shown(text: str, limit: int) -> str:
    """Text from elsewhere as it is kept; the same ones come again and again."""
    return one_line(text, limit)
