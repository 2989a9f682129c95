"""The quickstart as a DAG, in real Airflow: its job ends with it, and a clear makes another one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_batchext.emulator import Emulator, Scenario
from tests.airflow.harness import Airflow, play, wait_until
from tests.airflow_names import needs_airflow

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

DAG_ID, WORK = "batch_quickstart", "pool.work.job.work.print"
AROUND = {"pool.create", "pool.gate", "pool.delete", "pool.work.job.create", "pool.work.job.end"}


@pytest.fixture(scope="module")
def run_id(airflow: Airflow, service: Emulator) -> Iterator[str]:
    service.scenario = Scenario.load({"tasks": [{"after": 60, "stdout": "The text of a task\n"}]})
    found = airflow.trigger(DAG_ID)
    assert play(airflow, service, DAG_ID, found) == "success"
    yield found
    service.scenario = Scenario()


def jobs(service: Emulator) -> dict[str, str]:
    """The states of its jobs."""
    return {job.id: job.moments[-1][1] for job in service.account.jobs.all() if job.id.startswith("job-")}


def test_it_runs_to_its_end_with_its_output_in_the_log_and_leaves_nothing(
    airflow: Airflow, service: Emulator, run_id: str
):
    assert airflow.states(DAG_ID, run_id) == {**dict.fromkeys(AROUND, "success"), WORK: "success"}
    folder = airflow.home / "logs" / f"dag_id={DAG_ID}" / f"run_id={run_id}" / f"task_id={WORK}"
    for number in range(3):
        told = "\n".join(path.read_text() for path in (folder / f"map_index={number}").glob("*.log*"))
        assert told.count("out| The text of a task") == 1
    (job_id,) = jobs(service)
    assert job_id.endswith("-1")
    assert airflow.xcom(DAG_ID, run_id, "pool.work.job.create", "job_id") == job_id
    assert airflow.xcom(DAG_ID, run_id, "pool.work.job.end") == {"job_ids": [job_id]}
    service.clock.advance(60)
    assert jobs(service) == {job_id: "completed"}
    assert not [
        pool for pool in service.account.pools() if pool.name.startswith("pool-") and not pool.deleted
    ]


@needs_airflow("3.3", "before, clearing the work leaves out what sets up and tears down")
def test_a_clear_of_one_task_runs_it_in_the_next_job(airflow: Airflow, service: Emulator, run_id: str):
    body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [[WORK, 1]], "only_failed": False}
    airflow.send("POST", f"dags/{DAG_ID}/clearTaskInstances", {**body, "reset_dag_runs": True})
    wait_until(
        "the run to begin again", lambda: "success" not in airflow.states(DAG_ID, run_id)["pool.create"]
    )
    assert play(airflow, service, DAG_ID, run_id) == "success"
    service.clock.advance(60)
    second = max(jobs(service))
    assert (second[-2:], set(jobs(service).values())) == ("-2", {"completed"})
    (again,) = [job for job in service.account.jobs.all() if job.id == second]
    assert [task.split("-")[1] for task in again.tasks] == ["m00001"], "it alone"
