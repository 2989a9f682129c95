"""What gates cost in one triggerer: processor time, memory, stalls of its event loop, and reads.

The triggers run as in Airflow's triggerer: all of them in one event loop, in a process of its own. They look
at an emulator in another process, through the real SDKs over TLS, every 30 seconds. Pools of ten nodes:

one hangs   nine nodes are ready, the extension of one has begun and does not end
all hang    the extensions of all ten nodes have begun and do not end

*ours* is ``AzureBatchExtensionTrigger``. *thread per poll* waits as the deferrable operators of Airflow's own
Azure provider do: a hook for each trigger, a thread for each poll, ``asyncio.sleep`` between two of them; it
reads what has to be read to know the same: the pool, its nodes, each node's extensions. *shared stream* is
our gate on Airflow's own way to let triggers share a poll (``SharedStreamManager``, Airflow 3.3).

Two minutes are measured, after every gate has looked once: four looks, one of which our gates make at the
whole pool. Of the looks that were due, *looks made* are those for which there was time; a look of gates that
share is that of each.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.triggers.shared_stream import SharedStreamManager

from airflow_batchext.rules.gate import Outcome, Verdict
from airflow_batchext.rules.watch import Watch
from benchmarks.machine import control, emulator_process, markdown, memory_of

INTERVAL = 30.0
NODES = 10
CONN_ID = "bench"
# What is measured comes after the first looks of all gates, which read more and come at about the same time.
SETTLE = 35.0
SECONDS = 120.0
GATES = 1000
# Looking for stalls costs time of its own, so it is done in the half minute after the measured two.
STALL_SECONDS = 30.0
STALL_PROBE = 0.01
SCENARIO = {
    "extensions": [
        {"pool": "one-*", "node": 0, "outcome": "hang"},
        {"pool": "all-*", "outcome": "hang"},
    ],
    "account": {"pool_quota": 10_000, "dedicated_core_quota": 1_000_000},
}


#: What this process has done so far.
done: Counter[str] = Counter()


class ThreadPerPoll:
    """The way of the official ``AzureBatchTrigger``, with the reads that a gate needs."""

    def __init__(self, pool_id: str) -> None:
        self.pool_id = pool_id

    async def run(self) -> AsyncIterator[object]:
        """Yield when every extension of every node has succeeded."""
        from airflow_batchext.hooks.node import AzureBatchNodeHook

        hook = AzureBatchNodeHook(CONN_ID)
        while True:
            if await asyncio.to_thread(self._ready, hook):
                yield None
            await asyncio.sleep(INTERVAL)

    def _ready(self, hook: Any) -> bool:
        client = hook.get_conn()
        pool = client.get_pool(self.pool_id)
        nodes = list(client.list_nodes(self.pool_id))
        ready = len(nodes) >= (pool.target_dedicated_nodes or 0)
        for node in nodes:
            for extension in client.list_node_extensions(self.pool_id, node.id):
                statuses = extension.as_dict().get("instanceView", {}).get("statuses") or []
                ready &= all(status.get("code") == "ProvisioningState/succeeded" for status in statuses)
        done["looks"] += 1
        return ready


class Streamed(BaseEventTrigger):
    """Our gate, on a shared stream of Airflow's."""

    manager = SharedStreamManager()

    def __init__(self, pool_id: str, number: int) -> None:
        super().__init__()
        self.pool_id = pool_id
        self.number = number

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As a trigger's row has it."""
        return "benchmarks.triggerer.Streamed", {"pool_id": self.pool_id, "number": self.number}

    def shared_stream_key(self) -> str:
        """Gates on one pool share."""
        return self.pool_id

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Verdict]:
        """What each look comes to."""
        from airflow_batchext.hooks._drivers.gate import alook
        from airflow_batchext.hooks.node import AzureBatchNodeHook

        watch = Watch(kwargs["pool_id"])
        async with AzureBatchNodeHook(CONN_ID, retries=0) as hook:
            while True:
                verdict = await alook(hook, watch)
                yield verdict
                await asyncio.sleep(watch.pause(INTERVAL, verdict))

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """As the triggerer runs it."""
        stream = self.manager.subscribe(trigger_id=self.number, trigger=self, key=self.shared_stream_key())
        async for verdict in stream:
            done["looks"] += 1
            if verdict.outcome is not Outcome.WAIT:
                yield TriggerEvent(verdict.listed())


def triggers(way: str, pools: list[str]) -> list[Any]:
    """One trigger for each pool in the list."""
    if way == "thread per poll":
        return [ThreadPerPoll(pool) for pool in pools]
    if way == "shared stream":
        return [Streamed(pool, number) for number, pool in enumerate(pools)]
    from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger

    now = time.time()
    given = {"azure_batchext_conn_id": CONN_ID, "poll_interval": INTERVAL, "deadline": now + 86400}
    return [AzureBatchExtensionTrigger(pool_id=pool, started=now, **given) for pool in pools]


