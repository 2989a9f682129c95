"""Read what the extensions on a pool's nodes return."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_batchext.defaults import DEFAULT_CONN_ID
from airflow_batchext.exceptions import ConflictError, NotFoundError
from airflow_batchext.links import AzureBatchPoolLink

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.hooks.node import AzureBatchNodeHook


class AzureBatchGetExtensionOperator(BaseOperator):
    """ "Get extension data": one extension or all of them, of one node or of all.

    Its XCom is a list, one item for each extension on each node, as plain JSON::

        {"pool_id": …, "node_id": …, "name": "secretext", "instance_name": "secretext",
         "publisher": …, "type": …, "version": …, "provisioning_state": "Succeeded",
         "statuses": [{"code": "ProvisioningState/succeeded", "level": 0, "message": …, …}],
         "sub_statuses": [], "settings": {…}}

    ``settings`` are parsed, whether the service sends them as a text or as an object. Without
    ``extension_name``, Batch's own ``batchNodeExtension`` is in the list too. Nodes that leave, or have
    nothing to say yet, while all are read are passed over with a word in the log.

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

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Read the extensions.

        :raises NotFoundError: if the pool, or a node or extension that was asked for by name, is not there.
        :raises ServiceError: if Azure refuses.
        """
        # Only here, as parsing a DAG is hot.
        from airflow_batchext.hooks.node import AzureBatchNodeHook
        from airflow_batchext.parameters import check_pool_id

        pool_id = check_pool_id(self.pool_id)
        with AzureBatchNodeHook(self.azure_batchext_conn_id) as hook:
            if self.compute_node_id:
                return [*self._of_node(hook, pool_id, self.compute_node_id)]
            data: list[dict[str, Any]] = []
            for node in hook.list_nodes(pool_id, select=["id"]):
                try:
                    data += self._of_node(hook, pool_id, node["id"])
                except (NotFoundError, ConflictError) as error:
                    self.log.warning("Node %s is passed over: %s", node["id"], error)
            return data

    def _of_node(self, hook: AzureBatchNodeHook, pool_id: str, node_id: str) -> Iterator[dict[str, Any]]:
        if self.extension_name:
            bodies = [hook.get_node_extension(pool_id, node_id, self.extension_name)]
        else:
            bodies = hook.list_node_extensions(pool_id, node_id)
        for body in bodies:
            yield {"pool_id": pool_id, "node_id": node_id, **extension_data(body)}


def extension_data(body: Mapping[str, Any]) -> dict[str, Any]:
    """One extension of a node as plain JSON with settled names; what the service left out is None or empty.

    :param body: an item of ``Nodes_ListNodeExtensions``.
    """
    extension = body.get("vmExtension") or {}
    view = body.get("instanceView") or {}
    return {
        "name": extension.get("name") or view.get("name"),
        "instance_name": view.get("name"),
        "publisher": extension.get("publisher"),
        "type": extension.get("type"),
        "version": extension.get("typeHandlerVersion"),
        "provisioning_state": body.get("provisioningState"),
        "statuses": list(view.get("statuses") or ()),
        "sub_statuses": list(view.get("subStatuses") or ()),
        "settings": _settings(extension.get("settings")),
    }


def _settings(value: Any) -> Any:
    """Settings as an object where the service sends the text of one; anything else as it came."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
