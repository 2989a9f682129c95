"""The gate in real Airflow: poke, reschedule and deferrable come to the same verdict on the same history."""

from __future__ import annotations

import re

import pytest

from airflow_batchext.emulator import Emulator, ExtensionScenario, PoolScenario, Scenario, Timings
from airflow_batchext.emulator.scenario import ResizeError
from airflow_batchext.live.snapshot import XCOM_KEY, read_snapshot
from tests.airflow.dags.gate_scenarios import MODES, SCENARIOS, TIMEOUTS
from tests.airflow.harness import Airflow, wait_until
from tests.airflow_names import airflow_is, needs_airflow
from tests.conftest import document

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

VERDICTS = {
    "all_succeed": ("success", ""),
    "one_fails": ("failed", r"extension secretext reports ProvisioningState/failed/1: no managed identity"),
    "hangs": ("failed", rf"did not open within {TIMEOUTS['hangs']} seconds \(timeout\); still missing: node"),
    "resize_error": ("failed", "ended with 1 of 2 nodes: AccountCoreQuotaReached: the quota is used up"),
    "deleted": ("failed", r"pool deleted (is being deleted|does not exist \(any more\))"),
    "preempted": ("success", ""),
    "recreated": ("failed", "pool recreated was deleted and created anew"),
    "empty": ("failed", "still missing: pool empty has no nodes and its target is 0"),
}


def create_pools(service: Emulator) -> None:
    fails = {"outcome": "fail", "code": "1", "message": "no managed identity", "after": 60}
    quota = ResizeError(code="AccountCoreQuotaReached", message="the quota is used up")
    service.scenario = Scenario(
        timings=Timings(extension=60, deletion=600, leaving=600),
        extensions=[
            ExtensionScenario(pool="one_fails", node=1, extension="secretext", **fails),
            ExtensionScenario(pool="hangs", node=0, extension="secretext", outcome="hang"),
        ],
        pools=[PoolScenario(pool="resize_error", resize_error=quota, nodes_allocated=1)],
    )
    from azure.identity import ClientSecretCredential
    from azure.mgmt.batch import BatchManagementClient

    info = service.info
    credential = ClientSecretCredential(
        info.tenant_id,
        info.client_id,
        info.client_secret,
        authority=info.authority,
        disable_instance_discovery=True,
        connection_verify=info.ca_bundle,
    )
    with BatchManagementClient(
        credential,
        info.subscription_id,
        base_url=info.arm_endpoint,
        credential_scopes=["https://management.azure.com/.default"],
        connection_verify=info.ca_bundle,
    ) as client:
        for pool_id in SCENARIOS:
            nodes = 0 if pool_id == "empty" else 2
            client.pool.create(info.resource_group, info.account, pool_id, document(nodes))


@pytest.fixture(scope="module")
def run(airflow: Airflow, service: Emulator) -> str:
    """The run of all gates, with the histories played to their end; returns the run's id."""
    create_pools(service)
    run_id = airflow.trigger("gate_scenarios")

    def every_mode_says(pool_id: str, words: str) -> bool:
        return all(words in airflow.log("gate_scenarios", run_id, f"{pool_id}-{mode}") for mode in MODES)

    for pool_id in set(SCENARIOS) - {"empty"}:
        wait_until(f"{pool_id} to wait", lambda p=pool_id: every_mode_says(p, "are not there yet"))

    # The nodes are there and their extensions have begun, but the pool is half a second short of steady.
    service.clock.advance(124.5)
    wait_until("the nodes to be seen", lambda: every_mode_says("preempted", "(creating): extension"))
    service.account.preempt_node("preempted", 0, back_after=400)
    service.account.delete_pool("deleted")
    service.account.recreate_pool("recreated")
    service.clock.advance(100)
    wait_until("the preemption to be seen", lambda: every_mode_says("preempted", "is preempted"))
    states = airflow.states("gate_scenarios", run_id)
    assert {states[f"preempted-{mode}"] for mode in MODES}.isdisjoint({"success", "failed"})

    service.clock.advance(900)
    airflow.finish("gate_scenarios", run_id)
    return run_id


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_mode_comes_to_the_same_verdict(airflow: Airflow, run: str, scenario: str):
    state, reason = VERDICTS[scenario]
    states = airflow.states("gate_scenarios", run)
    # Before 3.3 there is no store in which a rescheduled task could remember which pool it was.
    modes = [mode for mode in MODES if airflow_is("3.3") or (scenario, mode) != ("recreated", "reschedule")]
    assert {mode: states[f"{scenario}-{mode}"] for mode in modes} == dict.fromkeys(modes, state)
    for mode in modes:
        assert re.search(reason, airflow.log("gate_scenarios", run, f"{scenario}-{mode}"))


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if VERDICTS[s][0] == "success"])
def test_every_mode_reports_the_same(airflow: Airflow, run: str, scenario: str):
    reports = [airflow.xcom("gate_scenarios", run, f"{scenario}-{mode}") for mode in MODES]
    for report in reports:
        assert report.pop("seconds") > 1
        assert 0 <= report.pop("oldest_reading_seconds") <= 300, "as old as the gate lets it be"
        assert len(report["nodes"]) == 2
        for node in report["nodes"].values():
            node.pop("state")  # idle by then or still starting: the modes look at different moments
            assert node == {"extensions": {"secretext": "ProvisioningState/succeeded"}}
    assert all(report == reports[0] for report in reports)


def test_the_log_says_how_far_it_is_when_that_changes_and_only_then(airflow: Airflow, run: str):
    for mode in ("poke", "deferrable"):
        log = airflow.log("gate_scenarios", run, f"preempted-{mode}")
        assert "2 of 2 nodes are not there yet" in log
        assert "is preempted" in log
        assert "2 of 2 nodes ready" in log
        assert 3 <= log.count("Pool preempted: ") <= 12, "one line for each change, not for each look"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_mode_leaves_what_the_live_page_shows_of_it(airflow: Airflow, run: str, scenario: str):
    state, reason = VERDICTS[scenario]
    outcome = "done" if state == "success" else "timeout" if scenario in TIMEOUTS else "failed"
    # In 3.1 workers write nothing, and every task starts on one.
    modes = {mode: mode for mode in MODES} | {"triggerer": "start_from_trigger"}
    if not airflow_is("3.3"):
        modes = dict.fromkeys(("deferrable", "triggerer"), "deferrable")
    for mode, shown in modes.items():
        found = read_snapshot(airflow.xcom("gate_scenarios", run, f"{scenario}-{mode}", XCOM_KEY))
        assert found is not None, mode
        assert (found.kind, found.pool, found.outcome) == ("gate", scenario, outcome), mode
        assert found.mode == shown
        assert (found.next_look, found.stale_at) == (None, None)
        assert found.started < found.looked < found.deadline + 60
        assert state == "success" or re.search(
            reason.partition("still missing: ")[2] or reason, found.summary
        )
        if state == "success":
            assert [field.cells for field in found.picture.fields[:2]] == ["rr", "rr"], mode
        assert len(found.history) > 1, mode


@needs_airflow("3.3", "before, every task starts on a worker")
def test_gates_that_start_in_the_triggerer_use_no_worker_at_all(airflow: Airflow, run: str):
    answer = airflow.get(f"dags/gate_scenarios/dagRuns/{run}/taskInstances", limit=200)
    pids = {item["task_id"]: item["pid"] for item in answer["task_instances"]}
    assert {task_id for task_id, pid in pids.items() if pid is None} == {f"{s}-triggerer" for s in SCENARIOS}
