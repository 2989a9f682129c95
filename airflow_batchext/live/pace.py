"""When something may be written for the live page.

Pure: it is handed the time, in seconds by a clock that does not go back.
"""

from __future__ import annotations

from typing import Final

#: A task writes at most so often; what happens meanwhile is in the next write.
SHORTEST_SECONDS: Final = 10.0
#: And at least so often while it waits: that it still looks can be told from that.
LONGEST_SECONDS: Final = 180.0
#: All that wait in one triggerer together write so often at most.
PER_SECOND: Final = 20
#: After a write that has failed, or hangs.
AFTER_FAILURE_SECONDS: Final = 60.0
#: So long a wait may be silent, beyond its next look, before it counts as one for which nobody looks.
_GRACE_SECONDS: Final = 60.0


class Pace:
    """When one task writes: at its beginning and its end, when something has changed, and now and then."""

    def __init__(self) -> None:
        self._next_change = self._next_sign = float("-inf")
        self._has_changed = False

    def due(self, now: float, *, changed: bool) -> float | None:
        """When to write what was just seen; None if not before the next look.

        :param changed: whether it differs from what was seen before.
        """
        self._has_changed = self._has_changed or changed
        if self._has_changed:
            return max(now, self._next_change)
        return now if now >= self._next_sign else None

    def wrote(self, now: float) -> None:
        """Note that a write has begun."""
        self._has_changed = False
        self._next_change, self._next_sign = now + SHORTEST_SECONDS, now + LONGEST_SECONDS

    def failed(self, now: float) -> None:
        """Note that it was in vain."""
        self._has_changed = True
        self._next_change = self._next_sign = now + AFTER_FAILURE_SECONDS


def stale_at(now: float, pause: float) -> float:
    """From when on it can be told that nobody looks any more, if nothing is written by then.

    :param pause: seconds until the next look.
    """
    return now + max(LONGEST_SECONDS, pause) + pause + _GRACE_SECONDS
