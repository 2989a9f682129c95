"""A whole Airflow for one person: its four components, and nothing that listens beyond this machine.

Called as ``python -m airflow_batchext.cli.demo.components``, with the settings in the environment. It is what
``airflow standalone`` does, but for two things. Airflow's components serve the logs of tasks to other machines,
on every address, and no setting changes that (``airflow.utils.serve_logs``); where all is on one machine, the
web page reads the files, so they are told not to. And it ends, with the same status, when a component ends.
"""

from __future__ import annotations

import subprocess
import sys
import threading

#: What is started, by name, with the words of its ``airflow`` command.
COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}


def main() -> int:
    """Make the metadata database or bring it up to date, and run the components until one ends."""
    from airflow.utils.db import initdb

    initdb()
    ended: list[int] = []
    one_has_ended = threading.Event()

    def follow(name: str, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            print(f"{name:13} | {line}", end="", flush=True)
        ended.append(process.wait())
        print(f"{name:13} | has ended with status {ended[-1]}", flush=True)
        one_has_ended.set()

    for name, words in COMPONENTS.items():
        process = subprocess.Popen(  # noqa: S603 - Airflow's own commands
            [sys.executable, "-m", "airflow", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=follow, args=(name, process), daemon=True).start()
    one_has_ended.wait()
    return ended[0] or 1


if __name__ == "__main__":
    sys.exit(main())
