"""Carries out the edits of a fault on the JSON of an answer, without touching the original."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_batchext.emulator.faults import Edit

_MARKUP = (
    "<script>alert('x')</script> **bold** [link](javascript:0) {{ jinja }} %(percent)s & \"quotes\" \t<br/>\n"
)
_MISSING = object()


def edited(body: Any, edit: Edit) -> Any:
    """A body in which an edit was made wherever it applies."""
    changed = copy.deepcopy(body)
    found = {(id(way[-1]), key): (way, key) for way, key in _places((changed,), edit.at.split("/"))}
    # From the end, so that what is removed from a list does not move what comes after it.
    for way, key in reversed(found.values()):
        if _applies([*way, way[-1][key]], edit.where):
            _make(way[-1], key, edit)
    return changed


def markup(length: int) -> str:
    """A text of that length that is full of what a careless reader would interpret."""
    return (_MARKUP * (length // len(_MARKUP) + 1))[:length]


def _make(holder: Any, key: Any, edit: Edit) -> None:
    if edit.to == "nothing":
        del holder[key]
    elif edit.to == "value":
        holder[key] = copy.deepcopy(edit.value)
    elif edit.to == "markup":
        holder[key] = markup(edit.length)
    elif isinstance(holder[key], str):
        text: str = holder[key]
        holder[key] = {"upper": text.upper, "lower": text.lower, "swapped": text.swapcase}[edit.to]()


def _places(way: tuple[Any, ...], steps: list[str]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Find where the steps lead to: all that is around each place, outermost first, and its key."""
    here, first, rest = way[-1], steps[0], steps[1:]
    if first == "**" and rest:
        yield from _places(way, rest)
    for key in _keys(here):
        if first == "**":
            if not rest:
                yield way, key
            yield from _places((*way, here[key]), steps)
        elif first in ("*", str(key)):
            if rest:
                yield from _places((*way, here[key]), rest)
            else:
                yield way, key


def _keys(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else []


def _applies(around: list[Any], where: dict[str, Any]) -> bool:
    return all(any(_look_up(item, path) == wanted for item in around) for path, wanted in where.items())


def _look_up(value: Any, path: str) -> Any:
    for step in path.split("/"):
        if not isinstance(value, dict) or step not in value:
            return _MISSING
        value = value[step]
    return value
