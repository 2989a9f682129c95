"""Preparation tasks that are really run: their exit code decides, and what ends them ends their processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_batchext.emulator import Emulator
from airflow_batchext.emulator.running import processes
from tests.emulator.running.test_runs import AT_ONCE, LATER, Account, family_of, lives, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux runs tasks")
STARTS = 'echo "$AZ_BATCH_TASK_ID" >>"$AZ_BATCH_NODE_SHARED_DIR/starts"'


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with Emulator(run_tasks=tmp_path / "tasks", scenario=AT_ONCE) as emulator:
        made = Account(emulator)
        made.begin()
        yield made


def make(account: Account, script: str, *tasks: str, release: bool = False, **members: Any) -> None:
    """A job that prepares its nodes by a script, with tasks."""
    document: dict[str, Any] = {"id": "k", "poolInfo": {"poolId": "p"}}
    document["jobPreparationTask"] = {"commandLine": f"/bin/sh -c '{script}'", **members}
    if release:
        document["jobReleaseTask"] = {"commandLine": "/bin/true"}
    account.client.create_job(document)  # type: ignore[arg-type]
    for task in tasks:
        body = {"id": task, "commandLine": f"/bin/sh -c '{STARTS}; ls $AZ_BATCH_JOB_PREP_WORKING_DIR'"}
        account.client.create_task("k", body)  # type: ignore[arg-type]


def told(account: Account) -> dict[str, Any]:
    listed = account.client.list_job_preparation_and_release_task_status("k")
    return {one.node_id: one for one in listed}


def results(account: Account) -> dict[str, Any]:
    infos = {node: one.job_preparation_task_execution_info for node, one in told(account).items()}
    return {node: (str(info.state.value), info.exit_code) for node, info in infos.items()}


def tasks(account: Account) -> list[Any]:
    return list(account.client.list_tasks("k"))


def test_its_exit_code_decides_which_node_gets_tasks(account: Account, tmp_path: Path) -> None:
    good, bad = (node.id for node in account.client.list_nodes("p"))
    script = f"{STARTS}; echo x >made; test $AZ_BATCH_NODE_ID = {good} || exit 7"
    make(account, script, *(f"t{number}" for number in range(10)), constraints={"maxTaskRetryCount": 1})
    until(lambda: {task.state for task in tasks(account)} == {"completed"})
    until(lambda: results(account).get(bad) == ("completed", 7))
    assert {task.node_info.node_id for task in tasks(account)} == {good}
    assert {task.execution_info.exit_code for task in tasks(account)} == {0}
    assert results(account)[good] == ("completed", 0)
    info = told(account)[bad].job_preparation_task_execution_info
    assert (info.retry_count, info.failure_info.code) == (1, "FailureExitCode")
    starts = (tmp_path / "tasks" / good / "shared" / "starts").read_text().split()
    assert starts[0] == "jobpreparation", "before any task of the job"
    assert sorted(starts[1:]) == [f"t{number}" for number in range(10)], "once"
    assert (tmp_path / "tasks" / bad / "shared" / "starts").read_text().split() == ["jobpreparation"] * 2
    assert b"".join(account.client.download_task_file("k", "t0", "stdout.txt")) == b"made\n"


@pytest.mark.parametrize("how", ["end the job", "reboot", "limit", "stop"])
def test_whatever_ends_it_ends_its_processes(
    account: Account, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.2)
    script = 'echo $$ >"$AZ_BATCH_NODE_SHARED_DIR/pid"; sleep 600 & sleep 600; sleep 600'
    limits = {"constraints": {"maxWallClockTime": "PT2S"}} if how == "limit" else {}
    make(account, script, "t", **limits)
    until(lambda: [task.state for task in tasks(account)] == ["preparing"] or how == "limit")
    pids: list[int] = []

    def has_begun() -> bool:
        texts = [file.read_text() for file in (tmp_path / "tasks").glob("*/shared/pid")]
        pids[:] = [int(text) for text in texts if text.endswith("\n")]
        return bool(pids) and len(family_of(pids[0])) >= 3

    until(has_begun)
    family = family_of(pids[0])
    match how:
        case "end the job":
            account.client.begin_terminate_job("k", {"terminateReason": "x"}, **LATER)  # type: ignore[arg-type]
        case "reboot":
            account.client.begin_disable_job("k", {"disableTasks": "requeue"}, **LATER)  # type: ignore[arg-type]
            account.client.begin_reboot_node(
                "p",
                next(iter(told(account))),
                {"nodeRebootOption": "requeue"},  # type: ignore[arg-type]
                **LATER,
            )
        case "stop":
            account.emulator.stop()
    until(lambda: not any(lives(pid) for pid in family))


def test_what_is_not_emulated_fails_and_never_succeeds(account: Account) -> None:
    make(account, "exit 0", "t", userIdentity={"autoUser": {"elevationLevel": "admin", "scope": "pool"}})
    until(lambda: len(results(account)) == 2)
    assert set(results(account).values()) == {("completed", None)}
    for one in told(account).values():
        assert one.job_preparation_task_execution_info.failure_info.code == "NotEmulated"
    assert [task.state for task in tasks(account)] == ["active"]


def test_a_release_task_says_that_it_is_not_run(account: Account) -> None:
    make(account, "exit 0", "t", release=True)
    until(lambda: [task.state for task in tasks(account)] == ["completed"])
    account.client.begin_terminate_job("k", {"terminateReason": "x"}, **LATER)  # type: ignore[arg-type]
    (released,) = (one.job_release_task_execution_info for one in told(account).values())
    assert (released.result, released.failure_info.code) == ("failure", "NotEmulated")


def test_after_a_restart_nodes_are_prepared_again_whose_process_was_lost(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "run_tasks": tmp_path / "tasks",
        "state": tmp_path / "state.json",
        "scenario": AT_ONCE,
    }
    mark = tmp_path / "go"
    with Emulator(**options) as emulator:
        account = Account(emulator)
        account.begin()
        make(account, f"{STARTS}; test -e {mark} || sleep 600", "t")
        until(lambda: list((tmp_path / "tasks").glob("*/shared/starts")))
    mark.touch()
    with Emulator(**options) as emulator:
        account = Account(emulator)
        until(lambda: [task.state for task in tasks(account)] == ["completed"])
        assert [task.execution_info.requeue_count for task in tasks(account)] == [0]
