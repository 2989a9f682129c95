"""Run many command lines on a pool in one Airflow task: submit what does not run yet, wait, tell its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, TaskDeferred

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.concealment import reveal
from airflow_batchext.exceptions import (
    AccessRefusedError,
    ConflictError,
    ParameterError,
    TaskFailedError,
    TaskLostError,
    TaskNotStartedError,
)
from airflow_batchext.hooks._drivers.work import NotYet, Work, have_them_end, next_number, read_attempts
from airflow_batchext.hooks._drivers.work_items import (
    AT_ONCE,
    PER_REQUEST,
    SETTLED,
    ItemsPlace,
    ItemsWatch,
    add_tasks,
    end_items,
)
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.live.work import counted
from airflow_batchext.metrics import work_ran, work_submitted
from airflow_batchext.operators._steps.task_document import task_document
from airflow_batchext.operators._steps.task_output import OutputLog
from airflow_batchext.operators._steps.work import WorkSteps
from airflow_batchext.parameters import check_pool_id, wrong
from airflow_batchext.parameters.work import item_id
from airflow_batchext.rules.work import Stage, pause_after
from airflow_batchext.rules.work_items import Choice, choose_items, counted_text
from airflow_batchext.transport import look_within
from airflow_batchext.triggers._base import deferral_limit
from airflow_batchext.triggers.tasks import AzureBatchTasksTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.hooks._requests import Call
    from airflow_batchext.operators._steps.task_parameters import TaskParameters
    from airflow_batchext.rules.work import Attempt, Standing

#: Of failures so many are told in the error, in the XCom, and with the end of what they wrote in the log.
_TOLD, _IN_XCOM, _LOGGED = 5, 20, 10
_LATE_LOOKS = 3
_MOST_JOBS = 50


class RunTasks(WorkSteps):
    """The steps of ``AzureBatchTaskOperator`` with many tasks.

    :param operator: its parameters, rendered.
    """

    _asks_how_all_ended = True

    def __init__(self, operator: TaskParameters) -> None:
        super().__init__(operator)
        self._work: Work | None = None
        self._bodies: dict[str, dict[str, Any]] = {}
        self._number = 0
        self._is_alone = False
        self._endless: Sequence[str] = ()

    def _proceed(self, context: Context, event: Mapping[str, Any] | None) -> dict[str, Any]:
        items = {item_id(number, item): item for number, item in enumerate(self.operator.tasks)}
        if not items:
            raise AirflowSkipException("There are no tasks to run")
        self._memo.setdefault("job_ids", [])
        work = self._work = self._prepared(context, items)
        looks = 0
        with AzureBatchJobHook(self.operator.azure_batchext_conn_id) as hook:
            if event is not None:
                self._judge(str(event["stage"]), str(event["text"]))
            while True:
                choice, last = self._choice(context, hook, work, items)
                self._check_alive()
                if choice.to_end:
                    alone = self._is_alone and not choice.live
                    self._end_first(hook, choice.to_end, is_alone=alone)
                elif choice.to_submit:
                    self._pass_gate(context)
                    self._submit(hook, work, choice.to_submit, last)
                    self._wait(hook, work, choice)
                elif choice.live:
                    self._wait(hook, work, choice)
                elif choice.missing and looks < _LATE_LOOKS:
                    looks += 1
                    self._pause(self.operator.poll_interval)
                else:
                    return self._ended(context, hook, choice)

    # --- step by step --------------------------------------------------------------------------------------

    def _prepared(self, context: Context, items: Mapping[str, Any]) -> Work:
        """What is to run; each task is looked through for what cannot be used before any is submitted."""
        operator, instance = self.operator, self._instance(context)
        pool_id, users = check_pool_id(operator.pool_id), operator.job_id
        key = instance.key(pool_id, is_shared=users is not None)
        environment, more = reveal(operator.environment or {}), reveal(operator.task_document or {})
        self._number = instance.try_number
        self._is_alone = self._has_its_own_job(context)
        for number, (name, item) in enumerate(items.items()):
            given = item if isinstance(item, Mapping) else {"command_line": item}
            try:
                body = task_document(
                    command_line=given["command_line"],
                    environment={**environment, **reveal(given.get("environment") or {})},
                    more={**more, **reveal(given.get("task_document") or {})},
                    instance=instance,
                    max_retries=operator.max_retries,
                    seconds=self._left,
                )
            except ParameterError as error:
                raise wrong(f"tasks[{number}]: {error}") from None
            self._bodies[name] = {"id": instance.attempt_id(f"{key}-{name}"), **body}
        return Work(
            base=users or instance.job_base(pool_id),
            key=key,
            life=instance.life,
            attempt_id="",
            task={},
            job=self._job_document(pool_id),
            is_users=users is not None,
            is_many=True,
        )

    def _choice(
        self, context: Context, hook: AzureBatchJobHook, work: Work, items: Mapping[str, Any]
    ) -> tuple[Choice, int]:
        """What to do with each task; and the number of the job to which to add."""
        is_submitted = bool(self._memo.get("submitted"))
        if self._is_first(context) and not is_submitted:
            return Choice(to_submit=tuple(items)), 1
        earlier = self._ask(hook, partial(read_attempts, work))
        choice = choose_items(
            work.key, work.life, self._number, items, earlier.attempts, submitted=is_submitted
        )
        if not is_submitted and (choice.ended or choice.live):
            self._say(f"{len(choice.ended)} tasks had ended already, {len(choice.live)} run already")
        if not choice.to_submit:
            self._ask(hook, partial(have_them_end, earlier.endless))
        self._endless = earlier.endless
        return choice, earlier.number

    def _submit(self, hook: AzureBatchJobHook, work: Work, names: Sequence[str], number: int) -> None:
        bodies: list[Any] = [self._bodies[name] for name in names]
        failures = closed = 0
        while bodies:
            job_id, some = work.job_id(number), bodies[: AT_ONCE * PER_REQUEST]
            if job_id not in self._memo["job_ids"]:
                self._memo["job_ids"].append(job_id)
            left, why = self._ask(hook, partial(add_tasks, work, job_id, some))
            work_submitted(str(self.operator.pool_id), len(some) - len(left))
            self._check_alive()
            bodies = [*left, *bodies[len(some) :]]
            failures = 0 if len(left) < len(some) else failures + 1
            if isinstance(why, NotYet):
                self._say(f"{len(bodies):,} tasks are not submitted yet: {why.text}")
                self._check_time(f"{len(bodies):,} tasks were not submitted: {why.text}")
                pause = pause_after(failures, self.operator.poll_interval)
                self._tell(hook, f"{len(bodies):,} tasks are not submitted yet: {why.text}", pause)
                self._pause(pause)
            elif left:
                closed += 1
                if closed >= _MOST_JOBS:
                    raise ConflictError(f"Could not add {len(bodies):,} tasks: job {job_id} takes no more")
                number = self._ask(hook, partial(next_number, work, number))
        if not work.is_users:
            jobs = dict.fromkeys([*self._memo["job_ids"], *self._endless])
            self._ask(hook, partial(have_them_end, jobs))
        self._memo["submitted"] = True
        self._say(f"{len(names):,} tasks submitted to job {', '.join(self._memo['job_ids'])}")

    def _wait(self, hook: AzureBatchJobHook, work: Work, choice: Choice) -> None:
        """Wait until none of them goes on.

        :raises TaskDeferred: if that is done in the triggerer.
        """
        operator = self.operator
        jobs = dict.fromkeys([*self._memo["job_ids"], *(one.job.id for one in choice.live.values())])
        self._memo |= {"job_ids": list(jobs), "submitted": True}
        count = len(choice.live) + len(choice.to_submit)
        over = sum(attempt.job.id in jobs for attempt, _ in choice.ended.values())
        if choice.to_submit or not self._start_deadline:
            self._set_start_deadline()
        self._check_alive()
        if operator.deferrable and self._left > 0:
            states = {"active": count, **_ended_states(choice)}
            told = self._tell(
                hook, counted_text(states), operator.poll_interval, counted(jobs, states), elsewhere=True
            )
            raise TaskDeferred(
                trigger=AzureBatchTasksTrigger(
                    pool_id=check_pool_id(operator.pool_id),
                    job_ids=list(jobs),
                    key=work.key,
                    life=work.life,
                    count=count,
                    base=work.base,
                    azure_batchext_conn_id=operator.azure_batchext_conn_id,
                    poll_interval=operator.poll_interval,
                    deadline=self._memo["deadline"],
                    start_deadline=self._start_deadline,
                    over=over,
                    is_users_job=work.is_users,
                    is_alone=self._is_alone,
                    on_killed=operator.on_killed,
                    memo=self._memo,
                    told=told,
                ),
                method_name="execute_complete",
                timeout=deferral_limit(self._memo["deadline"], self._limit),
            )
        place = ItemsPlace(tuple(jobs), check_pool_id(operator.pool_id), work.key, work.is_users)
        watch, failures = ItemsWatch(place, work.life, count, self._start_limit(), over), 0
        while True:
            is_last = self._left <= 0
            with look_within(self._left):
                look = hook.run(watch.look(is_last=is_last))
            stage, text = watch.take(look)
            self._say(text)
            if stage or is_last:
                self._judge(stage or Stage.TIMEOUT.value, text)
                return
            failures = failures + 1 if look.problem else 0
            pause = pause_after(failures, operator.poll_interval, look.retry_after)
            pause = watch.start.pause(pause)
            self._tell(hook, text, pause, counted(jobs, watch.states))
            self._pause(pause)

    def _judge(self, stage: str, text: str) -> None:
        """Raise what a wait has come to, unless all have ended."""
        match stage:
            case Stage.TIMEOUT.value:
                self._end("as its time was up")
                raise self._late(f"{self._name} had not ended within {self._limit}: {text}")
            case Stage.REFUSED.value:
                raise AccessRefusedError(f"{self._name}: {text}")
            case Stage.UNSTARTED.value:
                self._end("as they were given no node")
                raise TaskNotStartedError(f"{self._name} were given no node: {text}")
            case Stage.LOST.value:
                self._end("as it cannot run any more")
                raise TaskLostError(f"{self._name} are lost: {text}")
            case other if other != SETTLED:
                raise self._unknown(stage)

    # --- how it ended --------------------------------------------------------------------------------------

    def _ended(self, context: Context, hook: AzureBatchJobHook, choice: Choice) -> dict[str, Any]:
        operator = self.operator
        failed = {name: end for name, end in choice.ended.items() if end[1].stage is not Stage.SUCCEEDED}
        skipped = {
            name
            for name, (attempt, _) in failed.items()
            if attempt.task.exit_code in operator.skip_on_exit_code
        }
        count, lost = len(self._bodies), len(choice.missing)
        succeeded, bad = count - len(failed) - lost, len(failed) - len(skipped) + lost
        self._live.saw(counted(self._memo["job_ids"], {"succeeded": succeeded, "failed": len(failed) + lost}))
        told = {
            "pool_id": operator.pool_id,
            "job_ids": sorted({attempt.job.id for attempt, _ in choice.ended.values()}),
            "tasks": count,
            "succeeded": succeeded,
            "failed": bad,
            "skipped": len(skipped),
            "failures": [_failure(name, *end) for name, end in list(failed.items())[:_IN_XCOM]],
        }
        worst = {name: end for name, end in failed.items() if name not in skipped}
        for attempt, _ in choice.ended.values():
            if attempt.told.number == self._number:  # those of earlier tries were counted then
                work_ran(str(operator.pool_id), attempt.task.seconds)
        self._show(hook, worst)
        self._check_alive()
        if bad <= operator.max_failed and (succeeded or not skipped):
            self._tidy_all(context, choice)
            return told
        self._push(context, told)
        named = [f"{name}: {how.text}" for name, (_, how) in (worst or failed).items()]
        named += [f"{name}: it was deleted, or its job was" for name in choice.missing]
        more = f"; and {len(named) - _TOLD} more" if len(named) > _TOLD else ""
        text = f"{len(named):,} of {self._name} failed: {one_line('; '.join(named[:_TOLD]), 2000)}{more}"
        codes = {attempt.task.exit_code for attempt, _ in worst.values()}
        is_skipped, is_final = bad <= operator.max_failed, bool(codes & set(operator.fail_on_exit_code))
        if is_skipped or is_final or operator.soft_fail or self._is_last(context):
            self._tidy_all(context, choice)
        if is_skipped:
            raise AirflowSkipException(text)
        if is_final:
            raise AirflowFailException(text)
        raise TaskFailedError(text, next(iter(codes)) if len(codes) == 1 else None)

    def _tidy_all(self, context: Context, choice: Choice) -> None:
        """Delete Batch tasks, as far as that was wished: no try comes any more that asks how they ended."""
        is_all = self.operator.on_finish == "delete"
        known = [
            (attempt.job.id, attempt.task.id)
            for attempt, how in choice.ended.values()
            if is_all or how.stage is Stage.SUCCEEDED
        ]
        self._tidy(context, known)

    def _show(self, hook: AzureBatchJobHook, failed: Mapping[str, tuple[Attempt, Standing]]) -> None:
        """The end of what the first of those that failed have written."""
        if self.operator.logs == "none":
            return
        for name, (attempt, how) in list(failed.items())[:_LOGGED]:
            self._check_alive()
            self.log.info("Task %s failed: %s", name, how.text)
            output = OutputLog(self.log, "end", self.operator.logs_interval)
            output.finish(hook, attempt.job.id, attempt.task, self._left)
        if len(failed) > _LOGGED:
            self.log.info("Of %d more that failed nothing is shown", len(failed) - _LOGGED)

    # --- helpers -------------------------------------------------------------------------------------------

    @property
    def _is_submitted(self) -> bool:
        return self._work is not None

    @property
    def _name(self) -> str:
        return f"{len(self._bodies):,} Batch tasks on pool {self.operator.pool_id}"

    def _ending(self) -> Call[int]:
        if self._work is None:
            raise TaskLostError("Nothing was submitted")
        return end_items(self._work, is_alone=self._is_alone)

    def _whole(self, context: Context) -> Work:
        return self._work or self._prepared(context, {})

    def _ending_attempts(self, context: Context) -> Call[int]:
        return end_items(self._whole(context), is_alone=self._is_alone)


def _ended_states(choice: Choice) -> dict[str, int]:
    """How many have succeeded, and have failed."""
    succeeded = sum(how.stage is Stage.SUCCEEDED for _, how in choice.ended.values())
    return {"succeeded": succeeded, "failed": len(choice.ended) - succeeded}


def _failure(name: str, attempt: Attempt, how: Standing) -> dict[str, Any]:
    task = attempt.task
    return {
        "id": name,
        "job_id": attempt.job.id,
        "batch_task_id": task.id,
        "exit_code": task.exit_code,
        "failure": how.text,
        "node_id": task.node_id,
    }
