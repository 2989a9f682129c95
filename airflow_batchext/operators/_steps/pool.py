"""What the operators on pools share: they go on step by step, and wait in the worker or in the triggerer.

A step looks at the world, does one thing at most, and says what to wait for before the next one. What has
to be known then is in a memo of plain JSON, which goes through the triggerer and back. Each step can be done
again after a worker was lost: it looks first.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NoReturn, Protocol, TypeVar

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, TaskDeferred

from airflow_batchext.batch.management_plane import read_managed_pool
from airflow_batchext.exceptions import (
    AccessRefusedError,
    BatchextError,
    ConflictError,
    DeletionTimeoutError,
    ExecutionTimeoutError,
    NotFoundError,
    PoolConflictError,
    PoolResizeError,
    PoolTimeoutError,
    TriggerFailedError,
)
from airflow_batchext.hooks._drivers.pool_wait import look
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators._steps.told import Told
from airflow_batchext.parameters import check_pool_id
from airflow_batchext.rules.deadline import Limit, limit_of
from airflow_batchext.rules.pool_wait import Goal, Observation, Wait, WaitStatus, pause_after
from airflow_batchext.transport import look_within, within
from airflow_batchext.triggers._base import deferral_limit
from airflow_batchext.triggers._ending import TRIGGERS_ARE_TOLD
from airflow_batchext.triggers._failing import reason, timed_out
from airflow_batchext.triggers.pool import AzureBatchPoolTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.batch.management_plane import ManagedPool
    from airflow_batchext.hooks.node import AzureBatchNodeHook
    from airflow_batchext.live.form import WaitKind

Memo = dict[str, Any]
#: A clean-up comes when something has gone wrong, perhaps the service itself.
_CLEAN_UP_SECONDS = 60.0
OnKilled = Literal["nothing", "delete", "stop_resize"]


class PoolParameters(Protocol):
    """What the steps need of an operator on a pool."""

    pool_id: str | None
    azure_batchext_conn_id: str
    poll_interval: float
    timeout: float
    execution_timeout: timedelta | None
    deferrable: bool

    @property
    def log(self) -> Any:
        """The task's log."""


ParametersT = TypeVar("ParametersT", bound=PoolParameters)


