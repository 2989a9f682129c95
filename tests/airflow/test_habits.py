"""What DAG authors are used to write works, by ``dag.test()`` of a real Airflow, all in one process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_batchext.cli.demo.airflow_home import (
    airflow_environment,
    clean_environment,
    connection_variables,
)
from airflow_batchext.emulator import Emulator, Scenario

#: All work of the second expansion of a mapped task group fails.
TASKS = [{"task": "*-m00001-*", "exit_code": 3}, {"after": 1}]

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """How each task ended and what it returned, by DAG; and the requests that made pools."""
    home = tmp_path_factory.mktemp("habits")
    dags = home / "dags"
    dags.mkdir()
    root = Path(__file__).parents[2]
    with Emulator(time_scale=500, scenario=Scenario.load({"tasks": TASKS})) as service:
        environment = {
            **clean_environment(),
            **airflow_environment(home, dags),
            **connection_variables(service.info),
            "PYTHONPATH": str(root),
            "AIRFLOW__BATCHEXT__POLL_INTERVAL": "0.2",
        }
        # As one runs a DAG file of one's own.
        command = [
            sys.executable,
            shutil.copy(Path(__file__).with_name("habits.py"), dags),
            home / "told.json",
        ]
        ended = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
        made = [r.path.split("/pools/")[1].split("?")[0] for r in service.requests if r.method == "PUT"]
        kept = {pool.name: pool.definition.properties for pool in service.account.pools()}
        service.clock.advance(60)
        jobs = {job.id: job.moments[-1][1] for job in service.account.jobs.all()}
    return {"made": made, "kept": kept, "jobs of Azure": jobs, **json.loads((home / "told.json").read_text())}


def used(tasks: dict[str, Any]) -> list[str]:
    assert {state for state, _ in tasks.values()} == {"success"}, tasks
    return [returned for name, (_, returned) in tasks.items() if ".use[" in name or name.startswith("use")]


@pytest.mark.parametrize("dag_id", ["collide", "mapped"])
def test_each_pool_is_another_one(told: Any, dag_id: str):
    pools = used(told[dag_id])
    assert len(set(pools)) == 2
    assert sorted(pool for pool in told["made"] if pool in pools) == sorted(pools), "each was made, once"
    assert not told["kept"].keys() & set(pools), "and deleted"


def test_texts_are_sent_as_they_are_in_a_native_dag(told: Any):
    # The task that uses it is Airflow's own, and makes a number of it.
    assert list(map(str, used(told["native"]))) == ["20260001"]
    made = told["kept"]["20260001"]
    assert made["metadata"] == [{"name": "version", "value": "1.10"}, {"name": "off", "value": "None"}]
    extension = made["deploymentConfiguration"]["virtualMachineConfiguration"]["extensions"][0]
    assert extension["typeHandlerVersion"] == "1.10"
    assert extension["settings"] == {"v": "1.10", "off": "None", "n": 4}


def test_the_operator_asks_airflow_which_runs_go_on(told: Any):
    state, result = told["orphans"]["clean[-1]"]
    assert (state, result["orphans"]) == ("success", [])
    assert [(each["pool_id"], each["verdict"]) for each in result["others"]] == [("of-this-run", "used")]


def test_each_expansion_has_a_job_of_its_own_that_ends_also_where_its_work_fails(told: Any):
    states = {name.removeprefix("work.job."): state for name, (state, _) in told["jobs"].items()}
    names = [f"work.{name}[{number}]" for number in (0, 1) for name in ("first", "second")]
    assert [states[name] for name in names] == ["success", "success", "failed", "upstream_failed"]
    made = [told["jobs"][f"work.job.create[{number}]"][1]["job_id"] for number in (0, 1)]
    assert [told["jobs"][f"work.job.end[{number}]"] for number in (0, 1)] == [
        ["success", {"job_ids": [job_id]}] for job_id in made
    ]
    assert told["jobs of Azure"] == dict.fromkeys(made, "completed")
    assert told["jobs"]["work.job.work.second[0]"][1]["job_id"] == made[0]
