"""Drives the rules of the gate (``watch.Watch``), and of repairs, with a hook: one look, sync or async.

The rules say what to read; here it is read, and what Azure refuses becomes a ``Problem`` that the rules
can judge. Extensions of several nodes are read at the same time, within a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_batchext.batch.data_plane import read_extension, read_node, read_pool
from airflow_batchext.exceptions import (
    AccessRefusedError,
    ConflictError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from airflow_batchext.hooks._drivers import repair
from airflow_batchext.metrics import look_span, note_verdict
from airflow_batchext.rules.watch import Problem, ProblemKind, ReadExtensions, ReadNodes, ReadPool

if TYPE_CHECKING:
    from airflow_batchext.hooks._reading import Body
    from airflow_batchext.hooks.node import AzureBatchNodeHook
    from airflow_batchext.repair.controller import Repair
    from airflow_batchext.repair.gate import Healing
    from airflow_batchext.repair.requests import AnyAnswer, Ask
    from airflow_batchext.rules.gate import Verdict
    from airflow_batchext.rules.watch import NodeAnswer, Watch

Result = TypeVar("Result")

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
    "metadata",
]
_NODE_MEMBERS = [
    "id",
    "state",
    "stateTransitionTime",
    "lastBootTime",
    "errors",
    "allocationTime",
    "isDedicated",
    "runningTasksCount",
]


def look(hook: AzureBatchNodeHook, watch: Watch | Healing, *, whole: bool = False) -> Verdict:
    """Look at the watch's pool once.

    :param whole: not only a glance at what kept the gate closed the last time.
    :raises ConnectionFieldsError: if the connection cannot be used; nothing that Azure says raises.
    """
    with look_span(watch.pool_id) as span:
        verdict = drive(hook, watch.pool_id, watch.look(hook.service_time, whole=whole))
        note_verdict(span, verdict)
        return verdict


async def alook(hook: AzureBatchNodeHook, watch: Watch | Healing, *, whole: bool = False) -> Verdict:
    """``look`` on the hook's async client."""
    with look_span(watch.pool_id) as span:
        verdict = await adrive(hook, watch.pool_id, watch.look(hook.service_time, whole=whole))
        note_verdict(span, verdict)
        return verdict


def give_back(hook: AzureBatchNodeHook, repair: Repair) -> str:
    """Put a pool's targets back as a repair is ended in the middle; return what has to be told.

    A removal that is under way is not waited for.
    """
    given_back = drive(hook, repair.pool_id, repair.give_back(hook.service_time))
    if given_back.soon:
        given_back = drive(hook, repair.pool_id, repair.give_back(hook.service_time))
    return given_back.text


async def agive_back(hook: AzureBatchNodeHook, repair: Repair, *, interval: float, looks: int) -> str:
    """``give_back`` on the hook's async client; waits for a removal, for so many looks.

    :param interval: seconds between them.
    """
    text = ""
    for _ in range(looks):
        given_back = await adrive(hook, repair.pool_id, repair.give_back(hook.service_time))
        text = given_back.text
        if given_back.stage.value != "working":
            break
        await asyncio.sleep(0 if given_back.soon else interval)
    return text


def drive(hook: AzureBatchNodeHook, pool_id: str, flow: Generator[Ask, Any, Result]) -> Result:
    """Read, and do, what the rules ask for until they come to a result."""
    try:
        wanted = next(flow)
        while True:
            wanted = flow.send(_answer(hook, pool_id, wanted))
    except StopIteration as end:
        result: Result = end.value
        return result


async def adrive(hook: AzureBatchNodeHook, pool_id: str, flow: Generator[Ask, Any, Result]) -> Result:
    """``drive`` on the hook's async client."""
    try:
        wanted = next(flow)
        while True:
            wanted = flow.send(await _aanswer(hook, pool_id, wanted))
    except StopIteration as end:
        result: Result = end.value
        return result


def _answer(hook: AzureBatchNodeHook, pool_id: str, wanted: Ask) -> AnyAnswer:
    try:
        match wanted:
            case ReadPool():
                return read_pool(hook.get_pool(pool_id, select=_POOL_MEMBERS))
            case ReadNodes():
                return [read_node(body) for body in hook.list_nodes(pool_id, select=_NODE_MEMBERS)]
            case ReadExtensions(node_ids):
                return _read_all(read_extensions(hook, pool_id, node_ids))
            case _:
                return repair.answer(hook, pool_id, wanted)
    except ServiceError as error:
        return problem_of(error)


