"""Read what the extensions on a pool's nodes return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_batchext.defaults import DEFAULT_CONN_ID
from airflow_batchext.exceptions import without_insides
from airflow_batchext.links import AzureBatchPoolLink
from airflow_batchext.parameters import Check, check_text, optional, pool_id_of, settle
from airflow_batchext.templating import TemplatedTexts

if TYPE_CHECKING:
    from airflow.sdk import Context


class AzureBatchGetExtensionOperator(TemplatedTexts, BaseOperator):
    """ "Get extension data": one extension or all of them, of one node or of all.

    Its XCom is a list, one item for each extension on each node, as plain JSON::

        {"pool_id": …, "node_id": …, "name": "secretext", "instance_name": "secretext",
         "publisher": …, "type": …, "version": …, "provisioning_state": "Succeeded",
         "statuses": [{"code": "ProvisioningState/succeeded", "level": 0, "message": …, …}],
         "sub_statuses": [], "settings": {…}}

    ``settings`` are parsed, whether the service sends them as a text or as an object. What looks like a
    secret reads ``***``: whoever needs it reads the extension with the hook. Without ``extension_name``,
    Batch's own ``batchNodeExtension`` is in the list too. Nodes that leave, or have nothing to say yet, while
    all are read are passed over with a word in the log.

    :param pool_id: the pool (templated).
    :param compute_node_id: one node; by default all that the pool has (templated).
    :param extension_name: one extension; by default all that a node has (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account; the data plane is enough
        (templated).
    """

    template_fields: Sequence[str] = (
        "pool_id",
        "compute_node_id",
        "extension_name",
        "azure_batchext_conn_id",
    )
    operator_extra_links = (AzureBatchPoolLink(),)
    ui_color = "#d6e9f8"
    checks: ClassVar[Mapping[str, Check]] = {
        "pool_id": pool_id_of,
        **dict.fromkeys(("compute_node_id", "extension_name"), optional(check_text)),
        "azure_batchext_conn_id": check_text,
    }

    def __init__(
        self,
        *,
        pool_id: str,
        compute_node_id: str | None = None,
        extension_name: str | None = None,
        azure_batchext_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_id = pool_id
        self.compute_node_id = compute_node_id
        self.extension_name = extension_name
        self.azure_batchext_conn_id = azure_batchext_conn_id
        settle(self, self.checks, templated=self.template_fields)

    @without_insides
    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Read the extensions.

        :raises NotFoundError: if the pool, or a node or extension that was asked for by name, is not there.
        :raises ServiceError: if Azure refuses.
        """
        from airflow_batchext.operators._steps.extension import run

        settle(self, self.checks)
        return run(self)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The pool that it reads, for OpenLineage."""
        from airflow_batchext.assets import pool_lineage

        return pool_lineage(self)
