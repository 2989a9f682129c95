"""What a repair asks to have done, as requests of the data plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_batchext.hooks import _node_requests as requests
from airflow_batchext.repair.requests import Remove, Resize, Restart, WriteMetadata

if TYPE_CHECKING:
    from airflow_batchext.hooks._requests import Request
    from airflow_batchext.repair.requests import RepairRequest


def request_of(pool_id: str, wanted: RepairRequest) -> Request[Any]:
    """The request that does what a repair asks for."""
    match wanted:
        case WriteMetadata(items, etag):
            return requests.replace_metadata(pool_id, items, etag=etag)
        case Restart("reboot", node_id, on_tasks):
            return requests.reboot_node(pool_id, node_id, on_tasks=on_tasks)
        case Restart(_, node_id, on_tasks):
            return requests.reimage_node(pool_id, node_id, on_tasks=on_tasks)
        case Remove(node_ids, on_tasks, etag):
            return requests.remove_nodes(pool_id, node_ids, on_tasks=on_tasks, etag=etag)
        case Resize(dedicated, low_priority, etag):
            return requests.resize_pool(pool_id, dedicated, low_priority, etag=etag)
    raise TypeError(f"nobody knows how to answer {type(wanted).__name__}")
