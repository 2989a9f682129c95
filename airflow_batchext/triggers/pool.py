"""Waiting for a pool, in the triggerer: until it is gone, settled, or has the nodes that it is to have."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow.triggers.base import TriggerEvent

from airflow_batchext.batch.management_plane import read_managed_pool
from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks._drivers.pool_wait import alook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.live.form import Snapshot
from airflow_batchext.live.writer import Live, in_triggerer
from airflow_batchext.rules.pool_wait import Goal, Observation, Wait, WaitStatus, pause_after
from airflow_batchext.transport import look_within
from airflow_batchext.triggers._base import DeclaredTrigger
from airflow_batchext.triggers._ending import shielded, was_ended
from airflow_batchext.triggers._failing import connection_text


@dataclass(kw_only=True, eq=False)
class AzureBatchPoolTrigger(DeclaredTrigger):
    """Looks at a pool until it is what it is waited for to be, cannot become it, or the deadline passes.

    The event's payload is the last ``rules.pool_wait.Observation``, and ``memo`` as given.

    :param pool_id: the pool.
    :param azure_batchext_conn_id: the Airflow connection.
    :param goal: what to wait for, a value of ``rules.pool_wait.Goal``.
    :param poll_interval: seconds between two looks; the first one comes after one interval.
    :param deadline: when to give up, in seconds since the epoch.
    :param pool_created: ``creationTime`` of the pool that is meant; one with another is a new pool.
    :param on_killed: what to do with the pool when a user ends the task.
    :param memo: what the operator wants to know when it goes on.
    :param told: what the worker has told the live page, as ``live.snapshot`` writes it.
    """

    pool_id: str
    azure_batchext_conn_id: str
    goal: str
    poll_interval: float
    deadline: float
    pool_created: str = ""
    on_killed: Literal["nothing", "delete", "stop_resize"] = "nothing"
    memo: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] | None = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, when the wait has ended."""
        # The trigger's own rhythm repeats what failed; the SDK's would delay the deadline.
        async with AzureBatchPoolHook(self.azure_batchext_conn_id, retries=0) as hook:
            live = in_triggerer(self, self._about, self.told)
            try:
                observed = await self._wait(hook, live)
            except BatchextError as error:
                observed = Observation(WaitStatus.REFUSED, self._told(error))
            finally:
                live.close()
        yield TriggerEvent({**observed.to_json(), "memo": self.memo})

    async def _wait(self, hook: AzureBatchPoolHook, live: Live) -> Observation:
        wait = Wait(Goal(self.goal), self.pool_created)
        pause, failures, said = self.poll_interval, 0, ""
        while True:
            await asyncio.sleep(max(0.0, min(pause, self.deadline - time.time())))
            with look_within(self.deadline - time.time()):
                await hook.aconnection()
                observed = await alook(hook, self.pool_id, wait)
            if observed.text != said:
                said = observed.text
                self.log.info("%s", said)
            if observed.status is not WaitStatus.WAITING:
                return observed
            if time.time() >= self.deadline:
                return Observation(WaitStatus.TIMEOUT, observed.text)
            failures = failures + 1 if observed.passing else 0
            pause = pause_after(observed, failures, self.poll_interval)
            live.sees_pool(self.pool_id, observed.text, hook.known_connection)
            live.waits(max(0.0, min(pause, self.deadline - time.time())))

    def _about(self) -> Snapshot:
        """What is known of it before the first look, for the live page; the operator has told the rest."""
        return Snapshot(
            kind="delete" if self.goal == Goal.GONE.value else "resize",
            pool=self.pool_id,
            connection=self.azure_batchext_conn_id,
            deadline=self.deadline,
            interval=self.poll_interval,
        )

    def _told(self, error: BatchextError) -> str:
        why = connection_text(error, self.azure_batchext_conn_id)
        return f"Pool {self.pool_id} could not be waited for: {why}"

    async def on_kill(self) -> None:
        """Do to the pool what was asked for, if it was a user who ended the task.

        Airflow calls this also when the trigger is merely moved to another triggerer, and when the task is
        cleared and its next try waits already.
        """
        if self.on_killed == "nothing":
            return
        await shielded(self._end_pool())

    async def _end_pool(self) -> None:
        if not await was_ended(self):
            return
        try:
            async with AzureBatchPoolHook(self.azure_batchext_conn_id) as hook:
                pool = read_managed_pool(await hook.aget_pool(self.pool_id))
                if pool.created != self.pool_created:
                    return
                if self.on_killed == "delete":
                    await hook.adelete_pool(self.pool_id)
                    self.log.info("Asked for the deletion of pool %s, as the task was ended", self.pool_id)
                else:
                    await hook.astop_resize(self.pool_id)
                    self.log.info("Stopped the resize of pool %s, as the task was ended", self.pool_id)
        except BatchextError as error:
            self.log.warning("Pool %s was left as it is: %s", self.pool_id, error)
