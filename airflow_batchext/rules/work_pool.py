"""Why nothing starts on a pool: what its size, its nodes and their preparation have against it.

Pure: no I/O, no clock, no Airflow, no Azure SDK.

A job may have a preparation task (an operator's ``node_check``): Azure Batch gives a node none of the job's
tasks where it fails, until the node is reimaged. Where it has failed on every node there is, of a pool that
is steady and does not scale itself, no task of the job will ever start.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_batchext.batch.data_plane import BROKEN_STATES, epoch_seconds
from airflow_batchext.batch.node_names import shortened
from airflow_batchext.rules.gate import Rules, resize_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_batchext.batch.data_plane import Node, Pool
    from airflow_batchext.batch.work import PreparationSeen

#: In these states a node takes tasks, or did until a moment ago; and it is as it was when it was prepared.
_TAKING = frozenset({"idle", "running"})
_UP = _TAKING | {"offline"}
#: So many nodes, errors of nodes, and failures are told of.
_TOLD = 3


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What keeps those waiting who wait for nodes of a pool.

    :param is_gone: that the pool is not there any more, in words.
    :param why: why nothing starts, in words.
    :param is_final: whether, as things are, nothing ever will.
    """

    is_gone: str = ""
    why: str = ""
    is_final: bool = False


def why_nothing_starts(
    pool: Pool, nodes: Iterable[Node], preparations: Sequence[PreparationSeen] = ()
) -> Hindrance:
    """What a pool is like, for a task that waits for a node there.

    :param preparations: of the nodes for the job, as far as it has a preparation task.
    """
    present = [node for node in nodes if not node.leaving]
    known = {node.id: node for node in present}
    failed = [one for one in preparations if one.node_id in known and _holds(one, known[one.node_id])]
    shut = {one.node_id for one in failed}
    open_nodes = [node for node in present if node.id not in shut and not any(e.fatal for e in node.errors)]
    able = sum(node.state in _TAKING for node in open_nodes)
    states = Counter(node.state or "in no known state" for node in present)
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    text = f"{able} of {max(pool.target or 0, len(present))} nodes of pool {pool.id} take tasks of the job"
    text += f" ({counted})" if counted else ""
    reasons = [
        *_of_pool(pool, len(present)),
        *_of_nodes(present),
        *_of_preparations(failed, preparations, known),
    ]
    is_final = bool(present) and len(shut) == len(present) and pool.allocation_state == "steady"
    return Hindrance(
        why=shortened("; ".join([text, *reasons]), known), is_final=is_final and not pool.autoscale
    )


def _holds(preparation: PreparationSeen, node: Node) -> bool:
    """Whether a failure keeps tasks from a node: it has not been started anew since, nor is it being so."""
    if not preparation.has_failed or node.state not in _UP:
        return False
    ended, booted = epoch_seconds(preparation.ended), epoch_seconds(node.last_boot_time)
    return ended is None or booted is None or booted <= ended


def _of_pool(pool: Pool, count: int) -> Iterator[str]:
    if pool.state not in ("active", ""):
        yield f"pool {pool.id} is {pool.state}"
    if pool.allocation_state not in ("steady", ""):
        yield f"pool {pool.id} is {pool.allocation_state}"
    current = count if pool.current is None else pool.current
    if pool.resize_errors and (pool.target is None or current < pool.target):
        yield resize_failure(replace(pool, current=current), Rules())
    if pool.unscaled:
        yield f"the autoscale formula of pool {pool.id} {pool.unscaled}"
    if not count and not pool.target:
        yield f"pool {pool.id} has no nodes and its target is {'unknown' if pool.target is None else 0}"


def _of_nodes(nodes: Sequence[Node]) -> Iterator[str]:
    """What is wrong with those that take no tasks; each error once."""
    told: dict[str, str] = {}
    for node in nodes:
        for error in node.errors:
            if node.state in BROKEN_STATES or error.fatal:
                told.setdefault(error.text, f"node {node.id} ({node.state}): {error.text}")
    yield from list(told.values())[:_TOLD]
    if len(told) > _TOLD:
        yield f"and {len(told) - _TOLD} more errors of nodes"


def _of_preparations(
    failed: Sequence[PreparationSeen], preparations: Sequence[PreparationSeen], known: Iterable[str]
) -> Iterator[str]:
    alike: dict[str, list[str]] = {}
    for one in failed:
        alike.setdefault(one.text, []).append(one.node_id)
    for text, ids in list(alike.items())[:_TOLD]:
        yield f"the job's preparation task failed on {_some(ids)} ({text})"
    here = frozenset(known)
    if going := [one.node_id for one in preparations if not one.is_over and one.node_id in here]:
        yield f"the job's preparation task runs on {_some(going)}"


def _some(ids: Sequence[str]) -> str:
    """The first of some nodes, and how many more there are."""
    more = len(ids) - _TOLD
    return ", ".join(ids[:_TOLD]) + (f" and {more} more nodes" if more > 0 else "")
