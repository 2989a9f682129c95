"""Waiting for many Batch tasks, in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from airflow.triggers.base import TriggerEvent

from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks._drivers.work import Work
from airflow_batchext.hooks._drivers.work_items import ItemsLook, ItemsPlace, ItemsWatch
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.live.work import counted, unseen
from airflow_batchext.live.writer import Live, in_triggerer
from airflow_batchext.metrics import work_waiting
from airflow_batchext.rules.deadline import StartLimit
from airflow_batchext.rules.work import Stage, pause_after
from airflow_batchext.transport import look_within
from airflow_batchext.triggers._base import DeclaredTrigger
from airflow_batchext.triggers._ending import end_work, shielded
from airflow_batchext.triggers._failing import connection_text


@dataclass(kw_only=True, eq=False)
class AzureBatchTasksTrigger(DeclaredTrigger):
    """Looks at many Batch tasks until none of them goes on, or the deadline passes.

    The event's payload is ``stage`` ("settled", or a value of ``rules.work.Stage`` that ends the wait),
    ``text`` and ``memo`` as given: how each has ended the operator reads itself.

    :param pool_id: the pool on which they run.
    :param job_ids: their jobs.
    :param key: what the ids of all of them begin with, with a hyphen behind it.
    :param life: what stands behind the id of each.
    :param count: how many there are.
    :param base: the ids of their jobs without their number, or of the user's own job.
    :param azure_batchext_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; the first one comes after one interval.
    :param deadline: when to give up, in seconds since the epoch.
    :param start_deadline: when one of them has to have started, in seconds since the epoch; 0: whenever.
    :param over: how many in these jobs were over already when the wait began.
    :param is_users_job: whether the job is the user's own.
    :param is_alone: whether there is nothing else in the jobs.
    :param on_killed: what to do with the Batch tasks when a user ends the task.
    :param memo: what the operator wants to know when it goes on.
    :param told: what the worker has told the live page, as ``live.snapshot`` writes it.
    """

    pool_id: str
    job_ids: list[str]
    key: str
    life: str
    count: int
    base: str
    azure_batchext_conn_id: str
    poll_interval: float
    deadline: float
    start_deadline: float = 0.0
    over: int = 0
    is_users_job: bool = False
    is_alone: bool = False
    on_killed: Literal["leave", "terminate"] = "leave"
    memo: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] | None = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, when the wait has ended."""
        async with AzureBatchJobHook(self.azure_batchext_conn_id, retries=0) as hook:
            live = in_triggerer(self, partial(unseen, self), self.told)
            try:
                with work_waiting():
                    stage, text = await self._wait(hook, live)
            finally:
                live.close()
        yield TriggerEvent({"stage": stage, "text": text, "memo": self.memo})

    async def _wait(self, hook: AzureBatchJobHook, live: Live) -> tuple[str, str]:
        try:
            await hook.aconnection()
        except BatchextError as error:
            return Stage.REFUSED.value, connection_text(error, self.azure_batchext_conn_id)
        place = ItemsPlace(tuple(self.job_ids), self.pool_id, self.key, self.is_users_job)
        start = StartLimit(self.start_deadline, time.time)
        watch = ItemsWatch(place, self.life, self.count, start, self.over)
        said, failures, pause = "", 0, self.poll_interval
        while True:
            await asyncio.sleep(max(0.0, min(start.pause(pause), self._left)))
            is_last = self._left <= 0
            with look_within(self._left):
                look: ItemsLook = await hook.arun(watch.look(is_last=is_last))
            stage, text = watch.take(look)
            if text != said:
                said = text
                self.log.info("%s", said)
            if stage:
                return stage, text
            if is_last:
                return Stage.TIMEOUT.value, text
            failures = failures + 1 if look.problem else 0
            pause = pause_after(failures, self.poll_interval, look.retry_after)
            work = counted(self.job_ids, watch.states)
            live.sees_work(self.pool_id, text, work, hook.known_connection)
            live.waits(max(0.0, min(pause, self._left)))

    @property
    def _left(self) -> float:
        return self.deadline - time.time()

    async def on_kill(self) -> None:
        """End the Batch tasks, if that was asked for and it was a user who ended the task."""
        if self.on_killed == "terminate":
            work = Work(self.base, self.key, self.life, "", {}, {}, self.is_users_job, is_many=True)
            await shielded(end_work(self, self.azure_batchext_conn_id, work, is_alone=self.is_alone))
