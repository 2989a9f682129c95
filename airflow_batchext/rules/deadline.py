"""The one clock that ends a gate's wait: every pause, lock, read and repair of it takes the same deadline.

Pure: it is handed its clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

#: A gate that comes only after its deadline (a triggerer was away, Airflow was late) looks once all the same;
#: that look may take so long.
LATE_LOOK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment after which nothing more is waited for and no request begins.

    :param at: when, in seconds since the epoch by ``clock``; infinity for never.
    :param clock: tells the time of this machine.
    """

    at: float
    clock: Callable[[], float]

    @property
    def left(self) -> float:
        """Seconds until then; 0 once it has passed."""
        return max(0.0, self.at - self.clock())

    @property
    def has_passed(self) -> bool:
        """Whether it is over."""
        return self.clock() >= self.at

    def cut(self, seconds: float) -> float:
        """A pause of so many seconds, or what is left for one."""
        return min(seconds, self.left)

    def or_late(self) -> Deadline:
        """The same; or, where it has passed already, the end of a look that is made all the same."""
        if not self.has_passed:
            return self
        return replace(self, at=self.clock() + LATE_LOOK_SECONDS)


NEVER = Deadline(float("inf"), lambda: 0.0)
"""Of what goes on until somebody ends it."""


class Turns:
    """When one gate looks next, and which of its looks is the last.

    The last look is a whole one. It begins so long before the deadline as the longest look so far took, so
    that it is over by then; what is not is cut.

    :param deadline: of the gate.
    """

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self._longest = 0.0

    def took(self, seconds: float) -> None:
        """Note how long a look has taken."""
        self._longest = max(self._longest, seconds)

    @property
    def is_last(self) -> bool:
        """Whether there is no time for another look after the one that would begin now."""
        return self.deadline.left <= self._longest

    def pause(self, wanted: float) -> float:
        """How long to wait for the next look, in seconds: as long as is wanted, or until the last one."""
        return min(wanted, max(0.0, self.deadline.left - self._longest))
