"""The life of a node, as a pure function of time: no timers, no threads, no I/O.

A node's history is written ahead, as the moments at which its state changes ("creating now, starting in 10 s,
idle in 28 s"). To know its state one asks which moment was the last. An intervention (a reboot, a preemption,
a deletion) cuts off what has not happened yet and writes another future. The nodes of one allocation share
one history until something happens to one of them, so that ten thousand of them cost little.

    (not visible) -> creating -> starting -> [waitingforstarttask ->] idle | starttaskfailed
    idle, running -> rebooting | reimaging -> starting -> ...
    idle, running -> deallocating -> deallocated -> (started) starting -> ...
    any           -> preempted -> creating -> ...
    any           -> leavingpool -> gone

What tasks and the scheduling switch make of an idle node (``running``, ``offline``) is in ``work``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from airflow_batchext.emulator.scenario import Scenario, TaskFailure, Timings, seconds

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task failed; ``details`` are pairs of name and value."""

    code: str
    message: str
    details: tuple[tuple[str, str], ...] = ()
    category: str = "UserError"


def failure_from(told: TaskFailure | None) -> Failure | None:
    """What a scenario tells of a failure."""
    if told is None:
        return None
    return Failure(told.code, told.message, tuple(told.values.items()), told.category)


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


BUSY = frozenset({NodeState.IDLE, NodeState.RUNNING})
"""States in which the service lets a node be rebooted, reimaged or deallocated."""

_LONGEST = 900 * 365 * 86400.0
"""Seconds: no date is later than such a time after the clock's last moment."""


@dataclass(frozen=True, slots=True)
class StartTask:
    """What the start task of a node does in one boot."""

    length: float
    """Seconds that one attempt runs."""
    exit_code: int | None
    """None: it never ends."""
    retries: int = 0
    """How often it is tried again after a failure; -1: without end."""
    waits: bool = True
    """Whether the node takes no task before the start task has succeeded."""
    failure: Failure | None = None
    """Why its command never runs, if it does not; its exit code, which is not 0 then, is not shown."""

    @property
    def attempts(self) -> int | None:
        """How many attempts it makes in all, or None if it never comes to an end."""
        if self.exit_code is None or (self.exit_code and self.retries < 0):
            return None
        count = 1 + self.retries if self.exit_code else 1
        return count if self.length * count <= _LONGEST else None


@dataclass(frozen=True, slots=True)
class Boot:
    """One start of a machine: all its extensions run anew, under the scenario of that day."""

    number: int
    scenario: Scenario
    start_task: StartTask | None = None
    is_new: bool = False
    """Whether it is the first of its machine."""


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
    starts_task: bool = False
    """The start task begins."""


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
    task_started: datetime | None = None
    """When the start task of this boot began."""
    task_before: tuple[StartTask, datetime, datetime] | None = None
    """That of the boot before, which is shown until then: when it began, and when it was seen last."""


@dataclass(frozen=True, slots=True)
class StartTaskNow:
    """A start task as it is at one time. ``exit_code`` None: it runs, or its command never did."""

    started: datetime
    ended: datetime | None
    exit_code: int | None
    retries: int
    retried: datetime | None
    failure: Failure | None = None
    """Why its command never ran."""

    @property
    def has_failed(self) -> bool:
        """Whether it came to its end, and not well."""
        return bool(self.exit_code) or self.failure is not None


# --- histories ---------------------------------------------------------------------------------------------


def first_boot(at: datetime, scenario: Scenario, start_task: StartTask | None = None) -> History:
    """Write the history of a machine that becomes visible at that time."""
    return _machine(at, Boot(0, scenario, start_task, is_new=True))


def restart(
    history: History,
    now: datetime,
    scenario: Scenario,
    start_task: StartTask | None = None,
    *,
    at: datetime | None = None,
    state: NodeState = NodeState.REBOOTING,
) -> History:
    """Reboot or reimage the machine, now or ``at`` a later time."""
    when = at or now
    boot = Boot(boots(history, now), scenario, start_task)
    timings = scenario.timings
    length = timings.reimaging if state is NodeState.REIMAGING else timings.rebooting
    again = when + seconds(length)
    return (*so_far(history, now), Moment(when, state), *_starting(again, boot, scenario.timings.starting))


