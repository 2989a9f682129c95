"""A whole Airflow for one person: its four components, and nothing that listens beyond this machine.

Called as ``python -m airflow_batchext.cli.demo.components``, with the settings in the environment. It does
what ``airflow standalone`` does, but for two things. Airflow's components serve the logs of tasks to other
machines, on every address, and no setting changes that (``airflow.utils.serve_logs``); where all is on one
machine, the web page reads the files, so they are told not to. And it ends when one of them ends.

The connections of the examples go into its database, as the web page shows no others: each start writes them
anew, as the emulator has other ports then. Nothing runs before every component is there.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from typing import Any

from airflow_batchext.cli.demo.airflow_home import module_command
from airflow_batchext.cli.demo.health import healthy

#: The variable with the connections, as JSON by their ids.
CONNECTIONS = "BATCHEXT_UP_CONNECTIONS"

#: What is started, by name, with the words of its ``airflow`` command.
COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}


_BEFORE = ("metadatabase", "dag_processor", "triggerer")
#: It starts runs, whose tasks ask the API server, and wait in the triggerer.
_LAST = "scheduler"


def main() -> int:
    """Make the metadata database or bring it up to date, and run the components until one ends."""
    from airflow.configuration import conf, write_default_airflow_configuration_if_needed
    from airflow.utils.db import initdb

    # Keys are made up with the file. Each component would have keys of its own if it made the file itself.
    write_default_airflow_configuration_if_needed()
    initdb()
    store(json.loads(os.environ.pop(CONNECTIONS, "{}")))
    ended: queue.Queue[int] = queue.Queue()
    for name in COMPONENTS:
        if name != _LAST:
            _start(name, ended)
    while ended.empty() and not healthy(conf.getint("api", "port"), _BEFORE):
        time.sleep(0.2)
    if ended.empty():
        _start(_LAST, ended)
    return ended.get() or 1


def store(connections: dict[str, dict[str, Any]]) -> None:
    """Write connections into the database, in place of those of the same ids."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        for conn_id, fields in connections.items():
            session.query(Connection).filter(Connection.conn_id == conn_id).delete()
            extra = json.dumps(fields.get("extra") or {})
            session.add(Connection(**{**fields, "conn_id": conn_id, "extra": extra}))


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


if __name__ == "__main__":
    sys.exit(main())