async def _aanswer(hook: AzureBatchNodeHook, pool_id: str, wanted: Ask) -> AnyAnswer:
    try:
        match wanted:
            case ReadPool():
                return read_pool(await hook.aget_pool(pool_id, select=_POOL_MEMBERS))
            case ReadNodes():
                return [read_node(body) for body in await hook.alist_nodes(pool_id, select=_NODE_MEMBERS)]
            case ReadExtensions(node_ids):
                return _read_all(await aread_extensions(hook, pool_id, node_ids))
            case _:
                return await repair.aanswer(hook, pool_id, wanted)
    except ServiceError as error:
        return problem_of(error)


def _read_all(bodies: Mapping[str, Sequence[Body] | Problem]) -> dict[str, NodeAnswer]:
    return {
        node_id: found if isinstance(found, Problem) else tuple(map(read_extension, found))
        for node_id, found in bodies.items()
    }


def read_extensions(
    hook: AzureBatchNodeHook, pool_id: str, node_ids: Sequence[str], *, at_once: int = CONCURRENT_READS
) -> dict[str, Sequence[Body] | Problem]:
    """Read the extensions of several nodes at the same time.

    Once a read is throttled, the nodes that are left are not asked any more.

    :param at_once: how many reads at the same time.
    :return: by node id, what the node lists, or why that could not be read; nothing that Azure says raises.
    """
    if not node_ids:
        return {}
    told_off: list[Problem] = []
    hook.get_conn()  # made here, not by several threads at once
    with ThreadPoolExecutor(min(at_once, len(node_ids))) as threads:
        answers = threads.map(lambda i: _extensions(hook, pool_id, i, told_off), node_ids)
        return dict(zip(node_ids, answers, strict=True))


async def aread_extensions(
    hook: AzureBatchNodeHook, pool_id: str, node_ids: Sequence[str], *, at_once: int = CONCURRENT_READS
) -> dict[str, Sequence[Body] | Problem]:
    """``read_extensions`` on the hook's async client."""
    if not node_ids:
        return {}
    told_off: list[Problem] = []
    found: dict[str, Sequence[Body] | Problem] = {}
    await hook.aget_conn()  # Airflow hands out connections to the trigger's own task alone
    todo = iter(node_ids)
    readers = min(at_once, len(node_ids))
    await asyncio.gather(*(_aextensions(hook, pool_id, todo, found, told_off) for _ in range(readers)))
    return found


def _extensions(
    hook: AzureBatchNodeHook, pool_id: str, node_id: str, told_off: list[Problem]
) -> Sequence[Body] | Problem:
    """Read one node, unless a read before it was throttled: then the rest is left out."""
    if told_off:
        return told_off[0]
    try:
        return hook.list_node_extensions(pool_id, node_id)
    except ServiceError as error:
        return _note(error, told_off)


async def _aextensions(
    hook: AzureBatchNodeHook,
    pool_id: str,
    node_ids: Iterator[str],
    found: dict[str, Sequence[Body] | Problem],
    told_off: list[Problem],
) -> None:
    """Read one node after the other until the shared iterator is used up."""
    for node_id in node_ids:
        if told_off:
            found[node_id] = told_off[0]
            continue
        try:
            found[node_id] = await hook.alist_node_extensions(pool_id, node_id)
        except ServiceError as error:
            found[node_id] = _note(error, told_off)


def _note(error: ServiceError, told_off: list[Problem]) -> Problem:
    problem = problem_of(error)
    if error.status in _THROTTLED:
        told_off.append(problem)
    return problem


def problem_of(error: ServiceError) -> Problem:
    """What an error of the service means for the rules of the gate, and for a repair."""
    code = "ConditionNotMet" if error.status == 412 else error.code
    match error:
        case AccessRefusedError():
            return Problem(ProblemKind.REFUSED, str(error), error.retry_after, code)
        case NotFoundError():
            kind = ProblemKind.MISSING
        case ConflictError():
            kind = ProblemKind.CONFLICT
        case UnavailableError():
            kind = ProblemKind.PASSING
        case _:
            kind = ProblemKind.REJECTED
    return Problem(kind, error.reason, error.retry_after, code)
