"""Waiting for many Batch tasks, in the triggerer."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.hooks._drivers.work_items import ItemsPlace, ItemsWatch
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.triggers.tasks import AzureBatchTasksTrigger
from tests.conftest import own_connection
from tests.triggers.test_task import INSTANCE, payload

LIFE = "0123abcdm2"


def submitted(azure, count, nodes=1):
    azure.create(nodes)
    with AzureBatchJobHook() as hook:
        hook.create_job("j-1", {"poolInfo": {"poolId": azure.pool_id}})
        for start in range(0, count, 100):
            bodies = [
                {"id": f"x-n{number:05d}-{LIFE}-t1", "commandLine": "x"}
                for number in range(start, min(count, start + 100))
            ]
            hook.create_tasks("j-1", bodies)
    azure.emulator.requests.clear()


def trigger(azure, count, seconds=30.0, **change):
    given = {
        "pool_id": azure.pool_id,
        "job_ids": ["j-1"],
        "key": "x",
        "life": LIFE,
        "count": count,
        "base": "j",
        "azure_batchext_conn_id": "azure_batchext_default",
        "poll_interval": 0.02,
        "deadline": time.time() + seconds,
        **change,
    }
    return AzureBatchTasksTrigger(**given)


async def test_waits_until_all_have_ended_and_the_job_is_told_to_end(azure):
    azure.emulator.scenario = Scenario.load({"tasks": [{"task": "*n00001*", "exit_code": 3}, {}]})
    submitted(azure, 3)
    azure.pass_time(60)
    event = await payload(trigger(azure, 3, memo={"a": 1}))
    assert event == {"stage": "settled", "text": "of 3 tasks 2 succeeded, 1 failed", "memo": {"a": 1}}
    assert azure.emulator.account.jobs.job("j-1").document["onAllTasksComplete"].lower() == "terminatejob"


async def test_of_many_the_changes_alone_are_read(azure):
    """More than a page: the whole list at the first look and at each tenth."""
    azure.emulator.scenario = Scenario.load({"tasks": [{"after": 10_000}], "timings": {"scheduling": 0}})
    submitted(azure, 1010)
    azure.pass_time(600)
    with AzureBatchJobHook() as hook:
        hook.create_tasks("j-1", [{"id": f"x-n99999-{LIFE}-t1", "commandLine": "x"}])
    watch = ItemsWatch(ItemsPlace(("j-1",), azure.pool_id, "x"), LIFE, 1011)
    asked = []
    async with AzureBatchJobHook() as hook:
        for _ in range(12):
            azure.emulator.requests.clear()
            stage, text = watch.take(await hook.arun(watch.look(is_last=False)))
            assert stage == ""
            assert text.startswith("of 1,011 tasks 1 running, 1,010 waiting for a node")
            asked.append(len(azure.reads("/jobs/j-1/tasks")))
    assert asked == [2, *[1] * 9, 2, 1]


async def test_says_why_nothing_starts(azure):
    submitted(azure, 2, nodes=0)
    event = await payload(trigger(azure, 2, seconds=0.4))
    assert event["stage"] == "timeout"
    assert (
        event["text"]
        == f"of 2 tasks 2 waiting for a node; 0 of 0 nodes of pool {azure.pool_id} take tasks of the job; "
        f"pool {azure.pool_id} has no nodes and its target is 0"
    )


async def test_what_is_not_to_be_seen_is_waited_for_a_while(azure):
    submitted(azure, 2)
    azure.pass_time(60)
    event = await payload(trigger(azure, 3))
    assert (event["stage"], event["text"]) == ("settled", "of 3 tasks 2 succeeded, 1 unseen")
    assert len(azure.reads("/jobs/j-1/tasks")) == 3


async def test_a_job_that_is_gone_is_not_waited_for(azure):
    submitted(azure, 2)
    azure.emulator.account.jobs.delete("j-1")
    azure.pass_time(60)
    assert (await payload(trigger(azure, 2)))["stage"] == "settled"


async def test_an_outage_is_waited_through_and_a_refusal_is_not(azure):
    submitted(azure, 2)
    azure.pass_time(60)
    azure.emulator.faults.add(read_fault({"action": "error", "status": 503, "path": "/jobs*", "count": 3}))
    assert (await payload(trigger(azure, 2)))["stage"] == "settled"
    azure.connect("wrong", own_connection(azure.emulator, password="nope"))
    assert (await payload(trigger(azure, 2, azure_batchext_conn_id="wrong")))["stage"] == "refused"


@pytest.mark.parametrize("state", ["failed", "deferred"])
@pytest.mark.parametrize("is_alone", [True, False])
async def test_only_the_end_of_the_task_by_a_user_ends_them(azure, monkeypatch, state, is_alone):
    azure.emulator.scenario = Scenario.load({"tasks": [{"exit_code": None}]})
    submitted(azure, 2)
    with AzureBatchJobHook() as hook:
        hook.create_task("j-1", "other", {"commandLine": "x"})
    azure.pass_time(30)
    monkeypatch.setattr(
        "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states",
        staticmethod(lambda **given: {"r": {"t": state}}),
    )
    one = trigger(azure, 2, on_killed="terminate", is_alone=is_alone)
    one.task_instance = SimpleNamespace(**vars(INSTANCE))
    await one.on_kill()
    azure.pass_time(30)
    with AzureBatchJobHook() as hook:
        ended = {task["id"][:8] for task in hook.list_tasks("j-1") if task["state"] == "completed"}
        job = hook.get_job("j-1")["state"]
    if state == "deferred":
        assert not ended
    elif is_alone:
        assert job == "completed"
    else:
        assert (ended, job) == ({"x-n00000", "x-n00001"}, "active")
