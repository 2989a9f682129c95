"""What failed says why in its task's log, also where many gates end in the triggerer at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_batchext.emulator import Emulator, ExtensionScenario, Scenario
from airflow_batchext.emulator.documents.pool import read_management
from tests.airflow.dags.story import MANY, MODES, POOL_ID
from tests.airflow.harness import Airflow, wait_until
from tests.airflow_names import needs_airflow
from tests.conftest import document
from tests.diagnosis.faults import NO_RIGHT

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

TOLD = f"Pool {POOL_ID}: 0 of 4 nodes ready"
CAUSE = "Likeliest cause: "
REASON = f"The gate on pool {POOL_ID} cannot open: node tvmps_"
COMMAND = f"For the rest: batchext diagnose --conn-id=azure_batchext_default {POOL_ID}"


@pytest.fixture(scope="module")
def run(airflow: Airflow, service: Emulator) -> str:
    fails = ExtensionScenario(pool=POOL_ID, extension="*", outcome="fail", message=NO_RIGHT)
    service.scenario = Scenario(extensions=[fails])
    service.account.create_pool(POOL_ID, read_management(document(4)))
    run_id = airflow.trigger("story")

    def waiting() -> bool:
        states = airflow.states("story", run_id)
        return set(states.values()) <= {"deferred", "running", "up_for_reschedule"}

    wait_until(lambda: f"all gates to wait: {airflow.states('story', run_id)}", waiting)
    # The deadline is missed meanwhile; then they all fail at the same moment.
    wait_until("the deadline's callback", lambda: TOLD in triggerer(airflow))
    service.clock.advance(3600)
    airflow.finish("story", run_id)
    service.scenario = Scenario()
    return run_id


def triggerer(airflow: Airflow) -> str:
    return (airflow.home / "triggerer.log").read_text()


def lines(log: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines() if line.startswith("{")]


@needs_airflow("3.3", "before, every task starts on a worker")
def test_each_of_many_gates_that_end_in_the_triggerer_says_why(airflow: Airflow, run: str):
    lacking = {}
    for number in range(MANY):
        task_id = f"triggerer-{number}"
        log = airflow.log("story", run, task_id)
        if any(words not in log for words in ("Waiting for every extension", REASON, CAUSE, COMMAND)):
            lacking[task_id] = log[-2000:]
        assert airflow.xcom("story", run, task_id, "reason").startswith(REASON)
    assert lacking == {}


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_tells_its_story(airflow: Airflow, run: str, mode: str):
    log = airflow.log("story", run, mode)
    assert log.count("Waiting for every extension on every node") == 1
    failures = [line for line in lines(log) if line["event"] == "Task failed with exception"]
    (detail,) = failures[0]["error_detail"]
    assert detail["exc_value"].startswith(REASON)
    assert CAUSE in detail["exc_value"]
    assert detail["exc_value"].endswith(COMMAND)
    assert sum("airflow_batchext/" in frame["filename"] for frame in detail["frames"]) <= 1
    chatter = [line for line in lines(log) if str(line.get("logger")).partition(".")[0] in ("azure", "msal")]
    assert chatter == []


def test_the_callback_of_a_deadline_tells_of_the_pool(airflow: Airflow, run: str):
    log = triggerer(airflow)
    assert TOLD in log
    assert "NotImplementedError" not in log
    assert "An error occurred during execution of the callable" not in log
