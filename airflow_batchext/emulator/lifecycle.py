"""The life of a node and its extensions, as a pure function of time: no timers, no threads, no I/O.

A node's history is written ahead, as the moments at which its state changes ("creating now, starting in 20 s,
idle in 28 s"). To know its state one asks which moment was the last. An intervention (a reboot, a preemption,
a deletion) cuts off what has not happened yet and writes another future. The nodes of one allocation share
one history until something happens to one of them, so that ten thousand of them cost little.

    (not visible) -> creating -> starting -> idle
    idle, running -> rebooting -> starting -> idle
    any           -> preempted -> creating -> starting -> idle
    any           -> leavingpool -> gone
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from airflow_batchext.emulator.scenario import Course, Outcome, Scenario, Timings, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime


class NodeState(str, Enum):
    """Every state of a node that the service names."""

    IDLE = "idle"
    REBOOTING = "rebooting"
    REIMAGING = "reimaging"
    RUNNING = "running"
    UNUSABLE = "unusable"
    CREATING = "creating"
    STARTING = "starting"
    WAITING_FOR_START_TASK = "waitingforstarttask"
    START_TASK_FAILED = "starttaskfailed"
    UNKNOWN = "unknown"
    LEAVING_POOL = "leavingpool"
    OFFLINE = "offline"
    PREEMPTED = "preempted"
    UPGRADING_OS = "upgradingos"
    DEALLOCATED = "deallocated"
    DEALLOCATING = "deallocating"


WITHOUT_MACHINE = frozenset({NodeState.PREEMPTED, NodeState.DEALLOCATED})
DOWN = WITHOUT_MACHINE | {NodeState.REBOOTING, NodeState.REIMAGING, NodeState.DEALLOCATING}
"""States in which no extension makes progress."""


@dataclass(frozen=True, slots=True)
class Boot:
    """One start of a machine: all its extensions run anew, under the scenario of that day."""

    number: int
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class Moment:
    """A change in a node's life."""

    at: datetime
    state: NodeState | None
    """None: the node is gone."""
    boot: Boot | None = None
    """Set where a machine starts."""
    reports: bool = False
    """The node agent reports that the machine has booted (``lastBootTime``)."""


History = tuple[Moment, ...]


@dataclass(frozen=True, slots=True)
class NodeNow:
    """A node as it is at one time."""

    state: NodeState
    since: datetime
    allocated: datetime
    last_boot: datetime | None
    boot: Boot
    booted: datetime
    extensions_as_of: datetime
    """The time for which the extensions are to be computed: they stand still while the machine is down."""


@dataclass(frozen=True, slots=True)
class ExtensionNow:
    """An extension as it is at one time. ``outcome`` None: it is not done yet."""

    outcome: Outcome | None
    since: datetime
    waits_for: tuple[str, ...] = ()
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """A test's or a user's word about one extension of a living node, from now until its next boot."""

    at: datetime
    course: Course


# --- histories ---------------------------------------------------------------------------------------------


def first_boot(at: datetime, scenario: Scenario) -> History:
    """Write the history of a machine that becomes visible at that time."""
    return _machine(at, Boot(0, scenario))


def reboot(history: History, now: datetime, scenario: Scenario) -> History:
    """Restart the machine now."""
    again = now + seconds(scenario.timings.rebooting)
    boot = Boot(_boots(history, now), scenario)
    return (
        *so_far(history, now),
        Moment(now, NodeState.REBOOTING),
        Moment(again, NodeState.STARTING, boot, reports=True),
        Moment(again + seconds(scenario.timings.starting), NodeState.IDLE),
    )


def preempt(history: History, now: datetime, back_after: float | None, scenario: Scenario) -> History:
    """Take the machine away now, and give another one after some seconds (None: never)."""
    lost = (*so_far(history, now), Moment(now, NodeState.PREEMPTED))
    if back_after is None:
        return lost
    boot = Boot(_boots(history, now), scenario)
    return (*lost, *_machine(now + seconds(back_after), boot))


def mark(history: History, now: datetime, state: NodeState) -> History:
    """Put the node in a state now, in which it stays."""
    node = node_at(history, now)
    never_reported = node is not None and node.last_boot is None
    runs = state in {NodeState.IDLE, NodeState.RUNNING, NodeState.STARTING, NodeState.START_TASK_FAILED}
    return (*so_far(history, now), Moment(now, state, reports=never_reported and runs))


def leave(history: History, now: datetime, timings: Timings) -> History:
    """Remove the node: it leaves now and is gone a little later. One that never was visible just vanishes."""
    past = so_far(history, now)
    if not past:
        return (Moment(now, None),)
    return (*past, Moment(now, NodeState.LEAVING_POOL), Moment(now + seconds(timings.leaving), None))


def so_far(history: History, now: datetime) -> History:
    """Return what has happened by now."""
    return tuple(moment for moment in history if moment.at <= now)


def _machine(at: datetime, boot: Boot) -> History:
    timings = boot.scenario.timings
    joins = at + seconds(timings.creating)
    return (
        Moment(at, NodeState.CREATING, boot),
        Moment(joins, NodeState.STARTING, reports=True),
        Moment(joins + seconds(timings.starting), NodeState.IDLE),
    )


