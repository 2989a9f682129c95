"""Waiting for a pool to be gone, in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from airflow.triggers.base import TriggerEvent

from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.triggers._base import DeclaredTrigger


@dataclass(kw_only=True, eq=False)
class AzureBatchPoolDeletedTrigger(DeclaredTrigger):
    """Waits until a pool that was asked to go is gone.

    The event's payload: ``gone`` (whether it is) and ``text`` (if not, what was seen last).

    :param pool_id: the pool.
    :param azure_batchext_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; the first one comes after one interval.
    :param deadline: when to give up, in seconds since the epoch.
    :param pool_created: ``creationTime`` of the pool that was deleted; one with another is a new pool.
    """

    pool_id: str
    azure_batchext_conn_id: str
    poll_interval: float
    deadline: float
    pool_created: str

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, when the pool is gone or the deadline has passed."""
        try:
            async with AzureBatchPoolHook(self.azure_batchext_conn_id) as hook:
                seen = await self._wait(hook)
        except BatchextError as error:
            seen = str(error)
        yield TriggerEvent({"gone": not seen, "text": seen})

    async def _wait(self, hook: AzureBatchPoolHook) -> str:
        while True:
            await asyncio.sleep(max(0.0, min(self.poll_interval, self.deadline - time.time())))
            seen = await hook.adeletion_progress(self.pool_id, self.pool_created)
            if not seen or time.time() >= self.deadline:
                return seen
