"""When what happened, as far as the service tells: a pool's way to where it is now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from airflow_batchext.batch.data_plane import one_line

if TYPE_CHECKING:
    from airflow_batchext.health import NodeHealth, PoolHealth

# Fewer nodes are told one by one, more by the first and the last of them.
_FEW = 3


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    :param time: the service's, as it writes it (``2026-01-31T12:00:00.1234567Z``).
    :param what: in a line.
    """

    time: str
    what: str


def timeline(health: PoolHealth) -> list[Event]:
    """What happened to a pool and its nodes, the earliest first; what has no time is left out.

    :param health: the snapshot that tells it.
    """
    return sorted((event for event in _events(health) if event.time), key=lambda event: event.time)


def _events(health: PoolHealth) -> Iterator[Event]:
    yield Event(health.created, "the pool was created")
    if health.state and health.state != "active":
        yield Event(health.state_since, f"the pool became {one_line(health.state)}")
    if health.allocation_state:
        yield Event(
            health.allocation_since, f"the pool's allocation became {one_line(health.allocation_state)}"
        )
    staying = [node for node in health.nodes if not node.leaving]
    yield from _of_nodes(staying, lambda node: node.allocated, "was allocated")
    yield from _of_nodes(staying, lambda node: node.last_boot, "booted")
    yield from _of_nodes(
        staying, lambda node: node.start_task.started if node.start_task else "", "began its start task"
    )
    yield from _of_nodes(
        staying, lambda node: node.start_task.ended if node.start_task else "", "ended its start task"
    )
    for state in sorted({node.state for node in staying}):
        there = [node for node in staying if node.state == state]
        yield from _of_nodes(there, lambda node: node.state_since, f"became {one_line(state) or 'unknown'}")
    names = dict.fromkeys(e.name for node in staying for e in node.extensions if e.expected and e.time)
    for name in names:
        time = partial(_status_time, name)
        yield from _of_nodes(staying, time, f"last told of extension {one_line(name)}")


def _status_time(name: str, node: NodeHealth) -> str:
    return next((e.time for e in node.extensions if e.name == name), "")


def _of_nodes(nodes: list[NodeHealth], time: Callable[[NodeHealth], str], what: str) -> Iterator[Event]:
    found = sorted((time(node), node.id) for node in nodes if time(node))
    if len(found) <= _FEW:
        for at, node_id in found:
            yield Event(at, f"node {one_line(node_id)} {what}")
        return
    (first, first_id), (last, last_id) = found[0], found[-1]
    if first == last:
        yield Event(first, f"all of {len(found)} nodes: each {what}")
        return
    yield Event(first, f"the first of {len(found)} nodes {what}: {one_line(first_id)}")
    yield Event(last, f"the last of {len(found)} nodes {what}: {one_line(last_id)}")
