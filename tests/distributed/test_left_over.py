"""However a run ends, no pool of it is left that ``batchext orphans`` does not name, and then none at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from airflow_batchext.emulator import Emulator, Scenario
from tests.distributed.environment import AIRFLOW
from tests.distributed.test_ended_runs import delete

if TYPE_CHECKING:
    from tests.distributed.bed import Bed

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]

#: How many runs end in each way: 50 in all.
HOW_MANY = {
    "late": 8,
    "success": 8,
    "failure": 6,
    "fast": 5,
    "killed": 6,
    "cleared": 5,
    "failed": 6,
    "deleted": 6,
}
WAITING = ("late", "cleared", "failed", "deleted")
SCENARIO = {
    "timings": {"creating": 1, "starting": 1, "deletion": 4, "leaving": 3},
    "pools": [
        {"pool": "left-killed-*", "steady_after": 30},
        {"pool": "left-*", "steady_after": 1},
    ],
    "extensions": [
        *({"pool": f"left-{how}-*", "extension": "agent", "outcome": "hang"} for how in WAITING),
        {"pool": "left-fast-*", "extension": "agent", "outcome": "fail"},
    ],
}
RUNS = [f"{how}-{number}" for how, count in HOW_MANY.items() for number in range(count)]


def dag_of(run_id: str) -> str:
    how = run_id.partition("-")[0]
    return {"late": "left_over_late", "fast": "left_over_fast"}.get(how, "left_over")


def path(run_id: str) -> str:
    return f"/api/v2/dags/{dag_of(run_id)}/dagRuns/{run_id}"


def alive(service: Emulator) -> set[str]:
    """The pools that nobody has asked to delete."""
    return {pool.name for pool in service.account.pools() if pool.deleted is None and "left-" in pool.name}


def orphans(bed: Bed, *options: str) -> tuple[int, dict[str, Any]]:
    program = (str(AIRFLOW.parent / "python"), "-m", "airflow_batchext.cli.main")
    command = [*program, "orphans", "--json", *options]
    ended = subprocess.run(command, env=os.environ | bed.environment, capture_output=True, text=True)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


def names(found: list[dict[str, Any]]) -> set[str]:
    return {each["pool_id"] for each in found if each["pool_id"].startswith("left-")}


def clear(bed: Bed, run_id: str) -> bool:
    what = {"dry_run": False, "only_failed": False}
    return bed.client.post(f"{path(run_id)}/clear", json=what).status_code == 200


def fail(bed: Bed, run_id: str) -> bool:
    return bed.client.patch(path(run_id), json={"state": "failed"}).status_code == 200


@pytest.fixture(scope="module")
def ended(bed: Bed, service: Emulator) -> dict[str, Any]:
    """All the runs have ended, each in its way; what was said while they went on."""
    service.scenario = Scenario.load(SCENARIO)
    for run_id in RUNS:
        bed.wait_for(f"{run_id} to begin", lambda run_id=run_id: bed.begin(dag_of(run_id), run_id), 120)
    waits = [run_id for run_id in RUNS if run_id.startswith(WAITING[1:])]

    def wait() -> bool:
        return all(bed.states(dag_of(run_id), run_id).get("pool.gate") == "deferred" for run_id in waits)

    bed.wait_for("the gates to wait", wait, 600)
    for component in ("worker-1", "triggerer-1"):
        bed.knock_down(component, signal.SIGKILL)
    _, told = orphans(bed)
    time.sleep(3)
    for component in ("worker-1", "triggerer-1"):
        bed.bring_back(component)
    for run_id in waits:
        if run_id.startswith("cleared"):
            bed.wait_for(f"{run_id} to be cleared", partial(clear, bed, run_id), 60)
    for run_id in waits:
        end = (
            partial(delete, bed, path(run_id)) if run_id.startswith("deleted") else partial(fail, bed, run_id)
        )
        bed.wait_for(f"{run_id} to be ended", end, 60)
    left = [run_id for run_id in RUNS if not run_id.startswith("deleted")]

    def over() -> bool:
        return all(bed.client.get(path(run_id)).json()["state"] in ("success", "failed") for run_id in left)

    bed.wait_for("all runs to end", over, 900)
    return told


def test_no_pool_is_left_that_is_not_named_and_then_none(ended: Any, bed: Bed, service: Emulator):
    assert not {name for name in names(ended["orphans"]) if name.startswith(("left-failed", "left-cleared"))}
    # What a killed process had in hand may still be on its way.
    bed.wait_for("the teardowns", lambda: alive(service) <= names(orphans(bed)[1]["orphans"]), 120)
    status, told = orphans(bed)
    found = alive(service)
    print(f"\nleft of {len(RUNS)} runs: {sorted(found)}")
    assert names(told["orphans"]) == found
    assert status == (1 if found else 0)
    assert any(name.startswith("left-late-") for name in found), "Airflow skips the teardown of these"
    assert any(name.startswith("left-deleted-") for name in found), "these took their teardown along"
    status, told = orphans(bed, "--delete")
    assert status == 0, told
    assert alive(service) == set()
