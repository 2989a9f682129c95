"""Work on a pool that is ready: our operator beside Airflow's own ``AzureBatchOperator``, in real Airflow.

Forty command lines that take 90 to 30 seconds, the longest first, on ten nodes with a slot each; Airflow
runs as processes of its own, SQLite, LocalExecutor with eight workers. The emulator's clock is that of the
wall, and the commands are really run (``run_tasks``), so that both operators have the same work. *makespan*:
from the trigger of the DAG run to its end; *least possible*: of the nodes alone, in that order.
*worker-seconds*: for how long a worker was held, seen every second. *requests* are those for jobs, tasks,
their files and the pool.

And a thousand tasks of one job that wait in one triggerer's event loop: requests in an interval of 30 s.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_batchext.emulator import Emulator, Scenario, Timings
from airflow_batchext.emulator.running import runs
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.testing import airflow_connection
from benchmarks.machine import markdown
from tests.airflow.harness import Airflow, wait_until
from tests.conftest import document, official_connection

CONN_ID = "bench"
POOL, NODES, WORKERS = "p", 10, 8
TASKS, WAITING = 40, 1000
INTERVAL = 10.0
_chance = random.Random(7)
SECONDS = sorted((_chance.uniform(30, 90) for _ in range(TASKS)), reverse=True)
READY = Timings(allocation=0, settling=0, creating=0, starting=0, agent=0, reporting=0)
DAGS = """
from datetime import datetime, timezone
from airflow.providers.microsoft.azure.operators.batch import AzureBatchOperator
from airflow.sdk import DAG
from airflow_batchext.operators.task import AzureBatchTaskOperator

LINES = {lines}
HOW = dict(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), max_active_tasks=100)
for dag, logs, ends in (("none", "none", False), ("ends", "none", True), ("stream", "stream", True)):
    with DAG(f"ours_{{dag}}", **HOW):
        AzureBatchTaskOperator.partial(
            task_id="work",
            pool_id="{pool}",
            azure_batchext_conn_id="official",
            deferrable=True,
            poll_interval={interval},
            logs=logs,
            end_from_trigger=ends,
        ).expand(command_line=LINES)
with DAG("ours_at_once", **HOW):
    AzureBatchTaskOperator(
        task_id="work",
        pool_id="{pool}",
        azure_batchext_conn_id="official",
        deferrable=True,
        poll_interval={interval},
        tasks=LINES,
    )
with DAG("official", **HOW):
    for number, line in enumerate(LINES):
        AzureBatchOperator(
            task_id=f"work_{{number}}",
            azure_batch_conn_id="official",
            batch_pool_id="{pool}",
            batch_pool_vm_size="STANDARD_D2S_V5",
            vm_publisher="canonical",
            vm_offer="ubuntu-24_04-lts",
            vm_sku="server",
            vm_version="latest",
            vm_node_agent_sku_id="batch.node.ubuntu 24.04",
            target_dedicated_nodes={nodes},
            batch_job_id="official",
            batch_task_id=f"work-{{number}}",
            batch_task_command_line=line,
            timeout=120,
        )
