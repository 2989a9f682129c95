"""Real Airflow for the tests: API server, scheduler, DAG processor and triggerer, each its own process."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from cryptography.fernet import Fernet

from airflow_batchext.cli.demo.components import COMPONENTS

if TYPE_CHECKING:
    from airflow_batchext.emulator import Emulator

_AIRFLOW = str(Path(sys.executable).with_name("airflow"))


def wait_until(
    what: str | Callable[[], str], check: Callable[[], Any], seconds: float = 180, every: float = 0.2
) -> Any:
    """Ask until the answer is true; return it. What is waited for may be told as things stand in the end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = check()
        if answer:
            return answer
        time.sleep(every)
    raise AssertionError(f"waited {seconds} s in vain for {what if isinstance(what, str) else what()}")


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


class Airflow:
    """An Airflow of several processes on SQLite, in a folder of its own.

    :param home: AIRFLOW_HOME; what the processes print is in ``home/*.log``.
    :param dags: the folder of the DAG files.
    :param connections: Airflow connections by id.
    :param program: the ``airflow`` to run; by default that of this environment.
    :param components: what to start, by name, and the words of its command.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        connections: dict[str, dict[str, Any]],
        *,
        program: str = _AIRFLOW,
        components: Mapping[str, Sequence[str]] = COMPONENTS,
    ) -> None:
        self.home = home
        self.components = components
        #: Environment variables that a component is not given.
        self.withheld: dict[str, set[str]] = {}
        self._program = program
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self.environment = kept | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "16",
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "32",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            # Where much else is done, an answer takes longer than the five seconds that Airflow allows.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
            # The files stay as they are; to read them anew costs more than all else that waits.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        }
        for conn_id, connection in connections.items():
            self.environment[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._client = httpx.Client(base_url=self.url, timeout=300)

    def start(self) -> Airflow:
        """Make the database, start every component, and wait until all are healthy.

        The API server comes first: a task that finds none fails, and its retry may be minutes away.
        """
        self.run("db", "migrate")
        self.start_component("api-server")
        wait_until("the API server", lambda: self._health().get("metadatabase"))
        for component in self.components:
            if component not in self._processes:
                self.start_component(component)
        wait_until("Airflow to be healthy", self._healthy)
        token = self._client.get("/auth/token").json()["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"
        return self

    def stop(self) -> None:
        """End every process, and those that they have started."""
        for component in list(self._processes):
            self.stop_component(component, signal.SIGTERM, patience=5)
        self._client.close()

    @property
    def process_groups(self) -> set[int]:
        """The process groups of the components: each has one of its own, with all that it has started."""
        return {process.pid for process in self._processes.values()}

    def run(self, *arguments: str) -> str:
        """Run an ``airflow`` command."""
        done = subprocess.run(
            [self._program, *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start_component(self, component: str) -> None:
        """Start one component in a process group of its own."""
        withheld = self.withheld.get(component, set())
        environment = {name: value for name, value in self.environment.items() if name not in withheld}
        with (self.home / f"{component}.log").open("ab") as log:
            self._processes[component] = subprocess.Popen(
                [self._program, *self.components[component]],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop_component(self, component: str, how: signal.Signals, patience: float = 10) -> None:
        """Send a signal to a component's whole process group, and see it end."""
        process = self._processes.pop(component)
        os.killpg(process.pid, how)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _health(self) -> dict[str, Any]:
        try:
            health: dict[str, Any] = self._client.get("/api/v2/monitor/health").json()
        except (httpx.HTTPError, ValueError):
            return {}
        return health

    def _healthy(self) -> bool:
        health = self._health()
        return all(
            (health.get(name) or {}).get("status") == "healthy"
            for name in ("metadatabase", "scheduler", "dag_processor", "triggerer")
        )

    def get(self, path: str, **parameters: Any) -> Any:
        """A GET of the REST API."""
        answer = self._client.get(f"/api/v2/{path}", params=parameters)
        answer.raise_for_status()
        return answer.json()

    def send(self, method: str, path: str, body: Any) -> str:
        """Any other request of the REST API; the text of its answer."""
        answer = self._client.request(method, f"/api/v2/{path}", json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code}"
        return answer.text

    def text(self, path: str) -> str:
        """The text of any page or API answer."""
        return self._client.get(path).text

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a DAG run; return its id."""

        def try_it() -> Any:
            body = {"logical_date": None, "conf": conf or {}}
            answer = self._client.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body)
            return answer.json()["dag_run_id"] if answer.status_code == 200 else None

        return str(wait_until(f"the DAG {dag_id}", try_it))

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """The state of each task of a run."""
        found: dict[str, str] = {}
        path, seen, total = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", 0, 1
        while seen < total:  # Airflow gives a hundred at most
            answer = self.get(path, limit=100, offset=seen)
            found |= {item["task_id"]: item["state"] or "none" for item in answer["task_instances"]}
            seen, total = seen + 100, answer["total_entries"]
        return found

    def finish(
        self, dag_id: str, run_id: str, seconds: float = 300, meanwhile: Callable[[], Any] = lambda: None
    ) -> str:
        """Wait until a run has ended, doing something between the looks; return its state."""

        def ended() -> str:
            meanwhile()
            state = self.get(f"dags/{dag_id}/dagRuns/{run_id}")["state"]
            return state if state in ("success", "failed") else ""

        def what() -> str:
            return f"the run {run_id} of {dag_id} to end: {self.states(dag_id, run_id)}"

        return str(wait_until(what, ended, seconds))

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """An XCom's value."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.get(path, deserialize=True)["value"]

    def log(self, dag_id: str, run_id: str, task_id: str) -> str:
        """A task's log, from the files: every try, and the triggerer's part."""
        folder = self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        return "\n".join(path.read_text() for path in sorted(folder.glob("*.log*")))


def play(airflow: Airflow, service: Emulator, dag_id: str, run_id: str, *, step: float = 30) -> str:
    """Let the emulated service's time pass until a run has ended; return its state."""
    return airflow.finish(dag_id, run_id, meanwhile=lambda: service.clock.advance(step))
