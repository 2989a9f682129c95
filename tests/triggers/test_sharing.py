"""Gates that look at one pool together: whose a verdict is, and that none is late because of another."""

from __future__ import annotations

import asyncio
import time

import pytest

from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.rules.deadline import Deadline
from airflow_batchext.rules.gate import Outcome
from airflow_batchext.triggers._sharing import SharedLooksLease
from tests.triggers.test_extension import event_of, trigger
from tests.waiting import until


def shared(azure, **rules):
    return SharedLooksLease(conn_id="official", pool_id=azure.pool_id, rules=rules, interval=30.0)


async def test_the_open_of_a_look_that_ended_before_i_asked_is_not_mine(azure):
    azure.create(2)
    async with shared(azure) as looks:
        since = time.monotonic()
        assert (await looks.verdict(since)).outcome is Outcome.OPEN
        azure.emulator.account.preempt_node(azure.pool_id, 0)
        assert (await looks.verdict(since)).outcome is Outcome.WAIT


async def test_nor_is_its_failure(azure):
    azure.create(2)
    azure.emulator.account.set_extension(azure.pool_id, 0, "secretext", outcome="fail", code="7")
    async with shared(azure) as looks:
        since = time.monotonic()
        assert (await looks.verdict(since)).outcome is Outcome.FAIL
        azure.emulator.account.set_extension(azure.pool_id, 0, "secretext", outcome="succeed")
        assert (await looks.verdict(since)).outcome is Outcome.OPEN


async def test_a_look_that_is_cancelled_makes_no_older_verdict_a_fresh_one(azure):
    azure.create(ready=False)
    async with shared(azure) as looks:
        since = time.monotonic()
        assert (await looks.verdict(since)).outcome is Outcome.WAIT
        azure.pass_time(300)
        azure.emulator.faults.add(read_fault({"action": "slow", "seconds": 5.0, "path": "*/pools/*"}))
        looking = asyncio.create_task(looks.verdict(since, is_last=True))
        await asyncio.sleep(0.3)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        assert (await looks.verdict(since, is_last=True)).outcome is Outcome.OPEN
    azure.emulator.faults.clear()


async def test_a_pool_created_anew_fails_the_gate_of_the_old_one_and_no_later_gate(azure):
    azure.create(ready=False)
    first = asyncio.create_task(event_of(trigger(azure, poll_interval=0.3, ends_task=False)))
    await until(lambda: len(azure.reads(f"/pools/{azure.pool_id}?")) > 1)
    azure.emulator.account.recreate_pool(azure.pool_id)
    azure.pass_time(300)
    second = await event_of(trigger(azure, poll_interval=0.3))
    assert second["status"] == "open"
    assert "created anew" in (await asyncio.wait_for(first, 20))["text"]


async def test_gates_with_one_deadline_end_at_it_though_each_makes_a_last_look(azure):
    """The looks of each would take several slow answers, one after the other."""
    azure.create(ready=False)
    slow = {"action": "slow", "seconds": 0.5, "path": "*/pools/*", "count": 10_000}
    azure.emulator.faults.add(read_fault(slow))
    deadline = time.time() + 4.0
    gates = [event_of(trigger(azure, poll_interval=1.0, deadline=deadline)) for _ in range(20)]
    events = await asyncio.gather(*gates)
    late = time.time() - deadline
    azure.emulator.faults.clear()
    assert {event["status"] for event in events} == {"timeout"}
    assert all("is resizing" in event["text"] for event in events), events[0]
    assert late < 0.5 + 3.0, "one answer, and what a loaded machine takes"


@pytest.mark.parametrize("seconds", [0.3, 1.0])
async def test_another_gates_slow_look_is_not_waited_for_beyond_my_deadline(azure, seconds):
    azure.create(ready=False)
    azure.emulator.faults.add(read_fault({"action": "slow", "seconds": 8.0, "path": "*/pools/*"}))
    async with shared(azure) as looks:
        since = time.monotonic()
        other = asyncio.create_task(looks.verdict(since))
        await asyncio.sleep(0.2)
        before = time.monotonic()
        verdict = await looks.verdict(since, deadline=Deadline(time.time() + seconds, time.time))
        assert time.monotonic() - before < seconds + 3.0
        assert (verdict.outcome, verdict.cut) == (Outcome.WAIT, True)
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)
    azure.emulator.faults.clear()
