"""Change members of a pool that exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_batchext.concealment import conceal
from airflow_batchext.exceptions import ConflictError, ParameterError, PoolConflictError
from airflow_batchext.operators._document import resolve_document
from airflow_batchext.operators._pool import PoolOperator, etag_of, lost_race
from airflow_batchext.pool_progress import Goal, Wait, creation_time, is_deleting, is_empty
from airflow_batchext.pool_spec import find_differences, find_secrets, request_body, updates

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.hooks.pool import AzureBatchPoolHook


class AzureBatchUpdatePoolOperator(PoolOperator):
    """Changes members of a pool that exists (``Pool_Update``); what is not given stays as it is.

    A pool that lives can be given another size or formula, start task, metadata and application packages;
    most other members only while it has no nodes, and extensions never. If anything that is given differs and
    cannot be changed, nothing is. A pool that is being resized is waited for if Azure wants that. A new start
    task and new packages reach a node when it next starts.

    Its XCom: ``pool_id, updated`` (False if nothing differed), ``differences`` and ``etag``.

    :param pool_document: the part of a pool document to change, as a dict, or the path of a file with it, as
        for the operator that creates pools: ``{"properties": {"metadata": [...]}}``.
    :param pool_id: the pool (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param wait_for_nodes: wait until the pool is steady and has all its nodes.
    :param poll_interval: seconds between two looks; by default the option ``[batchext] poll_interval``.
    :param timeout: seconds (or a timedelta) until it gives up waiting; by default half an hour.
    :param deferrable: wait in the triggerer; by default the option ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = ("pool_document", "pool_id", "azure_batchext_conn_id")
    template_fields_renderers = {"pool_document": "json"}

    def __init__(
        self,
        *,
        pool_id: str,
        pool_document: dict[str, Any] | str,
        wait_for_nodes: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_id=pool_id, **kwargs)
        self.pool_document = pool_document
        self.wait_for_nodes = wait_for_nodes

    @property
    def pool_document(self) -> Any:
        """The document as given or rendered, with its secrets concealed from everybody who looks."""
        return self._pool_document

    @pool_document.setter
    def pool_document(self, document: Any) -> None:
        self._pool_document = conceal(document)

    def _step(self, context: Context, hook: AzureBatchPoolHook) -> Wait | dict[str, Any]:
        pool_id = self._target
        if "result" in self._memo:
            return dict(self._memo["result"])
        source, document = resolve_document(self, context, self.pool_document)
        body = request_body(document)
        if not isinstance(body.get("properties"), dict) or not body["properties"]:
            raise ParameterError(f'{source}: an update has to give something in "properties".')
        while True:
            existing = hook.get_pool(pool_id)
            if is_deleting(existing):
                raise PoolConflictError(f"Pool {pool_id} is being deleted; it cannot be updated any more")
            found = [d for d in find_differences(existing, body, part=True) if d.counts]
            patch, left = updates(body, found, empty=is_empty(existing))
            if left:
                listed = "\n".join(f"  {difference}" for difference in left)
                raise PoolConflictError(
                    f"Pool {pool_id} cannot be updated so; nothing was changed:\n{listed}", left
                )
            if not patch:
                self.log.info("Pool %s is as it is asked for already", pool_id)
                return self._updated(existing, changed=False)
            for difference in found:
                self.log.info("Updating pool %s: %s", pool_id, difference)
            try:
                secrets = [str(value) for _, value in find_secrets(document)]
                after = hook.update_pool(pool_id, patch, etag=etag_of(existing), secrets=secrets)
            except ConflictError as refusal:
                if refusal.code == "PoolBeingResized":
                    return Wait(Goal.SETTLED, creation_time(existing))
                if not lost_race(refusal) or self._left <= 0:
                    raise
                self.log.info("Pool %s was changed by somebody else meanwhile; looking again", pool_id)
                continue
            self._memo["differences"] = [difference.to_json() for difference in found]
            return self._updated(after, changed=True)

    def _updated(self, body: dict[str, Any], *, changed: bool) -> Wait | dict[str, Any]:
        result = {
            "pool_id": self._target,
            "updated": changed,
            "differences": self._memo.get("differences", []),
            "etag": body.get("etag"),
        }
        if not self.wait_for_nodes:
            return result
        self._memo["result"] = result
        return Wait(Goal.COMPLETE, creation_time(body))
