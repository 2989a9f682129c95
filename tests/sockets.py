"""Who listens where: for the tests that nothing of ours can be reached from another machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import psutil

from airflow_batchext.emulator.server import is_loopback


def processes_of(home: Path) -> list[psutil.Process]:
    """The processes that live in this AIRFLOW_HOME."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("AIRFLOW_HOME") == str(home) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


def family(pid: int) -> list[psutil.Process]:
    """A process, and all that it has started."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def listeners(processes: Iterable[psutil.Process]) -> set[tuple[str, int, str]]:
    """Where these processes listen: address, port, command line."""
    found = set()
    for process in processes:
        try:
            what = " ".join(process.cmdline())
            for socket in process.net_connections("tcp"):
                if socket.status == psutil.CONN_LISTEN:
                    found.add((socket.laddr.ip, socket.laddr.port, what))
        except psutil.Error:  # it has just ended
            continue
    return found


def reachable_from_outside(found: Iterable[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
    """Those of the listeners that do not keep to the loopback address."""
    return sorted(listener for listener in found if not is_loopback(listener[0]))
