"""What occupies a node: the tasks that run on it, and whether it takes any, as a pure function of time.

The run of a task on a node is written ahead with its end, like a node's history. A node that its history
shows ``idle`` is ``running`` while a task runs on it, and ``offline`` when it takes no tasks and none runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.lifecycle import NodeNow, NodeState
from airflow_batchext.emulator.account.output import SILENT, Output

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_batchext.emulator.account.lifecycle import Failure


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One attempt of a task on a node."""

    job: str
    task: str
    slots: int
    assigned: datetime
    """Since when the node is kept for it."""
    start: datetime
    end: datetime | None
    """None: never."""
    exit_code: int | None
    failure: Failure | None = None
    """Why it fails where its exit code does not tell; there may be none."""
    output: Output = SILENT
    """What it writes."""
    prepares: str = ""
    """The node that it prepares for a job, if that is what it does."""

    def holds(self, now: datetime) -> bool:
        """Whether the node is kept for it."""
        return self.assigned <= now and (self.end is None or now < self.end)

    def runs(self, now: datetime) -> bool:
        """Whether it runs."""
        return self.start <= now and (self.end is None or now < self.end)


@dataclass(frozen=True, slots=True)
class Work:
    """What occupies a node, and what it has done."""

    runs: tuple[TaskRun, ...] = ()
    """What has a place on the node and has not been noted as ended, in the order of assignment."""
    disabled: datetime | None = None
    """Since when the node takes no tasks."""
    enabled: datetime | None = None
    """When it was last told to take tasks again."""
    closed: datetime | None = None
    """Since when it waits for its tasks to end, because it is to be rebooted or the like after that."""
    done: int = 0
    succeeded: int = 0
    freed: datetime | None = None
    """When the last run ended."""
    busy: datetime | None = None
    """Since when something has run without a break, where that is before all that runs now."""

    def slots(self, now: datetime) -> int:
        """How many task slots are taken."""
        return sum(run.slots for run in self.current(now))

    def current(self, now: datetime) -> tuple[TaskRun, ...]:
        """The runs for which the node is kept."""
        return tuple(run for run in self.runs if run.holds(now))

    def running(self, now: datetime) -> tuple[TaskRun, ...]:
        """What runs."""
        return tuple(run for run in self.runs if run.runs(now))

    def without(self, runs: tuple[TaskRun, ...], now: datetime) -> Work:
        """Take runs away that were cut off now."""
        rest = tuple(run for run in self.runs if run not in runs)
        began = any(run.start <= now for run in runs)
        return replace(self, runs=rest, freed=now if began else self.freed)

    def finished(self, run: TaskRun, now: datetime) -> Work:
        """Note that a run has ended."""
        rest = tuple(other for other in self.runs if other != run)
        others = [other for other in rest if other.start <= now]
        counts = not run.prepares
        return replace(
            self,
            runs=rest,
            done=self.done + counts,
            succeeded=self.succeeded + (counts and run.exit_code == 0),
            freed=now,
            busy=min(self.busy or run.start, run.start) if others else None,
        )


NO_WORK = Work()


def takes_tasks(node: NodeNow, work: Work) -> bool:
    """Whether the service may give a node a task: it is up, and not to be spared."""
    is_closed = work.closed is not None and work.closed >= node.booted
    return node.state is NodeState.IDLE and work.disabled is None and not is_closed


def occupied(node: NodeNow, work: Work, now: datetime) -> NodeNow:
    """The node with the state that its work gives it."""
    if node.state is not NodeState.IDLE or work is NO_WORK:
        return node
    running = work.running(now)
    if running:
        starts = [run.start for run in running]
        since = min(starts if work.busy is None else [work.busy, *starts])
        return replace(node, state=NodeState.RUNNING, since=max(since, node.since))
    since = max(node.since, work.freed or node.since)
    if work.disabled is not None:
        return replace(node, state=NodeState.OFFLINE, since=max(since, work.disabled))
    return replace(node, since=max(since, work.enabled or since))
