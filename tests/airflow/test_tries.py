"""How Airflow counts the tries of a task, on which the ids of Batch tasks rest (``rules/work_ids.py``)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.harness import Airflow, wait_until

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
LOST = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "3",
}


class Tries:
    """The DAG ``tries``, and what its tasks have noted."""

    def __init__(self, airflow: Airflow) -> None:
        self.airflow, self.file = airflow, airflow.home / "tries"

    def notes(self, task: str) -> list[dict[str, Any]]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [note for note in map(json.loads, lines) if note["task"] == task]

    def counts(self, task: str) -> list[tuple[int, int]]:
        return [(note["try"], note["max_tries"]) for note in self.notes(task)]

    def wait_for(self, task: str, count: int) -> None:
        wait_until(
            lambda: f"{count} tries of {task}: {self.counts(task)}", lambda: len(self.notes(task)) >= count
        )

    def make_run(self) -> None:
        body = {"dag_run_id": "r1", "logical_date": None, "conf": {}}

        def try_it() -> bool:
            answer = self.airflow._client.post("/api/v2/dags/tries/dagRuns", json=body)
            return bool(answer.status_code == 200)

        wait_until("the run", try_it)

    def end_run(self) -> None:
        self.airflow.send("PATCH", "dags/tries/dagRuns/r1", {"state": "failed"})

    def clear(self, task: str) -> None:
        body = {"dry_run": False, "dag_run_id": "r1", "task_ids": [task], "only_failed": False}
        self.airflow.send("POST", "dags/tries/clearTaskInstances", {**body, "reset_dag_runs": True})


@pytest.fixture(scope="module")
def tries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tries]:
    """The DAG after everything has happened to it that makes a new try."""
    home = tmp_path_factory.mktemp("tries-home")
    (home / "dags").mkdir()
    shutil.copy(HERE / "dags" / "tries.py", home / "dags")
    airflow = Airflow(home, home / "dags", {})
    airflow.environment |= {"TRIES": str(home / "tries"), **LOST}
    found = Tries(airflow)
    try:
        airflow.start()
        found.make_run()
        for task, count in {
            "fails": 3,
            "killed": 2,
            "once": 1,
            "succeeds": 1,
            "running": 1,
            "deferred": 1,
        }.items():
            found.wait_for(task, count)
        states = airflow.states
        wait_until("the task to be deferred", lambda: states("tries", "r1")["deferred"] == "deferred")
        wait_until("the tasks to end", lambda: states("tries", "r1")["fails"] == "failed")
        for task, count in {"deferred": 2, "running": 2, "fails": 6, "succeeds": 2, "once": 2}.items():
            found.clear(task)
            found.wait_for(task, count)
        found.wait_for("lost", 2)
        found.end_run()
        found.clear("succeeds")
        found.wait_for("succeeds", 3)
        found.end_run()
        assert airflow._client.delete("/api/v2/dags/tries/dagRuns/r1").status_code == 204
        found.make_run()
        found.wait_for("succeeds", 4)
        yield found
    finally:
        airflow.stop()


def test_automatic_tries_leave_max_tries_as_it_is(tries: Tries):
    assert tries.counts("fails")[:3] == [(1, 2), (2, 2), (3, 2)]
    assert tries.counts("mapped").count((2, 1)) >= 2


@pytest.mark.parametrize("task", ["killed", "lost"])
def test_so_does_the_loss_of_a_process_or_of_a_worker(tries: Tries, task: str):
    assert tries.counts(task)[:2] == [(1, 2), (2, 2)]


def test_a_clear_makes_it_the_number_of_tries_so_far_and_the_retries(tries: Tries):
    assert tries.counts("fails")[3:6] == [(4, 5), (5, 5), (6, 5)]
    assert tries.counts("succeeds")[1] == (2, 3)
    assert tries.counts("once")[:2] == [(1, 0), (2, 1)]


@pytest.mark.parametrize("task", ["deferred", "running"])
def test_also_of_a_task_that_has_not_ended(tries: Tries, task: str):
    assert tries.counts(task)[:2] == [(1, 2), (2, 3)]


def test_a_run_starts_anew_when_it_is_cleared_after_its_end_or_made_again(tries: Tries):
    notes = tries.notes("succeeds")
    assert len({note["run_started"] for note in notes[:2]}) == 1
    assert len({note["run_started"] for note in notes[1:4]}) == 3
    assert (notes[3]["try"], notes[3]["max_tries"]) == (1, 2)
