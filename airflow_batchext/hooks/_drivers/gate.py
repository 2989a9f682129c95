"""Drives the rules of the gate (``watch.Watch``), and of repairs, with a hook: one look, sync or async.

The rules say what to read; here that becomes requests, and what Azure refuses a ``Problem`` that the rules
can judge. Extensions of several nodes are read at the same time, within a limit. No request begins after
the deadline: what is asked for then is answered with ``TOO_LATE``, so the rules come to an end by themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_batchext.batch.data_plane import read_extension, read_node, read_pool
from airflow_batchext.batch.whole_pool import read_whole_pool
from airflow_batchext.exceptions import (
    AccessRefusedError,
    ConflictError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from airflow_batchext.hooks import _node_requests as requests
from airflow_batchext.hooks._drivers.repair import request_of
from airflow_batchext.hooks._requests import Aside, AtOnce
from airflow_batchext.metrics import look_span, note_verdict
from airflow_batchext.repair.requests import ReadWholePool
from airflow_batchext.rules.deadline import NEVER
from airflow_batchext.rules.reads import (
    TOO_LATE,
    Problem,
    ProblemKind,
    ReadExtensions,
    ReadNodes,
    ReadPool,
)
from airflow_batchext.rules.watch import Watch
from airflow_batchext.transport import aside, flows, over_within, seconds_left, within

if TYPE_CHECKING:
    from airflow_batchext.batch.data_plane import Extension
    from airflow_batchext.hooks._requests import Body, Flow
    from airflow_batchext.hooks.node import AzureBatchNodeHook
    from airflow_batchext.repair.controller import Repair
    from airflow_batchext.repair.gate import RepairingGate
    from airflow_batchext.repair.requests import RepairAnswer, RepairRequest
    from airflow_batchext.rules.deadline import Deadline
    from airflow_batchext.rules.gate import Verdict

Result = TypeVar("Result")

#: Reads at the same time, per gate.
CONCURRENT_READS = 8
#: So long one look may take that puts targets back: it comes when the time is over.
GIVE_BACK_SECONDS = 5.0
# From so many nodes on, and texts that are so long count as another one: some milliseconds.
_HEAVY, _LONG_TEXT = 100, 500
_THROTTLED = (429, 503)

# Only what the rules use is asked for: a node's body is large, a pool's holds more than we want to see.
_POOL_MEMBERS = (
    *("id", "state", "creationTime", "allocationState", "allocationStateTransitionTime"),
    *("resizeErrors", "enableAutoScale", "autoScaleRun", "targetDedicatedNodes", "targetLowPriorityNodes"),
    *("currentDedicatedNodes", "currentLowPriorityNodes", "virtualMachineConfiguration", "metadata"),
)
_NODE_MEMBERS = (
    *("id", "state", "stateTransitionTime", "lastBootTime", "errors", "allocationTime"),
    *("isDedicated", "runningTasksCount"),
)


def look(
    hook: AzureBatchNodeHook, watch: Watch | RepairingGate, *, deadline: Deadline = NEVER, whole: bool = False
) -> Verdict:
    """Look at the watch's pool once.

    :param deadline: when it has to be over; a request that is under way then may be waited for.
    :param whole: not only a glance at what kept the gate closed the last time.
    :raises ConnectionFieldsError: if the connection cannot be used; nothing that Azure says raises.
    """
    with _looking(watch.pool_id) as noted:
        return noted(drive(hook, watch.pool_id, watch.look(_clock(hook, watch), whole=whole), deadline))


async def alook(
    hook: AzureBatchNodeHook, watch: Watch | RepairingGate, *, deadline: Deadline = NEVER, whole: bool = False
) -> Verdict:
    """``look`` on the hook's async client; nothing that is under way at the deadline is waited for."""
    with _looking(watch.pool_id) as noted:
        looked = watch.look(_clock(hook, watch), whole=whole)
        return noted(await adrive(hook, watch.pool_id, looked, deadline))


def _clock(hook: AzureBatchNodeHook, watch: Watch | RepairingGate) -> Callable[[], float]:
    """The time that a gate goes by: who has nodes repaired must not take them for older than they are."""
    return hook.service_time if isinstance(watch, Watch) else hook.cautious_time


@contextmanager
def _looking(pool_id: str) -> Iterator[Callable[[Verdict], Verdict]]:
    """Trace a look, and say when it began by the service's clock, which may not have been known then."""
    with look_span(pool_id) as span:
        began = time.monotonic()
        yield lambda verdict: note_verdict(
            span, replace(verdict, began=verdict.ended - (time.monotonic() - began))
        )


def give_back(hook: AzureBatchNodeHook, repair: Repair) -> str:
    """Put a pool's targets back as a repair is ended in the middle; return what has to be told.

    A removal that is under way is not waited for, nor an answer for more than some seconds.
    """
    for _ in range(2):
        with within(GIVE_BACK_SECONDS):
            given_back = drive(hook, repair.pool_id, repair.give_back(hook.cautious_time))
        if not given_back.soon:
            break
    return given_back.text


async def agive_back(hook: AzureBatchNodeHook, repair: Repair, *, interval: float, looks: int) -> str:
    """``give_back`` on the hook's async client; waits for a removal, for so many looks.

    :param interval: seconds between them.
    """
    text = ""
    for _ in range(looks):
        with within(GIVE_BACK_SECONDS):
            given_back = await adrive(hook, repair.pool_id, repair.give_back(hook.cautious_time))
        text = given_back.text
        if given_back.stage.value != "working":
            break
        await asyncio.sleep(0 if given_back.soon else interval)
    return text