def count_work() -> None:
    """Count the service's answers, and the looks that our gates get."""
    from airflow_batchext.hooks._async_clients import ServiceClock
    from airflow_batchext.triggers._sharing import SharedLooks

    note, verdict = ServiceClock.note, SharedLooks.verdict

    def count_read(clock: ServiceClock, headers: Any, **where: Any) -> None:
        done["reads"] += 1
        note(clock, headers, **where)

    async def count_look(looks: SharedLooks, *args: Any, **kwargs: Any) -> Verdict:
        found = await verdict(looks, *args, **kwargs)
        done["looks"] += 1
        return found

    ServiceClock.note = count_read  # type: ignore[method-assign]
    SharedLooks.verdict = count_look  # type: ignore[method-assign]


async def _watch_stalls(longest: list[float]) -> None:
    """Note how much later than asked for the event loop comes back."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(STALL_PROBE)
        longest[0] = max(longest[0], time.perf_counter() - asked - STALL_PROBE)


async def wait(way: str, pools: list[str]) -> dict[str, float]:
    """Let gates wait, and say what a minute of that took."""
    from airflow_batchext.hooks.node import AzureBatchNodeHook

    count_work()
    with AzureBatchNodeHook(CONN_ID) as hook:  # what all ways load is not the gates' memory
        hook.get_pool(pools[0])
    async with AzureBatchNodeHook(CONN_ID) as hook:
        await hook.aget_pool(pools[0])
    memory = memory_of(os.getpid())
    tasks = []
    for trigger in triggers(way, pools):
        tasks.append(asyncio.ensure_future(anext(trigger.run())))
        if len(tasks) % 50 == 0:  # as many as Airflow's triggerer takes at a time
            await asyncio.sleep(1.0)
    for _ in range(300):
        if done["looks"] >= len(pools):
            break
        await asyncio.sleep(1.0)
    await asyncio.sleep(SETTLE)
    before, cpu = done.copy(), time.process_time()
    await asyncio.sleep(SECONDS)
    minutes = SECONDS / 60
    result = {
        "cpu": (time.process_time() - cpu) / minutes,
        "memory": (memory_of(os.getpid()) - memory) / len(pools) * 1024,
        "reads": (done["reads"] - before["reads"]) / minutes,
        "looks": (done["looks"] - before["looks"]) / minutes,
    }
    longest = [0.0]
    probe = asyncio.ensure_future(_watch_stalls(longest))
    await asyncio.sleep(STALL_SECONDS)
    result["stall"] = longest[0] * 1000
    ended = [task for task in tasks if task.done()]
    for task in [probe, *tasks]:
        task.cancel()
    await asyncio.gather(probe, *tasks, return_exceptions=True)
    if ended:
        raise SystemExit(f"{len(ended)} gates ended: {ended[0].exception() or ended[0].result()}")
    return result


def make_pools(info: SimpleNamespace, names: list[str]) -> None:
    """Create pools of ten nodes and let their extensions begin."""
    from airflow_batchext.hooks.pool import AzureBatchPoolHook
    from airflow_batchext.pool_spec import parse_document, request_body

    path = Path(__file__).parent.parent / "dags" / "pools" / "keyvault_ubuntu.json"
    body = request_body(parse_document(path.read_text(encoding="utf-8"), source=path.name))
    body["properties"]["scaleSettings"] = {"fixedScale": {"targetDedicatedNodes": NODES}}
    with AzureBatchPoolHook(CONN_ID) as hook:
        for name in names:
            hook.create_pool(name, body)
    control(info, "/clock", {"advance": 600})


def connect(info: SimpleNamespace) -> None:
    """Give this process, and those that it starts, a connection to the emulator."""
    from airflow_batchext.testing import airflow_connection

    os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(airflow_connection(info))  # type: ignore[arg-type]


def run(way: str, pools: list[str]) -> dict[str, float]:
    """``wait`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.triggerer", way]
    ended = subprocess.run(command, input=json.dumps(pools), stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return result


def told(history: str, way: str, pools: list[str]) -> tuple[str, ...]:
    """One line of the table."""
    found = run(way, pools)
    gates = f"{len(pools):,} on {len(set(pools)):,}"
    return (
        f"{history}: {way}",
        gates,
        f"{found['reads']:,.0f}",
        f"{100 * found['looks'] / (len(pools) * 60 / INTERVAL):.0f} %",
        f"{found['cpu']:.1f}",
        f"{found['cpu'] / found['looks'] * 1000:.2f}",
        f"{found['stall']:.0f}",
        f"{found['memory']:.0f}",
    )


WAYS = ("ours", "shared stream", "thread per poll")
HEAD = ("", "gates on pools", "reads/min", "looks made", "CPU s/min", "CPU ms/look", "stall ms", "kB/gate")


def report() -> str:
    """Measure and tell."""
    one, every = ([f"{kind}-{i}" for i in range(GATES)] for kind in ("one", "all"))
    with emulator_process(SCENARIO) as info:
        connect(info)
        make_pools(info, one + every)
        return markdown(
            HEAD,
            [
                told("one hangs", "ours", one),
                told("all hang", "ours", every),
                told("one hangs", "thread per poll", one),
                *(told("one hangs", way, one[:1] * 100) for way in WAYS),
            ],
        )


if __name__ == "__main__":
    print(json.dumps(asyncio.run(wait(sys.argv[1], json.load(sys.stdin)))))
