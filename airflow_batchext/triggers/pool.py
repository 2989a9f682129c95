"""Waiting for a pool to be gone, in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_batchext.exceptions import (
    AccessRefusedError,
    BatchextError,
    NotFoundError,
    ServiceError,
)
from airflow_batchext.hooks.pool import AzureBatchPoolHook


class AzureBatchPoolDeletedTrigger(BaseTrigger):
    """Waits until a pool that was asked to go is gone.

    The event's payload: ``gone`` (whether it is) and ``text`` (if not, what was seen last).

    :param pool_id: the pool.
    :param azure_batchext_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks.
    :param deadline: when to give up, in seconds since the epoch.
    :param pool_created: ``creationTime`` of the pool that was deleted; one with another is a new pool.
    """

    def __init__(
        self,
        *,
        pool_id: str,
        azure_batchext_conn_id: str,
        poll_interval: float,
        deadline: float,
        pool_created: str,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pool_id = pool_id
        self.azure_batchext_conn_id = azure_batchext_conn_id
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.pool_created = pool_created

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments from which a triggerer makes this trigger again."""
        return (
            "airflow_batchext.triggers.pool.AzureBatchPoolDeletedTrigger",
            {
                "pool_id": self.pool_id,
                "azure_batchext_conn_id": self.azure_batchext_conn_id,
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "pool_created": self.pool_created,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, when the pool is gone or the deadline has passed."""
        try:
            async with AzureBatchPoolHook(self.azure_batchext_conn_id) as hook:
                event = await self._wait(hook)
        except BatchextError as error:
            event = TriggerEvent({"gone": False, "text": str(error)})
        yield event

    async def _wait(self, hook: AzureBatchPoolHook) -> TriggerEvent:
        while True:
            await asyncio.sleep(max(0.0, min(self.poll_interval, self.deadline - time.time())))
            try:
                state = deletion_state(await hook.aget_pool(self.pool_id), self.pool_created)
            except NotFoundError:
                state = ""
            except AccessRefusedError:
                raise
            except ServiceError as error:  # may pass; the deadline ends it if it does not
                state = str(error)
            if not state:
                return TriggerEvent({"gone": True, "text": ""})
            if time.time() >= self.deadline:
                return TriggerEvent({"gone": False, "text": state})


def deletion_state(body: dict[str, Any], created: str) -> str:
    """What a look at a pool that was asked to go says, or "" if the pool there is another one.

    :param body: the pool as the management plane shows it.
    :param created: ``creationTime`` of the pool that was asked to go.
    """
    properties = body.get("properties") or {}
    if properties.get("creationTime") != created:
        return ""
    return f"provisioningState is {properties.get('provisioningState')}"
