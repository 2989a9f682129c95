"""Give a pool another number of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Protocol

from airflow_batchext.batch.management_plane import ManagedPool, read_managed_pool
from airflow_batchext.exceptions import BatchextError, ParameterError, PoolConflictError
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators._steps.pool import OnKilled, PoolParameters, PoolSteps
from airflow_batchext.parameters import check_count
from airflow_batchext.rules.pool_wait import Goal, Wait

if TYPE_CHECKING:
    from airflow.sdk import Context

Deallocation = Literal["Requeue", "Terminate", "TaskCompletion", "RetainedData"]


class ResizePoolParameters(PoolParameters, Protocol):
    """What the steps need of the operator; its parameters say the same."""

    target_dedicated_nodes: int | str | None
    target_low_priority_nodes: int | str | None
    resize_timeout: float | None
    node_deallocation_option: Deallocation | None
    wait_for_nodes: bool
    stop_resize_on_kill: bool


class ResizePool(PoolSteps[ResizePoolParameters]):
    """The steps of ``AzureBatchResizePoolOperator``."""

    kind = "resize"

    def on_kill(self) -> None:
        """Stop the resize, if it was begun here and that was wanted."""
        if not self.operator.stop_resize_on_kill or not self._memo.get("resized"):
            return
        with suppress(BatchextError):
            if self._end_own(self._memo["created"], AzureBatchPoolHook.stop_resize):
                self.log.warning("Stopped the resize of pool %s, as the task was ended", self._target)

    def _step(self, context: Context, hook: AzureBatchPoolHook) -> Wait | dict[str, Any]:
        pool = read_managed_pool(hook.get_pool(self._target))
        if "resized" not in self._memo:
            wait = self._resize(pool, hook)
            if wait is not None:
                return wait
            pool = read_managed_pool(hook.get_pool(self._target))
        wanted = self._memo.get("wanted")  # not where an earlier version has begun it
        if wanted and pool.target != tuple(wanted):
            raise PoolConflictError(
                f"Somebody else has given pool {self._target} other targets meanwhile: "
                f"{_told(pool.target)}, instead of {_told(wanted)}"
            )
        if self.operator.wait_for_nodes and not self._is_complete(pool):
            return Wait(Goal.COMPLETE, pool.created)
        return {
            "pool_id": self._target,
            "resized": self._memo["resized"],
            "target_dedicated_nodes": pool.target[0],
            "target_low_priority_nodes": pool.target[1],
            "current_dedicated_nodes": pool.current[0],
            "current_low_priority_nodes": pool.current[1],
        }

    def _resize(self, pool: ManagedPool, hook: AzureBatchPoolHook) -> Wait | None:
        """Ask for the resize; return what to wait for before it can be asked for."""
        pool_id = self._target
        if pool.is_deleting:
            raise PoolConflictError(f"Pool {pool_id} is being deleted; it cannot be resized any more")
        if pool.autoscaled:
            raise PoolConflictError(
                f"Pool {pool_id} scales itself by a formula, which would undo a resize. Change the formula, "
                "or give the pool a fixedScale first (AzureBatchUpdatePoolOperator)"
            )
        fixed = self._fixed_scale(pool)
        wanted = fixed["targetDedicatedNodes"], fixed["targetLowPriorityNodes"]
        self._memo["created"], self._memo["wanted"] = pool.created, list(wanted)
        if wanted == pool.target and (pool.is_resizing or pool.current == pool.target):
            self.log.info("Pool %s has these targets already", pool_id)
            self._memo["resized"] = False
            return None
        self.log.info("Resizing pool %s to %d dedicated and %d low-priority nodes", pool_id, *wanted)
        body = {"properties": {"scaleSettings": {"fixedScale": fixed}}}
        after = self._update(hook, pool, body)
        if isinstance(after, Wait):
            return after
        if after is None:
            return self._resize(read_managed_pool(hook.get_pool(pool_id)), hook)
        self._memo["resized"] = True
        return None

    def _fixed_scale(self, pool: ManagedPool) -> dict[str, Any]:
        given = (self.operator.target_dedicated_nodes, self.operator.target_low_priority_nodes)
        if given == (None, None):
            raise ParameterError("Give target_dedicated_nodes, target_low_priority_nodes, or both.")
        names = ("target_dedicated_nodes", "target_low_priority_nodes")
        dedicated, low = (
            before if value is None else check_count(name, value)
            for name, value, before in zip(names, given, pool.target, strict=True)
        )
        fixed: dict[str, Any] = {"targetDedicatedNodes": dedicated, "targetLowPriorityNodes": low}
        timeout = pool.resize_timeout
        if self.operator.resize_timeout is not None:
            timeout = f"PT{self.operator.resize_timeout:.0f}S"
        if timeout:
            fixed["resizeTimeout"] = timeout
        if self.operator.node_deallocation_option is not None:
            fixed["nodeDeallocationOption"] = self.operator.node_deallocation_option
        return fixed

    def _on_killed_while(self, wait: Wait) -> OnKilled:
        return "stop_resize" if self.operator.stop_resize_on_kill and self._memo.get("resized") else "nothing"


def _told(nodes: Sequence[int]) -> str:
    return f"{nodes[0]} dedicated and {nodes[1]} low-priority nodes"
