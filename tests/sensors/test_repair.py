"""The gate that repairs, in each of its modes: it repairs, and opens; or it fails with what was tried."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace

import pytest
from airflow.models.trigger import Trigger
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_batchext.exceptions import GateFailedError, GateTimeoutError, ParameterError
from airflow_batchext.hooks._node_requests import replace_metadata
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.rules import sharing
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from tests.airflow_names import AirflowRescheduleException
from tests.repair.conftest import books as books
from tests.repair.conftest import fails, journal, node_ids, run_until, targets

MODES = pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable", "start_from_trigger"])


def gate(azure, **change):
    given = {"repair": {}, "poke_interval": 60, "timeout": 7200, **change}
    return AzureBatchExtensionSensor(task_id="gate", pool_id=azure.pool_id, **given)


def context(first=None):
    return {
        "ti": SimpleNamespace(
            dag_id="d",
            task_id="gate",
            run_id="r",
            map_index=-1,
            get_first_reschedule_date=lambda context: first,
        )
    }


@pytest.fixture
def run(azure, monkeypatch):
    """Run the sensor in a mode; each pause is a minute of the emulator's."""

    def passes(seconds):
        azure.pass_time(min(60, max(seconds, 0.1)))

    def poke(**change):
        clock = SimpleNamespace(sleep=passes, time=time.time, monotonic=time.monotonic)
        monkeypatch.setattr("airflow.sdk.bases.sensor.time", clock)
        return gate(azure, **change).execute(context())

    def reschedule(**change):
        first = datetime.now(UTC)
        for _ in range(300):
            try:
                return gate(azure, mode="reschedule", **change).execute(context(first))
            except AirflowRescheduleException:
                azure.pass_time(60)
        raise AssertionError("it never ends")

    def deferrable(**change):
        sensor = gate(azure, deferrable=True, **change)
        try:
            return sensor.execute(context())
        except TaskDeferred as deferred:
            event = event_of(Trigger.from_object(deferred.trigger))
        return sensor.execute_complete(context(), json.loads(json.dumps(event.payload)))

    def start_from_trigger(**change):
        args = gate(azure, start_from_trigger=True, **change).start_trigger_args
        kwargs = json.loads(json.dumps(args.trigger_kwargs))
        event = event_of(Trigger(classpath=args.trigger_cls, kwargs=kwargs))
        if type(event).__name__ == "TaskSuccessEvent":
            return event.xcoms["return_value"]
        raise GateFailedError(" ".join(said))

    said = []

    def event_of(row):
        module, _, name = row.classpath.rpartition(".")
        trigger = getattr(import_module(module), name)(**row.kwargs)
        trigger.task_instance = context()["ti"]
        trigger._log = SimpleNamespace(
            info=lambda *a: None, warning=lambda *a: None, error=lambda text, *a: said.append(text % a)
        )

        async def asleep(seconds):
            passes(seconds)

        monkeypatch.setattr("airflow_batchext.triggers.extension.asyncio", SimpleNamespace(sleep=asleep))
        clock = SimpleNamespace(monotonic=service_time, time=time.time)
        monkeypatch.setattr("airflow_batchext.triggers._sharing.time", clock)

        async def first():
            (event,) = [event async for event in trigger.run()]
            return event

        return asyncio.run(first())

    def service_time():
        return azure.emulator.clock.now().timestamp()

    return {
        "poke": poke,
        "reschedule": reschedule,
        "deferrable": deferrable,
        "start_from_trigger": start_from_trigger,
    }


@MODES
def test_what_a_reboot_fixes_is_rebooted_and_the_gate_opens(azure, run, books, mode):
    azure.emulator.scenario = fails({"node": 1, "boots": "first"})
    azure.create(3)
    report = run[mode]()
    assert report["outcome"] == "open"
    assert (books.done, books.wrong) == ([("reboot", (node_ids(azure)[1],))], [])
    assert journal(azure) is None


@MODES
def test_what_only_another_machine_fixes_is_replaced_and_the_gate_opens(azure, run, books, mode):
    azure.emulator.scenario = fails({"node": 1})
    azure.create(3)
    ill = node_ids(azure)[1]
    report = run[mode]()
    assert (len(report["nodes"]), ill in report["nodes"]) == (3, False)
    assert (books.count("replace"), books.wrong, targets(azure), journal(azure)) == (1, [], (3, 0), None)


