"""Delete Batch tasks that have ended: a flow, for a hook to run sync or async."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from airflow_batchext.exceptions import ConflictError, NotFoundError
from airflow_batchext.hooks import _job_requests as jobs
from airflow_batchext.hooks._drivers.work import read_attempts
from airflow_batchext.hooks._requests import AtOnce
from airflow_batchext.rules.work import has_succeeded

if TYPE_CHECKING:
    from airflow_batchext.hooks._drivers.work import Work
    from airflow_batchext.hooks._requests import Flow

#: Tasks that are deleted at the same time.
_AT_ONCE = 4


def delete_attempts(
    known: Iterable[tuple[str, str]], work: Work | None, number: int, *, failed_too: bool, are_ended: bool
) -> Flow[int]:
    """Delete tasks that have ended, with their files; how many there were.

    :param known: those that have to go in any case: the job of each, and its id.
    :param work: all attempts of it, as far as they have ended; None where there can be no others.
    :param number: of the try that asks: later ones are no concern of its.
    :param failed_too: whether not only those go that have succeeded.
    :param are_ended: whether all of them have just been ended.
    """
    tasks = dict.fromkeys(known)
    if work is not None:
        for one in (yield from read_attempts(work)).attempts:
            is_over = are_ended or one.task.is_completed or one.will_never_run
            if one.told.number <= number and (has_succeeded(one.task) or (failed_too and is_over)):
                tasks[one.job.id, one.task.id] = None
    yield from _delete_tasks(list(tasks))
    return len(tasks)


def _delete_tasks(tasks: Sequence[tuple[str, str]]) -> Flow[None]:
    for start in range(0, len(tasks), _AT_ONCE):
        yield AtOnce([_delete_task(*each) for each in tasks[start : start + _AT_ONCE]])


def _delete_task(job_id: str, task_id: str) -> Flow[None]:
    try:
        yield from jobs.delete_task(job_id, task_id)
    except NotFoundError:
        return
    except ConflictError as refusal:
        if refusal.code != "JobBeingDeleted":
            raise
