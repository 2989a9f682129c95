"""Waiting for a pool, in the triggerer."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.triggers.pool import AzureBatchPoolTrigger
from tests.conftest import document, own_connection
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("signed_in")


def trigger(azure, created="", seconds=30.0, goal="gone", **change):
    given = {
        "pool_id": azure.pool_id,
        "azure_batchext_conn_id": "azure_batchext_default",
        "goal": goal,
        "poll_interval": 0.05,
        "deadline": time.time() + seconds,
        "pool_created": created,
        **change,
    }
    return AzureBatchPoolTrigger(**given)


async def payload(trigger):
    (event,) = [event.payload async for event in trigger.run()]
    return event


def created(azure):
    with AzureBatchPoolHook() as hook:
        return hook.get_pool(azure.pool_id)["properties"]["creationTime"]


async def test_waits_until_the_pool_is_gone(azure):
    azure.create()
    when = created(azure)
    azure.emulator.account.delete_pool(azure.pool_id)
    waiting = asyncio.create_task(payload(trigger(azure, when, memo={"a": 1})))
    await asyncio.sleep(0.4)
    assert not waiting.done()
    azure.pass_time(3600)
    event = await waiting
    assert (event["course"], event["memo"]) == ("reached", {"a": 1})


async def test_waits_until_the_pool_has_its_nodes(azure):
    azure.create(ready=False)
    waiting = asyncio.create_task(payload(trigger(azure, created(azure), goal="complete")))
    await asyncio.sleep(0.4)
    assert not waiting.done()
    azure.pass_time(300)
    assert (await waiting)["course"] == "reached"


async def test_a_new_pool_of_the_same_name_is_not_the_one_that_went(azure):
    azure.create()
    when = created(azure)
    azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
    azure.pass_time(60)
    with AzureBatchPoolHook() as hook:
        hook.create_pool(azure.pool_id, document(1))
    assert (await payload(trigger(azure, when)))["course"] == "reached"
    event = await payload(trigger(azure, when, goal="complete"))
    assert event["course"] == "lost"
    assert "deleted and created anew" in event["text"]


async def test_gives_up_and_says_what_it_saw(azure):
    azure.create()
    event = await payload(trigger(azure, created(azure), seconds=0.3))
    assert (event["course"], event["text"]) == ("timeout", "provisioningState is Succeeded")


async def test_a_new_triggerer_keeps_the_deadline(azure):
    azure.create()
    first = trigger(azure, created(azure), seconds=0.6)
    started = asyncio.create_task(payload(first))
    await until(lambda: azure.reads(f"/pools/{azure.pool_id}?"))
    started.cancel()
    await until(lambda: time.time() > first.deadline)
    again = AzureBatchPoolTrigger(**first.serialize()[1])
    azure.emulator.requests.clear()
    assert (await payload(again))["course"] == "timeout"
    assert len(azure.reads(f"/pools/{azure.pool_id}?")) == 1, "its time is over, so it looks once"


async def test_refused_sign_in_ends_it(azure):
    azure.connect("wrong", own_connection(azure.emulator, password="nope"))
    event = await payload(trigger(azure, azure_batchext_conn_id="wrong"))
    assert event["course"] == "refused"
    assert "AADSTS7000215" in event["text"]


async def test_a_connection_that_cannot_be_used_ends_it(azure):
    event = await payload(trigger(azure, azure_batchext_conn_id="official"))
    assert event["course"] == "refused"
    assert "lacks subscription_id" in event["text"]


async def test_an_outage_is_waited_through(azure):
    azure.connect("down", own_connection(azure.emulator, extra={"arm_url": "https://127.0.0.1:9"}))
    event = await payload(trigger(azure, seconds=0.2, azure_batchext_conn_id="down"))
    assert event["course"] == "timeout"
    assert "Could not read pool" in event["text"]


INSTANCE = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)


@pytest.mark.parametrize("state", ["failed", "success", "deleted", "deferred", "scheduled", None])
@pytest.mark.parametrize("what", ["nothing", "delete", "stop_resize"])
async def test_only_the_end_of_the_task_by_a_user_touches_the_pool(azure, monkeypatch, state, what):
    """Airflow calls on_kill also when it moves the trigger, and after a clear: the task is deferred then."""
    azure.create(ready=False)
    asked = []

    def states(**given):
        asked.append(given)
        return {} if state == "deleted" else {"r": {"t": state}}

    monkeypatch.setattr(
        "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states", staticmethod(states)
    )
    one = trigger(azure, created(azure), goal="complete", on_killed=what)
    one.task_instance = INSTANCE
    await one.on_kill()
    with AzureBatchPoolHook() as hook:
        after = hook.get_pool(azure.pool_id)["properties"]
    acts = state in ("failed", "success", "deleted")
    assert (after["provisioningState"] == "Deleting") is (acts and what == "delete")
    assert (after["allocationState"] == "Stopping") is (acts and what == "stop_resize")
    assert bool(asked) is (what != "nothing")


async def test_another_pool_of_that_name_is_left_alone(azure, monkeypatch):
    azure.create(ready=False)
    monkeypatch.setattr(
        "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states",
        staticmethod(lambda **_: {"r": {"t": "failed"}}),
    )
    one = trigger(azure, "another time", goal="complete", on_killed="delete")
    one.task_instance = INSTANCE
    await one.on_kill()
    with AzureBatchPoolHook() as hook:
        assert hook.get_pool(azure.pool_id)["properties"]["provisioningState"] == "Succeeded"


async def test_what_is_begun_when_the_task_is_ended_is_done_though_airflow_cancels_it(azure, monkeypatch):
    """Airflow 3.3.2 cancels a trigger in every loop until it is done, its on_kill included."""
    azure.create(ready=False)

    def slowly(**_):
        time.sleep(0.3)
        return {"r": {"t": "failed"}}

    monkeypatch.setattr(
        "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states", staticmethod(slowly)
    )
    one = trigger(azure, created(azure), goal="complete", on_killed="delete")
    one.task_instance = INSTANCE
    ending = asyncio.create_task(one.on_kill())
    await asyncio.sleep(0.1)
    ending.cancel()

    def is_deleting() -> bool:
        with AzureBatchPoolHook() as hook:
            return hook.get_pool(azure.pool_id)["properties"]["provisioningState"] == "Deleting"

    await until(is_deleting)
