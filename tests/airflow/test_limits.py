"""What ends a wait beside the pool, in real processes: limits, and a connection that workers alone have."""

from __future__ import annotations

import json

import pytest

from airflow_batchext.emulator import Emulator, ExtensionScenario, Scenario
from airflow_batchext.emulator.documents.pool import read_management
from airflow_batchext.repair.journal import ITEM
from tests.airflow.dags.limits import document
from tests.airflow.harness import Airflow, wait_until
from tests.airflow_names import airflow_is, needs_airflow

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

LIMITED = ["on_worker", "deferred", "gate_poke", "gate_reschedule", "gate_deferred", "gate_in_triggerer"]
LACKING = ["lacking", "gate_lacking", "gate_in_triggerer_lacking", "repair_lacking"]


@pytest.fixture(scope="module")
def run(airflow: Airflow, service: Emulator) -> str:
    """The run of all of them; the emulator's time stands still meanwhile, so nothing else ends them."""
    service.scenario = Scenario(
        extensions=[
            ExtensionScenario(pool="li-hang", extension="agent", outcome="hang"),
            ExtensionScenario(pool="li-sick", extension="agent", node=1, outcome="fail"),
        ]
    )
    for name in ("li-hang", "li-sick"):
        service.account.create_pool(name, read_management(document(3)))
    service.clock.advance(600)
    run_id = airflow.trigger("limits")
    airflow.finish("limits", run_id)
    return run_id


def test_every_wait_ends_by_its_limit_and_names_it(airflow: Airflow, run: str):
    states = airflow.states("limits", run)
    assert {name: states[name] for name in LIMITED} == dict.fromkeys(LIMITED, "failed")
    for name in LIMITED:
        seconds = 3 if name == "on_worker" else 15
        assert f"{seconds} seconds (execution_timeout)" in airflow.log("limits", run, name), name


def test_a_connection_that_the_triggerer_lacks_is_told_and_hidden_by_no_soft_fail(airflow: Airflow, run: str):
    lacking = LACKING if airflow_is("3.3") else [name for name in LACKING if "in_triggerer" not in name]
    states = airflow.states("limits", run)
    assert {name: states[name] for name in lacking} == dict.fromkeys(lacking, "failed")
    for name in lacking:
        log = airflow.log("limits", run, name)
        assert "the triggerer does not have the connection 'workeronly'" in log, name


@pytest.mark.parametrize("pool", ["li-on-worker", "li-deferred", "li-lacking"])
def test_the_pool_goes(airflow: Airflow, service: Emulator, run: str, pool: str):
    found = service.account.find(pool)
    assert found is None or found.deleted


def test_a_repair_lets_go_of_the_pool(airflow: Airflow, service: Emulator, run: str):
    items = service.account.pool("li-sick").definition.properties["metadata"]
    (written,) = [json.loads(item["value"]) for item in items if item["name"] == ITEM]
    assert not written.get("by")


@needs_airflow("3.3", "before, it starts on a worker")
def test_the_callback_of_a_failure_in_the_triggerer_is_called(airflow: Airflow, run: str):
    wait_until("the callback", (airflow.home / "called-for-gate_in_triggerer").exists, 60)
