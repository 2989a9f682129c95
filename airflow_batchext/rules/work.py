"""What is to be done with a task's earlier attempts, and what a look at the present one means.

Pure: no I/O, no clock, no Airflow, no Azure SDK.

At a beginning (``choose``):

=========================================================  ===========================================
among the attempts under the key                           then
=========================================================  ===========================================
one of another life that has not ended                     it is ended first, and seen to have ended
one of this life that has not ended                        it is the one: **attach**
else, the newest of this life has succeeded                its success is taken: Airflow had not heard
else                                                       a new one is **submitted**
=========================================================  ===========================================

An attempt that waits for a node in a job that has ended will never run: it counts as if it were not there.

While it runs (``standing``): success is what Azure Batch calls so, with exit code 0 where there is one, and
nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from airflow_batchext.rules.work_ids import AttemptId, read_attempt_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_batchext.batch.work import JobSeen, TaskSeen

#: In these states a task waits: for a node, or until its node is prepared for it.
WAITING_STATES = frozenset({"active", "preparing"})
_LONGEST_PAUSE_SECONDS = 300.0
#: Why a job has ended that had nothing left to do.
_BY_ITSELF = "AllTasksCompleted"


class Stage(str, Enum):
    """How far a Batch task is."""

    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STRANDED = "stranded"
    """It never ran, and never will, as its job has ended by itself: it can be submitted again."""
    LOST = "lost"
    """It, its job or its pool is not there any more, though it had not ended."""
    UNSTARTED = "unstarted"
    """It was given no node, and will be given none, or was not in time."""
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """Azure does not let us look, or the connection cannot be used."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a Batch task stands, in words too."""

    stage: Stage
    text: str
    task: TaskSeen | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A Batch task that an earlier try may have made, and its job."""

    job: JobSeen
    task: TaskSeen
    told: AttemptId

    @property
    def will_never_run(self) -> bool:
        """Whether it waits for a node that its job gives it no more."""
        return self.task.state == "active" and not self.job.takes_tasks


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do at a beginning: end some attempts first, else go on with one, else submit."""

    to_end: tuple[Attempt, ...] = ()
    attempt: Attempt | None = None


def attempts_of(key: str, job: JobSeen, tasks: Iterable[TaskSeen], *, is_many: bool = False) -> list[Attempt]:
    """The attempts under a key among the tasks of a job.

    :param is_many: those under keys that begin with it, too.
    """
    found = ((task, read_attempt_id(task.id)) for task in tasks)
    return [
        Attempt(job, task, told)
        for task, told in found
        if told is not None and (told.key == key or (is_many and told.key.startswith(f"{key}-")))
    ]


def choose(life: str, attempts: Sequence[Attempt]) -> Choice:
    """What to do, as the table above says.

    :param life: of the try that begins.
    """
    live = [one for one in attempts if not (one.task.is_completed or one.will_never_run)]
    ours = sorted((one for one in attempts if one.told.life == life), key=lambda one: one.told.number)
    running = [one for one in live if one.told.life == life]
    newest = max(running, key=lambda one: one.told.number, default=None)
    to_end = tuple(one for one in live if one is not newest)
    if to_end or newest is not None:
        return Choice(to_end, newest)
    done = [one for one in ours if one.task.is_completed]
    last = done[-1] if done else None
    return Choice(attempt=last if last is not None and has_succeeded(last.task) else None)


def has_succeeded(task: TaskSeen) -> bool:
    """Whether Azure Batch says that it has."""
    return task.is_completed and task.result == "success" and not task.exit_code and not task.failure


@dataclass(frozen=True, slots=True)
class TasksSeen:
    """One look at tasks of a job.

    :param tasks: by id.
    :param job: where it was read, too.
    :param is_gone: that the job is not there any more, or the pool is not, on which it runs, in words.
    :param why: why nothing starts, in words, where something waits.
    :param is_final: whether, as things are, nothing ever will.
    :param problem: why nothing was read, where that may pass.
    :param refused: why nothing can be read.
    :param retry_after: seconds for which the service wants to be left alone.
    """

    tasks: Mapping[str, TaskSeen] = field(default_factory=dict)
    job: JobSeen | None = None
    is_gone: str = ""
    why: str = ""
    is_final: bool = False
    problem: str = ""
    refused: str = ""
    retry_after: float | None = None

    @property
    def runs(self) -> bool:
        """Whether any of them runs."""
        return any(task.state == "running" for task in self.tasks.values())

    def after(self, last: TasksSeen | None) -> TasksSeen:
        """It, with what a whole look before has seen of job and pool, where it was not a whole one itself."""
        return self if last is None or self.job else replace(self, job=last.job, why=last.why)


