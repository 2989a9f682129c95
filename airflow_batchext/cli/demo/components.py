"""A whole Airflow for one person: its four components, and nothing that listens beyond this machine.

Called as ``python -m airflow_batchext.cli.demo.components``, with the settings in the environment. It does
what ``airflow standalone`` does, but for two things. Airflow's components serve the logs of tasks to other
machines, on every address, and no setting changes that (``airflow.utils.serve_logs``); where all is on one
machine, the web page reads the files, so they are told not to. And it ends when one of them ends.
"""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading
import time

from airflow_batchext.cli.demo.airflow_home import module_command

#: What is started, by name, with the words of its ``airflow`` command.
COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}


#: Tasks ask the API server; a task that finds none fails, and is tried again minutes later.
_AFTER_THE_API_SERVER = "scheduler"


def main() -> int:
    """Make the metadata database or bring it up to date, and run the components until one ends."""
    from airflow.configuration import conf, write_default_airflow_configuration_if_needed
    from airflow.utils.db import initdb

    # Keys are made up with the file. Each component would have keys of its own if it made the file itself.
    write_default_airflow_configuration_if_needed()
    initdb()
    ended: queue.Queue[int] = queue.Queue()
    for name in COMPONENTS:
        if name != _AFTER_THE_API_SERVER:
            _start(name, ended)
    while ended.empty() and not _answers(conf.getint("api", "port")):
        time.sleep(0.1)
    if ended.empty():
        _start(_AFTER_THE_API_SERVER, ended)
    return ended.get() or 1


def _start(name: str, ended: queue.Queue[int]) -> None:
    """Start a component, and follow what it says until it ends."""
    process = subprocess.Popen(  # noqa: S603 - Airflow's own commands
        module_command("airflow", *COMPONENTS[name]),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )

    def follow() -> None:
        for line in process.stdout or ():
            print(f"{name:13} | {line}", end="", flush=True)
        status = process.wait()
        print(f"{name:13} | has ended with status {status}", flush=True)
        ended.put(status)

    threading.Thread(target=follow, name=name, daemon=True).start()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
