"""Compares the pool that exists with the one that is asked for, as a person would.

A body that was sent is not the body that comes back: Azure fills in defaults, changes the casing of words and
ids, adds members of its own, writes durations anew and drops every secret. None of these is a difference.
Each that is comes with its path, both values, and what it takes to fix it.

Source of what can be updated: https://learn.microsoft.com/azure/batch/batch-pool-update-properties
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from airflow_batchext.loose_json.documents import at, rewritten
from airflow_batchext.loose_json.values import as_mapping, below
from airflow_batchext.pool_spec._members import (
    DEFAULTS,
    KEYS,
    MACHINE,
    NEVER_ADDED,
    OTHERS_MAY_SET,
    READ_ONLY,
    UNSHOWN,
    VERBATIM,
)
from airflow_batchext.pool_spec._sameness import ABSENT, is_nothing, is_signed, parsed, same, same_json
from airflow_batchext.secrets.names import is_secret_member, sounds_secret
from airflow_batchext.secrets.redact import HIDDEN, redact_text
from airflow_batchext.secrets.references import VALUE_OF_PAIR, is_secret_argument, name_of_pair

_SHOWN_CHARACTERS = 80
_SETTINGS = f"{MACHINE}.extensions[].settings"
_NOT_ASKED_FOR = READ_ONLY | OTHERS_MAY_SET
# Settings without a member are no settings, however they are written.
_NONE: tuple[Any, ...] = (None, "", {})
_ANYTIME = ("applicationPackages", "metadata", "scaleSettings", "startTask")
_WHILE_EMPTY = (
    *("displayName", "vmSize", "interNodeCommunication", "deploymentConfiguration", "taskSlotsPerNode"),
    *("taskSchedulingPolicy", "networkConfiguration", "userAccounts", "mountConfiguration", "upgradePolicy"),
)


class Remedy(str, Enum):
    """What it takes to fix a difference."""

    UPDATE = "update"
    UPDATE_WHILE_EMPTY = "update while the pool has no nodes"
    REPLACE = "replace the pool"
    UNKNOWN = "replace the pool, as it is not known whether Azure can update this"
    NONE = "cannot be compared, as Azure does not tell what it is"


@dataclass(frozen=True, slots=True)
class Difference:
    """One place in which the pool that exists is not the one that is asked for.

    :param path: where, as in a pool document; an item of a list is named by what tells it apart.
    :param existing: what is there, in words; never a secret.
    :param asked: what is asked for, in words; never a secret.
    :param remedy: what it takes to fix it.
    """

    path: str
    existing: str
    asked: str
    remedy: Remedy

    @property
    def counts(self) -> bool:
        """Whether it is a difference for sure; secrets cannot be compared."""
        return self.remedy is not Remedy.NONE

    def __str__(self) -> str:
        return f"{self.path}: is {self.existing}, asked for is {self.asked} ({self.remedy.value})"

    def to_json(self) -> dict[str, str]:
        """The difference as plain JSON."""
        return {**asdict(self), "remedy": self.remedy.value}


def find_differences(
    existing: Mapping[str, Any], asked: Mapping[str, Any], *, part: bool = False
) -> tuple[Difference, ...]:
    """Compare a pool as ``Pool_Get`` returns it with the body of a request that asks for one.

    :param existing: what the management plane returned.
    :param asked: what ``request_body`` made of a document.
    :param part: whether the body is of an update: what it does not mention is to stay as it is then.
    """
    return tuple(_compared(rewritten(asked), rewritten(existing), _Place(part=part)))


@dataclass(slots=True)  # never changed; to freeze it makes each of thousands three times as dear
class _Place:
    """Where in the two bodies we are: ``shown`` is for people, ``known`` for the tables."""

    shown: str = ""
    known: str = ""
    part: bool = False
    verbatim: bool = False
    exact: bool = False
    """In what is the user's own (settings) every member counts."""
    secret: bool = False
    """Below a secret member: Azure does not tell what is there."""
    hidden: bool = False
    """Below a name that sounds like a secret."""
    told: bool = False
    """In a pair of name and value whose name sounds like a secret."""
    unshown: bool = False

    def member(self, name: object) -> _Place:
        known = f"{self.known}.{name}" if self.known else str(name)
        # What an update gives replaces the whole member: there every part of it counts again.
        part = self.part and known in ("properties", "tags")
        is_value = name == "value" and self.known.endswith(".environmentSettings[]")
        return _Place(
            shown=at(self.shown, _shown_name(name) if isinstance(name, str) else name),
            known=known,
            part=part,
            verbatim=self.verbatim or name in VERBATIM,
            exact=self.exact or known == _SETTINGS,
            secret=self.secret or is_secret_member(name),
            hidden=self.hidden or sounds_secret(name) or (self.told and name in VALUE_OF_PAIR),
            unshown=self.unshown or name in UNSHOWN or is_value,
        )

    def item(self, key: object) -> _Place:
        shown = f"{self.shown}[{_one_line(redact_text(str(key)))}]"
        return replace(self, shown=shown, known=f"{self.known}[]", part=False, told=False)


