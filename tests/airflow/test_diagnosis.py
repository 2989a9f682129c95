"""In real Airflow: a gate fails, the notifier tells why, the operator writes the report and links to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_batchext.emulator import Emulator, ExtensionScenario, Scenario
from airflow_batchext.emulator.documents.pool import read_management
from tests.airflow.conftest import SECRET
from tests.airflow.dags.pool_scenarios import document

if TYPE_CHECKING:
    from tests.airflow.harness import Airflow

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

DAG_ID = "diagnosis_scenarios"


@pytest.fixture(scope="module")
def run_id(airflow: Airflow, service: Emulator) -> str:
    message = f"Could not get lock /var/lib/dpkg/lock-frontend; GET https://a/b?sig=signature-{SECRET}"
    fails = ExtensionScenario(pool="dg-fails", node=0, outcome="fail", message=message)
    service.scenario = Scenario(extensions=[fails])
    service.account.create_pool("dg-fails", read_management(document(2)))
    service.clock.advance(300)
    run_id = airflow.trigger(DAG_ID)
    airflow.finish(DAG_ID, run_id)
    service.scenario = Scenario()
    return run_id


def test_the_operator_runs_behind_a_gate_that_failed(airflow: Airflow, run_id: str):
    assert airflow.states(DAG_ID, run_id) == {
        "gate_poke": "failed",
        "gate_deferred": "failed",
        "why": "success",
    }
    result = airflow.xcom(DAG_ID, run_id, "why")
    # The agent works on the other node, so that the pool has no identity is not why.
    assert (result["outcome"], result["causes"]) == ("fail", ["package-lock"])
    assert result["nodes"]["failed"] == 1
    assert [log["files"] for log in result["node_logs"]] == [4]


@pytest.mark.parametrize("task", ["gate_poke", "gate_deferred"])
def test_the_notifier_tells_why(airflow: Airflow, run_id: str, task: str):
    log = airflow.log(DAG_ID, run_id, task)
    assert f"sent: {task}: " in log
    assert "Something else installs packages on the node at the same time" in log


def test_the_report_is_where_it_was_asked_for_and_linked_to(airflow: Airflow, run_id: str):
    folder = Path(airflow.environment["AIRFLOW_VAR_REPORT_FOLDER"]) / DAG_ID
    assert {file.suffix for file in folder.iterdir()} == {".json", ".md", ".html"}
    path = f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/why/links"
    links = airflow.get(path)["extra_links"]
    assert links["Pool report"] == f"https://reports.example/{DAG_ID}/dg-fails-diagnosis.html"


def test_no_secret_is_in_anything_that_is_shown(airflow: Airflow, run_id: str):
    folder = Path(airflow.environment["AIRFLOW_VAR_REPORT_FOLDER"]) / DAG_ID
    shown = [file.read_text() for file in folder.iterdir()]
    shown += [airflow.log(DAG_ID, run_id, task) for task in ("gate_poke", "gate_deferred", "why")]
    shown.append(json.dumps(airflow.xcom(DAG_ID, run_id, "why")))
    rendered = airflow.get(f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/why")["rendered_fields"]
    assert rendered["pool_id"] == "dg-fails"
    shown.append(json.dumps(rendered))
    assert "sig=***" in "".join(shown)
    assert SECRET not in "".join(shown)
