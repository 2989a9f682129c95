"""The words in which the members of a pool document are described.

One tree serves both planes: it says which members exist (an unknown one is refused, as the service does), of
what type they are, how each plane spells them, and which are secrets (accepted, and never kept). What is
behind ``ANY`` belongs to the user and is passed on untouched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Leaf:
    """A plain value."""

    kind: Literal["text", "integer", "boolean", "duration", "span", "any", "secret", "read-only"]
    """A ``span`` is a duration that is kept as text, for it may be longer than Python's are exact."""


@dataclass(frozen=True)
class Enum:
    """One of some words; each is given as the management plane and as the data plane writes it."""

    words: dict[str, str]


@dataclass(frozen=True)
class Many:
    """A list."""

    of: Member


@dataclass(frozen=True)
class Object:
    """An object. ``data_names`` holds the members that the data plane spells in its own way."""

    name: str
    members: dict[str, Member]
    data_names: dict[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()


Member = Leaf | Enum | Many | Object

TEXT, INTEGER, BOOLEAN = Leaf("text"), Leaf("integer"), Leaf("boolean")
SPAN = Leaf("span")
DURATION, ANY, SECRET, READ_ONLY = Leaf("duration"), Leaf("any"), Leaf("secret"), Leaf("read-only")


def same(*words: str) -> Enum:
    """Words that both planes write alike."""
    return Enum({word: word for word in words})


def lower(*words: str) -> Enum:
    """Words that the data plane writes in lower case."""
    return Enum({word: word.lower() for word in words})


def camel(*words: str) -> Enum:
    """Words that the data plane begins with a small letter."""
    return Enum({word: word[0].lower() + word[1:] for word in words})
