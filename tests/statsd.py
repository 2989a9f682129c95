"""A statsd server as small as can be: what was sent to it, by name."""

from __future__ import annotations

import socket
from contextlib import suppress


class Statsd:
    """Listens on a UDP port of its own.

    ``received`` has for each name what was sent, in order: ("2", "c") for a counter, ("1.5", "ms") for a
    timer, ("7", "g") for a gauge. Names are with their tags, as in ``airflow.batchext.reads,plane=data``.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._received: dict[str, list[tuple[str, str]]] = {}

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @property
    def environment(self) -> dict[str, str]:
        """What makes Airflow send to it, with tags."""
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self.port),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
            "AIRFLOW__METRICS__METRICS_ALLOW_LIST": "batchext",
        }

    @property
    def received(self) -> dict[str, list[tuple[str, str]]]:
        with suppress(BlockingIOError):
            while True:
                for line in self._socket.recv(65_536).decode().splitlines():
                    name, _, rest = line.rpartition(":")
                    value, _, kind = rest.partition("|")
                    self._received.setdefault(name, []).append((value, kind))
        return self._received

    def total(self, name: str) -> int:
        """The sum of a counter over all its tags."""
        found = (sent for key, sent in self.received.items() if key.partition(",")[0] == f"airflow.{name}")
        return sum(int(value) for sent in found for value, kind in sent if kind == "c")

    def forget(self) -> None:
        self.received.clear()

    def close(self) -> None:
        self._socket.close()
