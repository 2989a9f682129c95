"""Submit a Batch task at most once, look at it, and end it: flows, for a hook to run sync or async.

``rules.work`` says what an answer means; here is in which order is asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_batchext.batch.data_plane import read_node, read_pool
from airflow_batchext.batch.work import (
    JOB_MEMBERS,
    PREPARATION_MEMBERS,
    TASK_MEMBERS,
    PreparationSeen,
    TaskSeen,
    read_job,
    read_preparation,
    read_task,
)
from airflow_batchext.exceptions import (
    AccessRefusedError,
    BatchextError,
    ConflictError,
    NotFoundError,
    ServiceError,
)
from airflow_batchext.hooks import _job_requests as jobs
from airflow_batchext.hooks import _node_requests as pools
from airflow_batchext.hooks._drivers.numbered_jobs import numbered_jobs
from airflow_batchext.hooks._requests import AtOnce
from airflow_batchext.rules.work import WAITING_STATES, Attempt, TasksSeen, attempts_of, choose
from airflow_batchext.rules.work_pool import Hindrance, why_nothing_starts

if TYPE_CHECKING:
    from airflow_batchext.hooks._requests import Flow

# Batch takes no more tasks into jobs that have ended; so many may have ended while we were about it.
_MOST_JOBS = 50
ENDED = frozenset({"JobCompleted", "JobBeingTerminated", "JobBeingDeleted"})
_QUOTA = "ActiveJobAndScheduleQuotaReached"
_POOL_MEMBERS = (
    *("id", "state", "creationTime", "allocationState", "allocationStateTransitionTime", "resizeErrors"),
    *("targetDedicatedNodes", "currentDedicatedNodes", "targetLowPriorityNodes", "currentLowPriorityNodes"),
    *("enableAutoScale", "autoScaleRun"),
)
_NODE_MEMBERS = ("id", "state", "lastBootTime", "errors")


@dataclass(frozen=True, slots=True)
class Work:
    """What is to run, and under which ids.

    :param base: the id of its jobs without their number; or, with ``is_users``, of the user's own job.
    :param key: what begins the ids of all attempts, with a hyphen behind it.
    :param life: of this try.
    :param attempt_id: the id of the Batch task that this try makes.
    :param task: the body of the task but for its id.
    :param job: the body of the job but for its id.
    :param is_many: whether it is many tasks, whose keys begin with ``key``.
    """

    base: str
    key: str
    life: str
    attempt_id: str
    task: Mapping[str, Any]
    job: Mapping[str, Any]
    is_users: bool = False
    is_many: bool = False

    def job_id(self, number: int) -> str:
        """The id of its job of that number, from 1 on."""
        return self.base if self.is_users else f"{self.base}-{number}"


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the task is; ``how`` says whether it was submitted now, ran already, or had succeeded."""

    job_id: str
    task_id: str
    how: Literal["submitted", "attached", "taken"]


@dataclass(frozen=True, slots=True)
class NotYet:
    """Nothing was submitted: why, in words. It is to be tried again in a while."""

    text: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """What there is of a work already.

    :param attempts: all under its key.
    :param last: the number of its last job; 0 where there is none.
    :param is_open: whether that one takes tasks.
    :param endless: the jobs that would never end, as whoever made them was lost before they were told to.
    """

    attempts: Sequence[Attempt] = ()
    last: int = 0
    is_open: bool = True
    endless: Sequence[str] = ()

    @property
    def number(self) -> int:
        """The number of the job to which to add tasks."""
        return max(1, self.last if self.is_open else self.last + 1)


# --- beginning ---------------------------------------------------------------------------------------------


def submit(work: Work, *, is_first: bool) -> Flow[Placed | NotYet]:
    """Submit a task, unless an attempt of the same life runs or has succeeded.

    :param is_first: whether no try has come before, so that there can be nothing to be found.
    :raises ServiceError: what Azure refuses.
    """
    earlier = Earlier()
    if not is_first:
        earlier = yield from read_attempts(work)
        choice = choose(work.life, earlier.attempts)
        for attempt in choice.to_end:
            yield from end_task(attempt.job.id, attempt.task.id)
        if choice.to_end:
            named = ", ".join(f"{one.task.id} of job {one.job.id}" for one in choice.to_end)
            return NotYet(f"what was begun before the task was cleared is ended first: {named}")
        if (found := choice.attempt) is not None:
            how: Literal["attached", "taken"] = "taken" if found.task.is_completed else "attached"
            yield from have_them_end(earlier.endless)
            return Placed(found.job.id, found.task.id, how)
    placed = yield from _place_anew(work, earlier.number)
    if isinstance(placed, Placed):
        yield from have_them_end(earlier.endless)
    return placed


