"""The gate's wait in the triggerer: every ending, the deadline, and going on in another process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from airflow.models.trigger import Trigger

from airflow_batchext.emulator import ExtensionScenario, Scenario
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from airflow_batchext.triggers.pool import AzureBatchPoolTrigger
from airflow_batchext.triggers.repair import AzureBatchRepairTrigger
from tests.waiting import until


def trigger(azure, seconds=60.0, **change):
    kwargs = {
        "pool_id": azure.pool_id,
        "azure_batchext_conn_id": "official",
        "poll_interval": 0.05,
        "deadline": time.time() + seconds,
        "started": time.time(),
        **change,
    }
    return AzureBatchExtensionTrigger(**kwargs)


async def event_of(trigger):
    events = [event.payload async for event in trigger.run()]
    assert len(events) == 1
    json.dumps(events)
    return events[0]


async def test_opens_while_it_watches(azure):
    azure.create(ready=False)
    waiting = asyncio.create_task(event_of(trigger(azure)))
    await until(lambda: azure.reads(f"/pools/{azure.pool_id}?"))
    assert not waiting.done()
    azure.pass_time(300)
    event = await waiting
    assert event["status"] == "open"
    assert len(event["report"]["nodes"]) == 2


async def test_works_with_a_service_principal_too(azure):
    azure.create()
    event = await event_of(trigger(azure, azure_batchext_conn_id="azure_batchext_default"))
    assert event["status"] == "open"


async def test_fails_with_the_reason(azure):
    rule = ExtensionScenario(extension="secretext", outcome="fail", node=0, message="no vault")
    azure.emulator.scenario = Scenario(extensions=[rule])
    azure.create()
    event = await event_of(trigger(azure))
    assert event["status"] == "failed"
    assert "extension secretext reports ProvisioningState/failed" in event["text"]


async def test_gives_up_at_the_deadline_and_says_what_is_missing(azure):
    azure.create(ready=False)
    before = time.monotonic()
    event = await event_of(trigger(azure, seconds=1))
    assert time.monotonic() - before > 0.9
    assert event["status"] == "timeout"
    assert "is resizing" in event["text"]


async def test_looks_once_more_when_it_starts_after_the_deadline(azure):
    azure.create()
    assert (await event_of(trigger(azure, seconds=-100)))["status"] == "open"


async def test_an_unusable_connection_fails_it_with_words(azure):
    azure.connect("empty", {"conn_type": "azure_batchext"})
    event = await event_of(trigger(azure, azure_batchext_conn_id="empty"))
    assert event["status"] == "refused"
    assert "lacks subscription_id" in event["text"]


async def test_never_asks_faster_than_it_was_told(azure):
    azure.create(ready=False)
    azure.emulator.requests.clear()
    began = time.monotonic()
    waiting = asyncio.create_task(event_of(trigger(azure, poll_interval=0.4)))
    await until(lambda: len(azure.reads(f"/pools/{azure.pool_id}?")) >= 4)
    assert time.monotonic() - began > 3 * 0.4 * 0.95
    azure.pass_time(300)
    assert (await waiting)["status"] == "open"


async def test_gates_on_one_pool_look_together_and_each_ends(azure):
    azure.create(ready=False)
    azure.emulator.requests.clear()
    waiting = [asyncio.create_task(event_of(trigger(azure, poll_interval=0.5))) for _ in range(20)]
    path, began = f"/pools/{azure.pool_id}?", time.monotonic()
    await until(lambda: len(azure.reads(path)) >= 4)
    looks = len(azure.reads(path))
    assert looks <= 2 + (time.monotonic() - began) / 0.5, "as many as one gate alone makes"
    azure.pass_time(300)
    events = await asyncio.gather(*waiting)
    assert {event["status"] for event in events} == {"open"}
    assert len(azure.reads(path)) <= 4 + (time.monotonic() - began) / 0.5


async def test_a_gate_takes_no_look_that_is_older_than_itself(azure):
    azure.create(nodes=1)
    rule = {"node_states": ["running"]}
    first = asyncio.create_task(event_of(trigger(azure, poll_interval=5, rules=rule, seconds=3)))
    await until(lambda: azure.reads("/nodes/"))
    azure.emulator.requests.clear()
    late = await event_of(trigger(azure, poll_interval=5, rules=rule, seconds=0.2))
    assert late["status"] == "timeout"
    assert azure.reads(f"/pools/{azure.pool_id}?"), "it looked for itself"
    await first


async def test_a_gate_that_is_cancelled_leaves_the_others_going(azure):
    azure.create(ready=False)
    first, second = (asyncio.create_task(event_of(trigger(azure))) for _ in range(2))
    await until(lambda: azure.reads(f"/pools/{azure.pool_id}?"))
    first.cancel()
    await asyncio.sleep(0.2)
    azure.pass_time(300)
    assert (await second)["status"] == "open"


async def test_the_last_gate_to_leave_closes_the_connection(azure):
    from airflow_batchext.triggers import _sharing

    azure.create()
    assert (await event_of(trigger(azure)))["status"] == "open"
    assert _sharing._shared[asyncio.get_running_loop()] == {}


@pytest.mark.parametrize(("skips", "failed"), [(False, "TaskFailedEvent"), (True, "TaskSkippedEvent")])
async def test_it_can_end_the_task_itself(azure, skips, failed):
    def ending(**change):
        kwargs = {"poll_interval": 0.05, "timeout": 60, "ends_task": True, "skips": skips, **change}
        return AzureBatchExtensionTrigger(pool_id=azure.pool_id, azure_batchext_conn_id="official", **kwargs)

    async def end(trigger):
        (event,) = [event async for event in trigger.run()]
        return event

    # One set just now would wait a while for a pool that the service does not show yet.
    assert type(await end(ending(started=time.time() - 30))).__name__ == failed, "no such pool"
    azure.create(ready=False)
    assert type(await end(ending(timeout=0.2))).__name__ == failed, "not in time"
    azure.pass_time(300)
    event = await end(ending())
    assert type(event).__name__ == "TaskSuccessEvent"
    assert event.xcoms["return_value"]["outcome"] == "open"
    assert event.xcoms["_link_AzureBatchPoolLink"] == "", "the emulator has no portal"
    azure.pool_id = "not a pool id"
    assert type(await end(ending())).__name__ == "TaskFailedEvent", "no skip hides what is wrong in the DAG"
    never = "TaskSkippedEvent" if skips else "TaskFailedEvent"
    assert type(await end(ending(never_fails=skips))).__name__ == never


TRIGGERS = [
    AzureBatchExtensionTrigger(
        pool_id="p", azure_batchext_conn_id="c", poll_interval=1.5, deadline=2.5, started=1.0,
        rules={"extension_names": ["a"], "allow_empty": True, "node_states": ["idle"]}, pool_created="x",
        repair={"order": ["reboot"], "at_once": 1.0, "stuck_after": 60.0}, owner="me",
    ),
    AzureBatchRepairTrigger(
        pool_id="p", azure_batchext_conn_id="c", poll_interval=1.5, deadline=2.5, owner="me",
        policy={"order": ["reboot"], "at_once": 0.5}, node_ids=["n"], pool_created="x", not_before=1.0,
    ),
    AzureBatchPoolTrigger(
        pool_id="p", azure_batchext_conn_id="c", goal="gone", poll_interval=1.5, deadline=2.5,
        pool_created="x", on_killed="delete", memo={"deadline": 2.5, "differences": [{"path": "x"}]},
    ),
]  # fmt: skip


@pytest.mark.parametrize("original", TRIGGERS, ids=lambda t: type(t).__name__)
def test_a_trigger_survives_airflows_database(original):
    row = Trigger.from_object(original)
    module, _, name = row.classpath.rpartition(".")
    again = getattr(sys.modules[module], name)(**row.kwargs)
    assert again.serialize() == original.serialize()


def test_a_killed_process_changes_neither_verdict_nor_deadline(azure):
    """SIGKILL what runs the trigger; another process goes on from the serialized arguments."""
    azure.create(ready=False)
    began, deadline = 1_000_000.0, 1_000_012.0
    _, kwargs = trigger(azure, started=began, deadline=deadline, poll_interval=1).serialize()

    def start(now):
        return subprocess.Popen(
            [sys.executable, "-c", IN_ANOTHER_PROCESS, json.dumps(kwargs), str(now)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )

    with start(began) as first:
        assert first.stdout.readline() == "up\n"
        first.send_signal(signal.SIGKILL)
    with start(deadline - 5) as second:
        *_, last, now = second.stdout.read().splitlines()
    event = json.loads(last)
    assert event["status"] == "timeout"
    assert 0 <= float(now) - deadline < 1, "the deadline did not move"
    assert event["started"] == kwargs["started"]


#: Runs a trigger by a clock of its own, in which nothing but pauses takes time.
IN_ANOTHER_PROCESS = """
import asyncio, json, sys
from types import SimpleNamespace
from airflow_batchext.triggers import extension

now = float(sys.argv[2])
wait = asyncio.sleep

async def pause(seconds):
    global now
    now += seconds
    await wait(0.02)

extension.time = SimpleNamespace(time=lambda: now, monotonic=lambda: now)
extension.asyncio = SimpleNamespace(**{**vars(asyncio), "sleep": pause})

async def run():
    print("up", flush=True)
    async for event in extension.AzureBatchExtensionTrigger(**json.loads(sys.argv[1])).run():
        print(json.dumps(event.payload), flush=True)
    print(now)

asyncio.run(run())
"""
