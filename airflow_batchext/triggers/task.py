"""Waiting for a Batch task, in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks._drivers.work import Place, end_placed, look_at_task
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.live.work import single, unseen
from airflow_batchext.live.writer import Live, in_triggerer
from airflow_batchext.metrics import work_ended, work_ran, work_waiting
from airflow_batchext.rules.deadline import StartLimit
from airflow_batchext.rules.work import (
    Stage,
    Standing,
    TasksSeen,
    as_xcom,
    has_started,
    stands,
    unstarted_text,
)
from airflow_batchext.transport import over_within, within
from airflow_batchext.triggers._base import DeclaredTrigger
from airflow_batchext.triggers._ending import shielded, was_ended
from airflow_batchext.triggers._failing import connection_text
from airflow_batchext.triggers._job_looks import JobLooksLease, SharedJobLooks
from airflow_batchext.triggers._logged import logged
from airflow_batchext.triggers._task_output import REST_SECONDS, Follower, TaskOutput, turns

if TYPE_CHECKING:
    from airflow_batchext.batch.work import TaskSeen


@dataclass(kw_only=True, eq=False)
class AzureBatchTaskTrigger(DeclaredTrigger):
    """Looks at a Batch task until it has ended, cannot end any more, or the deadline passes.

    All triggers of a triggerer that wait in one job look at it together. The event's payload is ``stage`` (a
    value of ``rules.work.Stage``), ``text``, ``task`` (what was seen of it, or None), ``output`` (how far
    what it has written is in the log) and ``memo`` as given. Where it ``ends_task``, a success ends the
    Airflow task, too.

    :param pool_id: the pool on which it runs.
    :param job_id: its job.
    :param batch_task_id: the task's id in Azure Batch.
    :param azure_batchext_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; the first one comes after one interval.
    :param deadline: when to give up, in seconds since the epoch.
    :param start_deadline: when it has to have started, in seconds since the epoch; 0: whenever.
    :param prefix: how the ids of those tasks of the job begin that are ours.
    :param is_users_job: whether the job is the user's own.
    :param logs_interval: seconds between two looks at what it writes, while it runs; 0: nobody looks.
    :param ends_task: end the Airflow task in the triggerer if the Batch task succeeds.
    :param rest_bytes: so much of the end of what it has written is written into the log then.
    :param on_killed: what to do with the Batch task when a user ends the task.
    :param memo: what the operator wants to know when it goes on.
    :param told: what the worker has told the live page, as ``live.snapshot`` writes it.
    """

    pool_id: str
    job_id: str
    batch_task_id: str
    azure_batchext_conn_id: str
    poll_interval: float
    deadline: float
    start_deadline: float = 0.0
    prefix: str = ""
    is_users_job: bool = False
    logs_interval: float = 0.0
    ends_task: bool = False
    rest_bytes: int = 0
    on_killed: Literal["leave", "terminate"] = "leave"
    memo: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] | None = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, when the wait has ended."""
        place = Place(self.job_id, self.pool_id, self.prefix, self.is_users_job)
        output = TaskOutput(self.log, self.logs_interval)
        follower = Follower(output, self.job_id)
        live = in_triggerer(self, partial(unseen, self), self.told)
        async with AsyncExitStack() as stack:
            lease = JobLooksLease(self.azure_batchext_conn_id, place, self.poll_interval)
            looks = await stack.enter_async_context(lease)
            stack.callback(live.close)
            stack.enter_context(work_waiting())
            async with follower.following(looks.hook) if self.logs_interval else nullcontext():
                found = await self._wait(looks, place, follower, live)
            is_end = self.ends_task and found.stage is Stage.SUCCEEDED
            if is_end and found.task is not None and found.task.started and self.rest_bytes:
                is_end = await self._write_rest(looks.hook, output, found.task)
        if output.has_told or is_end:
            await logged()
        if is_end:
            live.ends("done", found.text, work=single(self.job_id, found))
            told = as_xcom(found, self.pool_id, self.job_id, self.batch_task_id)
            work_ran(self.pool_id, told["seconds"])
            work_ended(self.pool_id, "succeeded")
            yield TaskSuccessEvent(xcoms={"return_value": told, **live.xcoms()})
            return
        yield TriggerEvent(
            {
                "stage": found.stage.value,
                "text": found.text,
                "task": found.task and found.task.to_json(),
                "output": output.seen.to_json(),
                "memo": self.memo,
            }
        )

    async def _wait(self, looks: SharedJobLooks, place: Place, follower: Follower, live: Live) -> Standing:
        try:
            await looks.hook.aconnection()
        except BatchextError as error:
            return Standing(Stage.REFUSED, connection_text(error, self.azure_batchext_conn_id))
        since, said, pause = time.monotonic(), "", self.poll_interval
        start = StartLimit(self.start_deadline, time.time)
        while True:
            await asyncio.sleep(max(0.0, min(start.pause(pause), self._left)))
            is_last, is_late = self._left <= 0, start.has_passed
            look = await looks.look(since, max(1.0, self._left), is_last=is_last or is_late)
            found = await self._standing(looks, place, look)
            if found.text != said:
                said = found.text
                self.log.info("Batch task %s of job %s: %s", self.batch_task_id, self.job_id, said)
            if found.stage is not Stage.WAITING:
                return found
            if is_last:
                return Standing(Stage.TIMEOUT, found.text, found.task)
            start.has_started |= has_started(found.task)
            if is_late and found.task is not None and not start.has_started:
                return Standing(Stage.UNSTARTED, unstarted_text(found.text), found.task)
            follower.see(found.task)
            pause = looks.next_look()
            text = f"Batch task {self.batch_task_id}: {found.text}"
            live.sees_work(self.pool_id, text, single(self.job_id, found), looks.hook.known_connection)
            live.waits(max(0.0, min(pause, self._left)))

    async def _write_rest(self, hook: AzureBatchJobHook, output: TaskOutput, task: TaskSeen) -> bool:
        """Write the rest of what it has written; whether its turn to read that has come in time."""
        left = min(REST_SECONDS, max(1.0, self._left))
        ends = time.monotonic() + left
        async with AsyncExitStack() as stack:
            try:
                async with over_within(left):
                    await stack.enter_async_context(turns().turn())
            except TimeoutError:
                self.log.info(
                    "Many others read what theirs have written: a worker reads it, and ends the task"
                )
                return False
            with within(max(1.0, ends - time.monotonic())):
                look = await hook.arun(output.read_rest(self.job_id, task, self.rest_bytes))
        output.tell(task, look, is_last=True)
        return True

    async def _standing(self, looks: SharedJobLooks, place: Place, look: TasksSeen) -> Standing:
        is_unlisted = self.batch_task_id not in look.tasks
        if is_unlisted and not (look.is_gone or look.problem or look.refused):
            # A list may be older than the task: it is asked for itself, before it is called lost.
            look = await looks.run(look_at_task(place, self.batch_task_id, whole=True))
        return stands(self.batch_task_id, look)

    @property
    def _left(self) -> float:
        return self.deadline - time.time()

    async def on_kill(self) -> None:
        """End the Batch task, if that was asked for and it was a user who ended the task.

        Airflow calls this also when the trigger is merely moved to another triggerer, and when the task is
        cleared and its next try waits already: that one ends what it finds.
        """
        if self.on_killed == "terminate":
            await shielded(self._end_task())

    async def _end_task(self) -> None:
        if not await was_ended(self):
            return
        named = f"Batch task {self.batch_task_id} of job {self.job_id}"
        try:
            async with AzureBatchJobHook(self.azure_batchext_conn_id) as hook:
                ending = end_placed(self.job_id, self.batch_task_id, is_users=self.is_users_job)
                if await hook.arun(ending):
                    self.log.info("%s was ended, as the task was", named)
        except BatchextError as error:
            self.log.warning("%s goes on: %s", named, error)