"""
WAYS = {
    "ours, tasks= in one": "ours_at_once",
    "ours, mapped, without output": "ours_none",
    "the same, ended in the triggerer": "ours_ends",
    "the same, output in the log": "ours_stream",
    "AzureBatchOperator": "official",
}


@dataclass
class Run:
    """One DAG run, as it was seen from outside."""

    makespan: float = 0.0
    worker_seconds: float = 0.0
    requests: int = 0
    succeeded: int = 0
    instances: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


def least_possible(seconds: list[float], nodes: int) -> float:
    """How long the nodes alone need, in this order."""
    ends = [0.0] * nodes
    for length in seconds:
        ends[ends.index(min(ends))] += length
    return max(ends)


def states(airflow: Airflow, dag: str, run_id: str) -> Counter[str]:
    """How many task instances are in each state."""
    path = f"dags/{dag}/dagRuns/{run_id}/taskInstances"
    return Counter(item["state"] or "none" for item in airflow.get(path, limit=100)["task_instances"])


def measure(airflow: Airflow, emulator: Emulator, dag: str) -> Run:
    """Play one run."""
    emulator.requests.clear()
    run, before = Run(), time.monotonic()
    run_id = airflow.trigger(dag)
    began = last = time.monotonic()

    def ended() -> bool:
        nonlocal last
        now, seen = time.monotonic(), states(airflow, dag, run_id)
        run.worker_seconds += seen["running"] * (now - last)
        last = now
        time.sleep(0.5)
        return airflow.get(f"dags/{dag}/dagRuns/{run_id}")["state"] in ("success", "failed")

    wait_until(f"the end of {dag}", ended, 3600)
    run.makespan = time.monotonic() - began
    seen = states(airflow, dag, run_id)
    run.succeeded, run.instances = seen["success"], seen.total()
    for request in list(emulator.requests):
        path = request.path.partition("?")[0].strip("/")
        if path.startswith(("jobs", "pools")):
            run.kinds[f"{request.method} {path.split('/')[0]}"] += 1
    run.requests = run.kinds.total()
    if len(emulator.requests) == emulator.requests.maxlen:
        raise SystemExit(f"more requests than the emulator remembers, in {time.monotonic() - before:.0f} s")
    return run


def forty() -> str:
    """Measure forty tasks, in each way."""
    runs.MOST_AT_ONCE = TASKS  # they only wait
    lines = [f"/bin/sh -c 'echo begins; sleep {seconds:.1f}; echo ends'" for seconds in SECONDS]
    least = least_possible(SECONDS, NODES)
    rows = [("least possible, of the nodes alone", f"{least:.0f}", "", "", "", "")]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with Emulator(scenario=Scenario(timings=READY), run_tasks=home / "tasks") as emulator:
            _make_pool(emulator)
            (home / "dags").mkdir()
            told = DAGS.format(lines=json.dumps(lines), pool=POOL, interval=INTERVAL, nodes=NODES)
            (home / "dags" / "work.py").write_text(told)
            airflow = Airflow(home, home / "dags", {"official": official_connection(emulator)})
            airflow.environment |= {"AIRFLOW__CORE__PARALLELISM": str(WORKERS)}
            try:
                airflow.start()
                for name, dag in WAYS.items():
                    run = measure(airflow, emulator, dag)
                    each = f"{run.requests / TASKS:.1f}"
                    took = (f"{run.makespan:.0f}", f"{run.makespan / least:.2f}", f"{run.worker_seconds:.0f}")
                    rows.append((name, *took, each, f"{run.succeeded} of {run.instances}"))
                    print(name, run, flush=True)
            finally:
                airflow.stop()
    head = ("", "makespan s", "of the least", "worker-seconds", "requests a task", "succeeded")
    return markdown(head, rows)


def waiting() -> str:
    """Measure a thousand triggers in one event loop."""
    endless = Scenario.model_validate({"timings": READY.model_dump(), "tasks": [{"exit_code": None}]})
    with Emulator(scenario=endless) as emulator:
        _make_pool(emulator)
        names = [f"t{number}" for number in range(WAITING)]
        with AzureBatchJobHook(CONN_ID) as hook:
            hook.create_job("j", {"poolInfo": {"poolId": POOL}})
            hook.create_task("j", names[0], {"commandLine": "true"})
        jobs = emulator.account.jobs
        for name in names[1:]:
            jobs.add("j", name, jobs.task("j", names[0]).document)
        counted = asyncio.run(_wait(emulator, names))
    rows = [(f"{WAITING:,} tasks of one job, an interval of 30 s", f"{counted:.1f}")]
    return markdown(("", "requests an interval"), rows)


async def _wait(emulator: Emulator, names: list[str]) -> float:
    from airflow_batchext.triggers.task import AzureBatchTaskTrigger

    async def play(name: str) -> None:
        given: dict[str, Any] = {"pool_id": POOL, "job_id": "j", "batch_task_id": name, "poll_interval": 30.0}
        one = AzureBatchTaskTrigger(**given, azure_batchext_conn_id=CONN_ID, deadline=time.time() + 3600)
        async for _ in one.run():
            raise SystemExit("a task that never ends has ended")

    playing = [asyncio.create_task(play(name)) for name in names]
    await asyncio.sleep(35)
    before, intervals = len(emulator.requests), 4
    await asyncio.sleep(intervals * 30)
    counted = len(emulator.requests) - before
    for task in playing:
        task.cancel()
    await asyncio.gather(*playing, return_exceptions=True)
    return counted / intervals


def _make_pool(emulator: Emulator) -> None:
    os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(airflow_connection(emulator.info))
    made = document(NODES)
    with AzureBatchPoolHook(CONN_ID) as hook:
        hook.create_pool(POOL, made)


def report() -> str:
    """Measure and tell."""
    return f"{forty()}\n\n{waiting()}"