def deallocate(history: History, now: datetime, timings: Timings, *, at: datetime | None = None) -> History:
    """Give the machine back, now or ``at`` a later time; the node stays listed."""
    when = at or now
    gone = when + seconds(timings.deallocating)
    return (
        *so_far(history, now),
        Moment(when, NodeState.DEALLOCATING),
        Moment(gone, NodeState.DEALLOCATED),
    )


def start(
    history: History, now: datetime, scenario: Scenario, start_task: StartTask | None = None
) -> History:
    """Start a deallocated node."""
    boot = Boot(boots(history, now), scenario, start_task)
    length = scenario.timings.deallocating + scenario.timings.starting
    return (*so_far(history, now), *_starting(now, boot, length))


def preempt(
    history: History,
    now: datetime,
    back_after: float | None,
    scenario: Scenario,
    start_task: StartTask | None = None,
) -> History:
    """Take the machine away now, and give another one after some seconds (None: never)."""
    lost = (*so_far(history, now), Moment(now, NodeState.PREEMPTED))
    if back_after is None:
        return lost
    boot = Boot(boots(history, now), scenario, start_task, is_new=True)
    return (*lost, *_machine(now + seconds(back_after), boot))


def mark(history: History, now: datetime, state: NodeState) -> History:
    """Put the node in a state now, in which it stays."""
    node = node_at(history, now)
    never_reported = node is not None and node.last_boot is None
    runs = state in {NodeState.IDLE, NodeState.RUNNING, NodeState.STARTING, NodeState.START_TASK_FAILED}
    return (*so_far(history, now), Moment(now, state, reports=never_reported and runs))


def leave(history: History, now: datetime, timings: Timings, *, at: datetime | None = None) -> History:
    """Remove the node, now or ``at`` a later time: it leaves and is gone a little later.

    One that never was visible just vanishes.
    """
    past, when = so_far(history, now), at or now
    if not past:
        return (Moment(now, None),)
    return (*past, Moment(when, NodeState.LEAVING_POOL), Moment(when + seconds(timings.leaving), None))


def so_far(history: History, now: datetime) -> History:
    """What has happened by now."""
    return tuple(moment for moment in history if moment.at <= now)


def _machine(at: datetime, boot: Boot) -> History:
    timings = boot.scenario.timings
    joins = at + seconds(timings.creating)
    _, *rest = _starting(joins, boot, timings.starting)
    return (Moment(at, NodeState.CREATING, boot), Moment(joins, NodeState.STARTING), *rest)


def _starting(at: datetime, boot: Boot, length: float) -> History:
    end = at + seconds(length)
    report = end - seconds(min(boot.scenario.timings.agent, length))
    moments = (Moment(at, NodeState.STARTING, boot), Moment(report, NodeState.STARTING, reports=True))
    task = boot.start_task
    if task is None:
        return (*moments, Moment(end, NodeState.IDLE))
    if not task.waits:
        return (*moments, Moment(end, NodeState.IDLE, starts_task=True))
    waiting = Moment(end, NodeState.WAITING_FOR_START_TASK, starts_task=True)
    if task.attempts is None:
        return (*moments, waiting)
    outcome = NodeState.START_TASK_FAILED if task.exit_code else NodeState.IDLE
    return (*moments, waiting, Moment(end + seconds(task.length * task.attempts), outcome))


def boots(history: History, now: datetime) -> int:
    """How often the machine has been started by now."""
    return sum(moment.boot is not None for moment in so_far(history, now))


def is_new_since(history: History, since: datetime, now: datetime) -> bool:
    """Whether the system of the machine was installed anew since then, or it is another machine."""
    fresh = (NodeState.CREATING, NodeState.REIMAGING)
    return any(since < moment.at <= now and moment.state in fresh for moment in history)


# --- what is, at one time ----------------------------------------------------------------------------------


