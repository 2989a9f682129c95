"""How fast the emulator answers for a pool of ten thousand nodes, over a socket, and what memory it takes.

Beside each time stands that of a plain Starlette application that sends a body of the same size, asked in
the same way: what is above it is the emulator's own. Ends with status 1 if a limit is exceeded.

    python benchmarks/emulator.py [--nodes 10000] [--rounds 200]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

MEDIAN_LIMIT_MS = 20.0
MEMORY_LIMIT_MB = 300.0
VERSION = "api-version=2025-06-01"
POOL = {
    "id": "large",
    "vmSize": "standard_d1_v2",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "ubuntuserver", "sku": "18.04-lts"},
        "nodeAgentSKUId": "batch.node.ubuntu 18.04",
        "extensions": [
            {
                "name": name,
                "publisher": "Microsoft.Azure.KeyVault",
                "type": "KeyVaultForLinux",
                "settings": {"secretsManagementSettings": {"pollingIntervalInS": "300"}},
            }
            for name in ("first", "second", "third")
        ],
    },
}
PLAIN = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

async def plain(request):
    return Response(b"x" * int(request.path_params["size"]), media_type="application/json")

print(sys.argv[1], flush=True)
app = Starlette(routes=[Route("/{size}", plain)])
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
"""


@dataclass
class Timing:
    """The same request, many times."""

    what: str
    size: int
    milliseconds: list[float]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.milliseconds)

    @property
    def slow(self) -> float:
        """The one that 95 of 100 are faster than."""
        return statistics.quantiles(self.milliseconds, n=20)[-1]


class Client:
    """One connection that is kept open, as the SDKs keep theirs."""

    def __init__(self, host: str, token: str = "") -> None:
        """Connect to ``host:port``; ``token`` signs in to the data plane."""
        self._connection = http.client.HTTPConnection(host, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        """Send a request and return what was answered."""
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, data, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status} {content[:500].decode()}")
        return content

    def time(self, what: str, path: str, rounds: int) -> Timing:
        """GET the same path many times; the first ones do not count."""
        size = len(self.ask("GET", path))
        for _ in range(rounds // 10):
            self.ask("GET", path)
        taken = []
        for _ in range(rounds):
            start = time.perf_counter()
            self.ask("GET", path)
            taken.append((time.perf_counter() - start) * 1000)
        return Timing(what, size, taken)


@contextmanager
def emulator() -> Iterator[tuple[dict[str, str], int]]:
    """``batchext emulator`` as a process: what it says of itself, and its process id."""
    program = Path(sys.executable).with_name("batchext")
    command = [str(program), "emulator", "--time-scale", "10000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline()), process.pid
        finally:
            process.terminate()


@contextmanager
def plain(port: int) -> Iterator[Client]:
    """A Starlette application that sends as many bytes as the path says."""
    command = [sys.executable, "-c", PLAIN, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield _reached(f"127.0.0.1:{port}")
        finally:
            process.terminate()


def _reached(host: str) -> Client:
    for _ in range(100):
        client = Client(host)
        try:
            client.ask("GET", "/1")
        except ConnectionError:
            time.sleep(0.1)
        else:
            return client
    raise SystemExit(f"nothing listens on {host}")


def sign_in(info: dict[str, str]) -> Client:
    """Return a client of the data plane, over plain HTTP with a token."""
    host = urlsplit(info["http_endpoint"]).netloc
    form = {
        "grant_type": "client_credentials",
        "client_id": info["client_id"],
        "client_secret": info["client_secret"],
        "scope": "https://batch.core.windows.net//.default",
    }
    connection = http.client.HTTPConnection(host, timeout=10)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", f"/{info['tenant_id']}/oauth2/v2.0/token", urlencode(form), headers)
    return Client(host, json.load(connection.getresponse())["access_token"])


def grow(client: Client, nodes: int) -> str:
    """Create the large pool, wait until its nodes are idle, and return the id of one of them."""
    client.ask("POST", f"/pools?{VERSION}", {**POOL, "targetDedicatedNodes": nodes})
    path = f"/pools/large/nodes?{VERSION}"
    for _ in range(600):
        here = json.loads(client.ask("GET", path))["value"]
        if here and all(node["state"] == "idle" for node in here):
            pool = json.loads(client.ask("GET", f"/pools/large?{VERSION}"))
            assert pool["currentDedicatedNodes"] == nodes, pool
            return str(here[len(here) // 2]["id"])
        time.sleep(0.1)
    raise SystemExit("the pool did not come up")


def memory_of(process: int) -> float:
    """Return the resident memory of a process in megabytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def machine() -> str:
    """Name the machine that the times belong to."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    cores = len(os.sched_getaffinity(0))
    python = platform.python_version()
    return f"{model or platform.machine()}, {cores} cores, {platform.system()}, Python {python}"


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    with emulator() as (info, process):
        client = sign_in(info)
        node = grow(client, options.nodes)
        asked = [
            ("first page of nodes (1000)", f"/pools/large/nodes?{VERSION}"),
            ("the same, $select=id,state", f"/pools/large/nodes?{VERSION}&$select=id,state"),
            ("first page of nodes (100)", f"/pools/large/nodes?{VERSION}&maxresults=100"),
            ("one node's extensions", f"/pools/large/nodes/{node}/extensions?{VERSION}"),
            ("one node", f"/pools/large/nodes/{node}?{VERSION}"),
            ("the pool", f"/pools/large?{VERSION}"),
        ]
        timings = [client.time(what, path, options.rounds) for what, path in asked]
        memory = memory_of(process)
        port = urlsplit(info["http_endpoint"]).port or 0
    # The port that the emulator had is free again.
    with plain(port) as simple:
        bases = [simple.time(timing.what, f"/{timing.size}", options.rounds) for timing in timings]
    print(f"Emulator of Azure Batch, pool of {options.nodes} nodes\n{machine()}\n")
    rounds = f"median of {options.rounds}"
    print(f"{rounds:28} {'bytes':>8} {'ms':>7} {'95 %':>7} {'plain':>7} {'ratio':>6}")
    for timing, base in zip(timings, bases, strict=True):
        ratio = timing.median / base.median
        line = f"{timing.what:28} {timing.size:8} {timing.median:7.2f} {timing.slow:7.2f}"
        print(f"{line} {base.median:7.2f} {ratio:6.1f}")
    print(f"\nmemory of the process: {memory:.0f} MB")
    slow = [timing.what for timing in timings if timing.median > MEDIAN_LIMIT_MS]
    for what in slow:
        print(f"over the limit of {MEDIAN_LIMIT_MS:.0f} ms: {what}")
    if memory > MEMORY_LIMIT_MB:
        print(f"over the limit of {MEMORY_LIMIT_MB:.0f} MB")
    return 1 if slow or memory > MEMORY_LIMIT_MB else 0


if __name__ == "__main__":
    sys.exit(main())
