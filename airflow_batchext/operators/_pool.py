"""What the operators on pools share: they go on step by step, and wait in the worker or in the triggerer.

A step looks at the world, does one thing at most, and says what to wait for before the next one. What has
to be known then is in a memo of plain JSON, which goes through the triggerer and back. Each step can be done
again after a worker was lost: it looks first.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import BaseOperator, TaskDeferred, conf

from airflow_batchext.connection import DEFAULT_CONN_ID
from airflow_batchext.exceptions import (
    AccessRefusedError,
    BatchextError,
    ConflictError,
    DeletionTimeoutError,
    NotFoundError,
    PoolConflictError,
    PoolResizeError,
    PoolTimeoutError,
)
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.hooks.waiting import look
from airflow_batchext.links import AzureBatchPoolLink
from airflow_batchext.parameters import check_pool_id, check_seconds
from airflow_batchext.pool_progress import Course, Goal, Look, Wait, pause_after
from airflow_batchext.triggers.pool import AzureBatchPoolTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

DEFAULT_TIMEOUT_SECONDS = 30 * 60
# Airflow's own limit on the deferral comes after ours, so that ours can say what was seen last.
_DEFERRAL_MARGIN_SECONDS = 600

Memo = dict[str, Any]
OnKilled = Literal["nothing", "delete", "stop_resize"]


class PoolOperator(BaseOperator):
    """Base of the operators on pools.

    :param pool_id: the pool (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param poll_interval: seconds between two looks; by default the option ``[batchext] poll_interval``.
    :param timeout: seconds (or a timedelta) until it gives up waiting; by default half an hour.
    :param deferrable: wait in the triggerer; by default the option ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = ("pool_id", "azure_batchext_conn_id")
    operator_extra_links = (AzureBatchPoolLink(),)
    ui_color = "#d6e9f8"

    def __init__(
        self,
        *,
        pool_id: str | None,
        azure_batchext_conn_id: str = DEFAULT_CONN_ID,
        poll_interval: float | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT_SECONDS,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if poll_interval is None:
            poll_interval = conf.getfloat("batchext", "poll_interval", fallback=30.0)
        self.pool_id = pool_id
        self.azure_batchext_conn_id = azure_batchext_conn_id
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.deferrable = deferrable
        self._memo: Memo = {}

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it, step by step.

        :raises PoolConflictError: if the pool that exists is not one to do this with.
        :raises PoolResizeError: if it did not get its nodes.
        :raises PoolTimeoutError: if it was not so far at the deadline.
        :raises ServiceError: if Azure refuses.
        """
        self._memo = {"deadline": time.time() + check_seconds("timeout", self.timeout)}
        self._begin(context)
        return self._proceed(context)

    def _begin(self, context: Context) -> None:
        """Put into the memo what an earlier try has left."""

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on as the trigger's event says."""
        self._memo = dict(event["memo"])
        self._arrive(Look(Course(event["course"]), str(event["text"])))
        return self._proceed(context)

    @abstractmethod
    def _step(self, context: Context, hook: AzureBatchPoolHook) -> Wait | dict[str, Any]:
        """Do the next thing; return what to wait for then, or the result."""

    def _gave_up(self, error: BatchextError) -> None:
        """Clean up before the wait ends with this error."""

    @property
    def _target(self) -> str:
        """The pool's id.

        :raises ParameterError: if it is none.
        """
        return check_pool_id(self.pool_id)

    def _proceed(self, context: Context) -> dict[str, Any]:
        with AzureBatchPoolHook(self.azure_batchext_conn_id) as hook:
            while True:
                step = self._step(context, hook)
                if not isinstance(step, Wait):
                    return step
                self._memo["goal"] = step.goal.value
                # The first look is made here: what is there already costs no trigger.
                seen = look(hook, self._target, step)
                if self.deferrable and seen.course is Course.WAITING:
                    raise self._deferral(step)
                self._arrive(self._wait(hook, step, seen))

    def _wait(self, hook: AzureBatchPoolHook, wait: Wait, seen: Look) -> Look:
        failures, said = 0, ""
        while seen.course is Course.WAITING:
            if seen.text != said:
                said = seen.text
                self.log.info("%s", said)
            if self._left <= 0:
                return Look(Course.TIMEOUT, seen.text)
            failures = failures + 1 if seen.passing else 0
            self._pause(pause_after(seen, failures, self.poll_interval))
            seen = look(hook, self._target, wait)
        return seen

    def _deferral(self, wait: Wait) -> TaskDeferred:
        return TaskDeferred(
            trigger=AzureBatchPoolTrigger(
                pool_id=self._target,
                azure_batchext_conn_id=self.azure_batchext_conn_id,
                goal=wait.goal.value,
                poll_interval=self.poll_interval,
                deadline=self._memo["deadline"],
                pool_created=wait.created,
                on_killed=self._on_killed_while(wait),
                memo=self._memo,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=max(0.0, self._left) + _DEFERRAL_MARGIN_SECONDS),
        )

    def _on_killed_while(self, wait: Wait) -> OnKilled:
        """What is to become of the pool if a user ends the task during that wait."""
        return "nothing"

    def _pause(self, seconds: float) -> None:
        time.sleep(max(0.0, min(seconds, self._left)))

    @property
    def _left(self) -> float:
        return float(self._memo["deadline"]) - time.time()

    def _arrive(self, seen: Look) -> None:
        """Note that the goal was reached, or end the task with what was seen instead."""
        goal = Goal(self._memo["goal"])
        if seen.course is Course.REACHED:
            self._memo["reached"] = goal.value
            self.log.info("%s", seen.text)
            return
        error = self._error(goal, seen)
        self._gave_up(error)
        raise error

    def _error(self, goal: Goal, seen: Look) -> BatchextError:
        seconds = check_seconds("timeout", self.timeout)
        match seen.course:
            case Course.TIMEOUT if goal is Goal.GONE:
                return DeletionTimeoutError(
                    f"Pool {self._target} was still there after {seconds:g} seconds: {seen.text}"
                )
            case Course.TIMEOUT:
                return PoolTimeoutError(
                    f"Pool {self._target} was not {goal.value} within {seconds:g} seconds: {seen.text}"
                )
            case Course.SHORT:
                return PoolResizeError(f"{seen.text[:1].upper()}{seen.text[1:]}")
            case Course.REFUSED:
                return AccessRefusedError(seen.text)
            case _:
                return PoolConflictError(
                    f"{seen.text[:1].upper()}{seen.text[1:]}; nothing to wait for any more"
                )


#: Refusals that only say that the pool is another one, or in another state, than a moment ago.
_RACES = frozenset({"ConditionNotMet", "PoolExists", "PoolBeingDeleted", "PoolBeingCreated"})


def lost_race(refusal: ConflictError) -> bool:
    """Whether somebody else was quicker, so that another look shows what is there now."""
    return refusal.status == 412 or refusal.code in _RACES


def etag_of(body: Mapping[str, Any]) -> str:
    """The ETag of the pool as it was read."""
    return str(body.get("etag") or "")


def find_pool(hook: AzureBatchPoolHook, pool_id: str) -> dict[str, Any] | None:
    """The pool as the management plane shows it, or None if there is none."""
    try:
        return hook.get_pool(pool_id)
    except NotFoundError:
        return None