def node_at(history: History, now: datetime) -> NodeNow | None:
    """The node as it is now, or None while it is not visible or when it is gone."""
    past = so_far(history, now)
    if not past or past[-1].state is None:
        return None
    boot, booted, last_boot, down_since = past[0].boot, past[0].at, None, None
    since, state, task_started, task_before = past[0].at, past[0].state, None, None
    for moment in past:
        if moment.boot is not None:
            if boot is not None and boot.start_task is not None and task_started is not None:
                task_before = (boot.start_task, task_started, down_since or moment.at)
            boot, booted, task_started = moment.boot, moment.at, None
            if moment.state is NodeState.CREATING:
                # Another machine, or the first: it shows no boot time before its agent has reported.
                last_boot, task_before = None, None
        if moment.reports:
            last_boot = moment.at
        if moment.starts_task:
            task_started = moment.at
        if moment.state is not state:
            since, state = moment.at, moment.state
        if moment.state not in DOWN:
            down_since = None
        elif down_since is None:
            down_since = moment.at
    if boot is None:
        raise ValueError("a history begins with a boot")
    return NodeNow(
        state=past[-1].state,
        since=since,
        allocated=past[0].at,
        last_boot=last_boot,
        boot=boot,
        booted=booted,
        extensions_as_of=down_since or now,
        task_started=task_started,
        task_before=task_before,
    )


class States:
    """The states of nodes at one time: most of a large pool share one history, which is evaluated once."""

    def __init__(self, now: datetime) -> None:
        """As they are then."""
        self._now = now
        self._known: dict[int, NodeNow | None] = {}

    def of(self, history: History) -> NodeNow | None:
        """The node with that history, or None if it is not visible."""
        key = id(history)
        if key not in self._known:
            self._known[key] = node_at(history, self._now)
        return self._known[key]


def start_task_at(node: NodeNow, now: datetime) -> StartTaskNow | None:
    """What the start task of a node shows, or None if it has none or has never begun it.

    After a reboot or a reimaging that of the boot before is shown until the new one begins, as recorded.
    """
    task, started = node.boot.start_task, node.task_started
    # A machine that is down makes no progress.
    end = min(node.extensions_as_of, now)
    if started is None and node.task_before is not None:
        task, started, end = node.task_before
    if task is None or started is None:
        return None
    passed = (end - started).total_seconds()
    if task.exit_code is None:
        return StartTaskNow(started, None, None, 0, None)
    done = int(passed // task.length) if task.length else task.attempts or 1
    if task.attempts is not None and done >= task.attempts:
        begun = started + seconds(task.length * (task.attempts - 1))
        retried = begun if task.attempts > 1 else None
        end = begun + seconds(task.length)
        shown = task.exit_code if task.failure is None else None
        return StartTaskNow(begun, end, shown, task.attempts - 1, retried, task.failure)
    begun = started + seconds(task.length * done)
    return StartTaskNow(begun, None, None, done, begun if done else None)


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
    stopped: datetime | None = None
    """When a client asked to stop it; from then on it is ``stopping``."""

    def is_running(self, now: datetime) -> bool:
        """Whether the pool is not steady."""
        return now < self.steady

    def state(self, now: datetime) -> str:
        """The allocation state as the data plane writes it."""
        if not self.is_running(now):
            return "steady"
        return "resizing" if self.stopped is None else "stopping"

    def errors_at(self, now: datetime) -> tuple[ResizeFault, ...]:
        """The errors; nothing is known of them while the resize runs."""
        return () if self.is_running(now) else self.errors

    def changed(self, now: datetime) -> datetime:
        """When the allocation state changed last."""
        return (self.stopped or self.started) if self.is_running(now) else self.steady

    def cut(self, now: datetime) -> Resize:
        """End the resize now at the latest."""
        return replace(self, steady=min(self.steady, now))

    def stop(self, now: datetime, length: float, errors: tuple[ResizeFault, ...]) -> Resize:
        """Begin to stop the resize; it ends a little later, with those errors."""
        return replace(self, stopped=now, steady=now + seconds(length), errors=errors)
