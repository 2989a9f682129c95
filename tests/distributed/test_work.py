"""Three hundred mapped tasks on a pool, really run, while all that runs Airflow is killed now and then.

The tasks themselves note each of their starts. What Airflow loses in such a run it tries again; none of that
may start a task anew that runs or has succeeded, and nothing may be called a success that was none.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.documents.pool import read_management
from tests.distributed.chaos import HOW_OFTEN, Chaos, blows
from tests.distributed.dags.work import FAILS_EVERY, TASKS
from tests.distributed.pool_document import document
from tests.distributed.test_kills import ended

if TYPE_CHECKING:
    from tests.distributed.bed import Bed
    from tests.distributed.figures import Figures

PATIENCE = 2400
pytestmark = [
    pytest.mark.distributed,
    pytest.mark.timeout(PATIENCE + 300),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux runs tasks"),
]

DAG_ID, POOL_ID = "work", "work"
SEED = 1
_RARE = {"count": 1_000_000, "start": 0, "until": 100_000, "plane": "data"}
#: What the wire does meanwhile, by the wall clock.
FAULTS: list[dict[str, Any]] = [
    {"plane": "data", "action": "throttle", "retry_after": 3, "probability": 0.7, "count": 1_000_000}
    | {"start": 15, "until": 21, "every": 40},
    {**_RARE, "action": "error", "status": 503, "probability": 0.03},
    {**_RARE, "action": "drop", "probability": 0.03},
    {**_RARE, "method": "POST", "path": "/jobs*", "action": "drop", "performed": True, "probability": 0.1},
    {**_RARE, "method": "POST", "path": "/jobs*", "action": "error", "status": 500, "performed": True}
    | {"probability": 0.05},
]


@dataclass
class Run:
    """The run, when it is over."""

    states: dict[int, str]
    #: The tries of each that were lost or have failed.
    tries: dict[int, int]
    told: dict[int, dict[str, Any]]
    starts: Counter[int]
    ends: Counter[int]
    service: Emulator

    def batch_tasks(self) -> list[Any]:
        return [task for job in self.service.account.jobs.all() for task in job.tasks.values()]


@pytest.fixture(scope="module")
def run(bed: Bed, working: Emulator, working_folder: Path, figures: Figures) -> Iterator[Run]:
    """The run, played to its end."""
    working.account.create_pool(POOL_ID, read_management(document(8)))
    bed.revived.clear()
    bed.wait_for("the DAG", lambda: bed.get(f"dags/{DAG_ID}"), 120)
    working.faults.add(*Scenario.load({"faults": FAULTS}).faults)
    working.requests.clear()
    began = time.monotonic()
    bed.wait_for("a run", lambda: bed.begin(DAG_ID, "only"), 120)

    def progress() -> float:
        jobs = working.account.jobs.all()
        return sum(task.is_completed for job in jobs for task in job.tasks.values()) / TASKS

    with Chaos(bed, blows(SEED), progress) as chaos:
        bed.wait_for("the run to end", lambda: chaos.works() and ended(bed, DAG_ID), PATIENCE)
        seconds = time.monotonic() - began
    working.faults.clear()
    statuses = Counter(request.status for request in working.requests)
    bed.wait_for("Airflow to be healthy again", bed._healthy, 120)
    rows = bed.postgres.query(
        f"select map_index, state, try_number from task_instance where dag_id = '{DAG_ID}'"
    )
    states = {int(index): state for index, state, _ in rows}
    tries = {int(index): int(number) - 1 for index, _, number in rows}
    told = {index: xcom(bed, index) for index, state in states.items() if state == "success"}
    notes = (working_folder / "notes").read_text()
    counted = {
        word: Counter(map(int, re.findall(rf"^{word} (\d+) ", notes, re.MULTILINE)))
        for word in ("start", "end")
    }
    figures.add_work(
        {
            "mapped tasks": TASKS,
            "succeeded": sum(state == "success" for state in states.values()),
            "failed at first, and started twice": sum(count == 2 for count in counted["start"].values()),
            "started oftener than that": sum(
                count > 1 + (index % FAILS_EVERY == 0) for index, count in counted["start"].items()
            ),
            **{f"{what} down": chaos.dealt[what] for what in HOW_OFTEN},
            "ended by themselves": sum(bed.revived.values()),
            "tries of Airflow beyond the first": sum(tries.values()),
            "requests": len(working.requests),
            "throttled": statuses[429],
            "errors": sum(count for status, count in statuses.items() if status >= 500),
            "cut": statuses[0],
            "seconds": round(seconds),
        }
    )
    yield Run(states, tries, told, counted["start"], counted["end"], working)
    working.account.delete_pool(POOL_ID, at_once=True)


def xcom(bed: Bed, index: int) -> dict[str, Any]:
    path = f"dags/{DAG_ID}/dagRuns/only/taskInstances/frame/xcomEntries/return_value"
    value: dict[str, Any] = bed.get(path, map_index=index, deserialize=True)["value"]
    return value


def test_every_one_succeeds(run: Run):
    assert Counter(run.states.values()) == {"success": TASKS}


def test_none_runs_twice_but_those_that_failed(run: Run):
    assert run.starts == Counter({index: 1 + (index % FAILS_EVERY == 0) for index in range(TASKS)})
    assert run.ends == Counter(dict.fromkeys(range(TASKS), 1)), "and each of them came to its end once"


def test_no_success_is_false(run: Run):
    tasks = {task.id: task for task in run.batch_tasks()}
    for index, told in run.told.items():
        task = tasks[told["batch_task_id"]]
        assert task.id.startswith(f"m{index:05d}-")
        assert (task.is_completed, task.failure, task.exit_code) == (True, None, 0)
        assert (told["exit_code"], told["value"]) == (0, f"frame {index}")


def test_nothing_of_it_is_left(run: Run, bed: Bed):
    assert [task.id for task in run.batch_tasks() if not task.is_completed] == []
    bed.wait_for(
        "the jobs to end", lambda: all(job.goal == "completed" for job in run.service.account.jobs.all()), 90
    )
    bed.wait_for(
        "the triggers to be gone", lambda: bed.postgres.query("select count(*) from trigger") == [["0"]], 90
    )
    before = len(run.service.requests)
    time.sleep(12)  # more than two intervals
    assert [request.path for request in list(run.service.requests)[before:]] == []
