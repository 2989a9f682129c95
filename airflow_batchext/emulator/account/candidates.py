"""Which nodes may be given a task, and which tasks may be given a node, as far as others are concerned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.lifecycle import States, node_at
from airflow_batchext.emulator.account.work import takes_tasks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from airflow_batchext.emulator.account.job_records import Job
    from airflow_batchext.emulator.account.pools import Node, Pool
    from airflow_batchext.emulator.wire.http import Json


def candidates_of(pool: Pool, now: datetime) -> list[tuple[int, int, Node]]:
    """The nodes that have free slots, with how much they are wanted, the least first, and their place."""
    properties = pool.definition.properties
    most: int = properties["taskSlotsPerNode"]
    spreads = properties["taskSchedulingPolicy"]["nodeFillType"] == "Spread"
    found = []
    for place, node in enumerate(_open_nodes(pool, now)):
        free = most - node.work.slots(now)
        if free > 0:
            found.append((-free if spreads else free, place, node))
    return found


def _open_nodes(pool: Pool, now: datetime) -> Iterator[Node]:
    """Yield the nodes that take tasks, in the order of allocation."""
    states = States(now)
    for node in pool.nodes.values():
        state = states.of(node.history)
        if state is not None and takes_tasks(state, node.work):
            yield node


def takes_more(node: Node, now: datetime) -> bool:
    """Whether a node may begin something: it is up, and neither spared nor to be rebooted or the like."""
    state = node_at(node.history, now)
    return state is not None and takes_tasks(state, node.work)


def dependencies(document: Json) -> Iterator[str]:
    """Yield the ids of the tasks on which one depends."""
    depends: Json = document.get("dependsOn", {})
    yield from depends.get("taskIds", [])
    for numbers in depends.get("taskIdRanges", []):
        yield from (str(number) for number in range(numbers["start"], numbers["end"] + 1))


def is_satisfied(job: Job, needed: str) -> bool:
    """Whether a task on which others depend has ended as they need it."""
    task = job.tasks.get(needed.casefold())
    if task is None or not task.is_completed:
        return False
    action: str = task.exit_options().get("dependencyAction", "satisfy" if task.failure is None else "block")
    return action == "satisfy"
