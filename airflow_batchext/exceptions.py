"""Every error that a user of the package can meet, in one tree.

All of them are ``AirflowException``: Airflow honours ``soft_fail`` and ``never_fail`` of a deferred
sensor for these alone. ::

    BatchextError
    ├── ConnectionFieldsError     the Airflow connection lacks fields, or holds unusable ones
    │   └── NoConnectionError     there is none of that name, here at least
    ├── ExecutionTimeoutError     the task's execution_timeout passed (also an AirflowTaskTimeout)
    ├── ParameterError            an operator or sensor was given something unusable
    ├── PoolDocumentError         the pool document is wrong; nothing was sent
    ├── ServiceError              Azure (or the way to it) answered with an error
    │   ├── AccessRefusedError    401, 403, or no token could be had
    │   ├── NotFoundError         404
    │   ├── ConflictError         409, 412
    │   └── UnavailableError      408, 429, 5xx, a lost connection, an unreadable answer: may pass
    ├── GateFailedError           the gate closed: what it waited for cannot come any more
    │   └── GateRefusedError      Azure does not let it look
    ├── GateTimeoutError          the gate's deadline passed (also an AirflowSensorTimeout)
    ├── NodeRepairError           nodes could not be repaired, or not all of them
    ├── PoolConflictError         the pool that exists is not one to do this with; nothing was changed
    ├── ReportError               a report could not be written
    ├── PoolResizeError           a resize ended without the nodes that were asked for
    ├── PoolTimeoutError          a pool was not so far at the deadline
    │   └── DeletionTimeoutError  it was still there
    ├── TaskFailedError           a Batch task failed, or somebody ended it
    ├── TaskLostError             a Batch task was deleted, or its job or pool was, before it had ended
    ├── TaskResultError           a Batch task succeeded, but the result that was asked for cannot be had
    ├── TaskTimeoutError          a Batch task had not ended at the deadline; it was ended then
    └── TriggerFailedError        the triggerer could not wait: not because of the pool
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowTaskTimeout,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_batchext.pool_spec import Difference, Finding

Given = ParamSpec("Given")
Result = TypeVar("Result")


class BatchextError(AirflowException):
    """Base of all errors of this package."""


def without_insides(method: Callable[Given, Result]) -> Callable[Given, Result]:
    """A method from which our own errors come with a traceback that ends here.

    Airflow writes the traceback of whatever fails a task into its log, below the text. Where that says what,
    where and how to fix it, how we came to say so is of no use to who reads it.

    :param method: of an operator or a sensor.
    """

    @wraps(method)
    def called(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            return method(*args, **kwargs)
        except BatchextError as error:
            raise error.with_traceback(None) from None

    return called


class ConnectionFieldsError(BatchextError):
    """The Airflow connection lacks a field that the call needs, or holds one that cannot be used."""


class NoConnectionError(ConnectionFieldsError, AirflowNotFoundException):
    """Airflow knows no connection of that name, where it was looked for."""


class ExecutionTimeoutError(BatchextError, AirflowTaskTimeout):
    """The task's ``execution_timeout`` passed while it waited; the text says what was seen last.

    To Airflow it is its own ``AirflowTaskTimeout``: ``on_kill`` is called, and retries apply.
    """


class ParameterError(BatchextError, ValueError):
    """A parameter of an operator or sensor cannot be used; the text says which and why."""


class PoolDocumentError(BatchextError):
    """The pool document has errors; nothing was sent to Azure.

    :param source: where the document came from (a file name, or the operator's parameter).
    :param findings: every error found, not only the first.
    """

    def __init__(self, source: str, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        count = "1 error" if len(self.findings) == 1 else f"{len(self.findings)} errors"
        lines = "\n".join(f"  {finding}" for finding in self.findings)
        super().__init__(f"{source}: {count}; nothing was sent to Azure.\n{lines}")


class ServiceError(BatchextError):
    """Azure refused a request, failed to answer it, or could not be reached.

    :param message: what was asked, what was answered, and what helps.
    :param status: HTTP status, or None where there was no answer.
    :param code: the service's error code (``PoolNotFound``), or "".
    :param retry_after: seconds after which the service wants to be asked again, or None.
    :param request_id: the id under which Azure's support finds the request, or "".
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.request_id = request_id

    @property
    def reason(self) -> str:
        """The text without the request id: the same error reads the same twice."""
        return str(self.args[0])

    def __str__(self) -> str:
        return f"{self.reason} (request id {self.request_id})" if self.request_id else self.reason


class AccessRefusedError(ServiceError):
    """Sign-in failed, or the identity may not do this (401, 403)."""


class NotFoundError(ServiceError):
    """What was asked for does not exist, or does not exist yet (404)."""


class ConflictError(ServiceError):
    """The state of the resource forbids the request (409, 412)."""


class UnavailableError(ServiceError):
    """The answer may be another one in a moment: throttled, overloaded, disconnected, unreadable."""


class GateFailedError(BatchextError):
    """What the gate waited for cannot come any more; the text says where and why."""


class GateRefusedError(GateFailedError):
    """Azure, or the connection, does not let the gate look: no ``soft_fail`` makes a skip of that."""


class GateTimeoutError(BatchextError, AirflowSensorTimeout):
    """The gate's deadline passed; the text lists what was still missing."""


class NodeRepairError(BatchextError):
    """Nodes could not be repaired; the text says which, why, and what was tried.

    :param message: that text.
    :param report: what was done to which node, as plain JSON.
    """

    def __init__(self, message: str, report: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report = dict(report or {})


class PoolConflictError(BatchextError):
    """The pool that exists is not one to do this with: it differs, is busy, scales itself, or was lost.

    :param message: what was found, and what helps.
    :param differences: in which places it differs, if that is the reason.
    """

    def __init__(self, message: str, differences: Sequence[Difference] = ()) -> None:
        super().__init__(message)
        self.differences = tuple(differences)


class ReportError(BatchextError):
    """A report could not be written; the text says where."""


class PoolResizeError(BatchextError):
    """A resize ended without the nodes that were asked for; the text says why and what helps."""


class PoolTimeoutError(BatchextError):
    """A pool was not so far at the deadline; the text says what was seen last."""


class DeletionTimeoutError(PoolTimeoutError):
    """A pool that was asked to go was still there at the deadline."""


class TaskFailedError(BatchextError):
    """A Batch task failed; the text says with what, why and where.

    :param message: that text.
    :param exit_code: of its command, or None where that did not run to its end.
    """

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class TaskResultError(BatchextError):
    """A Batch task succeeded, but its result, which was asked for, cannot be had; the text says why."""


class TaskLostError(BatchextError):
    """A Batch task is not there any more, though it had not ended: it, its job or its pool was deleted."""


class TaskNotStartedError(BatchextError):
    """A Batch task was given no node: none will take it, or none did in time; the text says why."""


class TaskTimeoutError(BatchextError):
    """A Batch task had not ended at the deadline; the text says how far it was."""


class TriggerFailedError(BatchextError):
    """The triggerer could not wait, for a reason that is not the pool's: its own limit, a crash, a lack."""