def _place_anew(work: Work, number: int) -> Flow[Placed | NotYet]:
    """Add the task to the first job from that number on that takes it."""
    for _ in range(_MOST_JOBS):
        placed = yield from _place(work, work.job_id(number))
        if placed is not None:
            return placed
        job_id, number = work.job_id(number), (yield from next_number(work, number))
    raise ConflictError(f"Could not add task {work.attempt_id}: job {job_id} takes no more tasks")


def next_number(work: Work, number: int) -> Flow[int]:
    """The number of the job to add to after one that takes no more: of the last, if that takes any.

    Tasks that end sooner than others are submitted leave many such jobs behind.

    :param number: of the one that takes no more.
    """
    found = yield from numbered_jobs(work.base)
    last = max(found, default=0)
    return max(number + 1, last if last and found[last].takes_tasks else last + 1)


def read_attempts(work: Work) -> Flow[Earlier]:
    """All attempts under its key, and the jobs that they are in."""
    found: list[Attempt] = []
    last, is_open, endless = 0, True, []
    numbered = {}
    if not work.is_users:
        numbered = yield from numbered_jobs(work.base)
    else:
        with contextlib.suppress(NotFoundError):
            numbered = {1: read_job((yield from jobs.get_job(work.base, select=JOB_MEMBERS)))}
    for number, job in numbered.items():
        if job.state == "deleting":
            continue
        try:
            tasks = yield from jobs.list_tasks(job.id, f"{work.key}-", select=TASK_MEMBERS)
        except NotFoundError:
            continue
        found += attempts_of(work.key, job, map(read_task, tasks), is_many=work.is_many)
        if number >= last:
            last, is_open = number, job.takes_tasks
        if job.takes_tasks and not (job.ends_by_itself or work.is_users):
            endless.append(job.id)
    return Earlier(found, last, is_open, endless)


def _place(work: Work, job_id: str) -> Flow[Placed | NotYet | None]:
    """Add the task to a job, which is made if need be; None if the job takes no more."""
    try:
        try:
            yield from jobs.create_task(job_id, work.attempt_id, work.task)
        except NotFoundError:
            if (not_yet := (yield from make_job(job_id, work.job))) is not None:
                return not_yet
            yield from jobs.create_task(job_id, work.attempt_id, work.task)
            if not work.is_users:
                # Not before it has a task: without one it would end at once.
                yield from have_it_end(job_id)
    except ConflictError as refusal:
        if refusal.code == "TaskExists":
            # By this very try: the answer was lost, and the request repeated.
            return Placed(job_id, work.attempt_id, "attached")
        if refusal.code in ENDED:
            found = yield from _placed_before(work, job_id)
            if found is not None or not work.is_users:
                return found
        raise
    return Placed(job_id, work.attempt_id, "submitted")


def _placed_before(work: Work, job_id: str) -> Flow[Placed | None]:
    """Where this very try has put the task, if the answer was lost and the job has ended meanwhile."""
    try:
        yield from jobs.get_task(job_id, work.attempt_id, select=TASK_MEMBERS)
    except NotFoundError:
        return None
    return Placed(job_id, work.attempt_id, "attached")


def make_job(job_id: str, body: Mapping[str, Any]) -> Flow[NotYet | None]:
    """Make a job, unless somebody else was as quick; why it was not made, where that may pass."""
    try:
        yield from jobs.create_job(job_id, body)
    except ConflictError as refusal:
        if refusal.code == _QUOTA:
            return NotYet(refusal.reason)
        if refusal.code != "JobExists":
            raise
    return None


def have_it_end(job_id: str) -> Flow[None]:
    """Have a job end with its tasks; where that does not succeed, a look at the job does it later."""
    try:
        yield from jobs.end_job_with_its_tasks(job_id)
    except ServiceError:
        return


def have_them_end(job_ids: Iterable[str]) -> Flow[None]:
    """``have_it_end`` for several."""
    for job_id in job_ids:
        yield from have_it_end(job_id)


def end_attempts(work: Work) -> Flow[int]:
    """End all that has not ended under the key, of whatever life; how many there were."""
    earlier = yield from read_attempts(work)
    ended = 0
    for attempt in earlier.attempts:
        if not attempt.task.is_completed:
            ended += yield from end_task(attempt.job.id, attempt.task.id)
    yield from have_them_end(earlier.endless)
    return ended


def end_placed(job_id: str, task_id: str, *, is_users: bool) -> Flow[bool]:
    """End a task that was submitted; whether there was something to be ended.

    :param is_users: whether the job is the user's own; another ends with its tasks, also where nobody has
        come to tell it so.
    """
    ended = yield from end_task(job_id, task_id)
    if ended and not is_users:
        yield from have_it_end(job_id)
    return ended