@MODES
def test_what_nothing_fixes_fails_the_gate_with_what_was_tried(azure, run, books, mode):
    azure.emulator.scenario = fails(
        {"message": "no vault: 403 Forbidden: does not have secrets get permission"}
    )
    azure.create(2)
    with pytest.raises(
        GateFailedError, match=r"a repair does not help.*no vault.*helped none of 2 nodes"
    ) as caught:
        run[mode]()
    assert "Key Vault" in str(caught.value).rpartition("\nLikeliest cause: ")[2], "and why"
    assert (books.count("replace"), targets(azure)) == (2, (2, 0))
    done = list(books.done)
    with pytest.raises(GateFailedError, match="a repair does not help"):
        run[mode]()
    assert books.done == done, "a clear burns no more machines"


@MODES
def test_what_hangs_after_its_reboot_is_replaced_and_the_gate_opens(azure, run, books, mode):
    azure.emulator.scenario = fails(
        {"node": 1, "boots": "first"}, {"node": 1, "boots": "later", "outcome": "hang", "code": None}
    )
    azure.create(3)
    report = run[mode](repair={"order": ["reboot", "replace"], "step_timeout": 600})
    assert (report["outcome"], len(report["nodes"])) == ("open", 3)
    assert ([step for step, _ in books.done], books.wrong) == (["reboot", "replace"], [])
    assert (targets(azure), journal(azure)) == ((3, 0), None)


def test_without_repair_nothing_is_touched(azure, run, books):
    azure.emulator.scenario = fails({"node": 1})
    azure.create(2)
    with pytest.raises(GateFailedError, match="ProvisioningState/failed/7"):
        run["poke"](repair=None)
    assert books.done == []


def test_what_no_repair_can_fix_fails_as_without_it(azure, run, books, monkeypatch):
    monkeypatch.setattr(sharing, "NEWBORN_SECONDS", 0.0)  # no pause is really made here
    with pytest.raises(GateFailedError, match="does not exist"):
        run["poke"]()
    azure.emulator.scenario = fails({"node": 1})
    azure.create(2)
    with pytest.raises(GateFailedError, match="ProvisioningState/failed/7"):
        run["poke"](repair={"pick": ["unusable"]})
    assert books.done == []


def test_a_stuck_extension_is_repaired_though_the_gate_alone_would_wait(azure, run, books):
    azure.emulator.scenario = fails({"node": 1, "outcome": "hang", "code": None, "boots": "first"})
    azure.create(2)
    assert run["deferrable"](repair={"stuck_after": 600})["outcome"] == "open"
    assert books.count("reboot") == 1


def test_a_pool_that_falls_ill_again_and_again_is_given_up(azure, run, books):
    azure.emulator.scenario = fails({"node": 0, "boots": "first"})
    azure.create(1)
    for _ in range(3):
        repaired = run["poke"]
        assert repaired()["outcome"] == "open"
        azure.emulator.account.set_extension(azure.pool_id, 0, "secretext", outcome="fail", code="7")
    assert books.count("reboot") == 3, "each gate begins anew"


def test_the_gate_stays_closed_while_somebody_else_replaces_nodes(azure, run, books):
    azure.create(2)
    until = int(azure.emulator.clock.now().timestamp()) + 600
    item = f'{{"v":1,"by":"abc","for":"another run","until":{until},"targets":[3,0],"lowered":[[2,0]]}}'
    with AzureBatchNodeHook("official") as hook:
        hook.change(replace_metadata(azure.pool_id, [("batchext-repair", item)]))
    with pytest.raises(GateTimeoutError, match="is being repaired by another run"):
        run["poke"](timeout=0)


def test_it_does_not_go_with_waiting_for_somebody_to_fix_it(azure):
    azure.create(1)
    with pytest.raises(ParameterError, match='on_failure="wait"'):
        gate(azure, on_failure="wait").execute(context())
    with pytest.raises(ParameterError, match='on_failure="wait"'):
        gate(azure, on_failure="wait", start_from_trigger=True)
    with pytest.raises(ParameterError, match="repair: order has"):
        gate(azure, repair={"order": ["pray"]}, start_from_trigger=True)


@pytest.mark.parametrize("state", ["failed", "deferred"])
async def test_the_end_of_the_task_in_the_triggerer_puts_the_targets_back(azure, monkeypatch, books, state):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(2)
    monkeypatch.setattr(
        "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states",
        staticmethod(lambda **_: {"r": {"t": state}}),
    )
    trigger = AzureBatchExtensionTrigger(
        pool_id=azure.pool_id,
        azure_batchext_conn_id="official",
        poll_interval=0.05,
        timeout=900,
        repair={"order": ["replace"]},
    )
    trigger.task_instance = context()["ti"]
    await run_until(trigger, lambda: targets(azure) == (1, 0))
    assert targets(azure) == (1, 0)
    azure.pass_time(60)
    await trigger.on_kill()
    assert targets(azure) == ((2, 0) if state == "failed" else (1, 0))
