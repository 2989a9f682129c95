"""Secrets in every form that a program on a node may write into its message: none gets out of any part."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_batchext.cli.main import main
from airflow_batchext.emulator import ExtensionScenario, Scenario
from airflow_batchext.exceptions import BatchextError, ParameterError
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.notifications.diagnosis import AzureBatchDiagnosisNotifier
from airflow_batchext.operators.diagnose import AzureBatchDiagnosePoolOperator
from airflow_batchext.operators.extension import AzureBatchGetExtensionOperator
from airflow_batchext.operators.node import AzureBatchRepairNodesOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from tests.airflow.leaks import files, leaks
from tests.hostile.parts import Noting
from tests.secrets.kinds import ALTERED, SECRET, TEXTS

#: Looked for: the secret itself, and what the sign-in of HTTP makes of it. Either is in each message.
PLANTED = {"it": SECRET, "it in base64": base64.b64encode(b"user:" + SECRET.encode()).decode()}
CONTROL = "C0NTR0Lvaluex9"


def message(kind):
    return f"{CONTROL} cannot do: {TEXTS[kind](SECRET)}"


@pytest.fixture
def broken(azure):
    """A pool with a node for each form, whose extension fails with it."""
    azure.emulator.scenario = Scenario(
        extensions=[
            ExtensionScenario(node=number, extension="secretext", outcome="fail", message=message(kind))
            for number, kind in enumerate(TEXTS)
        ]
    )
    azure.create(len(TEXTS))
    return azure


def told(call):
    """What a call returns or raises, as text."""
    try:
        return json.dumps(call(), default=str)
    except ParameterError:
        raise
    except (BatchextError, TaskDeferred) as error:
        return f"{error} {getattr(error, 'report', '')}"


async def event(trigger):
    (found,) = [event.payload async for event in trigger.run()]
    return found


def deferred(sensor):
    with pytest.raises(TaskDeferred) as waits:
        sensor.execute({})
    row = waits.value.trigger.serialize()
    payload = asyncio.run(event(waits.value.trigger))
    return [row, payload, told(lambda: sensor.execute_complete({}, payload))]


def test_no_part_tells_a_secret_of_a_message(broken, tmp_path, capsys):
    conn = {"azure_batchext_conn_id": "official", "pool_id": broken.pool_id}
    gate = {"task_id": "t", "poke_interval": 0, "timeout": 0, "extension_names": ["secretext"], **conn}
    folder = tmp_path / "reports"
    notified = Noting()
    parts = {
        "gate": lambda: AzureBatchExtensionSensor(**gate).execute({}),
        "gate in the triggerer": lambda: deferred(AzureBatchExtensionSensor(deferrable=True, **gate)),
        "repair": lambda: AzureBatchRepairNodesOperator(task_id="t", dry_run=True, **conn).execute({}),
        "repair that ends": lambda: AzureBatchRepairNodesOperator(
            task_id="t", timeout=0, policy={"at_once": 1, "max_actions": 1, "order": ["reboot"]}, **conn
        ).execute({}),
        "read": lambda: AzureBatchGetExtensionOperator(task_id="t", **conn).execute({}),
        "diagnosis": lambda: AzureBatchDiagnosePoolOperator(
            task_id="t", output_uri=str(folder), **conn
        ).execute({}),
        "notifier": lambda: AzureBatchDiagnosisNotifier(through=notified, **conn).notify({}),
        "notifier's log": lambda: AzureBatchDiagnosisNotifier(**conn).notify({}),
        "status": lambda: main(["status", broken.pool_id, "--conn-id", "official"]),
        "status as JSON": lambda: main(["status", broken.pool_id, "--conn-id", "official", "--json"]),
        "diagnose": lambda: main(
            ["diagnose", broken.pool_id, "--conn-id", "official", "--output", str(tmp_path / "command")]
        ),
    }
    places = []
    for name, part in parts.items():
        result = told(part)
        out, err = capsys.readouterr()
        places.append((name, f"{result}{out}{err}".encode()))
    places += [
        ("what was notified", json.dumps(notified.told, default=str).encode()),
        *files(tmp_path, but=folder / "no"),
    ]
    assert leaks(PLANTED, places) == []
    # The same search finds what is no secret, in the same places.
    found = {where.partition(" in ")[2] for where in leaks({"control": CONTROL}, places)}
    pool = broken.pool_id
    told_by = {
        "gate",
        "gate in the triggerer",
        "notifier's log",
        "what was notified",
        "read",
        "status as JSON",
    }
    assert told_by <= found
    assert {f"reports/{pool}-diagnosis.{form}" for form in ("json", "md", "html")} <= found


def test_the_service_itself_says_all_of_them(broken):
    """The control: each form is there to be told, and the search finds it."""
    with AzureBatchNodeHook("official") as hook:
        nodes = [node["id"] for node in hook.list_nodes(broken.pool_id)]
        said = [json.dumps(hook.list_node_extensions(broken.pool_id, node)) for node in nodes]
    assert len(said) == len(TEXTS) >= 40
    for kind in TEXTS:
        spelt = [text for text in said if json.dumps(message(kind))[1:-1] in text]
        assert spelt, kind
        hidden = kind in ALTERED
        assert leaks(PLANTED, [("said", spelt[0].encode())]) or hidden or SECRET[:9] in spelt[0]
