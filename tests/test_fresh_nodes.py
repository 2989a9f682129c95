"""A node that says nothing yet of its extensions, as real ones do, is neither failed nor stuck nor ready.

Every door of the package looks at the same pool: ``Creating``, with an empty ``instanceView``, in any order.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from airflow_batchext.cli.main import main
from airflow_batchext.diagnosis import Report, diagnose
from airflow_batchext.emulator import Scenario
from airflow_batchext.hooks import _node_requests
from airflow_batchext.hooks.health import read_health
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.operators.diagnose import AzureBatchDiagnosePoolOperator
from airflow_batchext.operators.extension import AzureBatchGetExtensionOperator
from airflow_batchext.operators.node import AzureBatchRepairNodesOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from tests.shapes import agent, fresh
from tests.triggers.test_events import looks, watcher, watching

#: Slow: the first boot of a Windows node took up to nine minutes.
KINDS = {
    "just seen": {"timings": {"reporting": 500.0}},
    "slow": {"timings": {"reporting": 500.0, "starting": 480.0}},
    "idle already": {"timings": {"reporting": 500.0}},
}


@pytest.fixture(params=KINDS)
def pool(azure, request):
    """The id of a pool of two nodes, that are there and say nothing."""
    azure.emulator.scenario = Scenario.model_validate(KINDS[request.param])
    azure.create(nodes=2, ready=False)
    azure.pass_time(125.5 if request.param == "just seen" else 400)
    with AzureBatchNodeHook() as hook:
        said = [
            e
            for node in hook.list_nodes(azure.pool_id)
            for e in hook.list_node_extensions(azure.pool_id, node["id"])
        ]
    assert {e["provisioningState"] for e in said} == {"Creating"}
    assert {json.dumps(e["instanceView"]) for e in said} == {"{}"}
    return azure.pool_id


def test_status_and_diagnose_say_that_it_is_not_ready_yet(pool, capsys):
    for command in ("status", "diagnose"):
        assert main([command, pool]) == 2
        out = capsys.readouterr().out
        assert "failed" not in out.replace("0 failed", "")
        assert "known cause" not in out.lower() or "no known cause" in out.lower()


def test_the_gate_waits_and_says_for_what(pool, caplog, capsys):
    gate = AzureBatchExtensionSensor(task_id="gate", pool_id=pool, timeout=60, node_grace=0)
    found = gate.poke({})
    assert not found.is_done
    assert "extension secretext reports Creating" in caplog.text + capsys.readouterr().out


def test_the_data_are_read_as_they_are(pool):
    data = AzureBatchGetExtensionOperator(task_id="read", pool_id=pool).execute({})
    assert data
    assert {each["provisioning_state"] for each in data} == {"Creating"}
    assert all(each["statuses"] == [] for each in data)


def test_the_diagnosis_names_no_cause_and_its_pages_are_made(azure, pool, tmp_path):
    result = AzureBatchDiagnosePoolOperator(
        task_id="diagnose", pool_id=pool, output_uri=tmp_path.as_uri()
    ).execute({})
    assert (result["outcome"], result["causes"]) == ("wait", [])
    assert result["nodes"]["pending"] == 2
    assert len(list(tmp_path.iterdir())) == 3


def test_a_repair_touches_nothing(azure, pool):
    task = AzureBatchRepairNodesOperator(task_id="repair", pool_id=pool, dry_run=True)
    before = len(azure.emulator.requests)
    assert task.execute({})["actions"] == []
    assert {r.method for r in list(azure.emulator.requests)[before:]} == {"GET"}


def test_a_watcher_fires_nothing(azure, pool):
    async def run():
        async with watching(watcher(azure, events=["ready", "failed"])) as fired:
            await looks(azure)
            return fired

    assert asyncio.run(run()) == []


@pytest.mark.parametrize("first", ["batchNodeExtension", "secretext"])
@pytest.mark.parametrize("own", ["", "ProvisioningState/succeeded"])
def test_the_order_of_the_two_does_not_matter(azure, monkeypatch, first, own):
    azure.create(nodes=1)
    bodies = sorted((agent(own), fresh("secretext")), key=lambda body: body["vmExtension"]["name"] != first)

    def answered(pool_id, node_id):
        yield from ()
        return bodies

    monkeypatch.setattr(_node_requests, "list_node_extensions", answered)
    with AzureBatchNodeHook() as hook:
        health = read_health(hook, azure.pool_id)
    report = Report(diagnose(health))
    assert health.outcome == "wait"
    assert health.totals.failed.nodes == 0
    assert json.loads(report.to_text())["causes"] == []
