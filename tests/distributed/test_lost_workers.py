"""A worker is killed when the request that makes a pool has been answered and nothing is noted yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_batchext.emulator import Emulator, Scenario

if TYPE_CHECKING:
    from tests.distributed.bed import Bed

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def results(bed: Bed, service: Emulator) -> dict[str, Any]:
    """What the tasks that create the pools return in the end."""
    service.scenario = Scenario.load({"timings": {"deletion": 6, "leaving": 4}})
    service.requests.clear()
    bed.revived.clear()
    run_id = bed.wait_for("the DAG lost", lambda: bed.trigger("lost"), 120)
    path = f"dags/lost/dagRuns/{run_id}"
    state = bed.wait_for("the run to end", lambda: {"success", "failed"} & {bed.get(path)["state"]}, 400)
    assert state == {"success"}
    return {name: bed.xcom("lost", run_id, f"{name}.create") for name in ("task", "worker")}


@pytest.mark.parametrize("who", ["task", "worker"])
def test_the_retry_takes_the_pool_that_the_lost_try_has_made(
    results: dict[str, Any], service: Emulator, who: str
):
    assert (results[who]["action"], results[who]["differences"]) == ("adopted", [])
    puts = [r.status for r in service.requests if r.method == "PUT" and f"/lost-{who}?" in r.path]
    assert puts == [200]


def test_the_worker_was_lost_indeed(results: dict[str, Any], bed: Bed):
    assert bed.revived["worker"] == 1


def test_the_pools_are_gone_in_the_end(results: dict[str, Any], service: Emulator):
    assert [pool.name for pool in service.account.pools() if pool.name.startswith("lost-")] == []
