"""Many gates that open at once, in real Airflow: how long until their tasks have ended, and at what cost.

All gates of a DAG run wait for one pool, in the triggerer, looking every ten seconds; then its extensions
succeed. *deferred* gates were begun by a worker and go on in one; *from the triggerer* they never see one
(``start_from_trigger``). Airflow runs as processes of its own: SQLite, LocalExecutor with four workers. CPU
is that of all its processes, from the start of the run to its end.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from airflow_batchext.emulator import Emulator, ExtensionScenario, Scenario
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.testing import airflow_connection
from benchmarks.machine import markdown
from tests.airflow.harness import Airflow, wait_until
from tests.conftest import document, official_connection

CONN_ID = "bench"
SIZES = (40, 200)
WAYS = {"deferred": {"deferrable": True}, "from the triggerer": {"start_from_trigger": True}}
DAGS = """
from datetime import datetime, timezone
from airflow.sdk import DAG
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

for size in {sizes}:
    for way, how in {ways}.items():
        with DAG(
            f"{{way.replace(' ', '_')}}_{{size}}",
            schedule=None,
            start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
            max_active_tasks=size,
        ):
            for number in range(size):
                AzureBatchExtensionSensor(
                    task_id=f"gate_{{number}}",
                    pool_id="{{{{ dag_run.conf['pool'] }}}}",
                    azure_batchext_conn_id="official",
                    poke_interval=10,
                    **how,
                )
"""


@dataclass(frozen=True)
class Run:
    """One DAG run: seconds until all gates waited, seconds from the pool's readiness to the end."""

    waiting: float
    opening: float
    cpu: float
    opened: int


def cpu_of(airflow: Airflow) -> float:
    """Processor seconds of all of Airflow's processes so far, those that have ended included."""
    groups = airflow.process_groups
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended; its parent has its time
            continue
        if int(fields[2]) in groups:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(airflow: Airflow, emulator: Emulator, way: str, size: int) -> Run:
    """Play one run."""
    pool = f"p-{way.replace(' ', '-')}-{size}"
    with AzureBatchPoolHook(CONN_ID) as hook:
        hook.create_pool(pool, document(2))
    emulator.clock.advance(300)
    dag = f"{way.replace(' ', '_')}_{size}"
    cpu, began = cpu_of(airflow), time.monotonic()
    run_id = airflow.trigger(dag, {"pool": pool})
    states = {}

    def all_wait() -> bool:
        states.update(airflow.states(dag, run_id))
        return sum(state == "deferred" for state in states.values()) == size

    wait_until("all gates to wait", all_wait, 600)
    waiting = time.monotonic() - began
    time.sleep(15)  # one more look of each
    emulator.clock.advance(10_000)
    began = time.monotonic()
    airflow.finish(dag, run_id, 600)
    opening = time.monotonic() - began
    opened = sum(state == "success" for state in airflow.states(dag, run_id).values())
    return Run(waiting, opening, cpu_of(airflow) - cpu, opened)


def report() -> str:
    """Measure and tell."""
    rows = []
    slow = Scenario(extensions=[ExtensionScenario(extension="secretext", after=5000)])
    with tempfile.TemporaryDirectory() as folder, Emulator(scenario=slow, time_scale=0) as emulator:
        home = Path(folder)
        (home / "dags").mkdir()
        (home / "dags" / "opening.py").write_text(DAGS.format(sizes=SIZES, ways=WAYS))
        os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(airflow_connection(emulator.info))
        airflow = Airflow(home, home / "dags", {"official": official_connection(emulator)})
        airflow.environment |= {"AIRFLOW__CORE__PARALLELISM": "4"}
        try:
            airflow.start()
            for size in SIZES:
                for way in WAYS:
                    run = measure(airflow, emulator, way, size)
                    figures = (f"{run.waiting:.0f}", f"{run.opening:.0f}", f"{run.cpu:.0f}")
                    rows.append((f"{size} gates, {way}", *figures, f"{run.opened} of {size}"))
        finally:
            airflow.stop()
    return markdown(("", "s until all wait", "s from ready to end", "CPU s", "opened"), rows)
