"""A triggerer cancels a trigger at any moment, also in the very one in which an answer comes: it ends."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from airflow_batchext.transport.loops import AsyncGuardedTransport
from airflow_batchext.triggers.events import AzureBatchPoolEventTrigger
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from airflow_batchext.triggers.pool import AzureBatchPoolTrigger
from airflow_batchext.triggers.repair import AzureBatchRepairTrigger
from tests.repair.conftest import fails
from tests.triggers.test_repair import INSTANCE
from tests.waiting import until

ANSWERS = range(1, 9)


def triggers(pool_id: str) -> dict[str, Any]:
    """One of each, that would wait for long."""
    common: dict[str, Any] = {
        "pool_id": pool_id,
        "azure_batchext_conn_id": "azure_batchext_default",
        "poll_interval": 0.01,
    }
    ends: dict[str, Any] = {**common, "deadline": time.time() + 900}
    return {
        "extension": AzureBatchExtensionTrigger(**ends, started=time.time(), rules={"on_failure": "wait"}),
        "events": AzureBatchPoolEventTrigger(**common, events=["ready", "lost"]),
        "pool": AzureBatchPoolTrigger(**ends, goal="gone"),
        "repair": AzureBatchRepairTrigger(**ends, owner="d.t r", policy={"order": ["replace"]}),
    }


@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("kind", ["extension", "events", "pool", "repair"])
async def test_a_trigger_ends_when_it_is_cancelled_as_an_answer_comes(azure, monkeypatch, kind, answers):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(2)
    trigger = triggers(azure.pool_id)[kind]
    trigger.task_instance = INSTANCE
    reads, came = AsyncGuardedTransport._send, []

    async def read(self: Any, *args: Any) -> Any:
        answer = await reads(self, *args)
        came.append(answer)
        if len(came) == answers:
            running.cancel()
        return answer

    async def run() -> None:
        async for _ in trigger.run():
            pass

    monkeypatch.setattr(AsyncGuardedTransport, "_send", read)
    running = asyncio.create_task(run())
    try:
        await until(lambda: len(came) >= answers)
        # One that swallows its cancellation goes on for good.
        await until(running.done, 20)
    finally:
        monkeypatch.setattr(AsyncGuardedTransport, "_send", reads)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
