"""Work on a pool in real Airflow: once in each life, whatever happens to the task."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.documents.pool import read_management
from tests.airflow.dags.work_scenarios import POOL_ID
from tests.airflow.harness import Airflow, wait_until
from tests.airflow_names import airflow_is, needs_airflow
from tests.conftest import document

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

DAG_ID = "work_scenarios"
TASKS = [
    {"job": "*-fails_once-*", "task": "*-t1", "exit_code": 3},
    {"job": "*-skipped-*", "exit_code": 4},
    {"job": "*-no_retry-*", "exit_code": 5},
    {"job": "*-marked*", "exit_code": None},
    {"job": "*-terminated-*", "exit_code": None},
    {"job": "*-cleared-*", "task": "*-t1", "exit_code": None},
    {"job": "*-many_marked-*", "exit_code": None},
    {"job": "*-many_cleared-*", "task": "*-t1", "exit_code": None},
    {"job": "*-many-*", "task": "x-n00002-*-t1", "exit_code": 3},
    {"job": "*-ends_there-*", "after": 100, "stdout": "tick\n7\n", "output_every": 20},
    {"job": "*-succeeds-*", "after": 600, "stdout": "tick\n7\n", "output_every": 20},
    {"after": 60},
]
DONE = ("completed", None)


class Run:
    """A run of the DAG, and the account's books."""

    def __init__(self, airflow: Airflow, service: Emulator) -> None:
        self.airflow, self.service = airflow, service
        self.run_id = airflow.trigger(DAG_ID)

    def attempts(self, name: str, dag_id: str = DAG_ID) -> dict[str, tuple[str, Any]]:
        """The Batch tasks of an Airflow task: their states, and why they have failed."""
        return {
            task.id: (task.moments[-1][1], task.failure and task.failure.code)
            for job in self.service.account.jobs.all()
            if job.id.startswith(f"{dag_id}-{name}-")
            for task in job.tasks.values()
        }

    def states(self) -> dict[str, str]:
        return self.airflow.states(DAG_ID, self.run_id)

    def wait_for(self, name: str, count: int) -> None:
        def what() -> str:
            return f"{count} attempts of {name}: {self.attempts(name)}, {self.states()}"

        def there() -> bool:
            self.service.clock.advance(5)
            return len(self.attempts(name)) >= count

        wait_until(what, there)

    def wait_until_deferred(self, name: str) -> None:
        """Wait until its trigger runs: before that nobody is told what becomes of the task."""
        wait_until(f"{name} to be deferred", lambda: self.states()[name] == "deferred")
        began = f"logs/dag_id={DAG_ID}/run_id={self.run_id}/task_id={name}/*.trigger.*"
        wait_until(f"the trigger of {name}", lambda: any(self.airflow.home.glob(began)))

    def mark(self, name: str) -> None:
        """Mark a task as failed, as a user does in the web page."""
        path = f"/api/v2/dags/{DAG_ID}/dagRuns/{self.run_id}/taskInstances/{name}"
        send = self.airflow._client.patch
        wait_until(name, lambda: send(path, json={"new_state": "failed"}).status_code == 200)

    def clear(self, name: str) -> None:
        body = {"dry_run": False, "dag_run_id": self.run_id, "task_ids": [name], "only_failed": False}
        self.airflow.send("POST", f"dags/{DAG_ID}/clearTaskInstances", {**body, "reset_dag_runs": True})

    def succeed_and_clear(self, name: str) -> None:
        """Wait until a task has succeeded, and clear it then."""

        def done() -> bool:
            self.service.clock.advance(10)
            return self.states()[name] == "success"

        wait_until(f"the success of {name}", done)
        self.clear(name)

    def make_again(self) -> None:
        """Make a run, delete it once it is over, and make it again under its id."""
        body = {"dag_run_id": "r1", "logical_date": None, "conf": {}}
        for number in range(2):
            if number:
                self.airflow.send("DELETE", "dags/work_again/dagRuns/r1", None)
            self.airflow.send("POST", "dags/work_again/dagRuns", body)
            state = self.airflow.finish("work_again", "r1", meanwhile=lambda: self.service.clock.advance(10))
            assert state == "success", self.airflow.log("work_again", "r1", "again")


