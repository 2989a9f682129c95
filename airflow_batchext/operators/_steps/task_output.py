"""What a Batch task writes, in the log of the Airflow task; it never fails it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_batchext.rules.task_output import END_BYTES, MOST_REST_BYTES
from airflow_batchext.transport import within
from airflow_batchext.triggers._task_output import LIVE_SECONDS, REST_SECONDS, TaskOutput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_batchext.batch.work import TaskSeen
    from airflow_batchext.hooks.job import AzureBatchJobHook

Logs = Literal["stream", "end", "none"]
#: How many bytes of a file are read at most when the task has ended, and are not in the log yet.
REST_BYTES: dict[Logs, int] = {"stream": MOST_REST_BYTES, "end": END_BYTES, "none": 0}


class OutputLog:
    """What a Batch task writes, on the worker.

    :param log: the Airflow task's.
    :param logs: as the operator has it.
    :param interval: seconds between two looks while the task runs.
    :param kept: how far a trigger has read it.
    """

    def __init__(self, log: Any, logs: Logs, interval: float, kept: Mapping[str, Any] | None = None) -> None:
        self._logs = logs
        self._output = TaskOutput(log, interval, kept)

    def follow(self, hook: AzureBatchJobHook, job_id: str, task: TaskSeen | None) -> None:
        """Write what is new into the log, if it is time for that."""
        is_due = self._logs == "stream" and not self._output.wait
        if is_due and task is not None and task.state == "running":
            with within(LIVE_SECONDS):
                self._output.tell(task, hook.run(self._output.read(job_id, task)))

    def finish(self, hook: AzureBatchJobHook, job_id: str, task: TaskSeen | None, left: float) -> None:
        """Write the rest into the log, or the end of it.

        :param left: seconds until the Airflow task has to be over.
        """
        most = REST_BYTES[self._logs]
        if not most or task is None or not task.started:
            return
        with within(min(REST_SECONDS, max(1.0, left))):
            look = hook.run(self._output.read_rest(job_id, task, most))
        self._output.tell(task, look, is_last=True)
