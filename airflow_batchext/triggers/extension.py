"""The gate's wait, in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from airflow.triggers.base import TriggerEvent

from airflow_batchext.exceptions import BatchextError
from airflow_batchext.triggers._base import DeclaredTrigger
from airflow_batchext.triggers._sharing import SharedLooks, shared_looks
from airflow_batchext.verdict import Outcome


class GateStatus(str, Enum):
    """How a gate ended; the ``status`` of the trigger's event."""

    OPEN = "open"
    FAILED = "failed"
    TIMEOUT = "timeout"


@dataclass(kw_only=True, eq=False)
class AzureBatchExtensionTrigger(DeclaredTrigger):
    """Looks at a pool until its gate opens, fails, or its deadline passes.

    Everything it needs is in its arguments, so a new triggerer goes on where another one died; the
    deadline is a moment, not a duration, and does not move then. What extensions have succeeded is read
    again.

    The event's payload: ``status`` (``GateStatus``), ``text`` (the reason, in words), ``report`` (what was
    seen) and ``started`` (as given).

    :param pool_id: the pool.
    :param azure_batchext_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; the first one comes after one interval.
    :param deadline: when to give up, in seconds since the epoch.
    :param started: when the gate was set, in seconds since the epoch.
    :param rules: what the gate asks for, as ``Rules.to_json`` writes it.
    :param pool_created: the pool's ``creationTime`` when the gate was set, if it was seen.
    """

    pool_id: str
    azure_batchext_conn_id: str
    poll_interval: float
    deadline: float
    started: float
    rules: dict[str, Any] = field(default_factory=dict)
    pool_created: str | None = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, when the gate has ended."""
        try:
            async with shared_looks(
                conn_id=self.azure_batchext_conn_id,
                pool_id=self.pool_id,
                rules=self.rules,
                pool_created=self.pool_created,
                interval=self.poll_interval,
            ) as looks:
                event = await self._wait(looks)
        except BatchextError as error:
            event = self._event(GateStatus.FAILED, str(error), {})
        yield event

    async def _wait(self, looks: SharedLooks) -> TriggerEvent:
        since = time.monotonic()
        pause = self.poll_interval
        said = ""
        while True:
            await asyncio.sleep(max(0.0, min(pause, self.deadline - time.time())))
            # The last look is made at the deadline, not some time before it.
            verdict = await looks.verdict(time.monotonic() if time.time() >= self.deadline else since)
            if verdict.summary != said:
                said = verdict.summary
                self.log.info("Pool %s: %s", self.pool_id, said)
            if verdict.outcome is Outcome.OPEN:
                return self._event(GateStatus.OPEN, said, verdict.report())
            if verdict.outcome is Outcome.FAIL:
                return self._event(GateStatus.FAILED, verdict.listed(), verdict.report())
            if time.time() >= self.deadline:
                return self._event(GateStatus.TIMEOUT, verdict.listed(), verdict.report())
            pause = looks.next_look()

    def _event(self, status: GateStatus, text: str, report: dict[str, object]) -> TriggerEvent:
        return TriggerEvent({"status": status.value, "text": text, "report": report, "started": self.started})
