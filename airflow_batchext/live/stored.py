"""What the live page shows, as it lies in Airflow's database: our XComs, beside the tasks that wrote them.

One reading serves all who look, for two seconds. It asks for the tasks that wait now, by their state, and for
our XComs of the last day; of those only the values that are not known yet. What a value says is checked by
``read_snapshot``: everybody who may edit XComs can have written it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from airflow.jobs.job import Job
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import Text, and_, case, cast, func, or_, select, tuple_

from airflow_batchext.live.bounds import LONGEST
from airflow_batchext.live.rows import DETAIL, Patience, json_in, nobody, shown
from airflow_batchext.live.snapshot import XCOM_KEY
from airflow_batchext.live.watched import Watched, Watchers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: Seconds for which one reading serves everybody.
KEPT_SECONDS: Final = 2.0
#: How long a gate that has ended is shown, and how many gates are shown at most.
RECENT: Final = timedelta(days=1)
MOST_GATES: Final = 2_000
_AT_ONCE: Final = 100

WAITING: Final = tuple(
    state.value
    for state in (
        TaskInstanceState.DEFERRED,
        TaskInstanceState.RUNNING,
        TaskInstanceState.UP_FOR_RESCHEDULE,
        TaskInstanceState.QUEUED,
        TaskInstanceState.SCHEDULED,
        TaskInstanceState.RESTARTING,
    )
)

#: A task instance's ``dag_id, run_id, task_id, map_index``.
Key = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True)
class Gate:
    """A task instance of ours, with what it knew when it last wrote.

    :param nobody: why nobody looks for it, in words; "" while somebody does, or nobody has to.
    :param head: its snapshot as JSON, of many gates without ``DETAIL``; None where the value is none of
        ours, or was spoilt.
    """

    key: Key
    state: str
    try_number: int
    ended_at: datetime | None
    written_at: datetime
    nobody: str
    head: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Of what there is more than is shown: of gates ``MOST_GATES``, of watchers ``watched.MOST_WATCHED``.

    :param dags: those that have such gates.
    :param assets: the ids of those that have such watchers.
    """

    dags: frozenset[str] = frozenset()
    assets: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Reading:
    """All gates and watchers at one moment."""

    read_at: datetime
    gates: tuple[Gate, ...]
    watched: tuple[Watched, ...]
    left_out: LeftOut


