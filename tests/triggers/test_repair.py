"""The repair of an operator, in the triggerer: how it ends when a user ends its task."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from airflow_batchext.triggers.repair import AzureBatchRepairTrigger
from tests.repair.conftest import books as books
from tests.repair.conftest import fails, journal, run_until, targets

INSTANCE = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)


@pytest.mark.parametrize("state", ["failed", "success", "deleted", "deferred", "scheduled"])
async def test_only_the_end_of_the_task_by_a_user_puts_the_targets_back(azure, monkeypatch, books, state):
    """Airflow calls on_kill also when it moves the trigger, and after a clear: the repair goes on then."""
    azure.emulator.scenario = fails({"node": 0})
    azure.create(2)
    monkeypatch.setattr(
        "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states",
        staticmethod(lambda **_: {} if state == "deleted" else {"r": {"t": state}}),
    )
    trigger = AzureBatchRepairTrigger(
        pool_id=azure.pool_id,
        azure_batchext_conn_id="official",
        poll_interval=0.05,
        deadline=time.time() + 900,
        owner="d.t r",
        policy={"order": ["replace"]},
    )
    trigger.task_instance = INSTANCE
    await run_until(trigger, lambda: targets(azure) == (1, 0))
    assert targets(azure) == (1, 0), "a node was taken away"
    azure.pass_time(60)
    await trigger.on_kill()
    ended = state in ("failed", "success", "deleted")
    assert targets(azure) == ((2, 0) if ended else (1, 0))
    assert ("by" in (journal(azure) or {})) is not ended, "who goes on keeps others out"