@contextmanager
def work(service: Emulator) -> Iterator[None]:
    service.scenario = Scenario.load({"tasks": TASKS})
    service.account.create_pool(POOL_ID, read_management(document(24)))
    service.clock.advance(300)
    try:
        yield
    finally:
        service.scenario = Scenario()
        service.account.delete_pool(POOL_ID, at_once=True)


@pytest.fixture(scope="module")
def run(airflow: Airflow, service: Emulator) -> Iterator[Run]:
    """The run, after everything has happened to it."""
    with work(service):
        found = Run(airflow, service)
        for name, count in {"marked": 1, "cleared": 1, "many_marked": 4, "many_cleared": 4}.items():
            found.wait_for(name, count)
            found.wait_until_deferred(name)
        for name in ("marked_in_worker", "terminated"):
            found.wait_for(name, 1)
        for name in ("marked", "marked_in_worker", "many_marked"):
            found.mark(name)
        for name in ("cleared", "many_cleared"):
            found.clear(name)
        found.succeed_and_clear("cleared_later")
        airflow.finish(DAG_ID, found.run_id, meanwhile=lambda: service.clock.advance(10))
        found.make_again()
        ended = ["marked_in_worker", "terminated"]
        if airflow_is("3.3"):
            ended += ["marked", "many_marked"]

        def left() -> dict[str, Any]:
            return {name: found.attempts(name) for name in ended}

        wait_until(
            lambda: f"what was ended to end: {left()}",
            lambda: all(_is_over(each) for each in left().values()),
        )
        yield found


def _is_over(attempts: dict[str, tuple[str, Any]]) -> bool:
    return all(state == "completed" for state, _ in attempts.values())


def test_the_states_are_those_of_the_work(run: Run):
    states = run.states()
    assert {name: states[name] for name in states if name != "mapped"} == {
        "succeeds": "success",
        "ends_there": "success",
        "fails_once": "success",
        "skipped": "skipped",
        "no_retry": "failed",
        "cleared": "success",
        "cleared_later": "success",
        "many_cleared": "success",
        "many_marked": "failed",
        "terminated": "failed",
        "marked": "failed",
        "marked_in_worker": "failed",
        "lost": "success",
        "many": "success",
    }


def test_a_failure_is_tried_again_and_one_that_is_final_is_not(run: Run):
    assert list(run.attempts("fails_once").values()) == [
        ("completed", "FailureExitCode"),
        ("completed", None),
    ]
    assert list(run.attempts("no_retry").values()) == [("completed", "FailureExitCode")]
    assert run.airflow.xcom(DAG_ID, run.run_id, "no_retry", "batch_task")["exit_code"] == 5


def test_who_loses_its_worker_runs_once(run: Run):
    assert list(run.attempts("lost").values()) == [("completed", None)]
    # It may have ended before the next try looks.
    assert re.search("(running|done) already in job", run.airflow.log(DAG_ID, run.run_id, "lost"))


@needs_airflow("3.3", "before, triggers are not told of the end of their task")
def test_a_deferred_task_that_is_marked_as_failed_takes_its_work_with_it(run: Run):
    assert list(run.attempts("marked").values()) == [("completed", "TaskEnded")]


def test_so_does_one_in_its_worker(run: Run):
    assert list(run.attempts("marked_in_worker").values()) == [("completed", "TaskEnded")]


def test_of_a_task_that_is_cleared_while_it_waits_the_old_work_is_ended(run: Run):
    assert list(run.attempts("cleared").values()) == [("completed", "TaskEnded"), ("completed", None)]


def test_one_that_is_told_to_end_in_its_worker_ends_its_work_and_has_no_success(run: Run):
    """Airflow lets a task go on after it was told so."""
    assert list(run.attempts("terminated").values()) == [("completed", "TaskEnded")]


