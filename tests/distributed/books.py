"""What the emulator's own books say of each pool, looked at four times a second while the run goes on.

It is the oracle of the main run: it knows nothing of the package's rules, only of the records from which the
emulator computes its answers, and notes when it saw what first. Pools are gone when the run is over, so
somebody has to look in time.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import Self

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_batchext.emulator import Emulator
    from airflow_batchext.emulator.account import Pool

#: Seconds between two looks: nothing is noted earlier than it was, and not later than by this.
INTERVAL = 0.25


@dataclass
class PoolRecord:
    """What was seen of one pool; times are of the wall clock, None where it was never seen.

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
        self._thread = threading.Thread(target=self._keep, name="books", daemon=True)

    def progress(self, pools: Collection[str]) -> float:
        """How far a run with these pools is, from 0 to 1: half of it is their making, half their deletion."""
        records = [self.records.get(pool, PoolRecord()) for pool in pools]
        steps = sum((record.made > 0) + (record.deleted is not None) for record in records)
        return steps / (2 * len(records))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._closing.wait(INTERVAL):
            with self._account.lock:
                for pool in self._account.pools():
                    self._note(pool, self.records.setdefault(pool.name, PoolRecord()))

    def _note(self, pool: Pool, record: PoolRecord) -> None:
        now = time.time()
        record.made = max(record.made, pool.generation)
        if pool.deleted is not None:
            record.deleted = record.deleted or now
            return
        if pool.resize.is_running(self._account.clock.now()):
            return
        if pool.resize.errors:
            record.short = record.short or now
        nodes = self._account.nodes(pool.name)
        outcomes = {
            extension.outcome
            for node in nodes
            for name, extension in self._account.extensions_of(pool, node).items()
            if name == "agent"
        }
        if "fail" in outcomes:
            record.failed = record.failed or now
        if len(nodes) == pool.definition.scale.dedicated and outcomes == {"succeed"}:
            record.ready = record.ready or now
