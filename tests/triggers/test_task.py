"""Waiting for a Batch task, in the triggerer."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from airflow_batchext.batch.work import TaskSeen
from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.rules.work import Stage, Standing, as_xcom
from airflow_batchext.triggers import _job_looks, _task_output
from airflow_batchext.triggers import task as triggers_task
from airflow_batchext.triggers.task import AzureBatchTaskTrigger
from tests.conftest import own_connection
from tests.waiting import until


def submitted(azure, *ids, nodes=1):
    """A job with these tasks; the triggers that wait for them are made by ``trigger``."""
    azure.create(nodes)
    with AzureBatchJobHook() as hook:
        hook.create_job("j-1", {"poolInfo": {"poolId": azure.pool_id}})
        for task_id in ids:
            hook.create_task("j-1", task_id, {"commandLine": "/bin/true"})
        hook.end_job_with_its_tasks("j-1")
    azure.emulator.requests.clear()


def trigger(azure, task_id="a", seconds=30.0, **change):
    given = {
        "pool_id": azure.pool_id,
        "job_id": "j-1",
        "batch_task_id": task_id,
        "azure_batchext_conn_id": "azure_batchext_default",
        "poll_interval": 0.05,
        "deadline": time.time() + seconds,
        **change,
    }
    return AzureBatchTaskTrigger(**given)


async def payload(one):
    (event,) = [event.payload async for event in one.run()]
    return event


async def test_waits_until_the_task_has_ended(azure):
    azure.emulator.scenario = Scenario.load({"tasks": [{"after": 600}]})
    submitted(azure, "a")
    waiting = asyncio.create_task(payload(trigger(azure, memo={"a": 1})))
    await until(lambda: len(azure.reads("/jobs/j-1/tasks")) > 2)
    assert not waiting.done()
    azure.pass_time(700)
    event = await waiting
    assert (event["stage"], event["memo"], event["task"]["exit_code"]) == ("succeeded", {"a": 1}, 0)
    assert not _job_looks._shared[asyncio.get_running_loop()], "nobody looks any more"


@pytest.mark.parametrize(("rest", "shown"), [(0, []), (3, ["out| 7"]), (65536, ["out| tick", "out| 7"])])
@pytest.mark.parametrize("interval", [0.0, 0.01])
async def test_it_ends_the_airflow_task_with_what_a_worker_would_have_told(
    azure, monkeypatch, rest, shown, interval
):
    said = []
    monkeypatch.setattr(
        AzureBatchTaskTrigger, "log", SimpleNamespace(info=lambda text, *told: said.append(text % told))
    )
    rule = {"after": 60, "stdout": "tick\n7\n"}
    azure.emulator.scenario = Scenario.load({"tasks": [rule]})
    submitted(azure, "a", "b")
    azure.pass_time(100)
    one = trigger(azure, ends_task=True, rest_bytes=rest, logs_interval=interval)
    (event,) = [event async for event in one.run()]
    assert isinstance(event, TaskSuccessEvent)
    (told,) = event.xcoms.values()
    by_worker = await payload(trigger(azure))
    assert told == as_xcom(
        Standing(Stage.SUCCEEDED, "", TaskSeen.from_json(by_worker["task"])), azure.pool_id, "j-1", "a"
    )
    assert (told["exit_code"], told["seconds"], list(event.xcoms)) == (0, 60, ["return_value"])
    assert [line for line in said if line.startswith("out| ") and "left out" not in line] == shown


@pytest.mark.parametrize(("longest", "left"), [(0.1, 30), pytest.param(60, 0.5, marks=pytest.mark.slow)])
async def test_a_success_whose_turn_to_read_does_not_come_is_left_to_a_worker(
    azure, monkeypatch, longest, left
):
    """However many others read: it waits no longer than a reading may take, nor than the task has."""
    azure.emulator.scenario = Scenario.load({"tasks": [{"stdout": "7\n"}]})
    submitted(azure, "a")
    azure.pass_time(100)
    monkeypatch.setattr(triggers_task, "REST_SECONDS", longest)
    said = []
    monkeypatch.setattr(
        AzureBatchTaskTrigger,
        "log",
        SimpleNamespace(**dict.fromkeys(("info", "warning"), lambda text, *told: said.append(text % told))),
    )
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(_task_output.turns().turn())
        one = trigger(azure, seconds=left, ends_task=True, rest_bytes=65536)
        async with asyncio.timeout(20):
            (event,) = [event async for event in one.run()]
    assert (type(event), event.payload["stage"]) == (TriggerEvent, "succeeded")
    assert [line for line in said if "a worker reads it" in line]


@pytest.mark.parametrize("what", ["exit code", "deleted", "refused", "late"])
async def test_what_is_no_success_ends_on_a_worker(azure, what):
    azure.emulator.scenario = Scenario.load(
        {"tasks": [{"after": 60, "exit_code": 3 if what == "exit code" else 0}]}
    )
    submitted(azure, "a", nodes=0 if what == "late" else 1)
    if what == "deleted":
        azure.emulator.account.jobs.delete_task("j-1", "a")
    if what == "refused":
        azure.connect("wrong", own_connection(azure.emulator, password="nope"))
    azure.pass_time(100)
    conn_id = "wrong" if what == "refused" else "azure_batchext_default"
    seconds = 0.2 if what == "late" else 30
    one = trigger(azure, seconds=seconds, ends_task=True, rest_bytes=9, azure_batchext_conn_id=conn_id)
    (event,) = [event async for event in one.run()]
    assert type(event) is TriggerEvent
    wanted = {"exit code": "failed", "deleted": "lost", "refused": "refused", "late": "timeout"}
    assert event.payload["stage"] == wanted[what]


async def test_tasks_of_one_job_are_looked_at_together(azure, monkeypatch):
    """However many wait: one list an interval, with the job and the pool at every fourth."""
    names = [f"t{number:04d}" for number in range(200)]
    azure.emulator.scenario = Scenario.load({"tasks": [{"exit_code": None}]})
    submitted(azure, *names[:2])
    jobs = azure.emulator.account.jobs
    for name in names[2:]:
        jobs.add("j-1", name, jobs.task("j-1", "t0000").document)
    waiting = [asyncio.create_task(payload(trigger(azure, name))) for name in names]
    await until(lambda: len(azure.reads("/jobs/j-1/tasks")) >= 9)
    lists, all_reads = len(azure.reads("/jobs/j-1/tasks")), len(azure.emulator.requests)
    jobs.terminate("j-1")
    azure.pass_time(60)
    for event in await asyncio.gather(*waiting):
        assert event["stage"] in ("failed", "stranded")
    # A token, and at a fourth of the looks the job, the pool and its nodes.
    assert all_reads <= lists + 3 * (lists // 4 + 1) + 4, azure.emulator.requests
    single = [path for path in azure.reads("/tasks/") if "/tasks/t" in path]
    assert not single, "none is asked for by itself"


async def test_while_tasks_of_the_job_run_the_pool_is_looked_at_now_and_then(azure):
    azure.emulator.scenario = Scenario.load({"tasks": [{"exit_code": None}]})
    submitted(azure, "a", "b")
    azure.pass_time(5)
    waiting = [asyncio.create_task(payload(trigger(azure, name))) for name in "ab"]
    await until(lambda: len(azure.reads("/jobs/j-1/tasks")) >= 30)
    lists, pools = len(azure.reads("/jobs/j-1/tasks")), len(azure.reads("/pools/"))
    assert 2 <= pools <= 2 * (lists // _job_looks.EVERY_WHILE_TASKS_RUN + 2)
    # Where none runs any more, somebody may have ended the job.
    azure.emulator.account.jobs.terminate("j-1")
    azure.pass_time(60)
    for event in await asyncio.gather(*waiting):
        assert event["stage"] in ("failed", "stranded")


async def test_a_task_that_no_list_has_yet_is_asked_for_itself(azure, monkeypatch):
    azure.emulator.scenario = Scenario.load({"tasks": [{"exit_code": None}]})
    submitted(azure, "a", "b")
    waiting = asyncio.create_task(payload(trigger(azure, prefix="zzz")))
    await until(lambda: len(azure.reads("/jobs/j-1/tasks/a")) > 1)
    assert not waiting.done()
    azure.emulator.account.jobs.delete_task("j-1", "a")
    event = await waiting
    assert event["stage"] == "lost"


@pytest.mark.parametrize("what", ["task", "job"])
async def test_what_somebody_has_deleted_is_lost(azure, what):
    azure.emulator.scenario = Scenario.load({"tasks": [{"exit_code": None}]})
    submitted(azure, "a", "b")
    waiting = asyncio.create_task(payload(trigger(azure)))
    await until(lambda: azure.reads("/jobs/j-1/tasks"))
    jobs = azure.emulator.account.jobs
    jobs.delete("j-1") if what == "job" else jobs.delete_task("j-1", "a")
    azure.pass_time(60)
    event = await waiting
    # Of a job that is being deleted the task may be seen to end first.
    assert event["stage"] == "lost" or (what == "job" and event["stage"] == "failed")


async def test_says_why_nothing_starts(azure):
    submitted(azure, "a", nodes=0)
    event = await payload(trigger(azure, seconds=0.3))
    assert event["stage"] == "timeout"
    assert (
        event["text"] == f"it is active; 0 of 0 nodes of pool {azure.pool_id} take tasks of the job; "
        f"pool {azure.pool_id} has no nodes and its target is 0"
    )


async def test_a_pool_that_is_gone_is_not_waited_for(azure):
    submitted(azure, "a", nodes=0)
    azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
    azure.pass_time(60)
    event = await payload(trigger(azure))
    assert (event["stage"], event["text"]) == ("lost", f"pool {azure.pool_id} does not exist any more")


async def test_an_outage_is_waited_through(azure):
    submitted(azure, "a")
    azure.pass_time(60)
    azure.emulator.faults.add(
        read_fault({"action": "error", "status": 503, "path": "/jobs*", "method": "GET", "count": 3})
    )
    assert (await payload(trigger(azure)))["stage"] == "succeeded"


async def test_refused_sign_in_ends_it(azure):
    azure.connect("wrong", own_connection(azure.emulator, password="nope"))
    event = await payload(trigger(azure, azure_batchext_conn_id="wrong"))
    assert event["stage"] == "refused"
    assert "AADSTS7000215" in event["text"]


async def test_a_new_triggerer_keeps_the_deadline(azure):
    submitted(azure, "a", nodes=0)
    late = trigger(azure, seconds=-5)
    assert (await payload(AzureBatchTaskTrigger(**late.serialize()[1])))["stage"] == "timeout"
    assert len(azure.reads("/jobs/j-1/tasks")) == 1, "its time is over, so it looks once"


INSTANCE = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)


@pytest.mark.parametrize("state", ["failed", "success", "deleted", "deferred", "scheduled", None])
@pytest.mark.parametrize("what", ["leave", "terminate"])
async def test_only_the_end_of_the_task_by_a_user_ends_the_batch_task(azure, monkeypatch, state, what):
    """Airflow calls on_kill also when it moves the trigger, and after a clear: the task is deferred then."""
    azure.emulator.scenario = Scenario.load({"tasks": [{"exit_code": None}]})
    submitted(azure, "a", "sibling")
    azure.pass_time(30)

    def states(**given):
        return {} if state == "deleted" else {"r": {"t": state}}

    monkeypatch.setattr(
        "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states", staticmethod(states)
    )
    one = trigger(azure, on_killed=what)
    one.task_instance = INSTANCE
    await one.on_kill()
    with AzureBatchJobHook() as hook:
        found = {task["id"]: task["state"] for task in hook.list_tasks("j-1")}
    is_ended = what == "terminate" and state in ("failed", "success", "deleted")
    assert (found["a"] == "completed") is is_ended
    assert found["sibling"] != "completed"


async def test_what_cannot_be_ended_goes_on_and_nothing_is_raised(azure, monkeypatch):
    azure.emulator.scenario = Scenario.load({"tasks": [{"exit_code": None}]})
    submitted(azure, "a")
    monkeypatch.setattr(
        "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states",
        staticmethod(lambda **given: {"r": {"t": "failed"}}),
    )
    azure.connect("nowhere", own_connection(azure.emulator, password="nope"))
    one = trigger(azure, on_killed="terminate", azure_batchext_conn_id="nowhere")
    one.task_instance = INSTANCE
    await one.on_kill()
    with AzureBatchJobHook() as hook:
        assert hook.get_task("j-1", "a")["state"] != "completed"
