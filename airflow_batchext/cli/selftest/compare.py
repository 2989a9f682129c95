"""What differs between what Azure said and what the emulator said in the same situations. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_batchext.cli.selftest.walk import Answered, Send, error_code
from airflow_batchext.loose_json.documents import kind_of

Exchanges = Sequence[tuple[Send, Answered]]
#: Of the connection and of the moment, not of the service.
_PASSING_HEADERS = frozenset(
    {"connection", "keep-alive", "date", "content-length", "transfer-encoding", "retry-after", "age"}
)
_WORD = re.compile(r"[A-Za-z]{2,60}")
#: Times that differ by less than this, or less than by half, are the same.
SAME_SECONDS, SAME_SHARE = 5.0, 0.5
_MOST_PATHS = 5000


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which Azure and the emulator differ.

    :param kind: ``status``, ``code``, ``header``, ``member``, ``type``, ``casing`` or ``timing``.
    :param what: which header, member or time.
    :param steps: in which situations it was seen.
    """

    kind: str
    what: str
    azure: str
    emulator: str
    steps: tuple[str, ...] = ()


@dataclass(slots=True)
class _Said:
    """All that one service said in one situation."""

    statuses: set[str]
    codes: set[str]
    headers: list[set[str]]
    members: list[dict[str, set[str]]]
    words: dict[str, set[str]]


def compare(azure: Exchanges, emulator: Exchanges) -> list[Difference]:
    """The differences, each once, with all situations in which it was seen."""
    one, other = _by_situation(azure), _by_situation(emulator)
    found: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for situation in one:
        if situation not in other:
            refused = {status for status in one[situation].statuses if not status.startswith("2")}
            if refused:
                found["status", "status", _listed(refused), "not seen"].append(situation)
            continue
        for kind, what, left, right in _compared(one[situation], other[situation]):
            found[kind, what, left, right].append(situation)
    return [Difference(*key, tuple(steps)) for key, steps in found.items()]


def only_one_saw(azure: Exchanges, emulator: Exchanges) -> tuple[list[str], list[str]]:
    """Situations that came about on one side alone, so that nothing could be compared."""
    one, other = ({_situation(ask) for ask, _ in exchanges} for exchanges in (azure, emulator))
    return sorted(one - other), sorted(other - one)


def compare_times(azure: Mapping[str, float], emulator: Mapping[str, float]) -> list[Difference]:
    """The times that differ by more than chance may do."""
    return [
        Difference("timing", name, f"{azure[name]:.1f} s", f"{emulator[name]:.1f} s")
        for name in azure
        if name in emulator
        and abs(azure[name] - emulator[name])
        > max(SAME_SECONDS, SAME_SHARE * max(azure[name], emulator[name]))
    ]


def _situation(ask: Send) -> str:
    return f"{ask.step} ({ask.method}, {ask.plane} plane)"


def _by_situation(exchanges: Exchanges) -> dict[str, _Said]:
    said: dict[str, _Said] = {}
    for ask, answered in exchanges:
        here = said.setdefault(_situation(ask), _Said(set(), set(), [], [], defaultdict(set)))
        here.statuses.add(str(answered.status or "no answer"))
        if not answered.is_good:
            here.codes.add(error_code(answered.body) or "none")
        here.headers.append({name.lower() for name in answered.headers} - _PASSING_HEADERS)
        members: dict[str, set[str]] = defaultdict(set)
        for path, value in _leaves(answered.body, "body"):
            members[path].add(kind_of(value))
            if isinstance(value, str) and _WORD.fullmatch(value):
                here.words[path].add(value)
        here.members.append(members)
    return said


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every place of a JSON value, the items of a list in one; bounded."""
    left, count = [(path, value)], 0
    while left and count < _MOST_PATHS:
        path, value = left.pop()
        count += 1
        yield path, value
        if isinstance(value, dict):
            left += [(f"{path}.{name}", item) for name, item in value.items()]
        elif isinstance(value, list):
            left += [(f"{path}[]", item) for item in value]


def _compared(one: _Said, other: _Said) -> Iterator[tuple[str, str, str, str]]:
    if one.statuses != other.statuses:
        yield "status", "status", _listed(one.statuses), _listed(other.statuses)
    if one.codes and other.codes and one.codes != other.codes:
        yield "code", "code", _listed(one.codes), _listed(other.codes)
    if one.statuses & other.statuses:
        yield from _sided(one.headers, other.headers, "header")
        yield from _sided(one.members, other.members, "member")
    for path in set().union(*one.members) & set().union(*other.members):
        left, right = _kinds(one.members, path), _kinds(other.members, path)
        if not left & right:
            yield "type", path, _listed(left), _listed(right)
    for path, words in one.words.items():
        known = {word.lower(): word for word in other.words.get(path, ())}
        for word in words - set(known.values()):
            if word.lower() in known:
                yield "casing", path, word, known[word.lower()]


def _sided(one: Sequence[Any], other: Sequence[Any], kind: str) -> Iterator[tuple[str, str, str, str]]:
    """What one always has and the other never; of what is missing with its parent, the parent alone."""
    for left, right, said in ((one, other, ("yes", "no")), (other, one, ("no", "yes"))):
        lacking = set(left[0]).intersection(*left[1:]) - set().union(*right)
        for name in sorted(lacking):
            if not any(name.startswith((f"{parent}.", f"{parent}[")) for parent in lacking):
                yield kind, name, *said


def _kinds(members: Sequence[Mapping[str, set[str]]], path: str) -> set[str]:
    return set().union(*(each.get(path, set()) for each in members))


def _listed(words: set[str]) -> str:
    return ", ".join(sorted(words))