@needs_airflow("3.3", "before, triggers are not told of the end of their task")
def test_many_that_wait_are_ended_with_their_task(run: Run):
    assert list(run.attempts("many_marked").values()) == [("completed", "TaskEnded")] * 4


def test_of_many_that_wait_the_old_ones_are_ended_when_it_is_cleared(run: Run):
    attempts = run.attempts("many_cleared")
    assert sorted(outcome for name, outcome in attempts.items() if name.endswith("-t2")) == [DONE] * 4
    old = {outcome for name, outcome in attempts.items() if name.endswith("-t1")}
    assert old == {("completed", "TaskEnded")}


def test_a_success_that_is_cleared_runs_again(run: Run):
    assert list(run.attempts("cleared_later").values()) == [DONE, DONE]


def test_a_run_that_is_made_again_under_its_id_runs_its_work_again(run: Run):
    attempts = run.attempts("again", "work_again")
    assert list(attempts.values()) == [DONE, DONE]
    assert all(name.endswith("-t1") for name in attempts)


@needs_airflow("3.3", "before, triggers are not told of the end of their task")
def test_nothing_of_it_goes_on(run: Run):
    def going_on() -> list[str]:
        run.service.clock.advance(60)
        jobs = [job for job in run.service.account.jobs.all() if job.pool == POOL_ID]
        return [job.id for job in jobs if job.goal != "completed"]

    wait_until(lambda: f"all jobs to end: {going_on()}", lambda: not going_on())


def test_mapped_tasks_run_once_each(run: Run):
    """In one job, unless the first has ended before the next is submitted: that is proved without Airflow."""
    attempts = run.attempts("mapped")
    assert sorted(name.partition("-")[0] for name in attempts) == [f"m{number:05d}" for number in range(5)]


def test_the_log_says_where_it_ran(run: Run):
    log = run.airflow.log(DAG_ID, run.run_id, "succeeds")
    (name,) = run.attempts("succeeds")
    assert f"Batch task {name}: submitted to job {DAG_ID}-succeeds-" in log
    told = run.airflow.xcom(DAG_ID, run.run_id, "succeeds")
    assert (told["batch_task_id"], told["result"], told["seconds"]) == (name, "succeeded", 600)
    assert told["value"] == 7


def test_what_it_writes_is_in_the_log_while_it_runs_and_each_line_once(run: Run):
    log = run.airflow.log(DAG_ID, run.run_id, "succeeds")
    assert log.count("out| tick") == 31
    assert log.count("Output of its run on node") == 1
    before = log.partition(": succeeded")[0]
    assert before.count("out| tick") >= 1, "while it ran, from the triggerer"


def test_a_success_that_ends_in_the_triggerer_starts_no_second_worker_and_tells_as_much(run: Run):
    log = run.airflow.log(DAG_ID, run.run_id, "ends_there")
    told = run.airflow.xcom(DAG_ID, run.run_id, "ends_there")
    other = run.airflow.xcom(DAG_ID, run.run_id, "succeeds")
    assert (told["result"], told["seconds"], set(told)) == ("succeeded", 100, set(other) - {"value"})
    assert (log.count("out| tick"), log.count("out| 7")) == (6, 6)
    by_worker = run.airflow.log(DAG_ID, run.run_id, "succeeds")
    began = "DAG bundles loaded"
    assert (log.count(began), by_worker.count(began)) == (1, 2)


def test_of_many_in_one_a_retry_runs_those_alone_that_failed(run: Run):
    names = [name.partition("-")[2].partition("-")[0] + name[-3:] for name in run.attempts("many")]
    assert sorted(names) == ["n00000-t1", "n00001-t1", "n00002-t1", "n00002-t2", "n00003-t1"]
    told = run.airflow.xcom(DAG_ID, run.run_id, "many")
    assert (told["tasks"], told["succeeded"]) == (4, 4)
