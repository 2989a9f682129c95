"""Gates that wait hold no worker; those that start in the triggerer never have one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.documents.pool import read_management
from tests.distributed.pool_document import document

if TYPE_CHECKING:
    from tests.distributed.bed import Bed

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(600)]

POOL = "gates-only"
WORKERS = ("worker-1", "worker-2")


def tasks_running(bed: Bed, seconds: float) -> set[int]:
    """The processes that came with tasks on the workers within so many seconds."""
    idle = {worker: bed.processes_of(worker) for worker in WORKERS}
    seen: set[int] = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for worker in WORKERS:
            seen |= bed.processes_of(worker) - idle[worker]
        time.sleep(0.1)
    return seen


@pytest.fixture(scope="module")
def waiting(bed: Bed, service: Emulator) -> Iterator[str]:
    """The run of ten gates, when all of them wait."""
    hangs = {"pool": POOL, "extension": "agent", "outcome": "hang"}
    service.scenario = Scenario.load({"timings": {"allocation": 2}, "extensions": [hangs]})
    service.account.create_pool(POOL, read_management(document(1)))
    run_id = bed.wait_for("the DAG gates_only", lambda: bed.trigger("gates_only"), 120)
    bed.wait_for(
        "ten gates to wait", lambda: list(bed.states("gates_only", run_id).values()) == ["deferred"] * 10, 120
    )
    time.sleep(3)  # the processes that deferred themselves end
    yield run_id
    service.account.delete_pool(POOL)


def test_no_worker_is_busy_while_gates_wait(bed: Bed, waiting: str):
    assert tasks_running(bed, 12) == set()
    assert set(bed.states("gates_only", waiting).values()) == {"deferred"}


def test_a_task_that_works_is_seen(bed: Bed, waiting: str):
    """The same look, while a task runs: so it can fail."""
    run_id = bed.trigger("busy")
    assert tasks_running(bed, 8)
    bed.wait_for("the task to end", lambda: bed.states("busy", run_id) == {"sleep": "success"}, 60)


def test_gates_that_start_in_the_triggerer_have_no_process_of_a_worker(
    bed: Bed, waiting: str, service: Emulator
):
    service.account.set_extension(POOL, 0, "agent", outcome="succeed")
    bed.wait_for(
        "the gates to open",
        lambda: set(bed.states("gates_only", waiting).values()) == {"success"},
        120,
    )
    found = bed.get(f"dags/gates_only/dagRuns/{waiting}/taskInstances", limit=100)["task_instances"]
    without = {item["task_id"] for item in found if item["pid"] is None and not item["hostname"]}
    assert without == {f"triggerer-{number}" for number in range(5)}