def drive(
    hook: AzureBatchNodeHook,
    pool_id: str,
    rules: Generator[RepairRequest, Any, Result],
    deadline: Deadline = NEVER,
) -> Result:
    """Read, and do, what the rules ask for until they come to a result."""
    return flows.drive(rules, lambda wanted: _before(hook, pool_id, wanted, deadline))


async def adrive(
    hook: AzureBatchNodeHook,
    pool_id: str,
    rules: Generator[RepairRequest, Any, Result],
    deadline: Deadline = NEVER,
) -> Result:
    """``drive`` on the hook's async client; rules that have much to judge do so beside the event loop."""
    weight = 0

    async def answer(wanted: RepairRequest) -> RepairAnswer:
        nonlocal weight
        found = await _in_time(hook, pool_id, wanted, deadline)
        weight += _weight(found)
        return found

    async def make(step: Callable[[], Any]) -> Any:
        return step() if weight < _HEAVY else await aside(step)

    return await flows.adrive(rules, answer, make=make)


def _weight(answer: RepairAnswer) -> int:
    """How much there is in an answer to be judged: about how many nodes' worth."""
    if isinstance(answer, list):
        return len(answer)
    if isinstance(answer, Mapping):
        found = [extensions for extensions in answer.values() if not isinstance(extensions, Problem)]
        return sum(1 + len(item.message) // _LONG_TEXT for extensions in found for item in extensions)
    return 0


def _before(
    hook: AzureBatchNodeHook, pool_id: str, wanted: RepairRequest, deadline: Deadline
) -> RepairAnswer:
    """``_in_time`` on the sync client, whose requests end at the deadline."""
    if deadline.has_passed:
        return TOO_LATE
    with within(deadline.left):
        answer = hook.run(answer_of(pool_id, wanted, deadline))
    return TOO_LATE if isinstance(answer, Problem) and deadline.has_passed else answer


async def _in_time(
    hook: AzureBatchNodeHook, pool_id: str, wanted: RepairRequest, deadline: Deadline
) -> RepairAnswer:
    """The answer, if it comes before the deadline."""
    if deadline.has_passed:
        return TOO_LATE
    try:
        async with over_within(deadline.left):
            return await hook.arun(answer_of(pool_id, wanted, deadline))
    except TimeoutError:
        return TOO_LATE


def answer_of(pool_id: str, wanted: RepairRequest, deadline: Deadline = NEVER) -> Flow[RepairAnswer]:
    """Read or do one thing that the rules ask for; nothing that Azure says raises."""
    try:
        match wanted:
            case ReadPool():
                pool = yield from requests.get_pool(pool_id, select=_POOL_MEMBERS)
                return (yield from Aside(partial(read_pool, pool)))
            case ReadNodes():
                nodes = yield from requests.list_nodes(pool_id, select=_NODE_MEMBERS)
                return (yield from Aside(lambda: [*map(read_node, nodes)]))
            case ReadExtensions(node_ids):
                bodies = yield from read_extensions(
                    pool_id, node_ids, at_once=CONCURRENT_READS, deadline=deadline
                )
                return (yield from Aside(partial(_extensions, bodies)))
            case ReadWholePool():
                pool = yield from requests.get_pool(pool_id)
                return (yield from Aside(partial(read_whole_pool, pool)))
            case _:
                answer: RepairAnswer = yield from request_of(pool_id, wanted)
                return answer
    except ServiceError as error:
        return problem_of(error)


def _extensions(bodies: Mapping[str, Sequence[Body] | Problem]) -> dict[str, Sequence[Extension] | Problem]:
    return {
        node_id: found if isinstance(found, Problem) else tuple(map(read_extension, found))
        for node_id, found in bodies.items()
    }


def read_extensions(
    pool_id: str, node_ids: Sequence[str], *, at_once: int, deadline: Deadline = NEVER
) -> Flow[dict[str, Sequence[Body] | Problem]]:
    """Read the extensions of several nodes at the same time.

    Once a read is throttled, or the deadline has passed, the nodes that are left are not asked any more.

    :param at_once: how many reads at the same time.
    :return: by node id, what the node lists, or why that could not be read; nothing that Azure says raises.
    """
    todo, found = deque(node_ids), dict[str, "Sequence[Body] | Problem"]()
    throttled: list[Problem] = []
    readers = min(at_once, len(todo))
    if readers:
        yield AtOnce([_read_each(pool_id, todo, found, throttled, deadline) for _ in range(readers)])
    return {node_id: found[node_id] for node_id in node_ids}


def _read_each(
    pool_id: str,
    todo: deque[str],
    found: dict[str, Sequence[Body] | Problem],
    throttled: list[Problem],
    deadline: Deadline,
) -> Flow[None]:
    """Read one node after the other until none is left; several readers share what is to be done."""
    while True:
        try:
            node_id = todo.popleft()
        except IndexError:
            return
        if throttled or deadline.has_passed or not seconds_left():
            found[node_id] = throttled[0] if throttled else TOO_LATE
            continue
        try:
            found[node_id] = yield from requests.list_node_extensions(pool_id, node_id)
        except ServiceError as error:
            found[node_id] = problem = problem_of(error)
            if error.status in _THROTTLED:
                throttled.append(problem)


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
