"""Read what the extensions on a pool's nodes return."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from airflow_batchext.batch.node_names import shortened
from airflow_batchext.exceptions import ConflictError, NotFoundError
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.loose_json.values import as_mapping, as_sequence, below, read_json
from airflow_batchext.parameters import check_pool_id
from airflow_batchext.secrets.names import may_hold_secret
from airflow_batchext.secrets.redact import redact


class ExtensionParameters(Protocol):
    """What it takes of the operator; its parameters say the same."""

    pool_id: str
    compute_node_id: str | None
    extension_name: str | None
    azure_batchext_conn_id: str

    @property
    def log(self) -> Any:
        """The task's log."""


def run(operator: ExtensionParameters) -> list[dict[str, Any]]:
    """Read the extensions: an item for each on each node that was asked for."""
    pool_id = check_pool_id(operator.pool_id)
    with AzureBatchNodeHook(operator.azure_batchext_conn_id) as hook:
        if operator.compute_node_id:
            return [*_of_node(operator, hook, pool_id, operator.compute_node_id)]
        data: list[dict[str, Any]] = []
        missing: NotFoundError | None = None
        ids = [node["id"] for node in hook.list_nodes(pool_id, select=["id"])]
        for node_id in ids:
            try:
                data += _of_node(operator, hook, pool_id, node_id)
            except (NotFoundError, ConflictError) as error:
                operator.log.warning("%s", shortened(f"Node {node_id} is passed over: {error}", ids))
                missing = error if isinstance(error, NotFoundError) else missing
        if operator.extension_name and missing and not data:
            raise missing
        return data


def _of_node(
    operator: ExtensionParameters, hook: AzureBatchNodeHook, pool_id: str, node_id: str
) -> Iterator[dict[str, Any]]:
    if operator.extension_name:
        bodies = [hook.get_node_extension(pool_id, node_id, operator.extension_name)]
    else:
        bodies = hook.list_node_extensions(pool_id, node_id)
    for body in bodies:
        yield {"pool_id": pool_id, "node_id": node_id, **extension_data(body)}


def extension_data(body: object) -> dict[str, Any]:
    """One extension of a node as plain JSON with settled names; what the service left out is None or empty.

    What looks like a secret in it reads ``***``, as it becomes an XCom; the hook returns it whole.

    :param body: an item of ``Nodes_ListNodeExtensions``.
    """
    extension, view = as_mapping(below(body, "vmExtension")), as_mapping(below(body, "instanceView"))
    data = {
        "name": extension.get("name") or view.get("name"),
        "instance_name": view.get("name"),
        "publisher": extension.get("publisher"),
        "type": extension.get("type"),
        "version": extension.get("typeHandlerVersion"),
        "provisioning_state": below(body, "provisioningState"),
        "statuses": list(as_sequence(view.get("statuses"))),
        "sub_statuses": list(as_sequence(view.get("subStatuses"))),
        # An object, also where the service sends the text of one; anything else as it came.
        "settings": read_json(extension.get("settings"), extension.get("settings")),
    }
    return {name: _shown(value) for name, value in data.items()}


def _shown(value: Any) -> Any:
    """A member that may be shown; a text without any hint of a secret stays whole, however long it is."""
    return value if isinstance(value, str) and not may_hold_secret(value) else redact(value)
