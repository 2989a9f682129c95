"""References to secrets in a pool document: what is one, and what is a secret itself.

They are looked up elsewhere, at the last moment: see ``airflow_batchext.secret_references``. It stands by
itself as operators need it when a DAG is parsed, which is hot. Pure: data in, data out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

REFERENCE_MEMBER: Final = "$secret"
"""The one member of a reference."""


def is_reference(value: object) -> bool:
    """Say whether a value is a reference, not a secret."""
    return isinstance(value, Mapping) and set(value) == {REFERENCE_MEMBER}


def only_references(value: object) -> bool:
    """Say whether all that a value holds are references, so that it may be shown."""
    if is_reference(value):
        return True
    if isinstance(value, Mapping):
        return bool(value) and all(only_references(item) for item in value.values())
    return isinstance(value, list) and bool(value) and all(only_references(item) for item in value)


def with_stand_ins(document: Any) -> Any:
    """Return a copy of a document with a text in place of each reference, as there will be in its place.

    What stands in many places, or within itself (YAML's anchors make both), is copied once.
    """
    return _stand_ins(document, {})


def _stand_ins(document: Any, done: dict[int, Any]) -> Any:
    if id(document) in done:
        return done[id(document)]
    if is_reference(document):
        return "***"
    if isinstance(document, Mapping):
        copied: dict[Any, Any] = {}
        done[id(document)] = copied
        copied |= {key: _stand_ins(item, done) for key, item in document.items()}
        return copied
    if isinstance(document, list):
        items: list[Any] = []
        done[id(document)] = items
        items += [_stand_ins(item, done) for item in document]
        return items
    return document


def literal_leaves(value: object) -> Iterator[str]:
    """Every text and number of a value that is there itself: no template, no reference."""
    if is_reference(value):
        return
    if isinstance(value, Mapping):
        for item in value.values():
            yield from literal_leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from literal_leaves(item)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
        text = str(value)
        if "{{" not in text and "{%" not in text:
            yield text