class PoolSteps(ABC, Generic[ParametersT]):
    """What one run of an operator does, until it ends or defers itself.

    :param operator: its parameters, rendered.
    """

    #: What it does to the pool.
    kind: ClassVar[WaitKind]

    def __init__(self, operator: ParametersT) -> None:
        self.operator = operator
        self.log = operator.log
        self._memo: Memo = {}
        self._live = Told(operator, self.kind)
        self._limit: Limit = limit_of(operator.timeout, operator.execution_timeout)
        self._seen = "nothing has been seen of it yet"

    def begin(self, context: Context) -> dict[str, Any]:
        """Do it, step by step; return the operator's XCom."""
        self._memo = {"deadline": time.time() + self._limit.seconds}
        self._recall(context)
        with self._live.until_its_end(context):
            return self._seen_through(lambda: self._proceed(context))

    def _recall(self, context: Context) -> None:
        """Put into the memo what an earlier try has left."""

    def go_on(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Go on as the trigger's event says; return the operator's XCom."""
        self._memo = dict(event["memo"])

        def work() -> dict[str, Any]:
            self._prepare(context)
            self._arrive(Observation(WaitStatus(event["course"]), str(event["text"])))
            return self._proceed(context)

        with self._live.until_its_end(context, goes_on=True, deadline=self._memo["deadline"]):
            return self._seen_through(work)

    def give_up(self, context: Context, failure: Mapping[str, Any]) -> NoReturn:
        """End as the trigger has failed: clean up as after any failure, and say why.

        :raises TriggerFailedError: always, or what says which limit has ended the wait.
        """
        with self._live.until_its_end(context, goes_on=True):
            self._recall_deferred(context)
            self._clean_up()
            pool, why = f"Pool {self._target}", reason(failure, self.log)
            if timed_out(failure):
                raise self._timeout_kind(f"{pool} was waited for in vain within {self._limit}: {why}")
            raise TriggerFailedError(f"{pool} could not be waited for: {why}")

    def _seen_through(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do it, and clean up if it fails, also where Airflow's alarm rings in the middle: it rings once."""
        try:
            try:
                return work()
            except Exception:
                self._clean_up()
                raise
        except AirflowTaskTimeout as alarm:
            self._clean_up()
            if isinstance(alarm, ExecutionTimeoutError):
                raise
            if self.operator.execution_timeout is not None:
                self._limit = limit_of(float("inf"), self.operator.execution_timeout)
            goal = Goal(self._memo.get("goal", Goal.COMPLETE.value))
            raise self._error(goal, Observation(WaitStatus.TIMEOUT, self._seen)) from None

    def _prepare(self, context: Context) -> None:
        """Read anew what another process of this task has read."""

    def _recall_deferred(self, context: Context) -> None:
        """Put into the memo what an earlier process of this try has left, whose trigger has lost it."""

    def on_kill(self) -> None:
        """Clean up, as a user has ended the task."""

    @abstractmethod
    def _step(self, context: Context, hook: AzureBatchPoolHook) -> Wait | dict[str, Any]:
        """Do the next thing; return what to wait for then, or the result."""

    def _clean_up(self) -> None:
        """Leave nothing behind, as the task fails; what was done already is not done again."""

    @property
    def _target(self) -> str:
        """The pool's id.

        :raises ParameterError: if it is none.
        """
        return check_pool_id(self.operator.pool_id)

    def _is_complete(self, pool: ManagedPool) -> bool:
        """Whether it was waited for until the pool had all its nodes, and it has them now."""
        has_all = pool.autoscaled or pool.current == pool.target
        return self._memo.get("reached") == Goal.COMPLETE.value and pool.is_steady and has_all

    def _proceed(self, context: Context) -> dict[str, Any]:
        with AzureBatchPoolHook(self.operator.azure_batchext_conn_id) as hook:
            while True:
                with look_within(self._left):
                    step = self._step(context, hook)
                if not isinstance(step, Wait):
                    return step
                self._memo["goal"] = step.goal.value
                # The first look is made here: what is there already costs no trigger.
                with look_within(self._left):
                    observed = look(hook, self._target, step)
                self._seen = observed.text
                if self.operator.deferrable and observed.status is WaitStatus.WAITING:
                    told = self._tell(hook, observed, self.operator.poll_interval, elsewhere=True)
                    raise self._deferral(context, step, told)
                self._arrive(self._wait(hook, step, observed))

    def _wait(self, hook: AzureBatchPoolHook, wait: Wait, observed: Observation) -> Observation:
        failures, said = 0, ""
        while observed.status is WaitStatus.WAITING:
            if observed.text != said:
                said = self._seen = observed.text
                self.log.info("%s", said)
            if self._left <= 0:
                return Observation(WaitStatus.TIMEOUT, observed.text)
            failures = failures + 1 if observed.passing else 0
            pause = pause_after(observed, failures, self.operator.poll_interval)
            self._tell(hook, observed, pause)
            self._pause(pause)
            with look_within(self._left):
                observed = look(hook, self._target, wait)
        return observed

    def _tell(
        self, hook: AzureBatchPoolHook, observed: Observation, pause: float, *, elsewhere: bool = False
    ) -> dict[str, Any] | None:
        return self._live.waits(
            self._target,
            observed.text,
            hook.known_connection,
            pause=max(0.0, min(pause, self._left)),
            deadline=self._memo["deadline"],
            limit=self._limit,
            elsewhere=elsewhere,
        )

    def _deferral(self, context: Context, wait: Wait, told: dict[str, Any] | None) -> TaskDeferred:
        on_killed = self._on_killed_while(wait)
        if on_killed != "nothing" and not TRIGGERS_ARE_TOLD:
            self.log.warning(
                "Should somebody end this task while it is deferred, pool %s stays as it is: "
                "this Airflow does not tell a trigger of it, 3.3 and later do. Without deferrable the task "
                "itself is told.",
                self._target,
            )
        return TaskDeferred(
            trigger=AzureBatchPoolTrigger(
                pool_id=self._target,
                azure_batchext_conn_id=self.operator.azure_batchext_conn_id,
                goal=wait.goal.value,
                poll_interval=self.operator.poll_interval,
                deadline=self._memo["deadline"],
                pool_created=wait.created,
                on_killed=on_killed,
                memo=self._memo,
                told=told,
            ),
            method_name="execute_complete",
            timeout=deferral_limit(self._memo["deadline"], self._limit),
        )

    def _update(
        self,
        hook: AzureBatchPoolHook,
        pool: ManagedPool,
        body: Mapping[str, Any],
        secrets: Collection[str] = (),
    ) -> dict[str, Any] | Wait | None:
        """Change the pool that was read: as it is then, or what to wait for; None asks for another look."""
        try:
            return hook.update_pool(self._target, body, etag=pool.etag, secrets=secrets)
        except ConflictError as refusal:
            if refusal.code == "PoolBeingResized":
                return Wait(Goal.SETTLED, pool.created)
            if not lost_race(refusal) or self._left <= 0:
                raise
            self.log.info("Pool %s was changed by somebody else meanwhile; looking again", self._target)
            return None

    def _end_own(self, created: str | None, end: Callable[[AzureBatchPoolHook, str], object]) -> bool:
        """Do this to the pool, if it is still the one that was created then; say whether it was done.

        :raises BatchextError: if it was not done because of an error.
        """
        with AzureBatchPoolHook(self.operator.azure_batchext_conn_id) as hook, within(_CLEAN_UP_SECONDS):
            body = find_pool(hook, self._target)
            pool = None if body is None else read_managed_pool(body)
            if pool is not None and pool.created == created and not pool.is_deleting:
                end(hook, self._target)
                return True
        return False

    def _on_killed_while(self, wait: Wait) -> OnKilled:
        """What is to become of the pool if a user ends the task during that wait."""
        return "nothing"

    def _pause(self, seconds: float) -> None:
        time.sleep(max(0.0, min(seconds, self._left)))

    @property
    def _left(self) -> float:
        return float(self._memo["deadline"]) - time.time()

    def _arrive(self, observed: Observation) -> None:
        """Note that the goal was reached, or end the task with what was seen instead."""
        goal = Goal(self._memo["goal"])
        if observed.status is WaitStatus.REACHED:
            self._memo["reached"] = goal.value
            self.log.info("%s", observed.text)
            return
        raise self._error(goal, observed)

    @property
    def _timeout_kind(self) -> type[BatchextError]:
        return ExecutionTimeoutError if self._limit.is_airflows else PoolTimeoutError

    def _error(self, goal: Goal, observed: Observation) -> BatchextError:
        match observed.status:
            case WaitStatus.TIMEOUT if goal is Goal.GONE:
                kind = ExecutionTimeoutError if self._limit.is_airflows else DeletionTimeoutError
                return kind(
                    f"Pool {self._target} was still there after {self._limit}: {observed.text}. A lock "
                    "on the resource group or the network, a network security group in use, or nodes that "
                    "cannot be reached may hold it up."
                )
            case WaitStatus.TIMEOUT:
                return self._timeout_kind(
                    f"Pool {self._target} was not {goal.value} within {self._limit}: {observed.text}"
                )
            case WaitStatus.SHORT:
                return PoolResizeError(f"{observed.text[:1].upper()}{observed.text[1:]}")
            case WaitStatus.REFUSED:
                return AccessRefusedError(observed.text)
            case _:
                return PoolConflictError(
                    f"{observed.text[:1].upper()}{observed.text[1:]}; nothing to wait for any more"
                )


#: Refusals that only say that the pool is another one, or in another state, than a moment ago.
_RACES = frozenset({"ConditionNotMet", "PoolExists", "PoolBeingDeleted", "PoolBeingCreated"})


def lost_race(refusal: ConflictError) -> bool:
    """Whether somebody else was quicker, so that another look shows what is there now."""
    return refusal.status == 412 or refusal.code in _RACES


def busy_nodes(hook: AzureBatchNodeHook, pool_id: str) -> list[str]:
    """The ids of the nodes on which tasks run.

    :raises NotFoundError: if there is no such pool.
    :raises AccessRefusedError: if the data plane may not be read.
    """
    return [
        str(node.get("id"))
        for node in hook.list_nodes(pool_id, select=["id", "state", "runningTasksCount"])
        if (node.get("runningTasksCount") or 0) > 0 or str(node.get("state")).lower() == "running"
    ]


def find_pool(hook: AzureBatchPoolHook, pool_id: str) -> dict[str, Any] | None:
    """The pool as the management plane shows it, or None if there is none."""
    try:
        return hook.get_pool(pool_id)
    except NotFoundError:
        return None
