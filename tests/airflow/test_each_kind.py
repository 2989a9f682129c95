"""One run of each kind in real Airflow: by schedule, with a gate that closes, on demand, from the triggerer.

They go on at the same time, in one Airflow, and are what `make test` has of real Airflow, beside the demo.
"""

from __future__ import annotations

from typing import Any

import pytest

from airflow_batchext.emulator import Emulator, ExtensionScenario, Scenario
from airflow_batchext.emulator.documents.pool import read_management
from tests.airflow.dags.gate_in_triggerer import POOL_ID as WATCHED
from tests.airflow.harness import Airflow, play, wait_until
from tests.airflow_names import airflow_is
from tests.conftest import document
from tests.sockets import family, listeners, processes_of, reachable_from_outside

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

PIPELINE, ON_DEMAND, IN_TRIGGERER = "batch_pool_gate", "batch_pool_on_demand", "gate_in_triggerer"
ENDED = {"success", "failed"}


@pytest.fixture(scope="module")
def runs(airflow: Airflow, service: Emulator) -> dict[str, str]:
    """The ids of the runs, by their kinds; all have ended."""
    fails = ExtensionScenario(
        pool="example-fails", extension="secretext", node=1, outcome="fail", message="no such vault"
    )
    service.scenario = Scenario(extensions=[fails])
    service.account.create_pool(WATCHED, read_management(document(2)))
    found = {
        "in the triggerer": airflow.trigger(IN_TRIGGERER),
        "on demand": airflow.trigger(
            ON_DEMAND,
            {"pool_id": "od-rest", "nodes": 2, "extensions": ["gpu"], "size": "STANDARD_NC4AS_T4_V3"},
        ),
        # Its DAG has one run at a time; the one by schedule comes first.
        "closed": airflow.trigger(PIPELINE, {"pool_id": "example-fails", "nodes": 3}),
    }

    def scheduled() -> list[dict[str, Any]]:
        return airflow.get(f"dags/{PIPELINE}/dagRuns", run_type="scheduled")["dag_runs"]

    found["by schedule"] = wait_until("the scheduled run", scheduled)[0]["dag_run_id"]
    dags = {"in the triggerer": IN_TRIGGERER, "on demand": ON_DEMAND}

    def states() -> dict[str, str]:
        return {
            kind: airflow.get(f"dags/{dags.get(kind, PIPELINE)}/dagRuns/{run}")["state"]
            for kind, run in found.items()
        }

    def ended() -> bool:
        service.clock.advance(60)
        return set(states().values()) <= ENDED

    # Each look costs the API server as much as a task does.
    wait_until(lambda: f"all runs to end: {states()}", ended, 600, every=1)
    service.scenario = Scenario()
    return found


def test_no_dag_has_an_import_error(airflow: Airflow, runs: dict[str, str]):
    assert airflow.get("importErrors")["import_errors"] == []


def test_it_is_on_schedule(airflow: Airflow, runs: dict[str, str]):
    details = airflow.get(f"dags/{PIPELINE}/details")
    assert details["timetable_summary"] == "0 0 * * *"
    assert set(details["params"]) == {"pool_id", "nodes", "image"}


def test_it_runs_by_itself(airflow: Airflow, service: Emulator, runs: dict[str, str]):
    """Switched on, it runs once for the last midnight."""
    run_id = runs["by schedule"]
    assert airflow.get(f"dags/{PIPELINE}/dagRuns/{run_id}")["state"] == "success"
    assert len(airflow.xcom(PIPELINE, run_id, "use_pool")) == 2
    assert service.account.find("batchext-gate") is None
    wait_until("the next run", lambda: airflow.get(f"dags/{PIPELINE}/details")["next_dagrun_run_after"])


def test_a_closed_gate_keeps_work_from_running_and_the_pool_goes_too(
    airflow: Airflow, service: Emulator, runs: dict[str, str]
):
    run_id = runs["closed"]
    assert airflow.get(f"dags/{PIPELINE}/dagRuns/{run_id}")["state"] == "failed"
    assert airflow.states(PIPELINE, run_id) == {
        "create_pool": "success",
        "gate": "failed",
        "read_extensions": "upstream_failed",
        "use_pool": "upstream_failed",
        "delete_pool": "success",
    }
    log = airflow.log(PIPELINE, run_id, "gate")
    assert "extension secretext reports ProvisioningState/failed" in log
    assert "no such vault" in log
    assert service.account.find("example-fails") is None


def test_what_the_form_says_is_what_is_made_and_it_goes(
    airflow: Airflow, service: Emulator, runs: dict[str, str]
):
    run_id = runs["on demand"]
    assert airflow.get(f"dags/{ON_DEMAND}/dagRuns/{run_id}")["state"] == "success"
    report = airflow.xcom(ON_DEMAND, run_id, "gate")
    assert len(report["nodes"]) == 2
    assert report["extensions"] == ["gpu"]
    assert service.account.find("od-rest") is None


def test_a_gate_that_starts_in_the_triggerer_opens_without_a_worker(airflow: Airflow, runs: dict[str, str]):
    run_id = runs["in the triggerer"]
    assert airflow.states(IN_TRIGGERER, run_id) == {"gate": "success"}
    assert len(airflow.xcom(IN_TRIGGERER, run_id, "gate")["nodes"]) == 2
    pid = airflow.get(f"dags/{IN_TRIGGERER}/dagRuns/{run_id}/taskInstances/gate")["pid"]
    # Before 3.3 every task starts on a worker.
    assert (pid is None) == airflow_is("3.3")


def test_nothing_of_this_airflow_can_be_reached_from_another_machine(airflow: Airflow, runs: dict[str, str]):
    families = [family(pid) for pid in airflow.process_groups]
    assert all(families)
    # A task that has lost its parent is in no family; who has renamed itself may show no AIRFLOW_HOME.
    listening = listeners([*(process for one in families for process in one), *processes_of(airflow.home)])
    assert int(airflow.url.rpartition(":")[2]) in {port for _, port, _ in listening}
    assert reachable_from_outside(listening) == []


@pytest.mark.slow
def test_work_runs_on_ready_nodes_and_the_pool_goes(
    airflow: Airflow, service: Emulator, runs: dict[str, str]
):
    service.scenario = Scenario()
    run_id = airflow.trigger(PIPELINE, {"pool_id": "example-alma", "nodes": 2, "image": "almalinux"})
    assert play(airflow, service, PIPELINE, run_id) == "success"
    assert set(airflow.states(PIPELINE, run_id).values()) == {"success"}
    report = airflow.xcom(PIPELINE, run_id, "gate")
    assert len(report["nodes"]) == 2
    lines = airflow.xcom(PIPELINE, run_id, "use_pool")
    assert len(lines) == 4
    assert sum("secretext  ProvisioningState/succeeded" in line for line in lines) == 2
    assert service.account.find("example-alma") is None
