"""Does with a hook what a repair asks for, sync or async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_batchext.hooks import _requests
from airflow_batchext.repair.requests import ReadWholePool, Remove, Resize, Restart, WriteMetadata

if TYPE_CHECKING:
    from airflow_batchext.hooks._requests import Change
    from airflow_batchext.hooks.node import AzureBatchNodeHook
    from airflow_batchext.repair.requests import AnyAnswer, Ask


def answer(hook: AzureBatchNodeHook, pool_id: str, ask: Ask) -> AnyAnswer:
    """Read or do what is asked for.

    :raises ServiceError: if Azure refuses it, or does not answer.
    """
    match ask:
        case ReadWholePool():
            return hook.get_pool(pool_id)
        case _:
            return hook.change(_change(pool_id, ask))


async def aanswer(hook: AzureBatchNodeHook, pool_id: str, ask: Ask) -> AnyAnswer:
    """``answer`` on the hook's async client."""
    match ask:
        case ReadWholePool():
            return await hook.aget_pool(pool_id)
        case _:
            return await hook.achange(_change(pool_id, ask))


def _change(pool_id: str, ask: Any) -> Change:
    match ask:
        case WriteMetadata(items, etag):
            return _requests.replace_metadata(pool_id, items, etag=etag)
        case Restart("reboot", node_id, on_tasks):
            return _requests.reboot_node(pool_id, node_id, on_tasks=on_tasks)
        case Restart(_, node_id, on_tasks):
            return _requests.reimage_node(pool_id, node_id, on_tasks=on_tasks)
        case Remove(node_ids, on_tasks, etag):
            return _requests.remove_nodes(pool_id, node_ids, on_tasks=on_tasks, etag=etag)
        case Resize(dedicated, low_priority, etag):
            return _requests.resize_pool(pool_id, dedicated, low_priority, etag=etag)
    raise TypeError(f"nobody knows how to answer {type(ask).__name__}")