@lru_cache(maxsize=1024)
def _shown_name(name: str) -> str:
    return redact_text(name)


def _compared(asked: Any, existing: Any, here: _Place) -> Iterator[Difference]:
    if here.secret and not here.exact:
        if not is_nothing(asked):
            yield Difference(here.shown, "a secret", "a secret", Remedy.NONE)
        return
    if here.known.endswith(".settings"):
        asked, existing = parsed(asked), parsed(existing)
    if here.known in ("identity", "properties.scaleSettings"):
        yield from (_identity if here.known == "identity" else _scale)(asked, existing, here)
    elif isinstance(asked, Mapping) and isinstance(existing, Mapping):
        yield from _members(asked, existing, here)
    elif isinstance(asked, list) and isinstance(existing, list):
        yield from _items(asked, existing, here)
    elif is_signed(asked) and isinstance(existing, str):
        if asked.partition("?")[0] == existing.partition("?")[0]:
            yield Difference(here.shown, "a signature", "a signature", Remedy.NONE)
        else:
            yield _difference(asked, existing, here)
    elif not (same_json(asked, existing) if here.exact else same(asked, existing, verbatim=here.verbatim)):
        yield _difference(asked, existing, here)


def _members(asked: Mapping[str, Any], existing: Mapping[str, Any], here: _Place) -> Iterator[Difference]:
    if any(sounds_secret(name_of_pair(pair)) for pair in (asked, existing)):
        here = replace(here, told=True)
    theirs = {str(name).casefold(): item for name, item in existing.items()}
    for name, item in asked.items():
        place = here.member(name)
        if place.known in READ_ONLY:
            continue
        found = theirs.get(str(name).casefold())
        if item is None and here.part:
            continue
        yield from _one_member(item, found, place)
    if here.part:
        return
    mentioned = {str(name).casefold() for name in asked}
    for name, item in existing.items():
        if str(name).casefold() in mentioned:
            continue
        place = here.member(name)
        if place.known not in _NOT_ASKED_FOR:
            yield from _one_member(None, item, place)


def _one_member(asked: Any, existing: Any, place: _Place) -> Iterator[Difference]:
    if place.known == _SETTINGS and parsed(asked) in _NONE and parsed(existing) in _NONE:
        return
    default = DEFAULTS.get(place.known)
    if default is None and asked in (None, "", []):
        # Nothing is asked for: what is there may be the service's own.
        if place.exact or place.known in NEVER_ADDED:
            if not is_nothing(existing):
                yield _difference(ABSENT, existing, place)
        elif isinstance(existing, Mapping):
            yield from _members({}, existing, place)
        return
    asked = default if asked is None else asked
    existing = default if existing is None else existing
    if existing is None and isinstance(asked, Mapping) and not place.exact:
        if asked and place.known in NEVER_ADDED and place.known != "identity":
            yield _difference(asked, ABSENT, place)
            return
        existing = {}
    if existing is None and not place.secret and not is_nothing(asked):
        yield _difference(asked, ABSENT, place)
        return
    yield from _compared(asked, existing, place)


def _items(asked: list[Any], existing: list[Any], here: _Place) -> Iterator[Difference]:
    if here.exact:
        if not same_json(asked, existing):
            yield _difference(asked, existing, here)
        return
    key = KEYS.get(here.known.rpartition(".")[2])
    if key and all(isinstance(item, Mapping) and key in item for item in (*asked, *existing)):
        yield from _keyed_items(asked, existing, key, here)
        return
    if any(is_secret_argument(row, index) for row in (asked, existing) for index in range(len(row))):
        here = replace(here, hidden=True)
    # Nothing tells these apart: those that are alike belong together, the rest is taken in its order.
    left = list(existing)
    unmatched = []
    for item in asked:
        twin = next((i for i, other in enumerate(left) if not _differs(item, other, here)), None)
        if twin is None:
            unmatched.append(item)
        else:
            yield from _compared(item, left.pop(twin), here.item(asked.index(item)))
    for index, item in enumerate(unmatched):
        place = here.item(asked.index(item))
        if index < len(left):
            yield from _compared(item, left[index], place)
        else:
            yield _difference(item, ABSENT, place)
    for item in left[len(unmatched) :]:
        yield _difference(ABSENT, item, here.item(existing.index(item)))


