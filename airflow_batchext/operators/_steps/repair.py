"""Repair the nodes of a pool, in the worker or in the triggerer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_batchext.exceptions import BatchextError, NodeRepairError, PoolTimeoutError
from airflow_batchext.hooks._drivers.diagnosis import causes
from airflow_batchext.hooks._drivers.gate import drive, give_back
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.operators._steps.pool import PoolParameters
from airflow_batchext.parameters import check_pool_id
from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.policy import check_repair_policy
from airflow_batchext.repair.status import Progress, Stage, ended, lease_for, owner_of
from airflow_batchext.transport import look_within
from airflow_batchext.triggers._base import deferral_limit
from airflow_batchext.triggers.repair import AzureBatchRepairTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.repair import RepairPolicy


class RepairParameters(PoolParameters, Protocol):
    """What the steps need of the operator; its parameters say the same."""

    task_id: str
    policy: RepairPolicy | Mapping[str, Any] | None
    node_ids: Sequence[str] | None
    is_dry_run: bool


class RepairNodes:
    """What one run of ``AzureBatchRepairNodesOperator`` does, until it ends or defers itself.

    :param operator: its parameters, rendered.
    """

    def __init__(self, operator: RepairParameters) -> None:
        self.operator = operator
        self.log = operator.log
        self._repair: Repair | None = None
        self._owner = ""

    def begin(self, context: Context) -> dict[str, Any]:
        """Repair; return the operator's XCom."""
        self._owner = owner_of(context.get("ti")) or f"{self.operator.task_id} {uuid4()}"
        deadline = time.time() + self.operator.timeout
        repair = self._repair = self._new_repair()
        said = ""
        with AzureBatchNodeHook(self.operator.azure_batchext_conn_id, retries=0) as hook:
            while True:
                left = deadline - time.time()
                with look_within(left):
                    # A dry run takes no time of which a replacement could lack some.
                    to_act = float("inf") if self.operator.is_dry_run else left
                    looked = repair.look(hook.cautious_time, seconds_left=to_act)
                    progress = drive(hook, repair.pool_id, looked)
                if progress.text != said:
                    said = progress.text
                    self.log.info("Pool %s: %s", repair.pool_id, said)
                if progress.stage is not Stage.WORKING:
                    return self._end(ended(repair.pool_id, progress))
                if self.operator.is_dry_run and not progress.unread:
                    return self._told(progress)
                if left <= 0:
                    return self._end(ended(repair.pool_id, progress, given_back=give_back(hook, repair)))
                pause = repair.pause(self.operator.poll_interval, progress)
                if self.operator.deferrable and not self.operator.is_dry_run:
                    raise self._deferral(repair, deadline, time.time() + pause)
                time.sleep(max(0.0, min(pause, deadline - time.time())))

    def go_on(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """End as the trigger's event says; return the operator's XCom."""
        return self._end(event)

    def on_kill(self) -> None:
        """Put the pool's targets back, as a user has ended the task."""
        if self._repair is None or self.operator.is_dry_run:
            return
        try:
            with AzureBatchNodeHook(self.operator.azure_batchext_conn_id) as hook:
                text = give_back(hook, self._repair)
            self.log.warning("The repair of pool %s was ended. %s", self._repair.pool_id, text)
        except BatchextError as error:
            self.log.warning("Pool %s was left as it is: %s", self._repair.pool_id, error)

    def _new_repair(self) -> Repair:
        return Repair(
            check_pool_id(self.operator.pool_id),
            check_repair_policy("policy", self.operator.policy),
            owner=self._owner,
            node_ids=self.operator.node_ids,
            dry_run=self.operator.is_dry_run,
            lease=lease_for(self.operator.poll_interval),
        )

    def _deferral(self, repair: Repair, deadline: float, not_before: float) -> TaskDeferred:
        return TaskDeferred(
            trigger=AzureBatchRepairTrigger(
                pool_id=repair.pool_id,
                azure_batchext_conn_id=self.operator.azure_batchext_conn_id,
                poll_interval=self.operator.poll_interval,
                deadline=deadline,
                owner=self._owner,
                policy=repair.policy.to_json(),
                node_ids=None if repair.node_ids is None else list(repair.node_ids),
                pool_created=repair.pool_created,
                not_before=not_before,
            ),
            method_name="execute_complete",
            timeout=deferral_limit(deadline),
        )

    def _told(self, progress: Progress) -> dict[str, Any]:
        for act in progress.acts:
            self.log.info("Would %s", act)
        report = progress.report(self.operator.pool_id or "")
        return {**report, "outcome": "dry run", "would": list(progress.acts), "text": progress.text}

    def _end(self, event: Mapping[str, Any]) -> dict[str, Any]:
        text, report = str(event["text"]), dict(event["report"])
        pool_id = self.operator.pool_id
        match event["stage"]:
            case Stage.DONE.value:
                self.log.info("Pool %s: nothing is left to repair. %s", pool_id, text)
                return {**report, "would": []} if self.operator.is_dry_run else report
            case "timeout":
                seconds = self.operator.timeout
                raise PoolTimeoutError(f"Pool {pool_id} was not repaired within {seconds:g} seconds: {text}")
            case _:
                with AzureBatchNodeHook(self.operator.azure_batchext_conn_id) as hook:
                    why = causes(hook, check_pool_id(pool_id))
                raise NodeRepairError(f"Pool {pool_id} could not be repaired: {text}{why}", report)
