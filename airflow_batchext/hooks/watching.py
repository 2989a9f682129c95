"""Drives the rules of the gate (``watch.Watch``) with a hook: one look, sync or async.

The rules say what to read; here it is read, and what Azure refuses becomes a ``Problem`` that the rules
can judge. Extensions of several nodes are read at the same time, within a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from airflow_batchext.exceptions import AccessRefusedError, NotFoundError, ServiceError
from airflow_batchext.metrics import look_span, note_verdict
from airflow_batchext.readiness import read_extension, read_node, read_pool
from airflow_batchext.watch import Problem, ProblemKind, ReadExtensions, ReadNodes, ReadPool

if TYPE_CHECKING:
    from airflow_batchext.hooks.node import AzureBatchNodeHook
    from airflow_batchext.verdict import Verdict
    from airflow_batchext.watch import Answer, NodeAnswer, Read, Watch

#: Reads at the same time, per gate.
CONCURRENT_READS = 8
_THROTTLED = (429, 503)

# Only what the rules use is asked for: a node's body is large, a pool's holds more than we want to see.
_POOL_MEMBERS = [
    "id",
    "state",
    "creationTime",
    "allocationState",
    "allocationStateTransitionTime",
    "resizeErrors",
    "enableAutoScale",
    "targetDedicatedNodes",
    "targetLowPriorityNodes",
    "currentDedicatedNodes",
    "currentLowPriorityNodes",
    "virtualMachineConfiguration",
]
_NODE_MEMBERS = ["id", "state", "stateTransitionTime", "lastBootTime", "errors"]


def look(hook: AzureBatchNodeHook, watch: Watch, *, whole: bool = False) -> Verdict:
    """Look at the watch's pool once.

    :param whole: not only a glance at what kept the gate closed the last time.
    :raises ConnectionFieldsError: if the connection cannot be used; nothing that Azure says raises.
    """
    flow = watch.look(hook.service_time, whole=whole)
    with look_span(watch.pool_id) as span:
        try:
            wanted = next(flow)
            while True:
                wanted = flow.send(_answer(hook, watch.pool_id, wanted))
        except StopIteration as end:
            verdict: Verdict = end.value
            note_verdict(span, verdict)
            return verdict


async def alook(hook: AzureBatchNodeHook, watch: Watch, *, whole: bool = False) -> Verdict:
    """``look`` on the hook's async client."""
    flow = watch.look(hook.service_time, whole=whole)
    with look_span(watch.pool_id) as span:
        try:
            wanted = next(flow)
            while True:
                wanted = flow.send(await _aanswer(hook, watch.pool_id, wanted))
        except StopIteration as end:
            verdict: Verdict = end.value
            note_verdict(span, verdict)
            return verdict


def _answer(hook: AzureBatchNodeHook, pool_id: str, wanted: Read) -> Answer:
    told_off: list[Problem] = []
    try:
        match wanted:
            case ReadPool():
                return read_pool(hook.get_pool(pool_id, select=_POOL_MEMBERS))
            case ReadNodes():
                return [read_node(body) for body in hook.list_nodes(pool_id, select=_NODE_MEMBERS)]
            case ReadExtensions(node_ids):
                hook.get_conn()  # made here, not by several threads at once
                with ThreadPoolExecutor(min(CONCURRENT_READS, len(node_ids))) as threads:
                    answers = threads.map(lambda i: _extensions(hook, pool_id, i, told_off), node_ids)
                    return dict(zip(node_ids, answers, strict=True))
    except ServiceError as error:
        return _problem(error)


async def _aanswer(hook: AzureBatchNodeHook, pool_id: str, wanted: Read) -> Answer:
    told_off: list[Problem] = []
    try:
        match wanted:
            case ReadPool():
                return read_pool(await hook.aget_pool(pool_id, select=_POOL_MEMBERS))
            case ReadNodes():
                return [read_node(body) for body in await hook.alist_nodes(pool_id, select=_NODE_MEMBERS)]
            case ReadExtensions(node_ids):
                found: dict[str, NodeAnswer] = {}
                await hook.aget_conn()  # Airflow hands out connections to the trigger's own task alone
                todo = iter(node_ids)
                readers = min(CONCURRENT_READS, len(node_ids))
                await asyncio.gather(
                    *(_aextensions(hook, pool_id, todo, found, told_off) for _ in range(readers))
                )
                return found
    except ServiceError as error:
        return _problem(error)


def _extensions(hook: AzureBatchNodeHook, pool_id: str, node_id: str, told_off: list[Problem]) -> NodeAnswer:
    """Read one node, unless a read before it was throttled: then the rest of this look is left out."""
    if told_off:
        return told_off[0]
    try:
        return tuple(read_extension(body) for body in hook.list_node_extensions(pool_id, node_id))
    except ServiceError as error:
        return _note(error, told_off)


async def _aextensions(
    hook: AzureBatchNodeHook,
    pool_id: str,
    node_ids: Iterator[str],
    found: dict[str, NodeAnswer],
    told_off: list[Problem],
) -> None:
    """Read one node after the other until the shared iterator is used up."""
    for node_id in node_ids:
        if told_off:
            found[node_id] = told_off[0]
            continue
        try:
            bodies = await hook.alist_node_extensions(pool_id, node_id)
            found[node_id] = tuple(read_extension(body) for body in bodies)
        except ServiceError as error:
            found[node_id] = _note(error, told_off)


def _note(error: ServiceError, told_off: list[Problem]) -> Problem:
    problem = _problem(error)
    if error.status in _THROTTLED:
        told_off.append(problem)
    return problem


def _problem(error: ServiceError) -> Problem:
    match error:
        case AccessRefusedError():
            return Problem(ProblemKind.REFUSED, str(error))
        case NotFoundError():
            return Problem(ProblemKind.MISSING, error.reason)
        case _:
            return Problem(ProblemKind.PASSING, error.reason, error.retry_after)
