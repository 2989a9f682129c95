"""What many tasks in one operator cost, on the worker and in the triggerer.

``AzureBatchTaskOperator(tasks=[…], deferrable=True)`` submits to an emulator in another process, through the
real SDK over TLS; none of the tasks ends. Then its trigger looks eleven times in a row, as in Airflow's
triggerer: once the whole list, then what has changed, and the whole list again.

*Requests* to submit include those that make the job and tell it to end. *Peak* is the memory that the process
had at most, with Airflow and the SDK in it. Each line is a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred

from benchmarks.machine import emulator_process, markdown
from benchmarks.triggerer import CONN_ID, connect, make_pools

COUNTS = (100, 1_000, 10_000)
LOOKS = 11
POOL_ID = "work"
#: What this process has sent so far.
sent: Counter[str] = Counter()


def count_requests() -> None:
    """Count what leaves this process, sync and async."""
    from airflow_batchext.hooks._base import BatchHook

    send, asend = BatchHook._send, BatchHook._asend

    def counted(hook: Any, request: Any) -> Any:
        sent["requests"] += 1
        return send(hook, request)

    async def acounted(hook: Any, request: Any) -> Any:
        sent["requests"] += 1
        return await asend(hook, request)

    BatchHook._send, BatchHook._asend = counted, acounted  # type: ignore[method-assign, assignment]


def measure(count: int) -> dict[str, float]:
    """Submit so many tasks, and look at them."""
    from airflow_batchext.operators.task import AzureBatchTaskOperator

    count_requests()
    task = AzureBatchTaskOperator(
        task_id="many",
        pool_id=POOL_ID,
        azure_batchext_conn_id=CONN_ID,
        tasks=[f"/bin/sh -c 'render --frame {number}'" for number in range(count)],
        environment={"SCENE": "a"},
        deferrable=True,
    )
    instance = SimpleNamespace(
        dag_id="bench", run_id=f"r{count}", task_id="many", try_number=1, max_tries=2, map_index=-1
    )
    began, cpu = time.perf_counter(), time.process_time()
    try:
        task.execute({"ti": instance, "dag_run": SimpleNamespace(start_date="now")})  # type: ignore[typeddict-item]
    except TaskDeferred as deferred:
        trigger: Any = deferred.trigger
    else:
        raise SystemExit("nothing was waited for")
    found = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "requests": float(sent["requests"]),
    }
    sent.clear()
    cpu = time.process_time()
    asyncio.run(_look(trigger))
    looks = {"look_cpu": (time.process_time() - cpu) / LOOKS, "look_requests": sent["requests"] / LOOKS}
    return {**found, **looks, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


async def _look(trigger: Any) -> None:
    from airflow_batchext.hooks._drivers.work_items import ItemsPlace, ItemsWatch
    from airflow_batchext.hooks.job import AzureBatchJobHook

    place = ItemsPlace(tuple(trigger.job_ids), trigger.pool_id, trigger.key)
    watch = ItemsWatch(place, trigger.life, trigger.count)
    async with AzureBatchJobHook(CONN_ID, retries=0) as hook:
        for _ in range(LOOKS):
            stage, text = watch.take(await hook.arun(watch.look(is_last=False)))
            if stage:
                raise SystemExit(text)


def told(count: int) -> tuple[str, ...]:
    """One line of the table."""
    command = [sys.executable, "-m", "benchmarks.many", str(count)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(ended.stdout.splitlines()[-1])
    return (
        f"{count:,}",
        f"{found['seconds']:.1f}",
        f"{found['cpu']:.1f}",
        f"{found['requests']:.0f}",
        f"{found['look_requests']:.1f}",
        f"{found['look_cpu'] * 1000:.0f}",
        f"{found['peak']:.0f}",
    )


HEAD = ("tasks", "submitted s", "CPU s", "requests", "requests/look", "CPU ms/look", "peak MB")


def report() -> str:
    """Measure and tell."""
    with emulator_process({"tasks": [{"exit_code": None}]}, time_scale=1) as info:
        connect(info)
        make_pools(info, [POOL_ID])
        return markdown(HEAD, [told(count) for count in COUNTS])


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
