"""The memory of a repair: a metadata item of the pool itself.

There it outlives workers, triggerers and clears, is seen by whoever looks at the pool, and is written only
if the pool is still the one that was read (its ETag), so that of two repairs one has to wait. It is written
before anything is done, and so says after any death what may have been done.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch.data_plane import OWN_ITEMS, REPAIR_ITEM, one_line
from airflow_batchext.loose_json.values import as_sequence, below

if TYPE_CHECKING:
    from airflow_batchext.batch.node_counts import Nodes

#: The name of the metadata item.
ITEM = REPAIR_ITEM
_VERSION = 1
_KEY_DIGITS, _OWNER_DIGITS = 10, 12
_NAME_CHARACTERS = 60
#: What is believed of a journal: somebody else may have written it.
_LONGEST_LEASE_SECONDS = 86_400
_MOST_NOTES, _NOTE_CHARACTERS, _MOST_RECORDS = 20, 300, 1_000
_LATEST, _MOST_NODES, _MOST_ROUNDS = 10**15, 10**6, 10**6
_KEY = re.compile(r"[0-9a-f]{10}")

#: What came of a thing that was done. ``open``: under way; ``gone``: the node has left, another is to come;
#: ``unknown``: none came; ``vanished``: somebody else took the node away.
STATES = ("open", "gone", "helped", "failed", "refused", "unknown", "vanished")
UNDER_WAY = ("open", "gone")
IN_VAIN = ("failed", "refused")
_STEPS = ("reboot", "reimage", "replace")


class JournalError(ValueError):
    """The item is there but cannot be understood."""


@dataclass(slots=True)
class Record:
    """One thing that was done, or is to be done, to one node.

    :param key: stands for the node's id.
    :param failure: what it was done for.
    :param at: when it was written down, in seconds since the epoch.
    :param asked: when Azure was asked last.
    :param booted: when the node's machine had booted last by then.
    :param owner: stands for whoever did it.
    """

    key: str
    step: str
    failure: str
    at: int
    asked: int
    booted: int
    is_dedicated: bool = True
    state: str = "open"
    owner: str = ""


@dataclass(slots=True)
class Journal:
    """All that is remembered.

    :param by: who repairs the pool; "" if nobody does now.
    :param by_name: the same for people.
    :param until: until when nobody else may, in seconds since the epoch.
    :param targets: how many nodes the pool had to have, while it has fewer because some are replaced.
    :param lowered: what the targets may be meanwhile.
    :param rounds: how often a repair began.
    :param is_over: whether nothing was left to repair when it was looked last.
    :param notes: what has to be told in the end.
    """

    by: str = ""
    by_name: str = ""
    until: int = 0
    targets: Nodes | None = None
    lowered: tuple[Nodes, ...] = ()
    records: list[Record] = field(default_factory=list)
    rounds: int = 0
    is_over: bool = True
    notes: list[str] = field(default_factory=list)

    @property
    def is_pending(self) -> bool:
        """Whether something was begun that has to be seen through."""
        return self.targets is not None or any(record.state in UNDER_WAY for record in self.records)

    @property
    def is_being_used(self) -> bool:
        """Whether somebody is at work: there may be nothing to see through, but something to wait for."""
        return self.is_pending or bool(self.by)

    def is_others(self, owner: str, now: float) -> bool:
        """Whether somebody else repairs the pool."""
        return bool(self.by) and self.by != owner and now < self.until <= now + _LONGEST_LEASE_SECONDS

    def note(self, text: str) -> None:
        """Note what has to be told in the end, once."""
        if text not in self.notes:
            self.notes.append(text)

    def forget(self, before: float) -> None:
        """Forget what is older, but not what is under way."""
        self.records = [r for r in self.records if r.state in UNDER_WAY or r.asked >= before]
        if not self.records:
            self.rounds, self.is_over = 0, True

    def count(self, states: Iterable[str], **members: str) -> int:
        """How many records have one of these states and these members."""
        wanted = set(states)
        return sum(
            record.state in wanted and all(getattr(record, name) == value for name, value in members.items())
            for record in self.records
        )

    def write(self) -> str:
        """The item's value."""
        failures = list(dict.fromkeys(record.failure for record in self.records))
        owners = list(dict.fromkeys(record.owner for record in self.records))
        body: dict[str, Any] = {"v": _VERSION}
        if self.by:
            body |= {"by": self.by, "for": self.by_name[:_NAME_CHARACTERS], "until": self.until}
        if self.targets is not None:
            body |= {"targets": list(self.targets), "lowered": [list(item) for item in self.lowered]}
        if self.rounds:
            body |= {"rounds": self.rounds, "over": int(self.is_over)}
        if self.notes:
            body["notes"] = self.notes
        if self.records:
            records = [_written(record, failures, owners) for record in self.records]
            body |= {"failures": failures, "owners": owners, "records": records}
        return json.dumps(body, separators=(",", ":"))


