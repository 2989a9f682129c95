"""The life of pools in real Airflow, with faults: all DAG runs at once, on one emulator."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_batchext.emulator import Emulator, ExtensionScenario, PoolScenario, Scenario, Timings
from airflow_batchext.emulator.documents.pool import read_management
from airflow_batchext.emulator.scenario import ResizeError
from airflow_batchext.live.snapshot import XCOM_KEY, read_snapshot
from tests.airflow.dags.pool_scenarios import document
from tests.airflow.harness import Airflow, wait_until
from tests.airflow_names import airflow_is, needs_airflow

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

POOLS, LIVES = "pool_scenarios", "ephemeral_scenarios"
EXAMPLES = ("batch_ephemeral_pool", "batch_many_pools", "batch_regions")
TERMINAL = {"success", "failed", "upstream_failed", "skipped"}


def prepare(service: Emulator) -> None:
    service.scenario = Scenario(
        timings=Timings(deletion=100, leaving=50),
        extensions=[ExtensionScenario(extension="bad", outcome="fail", message="no such agent")],
    )
    for name in ("pl-short", "pl-going", "pl-replace", "pl-update", "pl-delete"):
        service.account.create_pool(name, read_management(document(1)))
    service.clock.advance(300)
    service.account.delete_pool("pl-going")
    quota = ResizeError(code="AccountCoreQuotaReached")
    late = ResizeError(code="AllocationTimedout")
    service.scenario = Scenario(
        timings=service.scenario.timings,
        extensions=service.scenario.extensions,
        pools=[
            PoolScenario(pool="pl-quota", resize_error=quota),
            PoolScenario(pool="pl-short", resize_error=late, nodes_allocated=1),
            PoolScenario(pool="pl-ended-*", steady_after=100_000),
        ],
    )
    service.account.create_pool("pl-linked", read_management(document(1)))
    service.requests.clear()


def end(airflow: Airflow, run_id: str, task_id: str) -> None:
    """Mark a task as failed, as a user does in the web page."""
    path = f"/api/v2/dags/{POOLS}/dagRuns/{run_id}/taskInstances/{task_id}"

    def marked() -> bool:  # Airflow's SQLite may be locked just now, which it answers with 500
        return airflow._client.patch(path, json={"new_state": "failed"}).status_code == 200

    wait_until(f"{task_id} to be marked", marked)


PORTAL, LIVE = "Pool in the Azure portal", "Live status"


def links(airflow: Airflow, run_id: str, task_id: str) -> dict[str, Any]:
    answer = airflow.get(f"dags/{POOLS}/dagRuns/{run_id}/taskInstances/{task_id}/links")
    found: dict[str, Any] = answer["extra_links"]
    return found


@pytest.fixture(scope="module")
def runs(airflow: Airflow, service: Emulator) -> dict[str, Any]:
    """The runs of all the DAGs with the histories played to their end."""
    prepare(service)
    seen: dict[str, Any] = {dag_id: airflow.trigger(dag_id) for dag_id in (POOLS, LIVES, *EXAMPLES)}
    run_id = seen[POOLS]

    def waiting(*tasks: str, state: str = "deferred") -> bool:
        states = airflow.states(POOLS, run_id)
        return all(states.get(task) == state for task in tasks)

    wait_until(
        "the tasks to wait",
        lambda: waiting("quota", "resize", "going", "replace", "delete", "ended-triggerer", "linked"),
    )
    wait_until("the worker to wait", lambda: "is resizing" in airflow.log(POOLS, run_id, "ended-worker"))
    # The link is written just after the task has been deferred.
    seen["links while deferred"] = wait_until(
        "the link of the deferred task", lambda: links(airflow, run_id, "linked")[PORTAL], 30
    )
    assert waiting("linked")
    end(airflow, run_id, "ended-triggerer")
    end(airflow, run_id, "ended-worker")
    wait_until(
        "the racers to have looked",
        lambda: all(airflow.states(POOLS, run_id)[f"racer-{r}"] in TERMINAL for r in ("one", "two")),
    )
    gone = {"pl-ended-worker", "pl-ended-triggerer"} if airflow_is("3.3") else {"pl-ended-worker"}
    wait_until(
        "the pools of the ended tasks to go",
        lambda: gone <= {pool.name for pool in service.account.pools() if pool.deleted},
    )
    seen["ended"] = gone

    def ended() -> bool:
        service.clock.advance(60)
        return all(
            airflow.get(f"dags/{dag_id}/dagRuns/{seen[dag_id]}")["state"] in TERMINAL
            for dag_id in (POOLS, LIVES, *EXAMPLES)
        )

    wait_until("the runs to end", ended, 400)
    service.scenario = Scenario()
    return seen


def test_a_pool_without_quota_fails_in_words_and_goes(airflow: Airflow, service: Emulator, runs: Any):
    assert airflow.states(POOLS, runs[POOLS])["quota"] == "failed"
    log = airflow.log(POOLS, runs[POOLS], "quota")
    assert "ended with 0 of 2 dedicated nodes" in log
    assert "quota of dedicated cores is used up. Ask for more" in log
    assert service.account.find("pl-quota") is None


def test_a_resize_that_times_out_fails_in_words(airflow: Airflow, runs: Any):
    assert airflow.states(POOLS, runs[POOLS])["resize"] == "failed"
    log = airflow.log(POOLS, runs[POOLS], "resize")
    assert re.search(r"ended with 1 of 3 dedicated nodes.*did not find enough machines", log)


def test_a_name_that_is_being_freed_is_waited_for(airflow: Airflow, runs: Any):
    assert airflow.xcom(POOLS, runs[POOLS], "going")["action"] == "created"


def test_a_worker_killed_after_the_put_is_made_good_by_the_retry(
    airflow: Airflow, service: Emulator, runs: Any
):
    result = airflow.xcom(POOLS, runs[POOLS], "lost")
    assert (result["action"], result["differences"]) == ("adopted", [])
    puts = [r for r in service.requests if r.method == "PUT" and "/pl-lost?" in r.path]
    assert [r.status for r in puts] == [200]


def test_two_racers_end_with_one_pool(airflow: Airflow, service: Emulator, runs: Any):
    results = [airflow.xcom(POOLS, runs[POOLS], f"racer-{racer}") for racer in ("one", "two")]
    assert sorted(result["action"] for result in results) == ["adopted", "created"]
    assert results[0]["pool_created"] == results[1]["pool_created"]
    puts = [r for r in service.requests if r.method == "PUT" and "/pl-race?" in r.path]
    assert sorted(r.status for r in puts) == [200, 412], "both tried: neither had seen the other's"


def test_replace_update_and_delete(airflow: Airflow, service: Emulator, runs: Any):
    run_id = runs[POOLS]
    replaced = airflow.xcom(POOLS, run_id, "replace")
    assert (replaced["action"], replaced["extensions"]) == ("replaced", ["other"])
    assert airflow.xcom(POOLS, run_id, "update")["updated"] is True
    updated = service.account.find("pl-update").definition.properties
    assert updated["metadata"] == [{"name": "run", "value": run_id}]
    assert airflow.xcom(POOLS, run_id, "delete") == {"pool_id": "pl-delete", "deleted": True}


def test_who_ends_a_task_ends_its_pool_in_a_worker(runs: Any):
    assert "pl-ended-worker" in runs["ended"]


@needs_airflow("3.3", "before, a trigger is not told that its task was ended")
def test_who_ends_a_task_ends_its_pool_in_the_triggerer(runs: Any):
    assert "pl-ended-triggerer" in runs["ended"]


@pytest.mark.skipif(airflow_is("3.3"), reason="it keeps its promise")
def test_an_airflow_that_cannot_keep_the_promise_is_named_in_the_log(
    airflow: Airflow, service: Emulator, runs: Any
):
    assert "pool pl-ended-triggerer stays as it is" in airflow.log(POOLS, runs[POOLS], "ended-triggerer")
    assert service.account.find("pl-ended-triggerer") is not None


def test_the_link_is_there_while_the_task_is_deferred_and_after(
    airflow: Airflow, service: Emulator, runs: Any
):
    info = service.info
    url = (
        f"https://portal.azure.com/#@{info.tenant_id}/resource/subscriptions/{info.subscription_id}"
        f"/resourceGroups/{info.resource_group}/providers/Microsoft.Batch/batchAccounts/{info.account}"
        "/pools/pl-linked"
    )
    assert runs["links while deferred"] == url
    for task in ("linked", "linked-triggerer"):
        found = links(airflow, runs[POOLS], task)
        assert found.keys() == {PORTAL, LIVE}
        assert found[PORTAL] == url
        assert f"task_id={task}&" in found[LIVE]


def test_where_there_is_no_portal_there_is_no_link(airflow: Airflow, runs: Any):
    found = links(airflow, runs[POOLS], "update")
    assert found[PORTAL] is None
    assert "task_id=update&" in found[LIVE]


def test_a_pool_lives_as_long_as_its_tasks_however_they_end(airflow: Airflow, service: Emulator, runs: Any):
    states = airflow.states(LIVES, runs[LIVES])
    assert {task: states[task] for task in states if task.endswith("delete")} == {
        f"{name}.delete": "success" for name in ("fails", "closed")
    }
    assert states["fails.work.use"] == "failed"
    assert (states["closed.gate"], states["closed.work.use"]) == ("failed", "upstream_failed")
    assert not [p for p in service.account.pools() if p.name.startswith(("fails-", "closed-", "pool-"))]
    assert airflow.get(f"dags/{LIVES}/dagRuns/{runs[LIVES]}")["state"] == "failed"


@pytest.mark.parametrize("dag_id", EXAMPLES)
def test_the_examples_run_to_their_end_and_leave_nothing(
    airflow: Airflow, service: Emulator, runs: Any, dag_id: str
):
    answer = airflow.get(f"dags/{dag_id}/dagRuns/{runs[dag_id]}/taskInstances", limit=200)
    states = {(item["task_id"], item["map_index"]): item["state"] for item in answer["task_instances"]}
    assert set(states.values()) == {"success"}
    used = [place for place in states if place[0].endswith("use_pool")]
    assert len(used) == (1 if dag_id == "batch_ephemeral_pool" else 2)


def test_each_expansion_has_a_pool_of_its_own(airflow: Airflow, service: Emulator, runs: Any):
    made = {
        r.path.split("/pools/")[1][:21] for r in service.requests if r.method == "PUT" and "/pool-" in r.path
    }
    assert len(made) == 3, "one of the first example, two of the second"
    pool_id = airflow.xcom("batch_ephemeral_pool", runs["batch_ephemeral_pool"], "pool.work.use_pool")
    assert re.fullmatch(r"pool-[0-9a-f]{16}", pool_id)
    assert pool_id in made


@needs_airflow("3.3", "before, clearing the work leaves out what sets up and tears down")
def test_whoever_clears_the_work_clears_the_life_of_its_pool(airflow: Airflow, runs: Any):
    body = {
        "dry_run": True,
        "dag_run_id": runs["batch_ephemeral_pool"],
        "task_ids": ["pool.work.use_pool"],
        "only_failed": False,
    }
    answer = airflow._client.post("/api/v2/dags/batch_ephemeral_pool/clearTaskInstances", json=body).json()
    cleared = {item["task_id"] for item in answer["task_instances"]}
    assert cleared == {"pool.create", "pool.gate", "pool.work.use_pool", "pool.delete"}


@needs_airflow("3.3", "before, workers do not write it")
@pytest.mark.parametrize(
    ("task", "kind", "outcome"),
    [
        ("quota", "create", "failed"),
        ("resize", "resize", "failed"),
        ("going", "create", "done"),
        ("replace", "create", "done"),
        ("delete", "delete", "done"),
    ],
)
def test_what_was_waited_for_is_left_for_the_live_page(
    airflow: Airflow, runs: Any, task: str, kind: str, outcome: str
):
    found = read_snapshot(airflow.xcom(POOLS, runs[POOLS], task, XCOM_KEY))
    assert found is not None
    assert (found.kind, found.mode, found.outcome) == (kind, "deferrable", outcome)
    assert found.started is not None
    assert found.deadline is not None
    assert found.history
    assert found.next_look is None
