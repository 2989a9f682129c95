"""Tasks that are really run, through the real SDK: what they write, how they end, that nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.batch import BatchClient, models
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ResourceNotFoundError

from airflow_batchext.emulator import Emulator, Scenario, Timings
from airflow_batchext.emulator.running import processes, runs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux runs tasks")
# What takes time is the tasks alone.
AT_ONCE = Scenario(
    timings=Timings(allocation=0, settling=0, creating=0, starting=0, agent=0, reporting=0, start_task=0)
)
UBUNTU = models.VirtualMachineConfiguration(
    image_reference=models.BatchVmImageReference(
        publisher="canonical", offer="ubuntu-24_04-lts", sku="server"
    ),
    node_agent_sku_id="batch.node.ubuntu 24.04",
)
# The SDK's pollers wait in threads of their own, which nobody needs here.
LATER: dict[str, Any] = {"polling_interval": 3600}


class Account:
    """A running emulator with a pool of two nodes and a job, and what is asked of it."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        info = emulator.info
        self.client = BatchClient(info.http_endpoint, AzureNamedKeyCredential(info.account, info.key))

    def begin(self) -> None:
        pool = models.BatchPoolCreateOptions(
            id="p", vm_size="STANDARD_D2S_V3", target_dedicated_nodes=2, virtual_machine_configuration=UBUNTU
        )
        pool.task_slots_per_node = 4
        self.client.create_pool(pool)
        self.client.create_job(
            models.BatchJobCreateOptions(id="j", pool_info=models.BatchPoolInfo(pool_id="p"))
        )

    def run(self, task: str, command_line: str, **more: Any) -> None:
        self.client.create_task(
            "j", models.BatchTaskCreateOptions(id=task, command_line=command_line, **more)
        )

    def state(self, task: str) -> str:
        return str(self.client.get_task("j", task).state.value)

    def ended(self, task: str) -> Any:
        until(lambda: self.state(task) == "completed")
        return self.client.get_task("j", task).execution_info

    def text(self, task: str, name: str = "stdout.txt") -> str:
        return b"".join(self.client.download_task_file("j", task, name)).decode()


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def family_of(group: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[2]) == group:
                found.append(int(stat.parent.name))
    return found


def pid_in(account: Account, task: str, *, but: int = 0) -> int:
    """The number that a task has written; of another run than the one that wrote ``but``."""
    found: list[int] = []

    def is_told() -> bool:
        told = _said(account, task)
        found[:] = [int(told)] if told.endswith("\n") else []
        return bool(found) and found[0] != but

    until(is_told)
    return found[0]


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with Emulator(run_tasks=tmp_path / "tasks", scenario=AT_ONCE) as emulator:
        made = Account(emulator)
        made.begin()
        yield made


def test_what_a_command_writes_can_be_read_and_how_it_ended_is_told(account: Account):
    script = (
        'echo "$AZ_BATCH_TASK_ID in $AZ_BATCH_JOB_ID"; echo oh >&2; mkdir out; echo 1 >out/a.txt; pwd; exit 3'
    )
    account.run("t", f"/bin/sh -c '{script}'")
    ended = account.ended("t")
    assert ended.exit_code == 3
    assert ended.failure_info.code == "FailureExitCode"
    first, place = account.text("t").splitlines()
    assert first == "t in j"
    assert account.text("t", "stderr.txt") == "oh\n"
    assert account.text("t", "wd/out/a.txt") == "1\n"
    names = {file.name for file in account.client.list_task_files("j", "t", recursive=True)}
    assert names == {"stdout.txt", "stderr.txt", "wd", "wd/out", "wd/out/a.txt"}
    node = account.client.get_task("j", "t").node_info.node_id
    assert place.endswith(f"/tasks/{node}/workitems/j/job-1/t/wd")
    assert Path(place).stat().st_mode & 0o777 == 0o700
    account.run("well", "true")
    assert account.ended("well").exit_code == 0


def test_output_is_there_while_it_runs(account: Account):
    account.run("t", "/bin/sh -c 'echo $$; exec sleep 600'")
    pid = pid_in(account, "t")
    assert account.state("t") == "running"
    assert lives(pid)