def _keyed_items(asked: list[Any], existing: list[Any], key: str, here: _Place) -> Iterator[Difference]:
    groups: dict[str, tuple[list[Any], list[Any]]] = defaultdict(lambda: ([], []))
    for side, items in enumerate((asked, existing)):
        for item in items:
            groups[str(item[key]).casefold()][side].append(item)
    for ours, theirs in groups.values():
        for item, other in zip_longest(ours, theirs, fillvalue=ABSENT):
            place = here.item((other if item is ABSENT else item)[key])
            if item is ABSENT or other is ABSENT:
                yield _difference(item, other, place)
            else:
                yield from _compared(item, other, place)


def _differs(asked: Any, existing: Any, here: _Place) -> bool:
    return any(difference.counts for difference in _compared(asked, existing, here.item(0)))


def _identity(asked: Any, existing: Any, here: _Place) -> Iterator[Difference]:
    ours, theirs = _identities(asked), _identities(existing)
    for name in sorted(ours.keys() | theirs.keys()):
        place = here.member("userAssignedIdentities").item(ours.get(name) or theirs[name])
        if name not in theirs:
            yield _difference("asked for", ABSENT, place)
        elif name not in ours:
            yield _difference(ABSENT, "there", place)


def _identities(identity: Any) -> dict[str, str]:
    known = as_mapping(below(identity, "userAssignedIdentities"))
    return {str(name).casefold(): str(name) for name in known}


def _scale(asked: Any, existing: Any, here: _Place) -> Iterator[Difference]:
    ours, theirs = _kind_of_scale(asked), _kind_of_scale(existing)
    if ours and theirs and ours != theirs:
        yield Difference(here.shown, theirs, ours, _remedy(here, asked))
    elif ours:
        mine, there = as_mapping(below(asked, ours)), as_mapping(below(existing, ours))
        yield from _members(mine, there, here.member(ours))


def _kind_of_scale(scale: Any) -> str:
    kinds = ("fixedScale", "autoScale")
    return next((kind for kind in kinds if isinstance(scale, Mapping) and scale.get(kind) is not None), "")


def _difference(asked: Any, existing: Any, here: _Place) -> Difference:
    return Difference(here.shown, _shown(existing, here), _shown(asked, here), _remedy(here, asked))


def _remedy(here: _Place, asked: Any) -> Remedy:
    top, _, rest = here.known.partition(".")
    member = re.split(r"[.\[]", rest, maxsplit=1)[0]
    if top == "properties" and member in _ANYTIME:
        # A PATCH leaves alone what it does not give, and nothing can be given for "no start task".
        gone = here.known == "properties.startTask" and asked is ABSENT
        return Remedy.REPLACE if gone else Remedy.UPDATE
    if here.known.startswith(f"{MACHINE}.extensions"):
        return Remedy.REPLACE
    if top == "properties" and member in _WHILE_EMPTY:
        return Remedy.UPDATE_WHILE_EMPTY
    return Remedy.REPLACE if top == "identity" else Remedy.UNKNOWN


def _shown(value: Any, here: _Place) -> str:
    if value is ABSENT:
        return "not set"
    if here.secret or (here.hidden and value is not None and not isinstance(value, (bool, Mapping, list))):
        return HIDDEN
    if here.unshown or isinstance(value, (Mapping, list)):
        return "set" if not here.unshown else "another text (not shown)"
    return _one_line(repr(redact_text(value)) if isinstance(value, str) else json.dumps(value, default=str))


def _one_line(text: str) -> str:
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[: _SHOWN_CHARACTERS - 1]}…"


def updates(
    asked: Mapping[str, Any], differences: Sequence[Difference], *, empty: bool = False
) -> tuple[dict[str, Any], tuple[Difference, ...]]:
    """What a PATCH has to say to fix the differences, and those that no PATCH fixes.

    :param asked: the body that was compared.
    :param empty: whether the pool has no nodes and wants none; more can be changed then.
    :return: the body of ``Pool_Update``, empty if there is nothing to say, and what is left.
    """
    able = {Remedy.UPDATE, Remedy.UPDATE_WHILE_EMPTY} if empty else {Remedy.UPDATE}
    properties = asked.get("properties") or {}
    patch: dict[str, Any] = {}
    left = []
    for difference in differences:
        member = re.split(r"[.\[]", difference.path.removeprefix("properties."), maxsplit=1)[0]
        given = properties.get(member)
        if given is None and member in ("metadata", "applicationPackages", "userAccounts"):
            given = []  # only a list can be emptied by what is given; other members not asked for stay
        if difference.remedy in able and given is not None:
            patch[member] = given
        elif difference.counts:
            left.append(difference)
    return ({"properties": patch} if patch else {}), tuple(left)
