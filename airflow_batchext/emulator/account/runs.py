"""How a run of a task goes: what the scheduler asks when it has found a node, and the answer of scenarios.

Where command lines are really run, ``emulator.running`` answers instead.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from airflow_batchext.emulator.account.job_records import BAD_EXIT, ENDED_BY_USER, KILLED, Preparation
from airflow_batchext.emulator.account.lifecycle import failure_from
from airflow_batchext.emulator.account.output import Output
from airflow_batchext.emulator.account.work import TaskRun
from airflow_batchext.emulator.scenario import seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_batchext.emulator.account.job_records import Task
    from airflow_batchext.emulator.account.lifecycle import Failure
    from airflow_batchext.emulator.account.pools import Node, Pool
    from airflow_batchext.emulator.scenario import Scenario

#: So often what fails is tried again at once.
_MANY = 100
_SHORTEST = timedelta(seconds=1)


class Runs(Protocol):
    """What decides how runs go."""

    def plan(self, task: Task, pool: Pool, node: Node, now: datetime) -> TaskRun:
        """A run that is given its node now: when it begins and, as far as that is known, how it ends."""

    def release(self, preparation: Preparation, start: datetime, end: datetime) -> TaskRun:
        """What the release task does where that preparation was, at the end of the job."""

    def begin(self, run: TaskRun) -> None:
        """Take note that the run has its place in the books."""

    def stop(self, run: TaskRun) -> None:
        """Take note that the run is over, or has lost its node."""


class SimulatedRuns:
    """Runs as the scenario says, written ahead."""

    def __init__(self, scenario: Callable[[], Scenario]) -> None:
        """Ask for the scenario each time, as it may be replaced."""
        self._scenario = scenario

    def plan(self, task: Task, pool: Pool, node: Node, now: datetime) -> TaskRun:
        """The run that the scenario has for this task and try."""
        scenario = self._scenario()
        if isinstance(task, Preparation):
            planned = scenario.preparation_run(
                task.job.id, pool.name, node.index, node.id, task.boot, task.retries
            )
            delay = 0.0 if task.retries else scenario.timings.scheduling
        else:
            planned = scenario.task_run(task.job.id, task.id, task.retries)
            delay = scenario.timings.scheduling
        start = now + _pause(task, now) + seconds(delay)
        failure = failure_from(planned.failure)
        exit_code = planned.exit_code
        end = None if exit_code is None and failure is None else start + seconds(planned.seconds)
        if task.limit is not None and (end is None or end > start + task.limit):
            exit_code, failure = beyond_its_time(scenario)
            end = start + task.limit
        output = Output(planned.stdout, planned.stderr, tuple(planned.files.items()), planned.output_every)
        slots = task.document["requiredSlots"]
        prepares = prepared_node(task)
        return TaskRun(task.job.id, task.id, slots, now, start, end, exit_code, failure, output, prepares)

    def release(self, preparation: Preparation, start: datetime, end: datetime) -> TaskRun:
        """One that succeeds."""
        name = preparation.job.document["jobReleaseTask"]["id"]
        return TaskRun(preparation.job.id, name, 0, start, start, end, 0)

    def begin(self, run: TaskRun) -> None:
        """Nothing begins: its end is written."""

    def stop(self, run: TaskRun) -> None:
        """Nothing runs."""


def _pause(task: Task, now: datetime) -> timedelta:
    """How long an attempt is put off: after many, time has to pass, and a long jump brings few more."""
    if task.retries <= _MANY:
        return timedelta()
    return max(_SHORTEST, (now - task.created) / _MANY)


def prepared_node(task: Task) -> str:
    """The node that a task prepares, if that is what it is."""
    return task.node.id if isinstance(task, Preparation) else ""


def beyond_its_time(scenario: Scenario) -> tuple[int | None, Failure]:
    """The exit code and the failure of a run that has reached its time limit."""
    if scenario.answers.task_beyond_its_time == "TaskEnded":
        return None, ENDED_BY_USER
    return KILLED, BAD_EXIT
