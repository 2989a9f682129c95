"""Find the pools that ended runs have left, and delete them; for the operator and ``batchext orphans``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.documentation import see
from airflow_batchext.exceptions import BatchextError, NotFoundError, ParameterError, ServiceError
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators._steps.pool import busy_nodes, find_pool
from airflow_batchext.origin.deployment import deployment
from airflow_batchext.origin.mark import Maker
from airflow_batchext.origin.orphans import MarkedPool, Run, Verdict, is_ours, judge, read_marked_pool

Lookup = Callable[[Maker], Run | None]


@dataclass(slots=True)
class Found:
    """A marked pool, and what became of it.

    :param busy: on how many of its nodes tasks run; None where that was not asked, or not told.
    :param deleted: whether its deletion was asked for.
    :param problem: why that could not be done, or was not.
    :param failed: whether it should have been deleted, and Azure refused.
    """

    pool: MarkedPool
    verdict: Verdict
    why: str
    busy: int | None = None
    deleted: bool = False
    problem: str = ""
    failed: bool = False

    def to_json(self, now: float) -> dict[str, Any]:
        """As plain JSON."""
        more = {"busy_nodes": self.busy, "deleted": self.deleted, "problem": self.problem}
        return {**self.pool.to_json(now), "verdict": self.verdict.value, "why": self.why, **more}


@dataclass(slots=True)
class Orphans:
    """What was found on one account.

    :param deployment: the name of this Airflow.
    :param now: when it was read, in seconds since the epoch.
    """

    deployment: str
    now: float = field(default_factory=time.time)
    found: list[Found] = field(default_factory=list)

    @property
    def left(self) -> list[Found]:
        """The orphans whose deletion was not asked for, and what may be one."""
        return [each for each in self.of(Verdict.ORPHAN, Verdict.UNCLEAR) if not each.deleted]

    def fate(self, found: Found) -> str:
        """What becomes of a pool, in words: of an orphan what it costs, too."""
        if found.verdict is not Verdict.ORPHAN:
            return "It is left as it is."
        hours = found.pool.hours(self.now)
        told = (
            ""
            if hours is None
            else f" for {hours:.1f} hours: about {hours * found.pool.nodes:.1f} node-hours"
        )
        done = "Its deletion was asked for." if found.deleted else "It was not deleted"
        why = "" if found.deleted else f": {found.problem}." if found.problem else "."
        return f"It has {found.pool.nodes} nodes ({found.pool.vm_size}){told}. {done}{why}"

    def of(self, *verdicts: Verdict) -> list[Found]:
        """Those that are one of these."""
        return [each for each in self.found if each.verdict in verdicts]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        orphans, others = self.of(Verdict.ORPHAN), [f for f in self.found if f.verdict is not Verdict.ORPHAN]
        return {
            "deployment": self.deployment,
            "orphans": [each.to_json(self.now) for each in orphans],
            "others": [each.to_json(self.now) for each in others],
        }


def find_orphans(hook: AzureBatchPoolHook, nodes: AzureBatchNodeHook, ask: Lookup) -> Orphans:
    """Read the account's pools, and tell which ended runs of this Airflow have left.

    :param ask: what Airflow knows of a run.
    :raises ParameterError: if this Airflow has no name.
    :raises ServiceError: if the pools cannot be listed.
    """
    name = deployment()
    if not name:
        raise ParameterError(
            "This Airflow has no name by which its pools could be told from those of others on the account: "
            f"set [batchext] deployment, the same on all machines ({see('orphans')})."
        )
    orphans = Orphans(name)
    for body in hook.list_pools():
        pool = read_marked_pool(body)
        if pool is None:
            continue
        maker = pool.maker
        run = ask(maker) if maker is not None and is_ours(pool, name) else None
        found = Found(pool, *judge(pool, name, run))
        if found.verdict is Verdict.ORPHAN:
            _look_for_tasks(nodes, found)
        orphans.found.append(found)
    orphans.found.sort(key=lambda each: (-each.pool.nodes, each.pool.pool_id))
    return orphans


def _look_for_tasks(nodes: AzureBatchNodeHook, found: Found) -> None:
    if not found.pool.nodes:
        found.busy = 0
        return
    try:
        found.busy = len(busy_nodes(nodes, found.pool.pool_id))
    except NotFoundError:
        found.busy = 0
    except BatchextError as error:
        found.problem = f"it could not be told whether tasks run on it: {one_line(str(error))}"


def delete_orphans(hook: AzureBatchPoolHook, orphans: Orphans, ask: Lookup, *, busy_too: bool) -> None:
    """Ask for the deletion of the orphans, and do not wait for it.

    Each is looked at again right before, as is its run: Azure's deletion knows no condition.

    :param busy_too: also of those on which tasks run, or may run.
    """
    for found in orphans.of(Verdict.ORPHAN):
        pool, name = found.pool, orphans.deployment
        if found.busy != 0 and not busy_too:
            found.problem = found.problem or f"tasks run on {found.busy} of its nodes"
            continue
        try:
            body = find_pool(hook, pool.pool_id)
            now = None if body is None else read_marked_pool(body)
            if now is None or now.is_deleting or (now.created, now.maker) != (pool.created, pool.maker):
                found.verdict, found.why = Verdict.GOING, "somebody else deleted it, or took it, meanwhile"
                continue
            verdict, why = judge(now, name, None if now.maker is None else ask(now.maker))
            if verdict is not Verdict.ORPHAN:
                found.verdict, found.why = verdict, why
                continue
            hook.delete_pool(pool.pool_id)
            found.deleted = True
        except BatchextError as error:
            found.failed, found.problem = True, one_line(str(error), 500)


def ask_in_task(maker: Maker) -> Run | None:
    """What Airflow knows of a run, asked as a task may: through its supervisor."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    dag_id, runs = maker.dag_id, [maker.run_id]
    if RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=runs, states=["queued", "running"]):
        return Run.LIVES
    return Run.ENDED if RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=runs) else Run.GONE


class OrphansParameters(Protocol):
    """What it takes of the operator."""

    azure_batchext_conn_id: str
    delete_busy: bool
    is_dry_run: bool

    @property
    def log(self) -> Any:
        """The task's log."""


def run(operator: OrphansParameters) -> dict[str, Any]:
    """The operator's XCom.

    :raises ServiceError: if one of them could not be deleted, after all others were tried.
    """
    conn_id, log = operator.azure_batchext_conn_id, operator.log
    with AzureBatchPoolHook(conn_id) as hook, AzureBatchNodeHook(conn_id) as nodes:
        orphans = find_orphans(hook, nodes, ask_in_task)
        if not operator.is_dry_run:
            delete_orphans(hook, orphans, ask_in_task, busy_too=operator.delete_busy)
    for found in orphans.found:
        log.info("Pool %s: %s. %s", found.pool.pool_id, found.why, orphans.fate(found))
    if not orphans.of(Verdict.ORPHAN):
        log.info("No pool is left of a run that has ended")
    failed = [found for found in orphans.found if found.failed]
    if failed:
        listed = "\n".join(f"  {found.pool.pool_id}: {found.problem}" for found in failed)
        raise ServiceError(f"{len(failed)} pools that ended runs have left could not be deleted:\n{listed}")
    return orphans.to_json()
