"""The gate's wait, in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum

from airflow.triggers.base import TriggerEvent

from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.watching import alook
from airflow_batchext.triggers._base import DeclaredTrigger
from airflow_batchext.watch import Outcome, Watch


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
    :param extension_names: see the sensor.
    :param allow_empty: see the sensor.
    :param pool_created: the pool's ``creationTime`` when the gate was set, if it was seen.
    """

    pool_id: str
    azure_batchext_conn_id: str
    poll_interval: float
    deadline: float
    started: float
    extension_names: Sequence[str] | None = None
    allow_empty: bool = False
    pool_created: str | None = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, when the gate has ended."""
        watch = Watch(
            self.pool_id,
            extension_names=self.extension_names,
            allow_empty=self.allow_empty,
            pool_created=self.pool_created,
        )
        try:
            async with AzureBatchNodeHook(self.azure_batchext_conn_id, retries=0) as hook:
                event = await self._wait(hook, watch)
        except BatchextError as error:
            event = self._event(GateStatus.FAILED, str(error), {})
        yield event

    async def _wait(self, hook: AzureBatchNodeHook, watch: Watch) -> TriggerEvent:
        said = ""
        pause = self.poll_interval
        while True:
            await asyncio.sleep(max(0.0, min(pause, self.deadline - time.time())))
            verdict = await alook(hook, watch)
            if verdict.summary != said:
                said = verdict.summary
                self.log.info("Pool %s: %s", self.pool_id, said)
            if verdict.outcome is Outcome.OPEN:
                return self._event(GateStatus.OPEN, said, verdict.report())
            if verdict.outcome is Outcome.FAIL:
                return self._event(GateStatus.FAILED, verdict.listed(), verdict.report())
            if time.time() >= self.deadline:
                return self._event(GateStatus.TIMEOUT, verdict.listed(), verdict.report())
            pause = max(self.poll_interval, verdict.retry_after or 0.0)

    def _event(self, status: GateStatus, text: str, report: dict[str, object]) -> TriggerEvent:
        return TriggerEvent({"status": status.value, "text": text, "report": report, "started": self.started})
