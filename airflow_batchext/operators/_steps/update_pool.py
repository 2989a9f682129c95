"""Change members of a pool that exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from airflow_batchext.batch.management_plane import read_managed_pool
from airflow_batchext.exceptions import ParameterError, PoolConflictError
from airflow_batchext.operators._steps.document import DocumentParameters, resolve_document
from airflow_batchext.operators._steps.pool import PoolParameters, PoolSteps
from airflow_batchext.pool_spec import find_differences, find_secrets, request_body, updates
from airflow_batchext.repair.journal import keeping_journal
from airflow_batchext.rules.pool_wait import Goal, Wait

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.hooks.pool import AzureBatchPoolHook


class UpdatePoolParameters(PoolParameters, DocumentParameters, Protocol):
    """What the steps need of the operator; its parameters say the same."""

    wait_for_nodes: bool


class UpdatePool(PoolSteps[UpdatePoolParameters]):
    """The steps of ``AzureBatchUpdatePoolOperator``."""

    kind = "update"

    def _step(self, context: Context, hook: AzureBatchPoolHook) -> Wait | dict[str, Any]:
        pool_id = self._target
        source, document = resolve_document(self.operator, context)
        body = request_body(document)
        if "result" in self._memo:
            return self._waited(hook.get_pool(pool_id), body)
        if not isinstance(body.get("properties"), dict) or not body["properties"]:
            raise ParameterError(f'{source}: an update has to give something in "properties".')
        while True:
            existing = hook.get_pool(pool_id)
            pool = read_managed_pool(existing)
            if pool.is_deleting:
                raise PoolConflictError(f"Pool {pool_id} is being deleted; it cannot be updated any more")
            is_of_metadata = body["properties"].get("metadata") is not None
            asked = keeping_journal(body, existing) if is_of_metadata else body
            found = [d for d in find_differences(existing, asked, part=True) if d.counts]
            patch, left = updates(asked, found, empty=pool.is_empty)
            if left:
                listed = "\n".join(f"  {difference}" for difference in left)
                raise PoolConflictError(
                    f"Pool {pool_id} cannot be updated so; nothing was changed:\n{listed}", left
                )
            if not patch:
                self.log.info("Pool %s is as it is asked for already", pool_id)
                return self._updated(existing, body, changed=False)
            for difference in found:
                self.log.info("Updating pool %s: %s", pool_id, difference)
            secrets = [str(value) for _, value in find_secrets(document)]
            after = self._update(hook, pool, patch, secrets)
            if isinstance(after, Wait):
                return after
            if after is not None:
                self._memo["differences"] = [difference.to_json() for difference in found]
                return self._updated(after, asked, changed=True)

    def _updated(
        self, body: dict[str, Any], asked: dict[str, Any], *, changed: bool
    ) -> Wait | dict[str, Any]:
        result = {
            "pool_id": self._target,
            "updated": changed,
            "differences": self._memo.get("differences", []),
            "etag": body.get("etag"),
        }
        if not self.operator.wait_for_nodes:
            return result
        self._memo["result"], self._memo["otherwise"] = result, sorted(_differing(body, asked))
        return Wait(Goal.COMPLETE, read_managed_pool(body).created)

    def _waited(self, existing: dict[str, Any], asked: dict[str, Any]) -> Wait | dict[str, Any]:
        """The result, if the pool is still as it was made, and has its nodes."""
        pool = read_managed_pool(existing)
        known = self._memo.get("otherwise")  # not where an earlier version has begun it
        changed = [] if known is None else sorted(_differing(existing, asked) - set(known))
        if changed:
            raise PoolConflictError(
                f"Somebody else has changed pool {self._target} meanwhile: {', '.join(changed[:5])}"
            )
        return dict(self._memo["result"]) if self._is_complete(pool) else Wait(Goal.COMPLETE, pool.created)


def _differing(existing: dict[str, Any], asked: dict[str, Any]) -> set[str]:
    """Where a pool is not as it was asked for."""
    body = keeping_journal(asked, existing) if asked["properties"].get("metadata") is not None else asked
    return {found.path for found in find_differences(existing, body, part=True) if found.counts}
