"""How fast the emulator answers for a pool of ten thousand nodes, over a socket, and what memory it takes.

Beside each time stands that of a plain Starlette application that sends a body of the same size, asked in
the same way: what is above it is the emulator's own. It ends with an error if a limit is exceeded.
"""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from benchmarks.machine import emulator_process, markdown, memory_of

NODES = 10_000
ROUNDS = 200
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
    """A client of the data plane, over plain HTTP with a token."""
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


def report() -> str:
    """Measure and tell; raises if a limit is exceeded."""
    with emulator_process(time_scale=10_000) as info:
        client = sign_in(vars(info))
        node = grow(client, NODES)
        asked = [
            ("first page of nodes (1000)", f"/pools/large/nodes?{VERSION}"),
            ("the same, `$select=id,state`", f"/pools/large/nodes?{VERSION}&$select=id,state"),
            ("first page of nodes (100)", f"/pools/large/nodes?{VERSION}&maxresults=100"),
            ("one node's extensions", f"/pools/large/nodes/{node}/extensions?{VERSION}"),
            ("one node", f"/pools/large/nodes/{node}?{VERSION}"),
            ("the pool", f"/pools/large?{VERSION}"),
        ]
        timings = [client.time(what, path, ROUNDS) for what, path in asked]
        memory = memory_of(info.pid)
        port = urlsplit(info.http_endpoint).port or 0
    # The port that the emulator had is free again.
    with plain(port) as simple:
        bases = [simple.time(timing.what, f"/{timing.size}", ROUNDS) for timing in timings]
    head = (f"pool of {NODES:,} nodes", "bytes", "median ms", "95 % ms", "plain ms", "ratio")
    rows = [
        (
            timing.what,
            f"{timing.size:,}",
            f"{timing.median:.2f}",
            f"{timing.slow:.2f}",
            f"{base.median:.2f}",
            f"{timing.median / base.median:.1f}",
        )
        for timing, base in zip(timings, bases, strict=True)
    ]
    slow = [timing.what for timing in timings if timing.median > MEDIAN_LIMIT_MS]
    if slow or memory > MEMORY_LIMIT_MB:
        raise SystemExit(
            f"over the limits of {MEDIAN_LIMIT_MS} ms and {MEMORY_LIMIT_MB} MB: {slow}, {memory} MB"
        )
    note = f"Memory of the process: {memory:.0f} MB. Each figure is of {ROUNDS} requests."
    return f"{markdown(head, rows)}\n\n{note}"
