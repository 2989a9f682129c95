"""What gates cost in one triggerer: processor time, memory, stalls of its event loop, and reads.

The triggers run as in Airflow's triggerer: all of them in one event loop, in a process of its own. They look
at an emulator in another process, through the real SDKs over TLS, every 30 seconds. Pools of ten nodes:

one hangs   nine nodes are ready, the extension of one has begun and does not end
all hang    the extensions of all ten nodes have begun and do not end

*ours* is ``AzureBatchExtensionTrigger``. *thread per poll* does it the way the deferrable operators of
Airflow's own Azure provider do: a hook for each trigger, a thread for each poll, ``asyncio.sleep`` between
two of them; it reads what has to be read to know the same: the pool, its nodes, each node's extensions.

    python -m benchmarks.triggerer [--gates 1000] [--seconds 120]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import Request, urlopen

from benchmarks.emulator import machine, memory_of

INTERVAL = 30.0
NODES = 10
CONN_ID = "bench"
# Longer than the first look of every gate takes; what is measured comes after it.
SETTLE = 75.0
STALL_PROBE = 0.02
SCENARIO = {
    "extensions": [
        {"pool": "one-*", "node": 0, "outcome": "hang"},
        {"pool": "all-*", "outcome": "hang"},
    ],
    "account": {"pool_quota": 10_000, "dedicated_core_quota": 1_000_000},
}


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
        return ready


def triggers(way: str, pools: list[str]) -> list[Any]:
    """One trigger for each pool in the list."""
    if way == "thread per poll":
        return [ThreadPerPoll(pool) for pool in pools]
    from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger

    deadline = time.time() + 86400
    return [
        AzureBatchExtensionTrigger(
            pool_id=pool,
            azure_batchext_conn_id=CONN_ID,
            poll_interval=INTERVAL,
            deadline=deadline,
            started=time.time(),
        )
        for pool in pools
    ]


def count_reads() -> list[None]:
    """A list that grows with every answer of the service."""
    from airflow_batchext.hooks._async_clients import ServiceClock

    reads: list[None] = []
    note = ServiceClock.note

    def count(clock: ServiceClock, response: Any) -> None:
        reads.append(None)
        note(clock, response)

    ServiceClock.note = count  # type: ignore[method-assign]
    return reads


async def _watch_stalls(longest: list[float]) -> None:
    """Note how much later than asked for the event loop comes back."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(STALL_PROBE)
        longest[0] = max(longest[0], time.perf_counter() - asked - STALL_PROBE)


async def wait(way: str, pools: list[str], seconds: float) -> dict[str, float]:
    """Let gates wait for so long, and say what that took."""
    reads = count_reads()
    before = memory_of(os.getpid())
    tasks = []
    for trigger in triggers(way, pools):
        tasks.append(asyncio.ensure_future(anext(trigger.run())))
        if len(tasks) % 50 == 0:  # as many as Airflow's triggerer takes at a time
            await asyncio.sleep(1.0)
    await asyncio.sleep(SETTLE)
    longest = [0.0]
    probe = asyncio.ensure_future(_watch_stalls(longest))
    cpu, began, first = time.process_time(), time.monotonic(), len(reads)
    await asyncio.sleep(seconds)
    minutes = (time.monotonic() - began) / 60
    result = {
        "cpu": (time.process_time() - cpu) / minutes,
        "stall": longest[0] * 1000,
        "memory": (memory_of(os.getpid()) - before) / len(pools) * 1024,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "reads": (len(reads) - first) / minutes,
    }
    ended = [task for task in tasks if task.done()]
    for task in [probe, *tasks]:
        task.cancel()
    await asyncio.gather(probe, *tasks, return_exceptions=True)
    if ended:
        raise SystemExit(
            f"{len(ended)} gates ended, the first with: {ended[0].exception() or ended[0].result()}"
        )
    return result


@contextmanager
def emulator(scenario: object) -> Iterator[SimpleNamespace]:
    """``batchext emulator`` as a process, with a clock that stands still."""
    program = Path(sys.executable).with_name("batchext")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(scenario, file)
        file.flush()
        command = [str(program), "emulator", "--time-scale", "0", "--scenario", file.name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield SimpleNamespace(**json.loads(process.stdout.readline()))
            finally:
                process.terminate()


def control(info: SimpleNamespace, method: str, path: str, body: object = None) -> Any:
    """Ask something of the emulator that is not Azure's."""
    request = Request(
        f"{info.http_endpoint}/emulator{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Key {info.key}", "Content-Type": "application/json"},
    )
    with urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"null")


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
    control(info, "POST", "/clock", {"advance": 600})


def connect(info: SimpleNamespace) -> None:
    """Give this process, and those that it starts, a connection to the emulator."""
    from airflow_batchext.testing import airflow_connection

    os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(airflow_connection(info))  # type: ignore[arg-type]


def run(way: str, pools: list[str], seconds: float) -> dict[str, float]:
    """``wait`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.triggerer", "--way", way, "--seconds", str(seconds)]
    done = subprocess.run(command, input=json.dumps(pools), stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gates", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(asyncio.run(wait(options.way, json.load(sys.stdin), options.seconds))))
        return
    print(machine())
    one, every = ([f"{kind}-{i}" for i in range(options.gates)] for kind in ("one", "all"))
    cases = [("one hangs", one), ("all hang", every), ("one hangs, 100 gates on one pool", one[:1] * 100)]
    with emulator(SCENARIO) as info:
        connect(info)
        make_pools(info, one + every)
        for history, pools in cases:
            for way in ("ours", "thread per poll"):
                print(history, len(pools), way, run(way, pools, options.seconds), flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="batchext-bench-") as home:
        os.environ.setdefault("AIRFLOW_HOME", home)
        main()
