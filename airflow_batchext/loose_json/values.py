"""Values out of loose JSON, as a service sent it: what is not of its kind reads as if it were not there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_batchext.loose_json.documents import is_list

#: Of what names something: the id of a subnet has some three hundred characters.
LONGEST_NAME = 512


def as_mapping(value: object) -> Mapping[str, Any]:
    """An object; any other value is an empty one."""
    return value if isinstance(value, Mapping) else {}


def below(value: object, *members: str) -> Any:
    """What lies that deep in objects; None where one of them is not there, or no object."""
    for member in members:
        value = as_mapping(value).get(member)
    return value


def as_sequence(value: object) -> Sequence[Any]:
    """A list; any other value, a text too, is an empty one."""
    return value if is_list(value) else ()


def as_text(value: object) -> str:
    """A text; any other value is an empty one."""
    return value if isinstance(value, str) else ""


def as_name(value: object) -> str:
    """A text that names something (an id, a state, a time), fit for being shown; "" for any other value.

    What somebody else made of it has no end, or what a terminal obeys: it is cut, and made visible.
    """
    text = as_text(value)
    if len(text) <= LONGEST_NAME and text.isprintable():
        return text
    return visible(text[:LONGEST_NAME]) + ("…" if len(text) > LONGEST_NAME else "")


def visible(text: str) -> str:
    """A text in one line, with line ends, control characters, right-to-left marks and the like as escapes."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else " " if c == "\t" else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def as_word(value: object) -> str:
    """A text of an enumeration, in lower case: the planes of Azure differ in that."""
    return as_name(value).lower()


def as_number(value: object) -> int | None:
    """A whole number; None for any other value, a boolean too."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def total(*values: object) -> int | None:
    """The sum of those values that are whole numbers; None if none is."""
    numbers = [found for found in map(as_number, values) if found is not None]
    return sum(numbers) if numbers else None


def read_json(text: object, otherwise: Any = None) -> Any:
    """What a text in JSON says; ``otherwise`` where it is no text, no JSON, or nests without a bottom."""
    try:
        return json.loads(text) if isinstance(text, str) else otherwise
    except (ValueError, RecursionError):
        return otherwise


def whole_number(value: object) -> int | None:
    """The whole number that a value is, or spells as people do in documents; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value):
        return int(value)
    return as_number(value)
