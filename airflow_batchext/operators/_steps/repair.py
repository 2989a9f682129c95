"""Repair the nodes of a pool, in the worker or in the triggerer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol
from uuid import uuid4

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, TaskDeferred

from airflow_batchext.exceptions import (
    BatchextError,
    ExecutionTimeoutError,
    NodeRepairError,
    PoolTimeoutError,
    TriggerFailedError,
)
from airflow_batchext.hooks._drivers.diagnosis import causes
from airflow_batchext.hooks._drivers.gate import drive, give_back
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.operators._steps.pool import PoolParameters
from airflow_batchext.operators._steps.told import Told
from airflow_batchext.parameters import check_pool_id
from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.policy import check_repair_policy
from airflow_batchext.repair.status import Progress, Stage, ended, lease_for, owner_of
from airflow_batchext.rules.deadline import limit_of
from airflow_batchext.transport import look_within
from airflow_batchext.triggers._base import deferral_limit
from airflow_batchext.triggers._failing import reason, timed_out
from airflow_batchext.triggers.repair import NOT_LOOKED, AzureBatchRepairTrigger

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
        self._limit = limit_of(operator.timeout, operator.execution_timeout)
        self._said = ""
        self._live = Told(operator, "repair")

    def begin(self, context: Context) -> dict[str, Any]:
        """Repair; return the operator's XCom."""
        self._owner = owner_of(context.get("ti")) or f"{self.operator.task_id} {uuid4()}"
        repair = self._repair = self._new_repair()
        with self._live.until_its_end(context):
            return self._in_time(repair)

    def _in_time(self, repair: Repair) -> dict[str, Any]:
        try:
            return self._repair_nodes(repair, time.time() + self._limit.seconds)
        except AirflowTaskTimeout as alarm:
            if isinstance(alarm, ExecutionTimeoutError):
                raise
            given_back = self._given_back()
            if self.operator.execution_timeout is not None:
                self._limit = limit_of(float("inf"), self.operator.execution_timeout)
            raise self._late(". ".join(filter(None, (self._said, given_back)))) from None

    def _repair_nodes(self, repair: Repair, deadline: float) -> dict[str, Any]:
        with AzureBatchNodeHook(self.operator.azure_batchext_conn_id, retries=0) as hook:
            while True:
                left = deadline - time.time()
                with look_within(left):
                    # A dry run takes no time of which a replacement could lack some.
                    to_act = float("inf") if self.operator.is_dry_run else left
                    looked = repair.look(hook.cautious_time, seconds_left=to_act)
                    progress = drive(hook, repair.pool_id, looked)
                if progress.text != self._said:
                    self._said = progress.text
                    self.log.info("Pool %s: %s", repair.pool_id, progress.text)
                if progress.stage is not Stage.WORKING:
                    return self._end(ended(repair.pool_id, progress))
                if self.operator.is_dry_run and not progress.unread:
                    return self._told(progress)
                if left <= 0:
                    given_back = self._given_back() or ""
                    return self._end(ended(repair.pool_id, progress, given_back=given_back))
                pause = repair.pause(self.operator.poll_interval, progress)
                defers = self.operator.deferrable and not self.operator.is_dry_run
                told = self._live.waits(
                    repair.pool_id,
                    progress,
                    hook.known_connection,
                    pause=max(0.0, min(pause, deadline - time.time())),
                    deadline=deadline,
                    limit=self._limit,
                    elsewhere=defers,
                )
                if defers:
                    raise self._deferral(repair, deadline, time.time() + pause, told)
                time.sleep(max(0.0, min(pause, deadline - time.time())))

    def go_on(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """End as the trigger's event says; return the operator's XCom."""
        with self._live.until_its_end(context, goes_on=True):
            if event["stage"] == NOT_LOOKED:
                self._give_up(context, str(event["text"]))
            return self._end(event)

    def give_up(self, context: Context, failure: Mapping[str, Any]) -> NoReturn:
        """End as the trigger has failed: put the pool's targets back, let others repair it, and say why.

        :raises TriggerFailedError: always, or what says which limit has ended the repair.
        """
        with self._live.until_its_end(context, goes_on=True):
            self._give_up(context, reason(failure, self.log), is_late=timed_out(failure))

    def _give_up(self, context: Context, why: str, *, is_late: bool = False) -> NoReturn:
        self._owner = owner_of(context.get("ti"))
        self._repair = self._new_repair()
        text = ". ".join(filter(None, (why, self._given_back())))
        if is_late:
            raise self._late(text)
        raise TriggerFailedError(f"Pool {self.operator.pool_id} could not be repaired: {text}")

    def on_kill(self) -> None:
        """Put the pool's targets back, as a user has ended the task."""
        text = self._given_back()
        if text is not None:
            self.log.warning("The repair of pool %s was ended. %s", self.operator.pool_id, text)

    def _given_back(self) -> str | None:
        """Put the pool's targets back, and say what came of it; None where nothing is being repaired."""
        if self._repair is None or self.operator.is_dry_run:
            return None
        try:
            with AzureBatchNodeHook(self.operator.azure_batchext_conn_id) as hook:
                text = give_back(hook, self._repair)
        except BatchextError as error:
            text = f"It was left as it is: {error}"
        self._repair = None
        return text

    def _late(self, text: str) -> BatchextError:
        kind = ExecutionTimeoutError if self._limit.is_airflows else PoolTimeoutError
        return kind(f"Pool {self.operator.pool_id} was not repaired within {self._limit}: {text}")

    def _new_repair(self) -> Repair:
        return Repair(
            check_pool_id(self.operator.pool_id),
            check_repair_policy("policy", self.operator.policy),
            owner=self._owner,
            node_ids=self.operator.node_ids,
            dry_run=self.operator.is_dry_run,
            lease=lease_for(self.operator.poll_interval),
        )

    def _deferral(
        self, repair: Repair, deadline: float, not_before: float, told: dict[str, Any] | None
    ) -> TaskDeferred:
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
                told=told,
            ),
            method_name="execute_complete",
            timeout=deferral_limit(deadline, self._limit),
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
                raise self._late(text)
            case _:
                with AzureBatchNodeHook(self.operator.azure_batchext_conn_id) as hook:
                    why = causes(hook, check_pool_id(pool_id))
                raise NodeRepairError(f"Pool {pool_id} could not be repaired: {text}{why}", report)
