"""JSON-like data as it is walked everywhere: what is an object, what a list, and where a value stands.

An object is any mapping, a list any sequence but a text (a tuple is one), a model of an SDK is its body. What
holds itself, or stands in many places (YAML's anchors make both), is gone into once; nothing here recurses,
so no depth is too deep. It stands by itself as operators need it when a DAG is parsed, which is hot.
Pure: data in, data out.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from airflow_batchext.loose_json.sdk_models import plain

_PLAIN = frozenset({dict, list, tuple, str, int, float, bool, bytes, type(None)})
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]{0,63}")
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, "a string"),
    (bool, "a boolean"),  # before the numbers: a bool is an int too
    ((int, float), "a number"),
    ((dict, Mapping), "an object"),  # an abstract class takes long to answer
    (type(None), "null"),
)


def is_list(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether a value is what JSON calls an array: a list, a tuple or another sequence, but no text."""
    if type(value) in _PLAIN:
        return type(value) in (list, tuple)
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview))


def is_container(value: object) -> TypeGuard[Mapping[Any, Any] | Sequence[Any]]:
    """Whether a value is an object or a list."""
    if type(value) in _PLAIN:
        return type(value) in (dict, list, tuple)
    return is_list(value) or is_object(value)


def is_object(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether a value is what JSON calls an object."""
    return type(value) is dict or isinstance(value, Mapping)


class Place:
    """Where a value stands in a document; its path is put together only when somebody asks for it."""

    __slots__ = ("_base", "_holder", "step", "within")

    def __init__(
        self, base: str = "", holder: Place | None = None, step: object = None, within: object = None
    ) -> None:
        self._base, self._holder = base, holder
        #: The member or the index under which the value stands; None of the document itself.
        self.step = step
        #: The object or the list that the value stands in.
        self.within = within

    @property
    def path(self) -> str:
        """The place as it is written in messages, such as ``properties.metadata[0].value``."""
        steps: list[object] = []
        place: Place = self
        while place._holder is not None:
            steps.append(place.step)
            place = place._holder
        path = place._base
        for step in reversed(steps):
            path = at(path, step)
        return path


def walk(
    document: object, *, path: str = "", into: Callable[[Any], bool] | None = None
) -> Iterator[tuple[Place, Any]]:
    """Every value of a document with its place, those near the top first.

    :param path: where the document stands.
    :param into: whether to go into an object or a list; into every one by default.
    """
    seen: dict[int, object] = {}
    waiting: deque[tuple[Place, object]] = deque([(Place(path), document)])
    while waiting:
        place, value = waiting.popleft()
        value = value if type(value) in _PLAIN else plain(value)
        yield place, value
        if not is_container(value) or id(value) in seen or not (into is None or into(value)):
            continue
        seen[id(value)] = value  # kept, so that its id stays its own
        waiting += [(Place("", place, step, value), item) for step, item in _items(value)]


def rewritten(
    document: object,
    change: Callable[[Any, Place], Any] | None = None,
    *,
    path: str = "",
    name: Callable[[Any], Any] = lambda name: name,
) -> Any:
    """A copy of a document, in dicts and lists, with some of its values changed.

    :param change: gives what stands in the place of a value; an object or a list that it returns as it got it
        is gone into, anything else is taken as it is. Without it the whole is copied.
    :param path: where the document stands.
    :param name: gives what a member is called in the copy.
    """
    root: list[Any] = [None]
    done: dict[int, tuple[object, Any]] = {}
    waiting: list[tuple[Any, Any, Place, object]] = [(root, 0, Place(path), document)]
    while waiting:
        into, key, place, value = waiting.pop()
        value = value if type(value) in _PLAIN else plain(value)
        new = value if change is None else change(value, place)
        if new is value and is_container(value):
            if id(value) in done:
                new = done[id(value)][1]
            else:
                named = isinstance(value, Mapping)
                items = [(name(step) if named else step, step, item) for step, item in _items(value)]
                new = dict.fromkeys(key for key, _, _ in items) if named else [None] * len(items)
                done[id(value)] = (value, new)  # the value is kept, so that its id stays its own
                waiting += [
                    (new, key, Place("", place, step, value), item) for key, step, item in reversed(items)
                ]
        into[key] = new
    return root[0]


def _items(value: Mapping[Any, Any] | Sequence[Any]) -> list[tuple[Any, Any]]:
    if is_object(value):
        return list(value.items())
    return list(enumerate(value))


def at(path: str, step: object) -> str:
    """The path of a member or of an entry of a list."""
    if isinstance(step, int) and not isinstance(step, bool):
        return f"{path}[{step}]"
    if isinstance(step, str) and _NAME.fullmatch(step):
        return f"{path}.{step}" if path else step
    return f"{path}[{quote(step)}]"


def quote(value: object) -> str:
    """A name as it is shown in a message: on one line, and not endless."""
    if not isinstance(value, str):
        return kind_of(value)
    return repr(value if len(value) <= 64 else f"{value[:63]}…")


def kind_of(value: object) -> str:
    """What a value is, without showing it."""
    if is_list(value):
        return "a list"
    names = (name for kinds, name in _KINDS if isinstance(value, kinds))
    return next(names, f"a {type(value).__name__}")
