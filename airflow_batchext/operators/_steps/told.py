"""What an operator that waits for a pool, or for work on it, tells the live page, once it waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_batchext.live.form import Snapshot
from airflow_batchext.live.writer import Live, on_worker, outcome_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.connection import BatchConnection
    from airflow_batchext.live.form import WaitKind, WorkSaid
    from airflow_batchext.repair.status import Progress
    from airflow_batchext.rules.deadline import Limit

_WANTED = {
    "delete": "to be gone",
    "repair": "to have its nodes repaired",
    "create": "to be created, and to have its nodes as far as that was asked for",
    "update": "to be steady, so that it can be changed, and to be steady again",
    "resize": "to have the nodes that were asked for",
    "work": "to run the Batch tasks of this task",
}


class WaitingOperator(Protocol):
    """What is told of the operator."""

    azure_batchext_conn_id: str
    poll_interval: float
    deferrable: bool


class Told:
    """One run of an operator, in this process.

    :param kind: what it does to the pool.
    """

    def __init__(self, operator: WaitingOperator, kind: WaitKind) -> None:
        self._operator, self._kind = operator, kind
        self._instance: Any = None
        self._goes_on = False
        self._deadline: float | None = None
        self._live: Live | None = None
        self._pool_id = ""
        self._work: WorkSaid | None = None

    @contextmanager
    def until_its_end(
        self, context: Context, *, goes_on: bool = False, deadline: float | None = None
    ) -> Iterator[None]:
        """Tell how the block has ended, if anything was waited for.

        :param goes_on: whether an earlier process of this try has waited.
        :param deadline: until when, in seconds since the epoch, if that is known.
        """
        self._instance, self._goes_on, self._deadline = context.get("ti"), goes_on, deadline
        try:
            yield
        except (Exception, AirflowTaskTimeout) as error:
            self._ends(error)
            raise
        self._ends(None)

    def waits(
        self,
        pool_id: str,
        seen: str | Progress,
        connection: BatchConnection | None,
        *,
        pause: float,
        deadline: float,
        limit: Limit,
        elsewhere: bool = False,
        work: WorkSaid | None = None,
    ) -> dict[str, Any] | None:
        """Tell what a look has come to.

        :param pause: seconds until the next one.
        :param deadline: when it gives up, in seconds since the epoch.
        :param elsewhere: whether the triggerer makes the next one.
        :param work: how far the Batch tasks are; ``seen`` says it in words.
        :return: what the trigger is to tell then.
        """
        self._pool_id = pool_id
        if self._live is None:
            self._live = on_worker(
                self._instance, lambda: self._about(deadline - limit.seconds, deadline), goes_on=self._goes_on
            )
        if work is not None and isinstance(seen, str):
            self._live.sees_work(pool_id, seen, work, connection)
        elif isinstance(seen, str):
            self._live.sees_pool(pool_id, seen, connection)
        else:
            self._live.sees_repair(pool_id, seen, connection)
        if elsewhere:
            return self._live.handed_over(pause)
        self._live.waits(pause)
        return None

    def saw(self, work: WorkSaid) -> None:
        """Note how far the Batch tasks were at the end; it is told then."""
        self._work = work

    def _ends(self, error: BaseException | None) -> None:
        if self._live is None and self._goes_on:
            self._live = on_worker(self._instance, lambda: self._about(None, self._deadline), goes_on=True)
        if self._live is not None:
            self._live.ends(*outcome_of(error, is_worded=self._kind == "work"), work=self._work)

    def _about(self, started: float | None, deadline: float | None) -> Snapshot:
        pool_id = self._pool_id or str(getattr(self._operator, "pool_id", "") or "")
        return Snapshot(
            kind=self._kind,
            pool=pool_id,
            connection=self._operator.azure_batchext_conn_id,
            mode="deferrable" if self._operator.deferrable else "worker",
            rules=f"pool {pool_id} {_WANTED[self._kind]}",
            started=started,
            deadline=deadline,
            interval=self._operator.poll_interval,
        )
