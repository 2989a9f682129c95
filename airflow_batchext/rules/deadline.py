"""The one clock that ends a gate's wait: every pause, lock, read and repair of it takes the same deadline.

Pure: it is handed its clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

#: A gate that comes only after its deadline (a triggerer was away, Airflow was late) looks once all the same;
#: that look may take so long.
LATE_LOOK_SECONDS = 60.0
# So long before the deadline the last look begins, at least: a loaded machine wakes late.
_SHORTEST_LOOK_SECONDS = 0.25
_MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Limit:
    """For how long a task may wait, and which of its parameters says so.

    :param seconds: from the start of its try.
    :param name: "timeout" or "execution_timeout".
    """

    seconds: float
    name: str = "timeout"

    def __str__(self) -> str:
        return f"{self.seconds:g} seconds ({self.name})"

    @property
    def is_airflows(self) -> bool:
        """Whether it is ``execution_timeout``, which ends any task of Airflow."""
        return self.name != "timeout"


def limit_of(timeout: float, execution_timeout: timedelta | None) -> Limit:
    """The limit that comes first.

    :param timeout: in seconds.
    """
    if execution_timeout is not None and execution_timeout.total_seconds() < timeout:
        return Limit(execution_timeout.total_seconds(), "execution_timeout")
    return Limit(timeout)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How the pauses of a gate grow: each is twice the one before, as of Airflow's own sensors.

    :param longest: seconds; None for as long as it takes.
    """

    longest: float | None = None

    def pause(self, interval: float, looks: int) -> float:
        """How long to wait after so many looks, in seconds."""
        pause = interval * 2.0 ** min(max(0, looks - 1), _MOST_DOUBLINGS)
        return pause if self.longest is None else min(pause, self.longest)


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

    def or_late(self) -> Deadline:
        """The same; or, for who comes only after it, the end of the look that is made all the same."""
        return self if not self.has_passed else self.at_least(LATE_LOOK_SECONDS)

    def at_least(self, seconds: float) -> Deadline:
        """The same; or so many seconds from now, if that is later."""
        return replace(self, at=max(self.at, self.clock() + seconds))


@dataclass(slots=True)
class StartLimit:
    """Until when something that waits has to have begun.

    :param at: in seconds since the epoch by ``clock``; 0 for whenever.
    :param clock: tells the time of this machine.
    :param has_started: whether it has.
    """

    at: float
    clock: Callable[[], float]
    has_started: bool = False

    @property
    def has_passed(self) -> bool:
        """Whether it should have begun by now, and is not known to have."""
        return bool(self.at) and not self.has_started and self.clock() >= self.at

    def pause(self, wanted: float) -> float:
        """How long to wait for the next look, in seconds: as long as is wanted, or until that moment."""
        left = self.at - self.clock()
        return min(wanted, left) if self.at and not self.has_started and left > 0 else wanted


NEVER = Deadline(float("inf"), lambda: 0.0)
"""Of what goes on until somebody ends it."""


class Turns:
    """When one gate looks next, which of its looks is the last, and when each has to be over.

    The last look is a whole one. It begins so long before the deadline as the longest look so far took, so
    that it is over by then; what is not is cut. Where it took less than that, and leaves time for another, it
    was not the last.

    :param deadline: of the gate.
    """

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        #: When whatever begins now has to be over: later than the deadline only if the gate came too late.
        self.limit = deadline.or_late()
        self._longest = _SHORTEST_LOOK_SECONDS

    def took(self, seconds: float, *, was_whole: bool = False) -> None:
        """Note how long a look has taken; a whole one tells best how long the last one will take."""
        self._longest = max(_SHORTEST_LOOK_SECONDS if was_whole else self._longest, seconds)

    @property
    def is_last(self) -> bool:
        """Whether there is no time for another look after the one that would begin now."""
        return self.deadline.left <= self._longest

    def pause(self, wanted: float) -> float:
        """How long to wait for the next look, in seconds: as long as is wanted, or until the last one."""
        return min(wanted, max(0.0, self.deadline.left - self._longest))
