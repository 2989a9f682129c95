"""Change members of a pool that exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_batchext.operators._base import DocumentOperator

if TYPE_CHECKING:
    from airflow_batchext.operators._steps.update_pool import UpdatePool


class AzureBatchUpdatePoolOperator(DocumentOperator):
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

    def _new_steps(self) -> UpdatePool:
        from airflow_batchext.operators._steps.update_pool import UpdatePool

        return UpdatePool(self)
