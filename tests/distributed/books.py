"""What the emulator's own books say of each pool, looked at four times a second while the run goes on.

It is the oracle of the main run: it knows nothing of the package's rules, only of the records from which the
emulator computes its answers. What happened when stands in these records, by the emulator's clock, which is
the wall's; but pools are gone when the run is over, so somebody has to look in time.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_batchext.emulator import Emulator
    from airflow_batchext.emulator.account.account import Pool

_INTERVAL_SECONDS = 0.25


@dataclass
class PoolRecord:
    """What was seen of one pool; times in seconds since the epoch, None where it was never seen.

    :param made: how many pools of this name were created.
    :param ready: since when it has had all its nodes, and all their extensions have succeeded.
    :param failed: since when an extension on one of its nodes has failed.
    :param short: since when its resize has ended with an error.
    :param deleted: since when it has been on its way out.
    """

    made: int = 0
    ready: float | None = None
    failed: float | None = None
    short: float | None = None
    deleted: float | None = None

    @property
    def opens(self) -> bool:
        """Whether a gate on it has to open."""
        return self.ready is not None

    @property
    def decided(self) -> float | None:
        """Since when a gate may have opened, or may have failed for a reason that will not pass."""
        times = [time for time in (self.ready, self.failed, self.short) if time is not None]
        return min(times, default=None)


class Books:
    """Looks at the emulator's pools until it is closed; use it in a ``with`` block."""

    def __init__(self, service: Emulator) -> None:
        self.records: dict[str, PoolRecord] = {}
        self._account = service.account
        self._closing = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="books")

    def progress(self, pools: Collection[str]) -> float:
        """How far a run with these pools is, from 0 to 1: half of it is their making, half their deletion."""
        records = [self.records.get(pool, PoolRecord()) for pool in pools]
        steps = sum((record.made > 0) + (record.deleted is not None) for record in records)
        return steps / (2 * len(records))

    def __enter__(self) -> Self:
        self._keeping = self._thread.submit(self._keep)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._keeping.result()
        self._thread.shutdown()

    def _keep(self) -> None:
        while not self._closing.wait(_INTERVAL_SECONDS):
            with self._account.lock:
                for pool in self._account.pools():
                    self._note(pool, self.records.setdefault(pool.name, PoolRecord()))

    def _note(self, pool: Pool, record: PoolRecord) -> None:
        record.made = max(record.made, pool.generation)
        if pool.deleted is not None:
            record.deleted = pool.deleted.timestamp()
            return
        if pool.resize.is_running(self._account.clock.now()):
            return
        steady = pool.resize.steady.timestamp()
        if pool.resize.errors:
            record.short = steady
        nodes = self._account.nodes(pool.name)
        found = [self._account.extensions_of(pool, node)["agent"] for node in nodes]
        failed, done = (
            [extension.since.timestamp() for extension in found if extension.outcome == outcome]
            for outcome in ("fail", "succeed")
        )
        if failed:
            record.failed = min(failed)
        if len(nodes) == pool.definition.scale.dedicated == len(done):
            record.ready = max(steady, *done)
