"""Reads how a pool is, once: the pool, its nodes, and what the extensions of each node say.

A pool of N nodes costs one read of the pool, one for each page of nodes (1,000), and one for each node that
has a machine. What Azure refuses, or cannot answer now, is part of what is found; the hook repeats what may
pass as often as it was told to, so give it ``retries`` where a gap would hurt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_batchext.batch.data_plane import LEAVING_STATE, VOID_STATES
from airflow_batchext.exceptions import ServiceError
from airflow_batchext.health import PoolHealth, pool_health
from airflow_batchext.hooks import _node_requests as requests
from airflow_batchext.hooks._drivers.gate import problem_of, read_extensions
from airflow_batchext.hooks._requests import Aside
from airflow_batchext.rules.deadline import NEVER
from airflow_batchext.rules.reads import TOO_LATE, Problem

if TYPE_CHECKING:
    from airflow_batchext.hooks._requests import Body, Call, Flow
    from airflow_batchext.hooks.node import AzureBatchNodeHook
    from airflow_batchext.rules.deadline import Deadline
    from airflow_batchext.rules.gate import Rules

Result = TypeVar("Result")

#: Reads at the same time.
CONCURRENT_READS = 12

_POOL_MEMBERS = (
    *("id", "state", "stateTransitionTime", "creationTime", "allocationState"),
    *("allocationStateTransitionTime", "resizeErrors", "resizeTimeout", "vmSize", "enableAutoScale"),
    *("autoScaleRun", "targetDedicatedNodes", "targetLowPriorityNodes", "currentDedicatedNodes"),
    *("currentLowPriorityNodes", "virtualMachineConfiguration", "networkConfiguration"),
    *("identity", "metadata"),
)
_NODE_MEMBERS = (
    *("id", "state", "stateTransitionTime", "allocationTime", "lastBootTime", "isDedicated"),
    *("schedulingState", "runningTasksCount", "errors", "startTaskInfo"),
)


def read_health(
    hook: AzureBatchNodeHook,
    pool_id: str,
    *,
    rules: Rules | None = None,
    only: Collection[str] | None = None,
    deadline: Deadline = NEVER,
) -> PoolHealth:
    """How a pool is now.

    :param hook: signed in to the account; it is left open.
    :param pool_id: the pool, which need not exist.
    :param rules: of the gate by which its nodes are judged; by default those of a gate without parameters.
    :param only: read the extensions of these nodes alone; the others are said not to have been read.
    :param deadline: after it no more is read.
    :raises ConnectionFieldsError: if the connection cannot be used; nothing that Azure says raises.
    """
    return hook.run(_read_health(pool_id, rules, only, hook.service_time, deadline))


async def aread_health(
    hook: AzureBatchNodeHook,
    pool_id: str,
    *,
    rules: Rules | None = None,
    only: Collection[str] | None = None,
) -> PoolHealth:
    """``read_health`` on the hook's async client.

    :param hook: signed in to the account; it is left open.
    :param pool_id: the pool, which need not exist.
    :param rules: of the gate by which its nodes are judged; by default those of a gate without parameters.
    :param only: read the extensions of these nodes alone; the others are said not to have been read.
    :raises ConnectionFieldsError: if the connection cannot be used; nothing that Azure says raises.
    """
    return await hook.arun(_read_health(pool_id, rules, only, hook.service_time))


def _read_health(
    pool_id: str,
    rules: Rules | None,
    only: Collection[str] | None,
    clock: Callable[[], float],
    deadline: Deadline = NEVER,
) -> Flow[PoolHealth]:
    nodes: list[Body] | Problem = []
    extensions: dict[str, Sequence[Body] | Problem] = {}
    pool = yield from _tried(requests.get_pool(pool_id, select=_POOL_MEMBERS))
    if not isinstance(pool, Problem):
        if deadline.has_passed:
            nodes = TOO_LATE
        else:
            nodes = yield from _tried(requests.list_nodes(pool_id, select=_NODE_MEMBERS))
        if not isinstance(nodes, Problem):
            asked = _asked(nodes, only)
            extensions = yield from read_extensions(
                pool_id, asked, at_once=CONCURRENT_READS, deadline=deadline
            )
    now = clock()
    work = partial(pool_health, pool_id, pool, nodes, extensions, now=now, rules=rules)
    return (yield from Aside(work))


def _tried(call: Call[Result]) -> Flow[Result | Problem]:
    try:
        return (yield from call)
    except ServiceError as error:
        return problem_of(error)


def _asked(nodes: Sequence[dict[str, Any]], only: Collection[str] | None) -> list[str]:
    """The nodes whose extensions are worth a read: those on a machine that stays."""
    return [
        node_id
        for node in nodes
        if (node_id := str(node.get("id") or ""))
        and str(node.get("state") or "").lower() not in VOID_STATES | {LEAVING_STATE}
        and (only is None or node_id in only)
    ]
