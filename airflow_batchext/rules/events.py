"""What is news of a pool: what each look shows that those before it did not.

Pure: no I/O, no clock, no Airflow. A watcher looks at a pool for ever and is to tell each thing once, when it
happens, also when another triggerer goes on where one died. So it remembers what it has told (``Told``, plain
JSON), and ``news`` compares that with the next look.

=======  ===========================================================================================
ready    the pool is ready, as the gate understands it, and was not, or nothing was known of it
failed   on some nodes an extension failed, or the node itself did for longer than ``node_grace``
lost     some nodes that were ready are so no more; those that left the pool are not among them
=======  ===========================================================================================

What a look could not read changes nothing: neither is it news, nor does it make old news new again. A pool
that is gone is forgotten; one with another ``creationTime`` is another pool.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.rules.gate import NodeReport, Outcome, Verdict

#: What an event carries at most: nodes, extensions and reasons, and characters of a reason.
MOST_NODES = 20
MOST_EXTENSIONS = 20
MOST_REASONS = 5
_REASON_CHARACTERS = 300
_NAME_CHARACTERS = 80
_MARK_CHARACTERS = 8
_MARK_BYTES = 6


class EventKind(str, Enum):
    """What an event is about; the ``event`` of its payload."""

    READY = "ready"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Told:
    """What was known of a pool at the last look that could be read.

    :param created: the pool's ``creationTime``; "" for a pool that is not there.
    :param ready: whether it was ready.
    :param up: marks of the nodes that were ready (``mark``).
    :param failed: marks of those that had failed.
    """

    created: str = ""
    ready: bool = False
    up: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, Any]:
        """It as plain JSON: about eight characters for each node."""
        up, failed = ("".join(sorted(marks)) for marks in (self.up, self.failed))
        return {"created": self.created, "ready": self.ready, "up": up, "failed": failed}

    @classmethod
    def from_json(cls, kept: object) -> Told | None:
        """What ``to_json`` wrote; None for anything else, such as nothing at all."""
        if not isinstance(kept, Mapping):
            return None
        texts = [kept.get(name) for name in ("created", "up", "failed")]
        if not all(isinstance(text, str) for text in texts) or not isinstance(kept.get("ready"), bool):
            return None
        created, up, failed = (str(text) for text in texts)
        return cls(created, bool(kept["ready"]), _marks(up), _marks(failed))


@dataclass(frozen=True, slots=True)
class PoolEvent:
    """Something to tell, and of which nodes: ids with the reasons, in words."""

    kind: EventKind
    nodes: Mapping[str, Sequence[str]]

    def payload(self, verdict: Verdict, at: str) -> dict[str, Any]:
        """What the event carries: plain JSON of bounded size, each text in one line.

        :param verdict: the look that showed it.
        :param at: when that was.
        """
        reasons = [reason for found in self.nodes.values() for reason in found]
        return {
            **summary(self.kind, verdict.report(), at),
            "nodes_ready": verdict.ready,
            "nodes_wanted": verdict.needed,
            "nodes": [_name(node_id) for node_id in list(self.nodes)[:MOST_NODES]],
            "nodes_concerned": len(self.nodes),
            "reasons": [one_line(reason, _REASON_CHARACTERS) for reason in reasons[:MOST_REASONS]],
        }


def summary(kind: EventKind, report: Mapping[str, Any], at: str) -> dict[str, Any]:
    """What every event says of its pool.

    :param report: as ``Verdict.report`` makes it.
    :param at: when it was seen.
    """
    return {
        "event": kind.value,
        "pool_id": _name(report["pool_id"]),
        "pool_created": _name(report["pool_created"]),
        "at": at,
        "extensions": [_name(name) for name in report["extensions"][:MOST_EXTENSIONS]],
    }


def mark(node_id: str) -> str:
    """What stands for a node in the memory: ids are long, and pools may have thousands."""
    digest = hashlib.blake2s(node_id.encode(), digest_size=_MARK_BYTES).digest()
    return base64.urlsafe_b64encode(digest).decode()


def news(told: Told | None, verdict: Verdict) -> tuple[Told | None, list[PoolEvent]]:
    """What is to be remembered after a look, and what is to be told.

    :param told: what was to be remembered before it; None if nothing is known of the pool.
    :param verdict: the look; with rules that wait (``on_failure="wait"``), so that it names every node.
    """
    if verdict.unread or verdict.moved:
        return told, []
    if verdict.outcome is Outcome.FAIL:
        # With such rules that is a pool that is gone or going, or a read that was refused.
        return (told, []) if verdict.nodes else (Told(), [])
    created = verdict.pool.created if verdict.pool else ""
    before = told if told and told.created == created else Told(created)
    marks = {node_id: mark(node_id) for node_id in verdict.nodes}
    known = {node_id: report for node_id, report in verdict.nodes.items() if not report.unread}
    unread = {marks[node_id] for node_id in verdict.nodes if node_id not in known}
    lost = [i for i, report in known.items() if not report.ready and marks[i] in before.up]
    failed = [i for i, report in known.items() if report.failed and marks[i] not in before.failed]
    # Every node that was not read gives one reason to wait, and no more.
    shows = verdict.outcome is Outcome.OPEN or len(verdict.reasons) > len(unread)
    ready = verdict.outcome is Outcome.OPEN if shows else before.ready
    events = []
    if ready and not before.ready:
        events.append(PoolEvent(EventKind.READY, {}))
    if failed:
        events.append(PoolEvent(EventKind.FAILED, {i: known[i].failed for i in failed}))
    if lost:
        events.append(PoolEvent(EventKind.LOST, {i: _why(known[i]) for i in lost}))
    up = {marks[i] for i, report in known.items() if report.ready} | (before.up & unread)
    down = {marks[i] for i, report in known.items() if report.failed} | (before.failed & unread)
    return Told(created, ready, frozenset(up), frozenset(down)), events


def _why(report: NodeReport) -> Sequence[str]:
    return (*report.failed, *report.missing)


def _marks(text: str) -> frozenset[str]:
    starts: Iterable[int] = range(0, len(text), _MARK_CHARACTERS)
    return frozenset(text[start : start + _MARK_CHARACTERS] for start in starts)


def _name(text: object) -> str:
    return one_line(str(text), _NAME_CHARACTERS)
