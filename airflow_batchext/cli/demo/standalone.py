"""A whole Airflow as a child: started, asked whether it is well, ended with all that it has started.

A signal to the child alone would leave its components behind, and tasks are in process groups of their own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from airflow_batchext.cli.demo import components
from airflow_batchext.cli.demo.airflow_home import module_command
from airflow_batchext.cli.demo.health import healthy

_AUTH_MANAGER = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
_PATIENCE = 10.0
"""Seconds in which the processes may end by themselves."""


def port_is_free(port: int) -> bool:
    """Whether one can listen on this port of the loopback address."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(wanted: int) -> int:
    """The port that is wanted, if it is free, else any other."""
    if port_is_free(wanted):
        return wanted
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Standalone:
    """An Airflow of four components (see ``components``), of which one listens, on the loopback address.

    :param home: AIRFLOW_HOME.
    :param environment: the variables of the process, those of Airflow among them.
    :param port: of the web page and the API.
    :param log: the file that gets what Airflow prints.
    """

    def __init__(self, home: Path, environment: dict[str, str], port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.settings = {
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__AUTH_MANAGER": _AUTH_MANAGER,
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "8",
            # A machine that does much else may need longer than the five seconds that Airflow allows.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
        }
        self.log = log
        self._passwords = home / "simple_auth_manager_passwords.json.generated"
        self._port = port
        self._environment = environment | self.settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, inherited: int) -> int:
        """Start it; return its process group.

        :param inherited: a file descriptor that it keeps open as long as it lives.
        """
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                module_command(components.__name__),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(inherited,),
                start_new_session=True,  # Ctrl-C is for us alone, who end it in order
            )
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, once it has ended by itself."""
        return self._process.poll() if self._process else None

    def is_well(self) -> bool:
        """Whether the page answers and says that every component is healthy."""
        return healthy(self._port)

    def password(self) -> str:
        """The password of the user ``admin``, which Airflow has made at the first start."""
        passwords: dict[str, str] = json.loads(self._passwords.read_text())
        return passwords["admin"]

    def stop(self) -> None:
        """End it and everything that it has started; return when nothing of it is left."""
        if self._process is None:
            return
        family = _family(self._process.pid)
        for member in family:
            _send(member, signal.SIGTERM)
        psutil.wait_procs(family, timeout=_PATIENCE)
        # What was started meanwhile, and what does not listen.
        for member in {*family, *_group(self._process.pid)}:
            _send(member, signal.SIGKILL)
        self._process.wait()
        self._process = None


def _family(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return _group(pid)


def _group(group: int) -> list[psutil.Process]:
    """Who is left in a session that a process has begun, also after it has ended itself."""
    members = []
    for process in psutil.process_iter():
        with suppress(OSError):  # gone, or somebody else's
            if os.getsid(process.pid) == group:
                members.append(process)
    return members


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