def node_key(node_id: str) -> str:
    """What stands for a node in the journal: ids are long, and there may be many."""
    return sha256(node_id.encode()).hexdigest()[:_KEY_DIGITS]


def owner_key(name: str) -> str:
    """What stands for whoever repairs."""
    return sha256(name.encode()).hexdigest()[:_OWNER_DIGITS]


def read_journal(metadata: Sequence[tuple[str, str]]) -> Journal | None:
    """The journal in a pool's metadata, or None.

    :raises JournalError: if there is one that cannot be understood.
    """
    value = next((value for name, value in metadata if name == ITEM), None)
    if value is None:
        return None
    try:
        return _read(json.loads(value))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError):
        raise JournalError(
            f'the pool\'s metadata item "{ITEM}" cannot be understood: remove it if no repair is under way'
        ) from None


def with_journal(metadata: Sequence[tuple[str, str]], journal: Journal | None) -> tuple[tuple[str, str], ...]:
    """The pool's metadata with this journal, or without any."""
    others = tuple(item for item in metadata if item[0] != ITEM)
    return others if journal is None else (*others, (ITEM, journal.write()))


def keeping_journal(asked: dict[str, Any], existing: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked of a pool that exists, with its journal and the mark of its run: they are no document's.

    :param asked: the body of ``Pool_Create`` or ``Pool_Update`` (management plane).
    :param existing: the pool as ``Pool_Get`` returns it.
    """
    found = as_sequence(below(existing, "properties", "metadata"))
    own = [dict(item) for item in found if below(item, "name") in OWN_ITEMS]
    properties = asked.get("properties")
    if not own or not isinstance(properties, dict):
        return asked
    given = [item for item in as_sequence(properties.get("metadata")) if below(item, "name") not in OWN_ITEMS]
    return {**asked, "properties": {**properties, "metadata": [*given, *own]}}


def _written(record: Record, failures: list[str], owners: list[str]) -> list[Any]:
    return [
        record.key,
        _STEPS.index(record.step),
        failures.index(record.failure),
        record.at,
        record.asked - record.at,
        record.booted,
        int(record.is_dedicated),
        owners.index(record.owner),
        STATES.index(record.state),
    ]


def _read(body: dict[str, Any]) -> Journal:
    if body["v"] != _VERSION:
        raise JournalError
    targets = body.get("targets")
    failures = [one_line(_text(told), _NOTE_CHARACTERS) for told in body.get("failures", ())[:_MOST_RECORDS]]
    owners = [_text(owner)[:_OWNER_DIGITS] for owner in body.get("owners", ())[:_MOST_RECORDS]]
    return Journal(
        by=_text(body.get("by", ""))[:_NAME_CHARACTERS],
        by_name=one_line(_text(body.get("for", "")), _NAME_CHARACTERS),
        until=_whole(body.get("until", 0), _LATEST),
        targets=None if targets is None else _targets(targets),
        lowered=tuple(_targets(item) for item in body.get("lowered", ())[:_MOST_RECORDS]),
        records=[_read_record(item, failures, owners) for item in body.get("records", ())[:_MOST_RECORDS]],
        rounds=_whole(body.get("rounds", 0), _MOST_ROUNDS),
        is_over=bool(body.get("over", True)),
        notes=[one_line(_text(note), _NOTE_CHARACTERS) for note in body.get("notes", ())[:_MOST_NOTES]],
    )


def _read_record(item: list[Any], failures: list[str], owners: list[str]) -> Record:
    key, step, failure, at, asked, booted, is_dedicated, owner, state = item
    if not _KEY.fullmatch(key):
        raise JournalError
    at = _whole(at, _LATEST)
    return Record(
        key=key,
        step=_STEPS[_whole(step, len(_STEPS))],
        failure=failures[_whole(failure, _MOST_RECORDS)],
        at=at,
        asked=_whole(at + int(asked), _LATEST),
        booted=_whole(booted, _LATEST),
        is_dedicated=bool(is_dedicated),
        state=STATES[_whole(state, len(STATES))],
        owner=owners[_whole(owner, _MOST_RECORDS)],
    )


def _targets(item: Any) -> Nodes:
    dedicated, low_priority = item
    return _whole(dedicated, _MOST_NODES), _whole(low_priority, _MOST_NODES)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise JournalError
    return value


def _whole(value: Any, most: int) -> int:
    number = int(value)
    if not 0 <= number <= most:
        raise JournalError
    return number
