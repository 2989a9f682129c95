"""The example DAG, run by real Airflow: through to the end, and with the gate closed."""

from __future__ import annotations

import pytest

from airflow_batchext.emulator import Emulator, ExtensionScenario, Scenario
from tests.airflow.harness import Airflow, play, wait_until

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

DAG_ID = "batch_pool_gate"


def test_no_dag_has_an_import_error(airflow: Airflow):
    wait_until("the DAG to be parsed", lambda: DAG_ID in airflow.run("dags", "list", "-o", "plain"))
    assert airflow.get("importErrors")["import_errors"] == []


def test_it_is_on_schedule(airflow: Airflow):
    details = airflow.get(f"dags/{DAG_ID}/details")
    assert details["timetable_summary"] == "0 0 * * *"
    assert set(details["params"]) == {"pool_id", "nodes", "image"}


def test_it_runs_by_itself(airflow: Airflow, service: Emulator):
    """Switched on, it runs once for the last midnight; the runs that are asked for come after that one."""
    service.scenario = Scenario()

    def scheduled() -> list[dict]:
        return airflow.get(f"dags/{DAG_ID}/dagRuns", run_type="scheduled")["dag_runs"]

    run_id = wait_until("the scheduled run", scheduled)[0]["dag_run_id"]
    assert play(airflow, service, DAG_ID, run_id) == "success"
    assert len(airflow.xcom(DAG_ID, run_id, "use_pool")) == 2
    assert service.account.find("batchext-gate") is None
    wait_until("the next run", lambda: airflow.get(f"dags/{DAG_ID}/details")["next_dagrun_run_after"])


def test_work_runs_on_ready_nodes_and_the_pool_goes(airflow: Airflow, service: Emulator):
    service.scenario = Scenario()
    run_id = airflow.trigger(DAG_ID, {"pool_id": "example-alma", "nodes": 2, "image": "almalinux"})
    assert play(airflow, service, DAG_ID, run_id) == "success"
    assert set(airflow.states(DAG_ID, run_id).values()) == {"success"}
    report = airflow.xcom(DAG_ID, run_id, "gate")
    assert len(report["nodes"]) == 2
    lines = airflow.xcom(DAG_ID, run_id, "use_pool")
    assert len(lines) == 4
    assert sum("secretext  ProvisioningState/succeeded" in line for line in lines) == 2
    assert service.account.find("example-alma") is None


def test_a_closed_gate_keeps_work_from_running_and_the_pool_goes_too(airflow: Airflow, service: Emulator):
    fails = ExtensionScenario(extension="secretext", node=1, outcome="fail", message="no such vault")
    service.scenario = Scenario(extensions=[fails])
    run_id = airflow.trigger(DAG_ID, {"pool_id": "example-fails", "nodes": 3})
    assert play(airflow, service, DAG_ID, run_id) == "failed"
    assert airflow.states(DAG_ID, run_id) == {
        "create_pool": "success",
        "gate": "failed",
        "read_extensions": "upstream_failed",
        "use_pool": "upstream_failed",
        "delete_pool": "success",
    }
    log = airflow.log(DAG_ID, run_id, "gate")
    assert "extension secretext reports ProvisioningState/failed" in log
    assert "no such vault" in log
    assert service.account.find("example-fails") is None
