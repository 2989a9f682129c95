"""What the steps of work on a pool need of its operator."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from airflow_batchext.operators._steps.task_output import Logs


class TaskParameters(Protocol):
    """Its parameters, which say the same."""

    task_id: str
    pool_id: str | None
    command_line: str | None
    max_failed: int
    job_id: str | None
    start_timeout: float | None
    max_retries: int
    skip_on_exit_code: tuple[int, ...]
    fail_on_exit_code: tuple[int, ...]
    soft_fail: bool
    on_killed: Literal["terminate", "leave"]
    on_finish: Literal["keep", "delete_succeeded", "delete"]
    requires_ready: bool
    result: str | None
    logs: Logs
    logs_interval: float
    azure_batchext_conn_id: str
    poll_interval: float
    timeout: float
    execution_timeout: timedelta | None
    deferrable: bool
    end_from_trigger: bool

    @property
    def tasks(self) -> Any:
        """Many tasks, as a list of texts and dicts; or None."""

    @property
    def environment(self) -> Any:
        """The environment variables, as a dict."""

    @property
    def task_document(self) -> Any:
        """More members of the Batch task, as a dict."""

    @property
    def node_check(self) -> Any:
        """A command line, or members of a preparation task; or None."""

    @property
    def log(self) -> Any:
        """The task's log."""


#: What a success in the triggerer leaves out, by the attributes of the task (Airflow 3.3.2).
_LEFT_OUT = ("outlets", "on_success_callback", "_post_execute_hook", "multiple_outputs", "result")


def left_to_a_worker(operator: TaskParameters) -> bool:
    """Whether a worker has something to do when the Batch task has succeeded."""
    is_silent = not getattr(operator, "do_xcom_push", True)
    return (
        is_silent or operator.on_finish != "keep" or any(getattr(operator, name, None) for name in _LEFT_OUT)
    )
