"""Make a job that several share, and end it: flows, for a hook to run sync or async."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch.work import JobSeen, read_job
from airflow_batchext.exceptions import ConflictError, NotFoundError
from airflow_batchext.hooks import _job_requests as jobs
from airflow_batchext.hooks._drivers.numbered_jobs import MEMBERS, numbered_jobs
from airflow_batchext.hooks._drivers.work import ENDED

if TYPE_CHECKING:
    from airflow_batchext.hooks._requests import Flow

#: So many jobs may have been made, and have ended, since the list was read.
_MOST_JOBS = 50


@dataclass(frozen=True, slots=True)
class Opened:
    """A job that takes tasks, and whether it was made just now."""

    job_id: str
    is_new: bool


def open_job(prefix: str, pool_id: str, body: Mapping[str, Any]) -> Flow[Opened]:
    """Find the job of a prefix that takes tasks, or make the next one.

    :param body: of the job, but for its id.
    :raises ConflictError: if that job is on another pool, or the account has too many.
    """
    found = yield from numbered_jobs(prefix)
    for _, job in sorted(found.items(), reverse=True):
        if job.takes_tasks:
            return _there(job, pool_id)
    last = max(found, default=0)
    for number in range(last + 1, last + 1 + _MOST_JOBS):
        job_id = f"{prefix}-{number}"
        try:
            yield from jobs.create_job(job_id, body)
        except ConflictError as refusal:
            if refusal.code in ENDED:
                continue
            if refusal.code != "JobExists":
                raise
            # Its answer was lost and the request repeated, or the list was older than the job.
            try:
                job = read_job((yield from jobs.get_job(job_id, select=MEMBERS)))
            except NotFoundError:
                continue
            if job.takes_tasks:
                return _there(job, pool_id)
            continue
        return Opened(job_id, is_new=True)
    raise ConflictError(f"Could not make a job: {job_id} and {_MOST_JOBS - 1} before it are there")


def end_jobs(job_id: str | None, prefix: str | None) -> Flow[list[str]]:
    """End a job, and all of a prefix, that have not ended; which those were.

    :param job_id: one that lists need not show yet.
    """
    wanted = [] if job_id is None else [job_id]
    if prefix is not None:
        found = yield from numbered_jobs(prefix)
        wanted += [job.id for _, job in sorted(found.items()) if job.takes_tasks]
    ended: dict[str, str] = {}
    for each in wanted:
        if each.lower() in ended:
            continue
        if (yield from end_job(each)):
            ended[each.lower()] = each
    return list(ended.values())


def end_job(job_id: str) -> Flow[bool]:
    """End a job with all that is in it; whether there was something to be ended."""
    try:
        yield from jobs.terminate_job(job_id, "EndedByAirflow")
    except NotFoundError:
        return False
    except ConflictError as refusal:
        if refusal.code in ENDED:
            return False
        raise
    return True


def _there(job: JobSeen, pool_id: str) -> Opened:
    if job.pool_id.lower() != pool_id.lower():
        on = job.pool_id or "?"
        raise ConflictError(f"Job {job.id} is there already, but on pool {on}, not on {pool_id}")
    return Opened(job.id, is_new=False)
