"""``batchext up`` as a person runs it: a page, an example that runs, and nothing left after Ctrl-C."""

from __future__ import annotations

import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from airflow_batchext.cli.demo.airflow_home import dags_folder, module_command
from airflow_batchext.cli.main import main
from tests.airflow.harness import wait_until
from tests.sockets import family, listeners, processes_of, reachable_from_outside

BATCHEXT = Path(sys.executable).with_name("batchext")
EXAMPLES = {
    *("batch_ephemeral_pool", "batch_many_pools", "batch_pool_gate", "batch_regions"),
    "batch_pool_diagnosis",
}


def left_of(home: Path) -> list[str]:
    """The processes that live in this AIRFLOW_HOME."""
    return [f"{process.pid} {process.name()}" for process in processes_of(home)]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Up:
    """A running ``batchext up``."""

    def __init__(self, home: Path, *arguments: str, folder: Path | None = None) -> None:
        self.home = home
        self.printed = home.with_suffix(".txt")
        self.began = time.monotonic()
        with self.printed.open("w") as output:
            self.process = subprocess.Popen(
                [BATCHEXT, "up", "--home", home, *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )

    @property
    def text(self) -> str:
        return self.printed.read_text()

    def wait(self) -> dict[str, str]:
        """Wait for the block; return what it says."""

        def shown() -> bool:
            assert self.process.poll() is None, self.text
            return "Ctrl-C" in self.text

        wait_until("the address to open", shown, 150)
        return dict(re.findall(r"^  (\w+) {2,}(.+)$", self.text, re.MULTILINE))

    def client(self) -> httpx.Client:
        """Somebody who has signed in with what the block says."""
        said = self.wait()
        user = {"username": said["user"], "password": said["password"]}
        token = httpx.post(f"{said['open']}/auth/token", json=user, timeout=30).json()["access_token"]
        return httpx.Client(base_url=said["open"], timeout=30, headers={"Authorization": f"Bearer {token}"})

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    yield home
    for process in processes_of(home):
        process.kill()


@pytest.mark.airflow
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_example_runs_the_end_leaves_nothing_and_the_next_start_goes_on(home: Path):
    port = free_port()
    first = Up(home, "--port", str(port), "--time-scale", "60")
    said = first.wait()
    assert said["open"] == f"http://127.0.0.1:{port}"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "env").stat().st_mode) == 0o600
    assert (home / ".gitignore").read_text() == "*\n"

    another = subprocess.run([BATCHEXT, "up", "--home", home], capture_output=True, text=True, timeout=60)
    assert another.returncode == 2
    assert f"in use by another batchext up, process {first.process.pid}." in another.stderr

    with first.client() as client:

        def loaded() -> bool:
            return {dag["dag_id"] for dag in client.get("/api/v2/dags").json()["dags"]} >= EXAMPLES

        wait_until("the examples to be loaded", loaded)
        assert client.get("/api/v2/importErrors").json()["import_errors"] == []
        assert httpx.get(f"{said['open']}/api/v2/dags").status_code == 401, "not for everybody on the machine"
        for dag in client.get("/api/v2/dags").json()["dags"]:
            assert dag["description"], dag["dag_id"]
        listed = client.get("/api/v2/connections").json()["connections"]
        assert "azure_batchext_default" in {connection["connection_id"] for connection in listed}
        why = "/api/v2/dags/batch_pool_diagnosis/dagRuns"
        failing = client.post(why, json={"logical_date": None}).json()["dag_run_id"]
        runs = "/api/v2/dags/batch_ephemeral_pool/dagRuns"
        run_id = client.post(runs, json={"logical_date": None}).json()["dag_run_id"]

        def ended() -> str:
            state = client.get(f"{runs}/{run_id}").json()["state"]
            return state if state in ("success", "failed") else ""

        assert wait_until("the run to end", ended, 240) == "success"

        def report() -> str:
            links = client.get(f"{why}/{failing}/taskInstances/why/links").json()
            return links.get("extra_links", {}).get("Pool report") or ""

        page = httpx.get(wait_until("the report of the failing example", report, 240), timeout=30).text
        assert "Could not get a token for the vault" in page
    log = (home / "airflow.log").read_text()
    others = [log.index(f"{name} ") for name in ("api-server", "dag-processor", "triggerer")]
    assert log.index("scheduler ") > max(others), "runs start when all the others are there"
    listening = listeners([*family(first.process.pid), *processes_of(home)])
    assert port in {port for _, port, _ in listening}
    assert reachable_from_outside(listening) == []
    assert "batch_ephemeral_pool" in in_a_shell(home, "airflow dags list --output plain")
    assert "pool nope: failed" in in_a_shell(home, "batchext status nope; true"), (
        "the connection is there, too"
    )
    assert left_of(home)

    assert first.stop(signal.SIGINT) == 0
    assert left_of(home) == []
    assert first.text.rstrip().endswith(f"The next start goes on with what is in {home}.")
    assert not (home / "env").exists()

    second = Up(home, "--port", str(port))
    with second.client() as client:
        assert second.wait()["password"] == said["password"]
        assert client.get(f"{runs}/{run_id}").json()["state"] == "success"
    assert second.stop(signal.SIGTERM) == 0
    assert left_of(home) == []


