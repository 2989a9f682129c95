"""Simulated time, so that a pool that needs four minutes in Azure needs none in a test.

Everything in the emulator that happens in Azure's world (allocation, boots, extensions, ETags) asks this
clock. What happens in the caller's world (token expiry, the age of a signature) asks the wall clock instead,
because real clients judge those by their own.
"""

from __future__ import annotations

import math
import threading
import time
from datetime import UTC, datetime, timedelta


class Clock:
    """A clock that runs ``scale`` times as fast as the wall; at scale 0 it stands still until advanced."""

    def __init__(self, scale: float = 1.0, start: datetime | None = None) -> None:
        """Start at ``start`` (default: now). ``start`` must say its time zone."""
        if not math.isfinite(scale) or scale < 0:
            raise ValueError(f"the time scale must be zero or a positive number, not {scale}")
        if start is not None and start.tzinfo is None:
            raise ValueError("the start of a clock must say its time zone")
        self._scale = scale
        self._start = (start or datetime.now(UTC)).astimezone(UTC)
        self._wall_start = time.monotonic()
        self._advanced = timedelta()
        self._lock = threading.Lock()

    @property
    def scale(self) -> float:
        """How many simulated seconds pass in one second of the wall clock."""
        return self._scale

    def now(self) -> datetime:
        """The simulated time, aware and in UTC."""
        with self._lock:
            ran = timedelta(seconds=(time.monotonic() - self._wall_start) * self._scale)
            return self._start + ran + self._advanced

    def advance(self, seconds: float) -> datetime:
        """Jump ahead and return the new time. Time never goes back."""
        if seconds < 0:
            raise ValueError(f"time does not go back: advance({seconds})")
        with self._lock:
            self._advanced += timedelta(seconds=seconds)
        return self.now()
