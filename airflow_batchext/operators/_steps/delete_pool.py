"""Delete a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from airflow_batchext.batch.management_plane import read_managed_pool
from airflow_batchext.operators._steps.pool import PoolParameters, PoolSteps, find_pool
from airflow_batchext.rules.pool_wait import Goal, Wait

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.hooks.pool import AzureBatchPoolHook


class DeletePoolParameters(PoolParameters, Protocol):
    """What the steps need of the operator; its parameters say the same."""

    wait_for_deletion: bool


class DeletePool(PoolSteps[DeletePoolParameters]):
    """The steps of ``AzureBatchDeletePoolOperator``."""

    kind = "delete"

    def _step(self, context: Context, hook: AzureBatchPoolHook) -> Wait | dict[str, Any]:
        pool_id = self._target
        if "reached" in self._memo:
            return {"pool_id": pool_id, "deleted": True}
        body = find_pool(hook, pool_id)
        if body is None:
            self.log.info("There is no pool %s; nothing to delete", pool_id)
            return {"pool_id": pool_id, "deleted": False}
        pool = read_managed_pool(body)
        if not pool.is_deleting:
            hook.delete_pool(pool_id)
        self.log.info("Asked for the deletion of pool %s", pool_id)
        if not self.operator.wait_for_deletion:
            return {"pool_id": pool_id, "deleted": True}
        return Wait(Goal.GONE, pool.created)
