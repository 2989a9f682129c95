"""``batchext up``: a whole Airflow for one person, with its web page, on the emulator of Azure Batch.

What it keeps is in one folder: Airflow's database, logs and password, and the emulated account. The next
start goes on with them.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shlex
import signal
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_batchext.cli.demo.airflow_home import (
    airflow_environment,
    clean_environment,
    connection_variables,
    connections,
    dags_folder,
    one_after_the_other,
)

if TYPE_CHECKING:
    from airflow_batchext.cli.demo.standalone import Standalone
    from airflow_batchext.emulator import Scenario

PORT = 8080
TIME_SCALE = 10.0
POLL_SECONDS = 10
_NEW_FILES_SECONDS = 5
_GIVE_UP_AFTER_SECONDS = 180
_FIRST = """
Try first, with Trigger on the page of the DAG:
  {url}/dags/batch_ephemeral_pool   a pool, its gate, work on it; two minutes
  {url}/dags/batch_pool_diagnosis   an extension fails; the task "why" says why, and links to a report
  {url}/dags/batch_pool_on_demand   a form says which pool
  {url}/dags/batch_work             forty tasks on a pool; with --run-tasks they are really run
"""


class _RefusedError(Exception):
    """Why it cannot be run, in words for the user."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = textwrap.fill(
        "Run Airflow with its web page (SQLite, LocalExecutor) on this machine, with "
        "the example DAGs and connections to an emulated Azure Batch account, until Ctrl-C. It listens on "
        "the loopback address only, and nothing reaches Azure. "
        "Exit status: 0 when stopped, 2 if it could not be run.",
        100,
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--home",
        metavar="DIR",
        default=".batchext",
        help="folder for database, logs, password and emulated account; kept for the next start "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=int,
        metavar="PORT",
        help=f"port of the web page (default: {PORT}, or any other if that is taken)",
    )
    parser.add_argument("--dags", metavar="DIR", help="folder of DAGs (default: the examples)")
    parser.add_argument(
        "--time-scale",
        type=float,
        default=TIME_SCALE,
        metavar="N",
        help="run the life of pools and nodes N times as fast as the wall (default: %(default)g)",
    )
    parser.add_argument(
        "--scenario",
        metavar="FILE",
        help="what fails, hangs and how long things take, as in batchext emulator",
    )
    parser.add_argument(
        "--run-tasks",
        action="store_true",
        help="really run the command lines of Batch tasks, as you, on this machine (Linux); otherwise the "
        "scenario says how they end",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run until told to stop."""
    told_to_stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: told_to_stop.set()) for number in numbers}
    try:
        _run(arguments, told_to_stop)
    except _RefusedError as refusal:
        print(f"batchext up: {refusal}", file=sys.stderr)
        return 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _run(arguments: argparse.Namespace, told_to_stop: threading.Event) -> None:
    from airflow_batchext.cli.demo.components import CONNECTIONS
    from airflow_batchext.cli.demo.reports import served
    from airflow_batchext.cli.demo.standalone import Standalone
    from airflow_batchext.emulator import Emulator

    port = _port(arguments.port)
    dags = _dags(arguments.dags)
    scenario = _scenario(arguments.scenario)
    if not 0 < arguments.time_scale < float("inf"):
        raise _RefusedError(f"--time-scale is {arguments.time_scale:g}; it has to be more than 0.")
    home = _home(arguments.home)
    with _lock(home) as lock:
        try:
            emulator = Emulator(
                time_scale=arguments.time_scale,
                scenario=scenario,
                state=home / "azure-batch.json",
                run_tasks=home / "tasks" if arguments.run_tasks else None,
            )
        except ValueError as problem:
            advice = (
                "" if "run_tasks" in str(problem) else " Without that file the emulated account begins anew."
            )
            raise _RefusedError(f"{problem}.{advice}") from None
        with emulator, served(home / "reports") as reports:
            airflow_variables = airflow_environment(home, dags) | {
                "AIRFLOW_VAR_BATCHEXT_REPORTS": (home / "reports").as_uri(),
                "AIRFLOW_VAR_BATCHEXT_REPORTS_URL": reports,
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
                "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
                # Airflow looks for new files every five minutes; who tries things out adds one now.
                "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": str(_NEW_FILES_SECONDS),
                "AIRFLOW__BATCHEXT__TEST_HOSTS": "127.0.0.1,localhost",
                "AIRFLOW__BATCHEXT__POLL_INTERVAL": str(POLL_SECONDS),
            }
            told = {CONNECTIONS: json.dumps(connections(emulator.info))}
            environment = clean_environment() | airflow_variables | told
            airflow = Standalone(home, environment, port, home / "airflow.log")
            # Commands do not look into the database for a connection, as tasks do.
            known = connection_variables(emulator.info)
            shell = _shell_file(home, airflow_variables | known | airflow.settings)
            try:
                _say(f"Airflow starts at {airflow.url}, in {home} (the first time about half a minute) …")
                _note(lock, {"pid": os.getpid(), "group": airflow.start(inherited=lock.fileno())})
                if _wait_until_well(airflow, told_to_stop):
                    _say(_block(airflow, home, dags, shell, arguments))
                    _wait_for_the_end(airflow, told_to_stop)
                _say("Stopping …")
            finally:
                airflow.stop()
                shell.unlink()
    _say(f"Stopped. The next start goes on with what is in {home}.")


def _port(wanted: int | None) -> int:
    from airflow_batchext.cli.demo.standalone import free_port, port_is_free

    if wanted is None:
        return free_port(PORT)
    if not 1 <= wanted <= 65535:
        raise _RefusedError(f"--port is {wanted}; it goes from 1 to 65535.")
    if not port_is_free(wanted):
        raise _RefusedError(
            f"port {wanted} is taken by another program; give another one, or leave --port out."
        )
    return wanted


def _dags(given: str | None) -> Path:
    folder = Path(given).resolve() if given else dags_folder().resolve()
    if not folder.is_dir():
        raise _RefusedError(f"--dags {given}: there is no such folder.")
    return folder


def _scenario(given: str | None) -> Scenario:
    from airflow_batchext.emulator import Scenario

    if given is None:
        return one_after_the_other(fail="*", pool="*-fails")
    try:
        return Scenario.load(given)
    except ValueError as problem:
        raise _RefusedError(str(problem)) from None


def _home(given: str) -> Path:
    """The folder, which nobody else can read, and which git passes over."""
    home = Path(given).resolve()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
        (home / ".gitignore").write_text("*\n")
    except OSError as problem:
        raise _RefusedError(f"--home {home} cannot be used: {problem.strerror}.") from None
    return home


def _lock(home: Path) -> IO[str]:
    """An open file that only one ``batchext up``, and the Airflow that it has started, can hold."""
    lock = (home / "running.json").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        noted: dict[str, Any] = {}
        with lock, suppress(ValueError):
            noted = json.load(lock)
        raise _RefusedError(
            f"{home} is in use by another batchext up, process {noted.get('pid', 'unknown')}. Stop that one "
            f"first, or give another folder with --home. If it was killed and has left its Airflow behind: "
            f"kill -- -{noted.get('group', 'GROUP')}"
        ) from None
    return lock


def _note(lock: IO[str], what: dict[str, Any]) -> None:
    lock.seek(0)
    lock.truncate()
    json.dump(what, lock)
    lock.flush()


def _shell_file(home: Path, variables: dict[str, str]) -> Path:
    """A file to source in another terminal, so that ``airflow`` there is this Airflow."""
    file = home / "env"
    file.unlink(missing_ok=True)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as target:
        target.write("\n".join(lines) + "\n")
    return file


def _wait_until_well(airflow: Standalone, told_to_stop: threading.Event) -> bool:
    """Whether Airflow is up; False if told to stop before."""
    give_up = time.monotonic() + _GIVE_UP_AFTER_SECONDS
    while not told_to_stop.wait(0.5):
        _check(airflow)
        if airflow.is_well():
            return True
        if time.monotonic() > give_up:
            raise _RefusedError(
                f"Airflow is not up after {_GIVE_UP_AFTER_SECONDS} seconds; see {airflow.log}"
            )
    return False


def _wait_for_the_end(airflow: Standalone, told_to_stop: threading.Event) -> None:
    while not told_to_stop.wait(1):
        _check(airflow)


def _check(airflow: Standalone) -> None:
    if airflow.status is not None:
        raise _RefusedError(f"Airflow has ended by itself, with status {airflow.status}; see {airflow.log}")


def _block(airflow: Standalone, home: Path, dags: Path, shell: Path, arguments: argparse.Namespace) -> str:
    first = "" if arguments.dags else _FIRST.format(url=airflow.url)
    tasks = (
        f"really run, as you, in {home / 'tasks'}" if arguments.run_tasks else "pretended (see --run-tasks)"
    )
    return f"""
  open        {airflow.url}
  live        {airflow.url}/plugin/batch-pools shows what waits for a pool, node by node
  user        admin
  password    {airflow.password()}
  DAGs        {dags}
  account     emulated; its pools live {arguments.time_scale:g} times as fast as the clock on the wall
  Batch tasks {tasks}
  connection  azure_batchext_default leads there; see it, and test it, under Admin, Connections
  terminal    . {shlex.quote(str(shell))} && airflow dags list
  logs        {home / "logs"} (of tasks), {airflow.log} (Airflow's own)
  stop        Ctrl-C, or kill {os.getpid()}
{first}"""


def _say(text: str) -> None:
    print(text, flush=True)
