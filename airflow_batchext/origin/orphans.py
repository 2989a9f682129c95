"""Which pools are left over: made by a run of this Airflow for itself, which has ended and left them.

Pure: whoever asks says what Airflow knows of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch.data_plane import epoch_seconds, one_line
from airflow_batchext.batch.management_plane import read_managed_pool
from airflow_batchext.loose_json.values import as_name, below
from airflow_batchext.origin.mark import Maker, MarkError, read_mark

if TYPE_CHECKING:
    from airflow_batchext.batch.node_counts import Nodes


class Run(str, Enum):
    """What Airflow knows of a run."""

    LIVES = "lives"
    ENDED = "ended"
    #: Deleted: the DAG is known, and this run is none of its.
    GONE = "gone"
    #: It knows no such DAG: deleted with its runs, or the wrong database was asked.
    STRANGE = "strange"


class Verdict(str, Enum):
    """What a marked pool is."""

    ORPHAN = "orphan"
    #: Its run goes on.
    USED = "used"
    #: Another Airflow made it, or one that has no name.
    FOREIGN = "foreign"
    UNCLEAR = "unclear"
    #: It is being deleted.
    GOING = "going"


@dataclass(frozen=True, slots=True)
class MarkedPool:
    """A pool with a mark, as it was read.

    :param maker: who made it; None if the mark cannot be understood.
    :param created: its ``creationTime``, which tells it from another pool of its name.
    :param current: its dedicated and low-priority nodes.
    """

    pool_id: str
    maker: Maker | None
    created: str
    vm_size: str
    current: Nodes
    is_deleting: bool

    @property
    def nodes(self) -> int:
        """How many nodes it has."""
        return sum(self.current)

    def hours(self, now: float) -> float | None:
        """For how long it has been there."""
        created = epoch_seconds(self.created)
        return None if created is None else max(0.0, now - created) / 3600

    def to_json(self, now: float) -> dict[str, Any]:
        """The pool as plain JSON. What it has cost is in node-hours: Azure's prices are not known here.

        :param now: seconds since the epoch.
        """
        hours = self.hours(now)
        return {
            "pool_id": self.pool_id,
            "made_by": None if self.maker is None else self.maker.to_json(),
            "created": self.created,
            "vm_size": self.vm_size,
            "dedicated_nodes": self.current[0],
            "low_priority_nodes": self.current[1],
            "hours": None if hours is None else round(hours, 2),
            "node_hours": None if hours is None else round(hours * self.nodes, 2),
        }


def read_marked_pool(body: Mapping[str, Any]) -> MarkedPool | None:
    """Read a pool of ``Pool_ListByBatchAccount`` or ``Pool_Get``; None if it has no mark."""
    try:
        maker = read_mark(body)
        if maker is None:
            return None
    except MarkError:
        maker = None
    pool = read_managed_pool(body)
    return MarkedPool(
        pool_id=as_name(body.get("name")),
        maker=maker,
        created=pool.created,
        vm_size=as_name(below(body, "properties", "vmSize")),
        current=pool.current,
        is_deleting=pool.is_deleting,
    )


def is_ours(pool: MarkedPool, deployment: str) -> bool:
    """Whether the mark says that this Airflow made the pool; one without a name has made none."""
    return bool(deployment) and pool.maker is not None and pool.maker.deployment == deployment


def judge(pool: MarkedPool, deployment: str, run: Run | None) -> tuple[Verdict, str]:
    """What the pool is, and why, in words.

    :param deployment: the name of this Airflow.
    :param run: what it knows of the run that made the pool; None where it was not asked, or did not say.
    """
    maker = pool.maker
    if maker is None:
        return Verdict.UNCLEAR, "the mark of its run cannot be understood"
    if not is_ours(pool, deployment):
        name = one_line(maker.deployment, 100) or "without a name"
        return Verdict.FOREIGN, f"another Airflow made it ({name})"
    if pool.is_deleting:
        return Verdict.GOING, "it is being deleted already"
    who = one_line(str(maker), 400)
    match run:
        case Run.ENDED:
            return Verdict.ORPHAN, f"{who} made it, and the run has ended"
        case Run.GONE:
            return Verdict.ORPHAN, f"{who} made it, and the run was deleted"
        case Run.LIVES:
            return Verdict.USED, f"{who} made it, and the run goes on"
        case Run.STRANGE:
            return Verdict.UNCLEAR, f"{who} made it, but this Airflow knows no such DAG"
        case _:
            return Verdict.UNCLEAR, f"{who} made it, but Airflow did not say whether the run has ended"
