"""Does with a hook what a repair asks for, sync or async; what Azure refuses becomes a ``Trouble``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_batchext.exceptions import (
    AccessRefusedError,
    ConflictError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from airflow_batchext.hooks import _requests
from airflow_batchext.repair.requests import (
    ReadMachines,
    ReadWholePool,
    Remove,
    Resize,
    Restart,
    Trouble,
    TroubleKind,
    WriteMetadata,
)
from airflow_batchext.repair.symptoms import read_machine

if TYPE_CHECKING:
    from airflow_batchext.hooks._requests import Change
    from airflow_batchext.hooks.node import AzureBatchNodeHook
    from airflow_batchext.repair.requests import RepairAnswer, RepairAsk

_NODE_MEMBERS = [
    *("id", "state", "stateTransitionTime", "lastBootTime", "errors"),
    *("allocationTime", "isDedicated", "runningTasksCount"),
]


def answer(hook: AzureBatchNodeHook, pool_id: str, ask: RepairAsk) -> RepairAnswer:
    """Read or do what is asked for; nothing that Azure says raises."""
    try:
        match ask:
            case ReadWholePool():
                return hook.get_pool(pool_id)
            case ReadMachines():
                return [read_machine(body) for body in hook.list_nodes(pool_id, select=_NODE_MEMBERS)]
            case _:
                return hook.change(_change(pool_id, ask))
    except ServiceError as error:
        return _trouble(error)


async def aanswer(hook: AzureBatchNodeHook, pool_id: str, ask: RepairAsk) -> RepairAnswer:
    """``answer`` on the hook's async client."""
    try:
        match ask:
            case ReadWholePool():
                return await hook.aget_pool(pool_id)
            case ReadMachines():
                nodes = await hook.alist_nodes(pool_id, select=_NODE_MEMBERS)
                return [read_machine(body) for body in nodes]
            case _:
                return await hook.achange(_change(pool_id, ask))
    except ServiceError as error:
        return _trouble(error)


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


def _trouble(error: ServiceError) -> Trouble:
    match error:
        case AccessRefusedError():
            kind, text = TroubleKind.REFUSED, str(error)
        case NotFoundError():
            kind, text = TroubleKind.MISSING, error.reason
        case ConflictError():
            kind, text = TroubleKind.CONFLICT, error.reason
        case UnavailableError():
            kind, text = TroubleKind.PASSING, error.reason
        case _:
            kind, text = TroubleKind.REJECTED, error.reason
    code = "ConditionNotMet" if error.status == 412 else error.code
    return Trouble(kind, text, code, error.retry_after)
