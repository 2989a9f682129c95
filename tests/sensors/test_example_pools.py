"""Each example document can be created today, and goes through the real gate and a diagnosis."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_batchext.cli.main import main
from airflow_batchext.diagnosis import diagnose
from airflow_batchext.emulator import Scenario
from airflow_batchext.hooks.health import read_health
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.pool_spec import parse_pools, request_body
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

POOLS = sorted((Path(__file__).parents[2] / "dags" / "pools").glob("*.json"))


@pytest.mark.parametrize("path", POOLS, ids=lambda path: path.stem)
def test_validate_finds_nothing_in_it(path, capsys):
    assert main(["validate", "--strict", "--set", "params.nodes=2", str(path)]) == 0, capsys.readouterr()


@pytest.mark.parametrize("path", POOLS, ids=lambda path: path.stem)
def test_it_goes_through_the_gate(azure, path):
    text = path.read_text("utf-8").replace("{{ params.nodes | default(1) }}", "2")
    body = request_body(parse_pools(text, source=path.name)[0].body)
    (extension,) = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]["extensions"]
    with AzureBatchPoolHook() as hook:
        hook.create_pool(azure.pool_id, body)
    azure.pass_time(300)
    gate = AzureBatchExtensionSensor(task_id="gate", pool_id=azure.pool_id, poke_interval=0, timeout=0)
    report = gate.execute({"ti": None})
    assert report["extensions"] == [extension["name"]]
    assert len(report["nodes"]) == 2
    with AzureBatchNodeHook() as hook:
        assert diagnose(read_health(hook, azure.pool_id)).healthy


def test_a_newcomers_first_diagnosis_does_not_blame_the_identity(azure):
    """The emulated identity is the one that the examples name."""
    path = next(path for path in POOLS if path.stem == "keyvault_ubuntu")
    text = path.read_text("utf-8").replace("{{ params.nodes | default(1) }}", "1")
    azure.emulator.scenario = Scenario.model_validate(
        {"extensions": [{"extension": "secretext", "outcome": "hang"}]}
    )
    with AzureBatchPoolHook() as hook:
        hook.create_pool(azure.pool_id, request_body(parse_pools(text, source=path.name)[0].body))
    azure.pass_time(3600)
    with AzureBatchNodeHook() as hook:
        assert diagnose(read_health(hook, azure.pool_id)).causes == ("key-vault-initial-sync",)