def test_it_inherits_nothing_of_the_emulator(account: Account, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BATCHEXT_SECRET", "SENTINEL")
    check = "import os,sys,signal; print(sorted(os.environ)); print(os.listdir('/proc/self/fd')); "
    check += "print(signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGTERM)); "
    check += "print(repr(sys.stdin.read()), os.getsid(0) == os.getpid())"
    account.run("t", f'{sys.executable} -c "{check}"')
    assert account.ended("t").exit_code == 0
    variables, opened, signals, rest = account.text("t").splitlines()
    assert "SECRET" not in variables
    assert {name for name in eval(variables) if not name.startswith("AZ_BATCH_")} <= {
        "PATH",
        "HOME",
        "LANG",
        "LC_CTYPE",
    }
    assert len(eval(opened)) <= 4, "its three files, and the folder that it lists"
    assert signals == "set() 0"
    assert rest == "'' True"


def test_what_is_not_there_or_not_emulated_fails_and_never_succeeds(account: Account):
    account.run("none", "no-such-program --now")
    ended = account.ended("none")
    assert (ended.exit_code, ended.failure_info.code) == (None, "CommandProgramNotFound")
    account.run("image", "true", container_settings=models.BatchTaskContainerSettings(image_name="x"))
    ended = account.ended("image")
    assert (ended.exit_code, ended.failure_info.code) == (None, "NotEmulated")
    account.run("odd", "/etc/hostname")
    assert account.ended("odd").failure_info is not None


@pytest.mark.parametrize(
    ("script", "code"),
    [("kill -9 $$", 137), ("kill -15 $$", 143), ("head -c 70000000 /dev/zero >big; ls", 0)],
    ids=["killed", "terminated", "a file of 64 MiB at most"],
)
def test_signals_and_limits_end_as_a_shell_tells(account: Account, script: str, code: int):
    account.run("t", f"/bin/sh -c '{script}'")
    assert account.ended("t").exit_code == code
    if code == 0:
        (size,) = (
            file.properties.content_length
            for file in account.client.list_task_files("j", "t", recursive=True)
            if file.name == "wd/big"
        )
        assert size == processes.MOST_BYTES


# A command that has started others, some of them deaf, in its group.
FAMILY = """/bin/sh -c 'echo $$; trap "" TERM; (trap "" TERM; sleep 600)& sleep 600; sleep 600'"""


@pytest.mark.parametrize(
    "how", ["terminate", "delete", "end the job", "reboot", "lose the node", "limit", "stop"]
)
def test_whatever_ends_a_task_ends_its_processes(
    how: str, account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(processes, "GRACE", 0.2)
    limit = timedelta(seconds=2) if how == "limit" else None
    account.run("t", FAMILY, constraints=models.BatchTaskConstraints(max_wall_clock_time=limit))
    group = pid_in(account, "t")
    until(lambda: len(family_of(group)) >= 3)
    family = family_of(group)
    node = account.client.get_task("j", "t").node_info.node_id
    match how:
        case "terminate":
            account.client.terminate_task("j", "t")
        case "delete":
            account.client.delete_task("j", "t")
        case "end the job":
            account.client.begin_terminate_job("j", {"terminateReason": "enough"}, **LATER)  # type: ignore[arg-type]
        case "reboot":
            # The other node could take the task again.
            account.client.begin_disable_job(
                "j", models.BatchJobDisableOptions(disable_tasks="requeue"), **LATER
            )
            account.client.begin_reboot_node("p", node, {"nodeRebootOption": "requeue"}, **LATER)  # type: ignore[arg-type]
        case "lose the node":
            account.client.begin_disable_job(
                "j", models.BatchJobDisableOptions(disable_tasks="requeue"), **LATER
            )
            account.emulator.account.preempt_node("p", node)
        case "stop":
            account.emulator.stop()
    until(lambda: not any(lives(pid) for pid in family))
    if how == "limit":
        assert account.ended("t").failure_info is not None


def test_a_task_that_lost_its_node_runs_again_in_a_folder_of_its_own(account: Account):
    account.run("t", "/bin/sh -c 'ls; echo $AZ_BATCH_NODE_ID; exec sleep 600'")
    until(lambda: _said(account, "t").endswith("\n"))
    first = _said(account, "t").strip()
    account.emulator.account.preempt_node("p", first)
    until(lambda: _said(account, "t").endswith("\n") and _said(account, "t").strip() != first)
    assert len(_said(account, "t").split()) == 1, "nothing of the first run is in its folder"


def _said(account: Account, task: str) -> str:
    with suppress(Exception):
        return account.text(task)
    return ""


def test_no_more_run_at_once_than_the_machine_has_cores(account: Account, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runs, "MOST_AT_ONCE", 2)
    gate = "/bin/sh -c 'echo $$; while [ ! -e ../../../../../go ]; do sleep 0.05; done'"
    for number in range(5):
        account.run(f"t{number}", gate)
    until(lambda: sum(bool(_said(account, f"t{number}")) for number in range(5)) == 2)
    assert {account.state(f"t{number}") for number in range(5)} == {"running"}
    for node in account.client.list_nodes("p"):
        folder = account.emulator.account.runs._folder  # type: ignore[attr-defined]
        (folder / node.id).mkdir(exist_ok=True)
        (folder / node.id / "go").touch()
    for number in range(5):
        assert account.ended(f"t{number}").exit_code == 0


def test_batch_tries_again_what_failed(account: Account, tmp_path: Path):
    tries = tmp_path / "tries"
    script = f"echo x >>{tries}; exit $((3 - $(wc -l <{tries})))"
    limits = models.BatchTaskConstraints(max_task_retry_count=3)
    account.run("t", f"/bin/sh -c '{script}'", constraints=limits)
    ended = account.ended("t")
    assert (ended.exit_code, ended.retry_count) == (0, 2)


def test_an_emulator_that_goes_on_runs_again_what_its_processes_were_lost_of(tmp_path: Path):
    options: dict[str, Any] = {
        "run_tasks": tmp_path / "tasks",
        "state": tmp_path / "state.json",
        "scenario": AT_ONCE,
    }
    with Emulator(**options) as emulator:
        account = Account(emulator)
        account.begin()
        account.run("t", "/bin/sh -c 'echo $$; exec sleep 600'")
        first = pid_in(account, "t")
    assert not lives(first)
    with Emulator(**options) as emulator:
        account = Account(emulator)
        assert pid_in(account, "t", but=first)
        assert account.client.get_task("j", "t").execution_info.requeue_count == 1
        account.client.terminate_task("j", "t")
    with Emulator(state=tmp_path / "state.json") as emulator:
        assert Account(emulator).state("t") == "completed"


def test_a_killed_emulator_leaves_no_command(tmp_path: Path):
    code = (
        "import sys, time; from airflow_batchext.emulator import Emulator\n"
        "import tests.emulator.running.test_runs as t\n"
        "with Emulator(run_tasks=sys.argv[1], scenario=t.AT_ONCE) as e:\n"
        "    a = t.Account(e); a.begin(); a.run('t', \"/bin/sh -c 'echo $$; exec sleep 600'\")\n"
        "    print(t.pid_in(a, 't'), flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        assert lives(pid)
        os.kill(running.pid, signal.SIGKILL)
    until(lambda: not lives(pid))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"host": "0.0.0.0"}, "host has to be a loopback address"),
        ({"host": "example.com"}, "host has to be a loopback address"),
        ({"time_scale": 0}, "time_scale has to be 1 or more"),
        ({"time_scale": 0.5}, "time_scale has to be 1 or more"),
        ({"run_tasks": "/dev/null"}, "/dev/null: "),
        ({"run_tasks": 3}, "the path of a folder"),
    ],
)
def test_it_is_refused_where_others_could_reach_it_or_time_stands_still(
    options: dict[str, Any], said: str, tmp_path: Path
):
    with pytest.raises(ValueError, match=said):
        Emulator(**{"run_tasks": tmp_path / "t", **options})


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ValueError, match="only Linux"):
        Emulator(run_tasks=tmp_path / "t")