def _boots(history: History, now: datetime) -> int:
    return sum(moment.boot is not None for moment in so_far(history, now))


# --- what is, at one time ----------------------------------------------------------------------------------


def node_at(history: History, now: datetime) -> NodeNow | None:
    """Return the node as it is now, or None while it is not visible or when it is gone."""
    past = so_far(history, now)
    if not past or past[-1].state is None:
        return None
    boot, booted, last_boot, down_since = past[0].boot, past[0].at, None, None
    for moment in past:
        if moment.boot is not None:
            # A machine that is only being created has not reported: it shows no boot time, first or later.
            boot, booted, last_boot = moment.boot, moment.at, None
        if moment.reports:
            last_boot = moment.at
        if moment.state not in DOWN:
            down_since = None
        elif down_since is None:
            down_since = moment.at
    if boot is None:
        raise ValueError("a history begins with a boot")
    return NodeNow(
        state=past[-1].state,
        since=past[-1].at,
        allocated=past[0].at,
        last_boot=last_boot,
        boot=boot,
        booted=booted,
        extensions_as_of=down_since or now,
    )


def extensions_at(
    node: NodeNow,
    wanted: Sequence[tuple[str, Sequence[str]]],
    course_of: Callable[[str], Course],
    overrides: Mapping[str, Override],
) -> dict[str, ExtensionNow]:
    """Return every extension of a node, in the order of ``wanted``: pairs of a name and what it comes after.

    An extension starts when the machine does, or when all that it comes after have succeeded. Behind one that
    failed, hangs, does not exist or waits for it in turn, it waits in ``transitioning`` for ever.
    """
    run = _Run(node, {name.casefold(): (name, after) for name, after in wanted}, course_of, overrides)
    return {name: run.now(name) for name, _ in wanted}


class _Run:
    """The extensions of one boot of one node."""

    def __init__(
        self,
        node: NodeNow,
        wanted: dict[str, tuple[str, Sequence[str]]],
        course_of: Callable[[str], Course],
        overrides: Mapping[str, Override],
    ) -> None:
        self._node = node
        self._wanted = wanted
        self._course_of = course_of
        self._overrides = {
            name: override
            for name, override in overrides.items()
            if node.booted <= override.at <= node.extensions_as_of
        }
        self._successes: dict[str, datetime | None] = {}

    def now(self, name: str) -> ExtensionNow:
        as_of = self._node.extensions_as_of
        override = self._overrides.get(name)
        if override is not None:
            course, end = override.course, override.at
            outcome = None if course.outcome == "hang" else course.outcome
            return ExtensionNow(outcome, end, code=course.code, message=course.message)
        _, after = self._wanted[name.casefold()]
        waits_for = tuple(other for other in after if not self._has_succeeded(other, as_of))
        start = self._start(name)
        if waits_for or start is None:
            return ExtensionNow(None, self._node.booted, waits_for=waits_for)
        course = self._course_of(name)
        end = start + seconds(course.seconds)
        if course.outcome == "hang":
            return ExtensionNow(None, start, message=course.message)
        if end > as_of:
            return ExtensionNow(None, start)
        return ExtensionNow(course.outcome, end, code=course.code, message=course.message)

    def _has_succeeded(self, name: str, as_of: datetime) -> bool:
        success = self._success(name)
        return success is not None and success <= as_of

    def _start(self, name: str) -> datetime | None:
        _, after = self._wanted[name.casefold()]
        times = [self._success(other) for other in after]
        if None in times:
            return None
        return max((time for time in times if time is not None), default=self._node.booted)

    def _success(self, name: str) -> datetime | None:
        """When it succeeds in this boot, or None if it never does."""
        key = name.casefold()
        if key not in self._wanted:
            return None
        if key not in self._successes:
            self._successes[key] = (
                None  # for the time being: whoever waits for itself in a circle never starts
            )
            self._successes[key] = self._compute_success(self._wanted[key][0])
        return self._successes[key]

    def _compute_success(self, name: str) -> datetime | None:
        start, course = self._start(name), self._course_of(name)
        natural = start + seconds(course.seconds) if start and course.outcome == "succeed" else None
        override = self._overrides.get(name)
        if override is None or (natural is not None and natural <= override.at):
            return natural
        return override.at if override.course.outcome == "succeed" else None


# --- resizes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResizeFault:
    """An error that a resize ends with."""

    code: str
    message: str
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Resize:
    """One resize of a pool: it runs from ``started`` until ``steady``, and then shows its errors."""

    started: datetime
    steady: datetime
    dedicated: int
    low_priority: int
    errors: tuple[ResizeFault, ...] = ()

    def is_running(self, now: datetime) -> bool:
        """Say whether the pool is ``resizing``."""
        return now < self.steady

    def errors_at(self, now: datetime) -> tuple[ResizeFault, ...]:
        """Return the errors; nothing is known of them while the resize runs."""
        return () if self.is_running(now) else self.errors

    def changed(self, now: datetime) -> datetime:
        """Return when the allocation state changed last."""
        return self.started if self.is_running(now) else self.steady

    def cut(self, now: datetime) -> Resize:
        """End the resize now at the latest."""
        return replace(self, steady=min(self.steady, now))
