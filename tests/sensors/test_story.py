"""What a gate tells, in every mode: at its start, of nodes, and why it failed, with what helps."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import shlex
import time
from datetime import UTC, datetime

import pytest
from airflow.providers.common.compat.sdk import AirflowException, TaskDeferred

from airflow_batchext.cli.main import main
from airflow_batchext.emulator import ExtensionScenario, Scenario
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from airflow_batchext.triggers.extension import REASON_XCOM_KEY, AzureBatchExtensionTrigger
from tests.airflow_names import AirflowRescheduleException, airflow_is
from tests.diagnosis.faults import FAULTS, produce
from tests.sensors.test_extension import context

MODES = {
    "poke": {},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
    "triggerer": {"start_from_trigger": True},
}
if not airflow_is("3.3"):
    del MODES["triggerer"]
WHERE = {
    "poke": "holding the worker (mode poke)",
    "reschedule": "leaving the worker between them (mode reschedule)",
    "deferrable": "after the first one in the triggerer (deferrable)",
    "triggerer": "in the triggerer, without a worker (start_from_trigger)",
}


def play(azure, mode, **kwargs):
    """Run a gate to its end; the reason why it did not open, "" if it did."""
    given = {"task_id": "gate", "pool_id": azure.pool_id, "poke_interval": 0.05, **MODES[mode], **kwargs}
    gate = AzureBatchExtensionSensor(**given)
    if mode == "triggerer":
        event = asyncio.run(first(AzureBatchExtensionTrigger(**gate.start_trigger_args.trigger_kwargs)))
        return "" if "return_value" in event.xcoms else event.xcoms[REASON_XCOM_KEY]
    began = None
    try:
        while True:
            try:
                now = datetime.now(UTC)
                AzureBatchExtensionSensor(**given).execute(context(began))
                return ""
            except AirflowRescheduleException:
                began = began or now
    except TaskDeferred as deferred:
        event = asyncio.run(first(deferred.trigger))
    except AirflowException as error:
        return str(error)
    try:
        gate.execute_complete(context(), json.loads(json.dumps(event.payload)))
    except AirflowException as error:
        return str(error)
    return ""


async def first(trigger):
    (event,) = [event async for event in trigger.run()]
    return event


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


def test_at_the_start_it_says_for_what_how_often_until_when_and_where(azure, mode, capsys):
    azure.create(nodes=1)
    assert play(azure, mode, extension_names=["secretext"], timeout=90) == ""
    (line,) = re.findall(r"Waiting for .*", capsys.readouterr().out)
    assert line.startswith(
        f"Waiting for extension secretext on every node of pool {azure.pool_id} to succeed."
    )
    assert re.search(r"A look every 0.05 seconds until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC, ", line)
    assert WHERE[mode] in line


def test_a_failure_names_the_likeliest_cause_and_what_helps_and_the_command(azure, mode, capsys):
    produce(azure, FAULTS["disk-full"])
    said = play(azure, mode)
    assert "\nLikeliest cause: A node's disk is full (" in said
    command = said.rpartition("\nFor the rest: ")[2]
    words = shlex.split(command)
    assert words[0] == "batchext"
    capsys.readouterr()
    assert main(words[1:]) == 1
    out = capsys.readouterr().out
    assert "A node's disk is full" in out
    for remedy in re.findall(r"cause: .*?\)\. (.*)", said):
        assert remedy in out, "the same help"


def test_so_does_the_gate_that_waited_in_vain(azure, mode):
    produce(azure, FAULTS["key-vault-no-role"])
    for timeout in (3, 10, 60):
        said = play(azure, mode, timeout=timeout)
        assert f"did not open within {timeout}" in said
        if "Likeliest cause" in said:  # a loaded machine may need its time for the looks
            break
    assert "\nLikeliest cause: The identity may not read the vault's secrets (secretext on 3 nodes)." in said
    assert f"\nFor the rest: batchext diagnose --conn-id={azure.conn_id} {azure.pool_id}" in said


def test_a_pool_that_goes_is_a_cause_like_any_other(azure, mode):
    produce(azure, FAULTS["pool-being-deleted"])
    assert "\nLikeliest cause: The pool is being deleted (the pool). " in play(azure, mode)


def test_nodes_are_called_by_short_names_that_tell_them_apart(azure, mode, capsys):
    fails = ExtensionScenario(pool="*", extension="*", outcome="fail", message="exit code 1")
    azure.emulator.scenario = Scenario(extensions=[fails])
    azure.create(nodes=3)
    azure.pass_time(600)
    told = play(azure, mode) + capsys.readouterr().out
    assert len(set(re.findall(r"node tvmps_[0-9a-f]{8}…_d \(", told))) == 3
    assert not re.search(r"[0-9a-f]{64}", told)


def test_of_a_large_pool_few_nodes_are_read_once_more(azure, mode):
    fails = ExtensionScenario(pool="*", extension="*", outcome="fail", message="exit code 1")
    azure.emulator.scenario = Scenario(extensions=[fails])
    azure.create(nodes=60)
    azure.pass_time(600)
    azure.emulator.requests.clear()
    assert "For the rest" in play(azure, mode)
    assert len(azure.reads("/extensions")) <= 60 + 20, "who is rescheduled reads all; then twenty once more"


def test_gates_that_fail_together_in_the_triggerer_ask_once_why(azure):
    fails = ExtensionScenario(pool="*", extension="*", outcome="fail", message="exit code 1")
    azure.emulator.scenario = Scenario(extensions=[fails])
    azure.create(nodes=3)
    azure.pass_time(600)
    ends = {"deadline": time.time() + 600, "started": time.time(), "ends_task": True, "poll_interval": 0.05}
    given = {"pool_id": azure.pool_id, "azure_batchext_conn_id": azure.conn_id, **ends}

    async def all_of_them():
        return await asyncio.gather(*(first(AzureBatchExtensionTrigger(**given)) for _ in range(30)))

    azure.emulator.requests.clear()
    told = {event.xcoms[REASON_XCOM_KEY] for event in asyncio.run(all_of_them())}
    assert len(told) == 1
    assert "For the rest: " in told.pop()
    assert len(azure.reads("/extensions")) <= 3 * 3


def test_azures_chatter_is_not_in_the_tasks_log(azure, mode, caplog):
    with caplog.at_level(logging.INFO):
        azure.create(nodes=1)
        play(azure, mode)
        azure.connect("wrong", {"conn_type": "azure_batchext", "login": "x", "extra": {"auth": "default"}})
        play(azure, mode, azure_batchext_conn_id="wrong")
    assert [r.name for r in caplog.records if r.name.partition(".")[0] in ("azure", "msal")] == []
