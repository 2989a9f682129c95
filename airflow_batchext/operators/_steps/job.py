"""Make a job for the tasks of several operators, and end it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from airflow_batchext.concealment import reveal
from airflow_batchext.exceptions import UnavailableError
from airflow_batchext.hooks._drivers.jobs import end_jobs, open_job
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.operators._steps.task_document import job_document, refuse_secrets
from airflow_batchext.parameters import check_mapping, check_pool_id, optional, wrong
from airflow_batchext.parameters.work import check_job_prefix

if TYPE_CHECKING:
    from airflow_batchext.hooks._requests import Call, Result

#: Seconds before it is asked again; more where the service asks for it, up to the last of them.
_PAUSES = (2.0, 10.0, 60.0)
#: So long may a job be there that nobody ends: its teardown may never run.
_LONGEST = "P7D"
_OURS = {
    "id": "its id is made of the prefix",
    "poolInfo": "give the pool as pool_id",
    "onAllTasksComplete": "the job ends when it is told to, not between two of its tasks",
}


class CreateJobParameters(Protocol):
    """What is needed of the operator that makes a job."""

    pool_id: str
    prefix: str
    azure_batchext_conn_id: str

    @property
    def job_document(self) -> Any:
        """More members of the job."""

    @property
    def log(self) -> Any:
        """The task's log."""


class EndJobParameters(Protocol):
    """What is needed of the operator that ends jobs."""

    job_id: str | None
    prefix: str | None
    azure_batchext_conn_id: str

    @property
    def log(self) -> Any:
        """The task's log."""


def create(operator: CreateJobParameters) -> dict[str, Any]:
    """Make the job, or find it; the operator's XCom."""
    pool_id, prefix = check_pool_id(operator.pool_id), check_job_prefix("prefix", operator.prefix)
    body = _document(pool_id, reveal(operator.job_document or {}))
    with AzureBatchJobHook(operator.azure_batchext_conn_id) as hook:
        opened = _asked(hook, lambda: open_job(prefix, pool_id, body))
    words = "is made" if opened.is_new else "is there already, and is used"
    operator.log.info("Job %s on pool %s %s", opened.job_id, pool_id, words)
    return {"pool_id": pool_id, "job_id": opened.job_id}


def end(operator: EndJobParameters) -> dict[str, Any]:
    """End the jobs; the operator's XCom."""
    if operator.job_id is None and operator.prefix is None:
        # As a template may have been rendered to nothing.
        raise wrong("Give job_id or prefix: which job is to be ended.")
    with AzureBatchJobHook(operator.azure_batchext_conn_id) as hook:
        ended = _asked(hook, lambda: end_jobs(operator.job_id, operator.prefix))
    operator.log.info("Ended: %s", ", ".join(ended) if ended else "none, as all had ended before")
    return {"job_ids": ended}


def _asked(hook: AzureBatchJobHook, call: Callable[[], Call[Result]]) -> Result:
    """The result of a call that can be repeated, also where an answer was lost."""
    for pause in _PAUSES:
        try:
            return hook.run(call())
        except UnavailableError as error:
            time.sleep(max(pause, min(error.retry_after or 0.0, _PAUSES[-1])))
    return hook.run(call())


def _document(pool_id: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the job, but for its id.

    :raises ParameterError: if a member cannot be used, or there is a secret in it.
    """
    for name in more:
        if name in _OURS:
            raise wrong(f"job_document has {name}, but {_OURS[name]}.")
    refuse_secrets(more, "job")
    ours = job_document(pool_id)
    limits = optional(check_mapping)("constraints of job_document", more.get("constraints")) or {}
    metadata = more.get("metadata") or []
    if not isinstance(metadata, (list, tuple)):
        raise wrong("metadata of job_document is no list.")
    return {
        **ours,
        **more,
        "constraints": {"maxWallClockTime": _LONGEST, **limits},
        "metadata": [*ours["metadata"], *metadata],
    }
