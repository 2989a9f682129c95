"""Simulated time, so that a pool that needs four minutes in Azure needs none in a test.

Everything in the emulator that happens in Azure's world (allocation, boots, extensions, ETags) asks this
clock. What happens in the caller's world (token expiry, the age of a signature) asks the wall clock instead,
because real clients judge those by their own.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""No time is later, so that the sum of a time and a duration is one, too."""


class Clock:
    """A clock that runs ``scale`` times as fast as the wall; at scale 0 it stands still until advanced.

    :param scale: zero or more.
    :param start: the first moment, with a time zone; by default now.
    """

    def __init__(self, scale: float = 1.0, start: datetime | None = None) -> None:
        if not math.isfinite(scale) or scale < 0:
            raise ValueError(f"the time scale must be zero or a positive number, not {scale}")
        if start is not None and start.tzinfo is None:
            raise ValueError("the start of a clock must say its time zone")
        self._scale = scale
        self._start = (start or datetime.now(UTC)).astimezone(UTC)
        self._most = _LATEST - self._start
        self._wall_start = time.monotonic()
        self._advanced = timedelta()
        self._lock = threading.Lock()
        self.before_jump: Callable[[datetime], None] = lambda to: None
        """Raises ValueError if so much cannot be caught up with; is told up to when."""

    @property
    def scale(self) -> float:
        """How many simulated seconds pass in one second of the wall clock."""
        return self._scale

    def now(self) -> datetime:
        """The simulated time, aware and in UTC."""
        with self._lock:
            ran = (time.monotonic() - self._wall_start) * self._scale
            ran_so_far = timedelta(seconds=min(ran, self._most.total_seconds()))
            return self._start + min(ran_so_far + self._advanced, self._most)

    def advance(self, seconds: float) -> datetime:
        """Jump ahead and return the new time.

        :param seconds: simulated seconds, zero or more.
        :raises ValueError: if time would go back, or beyond the year 8999, or if more would become due
            meanwhile than can be caught up with.
        """
        if not seconds >= 0:
            raise ValueError(f"time does not go back: advance({seconds})")
        now = self.now()
        is_too_far = seconds >= (_LATEST - now).total_seconds()
        self.before_jump(_LATEST if is_too_far else now + timedelta(seconds=seconds))
        return self.step(seconds)

    def step(self, seconds: float) -> datetime:
        """``advance`` by so little that nothing becomes due.

        :param seconds: simulated seconds.
        """
        with self._lock:
            if seconds > (self._most - self._advanced).total_seconds():
                raise ValueError(f"advance({seconds:g}) goes beyond the year 8999")
            self._advanced += timedelta(seconds=seconds)
        return self.now()
