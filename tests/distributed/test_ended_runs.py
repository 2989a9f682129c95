"""Somebody clears, fails or deletes a DAG run while its tasks wait: who still asks, which pools are left?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from airflow_batchext.emulator import Emulator, Scenario
from tests.airflow.harness import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.distributed.bed import Bed

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(900)]

HOW = ("cleared", "failed", "deleted")
WAITS = {"create-on", "create-off", "gate-worker", "gate-triggerer", "life.gate"}
WINDOW_SECONDS = 16.0  # three intervals
SCENARIO = {
    "timings": {"creating": 1, "starting": 1, "deletion": 4, "leaving": 3},
    "pools": [
        *({"pool": f"ended-*-{flag}", "steady_after": 100_000} for flag in ("on", "off")),
        {"pool": "ended-*", "steady_after": 2},
    ],
    "extensions": [{"pool": "ended-*", "extension": "agent", "outcome": "hang"}],
}


def all_wait(bed: Bed, run_id: str) -> bool:
    states = bed.states("waiting", run_id)
    return all(states.get(task) == "deferred" for task in WAITS)


def asked(service: Emulator, how: str) -> int:
    """How many requests about the pools of a run come within the window."""
    before = len(service.requests)
    time.sleep(WINDOW_SECONDS)
    return sum(f"/ended-{how}-" in request.path for request in list(service.requests)[before:])


@pytest.fixture(scope="module")
def asked_before(bed: Bed, service: Emulator) -> Iterator[int]:
    """Start three runs, let them wait, and end each in its way; how often one of them asked before that."""
    service.scenario = Scenario.load(SCENARIO)
    service.requests.clear()
    for how in HOW:
        bed.wait_for(f"a run to be {how}", lambda how=how: bed.begin("waiting", f"ended-{how}"), 120)
    bed.wait_for("all to wait", lambda: all(all_wait(bed, f"ended-{how}") for how in HOW), 240)
    before = asked(service, "cleared")
    runs = "/api/v2/dags/waiting/dagRuns"
    assert bed.client.patch(f"{runs}/ended-failed", json={"state": "failed"}).status_code == 200
    wait_until("the run to be deleted", lambda: delete(bed, f"{runs}/ended-deleted"), 30)
    what = {"dry_run": False, "only_failed": False}
    assert bed.client.post(f"{runs}/ended-cleared/clear", json=what).status_code == 200
    bed.wait_for("the cleared tasks to wait again", lambda: waits_anew(bed), 240)
    bed.wait_for("the failed run to end", lambda: teardown_is_done(bed), 120)
    bed.wait_for("the pools to be deleted", lambda: not {*left(service)} & {"failed-on", "deleted-on"}, 120)
    yield before
    assert bed.client.patch(f"{runs}/ended-cleared", json={"state": "failed"}).status_code == 200
    for pool in service.account.pools():
        if pool.deleted is None:
            service.account.delete_pool(pool.name)


def delete(bed: Bed, path: str) -> bool:
    """Delete a run; Airflow lets nobody delete one that is running, so it is made to queue first."""
    bed.client.patch(path, json={"state": "queued"})
    return bed.client.delete(path).status_code == 204


def waits_anew(bed: Bed) -> bool:
    found = bed.get("dags/waiting/dagRuns/ended-cleared/taskInstances", limit=100)["task_instances"]
    tries = {item["task_id"]: (item["state"], item["try_number"]) for item in found}
    return all(tries[task] == ("deferred", 2) for task in WAITS)


def teardown_is_done(bed: Bed) -> bool:
    return bed.states("waiting", "ended-failed")["life.delete"] == "success"


def left(service: Emulator) -> list[str]:
    """The pools that nobody has asked to delete: how their run was ended, and what they are for."""
    names = [pool.name for pool in service.account.pools() if pool.deleted is None]
    return [name.removeprefix("ended-") for name in names if name.startswith("ended-")]


@pytest.mark.parametrize("how", ["failed", "deleted"])
def test_nobody_asks_for_the_pools_of_a_run_that_was_ended(asked_before: int, service: Emulator, how: str):
    assert asked_before > 5, "while they waited they asked"
    assert asked(service, how) == 0


def test_who_clears_a_run_has_each_wait_once(asked_before: int, bed: Bed, service: Emulator):
    assert asked(service, "cleared") <= 1.5 * asked_before
    rows = bed.postgres.query(
        "select count(*), count(distinct t.id), (select count(*) from trigger) from task_instance i "
        "join trigger t on t.id = i.trigger_id where i.state = 'deferred'"
    )
    assert rows == [[str(len(WAITS))] * 3], "one trigger for each task that waits, and no other"


@pytest.mark.parametrize(
    ("how", "others"),
    [
        ("cleared", {"on", "off", "gates", "life"}),
        ("failed", {"off", "gates"}),
        # The run takes its teardown along.
        ("deleted", {"off", "gates", "life"}),
    ],
)
def test_only_those_pools_are_left_that_nobody_promised_to_delete(
    asked_before: int, service: Emulator, how: str, others: set[str]
):
    assert {name for name in left(service) if name.startswith(how)} == {f"{how}-{pool}" for pool in others}


def test_no_pool_is_made_twice(asked_before: int, service: Emulator):
    puts = [
        request.path.split("?")[0]
        for request in service.requests
        if request.method == "PUT" and request.status == 200
    ]
    assert len(puts) == len(set(puts)) == 4 * len(HOW)
