"""The example whose gate repairs, in real Airflow: a reboot helps, or another machine, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_batchext.emulator import Emulator, ExtensionScenario, Scenario
from airflow_batchext.live.snapshot import XCOM_KEY, read_snapshot
from tests.airflow.harness import Airflow, wait_until
from tests.airflow_names import needs_airflow

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

DAG_ID = "batch_pool_self_heal"
POOLS = {"heal-boot": {"boots": "first"}, "heal-machine": {}, "heal-never": {"node": "*"}}


@pytest.fixture(scope="module")
def runs(airflow: Airflow, service: Emulator) -> dict[str, Any]:
    """One run for each fault, at the same time."""
    rules = [
        ExtensionScenario(
            **{"pool": pool, "node": 1, "outcome": "fail", "code": "7", "message": "no such vault", **rule}
        )
        for pool, rule in POOLS.items()
    ]
    service.scenario = Scenario(extensions=rules)
    service.requests.clear()
    found: dict[str, Any] = {pool: airflow.trigger(DAG_ID, {"pool_id": pool, "nodes": 3}) for pool in POOLS}

    def ended() -> bool:
        service.clock.advance(40)
        states = [airflow.get(f"dags/{DAG_ID}/dagRuns/{found[pool]}")["state"] for pool in POOLS]
        return set(states) <= {"success", "failed"}

    wait_until("the runs to end", ended, 400)
    service.scenario = Scenario()
    return found


def asked(service: Emulator, pool: str, what: str) -> int:
    return sum(
        request.method == "POST" and f"/pools/{pool}/" in request.path and f"/{what}" in request.path
        for request in service.requests
        if request.status == 202
    )


def test_what_a_reboot_fixes(airflow: Airflow, service: Emulator, runs: dict[str, Any]):
    assert set(airflow.states(DAG_ID, runs["heal-boot"]).values()) == {"success"}
    assert asked(service, "heal-boot", "reboot") == 1
    assert asked(service, "heal-boot", "removenodes") == 0
    assert len(airflow.xcom(DAG_ID, runs["heal-boot"], "use_pool")) == 3


def test_what_only_another_machine_fixes(airflow: Airflow, service: Emulator, runs: dict[str, Any]):
    assert set(airflow.states(DAG_ID, runs["heal-machine"]).values()) == {"success"}
    assert asked(service, "heal-machine", "reboot") == 1
    assert asked(service, "heal-machine", "removenodes") == 1
    assert len(airflow.xcom(DAG_ID, runs["heal-machine"], "use_pool")) == 3


def test_what_nothing_fixes(airflow: Airflow, service: Emulator, runs: dict[str, Any]):
    assert airflow.states(DAG_ID, runs["heal-never"]) == {
        "create_pool": "success",
        "gate": "failed",
        "use_pool": "upstream_failed",
        "delete_pool": "success",
    }
    log = airflow.log(DAG_ID, runs["heal-never"], "gate")
    assert "a repair does not help" in log
    assert "no such vault" in log
    assert asked(service, "heal-never", "removenodes") == 2
    assert service.account.find("heal-never") is None


@needs_airflow("3.3", "before, workers do not write it")
def test_the_live_page_is_left_the_steps_of_the_repair(airflow: Airflow, runs: dict[str, Any]):
    steps = {}
    for pool in POOLS:
        found = read_snapshot(airflow.xcom(DAG_ID, runs[pool], "gate", XCOM_KEY))
        assert found is not None
        assert found.outcome == ("failed" if pool == "heal-never" else "done")
        assert found.repair is not None
        steps[pool] = [step.step for step in found.repair.steps]
    assert steps["heal-boot"] == ["reboot"]
    assert steps["heal-machine"] == ["reboot", "replace"]
    assert "replace" in steps["heal-never"]
