"""A wrong clock, the service's or our own, makes no node look older than it is to a repair."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.batch.data_plane import Phase, epoch_seconds, read_extension, read_node
from airflow_batchext.emulator.serving import application
from airflow_batchext.emulator.wire.http import http_time
from airflow_batchext.hooks import _async_clients
from airflow_batchext.hooks._async_clients import EMULATED_TIME_HEADER, ServiceClock
from airflow_batchext.hooks._drivers.gate import alook, look
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.operators.node import AzureBatchRepairNodesOperator
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.gate import RepairingGate
from airflow_batchext.rules.deadline import NEVER
from airflow_batchext.rules.gate import Rules
from airflow_batchext.rules.watch import Watch
from tests.repair.conftest import fails

BELIEVED = 900.0


def dated(skew):
    return {"Date": http_time(datetime.now(UTC) + timedelta(seconds=skew))}


@settings(max_examples=40)
@given(st.lists(st.floats(-2e9, 2e9) | st.floats(-1000, 1000), min_size=1, max_size=4), st.booleans())
def test_the_time_is_at_most_a_quarter_of_an_hour_from_our_own(skews, is_here):
    clock = ServiceClock()
    for skew in skews:
        clock.note(dated(skew), is_here=is_here)
    now = time.time()
    assert abs(clock.now() - now) <= BELIEVED + 1
    assert clock.cautious_now() <= min(clock.now(), now) + 1
    near = [skew for skew in skews if abs(skew) < BELIEVED - 2]
    if near and abs(skews[-1]) < BELIEVED - 2:
        assert abs(clock.now() - now - near[-1]) < 3


@pytest.mark.parametrize(
    "date", ["", "x", "-1", "Mon, 99 Foo 99999", "Mon, 01 Jan 0001 00:00:00 +2359", None]
)
def test_what_is_no_date_changes_nothing(date):
    clock = ServiceClock()
    clock.note(dated(120))
    clock.note({} if date is None else {"Date": date})
    assert 118 < clock.now() - time.time() < 122


def test_the_time_of_an_emulator_is_believed_from_this_machine_alone():
    clock = ServiceClock()
    told = {EMULATED_TIME_HEADER: dated(86_400)["Date"], **dated(0)}
    clock.note(told, is_here=False)
    assert abs(clock.cautious_now() - time.time()) < 5
    clock.note(told, is_here=True)
    assert clock.cautious_now() == pytest.approx(time.time() + 86_400, abs=5)


@pytest.fixture
def fresh_boot(azure, monkeypatch):
    """A node that booted seconds ago and whose extension failed; yields whose clock is wrong."""
    azure.emulator.scenario = fails({}, timings={"extension": 2, "starting": 2, "agent": 1, "reporting": 0})
    azure.create(1)
    wrong = SimpleNamespace(service=0.0, own=0.0)
    real = azure.emulator.clock
    monkeypatch.setattr(_async_clients, "EMULATED_TIME_HEADER", "x-nobody-sends-it")
    clock = SimpleNamespace(time=lambda: real.now().timestamp() + wrong.own)
    monkeypatch.setattr(_async_clients, "time", clock)
    monkeypatch.setattr(application, "http_time", lambda at: http_time(at + timedelta(seconds=wrong.service)))
    with AzureBatchNodeHook("official") as hook:
        (before,) = hook.list_nodes(azure.pool_id)
        azure.emulator.account.reboot_node(azure.pool_id, before["id"])
        for _ in range(120):
            azure.pass_time(1)
            node = read_node(hook.list_nodes(azure.pool_id)[0])
            found = hook.list_node_extensions(azure.pool_id, node.id) if node.state == "idle" else []
            if node.last_boot_time != before["lastBootTime"] and found:
                break
        failed = [e for e in map(read_extension, found) if e.phase is Phase.FAILED]
        age = real.now().timestamp() - epoch_seconds(node.last_boot_time)
    assert failed
    assert age < 60
    return wrong


def would_do(azure, way):
    """What is done at one look to the node, in this way of repairing."""
    if way == "operator":
        repair = AzureBatchRepairNodesOperator(
            task_id="r", pool_id=azure.pool_id, azure_batchext_conn_id="official", dry_run=True, timeout=60
        )
        return repair.execute({})["actions"]
    repair = Repair(azure.pool_id, RepairPolicy(), owner="me", keeps_journal=True)
    gate = RepairingGate(Watch(azure.pool_id, Rules()), repair, deadline=NEVER)

    async def asked():
        async with AzureBatchNodeHook("official", retries=0) as hook:
            await alook(hook, gate, whole=False)

    if way == "gate":
        with AzureBatchNodeHook("official", retries=0) as hook:
            look(hook, gate)
    else:
        asyncio.run(asked())
    return [*gate.repair._known.refused, *(gate._progress.acts if gate._progress else ())]


@pytest.mark.parametrize(
    ("whose", "skew", "way"),
    [
        *(("service", skew, "operator") for skew in (3600.0, -3600.0, 890.0, 130.0, -890.0, 0.0, 2e9)),
        *(("service", skew, way) for skew in (3600.0, 600.0) for way in ("gate", "async gate")),
        *(("own", skew, "operator") for skew in (890.0, 130.0, -890.0)),
    ],
)
def test_no_node_is_rebooted_as_soon_as_it_has_booted(azure, fresh_boot, whose, skew, way):
    setattr(fresh_boot, whose, skew)
    assert would_do(azure, way) == []
    azure.pass_time(1200)
    assert would_do(azure, way), "the control: in time it is rebooted"
