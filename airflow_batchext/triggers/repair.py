"""A repair, in the triggerer: it looks, and does what comes next, until it has ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from airflow.triggers.base import TriggerEvent

from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks._drivers.gate import GIVE_BACK_SECONDS, adrive, agive_back
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.live.form import Snapshot
from airflow_batchext.live.writer import Live, in_triggerer
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.status import Stage, ended, lease_for
from airflow_batchext.transport import look_within, within
from airflow_batchext.triggers._base import DeclaredTrigger
from airflow_batchext.triggers._ending import end_repair, shielded
from airflow_batchext.triggers._failing import connection_text

#: The stage of an event where the triggerer could not even look.
NOT_LOOKED = "not looked"


@dataclass(kw_only=True, eq=False)
class AzureBatchRepairTrigger(DeclaredTrigger):
    """Repairs nodes until nothing is left to repair, nothing can be done any more, or the deadline passes.

    What it has done it writes down in the pool, so a new triggerer goes on where another one died, and of two
    that run at once one has to wait. Its one event has the payload ``stage`` ("done", "failed", "timeout" or
    ``NOT_LOOKED``), ``text`` (why, in words) and ``report`` (what was done).

    :param pool_id: the pool.
    :param azure_batchext_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks.
    :param deadline: when to give up, in seconds since the epoch.
    :param owner: who repairs the pool: the same in each try of the same task.
    :param policy: what may be done, as ``RepairPolicy.to_json`` writes it.
    :param node_ids: repair exactly these nodes, whatever they are like.
    :param pool_created: the ``creationTime`` of the pool that is meant.
    :param not_before: when to look first, in seconds since the epoch.
    :param told: what the worker has told the live page, as ``live.snapshot`` writes it.
    """

    pool_id: str
    azure_batchext_conn_id: str
    poll_interval: float
    deadline: float
    owner: str
    policy: dict[str, Any] = field(default_factory=dict)
    node_ids: list[str] | None = None
    pool_created: str | None = None
    not_before: float = 0.0
    told: dict[str, Any] | None = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, when the repair has ended."""
        live = in_triggerer(self, self._about, self.told)
        try:
            # The trigger's own rhythm repeats what failed; the SDK's would delay the deadline.
            async with AzureBatchNodeHook(self.azure_batchext_conn_id, retries=0) as hook:
                payload = await self._repair_nodes(hook, live)
        except BatchextError as error:
            text = connection_text(error, self.azure_batchext_conn_id)
            payload = {"stage": NOT_LOOKED, "text": text, "report": {}}
        finally:
            live.close()
        yield TriggerEvent(payload)

    async def _repair_nodes(self, hook: AzureBatchNodeHook, live: Live) -> dict[str, Any]:
        repair = self._repair()
        pause, said = max(0.0, self.not_before - time.time()), ""
        while True:
            await asyncio.sleep(max(0.0, min(pause, self.deadline - time.time())))
            left = self.deadline - time.time()
            with look_within(left):
                looked = repair.look(hook.cautious_time, seconds_left=left)
                progress = await adrive(hook, self.pool_id, looked)
            if progress.text != said:
                said = progress.text
                self.log.info("Pool %s: %s", self.pool_id, said)
            if progress.stage is not Stage.WORKING:
                return ended(self.pool_id, progress)
            if left <= 0:
                with within(GIVE_BACK_SECONDS):
                    given_back = await agive_back(hook, repair, interval=0, looks=2)
                return ended(self.pool_id, progress, given_back=given_back)
            pause = repair.pause(self.poll_interval, progress)
            live.sees_repair(self.pool_id, progress, hook.known_connection)
            live.waits(max(0.0, min(pause, self.deadline - time.time())))

    def _about(self) -> Snapshot:
        """What is known of it before the first look, for the live page; the operator has told the rest."""
        return Snapshot(
            kind="repair",
            pool=self.pool_id,
            connection=self.azure_batchext_conn_id,
            deadline=self.deadline,
            interval=self.poll_interval,
        )

    def _repair(self) -> Repair:
        repair = Repair(
            self.pool_id,
            RepairPolicy.from_json(self.policy),
            owner=self.owner,
            node_ids=self.node_ids,
            lease=lease_for(self.poll_interval),
        )
        repair.pool_created = self.pool_created
        return repair

    async def on_kill(self) -> None:
        """Put the pool's targets back, if it was a user who ended the task."""
        await shielded(end_repair(self, self.azure_batchext_conn_id, self._repair(), self.poll_interval))
