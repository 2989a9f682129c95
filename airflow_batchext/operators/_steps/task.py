"""Run a command line on a pool: submit it, unless it runs already, wait for its end, and say how it went."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_batchext.batch.work import TaskSeen
from airflow_batchext.concealment import reveal
from airflow_batchext.exceptions import (
    AccessRefusedError,
    BatchextError,
    ConflictError,
    TaskFailedError,
    TaskLostError,
    TaskNotStartedError,
    TaskResultError,
    UnavailableError,
)
from airflow_batchext.hooks._drivers.jobs import end_job
from airflow_batchext.hooks._drivers.task_output import read_value
from airflow_batchext.hooks._drivers.work import (
    NotYet,
    Place,
    Placed,
    Work,
    end_attempts,
    end_placed,
    look_at_task,
    read_attempts,
    submit,
)
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.live.work import single
from airflow_batchext.metrics import work_ran, work_submitted
from airflow_batchext.operators._steps.task_document import task_document
from airflow_batchext.operators._steps.task_output import REST_BYTES, OutputLog
from airflow_batchext.operators._steps.task_parameters import left_to_a_worker
from airflow_batchext.operators._steps.work import WorkSteps
from airflow_batchext.parameters import check_pool_id, check_text
from airflow_batchext.rules.work import (
    Stage,
    Standing,
    as_xcom,
    choose,
    has_started,
    pause_after,
    stands,
    unstarted_text,
)
from airflow_batchext.transport import look_within, within
from airflow_batchext.triggers._base import deferral_limit
from airflow_batchext.triggers._ending import TRIGGERS_ARE_TOLD
from airflow_batchext.triggers.task import AzureBatchTaskTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.hooks._requests import Call
    from airflow_batchext.operators._steps.task_parameters import TaskParameters
    from airflow_batchext.rules.work import TasksSeen

#: The job, and the pool where the task waits for a node, are looked at each so many looks.
_EVERY = 4
#: For so long is the output read of what was ended.
_LATE_SECONDS = 10.0
#: For so long is a result asked for, and how long after each time that the node could not say, in seconds.
_RESULT_SECONDS, _RESULT_PAUSES = 30.0, (5.0, 15.0)


class RunTask(WorkSteps):
    """The steps of ``AzureBatchTaskOperator`` with one command line.

    :param operator: its parameters, rendered.
    """

    def __init__(self, operator: TaskParameters) -> None:
        super().__init__(operator)
        self._work: Work | None = None
        self._placed: Placed | None = None
        self._output = OutputLog(self.log, operator.logs, operator.logs_interval)

    # --- step by step --------------------------------------------------------------------------------------

    def _proceed(self, context: Context, event: Mapping[str, Any] | None) -> dict[str, Any]:
        """Submit it where that is to be done (again), wait, and end."""
        found = None if event is None else self._found(event)
        with AzureBatchJobHook(self.operator.azure_batchext_conn_id) as hook:
            while True:
                if found is not None and found.stage is not Stage.STRANDED:
                    return self._ended(context, hook, found)
                if found is not None:
                    self.log.info("%s: %s; it is submitted again", self._name, found.text)
                    self._placed = None
                work = self._work = self._prepared(context)
                is_first = found is None and self._is_first(context)
                if self._asks_gate and (is_first or not self._has_attempt(hook, work)):
                    self._pass_gate(context)
                self._submit(hook, work, is_first=is_first)
                if self.operator.deferrable and self._left > 0 and self._batch_task.how != "taken":
                    raise self._deferral(hook)
                found = self._wait(hook)

    def _has_attempt(self, hook: AzureBatchJobHook, work: Work) -> bool:
        """Whether there is one to go on with, for which the pool need not be ready again.

        What runs of an earlier life is ended: it does not wait for the gate.
        """
        while True:
            earlier = self._ask(hook, partial(read_attempts, work))
            choice = choose(work.life, earlier.attempts)
            if not choice.to_end:
                return choice.attempt is not None
            self._end_first(hook, choice.to_end)

    def _found(self, event: Mapping[str, Any]) -> Standing:
        self._placed = Placed(self._memo["job_id"], self._memo["batch_task_id"], "attached")
        self._output = OutputLog(
            self.log, self.operator.logs, self.operator.logs_interval, event.get("output")
        )
        if event["stage"] not in list(Stage):
            raise self._unknown(event["stage"])
        task = event.get("task")
        return Standing(Stage(event["stage"]), str(event["text"]), task and TaskSeen.from_json(task))

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
                if done.how == "submitted":
                    work_submitted(str(self.operator.pool_id))
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
                self._set_start_deadline()
                self._check_alive()
                return
            if done.text != said:
                said = done.text
                self.log.info("Nothing was submitted yet: %s", said)
            if self._left <= 0:
                self._end("as its time was up")
                raise self._late(
                    f"Nothing was submitted to pool {self.operator.pool_id} within {self._limit}: {said}"
                )
            pause = pause_after(failures, self.operator.poll_interval, retry_after)
            self._tell(hook, f"Nothing was submitted yet: {said}", pause)
            self._pause(pause)
            failures += 1

    def _wait(self, hook: AzureBatchJobHook) -> Standing:
        placed = self._batch_task
        failures, looks, said = 0, 0, ""
        last: TasksSeen | None = None
        start = self._start_limit()
        while True:
            is_last, is_late = self._left <= 0, start.has_passed
            whole = is_last or is_late or looks % _EVERY == 0
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
            start.has_started |= has_started(found.task)
            if is_late and found.task is not None and not start.has_started:
                return Standing(Stage.UNSTARTED, unstarted_text(found.text), found.task)
            self._output.follow(hook, placed.job_id, found.task)
            failures = failures + 1 if look.problem else 0
            pause = pause_after(failures, self.operator.poll_interval, look.retry_after)
            pause = start.pause(pause)
            text = f"Batch task {placed.task_id}: {found.text}"
            self._tell(hook, text, pause, single(placed.job_id, found))
            self._pause(pause)

    def _deferral(self, hook: AzureBatchJobHook) -> TaskDeferred:
        placed, operator = self._batch_task, self.operator
        text = f"Batch task {placed.task_id} is in job {placed.job_id}"
        work = single(placed.job_id, Standing(Stage.WAITING, text))
        told = self._tell(hook, text, operator.poll_interval, work, elsewhere=True)
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
                start_deadline=self._start_deadline,
                prefix=self._memo["prefix"],
                is_users_job=operator.job_id is not None,
                logs_interval=operator.logs_interval if operator.logs == "stream" else 0.0,
                ends_task=operator.end_from_trigger and not left_to_a_worker(operator),
                rest_bytes=REST_BYTES[operator.logs] if operator.end_from_trigger else 0,
                on_killed=operator.on_killed,
                memo=self._memo,
                told=told,
            ),
            method_name="execute_complete",
            timeout=deferral_limit(self._memo["deadline"], self._limit),
        )

    # --- how it ended --------------------------------------------------------------------------------------

    def _ended(self, context: Context, hook: AzureBatchJobHook, found: Standing) -> dict[str, Any]:
        placed, name = self._batch_task, self._name
        self._check_alive()
        self._live.saw(single(placed.job_id, found))
        told = as_xcom(found, str(self.operator.pool_id), placed.job_id, placed.task_id)
        work_ran(str(self.operator.pool_id), told["seconds"])
        if found.stage in (Stage.SUCCEEDED, Stage.FAILED):
            self._output.finish(hook, placed.job_id, found.task, self._left)
            self._check_alive()
        if found.stage is Stage.SUCCEEDED and self.operator.result is not None:
            told |= {"value": self._value(context, hook, told)}
        if found.stage is Stage.SUCCEEDED:
            self._tidy(context, [(placed.job_id, placed.task_id)])
            return told
        self._push(context, told)
        match found.stage:
            case Stage.TIMEOUT:
                self._end("as its time was up")
                self._output.finish(hook, placed.job_id, found.task, _LATE_SECONDS)
                raise self._late(f"{name} had not ended within {self._limit}: {found.text}")
            case Stage.REFUSED:
                raise AccessRefusedError(f"{name}: {found.text}")
            case Stage.UNSTARTED:
                self._end("as it was given no node")
                if self.operator.node_check is not None and self._has_its_own_job(context):
                    # Its nodes have failed for this job: Azure may end it later than the next try comes.
                    text = f"Job {placed.job_id} was ended, so that the next try has its nodes checked anew"
                    self._run_ending(end_job(placed.job_id), text)
                raise TaskNotStartedError(f"{name} was given no node: {found.text}")
            case Stage.LOST:
                self._end("as it cannot run any more")
                raise TaskLostError(f"{name} is lost: {found.text}")
        if self.operator.on_finish == "delete":
            self._tidy(context, [(placed.job_id, placed.task_id)])
        exit_code = found.task.exit_code if found.task else None
        text = f"{name} failed: {found.text}"
        if exit_code is not None and exit_code in self.operator.skip_on_exit_code:
            raise AirflowSkipException(text)
        if exit_code is not None and exit_code in self.operator.fail_on_exit_code:
            raise AirflowFailException(text)
        raise TaskFailedError(text, exit_code)

    def _value(self, context: Context, hook: AzureBatchJobHook, told: Mapping[str, Any]) -> Any:
        """The result that it has written; a node that is busy for a moment is asked again."""
        placed, kind = self._batch_task, str(self.operator.result)
        for pause in (*_RESULT_PAUSES, None):
            try:
                with within(_RESULT_SECONDS):
                    return hook.run(read_value(placed.job_id, placed.task_id, kind))
            except (ConflictError, UnavailableError) as error:
                why = error.reason
            except (BatchextError, ValueError) as error:
                why = str(error)
                break
            if pause is not None and self._left > pause:
                self._pause(pause)
        self._push(context, told)
        raise TaskResultError(
            f"{self._name} succeeded, but its result ({kind}) cannot be had: {why}. What has to outlive the "
            "node is best uploaded: outputFiles in task_document."
        )

    @property
    def _is_submitted(self) -> bool:
        # Perhaps: by an earlier try, or by a request whose answer was lost.
        return self._placed is not None or self._work is not None

    def _ending(self) -> Call[int]:
        if self._placed is None and self._work is not None:
            return end_attempts(self._work)
        placed = self._batch_task
        return end_placed(placed.job_id, placed.task_id, is_users=self.operator.job_id is not None)

    def _whole(self, context: Context) -> Work:
        return self._work or self._prepared(context)

    def _ending_attempts(self, context: Context) -> Call[int]:
        return end_attempts(self._whole(context))

    # --- helpers -------------------------------------------------------------------------------------------

    def _prepared(self, context: Context) -> Work:
        instance, pool_id = self._instance(context), check_pool_id(self.operator.pool_id)
        users = self.operator.job_id
        key = instance.key(pool_id, is_shared=users is not None)
        return Work(
            base=users or instance.job_base(pool_id),
            key=key,
            life=instance.life,
            attempt_id=instance.attempt_id(key),
            task=task_document(
                command_line=check_text("command_line", self.operator.command_line),
                environment=reveal(self.operator.environment or {}),
                more=reveal(self.operator.task_document or {}),
                instance=instance,
                max_retries=self.operator.max_retries,
                seconds=self._left,
            ),
            job=self._job_document(pool_id),
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
        placed = self._placed
        if placed is None:
            return f"The work on pool {self.operator.pool_id}"
        return f"Batch task {placed.task_id} of job {placed.job_id} on pool {self.operator.pool_id}"
