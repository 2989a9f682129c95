"""``batchext status``: what runs on the pool."""

from __future__ import annotations

import json

import pytest

from airflow_batchext.cli.main import main
from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.health import from_json
from airflow_batchext.hooks._drivers.pool_work import MOST_JOBS
from airflow_batchext.hooks.job import AzureBatchJobHook
from tests.permissions.stories import LOOK_UP, READ
from tests.permissions.test_least_privilege import allow

pytestmark = pytest.mark.usefixtures("signed_in")


@pytest.fixture
def status(azure, capsys):
    def run(*arguments):
        capsys.readouterr()
        ended = main(["status", azure.pool_id, *arguments])
        return ended, capsys.readouterr().out

    return run


def jobs(azure, *names, tasks=0, pool_id=""):
    with AzureBatchJobHook() as hook:
        for name in names:
            hook.create_job(name, {"poolInfo": {"poolId": pool_id or azure.pool_id}})
            for number in range(tasks):
                hook.create_task(name, f"t{number}", {"commandLine": "/bin/true"})


def told(out):
    """The job lines of the table, cell by cell."""
    rows = [
        [cell.strip() for cell in line.strip("│┃ ").split("│")] for line in out.splitlines() if "│" in line
    ]
    return {row[0]: row[1:] for row in rows if len(row) == 6}


def test_each_open_job_is_shown_with_its_tasks(azure, status):
    azure.emulator.scenario = Scenario.load(
        {
            "tasks": [
                {"task": "t0", "after": 1},
                {"task": "t1", "after": 1, "exit_code": 3},
                {"exit_code": None},
            ]
        }
    )
    azure.create(nodes=1)
    jobs(azure, "render", tasks=5)
    jobs(azure, "idle", "ended")
    jobs(azure, "elsewhere", pool_id="another")
    azure.emulator.account.jobs.terminate("ended")
    azure.pass_time(600)
    ended, out = status()
    assert ended == 0, "what runs on it is not what it is asked for"
    assert told(out) == {"render": ["active", "2", "1", "1", "1"], "idle": ["active", "0", "0", "0", "0"]}


def test_where_there_is_none_it_says_so(azure, status):
    azure.create(nodes=1)
    assert "no job on it that has not ended" in status()[1]


def test_json_has_it_beside_the_snapshot(azure, status):
    azure.create(nodes=1)
    jobs(azure, "render")
    _, out = status("--json")
    work = json.loads(out)["work"]
    (job,) = work["jobs"]
    assert (job["id"], job["state"], job["running"], work["more"], work["problem"]) == (
        *("render", "active", 0),
        *(0, ""),
    )
    assert from_json(json.loads(out)).id == azure.pool_id


def test_of_very_many_jobs_few_are_counted_the_newest(azure, status):
    azure.create(nodes=1)
    names = [f"j{number:02}" for number in range(MOST_JOBS + 5)]
    for name in names:
        jobs(azure, name)
        azure.pass_time(1)
    azure.emulator.requests.clear()
    _, out = status()
    assert sorted(told(out)) == names[5:]
    assert "and 5 more jobs" in out
    assert len([r for r in azure.emulator.requests if r.path.startswith("/jobs")]) == 1 + MOST_JOBS


def test_without_the_right_it_says_which_and_the_rest_goes_on(azure, status):
    azure.create(nodes=1)
    allow(azure, (LOOK_UP, READ))
    ended, out = status()
    assert ended == 0
    assert "✔ succeeded" in out
    assert "what runs on it could not all be read" in out
    assert "Microsoft.Batch/batchAccounts/jobs/read" in out.replace("\n", "")


@pytest.mark.parametrize("path", ["/jobs", "/jobs/render/taskcounts"])
@pytest.mark.parametrize("fault", ["error", "garble"])
def test_an_answer_that_cannot_be_had_hides_nothing_else(azure, status, path, fault):
    azure.create(nodes=1)
    jobs(azure, "render", "encode")
    more = {"status": 500} if fault == "error" else {}
    azure.emulator.faults.add(
        read_fault({"action": fault, "path": path, "method": "GET", "count": 99, **more})
    )
    ended, out = status()
    assert ended == 0
    assert "could not all be read" in out
    expected = {} if path == "/jobs" else {"render": ["active", *"????"], "encode": ["active", *"0000"]}
    assert told(out) == expected


def test_a_job_that_goes_meanwhile_is_no_problem(azure, status):
    azure.create(nodes=1)
    jobs(azure, "render")
    azure.emulator.faults.add(
        read_fault({"action": "error", "status": 404, "code": "JobNotFound", "path": "/jobs/*/taskcounts"})
    )
    _, out = status()
    assert told(out) == {"render": ["active", *"????"]}
    assert "could not" not in out


def test_hostile_names_stay_text(azure, status):
    azure.create(nodes=1)
    jobs(azure, "render")
    azure.emulator.faults.add(
        read_fault({"action": "edit", "at": "value/*/id", "value": "[red]\x1b[31mx\u202e", "path": "/jobs"})
    )
    _, out = status()
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[red]" in out


def test_watching_without_a_terminal_tells_it_in_a_line_whenever_it_has_changed(azure, status, monkeypatch):
    azure.emulator.scenario = Scenario.load(
        {"tasks": [{"task": "t0", "after": 60, "exit_code": 3}, {"exit_code": None}]}
    )
    azure.create(nodes=1)
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        match len(pauses):
            case 1:
                jobs(azure, "render", "other", tasks=2)
            case 3:
                azure.pass_time(600)
            case 5:
                refuse = {"action": "error", "path": "/jobs", "status": 403}
                azure.emulator.faults.add(read_fault(refuse))
            case 6:
                raise KeyboardInterrupt

    monkeypatch.setattr("airflow_batchext.cli.status.time.sleep", pause)
    _, out = status("--watch", "--extension", "one-that-is-not-there")
    without, waiting, some_run, refused = (line.partition("not list")[2] for line in out.splitlines())
    assert "job" not in without
    assert waiting.endswith("; 2 jobs on it, 4 waiting")
    assert some_run.endswith("; 2 jobs on it, 2 waiting, 1 running, 1 failed")
    assert "2 jobs" not in refused
    assert "what runs on it could not all be read: " in refused
