"""Prepares nodes for the jobs that have a preparation task: once on each node, before any task runs there.

Documented: where it fails, after its retries, the node gets no task of that job until it is reimaged, while
other jobs' tasks run there; after a reboot it is run again (``rerunOnNodeRebootAfterSuccess``), after a
reimaging always; the tasks for which a node was kept meanwhile are ``preparing``, and ``active`` again where
it fails. It takes no slot: a choice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account import lifecycle
from airflow_batchext.emulator.account.job_records import PREPARING, RUNNING, Job, Preparation, Task
from airflow_batchext.emulator.account.work import TaskRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_batchext.emulator.account.inventory import Inventory
    from airflow_batchext.emulator.account.pools import Node, Pool

_PREPARATION, _RELEASE = "jobPreparationTask", "jobReleaseTask"
_NOT_YET = datetime.max.replace(tzinfo=UTC)


class Preparing(ABC):
    """What the scheduler knows of preparation tasks."""

    _account: Inventory

    @abstractmethod
    def _follow(self, task: Task, run: TaskRun) -> None:
        """Let a run have its place on the nodes of its task, and see to its end."""

    def _is_open(self, job: Job, node: Node, now: datetime) -> bool:
        """Whether a job may have tasks on a node: it has not failed to be prepared for them."""
        task = job.document.get(_PREPARATION)
        if task is None or not task["waitForSuccess"]:
            return True
        last = _last(job, node, now)
        return last is None or not last.is_completed or last.has_succeeded

    def _is_ready(self, job: Job, node: Node, now: datetime) -> bool:
        """Whether a task of a job can run on a node at once."""
        task = job.document.get(_PREPARATION)
        if task is None or not task["waitForSuccess"]:
            return True
        last = _current(job, node, now)
        return last is not None and last.has_succeeded

    def _prepare(self, job: Job, pool: Pool, node: Node, now: datetime) -> None:
        """Have a node prepared for a job, unless that was begun."""
        document = job.document.get(_PREPARATION)
        if document is None or _current(job, node, now) is not None:
            return
        what = {**document, "requiredSlots": 0}
        made = Preparation(document["id"], job, what, now, now, [], nodes=[node], pool=pool.name)
        made.boot = lifecycle.boots(node.history, now) - 1
        job.preparations[node.id] = made
        self._run_preparation(made, now)

    def _run_preparation(self, preparation: Preparation, now: datetime) -> None:
        """Begin the first or the next attempt."""
        pool = self._account.known_pool(preparation.pool)
        if pool is not None:
            run = self._account.runs.plan(preparation, pool, preparation.node, now)
            preparation.moments.append((run.start, RUNNING))
            self._follow(preparation, run)

    def _wait_on(self, task: Task, now: datetime) -> None:
        """Keep its nodes for a task until they are prepared."""
        run = TaskRun(task.job.id, task.id, task.document["requiredSlots"], now, _NOT_YET, None, None)
        task.moments.append((now, PREPARING))
        self._follow(task, run)

    def _drop(self, preparation: Preparation, now: datetime) -> None:
        """Take note that a preparation is cut off: as if it had never been."""
        self._take_from_nodes(preparation, now)
        preparation.run = None  # its end is written ahead, and is not to come
        preparation.job.preparations.pop(preparation.node.id, None)

    def _take_from_nodes(self, task: Task, now: datetime) -> TaskRun | None:
        """Cut the run of a task off, or what a node is kept for it by; return it, if there was one."""
        run = task.run if not task.is_waiting else None
        if run is not None:
            self._account.runs.stop(run)
            for node in task.nodes:
                node.work = node.work.without((run,), now)
        return run

    def _clean_up(self, job: Job, at: datetime, end: datetime) -> None:
        """Do what the end of a job means for the nodes that were prepared for it."""
        for preparation in list(job.preparations.values()):
            if not preparation.is_completed:
                self._drop(preparation, at)
            elif _RELEASE in job.document and self._is_to_be_released(preparation, at):
                preparation.release = self._account.runs.release(preparation, at, end)

    def _is_to_be_released(self, preparation: Preparation, now: datetime) -> bool:
        node, pool = preparation.node, self._account.known_pool(preparation.pool)
        is_there = pool is not None and pool.nodes.get(node.id) is node
        is_there = is_there and lifecycle.node_at(node.history, now) is not None
        is_same = _last(preparation.job, node, now) is preparation
        is_first = preparation.release is None
        return is_there and is_same and is_first and preparation.is_used and preparation.has_succeeded


def preparing_on(job: Job, node: Node) -> Iterator[Task]:
    """Yield the tasks that wait until a node is prepared."""
    for task in job.tasks.values():
        if task.moments[-1][1] == PREPARING and any(kept is node for kept in task.nodes):
            yield task


def _last(job: Job, node: Node, now: datetime) -> Preparation | None:
    """The last preparation of a node, unless it was installed anew since."""
    found = job.preparations.get(node.id)
    if found is None or lifecycle.is_new_since(node.history, found.created, now):
        return None
    return found


def _current(job: Job, node: Node, now: datetime) -> Preparation | None:
    """The same, unless it has to be done again as the node was rebooted."""
    found = _last(job, node, now)
    if found is None or not found.has_succeeded or not found.document["rerunOnNodeRebootAfterSuccess"]:
        return found
    return found if found.boot == lifecycle.boots(node.history, now) - 1 else None
