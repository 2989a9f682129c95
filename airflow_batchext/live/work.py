"""How far the Batch tasks of one operator are, as the page counts them.

Pure: no I/O, no clock, no Airflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from airflow_batchext.live.form import Snapshot, WorkSaid
from airflow_batchext.rules.work import Stage, Standing

#: What has no node yet, or has to be given one once more; what is in none of these states has one.
_WAITING: Final = frozenset({"active", "stranded", "unseen"})
_ENDED: Final = {Stage.SUCCEEDED: "succeeded", Stage.FAILED: "failed", Stage.LOST: "failed"}


def counted(jobs: Iterable[str], states: Mapping[str, int]) -> WorkSaid:
    """Tasks by their states.

    :param jobs: where they are.
    :param states: how many are in each, as ``rules.work_items.Tally`` has them.
    """
    waiting = sum(count for state, count in states.items() if state in _WAITING)
    ended = {state: states.get(state, 0) for state in ("succeeded", "failed")}
    running = sum(states.values()) - waiting - sum(ended.values())
    return WorkSaid(tuple(jobs), waiting, running, **ended)


def single(job: str, found: Standing) -> WorkSaid:
    """One task.

    :param job: where it is.
    :param found: how it stands.
    """
    state = (found.task and found.task.state) or "active"
    return counted([job], {_ENDED.get(found.stage, state): 1})


class WaitsForWork(Protocol):
    """What is told of a trigger that waits for Batch tasks."""

    pool_id: str
    azure_batchext_conn_id: str
    deadline: float
    poll_interval: float


def unseen(trigger: WaitsForWork) -> Snapshot:
    """What is known before the first look; the operator has told the rest."""
    return Snapshot(
        kind="work",
        pool=trigger.pool_id,
        connection=trigger.azure_batchext_conn_id,
        deadline=trigger.deadline,
        interval=trigger.poll_interval,
    )