def stands(task_id: str, look: TasksSeen) -> Standing:
    """How a task stands after a look at it."""
    if look.refused:
        return Standing(Stage.REFUSED, look.refused)
    if look.problem:
        return Standing(Stage.WAITING, f"not looked at: {look.problem}")
    task = look.tasks.get(task_id)
    if look.is_gone and (task is None or task.state == "active"):
        return Standing(Stage.LOST, look.is_gone, task)
    found = standing(task, look.job)
    is_waiting = found.stage is Stage.WAITING and task is not None and task.state in WAITING_STATES
    if is_waiting and look.why:
        is_final = look.is_final and task is not None and task.state == "active"
        return Standing(Stage.UNSTARTED if is_final else Stage.WAITING, f"{found.text}; {look.why}", task)
    return found


def has_started(task: TaskSeen | None) -> bool:
    """Whether it runs, or is known to have run before it was given back."""
    if task is None or task.state not in WAITING_STATES:
        return task is not None
    return bool(task.started or task.retries or task.requeues)


def unstarted_text(text: str) -> str:
    """That it has not started in time, in words.

    :param text: how it stands.
    """
    return f"it had not started within start_timeout: {text}"


def standing(task: TaskSeen | None, job: JobSeen | None) -> Standing:
    """What a look at a task and, where it was read, its job comes to.

    :param task: None where there is no such task any more.
    """
    if task is None:
        return Standing(Stage.LOST, "it was deleted, or its job was, before it had ended")
    if task.is_completed:
        if has_succeeded(task):
            return Standing(Stage.SUCCEEDED, "succeeded", task)
        return Standing(Stage.FAILED, _failure(task, job), task)
    if job is not None and job.is_over:
        why = f"job {job.id} is {job.state} ({job.reason or 'nobody says why'})"
        if task.state == "active":
            # Where nobody ended the job, it ended in the moment in which the task was added.
            by_itself = job.reason == _BY_ITSELF
            stage = Stage.STRANDED if by_itself else Stage.FAILED
            return Standing(stage, f"it was given no node before {why}", task)
        return Standing(Stage.WAITING, f"it is {task.state}, though {why}", task)
    text = f"it is {task.state or 'in no known state'}"
    if task.node_id and task.state != "active":
        text += f" on node {task.node_id}"
    if task.requeues or task.retries:
        text += f", after {task.retries} retries and {task.requeues} requeues"
    if job is not None and job.state not in ("active", ""):
        text += f"; its job is {job.state}"
    return Standing(Stage.WAITING, text, task)


def as_xcom(found: Standing, pool_id: str, job_id: str, task_id: str) -> dict[str, Any]:
    """How a Batch task stands, as plain JSON for other tasks of the DAG.

    :param task_id: its id in Azure Batch.
    """
    task = found.task
    return {
        "pool_id": pool_id,
        "job_id": job_id,
        "batch_task_id": task_id,
        "result": found.stage.value,
        "exit_code": task.exit_code if task else None,
        "failure": task.failure if task else "",
        "node_id": task.node_id if task else "",
        "started": task.started if task else "",
        "ended": task.ended if task else "",
        "seconds": task.seconds if task else None,
        "retries": task.retries if task else 0,
        "requeues": task.requeues if task else 0,
    }


def pause_after(failures: int, interval: float, retry_after: float | None = None) -> float:
    """Seconds until the next look: the interval, longer after looks that failed or as the service asks.

    :param failures: how many looks failed in a row.
    """
    backed_off = min(interval * 2.0 ** min(failures, 10), max(interval, _LONGEST_PAUSE_SECONDS))
    return max(backed_off, retry_after or 0.0)


def _failure(task: TaskSeen, job: JobSeen | None) -> str:
    told = [] if task.exit_code is None else [f"exit code {task.exit_code}"]
    told.append(task.failure or "without a word of why")
    if task.node_id:
        told.append(f"on node {task.node_id}")
    if job is not None and job.reason:
        told.append(f"its job ended for {job.reason}")
    return ", ".join(told)
