"""``batchext emulator`` as a process: its first line, its end, and what it refuses."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential

from airflow_batchext.emulator.__main__ import main

from .pool_documents import data_pool
from .test_server import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = (
    "import argparse, sys; from airflow_batchext.emulator.command import add_arguments, run; "
    "parser = argparse.ArgumentParser(prog='batchext emulator'); add_arguments(parser); "
    "sys.exit(run(parser.parse_args()))"
)


LISTENS_ON_LOOPBACK = """
import sys
from airflow_batchext.emulator import server
bind = server._bind
def bind_here(host, port):
    print("would listen on", host, file=sys.stderr)
    return bind("127.0.0.1", port)
server._bind = bind_here
"""


def command(*arguments: str, program: str = PROGRAM) -> list[str]:
    return [sys.executable, "-c", program, *arguments]


@contextmanager
def process(*arguments: str, program: str = PROGRAM) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        command(*arguments, program=program), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            started.kill()
            raise


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_first_line_says_all_and_a_signal_ends_it_cleanly(how: signal.Signals) -> None:
    with process("--time-scale", "60") as running:
        assert running.stdout is not None
        info = json.loads(running.stdout.readline())
        assert list(info) == KEYS
        assert (
            requests.get(f"{info['arm_endpoint']}/x", verify=info["ca_bundle"], timeout=5).status_code == 401
        )
        client = BatchClient(info["http_endpoint"], AzureNamedKeyCredential(info["account"], info["key"]))
        assert list(client.list_pools()) == []
        running.send_signal(how)
        # The client keeps its connection open; who waited for it would wait for two minutes.
        rest, complaints = running.communicate(timeout=60)
        assert (running.returncode, rest, complaints) == (0, "", "")
        assert not Path(info["ca_bundle"]).parent.exists()
        client.close()


def test_a_scenario_and_ports_are_taken_from_the_command_line(tmp_path: Path) -> None:
    scenario = tmp_path / "s.yaml"
    scenario.write_text("answers: {token_lifetime: 5}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with process("--scenario", str(scenario), "--http-port", str(port)) as running:
        assert running.stdout is not None
        info = json.loads(running.stdout.readline())
        assert info["http_endpoint"] == f"http://127.0.0.1:{port}"
        form = {
            "grant_type": "client_credentials",
            "client_id": info["client_id"],
            "client_secret": info["client_secret"],
            "scope": "https://batch.core.windows.net//.default",
        }
        url = f"{info['authority']}/{info['tenant_id']}/oauth2/v2.0/token"
        answer = requests.post(url, data=form, verify=info["ca_bundle"], timeout=5)
        assert answer.json()["expires_in"] == 5


def refused(*arguments: str) -> str:
    """What the command says on standard error; here, as a process takes a third of a second."""
    out, said = io.StringIO(), io.StringIO()
    kept = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        with redirect_stdout(out), redirect_stderr(said):
            status: object = main(arguments)
    except SystemExit as end:
        status = end.code
    finally:
        for name, handler in kept.items():
            signal.signal(name, handler)
    assert (status, out.getvalue()) == (2, "")
    return said.getvalue()


def test_a_port_in_use_is_one_line_and_ends_the_process() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = command("--https-port", str(port))
        ran = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in ran.stderr


def test_a_bad_scenario_is_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"extension": []}')
    for path in (bad, tmp_path / "none.yaml"):
        said = refused("--scenario", str(path))
        assert said.count("\n") == 1
        assert str(path) in said


def test_a_host_that_is_not_of_this_machine_is_one_line() -> None:
    said = refused("--host", "192.0.2.1")
    assert "warning: 192.0.2.1 is not a loopback address" in said
    assert said.splitlines()[-1].startswith("batchext emulator: error: cannot listen on 192.0.2.1")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux runs tasks")
def test_really_running_tasks_is_told_and_only_on_loopback(tmp_path: Path) -> None:
    said = refused("--run-tasks", str(tmp_path), "--host", "0.0.0.0")
    assert said.count("\n") == 1
    assert "whoever can sign a request" in said
    with subprocess.Popen(
        command("--run-tasks", str(tmp_path)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["account"] == "batchext"
        running.terminate()
        assert f"warning: tasks are really run, as you, in {tmp_path}" in running.communicate()[1]


def test_an_open_host_is_a_warning() -> None:
    """Here it does not listen there, as tests open nothing to others: that it would is what counts."""
    with process("--host", "0.0.0.0", program=LISTENS_ON_LOOPBACK + PROGRAM) as running:
        assert running.stdout is not None
        info = json.loads(running.stdout.readline())
        assert info["http_endpoint"].startswith("http://127.0.0.1:")
        running.terminate()
        _, complaints = running.communicate(timeout=60)
        assert "not a loopback address" in complaints
        assert "would listen on 0.0.0.0" in complaints
        assert running.returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [("--http-port", "70000"), ("--https-port", "x"), ("--time-scale", "-1"), ("--time-scale", "nan")],
)
def test_senseless_arguments_are_refused(arguments: tuple[str, str]) -> None:
    assert "error: argument" in refused(*arguments)


def test_the_help_explains_itself() -> None:
    ran = subprocess.run(command("--help"), capture_output=True, text=True, check=True)
    options = ("--host", "--https-port", "--http-port", "--time-scale", "--scenario")
    for option in (*options, "--faults", "--seed", "--state"):
        assert option in ran.stdout
    assert "JSON object" in ran.stdout
    assert "batchext emulator --time-scale 60" in ran.stdout
    assert max(len(line) for line in ran.stdout.splitlines()) <= 112


def test_the_state_is_kept_when_a_signal_ends_it(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    infos = []
    for expected in ([], ["p"]):
        with process("--time-scale", "0", "--state", str(state)) as running:
            assert running.stdout is not None
            info = json.loads(running.stdout.readline())
            infos.append(info)
            credential = AzureNamedKeyCredential(info["account"], info["key"])
            with BatchClient(info["http_endpoint"], credential) as client:
                assert [pool.id for pool in client.list_pools()] == expected
                if not expected:
                    client.create_pool(data_pool("p", 1))  # type: ignore[arg-type]
    assert infos[0]["key"] == infos[1]["key"]
    assert infos[0]["tenant_id"] == infos[1]["tenant_id"]


def test_faults_come_from_a_file_and_over_the_wire(tmp_path: Path) -> None:
    faults = tmp_path / "faults.yaml"
    faults.write_text("- {action: error, status: 500, path: /pools}\n")
    with process("--faults", str(faults), "--seed", "7") as running:
        assert running.stdout is not None
        info = json.loads(running.stdout.readline())
        pools = f"{info['http_endpoint']}/pools"
        assert [requests.get(pools, timeout=5).status_code for _ in range(2)] == [500, 401]
        control = {"headers": {"Authorization": f"Key {info['key']}"}, "timeout": 5}
        fault = {"action": "error", "status": 502}
        given = requests.post(f"{info['http_endpoint']}/emulator/faults", json=fault, **control)
        assert given.status_code == 201
        assert [requests.get(pools, timeout=5).status_code for _ in range(2)] == [502, 401]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "must hold a list of faults"),
        ("- {action: explode}", "the fault is not valid"),
        ("- [", "cannot read the faults"),
    ],
)
def test_bad_faults_are_one_line(tmp_path: Path, content: str, says: str) -> None:
    bad = tmp_path / "faults.yaml"
    bad.write_text(content)
    said = refused("--faults", str(bad))
    assert said.count("\n") == 1
    assert says in said
    assert str(bad) in said


def test_a_bad_state_file_is_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "state.json"
    bad.write_text("hello")
    for path in (bad, tmp_path / "nowhere" / "state.json"):
        said = refused("--state", str(path))
        assert said.count("\n") == 1
        assert str(path.parent) in said
