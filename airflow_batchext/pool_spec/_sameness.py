"""When two values of a pool's body mean the same, though they are not equal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_batchext.loose_json.values import read_json
from airflow_batchext.pool_spec._durations import parse_duration

_SIGNED = re.compile(r"[?&]sig=", re.IGNORECASE)

#: Stands for a member that is not there.
ABSENT: Any = object()


def same(asked: Any, existing: Any, *, verbatim: bool) -> bool:
    """Whether two plain values mean the same to the service.

    :param verbatim: whether the casing of texts matters.
    """
    if is_nothing(asked) and is_nothing(existing):
        return True
    if isinstance(asked, (Mapping, list)) or isinstance(existing, (Mapping, list)):
        return False
    ours, theirs = _text(asked), _text(existing)
    if ours == theirs:
        return True
    if verbatim:
        return ours.strip() == theirs.strip()
    duration = parse_duration(ours)
    if duration is not None:
        return duration == parse_duration(theirs)
    return ours.strip().casefold() == theirs.strip().casefold()


def same_json(asked: Any, existing: Any) -> bool:
    """Whether two values of the user's own are the same; Azure may hand numbers and booleans back as text."""
    if isinstance(asked, Mapping) and isinstance(existing, Mapping):
        return asked.keys() == existing.keys() and all(same_json(asked[k], existing[k]) for k in asked)
    if isinstance(asked, list) and isinstance(existing, list):
        return len(asked) == len(existing) and all(map(same_json, asked, existing))
    scalars = not isinstance(asked, (Mapping, list)) and not isinstance(existing, (Mapping, list))
    if not scalars or (asked is None) != (existing is None):
        return False
    if isinstance(asked, str) and isinstance(existing, str):
        return asked == existing
    return _text(asked).casefold() == _text(existing).casefold()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def is_nothing(value: Any) -> bool:
    """Whether a value says as much as none at all."""
    return value is None or value is ABSENT or value is False or value in (0, "", [], {})


def is_signed(value: Any) -> bool:
    """Whether a text is a URL with a shared access signature."""
    return isinstance(value, str) and _SIGNED.search(value) is not None


def parsed(settings: Any) -> Any:
    """Settings as an object where they are the text of one."""
    found = read_json(settings)
    return found if isinstance(found, Mapping) else settings
