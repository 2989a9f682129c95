"""The token buckets by which Azure Resource Manager limits the requests to a subscription.

Each kind of request has a bucket that holds so many tokens and is filled again by so many a second. They go
by the wall clock, by which clients wait.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["read", "write", "delete"]
SIZES: dict[Kind, tuple[int, int]] = {"read": (250, 25), "write": (200, 10), "delete": (200, 10)}
"""How many tokens a bucket holds, and how many it gets in a second."""


def kind_of(method: str) -> Kind:
    """From which bucket a request takes its token."""
    if method in ("GET", "HEAD"):
        return "read"
    return "delete" if method == "DELETE" else "write"


class Taken(NamedTuple):
    """What a request got: how many tokens are left, or how many seconds to wait if there was none."""

    left: int
    wait: int


class Buckets:
    """One bucket of each kind, full at first."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` is a number of seconds that only grows."""
        self._now = now
        self._levels: dict[Kind, tuple[float, float]] = {}

    def take(self, kind: Kind) -> Taken:
        """Take a token, if there is one."""
        size, rate = SIZES[kind]
        now = self._now()
        level, filled = self._levels.get(kind, (float(size), now))
        level = min(size, level + (now - filled) * rate)
        if level < 1:
            self._levels[kind] = (level, now)
            return Taken(0, math.ceil((1 - level) / rate))
        self._levels[kind] = (level - 1, now)
        return Taken(int(level - 1), 0)
