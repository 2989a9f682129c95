"""Run a command line on a pool: submit it, unless it runs already, wait for its end, and say how it went."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol
from uuid import uuid4

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferred,
)

from airflow_batchext.batch.work import TaskSeen
from airflow_batchext.concealment import reveal
from airflow_batchext.exceptions import (
    AccessRefusedError,
    BatchextError,
    ExecutionTimeoutError,
    TaskFailedError,
    TaskLostError,
    TaskTimeoutError,
    TriggerFailedError,
    UnavailableError,
)
from airflow_batchext.hooks._drivers.work import (
    NotYet,
    Place,
    Placed,
    Work,
    end_attempts,
    end_task,
    look_at_task,
    submit,
)
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.operators._steps.task_document import instance_of, job_document, task_document
from airflow_batchext.operators._steps.task_output import log_output
from airflow_batchext.parameters import check_pool_id
from airflow_batchext.rules.deadline import limit_of
from airflow_batchext.rules.work import Stage, Standing, pause_after, stands
from airflow_batchext.transport import look_within, within
from airflow_batchext.triggers._base import deferral_limit
from airflow_batchext.triggers._ending import TRIGGERS_ARE_TOLD
from airflow_batchext.triggers._failing import reason, timed_out
from airflow_batchext.triggers.task import AzureBatchTaskTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.rules.work import TasksSeen

XCOM_KEY = "batch_task"
#: The job, and the pool where the task waits for a node, are looked at each so many looks.
_EVERY = 4
_CLEAN_UP_SECONDS = 60.0


class TaskParameters(Protocol):
    """What the steps need of the operator; its parameters say the same."""

    task_id: str
    pool_id: str | None
    command_line: str
    job_id: str | None
    max_retries: int
    skip_on_exit_code: tuple[int, ...]
    fail_on_exit_code: tuple[int, ...]
    soft_fail: bool
    on_killed: Literal["terminate", "leave"]
    logs: Literal["end", "none"]
    azure_batchext_conn_id: str
    poll_interval: float
    timeout: float
    execution_timeout: timedelta | None
    deferrable: bool

    @property
    def environment(self) -> Any:
        """The environment variables, as a dict."""

    @property
    def task_document(self) -> Any:
        """More members of the Batch task, as a dict."""

    @property
    def log(self) -> Any:
        """The task's log."""