# --- looking -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look.

    :param prefix: how the ids of the tasks begin that are looked at.
    :param is_users: whether the job is the user's own.
    """

    job_id: str
    pool_id: str
    prefix: str = ""
    is_users: bool = False


def look_at_task(place: Place, task_id: str, *, whole: bool) -> Flow[TasksSeen]:
    """Look at one task; nothing that Azure says raises.

    :param whole: look at the job too, and, where the task waits for a node, at the pool.
    """
    return _guarded(_at_task(place, task_id, whole))


def look_at_job(place: Place, *, whole: bool) -> Flow[TasksSeen]:
    """Look at all the tasks there; nothing that Azure says raises."""
    return _guarded(_at_job(place, whole))


def end_task(job_id: str, task_id: str) -> Flow[bool]:
    """End a task; whether there was something to be ended."""
    try:
        yield from jobs.terminate_task(job_id, task_id)
    except NotFoundError:
        return False
    except ConflictError as refusal:
        if refusal.code in {"TaskCompleted", *ENDED}:
            return False
        raise
    return True


def _guarded(flow: Flow[TasksSeen]) -> Flow[TasksSeen]:
    try:
        return (yield from flow)
    except ServiceError as error:
        if isinstance(error, AccessRefusedError):
            return TasksSeen(refused=str(error))
        return TasksSeen(problem=error.reason, retry_after=error.retry_after)
    except BatchextError as error:
        return TasksSeen(refused=str(error))


def _at_task(place: Place, task_id: str, whole: bool) -> Flow[TasksSeen]:
    def read() -> Flow[dict[str, TaskSeen]]:
        try:
            body = yield from jobs.get_task(place.job_id, task_id, select=TASK_MEMBERS)
        except NotFoundError:
            return {}
        return {task_id: read_task(body)}

    return _at_tasks(place, read, whole)


def _at_job(place: Place, whole: bool) -> Flow[TasksSeen]:
    def read() -> Flow[dict[str, TaskSeen]]:
        bodies = yield from jobs.list_tasks(place.job_id, place.prefix, select=TASK_MEMBERS)
        return {task.id: task for task in map(read_task, bodies)}

    return _at_tasks(place, read, whole)


def _at_tasks(place: Place, read: Callable[[], Flow[dict[str, TaskSeen]]], whole: bool) -> Flow[TasksSeen]:
    """What they are like, their job and their pool; what ends them is believed of what is read after it only.

    They may have run, and ended, between two requests.
    """
    try:
        tasks = yield from read()
        if not whole or all(task.is_completed for task in tasks.values()):
            return TasksSeen(tasks)
        job = read_job((yield from jobs.get_job(place.job_id, select=JOB_MEMBERS)))
        if not job.takes_tasks:
            tasks = yield from read()
        elif not job.ends_by_itself and not place.is_users:
            yield from have_it_end(place.job_id)
        if not any(task.state in WAITING_STATES for task in tasks.values()):
            return TasksSeen(tasks, job)
        pool = yield from look_at_pool(place.pool_id, [place.job_id] if job.prepares else [])
        if pool.is_gone:
            tasks = yield from read()
    except NotFoundError:
        return TasksSeen(is_gone=f"job {place.job_id} does not exist any more")
    return TasksSeen(tasks, job, is_gone=pool.is_gone, why=pool.why, is_final=pool.is_final)


def look_at_pool(pool_id: str, job_ids: Sequence[str] = ()) -> Flow[Hindrance]:
    """That a pool is not there any more, or else why nothing starts there.

    :param job_ids: those of the jobs that wait there, for which nodes have to be prepared.
    """
    try:
        body, nodes, *prepared = yield AtOnce(
            [
                pools.get_pool(pool_id, select=_POOL_MEMBERS),
                pools.list_nodes(pool_id, select=_NODE_MEMBERS),
                *map(_preparations, job_ids),
            ]
        )
    except NotFoundError:
        return Hindrance(is_gone=f"pool {pool_id} does not exist any more")
    pool = read_pool(body)
    if pool.state == "deleting":
        return Hindrance(is_gone=f"pool {pool_id} is being deleted")
    preparations = prepared[-1] if prepared else []
    return why_nothing_starts(pool, map(read_node, nodes), preparations)


def _preparations(job_id: str) -> Flow[list[PreparationSeen]]:
    """How the nodes are prepared for a job; nothing where we may not know, or the job is gone."""
    try:
        bodies = yield from jobs.list_preparations(job_id, select=PREPARATION_MEMBERS)
    except (AccessRefusedError, ConflictError, NotFoundError):
        return []
    return [read_preparation(body) for body in bodies]
