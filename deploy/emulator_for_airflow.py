"""The service ``batch-emulator`` of docker-compose.override.yaml: the emulator, and a connection to it.

The folder is a volume that Airflow's containers see, too, at the same place: in it are the connections, as
Airflow's ``LocalFilesystemBackend`` reads them, the emulator's certificate, and its state. The host has to be
the name under which the containers find this one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from airflow_batchext.emulator import Emulator
from airflow_batchext.testing import airflow_connection


def main(
    host: str, folder: str, time_scale: str, https_port: str = "10001", http_port: str = "10000"
) -> None:
    """Serve until SIGTERM or SIGINT."""
    place = Path(folder)
    tempfile.tempdir = folder  # the certificate has to be where the others find it
    # Blocked before any thread is started, and so in all of them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    with Emulator(
        host,
        https_port=int(https_port),
        http_port=int(http_port),
        time_scale=float(time_scale),
        state=place / "azure-batch.json",
    ) as emulator:
        connections = {"azure_batchext_default": airflow_connection(emulator.info)}
        new = place / f".connections.{os.getpid()}"
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(connections, file)
        new.replace(place / "connections.json")
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main(*sys.argv[1:])
