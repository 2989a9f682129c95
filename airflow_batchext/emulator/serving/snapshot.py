"""Writes the objects of the emulator as JSON and makes them again: what it takes to go on after a restart.

Objects of the kinds that it is told of are written under the word for their kind, with all that they hold,
each once however often it is referred to, so that nodes that share a history share it afterwards too. What
belongs to the running process (its clock, its lock) is left outside and only referred to. Secrets of pool
documents cannot get in, as nothing keeps them. Nothing that is read names a class or a module.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from pydantic import BaseModel

_MICROSECOND = timedelta(microseconds=1)
_LISTS: dict[str, Callable[[Iterable[Any]], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": deque,
}


def write(root: object, outside: Mapping[str, object], kinds: Mapping[str, type]) -> list[Any]:
    """Everything that hangs on an object, which comes first.

    :param outside: what is not followed, only referred to, under these words.
    :param kinds: the classes whose objects may be kept, under these words.
    :raises TypeError: if there is an object of another class.
    """
    writer = _Writer(outside, kinds)
    writer.value(root)
    return writer.entries


def read(entries: list[Any], root: object, outside: Mapping[str, object], kinds: Mapping[str, type]) -> None:
    """Give an object back all that hung on it; ``outside`` and ``kinds`` are those of ``write``.

    :raises ValueError: if this was not written by ``write``.
    """
    try:
        _Reader(entries, root, outside, kinds).fill()
    except (AttributeError, IndexError, KeyError, TypeError) as problem:
        raise ValueError(f"{type(problem).__name__}: {problem}") from None


class _Writer:
    def __init__(self, outside: Mapping[str, object], kinds: Mapping[str, type]) -> None:
        self.entries: list[Any] = []
        self._words = {cls: word for word, cls in kinds.items()}
        self._outside = {id(item): name for name, item in outside.items()}
        self._known: dict[int, int] = {}
        self._kept: list[object] = []

    def value(self, value: Any) -> Any:
        if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, Enum)):
            return value
        if id(value) in self._outside:
            return {"outside": self._outside[id(value)]}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, datetime):
            return {"time": value.isoformat()}
        if isinstance(value, timedelta):
            return {"microseconds": value // _MICROSECOND}
        if isinstance(value, Enum):
            return {"kind": self._word(value), "value": value.value}
        if isinstance(value, dict):
            kind = "counter" if isinstance(value, Counter) else "map"
            return {kind: [[self.value(key), self.value(item)] for key, item in value.items()]}
        return {"object": self._number(value)}

    def _number(self, value: Any) -> int:
        number = self._known.get(id(value))
        if number is None:
            number = self._known[id(value)] = len(self.entries)
            self._kept.append(value)  # else another object could get the same id
            self.entries.append(None)
            self.entries[number] = self._entry(value)
        return number

    def _entry(self, value: Any) -> Any:
        for kind, cls in _LISTS.items():
            if type(value) is cls:
                return {kind: [self.value(item) for item in value]}
        if isinstance(value, BaseModel):
            return {"kind": self._word(value), "data": value.model_dump(mode="json")}
        word = self._word(value)
        if dataclasses.is_dataclass(value):
            held = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        else:
            held = vars(value)
        return {"kind": word, "holds": {key: self.value(item) for key, item in held.items()}}

    def _word(self, value: object) -> str:
        cls = type(value)
        if cls not in self._words:
            raise TypeError(f"a {cls.__module__}.{cls.__qualname__} cannot be kept in a file")
        return self._words[cls]


class _Reader:
    def __init__(
        self,
        entries: list[Any],
        root: object,
        outside: Mapping[str, object],
        kinds: Mapping[str, type[Any]],
    ) -> None:
        self._entries = entries
        self._kinds = kinds
        self._outside = outside
        self._made: dict[int, Any] = {0: root}
        for number, entry in enumerate(entries[1:], 1):
            if "holds" in entry:
                self._made[number] = object.__new__(kinds[entry["kind"]])

    def fill(self) -> None:
        for number, entry in enumerate(self._entries):
            for name, item in entry.get("holds", {}).items():
                object.__setattr__(self._made[number], name, self._value(item))

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "object" in value:
            return self._object(value["object"])
        if "time" in value:
            return datetime.fromisoformat(value["time"])
        if "microseconds" in value:
            return value["microseconds"] * _MICROSECOND
        if "kind" in value:
            return self._kinds[value["kind"]](value["value"])
        if "outside" in value:
            return self._outside[value["outside"]]
        pairs = value["map"] if "map" in value else value["counter"]
        read = {self._value(key): self._value(item) for key, item in pairs}
        return read if "map" in value else Counter(read)

    def _object(self, number: int) -> Any:
        if number not in self._made:
            entry = self._entries[number]
            if "data" in entry:
                self._made[number] = self._kinds[entry["kind"]].model_validate(entry["data"])
            else:
                ((kind, items),) = entry.items()
                self._made[number] = _LISTS[kind](self._value(item) for item in items)
        return self._made[number]
