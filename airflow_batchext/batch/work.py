"""What Azure Batch says of jobs and their tasks, as values; nothing is judged here.

Pure. Nothing is taken for granted: what is missing, or of another kind, reads as if it were not there.

Source: Batch data plane, operations ``Jobs_GetJob``, ``Jobs_ListJobPreparationAndReleaseTaskStatus``,
``Tasks_GetTask``, ``Tasks_ListTasks``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch.data_plane import epoch_seconds, one_line
from airflow_batchext.loose_json.values import as_mapping, as_name, as_number, as_sequence, as_word, below

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What to ask for of a task in a list.
TASK_MEMBERS = ("id", "state", "stateTransitionTime", "executionInfo", "nodeInfo")
#: The same of a job.
JOB_MEMBERS = ("id", "state", "executionInfo", "onAllTasksComplete", "jobPreparationTask")
#: The same of what prepares the nodes for a job.
PREPARATION_MEMBERS = ("nodeId", "jobPreparationTaskExecutionInfo")


@dataclass(frozen=True, slots=True)
class TaskSeen:
    """A task of a job; its state and result in lower case, "" where the service said nothing.

    :param failure: why it failed, in one line: category, code, message and details.
    :param failure_code: the code alone.
    :param retries: how often Batch has tried it again after an exit code other than 0.
    :param requeues: how often it was given another node.
    """

    id: str
    state: str
    result: str = ""
    exit_code: int | None = None
    failure: str = ""
    failure_code: str = ""
    node_id: str = ""
    since: str = ""
    started: str = ""
    ended: str = ""
    retries: int = 0
    requeues: int = 0

    @property
    def is_completed(self) -> bool:
        """Whether it has come to an end."""
        return self.state == "completed"

    @property
    def seconds(self) -> float | None:
        """How long it ran the last time."""
        started, ended = epoch_seconds(self.started), epoch_seconds(self.ended)
        return None if started is None or ended is None else round(ended - started, 3)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> TaskSeen:
        """It again; what an earlier version did not keep has its default."""
        return cls(**{field.name: kept[field.name] for field in fields(cls) if field.name in kept})


@dataclass(frozen=True, slots=True)
class JobSeen:
    """A job.

    :param ends_by_itself: whether it ends with the last of its tasks.
    :param prepares: whether a node has to be prepared for it before it takes any of its tasks.
    :param pool_id: where it runs; "" where that was not asked.
    """

    id: str
    state: str
    reason: str = ""
    ends_by_itself: bool = False
    prepares: bool = False
    pool_id: str = ""

    @property
    def takes_tasks(self) -> bool:
        """Whether tasks can be added to it."""
        return self.state not in ("terminating", "completed", "deleting")

    @property
    def is_over(self) -> bool:
        """Whether none of its tasks will be given a node any more."""
        return self.state in ("completed", "deleting")


@dataclass(frozen=True, slots=True)
class JobWork:
    """How the tasks of a job stand: how many are in which state; None where that was not read.

    :param active: wait for a node.
    :param running: are prepared on theirs, or run there.
    """

    id: str
    state: str
    active: int | None = None
    running: int | None = None
    succeeded: int | None = None
    failed: int | None = None


def read_job_work(job: object, counts: object | None) -> JobWork:
    """Read the body of a job, and what counts its tasks.

    :param counts: None where that was not read.
    """
    told = below(counts, "taskCounts")
    names = ("active", "running", "succeeded", "failed")
    return JobWork(
        as_name(below(job, "id")),
        as_word(below(job, "state")),
        **{name: as_number(below(told, name)) for name in names},
    )


@dataclass(frozen=True, slots=True)
class PreparationSeen:
    """The preparation task of a job on one node.

    :param is_over: whether it runs no more, and is not tried again.
    :param has_failed: whether it is over and did not succeed.
    :param text: with what it failed, in a line.
    """

    node_id: str
    is_over: bool
    has_failed: bool
    text: str = ""
    ended: str = ""


def read_preparation(body: object) -> PreparationSeen:
    """Read one item of a job's list of preparation and release tasks."""
    info = as_mapping(below(body, "jobPreparationTaskExecutionInfo"))
    exit_code, failure = as_number(info.get("exitCode")), _failure(info)
    is_over = as_word(info.get("state")) == "completed"
    has_failed = is_over and (as_word(info.get("result")) == "failure" or bool(exit_code) or bool(failure))
    told = [] if exit_code is None else [f"exit code {exit_code}"]
    return PreparationSeen(
        node_id=as_name(below(body, "nodeId")),
        is_over=is_over,
        has_failed=has_failed,
        text=", ".join([*told, *filter(None, [failure])]) or "without a word of why",
        ended=as_name(info.get("endTime")),
    )


def _failure(execution: Mapping[str, Any]) -> str:
    """Why a task failed, in one line: category, code, message and details."""
    failure = as_mapping(execution.get("failureInfo"))
    details = (as_mapping(item) for item in as_sequence(failure.get("details"))[:20])
    told = [as_word(failure.get("category")), as_name(failure.get("code")), as_name(failure.get("message"))]
    told += [f"{as_name(item.get('name'))} {as_name(item.get('value'))}" for item in details]
    return one_line(": ".join(filter(None, told))) if failure else ""


def read_task(body: object) -> TaskSeen:
    """Read the body of a task."""
    execution = as_mapping(below(body, "executionInfo"))
    failure = as_mapping(execution.get("failureInfo"))
    return TaskSeen(
        id=as_name(below(body, "id")),
        state=as_word(below(body, "state")),
        result=as_word(execution.get("result")),
        exit_code=as_number(execution.get("exitCode")),
        failure=_failure(execution),
        failure_code=as_name(failure.get("code")),
        node_id=as_name(below(body, "nodeInfo", "nodeId")),
        since=as_name(below(body, "stateTransitionTime")),
        started=as_name(execution.get("startTime")),
        ended=as_name(execution.get("endTime")),
        retries=as_number(execution.get("retryCount")) or 0,
        requeues=as_number(execution.get("requeueCount")) or 0,
    )


def read_job(body: object) -> JobSeen:
    """Read the body of a job."""
    execution = as_mapping(below(body, "executionInfo"))
    scheduling = as_mapping(execution.get("schedulingError"))
    preparation = as_mapping(below(body, "jobPreparationTask"))
    told = (execution.get("terminateReason"), scheduling.get("code"), scheduling.get("message"))
    return JobSeen(
        id=as_name(below(body, "id")),
        state=as_word(below(body, "state")),
        reason=one_line(": ".join(filter(None, map(as_name, told)))),
        ends_by_itself=as_word(below(body, "onAllTasksComplete")) == "terminatejob",
        prepares=bool(preparation) and preparation.get("waitForSuccess") is not False,
        pool_id=as_name(below(body, "poolInfo", "poolId")),
    )
