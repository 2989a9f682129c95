"""Submit many Batch tasks, look at them, and end them: flows, for a hook to run sync or async.

``rules.work_items`` says what an answer means; here is in which order is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.batch.work import JOB_MEMBERS, TASK_MEMBERS, JobSeen, TaskSeen, read_job, read_task
from airflow_batchext.exceptions import (
    AccessRefusedError,
    BatchextError,
    ConflictError,
    NotFoundError,
    ServiceError,
)
from airflow_batchext.hooks import _job_requests as jobs
from airflow_batchext.hooks._drivers.jobs import end_job
from airflow_batchext.hooks._drivers.work import (
    ENDED,
    NotYet,
    end_task,
    have_it_end,
    have_them_end,
    look_at_pool,
    make_job,
    read_attempts,
)
from airflow_batchext.hooks._requests import Aside, AtOnce
from airflow_batchext.loose_json.values import as_name, as_word, below
from airflow_batchext.rules.deadline import StartLimit
from airflow_batchext.rules.work import WAITING_STATES, Stage, unstarted_text
from airflow_batchext.rules.work_items import Tally, counted_text, is_settled
from airflow_batchext.rules.work_pool import Hindrance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_batchext.hooks._drivers.work import Work
    from airflow_batchext.hooks._requests import Flow
    from airflow_batchext.rules.work import Attempt

#: Tasks that one request adds; requests that are sent at the same time.
PER_REQUEST, AT_ONCE = 100, 4
#: Tasks that are ended at the same time, where their job is not ended: ten thousand have to end in a minute.
ENDED_AT_ONCE = 16
_TOO_LARGE = "RequestBodyTooLarge"

#: So many tasks are on a page; of more the whole list is read each so many looks. The jobs, and the pool
#: where something waits for a node, are looked at each so many looks.
_ON_PAGE, _WHOLE_EVERY, _JOBS_EVERY = 1000, 10, 4
_LATE_LOOKS = 2
#: How a wait ends in which none of them goes on any more.
SETTLED = "settled"

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Added:
    """What came of adding tasks: those that were not, and why."""

    left: tuple[Body, ...] = ()
    problem: str = ""
    has_ended: bool = False


def add_tasks(work: Work, job_id: str, bodies: Sequence[Body]) -> Flow[tuple[Sequence[Body], str | NotYet]]:
    """Add tasks to a job, which is made if need be; those that were not added, and why.

    None is added twice: what is in the job counts as added. Where the reason is "", the job takes no more.

    :param bodies: with their ids.
    """
    try:
        first = yield from _add(job_id, bodies[:PER_REQUEST])
    except NotFoundError:
        if (not_yet := (yield from make_job(job_id, work.job))) is not None:
            return bodies, not_yet
        first = yield from _add(job_id, bodies[:PER_REQUEST])
    parts = list(_parts(bodies[PER_REQUEST:]))
    added = [first]
    if first.has_ended:
        added += [_Added(tuple(part), has_ended=True) for part in parts]
    else:
        for start in range(0, len(parts), AT_ONCE):
            added += yield AtOnce([_add(job_id, part) for part in parts[start : start + AT_ONCE]])
    left = [body for each in added for body in each.left]
    problems = [each.problem for each in added if each.problem]
    if problems:
        return left, NotYet(problems[0])
    if left:
        # They may be there, if the answer to the request that added them was lost.
        there = yield from _there(work, job_id)
        left = [body for body in left if body["id"].lower() not in there]
    if left and work.is_users:
        raise ConflictError(f"Could not add {len(left)} tasks: job {job_id} takes no more tasks")
    return left, ""


def _there(work: Work, job_id: str) -> Flow[frozenset[str]]:
    """The ids of its tasks in a job, in lower case; none where that is gone."""
    try:
        known = yield from jobs.list_tasks(job_id, f"{work.key}-", select=("id",))
    except NotFoundError:
        return frozenset()
    return frozenset(as_name(body.get("id")).lower() for body in known)


def _parts(bodies: Sequence[Body]) -> Iterator[Sequence[Body]]:
    for start in range(0, len(bodies), PER_REQUEST):
        yield bodies[start : start + PER_REQUEST]


def _add(job_id: str, bodies: Sequence[Body]) -> Flow[_Added]:
    if not bodies:
        return _Added()
    try:
        results = (yield from jobs.create_tasks(job_id, bodies))["value"]
    except ConflictError as refusal:
        if refusal.code in ENDED:
            return _Added(tuple(bodies), has_ended=True)
        raise
    except ServiceError as refusal:
        if refusal.code != _TOO_LARGE or len(bodies) == 1:
            raise
        half = len(bodies) // 2
        first, second = (yield from _add(job_id, bodies[:half])), (yield from _add(job_id, bodies[half:]))
        return _Added(first.left + second.left, first.problem or second.problem, second.has_ended)
    told = {as_name(below(result, "taskId")).lower(): result for result in results}
    left, problem, has_ended = [], "", False
    for body in bodies:
        result = told.get(body["id"].lower())
        code = as_name(below(result, "error", "code"))
        status = as_word(below(result, "status"))
        if status == "success" or code == "TaskExists":
            continue
        text = one_line(f"{code}: {as_name(below(result, 'error', 'message', 'value'))}")
        if status == "clienterror" and code not in ENDED:
            raise ServiceError(f"Could not add task {body['id']} to job {job_id}: {text}", code=code)
        left.append(body)
        if code in ENDED:
            has_ended = True
        else:
            problem = f"task {body['id']} was not added: {text if result else 'nothing is said of it'}"
    return _Added(tuple(left), problem, has_ended)


# --- looking -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JobLook:
    """The tasks of one job, as a look has seen them; and the job, where it was looked at."""

    job_id: str
    tasks: Sequence[TaskSeen]
    job: JobSeen | None = None


@dataclass(frozen=True, slots=True)
class ItemsLook:
    """A look at many tasks.

    :param jobs: where they are; one that is gone has no tasks.
    :param is_gone: that the pool is not there any more, in words.
    :param why: why nothing starts, in words, where it was asked.
    :param is_final: whether, as things are, nothing ever will.
    :param problem: why nothing was read, where that may pass.
    :param refused: why nothing can be read.
    :param retry_after: seconds for which the service wants to be left alone.
    """

    jobs: Sequence[JobLook] = ()
    is_gone: str = ""
    why: str = ""
    is_final: bool = False
    problem: str = ""
    refused: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class ItemsPlace:
    """Where many tasks are.

    :param job_ids: in which jobs.
    :param pool_id: on which pool.
    :param key: what the keys of all of them begin with.
    :param is_users: whether the job is the user's own.
    """

    job_ids: tuple[str, ...]
    pool_id: str
    key: str
    is_users: bool = False


class ItemsWatch:
    """What a wait for many tasks remembers between two looks.

    :param place: where they are.
    :param life: the one that counts.
    :param count: how many there are.
    :param start: until when the first of them has to have started; None for whenever.
    :param over: how many in these jobs were over already when the wait began: they are no start.
    """

    def __init__(
        self, place: ItemsPlace, life: str, count: int, start: StartLimit | None = None, over: int = 0
    ) -> None:
        self.start, self._over = start or StartLimit(0.0, lambda: 0.0), over
        self._place, self._count = place, count
        self._tally = Tally(place.key, life, count)
        #: How many are in each state, as far as the looks so far have seen.
        self.states: Mapping[str, int] = {}
        self._looks = self._without = 0
        self._are_all = True
        self._is_waiting = False
        self._is_late = False

    def look(self, *, is_last: bool) -> Flow[ItemsLook]:
        """Look at them; nothing that Azure says raises.

        A list of more than a page is read whole now and then, else what has changed since the last look.
        """
        self._is_late = self.start.has_passed
        is_last |= self._is_late
        self._are_all = is_last or self._count <= _ON_PAGE or self._looks % _WHOLE_EVERY == 0
        whole = is_last or self._looks % _JOBS_EVERY == 0
        since = "" if self._are_all else self._tally.since()
        try:
            return (yield from self._read(since, whole))
        except ServiceError as error:
            if isinstance(error, AccessRefusedError):
                return ItemsLook(refused=str(error))
            return ItemsLook(problem=error.reason, retry_after=error.retry_after)
        except BatchextError as error:
            return ItemsLook(refused=str(error))

    def take(self, look: ItemsLook) -> tuple[str, str]:
        """What a look comes to: how the wait has ended, or "", and how they stand, in words."""
        if look.refused:
            return Stage.REFUSED.value, look.refused
        if look.problem:
            return "", f"not looked at: {look.problem}"
        self._looks += 1
        for seen in look.jobs:
            self._tally.take(seen.job_id, seen.tasks, are_all=self._are_all, job=seen.job)
        states = self._tally.states()
        text, self.states = counted_text(states), dict(states)
        self._is_waiting = any(states[state] for state in WAITING_STATES)
        self.start.has_started |= self._tally.started() > self._over
        if self._is_waiting and look.is_gone:
            return Stage.LOST.value, f"{text}; {look.is_gone}"
        if states["active"] and look.is_final and not (states["running"] or states["preparing"]):
            return Stage.UNSTARTED.value, f"{text}; {look.why}"
        unseen = states.pop("unseen", 0)
        # Lists may be older than the tasks; of what stays unseen the operator finds out more.
        self._without = self._without + 1 if unseen and is_settled(states) else 0
        if is_settled(states) and (not unseen or self._without > _LATE_LOOKS):
            return SETTLED, text
        text = f"{text}; {look.why}" if look.why else text
        is_unstarted = self._is_late and not self.start.has_started
        return (Stage.UNSTARTED.value, unstarted_text(text)) if is_unstarted else ("", text)

    def _read(self, since: str, whole: bool) -> Flow[ItemsLook]:
        seen, pool = (yield from self._read_jobs(since, whole)), Hindrance()
        if whole and self._is_waiting:
            # Of several jobs the last one takes what is to come.
            preparing = [one.job_id for one in seen if one.job and one.job.prepares and one.job.takes_tasks]
            pool = yield from look_at_pool(self._place.pool_id, preparing[-1:])
        if pool.is_gone:
            # They may have ended before it went.
            seen = yield from self._read_jobs(since, whole)
        return ItemsLook(seen, pool.is_gone, pool.why, pool.is_final)

    def _read_jobs(self, since: str, whole: bool) -> Flow[list[JobLook]]:
        seen = []
        for job_id in self._place.job_ids:
            job = None
            try:
                if whole:
                    job = read_job((yield from jobs.get_job(job_id, select=JOB_MEMBERS)))
                key = f"{self._place.key}-"
                bodies = yield from jobs.list_tasks(job_id, key, since=since, select=TASK_MEMBERS)
            except NotFoundError:
                seen.append(JobLook(job_id, (), JobSeen(job_id, "deleting")))
                continue
            if job is not None and job.takes_tasks and not job.ends_by_itself and not self._place.is_users:
                yield from have_it_end(job_id)
            seen.append(JobLook(job_id, (yield from Aside(partial(_read, bodies))), job))
        return seen


def _read(bodies: Sequence[Body]) -> tuple[TaskSeen, ...]:
    return tuple(map(read_task, bodies))


# --- ending ------------------------------------------------------------------------------------------------


def end_items(work: Work, *, is_alone: bool) -> Flow[int]:
    """End all that has not ended under the key, of whatever life; how many there were.

    :param is_alone: whether there is nothing else in its jobs.
    """
    earlier = yield from read_attempts(work)
    ended = yield from end_attempts_of(earlier.attempts, is_alone=is_alone)
    yield from have_them_end(earlier.endless)
    return ended


def end_attempts_of(attempts: Sequence[Attempt], *, is_alone: bool) -> Flow[int]:
    """End those that have not ended; how many there were.

    :param is_alone: whether there is nothing else in their jobs, so that these can be ended.
    """
    live = [one for one in attempts if not (one.task.is_completed or one.will_never_run)]
    if is_alone:
        for job_id in dict.fromkeys(one.job.id for one in live):
            yield from end_job(job_id)
        return len(live)
    # Those without a node first: the others would leave theirs to them.
    live.sort(key=lambda one: one.task.state != "active")
    told = yield AtOnce(
        [_end_each(live[lane::ENDED_AT_ONCE]) for lane in range(min(ENDED_AT_ONCE, len(live)))]
    )
    problems = [problem for each in told for problem in each]
    if problems:
        raise problems[0]
    return len(live)


def _end_each(attempts: Sequence[Attempt]) -> Flow[list[ServiceError]]:
    """End them one after the other; what Azure refused keeps none from being asked for."""
    problems = []
    for one in attempts:
        try:
            yield from end_task(one.job.id, one.task.id)
        except ServiceError as problem:
            problems.append(problem)
    return problems
