"""The test-bed: Airflow as on several machines, and the emulator, all on the loopback address.

Two schedulers, two triggerers, two Celery workers, the API server, the DAG processor, Postgres and Redis. A
component that ends by itself is started again, and counted, as systemd or Kubernetes would do it.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from tests.airflow.harness import Airflow, wait_until
from tests.distributed.environment import AIRFLOW, ROOT
from tests.distributed.reaper import Reaper, descendants, kill
from tests.distributed.services import Postgres, Redis, Service

_WORKER = ("celery", "worker", "--skip-serve-logs", "--concurrency", "4", "--celery-hostname")
COMPONENTS = {
    "api-server": ("api-server",),
    "dag-processor": ("dag-processor",),
    **{f"scheduler-{number}": ("scheduler", "--skip-serve-logs") for number in (1, 2)},
    **{f"triggerer-{number}": ("triggerer", "--skip-serve-logs") for number in (1, 2)},
    **{f"worker-{number}": (*_WORKER, f"worker-{number}@%h") for number in (1, 2)},
}
#: Airflow's own patience with processes that are gone is five minutes by default; here it is what a run of
#: some minutes can bear. docs/distributed.md tells it.
IMPATIENCE = {
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "SCHEDULER__TASK_QUEUED_TIMEOUT": "90",
    "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    # Else a task that has waited three times that long for a worker is failed for good, whatever its retries.
    "SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "20",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
}


class Bed(Airflow):
    """All processes of the bed, and what can happen to them.

    :param home: the folder of everything; AIRFLOW_HOME is in it.
    :param connections: Airflow connections by id.
    """

    def __init__(self, home: Path, connections: Mapping[str, dict[str, Any]], reaper: Reaper) -> None:
        airflow_home = home / "airflow"
        airflow_home.mkdir()
        # Postgres runs as another user, whom the folder of the test lets through.
        home.chmod(0o755)
        dags = airflow_home / "dags"
        shutil.copytree(Path(__file__).parent / "dags", dags)
        shutil.copytree(ROOT / "dags", dags, dirs_exist_ok=True)
        super().__init__(airflow_home, dags, dict(connections), program=str(AIRFLOW), components=COMPONENTS)
        self._reaper = reaper
        self._lock = threading.RLock()
        self._down: set[str] = set()
        self.revived: Counter[str] = Counter()
        self.postgres = Postgres(home, reaper)
        self.redis = Redis(home, reaper)
        self.services: dict[str, Service] = {"postgres": self.postgres, "redis": self.redis}
        self.environment |= {f"AIRFLOW__{name}": value for name, value in self._settings().items()}
        self.environment |= {"PYTHONPATH": str(ROOT), "C_FORCE_ROOT": "1"}

    def _settings(self) -> dict[str, str]:
        return {
            **IMPATIENCE,
            "CORE__EXECUTOR": "CeleryExecutor",
            # The examples are read but do not run; the DAGs of the bed are not paused.
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "CORE__PARALLELISM": "16",
            "API__HOST": "127.0.0.1",
            "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{self.postgres.url}",
            "CELERY__BROKER_URL": self.redis.url,
            "CELERY__RESULT_BACKEND": f"db+postgresql://{self.postgres.url}",
            "CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "BATCHEXT__POLL_INTERVAL": "5",
            "BATCHEXT__DEPLOYMENT": "bed",
        }

    def start(self) -> Bed:
        """Start the services, then Airflow; wait until all is healthy."""
        self.postgres.create()
        self.redis.start()
        super().start()
        return self

    def stop(self) -> None:
        """End everything."""
        with self._lock:
            self._down |= set(self.components)
            for process in self._processes.values():
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
            super().stop()
            for service in self.services.values():
                service.stop()

    def start_component(self, component: str) -> None:
        """Start one component in a process group of its own."""
        super().start_component(component)
        self._reaper.watch("process", self._processes[component].pid)

    def stop_component(self, component: str, how: signal.Signals, patience: float = 10) -> None:
        """Send a signal to a component's whole process group, and see it end."""
        group = self._processes[component].pid
        # Tasks have process groups of their own.
        family = descendants(group)
        with suppress(ProcessLookupError):
            super().stop_component(component, how, patience)
        kill(family)
        self._reaper.forget("process", group)

    def knock_down(self, name: str, how: signal.Signals) -> bool:
        """Kill a component, or stop a service; say whether it was up."""
        with self._lock:
            if name in self._down:
                return False
            self._down.add(name)
            if name in self.services:
                self.services[name].stop()
            else:
                self.stop_component(name, how)
            return True

    def bring_back(self, name: str) -> None:
        """Start again what was knocked down."""
        with self._lock:
            if name not in self._down:
                return
            self._down.discard(name)
            if name in self.services:
                self.services[name].start()
            else:
                self.start_component(name)

    def revive(self) -> None:
        """Start again what has ended by itself."""
        with self._lock:
            for name, process in list(self._processes.items()):
                if name not in self._down and process.poll() is not None:
                    self.revived[name.rpartition("-")[0] if name[-1].isdigit() else name] += 1
                    self.stop_component(name, signal.SIGKILL)
                    self.start_component(name)

    def wait_for(self, what: str, check: Callable[[], Any], seconds: float) -> Any:
        """``wait_until``, reviving what ends, and taking no answer of the API server for "not yet"."""

        def patiently() -> Any:
            self.revive()
            with suppress(httpx.HTTPError, AssertionError):
                return check()
            return None

        return wait_until(what, patiently, seconds)

    @property
    def client(self) -> httpx.Client:
        """A client of the API server, signed in."""
        return self._client

    def begin(self, dag_id: str, run_id: str) -> bool:
        """Start a run under a name, once; say whether it is there."""
        body = {"logical_date": None, "dag_run_id": run_id}
        return self._client.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body).status_code in (200, 409)

    def processes_of(self, component: str) -> set[int]:
        """The processes that a component has started, and those that these have."""
        return {process.pid for process in descendants(self._processes[component].pid)}
