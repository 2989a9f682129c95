"""What all work on a pool has in common, one task or many: its limit, its end, and who ends it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn
from uuid import uuid4

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from airflow_batchext.concealment import reveal
from airflow_batchext.exceptions import (
    BatchextError,
    ExecutionTimeoutError,
    GateFailedError,
    GateRefusedError,
    TaskFailedError,
    TaskLostError,
    TaskNotStartedError,
    TaskResultError,
    TaskTimeoutError,
    TriggerFailedError,
    UnavailableError,
)
from airflow_batchext.hooks._drivers.work_deletion import delete_attempts
from airflow_batchext.hooks._drivers.work_items import end_attempts_of
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.metrics import work_ended
from airflow_batchext.operators._steps.task_deletion import delete_softly
from airflow_batchext.operators._steps.task_document import instance_of, job_document
from airflow_batchext.operators._steps.task_gate import WorkGate, check_event, is_of_gate
from airflow_batchext.operators._steps.told import Told
from airflow_batchext.parameters import check_pool_id, wrong
from airflow_batchext.parameters.work import NO_CHECK_OF_ANOTHERS
from airflow_batchext.rules.deadline import StartLimit, limit_of
from airflow_batchext.rules.work import pause_after
from airflow_batchext.transport import look_within, within
from airflow_batchext.triggers._failing import reason, timed_out

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.hooks._drivers.work import Work
    from airflow_batchext.hooks._requests import Call, Result
    from airflow_batchext.live.form import WorkSaid
    from airflow_batchext.operators._steps.task_parameters import TaskParameters
    from airflow_batchext.rules.work import Attempt
    from airflow_batchext.rules.work_ids import Instance

XCOM_KEY = "batch_task"
_CLEAN_UP_SECONDS = 60.0
#: Those after which nothing of the work goes on.
_OVER = (
    *(TaskFailedError, TaskResultError, TaskTimeoutError, TaskLostError, TaskNotStartedError),
    ExecutionTimeoutError,
)
#: What makes a skip, with ``soft_fail``.
_SOFT = (*_OVER, GateFailedError)
_LATE = (TaskTimeoutError, ExecutionTimeoutError)
#: Those before which what was submitted has been ended.
_ENDED = (*_LATE, TaskLostError, TaskNotStartedError)
#: What tells the trigger of the gate which work it is.
_IDS = ("base", "key", "life", "is_users", "is_many")


class WorkSteps(ABC):
    """The steps of an operator that runs work on a pool.

    :param operator: its parameters, rendered.
    """

    #: Whether a try has to know how all that earlier ones have submitted has ended.
    _asks_how_all_ended: ClassVar[bool] = False

    def __init__(self, operator: TaskParameters) -> None:
        self.operator = operator
        self.log = operator.log
        self._memo: dict[str, Any] = {}
        self._is_killed = self._is_at_gate = False
        self._limit = limit_of(operator.timeout, operator.execution_timeout)
        self._alone = uuid4().hex
        self._said = ""
        self._live = Told(operator, "work")

    def begin(self, context: Context) -> dict[str, Any]:
        """Run it; return the operator's XCom."""
        self._memo = {"deadline": time.time() + self._limit.seconds}
        return self._softly(context, None)

    def go_on(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on as the trigger's event says; return the operator's XCom."""
        if is_of_gate(event):
            self._memo = {"deadline": float(event["started"]) + self._limit.seconds}
        else:
            self._memo = dict(event["memo"])
        return self._softly(context, event)

    def on_kill(self) -> None:
        """End what was submitted, if that is wanted."""
        # After it Airflow lets the task go on: its success would not be believed, and it must not have one.
        self._is_killed = True
        self._end_killed()

    def give_up(self, context: Context, failure: Mapping[str, Any]) -> NoReturn:
        """End as the trigger has failed: the next try finds the work; where there is none, it is ended.

        :raises TriggerFailedError: always, or what says which limit has ended the wait.
        """
        self._memo = {"deadline": time.time()}
        with self._live.until_its_end(context, goes_on=True):
            self._give_up(context, failure)

    def _give_up(self, context: Context, failure: Mapping[str, Any]) -> NoReturn:
        why = reason(failure, self.log)
        is_late = timed_out(failure)
        work_ended(str(self.operator.pool_id), "timed_out" if is_late else "failed")
        is_last = self._is_last(context)
        if is_late or is_last:
            self._end_attempts(context)
        if is_late and (is_last or not self._asks_how_all_ended):
            self._tidy(context, are_ended=True)
        work = f"The work on pool {self.operator.pool_id}"
        if is_late:
            raise self._late(f"{work} had not ended within {self._limit}: {why}")
        raise TriggerFailedError(f"{work} could not be waited for: {why}")

    # --- what one and many differ in -----------------------------------------------------------------------

    @property
    @abstractmethod
    def _is_submitted(self) -> bool:
        """Whether there is anything to be ended."""

    @property
    @abstractmethod
    def _name(self) -> str:
        """What was submitted, in words."""

    @abstractmethod
    def _proceed(self, context: Context, event: Mapping[str, Any] | None) -> dict[str, Any]:
        """Submit, wait, and end; or go on as a trigger's event says."""

    @abstractmethod
    def _ending(self) -> Call[int]:
        """End what was submitted; how much there was."""

    @abstractmethod
    def _whole(self, context: Context) -> Work:
        """All that this task instance has ever submitted."""

    @abstractmethod
    def _ending_attempts(self, context: Context) -> Call[int]:
        """End all that this task instance has ever submitted; how much there was."""

    # --- what they share -----------------------------------------------------------------------------------

    def _softly(self, context: Context, event: Mapping[str, Any] | None) -> dict[str, Any]:
        # What the gate has seen before is a story of its own.
        goes_on = event is not None and not is_of_gate(event)
        try:
            with self._live.until_its_end(context, goes_on=goes_on, deadline=self._memo["deadline"]):
                return self._counted(context, event)
        except BatchextError as error:
            if self._is_soft(error):
                raise AirflowSkipException(str(error)) from None
            raise

    def _counted(self, context: Context, event: Mapping[str, Any] | None) -> dict[str, Any]:
        """Do it, and count how it ended, before ``soft_fail`` makes something else of that."""
        pool_id = str(self.operator.pool_id)
        try:
            told = self._in_time(context, event)
        except AirflowSkipException:
            work_ended(pool_id, "skipped")
            raise
        except (TaskTimeoutError, AirflowTaskTimeout):
            work_ended(pool_id, "timed_out")
            raise
        except (BatchextError, AirflowFailException):
            work_ended(pool_id, "failed")
            raise
        work_ended(pool_id, "succeeded")
        return told

    def _in_time(self, context: Context, event: Mapping[str, Any] | None) -> dict[str, Any]:
        try:
            return self._until_alarm(context, event)
        except BatchextError as error:
            self._clean_up(context, error)
            raise

    def _clean_up(self, context: Context, error: BatchextError) -> None:
        """Leave nothing behind to which nobody comes back."""
        is_over = self._is_soft(error) or self._is_last(context)
        if self._is_at_gate:
            # What earlier tries have left.
            if (is_over or isinstance(error, _LATE)) and not self._is_first(context):
                self._end_attempts(context)
        elif not self._is_submitted:
            return
        elif is_over and not isinstance(error, _OVER):
            self._end("as nobody comes back to it")
        elif isinstance(error, _ENDED) and (is_over or not self._asks_how_all_ended):
            self._tidy(context, are_ended=True)

    def _until_alarm(self, context: Context, event: Mapping[str, Any] | None) -> dict[str, Any]:
        try:
            if event is not None and is_of_gate(event):
                with self._at_gate():
                    check_event(self.operator, self._limit, event, self._late)
                self._memo["ready"], event = True, None
            return self._proceed(context, event)
        except AirflowTaskTimeout as error:
            if isinstance(error, BatchextError):
                raise
            self._limit = limit_of(float("inf"), self.operator.execution_timeout)
            if not self._is_submitted:
                raise
            self._end("as its time was up")
            raise self._late(f"{self._name} had not ended within {self._limit}") from None

    def _pass_gate(self, context: Context) -> None:
        """Before anything is submitted: wait until the pool's gate is open, if that was asked for."""
        if self._asks_gate:
            left = self._left_of_earlier(context)
            gate = WorkGate(self.operator, self._limit, self._memo["deadline"], context.get("ti"), left)
            with self._at_gate():
                gate.wait(self._pause, self._late)
            self._memo["ready"] = True

    def _left_of_earlier(self, context: Context) -> dict[str, Any] | None:
        """The ids of what may be left of earlier tries, if that is ended with the task."""
        if self._is_first(context) or self.operator.on_killed != "terminate":
            return None
        work, is_alone = self._whole(context), self._has_its_own_job(context)
        return {name: getattr(work, name) for name in _IDS} | {"is_alone": is_alone}

    @property
    def _asks_gate(self) -> bool:
        """Whether the pool has to be found ready first."""
        return self.operator.requires_ready and not self._memo.get("ready")

    @contextmanager
    def _at_gate(self) -> Iterator[None]:
        """What is raised within is of the gate."""
        self._is_at_gate = True
        yield
        self._is_at_gate = False

    def _tell(
        self,
        hook: AzureBatchJobHook,
        text: str,
        pause: float,
        work: WorkSaid | None = None,
        *,
        elsewhere: bool = False,
    ) -> dict[str, Any] | None:
        """Tell the live page how it stands; what the trigger is to tell then."""
        return self._live.waits(
            check_pool_id(self.operator.pool_id),
            text,
            hook.known_connection,
            pause=max(0.0, min(pause, self._left)),
            deadline=float(self._memo["deadline"]),
            limit=self._limit,
            elsewhere=elsewhere,
            work=work,
        )

    def _job_document(self, pool_id: str) -> dict[str, Any]:
        """The body of the job that is made where there is none."""
        if self.operator.job_id is not None and self.operator.node_check is not None:
            raise wrong(NO_CHECK_OF_ANOTHERS)
        return job_document(pool_id, reveal(self.operator.node_check))

    def _instance(self, context: Context) -> Instance:
        return instance_of(context, self.operator.task_id, self._alone)

    def _has_its_own_job(self, context: Context) -> bool:
        """Whether there is nothing else in its jobs."""
        return self.operator.job_id is None and self._instance(context).map_index < 0

    def _is_first(self, context: Context) -> bool:
        return self._instance(context).try_number == 1

    def _is_last(self, context: Context) -> bool:
        """Whether Airflow makes no other try by itself."""
        instance = self._instance(context)
        return instance.try_number > instance.max_tries

    def _is_soft(self, error: BatchextError) -> bool:
        """Whether it makes a skip, after which no other try comes."""
        is_refusal = isinstance(error, GateRefusedError)
        return self.operator.soft_fail and isinstance(error, _SOFT) and not is_refusal

    def _set_start_deadline(self) -> None:
        """Note until when what was submitted, or found waiting, has to have started."""
        timeout = self.operator.start_timeout
        if timeout is not None:
            self._memo["start_deadline"] = time.time() + timeout

    @property
    def _start_deadline(self) -> float:
        """When that is, in seconds since the epoch; 0 for never."""
        return float(self._memo.get("start_deadline", 0.0))

    def _start_limit(self) -> StartLimit:
        return StartLimit(self._start_deadline, time.time)

    def _late(self, text: str) -> BatchextError:
        return ExecutionTimeoutError(text) if self._limit.is_airflows else TaskTimeoutError(text)

    def _unknown(self, stage: object) -> TriggerFailedError:
        """A trigger of a later version may say what this one does not know."""
        text = f"the trigger said {str(stage)[:40]!r}, which is not known here"
        return TriggerFailedError(f"{self._name}: {text}")

    def _push(self, context: Context, told: Mapping[str, Any]) -> None:
        instance: Any = context.get("ti")
        if hasattr(instance, "xcom_push"):
            instance.xcom_push(key=XCOM_KEY, value=told)

    def _end(self, why: str) -> None:
        """End what was submitted; what keeps us from it is told, no more."""
        self._run_ending(self._ending(), f"{self._name}: ended, {why}")

    def _end_attempts(self, context: Context) -> None:
        self._run_ending(self._ending_attempts(context), "Batch tasks were ended")

    def _run_ending(self, call: Call[int], text: str) -> None:
        try:
            with AzureBatchJobHook(self.operator.azure_batchext_conn_id) as hook, within(_CLEAN_UP_SECONDS):
                if ended := hook.run(call):
                    self.log.warning("%s (%d)", text, ended)
        except BatchextError as error:
            self.log.warning("What was submitted goes on: %s", error)

    def _tidy(
        self, context: Context, known: Sequence[tuple[str, str]] = (), *, are_ended: bool = False
    ) -> None:
        """Delete Batch tasks, as far as that was wished: the last that is done, as a next try finds nothing.

        :param known: those that have to go in any case: the job of each, and its id.
        :param are_ended: whether all others have just been ended.
        """
        wish = self.operator.on_finish
        if wish == "keep":
            return

        def deletion() -> Call[int]:
            # In a first try there are no others.
            work = self._whole(context) if are_ended or not self._is_first(context) else None
            number = self._instance(context).try_number
            return delete_attempts(known, work, number, failed_too=wish == "delete", are_ended=are_ended)

        delete_softly(self.operator, deletion, self._left)

    def _end_killed(self) -> None:
        if self.operator.on_killed == "terminate" and self._is_submitted:
            self._end("as the task was")

    def _check_alive(self) -> None:
        if self._is_killed:
            # Perhaps it was being submitted when the task was ended.
            self._end_killed()
            raise AirflowException("The task was ended while it ran")

    def _ask(self, hook: AzureBatchJobHook, call: Callable[[], Call[Result]]) -> Result:
        """Ask until there is an answer, or time is up."""
        failures = 0
        while True:
            try:
                with look_within(self._left):
                    return hook.run(call())
            except UnavailableError as error:
                self._say(f"Not yet: {error.reason}")
                self._check_time(error.reason)
                pause = pause_after(failures, self.operator.poll_interval, error.retry_after)
                self._tell(hook, f"Not yet: {error.reason}", pause)
                self._pause(pause)
                failures += 1

    def _end_first(
        self, hook: AzureBatchJobHook, attempts: Sequence[Attempt], *, is_alone: bool = False
    ) -> None:
        """End what runs of before, and give it a while."""
        self._say(f"{len(attempts)} Batch tasks of before are ended first")
        self._ask(hook, partial(end_attempts_of, attempts, is_alone=is_alone))
        self._check_time("Batch tasks of before have not ended")
        self._pause(self.operator.poll_interval)

    def _check_time(self, why: str) -> None:
        if self._left <= 0:
            if self._is_submitted:
                self._end("as its time was up")
            work = f"The work on pool {self.operator.pool_id}"
            raise self._late(f"{work} had not ended within {self._limit}: {why}")

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self.log.info("%s", text)

    def _pause(self, seconds: float) -> None:
        self._check_alive()
        time.sleep(max(0.0, min(seconds, self._left)))
        self._check_alive()

    @property
    def _left(self) -> float:
        return float(self._memo["deadline"]) - time.time()
