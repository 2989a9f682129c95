"""How many examples Hypothesis draws where they are dear: a third in `make test`, all in `make histories`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

_ALL = "BATCHEXT_ALL_EXAMPLES" in os.environ
T = TypeVar("T")


def examples(count: int) -> int:
    """How many of so many examples are drawn now."""
    return count if _ALL else max(20, count // 3)


def by_turns(things: Sequence[T], turn: int, count: int) -> Sequence[T]:
    """So many of the things, beginning with the one whose turn it is; all of them in `make histories`."""
    return things if _ALL else [things[(turn + number) % len(things)] for number in range(count)]
