"""A trigger that is cancelled ends, at whatever moment of whatever request the triggerer does it."""

from __future__ import annotations

import asyncio
import time

import pytest

from airflow_batchext.transport.loops import AsyncGuardedTransport
from airflow_batchext.triggers import _sharing
from airflow_batchext.triggers.events import AzureBatchPoolEventTrigger
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from airflow_batchext.triggers.pool import AzureBatchPoolTrigger
from airflow_batchext.triggers.repair import AzureBatchRepairTrigger
from tests.repair.conftest import fails


def given(azure):
    return {"pool_id": azure.pool_id, "azure_batchext_conn_id": "official", "poll_interval": 0.01}


TRIGGERS = {
    "gate": lambda azure: AzureBatchExtensionTrigger(**given(azure), timeout=900, ends_task=True),
    "gate that repairs": lambda azure: AzureBatchExtensionTrigger(
        **given(azure), timeout=900, ends_task=True, repair={"order": ["replace"]}
    ),
    "repair": lambda azure: AzureBatchRepairTrigger(
        **given(azure), deadline=time.time() + 900, owner="me", policy={"order": ["replace"]}
    ),
    "pool": lambda azure: AzureBatchPoolTrigger(
        **{**given(azure), "azure_batchext_conn_id": "azure_batchext_default"},
        goal="gone",
        deadline=time.time() + 900,
    ),
    "watcher": lambda azure: AzureBatchPoolEventTrigger(**given(azure)),
}


class Cancelled:
    """Has a task be cancelled so many passes of the loop after that answer was read."""

    def __init__(self, monkeypatch, answer, passes):
        self.sent = self.read = 0
        self.task: asyncio.Task | None = None
        received = AsyncGuardedTransport._send

        async def receive(transport, *arguments):
            self.sent += 1
            response = await received(transport, *arguments)
            self.read += 1
            if self.read == answer + 1:
                self._cancel_after(passes)
            return response

        monkeypatch.setattr(AsyncGuardedTransport, "_send", receive)

    def _cancel_after(self, passes):
        if passes:
            asyncio.get_running_loop().call_soon(self._cancel_after, passes - 1)
        else:
            self.task.cancel()


@pytest.mark.parametrize("passes", range(5))
@pytest.mark.parametrize("answer", range(7))
@pytest.mark.parametrize("kind", TRIGGERS)
async def test_a_cancelled_trigger_ends(azure, monkeypatch, kind, answer, passes):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(2, ready=kind != "gate")
    point = Cancelled(monkeypatch, answer, passes)
    task = point.task = asyncio.create_task(anext(aiter(TRIGGERS[kind](azure).run())))
    done, _ = await asyncio.wait([task], timeout=20)
    sent = point.sent
    await asyncio.sleep(0.02)
    try:
        assert done, "it goes on"
        assert task.cancelled()
        assert point.sent == sent
        assert not _sharing._shared.get(asyncio.get_running_loop())
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=5)