def in_a_shell(home: Path, command: str) -> str:
    script = f". {home}/env && {command}"
    return subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=True, timeout=120
    ).stdout


@pytest.mark.airflow
@pytest.mark.slow
def test_an_impatient_end_leaves_nothing_either(home: Path):
    up = Up(home, "--port", str(free_port()))
    wait_until("Airflow to be started", lambda: len(left_of(home)) > 1, 60)
    assert up.stop() == 0
    assert left_of(home) == []
    assert up.text.rstrip().endswith(f"The next start goes on with what is in {home}.")


@pytest.mark.airflow
@pytest.mark.slow
def test_an_airflow_that_ends_by_itself_is_told_with_its_log(home: Path):
    home.mkdir()
    (home / "airflow.cfg").write_text("[database]\nsql_alchemy_conn = nonsense://\n")
    up = Up(home, "--port", str(free_port()))
    assert up.process.wait(120) == 2
    assert re.search(rf"Airflow has ended by itself, with status \d+; see {home}/airflow.log", up.text)
    assert "nonsense" in (home / "airflow.log").read_text()
    assert left_of(home) == []


@pytest.mark.airflow
@pytest.mark.slow
def test_no_file_in_the_folder_takes_a_modules_place_and_a_new_dag_is_there_soon(home: Path, tmp_path: Path):
    dags = tmp_path / "somewhere" / "dags"
    dags.mkdir(parents=True)
    for name in SHADOWS:
        (dags.parent / f"{name}.py").write_text("raise SystemExit('this is not the module that is meant')\n")
    up = Up(home, "--port", str(free_port()), "--dags", str(dags), folder=dags.parent)
    with up.client() as client:
        (dags / "late.py").write_text("from airflow.sdk import DAG\n\nwith DAG('late'):\n    ...\n")
        wait_until("the new DAG", lambda: client.get("/api/v2/dags/late").status_code == 200, 120)
    assert up.stop() == 0


#: Modules of Airflow's, of Python's and of ours, as somebody may call a file.
SHADOWS = ["statsd", "flask", "secrets", "calendar", "airflow", "airflow_batchext", "json", "sqlalchemy"]


def test_no_file_in_the_current_folder_takes_a_modules_place(tmp_path: Path):
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('this is not the module that is meant')\n")
    command = module_command("airflow_batchext.cli.main", "--version")
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout[:9]) == (0, "batchext "), ended.stderr
    # The control: as it was.
    ended = subprocess.run(
        [sys.executable, *command[2:]], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert "not the module that is meant" in ended.stderr


def test_every_module_is_run_in_that_way():
    folder = Path(module_command.__code__.co_filename).parent
    found = [
        path.name for path in folder.glob("*.py") if re.search(r'sys\.executable,\s*"-', path.read_text())
    ]
    assert found == ["airflow_home.py"]


def test_a_port_that_is_taken_is_said_at_once(home: Path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["up", "--home", str(home), "--port", str(port)]) == 2
    assert f"port {port} is taken by another program" in capsys.readouterr().err
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "0"], "--port is 0; it goes from 1 to 65535."),
        (["--time-scale", "0"], "--time-scale is 0; it has to be more than 0."),
        (["--dags", "/no/such"], "--dags /no/such: there is no such folder."),
        (["--home", "/dev/null/x"], "--home /dev/null/x cannot be used: Not a directory."),
        (["--scenario", "/no/such.yaml"], "/no/such.yaml"),
        (["--run-tasks", "--time-scale", "0.5"], "time_scale has to be 1 or more."),
    ],
)
def test_what_cannot_be_run_is_one_line(home: Path, capsys, arguments: list[str], said: str):
    assert main(["up", "--home", str(home), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_an_emulated_account_that_cannot_be_read_is_one_line(home: Path, capsys):
    home.mkdir()
    (home / "azure-batch.json").write_text("{}")
    assert main(["up", "--home", str(home)]) == 2
    assert f"{home}/azure-batch.json" in capsys.readouterr().err


def test_the_examples_are_those_of_the_folder():
    assert {path.stem for path in dags_folder().glob("batch_*.py")} >= EXAMPLES
