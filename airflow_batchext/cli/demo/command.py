"""Runs the example DAG batch_pool_gate through Airflow, on the embedded emulator of Azure Batch.

A pool with a Key Vault extension is created, the gate waits until every node's every extension has
succeeded, their data is read, a downstream task shows it, and the pool is deleted. The time of the
emulated service runs faster than the clock on the wall. Nothing leaves this machine.

Exit status: 0 if the DAG run succeeded, 1 if it failed (as with --fail), 2 if it could not be run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_batchext.cli.demo.airflow_home import (
    airflow_environment,
    clean_environment,
    connection_variables,
    dags_folder,
    module_command,
    one_after_the_other,
)

if TYPE_CHECKING:
    from airflow_batchext.cli.demo.screen import Screen
    from airflow_batchext.emulator import Emulator

POOL_ID = "batchext-demo"
DOCUMENT = "pools/keyvault_ubuntu.json"
TIME_SCALE = 100.0
POLL_SECONDS = 0.5
_GIVE_UP_AFTER_SECONDS = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = __doc__
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--fail", metavar="EXTENSION", help="let this extension fail on one node, and see the gate close"
    )
    parser.add_argument("--nodes", type=int, default=3, help="nodes of the pool, 1 to 20 (default: 3)")


def run(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    problem = _problem(arguments)
    if problem:
        print(f"batchext demo: {problem}", file=sys.stderr)
        return 2
    from airflow_batchext.cli.demo.screen import Screen
    from airflow_batchext.emulator import Emulator

    place = Path(tempfile.mkdtemp(prefix="batchext-demo-"))
    scenario = one_after_the_other(arguments.fail)
    with Emulator(time_scale=TIME_SCALE, scenario=scenario) as emulator, Screen(emulator.info) as screen:
        screen.begin(DOCUMENT, arguments.nodes)
        log, keep = place / "airflow.log", False
        try:
            result = _run_airflow(place, emulator, arguments.nodes, screen)
            keep = result is None or not all(result["reasons"].values())
        except KeyboardInterrupt:
            screen.say("Interrupted.")
            return 130
        finally:
            shutil.rmtree(place / "airflow" if keep else place, ignore_errors=True)
        if result is None:
            screen.say(f"Airflow did not get through; see {log}")
            return 2
        screen.end(result, log)
    return 0 if result["state"] == "success" else 1


def _problem(arguments: argparse.Namespace) -> str:
    from airflow_batchext.pool_spec import expected_extensions, parse_document

    if not 1 <= arguments.nodes <= 20:
        return f"--nodes is {arguments.nodes}; it goes from 1 to 20."
    text = (dags_folder() / DOCUMENT).read_text(encoding="utf-8")
    names = expected_extensions(parse_document(text, source=DOCUMENT))
    if arguments.fail and arguments.fail.lower() not in map(str.lower, names):
        return f"--fail {arguments.fail}: the pool of {DOCUMENT} has the extensions {', '.join(names)}."
    return ""


def _run_airflow(place: Path, emulator: Emulator, nodes: int, screen: Screen) -> dict[str, Any] | None:
    """Run the DAG in a child process with an AIRFLOW_HOME of its own, refreshing the screen meanwhile."""
    home = place / "airflow"
    home.mkdir()
    outcome = place / "result.json"
    environment = clean_environment() | airflow_environment(home, dags_folder())
    environment |= connection_variables(emulator.info)
    environment["AIRFLOW__BATCHEXT__POLL_INTERVAL"] = str(POLL_SECONDS)
    command = module_command(
        "airflow_batchext.cli.demo.airflow_run",
        str(outcome),
        json.dumps({"pool_id": POOL_ID, "nodes": nodes}),
    )
    with (place / "airflow.log").open("w") as log:
        child = subprocess.Popen(  # noqa: S603 - our own module, our own arguments
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        try:
            give_up = time.monotonic() + _GIVE_UP_AFTER_SECONDS
            while child.poll() is None and time.monotonic() < give_up:
                screen.refresh(POOL_ID)
                time.sleep(0.2)
        finally:
            child.kill()
            child.wait()
    if not outcome.exists():
        return None
    result: dict[str, Any] = json.loads(outcome.read_text())
    outcome.unlink()
    return result