class Stored:
    """The readings of one process.

    :param clock: seconds, for how long a reading is kept.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at = -KEPT_SECONDS
        self._reading: Reading | None = None
        self._known: dict[tuple[Any, ...], dict[str, Any] | None] = {}
        self._watchers = Watchers()

    def now(self) -> Reading:
        """What is in the database, at most two seconds ago."""
        with self._lock:  # who comes meanwhile waits for the same answer
            if self._reading is None or self._clock() - self._read_at >= KEPT_SECONDS:
                with create_session() as session:
                    self._reading = self._read(session)
                self._read_at = self._clock()
            return self._reading

    def _read(self, session: Session) -> Reading:
        now = datetime.now(UTC)
        patience = Patience.at(now)
        waiting = session.execute(_waiting().limit(MOST_GATES + 1)).all()
        recent = session.execute(_recent(now - RECENT).limit(MOST_GATES + 1)).all()
        rows = {_place(row): row for row in (*waiting, *recent)}
        ordered = sorted(
            rows.values(), key=lambda row: (row.state not in WAITING, -row.timestamp.timestamp())
        )
        listed = ordered[:MOST_GATES]
        self._learn(session, listed)
        gates = tuple(_gate(row, patience, self._known[(*_place(row), row.timestamp)]) for row in listed)
        dags: frozenset[str] = frozenset()
        if len(rows) > MOST_GATES:
            counts = {row.dag_id: row.number for row in session.execute(_counts(now - RECENT))}
            dags = frozenset(Counter(counts) - Counter(row.dag_id for row in listed))
        watched, assets = self._watchers.read(session, patience)
        return Reading(now, gates, watched, LeftOut(dags, assets))

    def _learn(self, session: Session, rows: Iterable[Any]) -> None:
        """Know the value of each row; forget those of others."""
        wanted = {_place(row): (*_place(row), row.timestamp) for row in rows}
        known = {version: self._known[version] for version in wanted.values() if version in self._known}
        missing = [place for place, version in wanted.items() if version not in known]
        for start in range(0, len(missing), _AT_ONCE):
            for row in session.execute(_values(missing[start : start + _AT_ONCE])):
                known[wanted[_place(row)]] = shown(json_in(row.text), without=DETAIL)
        # One that went away between the two questions has no value; it is not there at the next reading.
        self._known = dict.fromkeys(wanted.values()) | known


def read_gate(key: Key) -> Gate | None:
    """One gate, however long ago it ended, with all that it knows; None if there is none."""
    dag_id, run_id, task_id, map_index = key
    with create_session() as session:
        row = session.execute(
            _columns().where(
                XComModel.dag_id == dag_id,
                XComModel.run_id == run_id,
                XComModel.task_id == task_id,
                XComModel.map_index == map_index,
            )
        ).first()
        value = session.execute(_values([_place(row)])).first() if row else None
    if row is None:
        return None
    return _gate(row, Patience.at(datetime.now(UTC)), shown(json_in(value.text)) if value else None)


def _columns() -> Any:
    return (
        select(
            XComModel.dag_run_id,
            XComModel.task_id,
            XComModel.map_index,
            XComModel.dag_id,
            XComModel.run_id,
            XComModel.timestamp,
            TaskInstance.state,
            TaskInstance.try_number,
            TaskInstance.end_date,
            TaskInstance.last_heartbeat_at,
            Trigger.created_date.label("deferred_at"),
            Trigger.triggerer_id,
            Job.state.label("job_state"),
            Job.latest_heartbeat,
        )
        .select_from(XComModel)
        .join(
            TaskInstance,
            and_(
                TaskInstance.dag_id == XComModel.dag_id,
                TaskInstance.task_id == XComModel.task_id,
                TaskInstance.run_id == XComModel.run_id,
                TaskInstance.map_index == XComModel.map_index,
            ),
        )
        .outerjoin(Trigger, Trigger.id == TaskInstance.trigger_id)
        .outerjoin(Job, Job.id == Trigger.triggerer_id)
        .where(XComModel.key == XCOM_KEY)
        .order_by(XComModel.timestamp.desc())
    )


@cache
def _waiting() -> Any:
    return _columns().where(TaskInstance.state.in_(WAITING))


def _recent(since: datetime) -> Any:
    ended = or_(TaskInstance.state.is_(None), TaskInstance.state.not_in(WAITING))
    return _columns().where(ended, XComModel.timestamp >= since)


def _counts(since: datetime) -> Any:
    """How many there are of each DAG that wait, or have written since."""
    there = or_(TaskInstance.state.in_(WAITING), XComModel.timestamp >= since)
    columns = XComModel.dag_id, func.count().label("number")
    return _columns().with_only_columns(*columns).where(there).group_by(XComModel.dag_id).order_by(None)


def _values(places: list[tuple[int, str, int]]) -> Any:
    text = cast(XComModel.value, Text)
    return select(
        XComModel.dag_run_id,
        XComModel.task_id,
        XComModel.map_index,
        case((func.length(text) <= LONGEST, text)).label("text"),
    ).where(
        XComModel.key == XCOM_KEY,
        tuple_(XComModel.dag_run_id, XComModel.task_id, XComModel.map_index).in_(places),
    )


def _place(row: Any) -> tuple[int, str, int]:
    return row.dag_run_id, row.task_id, row.map_index


def _gate(row: Any, patience: Patience, head: dict[str, Any] | None) -> Gate:
    return Gate(
        key=(row.dag_id, row.run_id, row.task_id, row.map_index),
        state=row.state or "none",
        try_number=row.try_number,
        ended_at=row.end_date,
        written_at=row.timestamp,
        nobody=nobody(row, patience),
        head=head,
    )