def test_who_cannot_sign_runs_nothing(account: Account, tmp_path: Path):
    stranger = BatchClient(account.emulator.info.http_endpoint, AzureNamedKeyCredential("batchext", "a2V5"))
    mark = tmp_path / "ran"
    with pytest.raises(Exception, match="AuthenticationFailed"):
        stranger.create_task("j", models.BatchTaskCreateOptions(id="t", command_line=f"touch {mark}"))
    account.run("last", "true")
    account.ended("last")
    assert not mark.exists()


def test_files_that_are_links_are_neither_shown_nor_read(account: Account):
    account.run("t", "/bin/sh -c 'ln -s /etc/hostname link; ln -s /etc folder; echo x >real'")
    account.ended("t")
    names = {file.name for file in account.client.list_task_files("j", "t", recursive=True)}
    assert names == {"stdout.txt", "stderr.txt", "wd", "wd/real"}
    for link in ("wd/link", "wd/folder", "wd/folder/hostname", "../t/stdout.txt", "/etc/hostname"):
        with pytest.raises(ResourceNotFoundError):
            account.text("t", link)


def test_a_fault_is_survived_and_told_once(account: Account, monkeypatch: pytest.MonkeyPatch, caplog: Any):
    tries: list[Any] = []

    def failing(local: Any) -> None:
        tries.append(local)
        raise OSError("no room")

    with monkeypatch.context() as broken:
        broken.setattr(runs.LocalRuns, "_look", failing)
        account.run("t", "/bin/true")
        until(lambda: len(tries) > 2)
    assert account.ended("t").exit_code == 0
    assert [record.getMessage() for record in caplog.records] == ["The tasks could not be looked after"]


def test_a_fault_that_stays_is_told_at_growing_intervals(caplog: pytest.LogCaptureFixture):
    faults, told = runs._Faults(), []
    for now in [*(tick / 2 for tick in range(2 * 3600)), 5000.0]:
        try:
            raise OSError(f"no room, at {now}")
        except OSError:
            faults.tell(now)
        told += [(now, record.getMessage()) for record in caplog.records]
        caplog.clear()
    # After a long while without any it is news.
    assert [now for now, _ in told] == [0, 10, 30, 70, 150, 310, 630, *range(1230, 3600, 600), 5000]
    assert told[2][1] == "The tasks could not be looked after (39 times more since that was told)"