class RunTask:
    """The steps of ``AzureBatchTaskOperator``.

    :param operator: its parameters, rendered.
    """

    def __init__(self, operator: TaskParameters) -> None:
        self.operator = operator
        self.log = operator.log
        self._memo: dict[str, Any] = {}
        self._placed: Placed | None = None
        self._is_killed = False
        self._limit = limit_of(operator.timeout, operator.execution_timeout)
        self._alone = uuid4().hex

    def begin(self, context: Context) -> dict[str, Any]:
        """Run it; return the operator's XCom."""
        self._memo = {"deadline": time.time() + self._limit.seconds}
        return self._softly(context, None)

    def go_on(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on as the trigger's event says; return the operator's XCom."""
        self._memo = dict(event["memo"])
        self._placed = Placed(self._memo["job_id"], self._memo["batch_task_id"], "attached")
        task = event.get("task")
        found = Standing(Stage(event["stage"]), str(event["text"]), task and TaskSeen.from_json(task))
        return self._softly(context, found)

    def on_kill(self) -> None:
        """End the Batch task, if that is wanted."""
        # After it Airflow lets the task go on: its success would not be believed, and it must not have one.
        self._is_killed = True
        if self.operator.on_killed == "terminate" and self._placed is not None:
            self._end("as the task was")

    # --- step by step --------------------------------------------------------------------------------------

    def _softly(self, context: Context, found: Standing | None) -> dict[str, Any]:
        try:
            return self._proceed(context, found)
        except (TaskFailedError, TaskTimeoutError, TaskLostError, ExecutionTimeoutError) as error:
            if self.operator.soft_fail:
                raise AirflowSkipException(str(error)) from None
            raise
        except AirflowTaskTimeout:
            self._limit = limit_of(float("inf"), self.operator.execution_timeout)
            if self._placed is None:
                raise
            self._end("as its time was up")
            late = self._late(f"{self._name} had not ended within {self._limit}")
            raise (AirflowSkipException(str(late)) if self.operator.soft_fail else late) from None

    def _proceed(self, context: Context, found: Standing | None) -> dict[str, Any]:
        """Submit it where that is to be done (again), wait, and end."""
        with AzureBatchJobHook(self.operator.azure_batchext_conn_id) as hook:
            while True:
                if found is not None and found.stage is not Stage.STRANDED:
                    return self._ended(context, found)
                if found is not None:
                    self.log.info("%s: %s; it is submitted again", self._name, found.text)
                self._submit(hook, self._work(context), is_first=found is None and self._is_first(context))
                if self.operator.deferrable and self._left > 0 and self._batch_task.how != "taken":
                    raise self._deferral()
                found = self._wait(hook)

    def _submit(self, hook: AzureBatchJobHook, work: Work, *, is_first: bool) -> None:
        failures, said = 0, ""
        while True:
            try:
                with look_within(self._left):
                    done = hook.run(submit(work, is_first=is_first and not failures))
            except UnavailableError as error:
                done, retry_after = NotYet(error.reason), error.retry_after
            else:
                retry_after = None
            if isinstance(done, Placed):
                self._placed = done
                self._memo |= {
                    "job_id": done.job_id,
                    "batch_task_id": done.task_id,
                    "prefix": self._prefix(work),
                }
                words = {
                    "submitted": "submitted to",
                    "attached": "running already in",
                    "taken": "done already in",
                }
                self.log.info("Batch task %s: %s job %s", done.task_id, words[done.how], done.job_id)
                self._check_alive()
                return
            if done.text != said:
                said = done.text
                self.log.info("Nothing was submitted yet: %s", said)
            if self._left <= 0:
                raise self._late(
                    f"Nothing was submitted to pool {self.operator.pool_id} within {self._limit}: {said}"
                )
            self._pause(pause_after(failures, self.operator.poll_interval, retry_after))
            failures += 1

    def _wait(self, hook: AzureBatchJobHook) -> Standing:
        placed = self._batch_task
        failures, looks, said = 0, 0, ""
        last: TasksSeen | None = None
        while True:
            is_last = self._left <= 0
            whole = is_last or looks % _EVERY == 0
            with look_within(self._left):
                look = hook.run(look_at_task(self._place, placed.task_id, whole=whole))
            look = look if whole else look.after(last)
            looks, last = looks + 1, look
            found = stands(placed.task_id, look)
            if found.text != said:
                said = found.text
                self.log.info("Batch task %s of job %s: %s", placed.task_id, placed.job_id, said)
            if found.stage is not Stage.WAITING:
                return found
            if is_last:
                return Standing(Stage.TIMEOUT, found.text, found.task)
            failures = failures + 1 if look.problem else 0
            self._pause(pause_after(failures, self.operator.poll_interval, look.retry_after))

    def _deferral(self) -> TaskDeferred:
        placed, operator = self._batch_task, self.operator
        if operator.on_killed == "terminate" and not TRIGGERS_ARE_TOLD:
            self.log.warning(
                "Should somebody end this task while it is deferred, the Batch task goes on: this Airflow "
                "does not tell a trigger of it, 3.3 and later do. Without deferrable the task itself is told."
            )
        return TaskDeferred(
            trigger=AzureBatchTaskTrigger(
                pool_id=check_pool_id(operator.pool_id),
                job_id=placed.job_id,
                batch_task_id=placed.task_id,
                azure_batchext_conn_id=operator.azure_batchext_conn_id,
                poll_interval=operator.poll_interval,
                deadline=self._memo["deadline"],
                prefix=self._memo["prefix"],
                is_users_job=operator.job_id is not None,
                on_killed=operator.on_killed,
                memo=self._memo,
            ),
            method_name="execute_complete",
            timeout=deferral_limit(self._memo["deadline"], self._limit),
        )

    # --- how it ended --------------------------------------------------------------------------------------

    def _ended(self, context: Context, found: Standing) -> dict[str, Any]:
        placed, name = self._batch_task, self._name
        self._check_alive()
        told = self._told(found)
        if found.stage in (Stage.SUCCEEDED, Stage.FAILED) and self.operator.logs == "end":
            log_output(self.operator.azure_batchext_conn_id, placed, self.log)
        if found.stage is Stage.SUCCEEDED:
            return told
        self._push(context, told)
        match found.stage:
            case Stage.TIMEOUT:
                self._end("as its time was up")
                raise self._late(f"{name} had not ended within {self._limit}: {found.text}")
            case Stage.REFUSED:
                raise AccessRefusedError(f"{name}: {found.text}")
            case Stage.LOST:
                self._end("as it cannot run any more")
                raise TaskLostError(f"{name} is lost: {found.text}")
        exit_code = found.task.exit_code if found.task else None
        text = f"{name} failed: {found.text}"
        if exit_code is not None and exit_code in self.operator.skip_on_exit_code:
            raise AirflowSkipException(text)
        if exit_code is not None and exit_code in self.operator.fail_on_exit_code:
            raise AirflowFailException(text)
        self.log.debug("%s of job %s has ended", placed.task_id, placed.job_id)
        raise TaskFailedError(text, exit_code)

    def give_up(self, context: Context, failure: Mapping[str, Any]) -> NoReturn:
        """End as the trigger has failed: the next try finds the Batch task; where there is none, it is ended.

        :raises TriggerFailedError: always, or what says which limit has ended the wait.
        """
        self._memo = {"deadline": time.time()}
        why, instance = reason(failure, self.log), instance_of(context, self.operator.task_id, self._alone)
        is_late = timed_out(failure)
        if is_late or instance.try_number > instance.max_tries:
            self._end_attempts(self._work(context))
        work = f"The work on pool {self.operator.pool_id}"
        if is_late:
            raise self._late(f"{work} had not ended within {self._limit}: {why}")
        raise TriggerFailedError(f"{work} could not be waited for: {why}")

    def _late(self, text: str) -> BatchextError:
        return ExecutionTimeoutError(text) if self._limit.is_airflows else TaskTimeoutError(text)

    def _end_attempts(self, work: Work) -> None:
        try:
            with AzureBatchJobHook(self.operator.azure_batchext_conn_id) as hook, within(_CLEAN_UP_SECONDS):
                self.log.warning("%d Batch tasks were ended", hook.run(end_attempts(work)))
        except BatchextError as error:
            self.log.warning("What was submitted goes on: %s", error)

    def _told(self, found: Standing) -> dict[str, Any]:
        placed, task = self._batch_task, found.task or TaskSeen("", "")
        return {
            "pool_id": self.operator.pool_id,
            "job_id": placed.job_id,
            "batch_task_id": placed.task_id,
            "result": found.stage.value,
            "exit_code": task.exit_code,
            "failure": task.failure,
            "node_id": task.node_id,
            "started": task.started,
            "ended": task.ended,
            "seconds": task.seconds,
            "retries": task.retries,
            "requeues": task.requeues,
        }

    def _push(self, context: Context, told: Mapping[str, Any]) -> None:
        instance: Any = context.get("ti")
        if hasattr(instance, "xcom_push"):
            instance.xcom_push(key=XCOM_KEY, value=told)

    def _end(self, why: str) -> None:
        """End the Batch task; what keeps us from it is told, no more."""
        placed = self._batch_task
        try:
            with AzureBatchJobHook(self.operator.azure_batchext_conn_id) as hook, within(_CLEAN_UP_SECONDS):
                if hook.run(end_task(placed.job_id, placed.task_id)):
                    self.log.warning("%s was ended, %s", self._name, why)
        except BatchextError as error:
            self.log.warning("%s goes on: %s", self._name, error)

    def _check_alive(self) -> None:
        if self._is_killed:
            # Perhaps it was being submitted when the task was ended.
            if self.operator.on_killed == "terminate" and self._placed is not None:
                self._end("as the task was")
            raise AirflowException("The task was ended while it ran")

    # --- helpers -------------------------------------------------------------------------------------------

    def _is_first(self, context: Context) -> bool:
        return instance_of(context, self.operator.task_id, self._alone).try_number == 1

    def _work(self, context: Context) -> Work:
        instance, pool_id = (
            instance_of(context, self.operator.task_id, self._alone),
            check_pool_id(self.operator.pool_id),
        )
        users = self.operator.job_id
        key = instance.key(pool_id, is_shared=users is not None)
        return Work(
            base=users or instance.job_base(pool_id),
            key=key,
            life=instance.life,
            attempt_id=instance.attempt_id(key),
            task=task_document(
                command_line=self.operator.command_line,
                environment=reveal(self.operator.environment or {}),
                more=reveal(self.operator.task_document or {}),
                instance=instance,
                max_retries=self.operator.max_retries,
                seconds=self._left,
            ),
            job=job_document(pool_id),
            is_users=users is not None,
        )

    def _prefix(self, work: Work) -> str:
        """How the ids of those tasks begin that others of the same Airflow task may wait for, too."""
        return work.key.rpartition("-")[0] if work.is_users else ""

    @property
    def _place(self) -> Place:
        return Place(
            self._batch_task.job_id,
            check_pool_id(self.operator.pool_id),
            self._memo["prefix"],
            self.operator.job_id is not None,
        )

    @property
    def _batch_task(self) -> Placed:
        if self._placed is None:
            raise AirflowException("Nothing was submitted")
        return self._placed

    @property
    def _name(self) -> str:
        placed = self._batch_task
        return f"Batch task {placed.task_id} of job {placed.job_id} on pool {self.operator.pool_id}"

    def _pause(self, seconds: float) -> None:
        self._check_alive()
        time.sleep(max(0.0, min(seconds, self._left)))
        self._check_alive()

    @property
    def _left(self) -> float:
        return float(self._memo["deadline"]) - time.time()
