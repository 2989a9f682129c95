"""Postgres and Redis for one bed: in a folder of their own, on free ports of the loopback address."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.airflow.harness import free_port, wait_until
from tests.distributed.environment import postgres_programs, redis_server

if TYPE_CHECKING:
    from tests.distributed.reaper import Reaper


class Service(ABC):
    """A server process that can be stopped and started again on what it has kept.

    :param folder: where it keeps its things.
    :param reaper: ends it if nobody else does.
    """

    name = ""

    def __init__(self, folder: Path, reaper: Reaper) -> None:
        self.folder = folder / self.name
        self.folder.mkdir()
        self.port = free_port()
        self._reaper = reaper
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        with (self.folder.parent / f"{self.name}.log").open("ab") as log:
            self._process = self._launch(log)
        self._reaper.watch("process", self._process.pid)
        wait_until(f"{self.name} to answer", self._answers, 30)

    def stop(self) -> None:
        """End it in good order; what it has accepted is kept."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)  # for Postgres: without waiting for its clients
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._reaper.forget("process", process.pid)

    @abstractmethod
    def _launch(self, log: object) -> subprocess.Popen[bytes]:
        """Start the process."""

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


class Postgres(Service):
    """A database server with the database ``airflow``, of the user ``airflow``, open to this machine."""

    name = "postgres"

    def __init__(self, folder: Path, reaper: Reaper) -> None:
        super().__init__(folder, reaper)
        self._programs = postgres_programs()
        self._data = self.folder / "data"
        # It refuses to run as root.
        self._user = _other_user() if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "-A", "trust", "-U", "airflow", "-E", "UTF8", "--no-sync", "-D", str(self._data))

    @property
    def url(self) -> str:
        """Where it is, in SQLAlchemy's words, without the driver."""
        return f"airflow@127.0.0.1:{self.port}/airflow"

    def create(self) -> None:
        """Start it for the first time, and make the database."""
        self.start()
        self._run("createdb", *self._place, "airflow")

    def query(self, sql: str) -> list[list[str]]:
        """Ask the database; each row is a list of texts."""
        out = self._run("psql", *self._place, "-d", "airflow", "-AtX", "-F", "\t", "-c", sql)
        return [line.split("\t") for line in out.splitlines()]

    @property
    def _place(self) -> tuple[str, ...]:
        return ("-h", "127.0.0.1", "-p", str(self.port), "-U", "airflow")

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [self._programs / program, *arguments],
            capture_output=True,
            text=True,
            user=self._user,
            cwd="/",
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
        return done.stdout

    def _answers(self) -> bool:
        with suppress(AssertionError):
            self._run("psql", *self._place, "-d", "postgres", "-AtXc", "select 1")
            return True
        return False

    def _launch(self, log: object) -> subprocess.Popen[bytes]:
        # Without fsync a crash of the machine would lose data; a crash of the processes does not.
        options = {"fsync": "off", "max_connections": "400", "unix_socket_directories": ""}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return subprocess.Popen(
            [self._programs / "postgres", "-D", self._data, "-h", "127.0.0.1", "-p", str(self.port), *words],
            stdout=log,  # type: ignore[call-overload]
            stderr=log,
            user=self._user,
            cwd="/",
            start_new_session=True,
        )


class Redis(Service):
    """A Redis that keeps what it was given, as one for a Celery queue has to."""

    name = "redis"

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _launch(self, log: object) -> subprocess.Popen[bytes]:
        server = redis_server()
        options = {"bind": "127.0.0.1", "dir": str(self.folder), "appendonly": "yes", "save": ""}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return subprocess.Popen(
            [server.program, "--port", str(self.port), *words],
            env=os.environ | server.libraries,
            stdout=log,  # type: ignore[call-overload]
            stderr=log,
            start_new_session=True,
        )


def _other_user() -> str:
    """A user who is not root."""
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise AssertionError("as root, the test-bed needs a user postgres or nobody to run Postgres as")
