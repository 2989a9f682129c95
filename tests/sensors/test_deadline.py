"""A deadline ends the gate in each of its modes, whatever it waits for then; and what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.models.trigger import Trigger
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_batchext.credentials import forget_tokens
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.exceptions import GateFailedError, GateTimeoutError
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from tests.airflow_names import AirflowRescheduleException
from tests.hostile.conftest import hostile as hostile
from tests.hostile.service import bad_answers
from tests.repair.conftest import books as books
from tests.repair.conftest import fails, journal
from tests.sensors.test_extension import Store, context, sensor

#: What a loaded machine may take beside what is asked of the gate, in seconds.
SLACK = 4.0


def poke(azure, **change):
    sensor(azure, **{"azure_batchext_conn_id": "official", **change}).execute(context())


def reschedule(azure, **change):
    first = None
    while True:
        began = datetime.now(UTC)
        try:
            gate = sensor(azure, **{"azure_batchext_conn_id": "official", "mode": "reschedule", **change})
            return gate.execute(context(first))
        except AirflowRescheduleException as again:
            first = first or began
            time.sleep(max(0.0, (again.reschedule_date - datetime.now(UTC)).total_seconds()))


def deferrable(azure, **change):
    gate = sensor(azure, **{"azure_batchext_conn_id": "official", "deferrable": True, **change})
    try:
        return gate.execute(context())
    except TaskDeferred as deferred:
        row = Trigger.from_object(deferred.trigger)

    async def event():
        (payload,) = [event.payload async for event in AzureBatchExtensionTrigger(**row.kwargs).run()]
        return payload

    return gate.execute_complete(context(), json.loads(json.dumps(asyncio.run(event()))))


MODES = pytest.mark.parametrize("run", [poke, reschedule, deferrable])


def ends(azure, *gates, **change):
    """How gates of every mode end, and after how many seconds; all wait at the same time."""

    def end(run, more):
        began = time.monotonic()
        with pytest.raises(GateTimeoutError) as ended:
            run(azure, **change, **more)
        return str(ended.value), time.monotonic() - began

    all_of_them = [(run, more) for run in (poke, reschedule, deferrable) for more in gates or ({},)]
    with ThreadPoolExecutor(len(all_of_them)) as threads:
        return list(threads.map(lambda each: end(*each), all_of_them))


@pytest.mark.parametrize(
    ("fault", "one_request"),
    [
        ({"action": "throttle", "retry_after": 400, "count": 1000}, 0.0),
        ({"action": "error", "status": 503, "retry_after": 90, "count": 1000}, 0.0),
        ({"action": "error", "status": 500, "count": 1000}, 0.0),
        ({"action": "slow", "seconds": 1.2, "count": 1000}, 1.2),
        ({"action": "slow", "seconds": 2.5, "count": 1000}, 2.5),
    ],
    ids=lambda value: value["action"] + str(value.get("seconds", "")) if isinstance(value, dict) else "",
)
def test_a_deadline_ends_every_mode_within_one_request(azure, fault, one_request):
    azure.create(ready=False)
    azure.emulator.faults.add(read_fault({"path": "*/pools/*", **fault}))
    for said, passed in ends(azure, timeout=3, poke_interval=1):
        assert re.search(r"did not open within 3 seconds \(timeout\); still missing: .+", said)
        assert 3.0 <= passed < 3.0 + one_request + SLACK
    azure.emulator.faults.clear()


@pytest.mark.parametrize(
    "word", ["drips", "drips its head", "says nothing", "stops in the middle", "429 Retry-After: 3600"]
)
def test_a_deadline_ends_every_mode_though_no_answer_comes_to_its_end(azure, hostile, word):
    family = bad_answers(hostile.http, hostile.https)
    (hostile.answer,) = [answer for answer in family if answer.name == word]
    conn_id = azure.connect("hostile", hostile.connection())
    ways = {"repair": None}, {"repair": {}}
    for said, passed in ends(azure, *ways, azure_batchext_conn_id=conn_id, timeout=2, poke_interval=0.5):
        assert re.search(r"did not open within 2 seconds \(timeout\); still missing: .+", said)
        assert 2.0 <= passed < 2.0 + SLACK


def test_another_gates_slow_sign_in_is_not_waited_for_beyond_my_deadline(azure):
    azure.create(ready=False)
    forget_tokens()
    azure.emulator.faults.add(read_fault({"action": "slow", "seconds": 9.0, "path": "*/oauth2/*"}))

    async def both():
        def gate(seconds):
            return AzureBatchExtensionTrigger(
                pool_id=azure.pool_id,
                azure_batchext_conn_id="azure_batchext_default",
                poll_interval=0.1,
                deadline=time.time() + seconds,
                started=time.time(),
                rules={"min_nodes": int(seconds)},  # another question: their looks are not shared
            )

        first = asyncio.create_task(anext(aiter(gate(60).run())))
        await asyncio.sleep(0.5)
        began = time.monotonic()
        event = (await anext(aiter(gate(1).run()))).payload
        passed = time.monotonic() - began
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        return event, passed

    event, passed = asyncio.run(both())
    azure.emulator.faults.clear()
    assert event["status"] == "timeout"
    assert 0.9 < passed < 1.0 + SLACK


@MODES
def test_the_last_look_is_made_before_the_deadline_and_at_everything(azure, run):
    azure.create(ready=False)
    azure.emulator.requests.clear()
    with pytest.raises(GateTimeoutError, match="is resizing; 2 of 2 nodes are not there yet"):
        run(azure, timeout=3, poke_interval=2)
    assert azure.reads("/nodes?"), "a whole look"


def test_an_open_that_a_worker_resumes_too_late_is_looked_at_again(azure):
    azure.create()
    gate = sensor(azure, deferrable=True, timeout=600, azure_batchext_conn_id="official")
    created = gate.execute(context())["pool_created"]
    report = {"pool_id": azure.pool_id, "pool_created": created, "nodes": {}, "oldest_reading_seconds": 250.0}
    event = {"status": "open", "text": "2 of 2", "report": report, "started": time.time() - 100}
    young = {**event, "at": time.time() - 20}
    assert gate.execute_complete(context(), young)["nodes"] == {}, "as the triggerer saw it"
    old = {**event, "at": time.time() - 100}
    assert len(gate.execute_complete(context(), old)["nodes"]) == 2, "looked at again"
    azure.emulator.account.preempt_node(azure.pool_id, 0)
    with pytest.raises(TaskDeferred) as deferred:
        gate.execute_complete(context(), old)
    assert deferred.value.trigger.deadline == pytest.approx(old["started"] + 600)
    assert deferred.value.trigger.pool_created == created
    azure.emulator.account.recreate_pool(azure.pool_id)
    with pytest.raises(GateFailedError, match="created anew"):
        gate.execute_complete(context(), old)
    assert gate.execute_complete(context(), event)["nodes"] == {}, "an event of an earlier version"


def owned(store=None):
    ti = SimpleNamespace(dag_id="d", task_id="gate", run_id="r", map_index=-1, try_number=1)
    return {"ti": ti} if store is None else {"ti": ti, "task_state_store": store}


def test_the_last_look_after_airflows_own_limit_begins_no_repair(azure, books):
    azure.emulator.scenario = fails({"node": 1})
    azure.create(3)
    gate = sensor(azure, deferrable=True, timeout=600, repair={})
    with pytest.raises(GateFailedError, match="ProvisioningState/failed/7"):
        gate.resume_execution("__fail__", {"error": "Trigger timeout"}, owned())
    assert (books.done, journal(azure)) == ([], None)


def test_the_last_look_after_airflows_own_limit_knows_on_which_pool_the_gate_was_set(azure):
    azure.create(ready=False)
    store = Store()
    with pytest.raises(TaskDeferred):
        sensor(azure, deferrable=True, timeout=600).execute(owned(store))
    azure.emulator.account.recreate_pool(azure.pool_id)
    azure.pass_time(300)
    again = AzureBatchExtensionSensor(task_id="gate", pool_id=azure.pool_id, deferrable=True, timeout=600)
    with pytest.raises(GateFailedError, match="created anew"):
        again.resume_execution("__fail__", {"error": "Trigger timeout"}, owned(store))
