"""What runs on a pool: its jobs that have not ended, and how many tasks of each are how far.

Bounded: the list of jobs, and a request for each of the first of them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.batch.work import JobWork, read_job_work
from airflow_batchext.exceptions import AccessRefusedError, NotFoundError, ServiceError
from airflow_batchext.hooks import _job_requests as jobs
from airflow_batchext.hooks._requests import AtOnce

if TYPE_CHECKING:
    from airflow_batchext.hooks._requests import Body, Flow

#: Of so many jobs the tasks are counted, so many at the same time.
MOST_JOBS, _AT_ONCE = 20, 4


@dataclass(frozen=True, slots=True)
class PoolWork:
    """What runs on a pool.

    :param jobs: those that have not ended, the newest first as far as that is told.
    :param more: how many there are beyond these.
    :param problem: why it could not be read, or not all of it; "" where it was.
    """

    jobs: tuple[JobWork, ...] = ()
    more: int = 0
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        return asdict(self)


def read_pool_work(pool_id: str) -> Flow[PoolWork]:
    """What runs on a pool; nothing that Azure says raises."""
    try:
        bodies = yield from jobs.list_open_jobs(pool_id, select=("id", "state", "creationTime"))
    except ServiceError as error:
        return PoolWork(problem=_why(error))
    bodies.sort(key=lambda body: str(body.get("creationTime") or ""), reverse=True)
    first, read = bodies[:MOST_JOBS], list[JobWork]()
    problem = ""
    for start in range(0, len(first), _AT_ONCE):
        part = first[start : start + _AT_ONCE]
        counted = yield AtOnce([_counts(str(body.get("id") or "")) for body in part])
        for body, counts in zip(part, counted, strict=True):
            problem = problem or (counts if isinstance(counts, str) else "")
            read.append(read_job_work(body, None if isinstance(counts, str) else counts))
    return PoolWork(tuple(read), len(bodies) - len(first), problem)


def _counts(job_id: str) -> Flow[Body | str]:
    """How many tasks of a job are how far; or why that could not be read."""
    try:
        return (yield from jobs.get_task_counts(job_id))
    except NotFoundError:
        return ""
    except ServiceError as error:
        return _why(error)


def _why(error: ServiceError) -> str:
    # A refusal says which right is missing.
    return one_line(str(error) if isinstance(error, AccessRefusedError) else error.reason, 1000)
