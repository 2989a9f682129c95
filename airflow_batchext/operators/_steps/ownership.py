"""Whose a pool is that a task creates or finds: kept, or some run's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.exceptions import PoolConflictError
from airflow_batchext.loose_json.values import below
from airflow_batchext.operators._steps.orphans import ask_in_task
from airflow_batchext.origin.deployment import deployment
from airflow_batchext.origin.mark import Maker, maker_of, marked
from airflow_batchext.origin.orphans import Run, is_ours, read_marked_pool

if TYPE_CHECKING:
    from airflow.sdk import Context


class Creator(Protocol):
    """What it takes of the operator."""

    lifetime: Any
    is_setup: bool

    def get_direct_relatives(self, upstream: bool = False) -> Any:
        """The tasks behind it; to be asked for only where it has a DAG."""

    def has_dag(self) -> bool:
        """Whether it has a DAG."""


def maker(operator: Creator, context: Context) -> Maker | None:
    """Who makes the pool, if it lives for one run: as was asked for, or as a teardown comes behind."""
    lifetime = operator.lifetime
    if lifetime is None and operator.is_setup and operator.has_dag():
        lifetime = "run" if any(t.is_teardown for t in operator.get_direct_relatives()) else None
    return maker_of(context, deployment()) if lifetime == "run" else None


def settle_owner(
    existing: Mapping[str, Any], mine: Maker | None, context: Context, log: Any
) -> dict[str, Any] | None:
    """See to it that the pool which was found is not another run's own.

    :param existing: the pool, as the management plane shows it.
    :param mine: who makes it, if it is to live for this run alone.
    :return: what to change of it so that it belongs to this task; None where there is nothing to change.
    :raises PoolConflictError: if this run would delete it under another one.
    """
    pool = read_marked_pool(existing)
    if pool is None or (pool.maker is not None and pool.maker == mine):
        return None
    run = None
    if pool.maker is not None and is_ours(pool, deployment()):
        run = _ask(pool.maker)
    who = "a run, which its mark does not name" if pool.maker is None else one_line(str(pool.maker), 400)
    if run in (Run.ENDED, Run.GONE):
        log.info("Pool %s was left by %s; it is taken over", pool.pool_id, who)
        return marked({"properties": {"metadata": below(existing, "properties", "metadata")}}, mine)
    if mine is not None:
        raise PoolConflictError(
            f"Pool {pool.pool_id} belongs to {who}, which deletes it when it ends, or has left it; this task "
            "would delete it under that. Give this one another pool_id (by default each ephemeral_pool has "
            "its own). `batchext orphans` says which pools are left of runs that have ended."
        )
    here = maker_of(context, "")
    if pool.maker is None or here is None or not _same_run(pool.maker, here):
        log.warning("Pool %s belongs to %s, which deletes it when it ends", pool.pool_id, who)
    return None


def _same_run(one: Maker, other: Maker) -> bool:
    return (one.dag_id, one.run_id) == (other.dag_id, other.run_id)


def _ask(maker: Maker) -> Run | None:
    try:
        return ask_in_task(maker)
    except Exception:  # outside of Airflow nobody answers; then it is taken for one that lives
        return None
