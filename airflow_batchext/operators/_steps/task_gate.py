"""The gate of the pool, looked at once more before work is submitted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_batchext.exceptions import GateFailedError, GateRefusedError
from airflow_batchext.hooks._drivers.gate import look
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.live.form import Snapshot
from airflow_batchext.live.writer import on_worker, outcome_of
from airflow_batchext.parameters import check_pool_id
from airflow_batchext.rules.deadline import Deadline
from airflow_batchext.rules.gate import Outcome, Rules
from airflow_batchext.rules.told import wanted_text
from airflow_batchext.rules.watch import Watch
from airflow_batchext.triggers._base import deferral_limit
from airflow_batchext.triggers.extension import (
    AzureBatchExtensionTrigger,
    GateStatus,
    failure_text,
    timeout_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_batchext.exceptions import BatchextError
    from airflow_batchext.operators._steps.task_parameters import TaskParameters
    from airflow_batchext.rules.deadline import Limit


class WorkGate:
    """What has to be open before anything is submitted: all extensions of all nodes, as the sensor has it.

    :param operator: its parameters, rendered.
    :param limit: of the work.
    :param deadline: when that is over, in seconds since the epoch.
    :param instance: the task instance, whose live status it tells; None in a unit test.
    :param left: the ids of what earlier tries may have left running, for the trigger to end with the task.
    """

    def __init__(
        self,
        operator: TaskParameters,
        limit: Limit,
        deadline: float,
        instance: Any = None,
        left: dict[str, Any] | None = None,
    ) -> None:
        self._left = left
        self._operator, self._limit = operator, limit
        self._deadline = Deadline(deadline, time.time)
        self._pool_id = check_pool_id(operator.pool_id)
        self._live = on_worker(instance, self._about)

    def wait(self, pause: Callable[[float], None], late: Callable[[str], BatchextError]) -> None:
        """Wait until it is open.

        :param pause: waits so many seconds.
        :param late: the error of a deadline that has passed.
        :raises GateFailedError: if it cannot open any more.
        :raises TaskDeferred: if it is to be waited for in the triggerer.
        """
        try:
            self._wait(pause, late)
        except Exception as error:
            self._live.ends(*outcome_of(error))
            raise
        self._live.close()

    def _wait(self, pause: Callable[[float], None], late: Callable[[str], BatchextError]) -> None:
        watch, said, operator = Watch(self._pool_id), "", self._operator
        with AzureBatchNodeHook(operator.azure_batchext_conn_id, retries=0) as hook:
            while True:
                is_last = self._deadline.has_passed
                verdict = look(hook, watch, deadline=self._deadline.or_late(), whole=is_last)
                self._live.sees(verdict, watch, hook.known_connection)
                if verdict.summary != said:
                    said = verdict.summary
                    operator.log.info("Before it is submitted, pool %s: %s", self._pool_id, said)
                if verdict.outcome is Outcome.OPEN:
                    return
                if verdict.outcome is Outcome.FAIL:
                    kind = GateRefusedError if verdict.refused else GateFailedError
                    raise kind(failure_text(self._pool_id, verdict.listed()))
                if is_last:
                    raise late(timeout_text(self._pool_id, self._limit, verdict.listed()))
                length = max(operator.poll_interval, verdict.retry_after or 0.0)
                if operator.deferrable:
                    raise self._deferral(self._live.handed_over(length))
                self._live.waits(length)
                pause(length)

    def _about(self) -> Snapshot:
        """What is known of it before the first look, for the live page."""
        return Snapshot(
            kind="gate",
            pool=self._pool_id,
            connection=self._operator.azure_batchext_conn_id,
            mode="deferrable" if self._operator.deferrable else "worker",
            rules=wanted_text(self._pool_id, Rules(), repairs=False),
            started=self._deadline.at - self._limit.seconds,
            deadline=self._deadline.at,
            interval=self._operator.poll_interval,
        )

    def _deferral(self, told: dict[str, Any] | None) -> TaskDeferred:
        return TaskDeferred(
            trigger=AzureBatchExtensionTrigger(
                pool_id=self._pool_id,
                azure_batchext_conn_id=self._operator.azure_batchext_conn_id,
                poll_interval=self._operator.poll_interval,
                deadline=self._deadline.at,
                # The event tells it again, and so when the work has to be over.
                started=self._deadline.at - self._limit.seconds,
                told=told,
                work=self._left,
            ),
            method_name="execute_complete",
            timeout=deferral_limit(self._deadline.at, self._limit),
        )


def is_of_gate(event: Mapping[str, Any]) -> bool:
    """Whether an event is that of the gate's trigger."""
    return "status" in event


def check_event(
    operator: TaskParameters, limit: Limit, event: Mapping[str, Any], late: Callable[[str], BatchextError]
) -> None:
    """Raise what the gate's trigger has come to, unless it is open."""
    status, text, pool_id = GateStatus(event["status"]), str(event["text"]), check_pool_id(operator.pool_id)
    if status is GateStatus.TIMEOUT:
        raise late(timeout_text(pool_id, limit, text))
    if status is not GateStatus.OPEN:
        kind = GateRefusedError if status is GateStatus.REFUSED else GateFailedError
        raise kind(failure_text(pool_id, text))
