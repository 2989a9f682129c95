"""The pools that events watch, as they lie in Airflow's database: our watchers, beside what they have told.

A watcher is a trigger that belongs to an asset and to no task: it keeps what it sees in the store that
Airflow 3.3 has for the state of an asset, and its last event is in Airflow's list of those. The arguments of
triggers are encrypted, and stay so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow.jobs.job import Job
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from sqlalchemy import case, func, select, tuple_

from airflow_batchext.live.bounds import LONGEST_STATE, name
from airflow_batchext.live.fired import Fired, FiredEvents, last_of
from airflow_batchext.live.rows import DETAIL, Patience, json_in, nobody_runs, shown
from airflow_batchext.live.snapshot import XCOM_KEY
from airflow_batchext.loose_json.values import as_number

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

try:
    from airflow.models.asset import AssetWatcherModel
except ImportError:  # before Airflow 3.2
    AssetWatcherModel = None  # type: ignore[assignment, misc]
try:
    from airflow.models.asset_state_store import AssetStateStoreModel
except ImportError:  # before Airflow 3.3
    AssetStateStoreModel = None  # type: ignore[assignment, misc]

CLASSPATH: Final = "airflow_batchext.triggers.events.AzureBatchPoolEventTrigger"
#: So many watchers are shown at most.
MOST_WATCHED: Final = 500
#: And so much is read of what was written into the state of their assets.
MOST_KEPT: Final = 4 * MOST_WATCHED
_AT_ONCE: Final = 50

Key = tuple[int, int]


class Place(NamedTuple):
    """Where something was written into the state of an asset, and when."""

    asset_id: int
    key: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """One asset of one watcher.

    :param key: ids of the asset and the trigger.
    :param asset: the asset's name.
    :param since: since when it is watched so.
    :param written_at: when the watcher has written what it sees; None where that is not known.
    :param nobody: why nobody looks, in words; "" while somebody does.
    :param event: its last event (``fired``); None if there is none among the last ones of its asset. Of
        several watchers of one pool in one asset nobody knows which has fired.
    :param other_event: when somebody else has made an event of the asset since; None if nobody has.
    :param head: what the watcher sees, of many without ``DETAIL``; None where that is not known.
    """

    key: Key
    asset: str
    uri: str
    since: datetime
    written_at: datetime | None
    nobody: str
    event: dict[str, Any] | None
    other_event: datetime | None
    head: dict[str, Any] | None


class Watchers:
    """The watchers of this Airflow; what was read of a value is kept until that is another one."""

    def __init__(self) -> None:
        self._known: dict[Place, tuple[int | None, dict[str, Any] | None]] = {}
        self._fired = FiredEvents()

    def read(self, session: Session, patience: Patience) -> tuple[tuple[Watched, ...], frozenset[int]]:
        """The first ones now, without ``DETAIL``; and the assets that have more of them."""
        if AssetWatcherModel is None:
            return (), frozenset()
        listed = session.execute(_rows().limit(MOST_WATCHED + 1)).all()
        rows = listed[:MOST_WATCHED]
        told = self._told(session, {row.asset_id for row in rows})
        fired = self._fired.read(session, {row.asset_id: row.newest for row in rows}, patience.now)
        left_out: frozenset[int] = frozenset()
        if len(listed) > len(rows):
            counts = {row.asset_id: row.number for row in session.execute(_counts())}
            left_out = frozenset(Counter(counts) - Counter(row.asset_id for row in rows))
        return tuple(_watched(row, patience, told, fired) for row in rows), left_out

    def _told(self, session: Session, assets: set[int]) -> dict[Key, tuple[datetime, Any]]:
        """What each watcher has written last, by asset and trigger."""
        places = _places(session, assets)
        known = {place: self._known[place] for place in places if place in self._known}
        for place, value in _values(session, [place for place in places if place not in known]):
            known[place] = _trigger_of(value), shown(value, without=DETAIL)
        self._known = known
        told: dict[Key, tuple[datetime, Any]] = {}
        for place in places:
            # One that went away between the two questions has no value.
            trigger_id, head = known.get(place, (None, None))
            if trigger_id is not None:
                told.setdefault((place.asset_id, trigger_id), (place.updated_at, head))
        return told


def read_watched(key: Key) -> Watched | None:
    """One of them, with all that it sees; None if there is none."""
    if AssetWatcherModel is None:
        return None
    asset_id, trigger_id = key
    watcher = AssetWatcherModel
    with create_session() as session:
        one = _rows().where(watcher.asset_id == asset_id, watcher.trigger_id == trigger_id)
        row = session.execute(one).first()
        if row is None:
            return None
        values = _values(session, _places(session, {asset_id}))
        own = (each for each in values if _trigger_of(each[1]) == trigger_id)
        told = {}
        if (latest := next(own, None)) is not None:
            told[key] = latest[0].updated_at, shown(latest[1])
        now = datetime.now(UTC)
        fired = FiredEvents().read(session, {asset_id: row.newest}, now)
        return _watched(row, Patience.at(now), told, fired)


def _rows() -> Any:
    """Our watchers, each with when the last event of its asset was made, by whomever."""
    newest = (
        select(AssetEvent.timestamp)
        .where(AssetEvent.asset_id == AssetModel.id)
        .order_by(AssetEvent.timestamp.desc())
        .limit(1)
        .correlate(AssetModel)
        .scalar_subquery()
    )
    return (
        select(
            AssetWatcherModel.asset_id,
            AssetWatcherModel.trigger_id,
            AssetModel.name,
            AssetModel.uri,
            Trigger.created_date.label("since"),
            Trigger.created_date.label("deferred_at"),
            Trigger.triggerer_id,
            Job.state.label("job_state"),
            Job.latest_heartbeat,
            newest.label("newest"),
        )
        .select_from(AssetWatcherModel)
        .join(Trigger, Trigger.id == AssetWatcherModel.trigger_id)
        .join(AssetModel, AssetModel.id == AssetWatcherModel.asset_id)
        .outerjoin(Job, Job.id == Trigger.triggerer_id)
        .where(Trigger.classpath == CLASSPATH)
        .order_by(AssetModel.uri, AssetWatcherModel.asset_id, AssetWatcherModel.trigger_id)
    )


def _counts() -> Any:
    """How many watchers of ours each asset has."""
    columns = AssetWatcherModel.asset_id, func.count().label("number")
    return _rows().with_only_columns(*columns).group_by(AssetWatcherModel.asset_id).order_by(None)


def _places(session: Session, assets: set[int]) -> list[Place]:
    """Where watchers of these assets have written, the latest first; in turn, so that each has some."""
    store = AssetStateStoreModel
    if store is None or not assets:
        return []
    latest = store.updated_at.desc(), store.key
    turn = func.row_number().over(partition_by=store.asset_id, order_by=latest)
    ours = store.asset_id.in_(assets), store.key.startswith(f"{XCOM_KEY}/", autoescape=True)
    places = select(store.asset_id, store.key, store.updated_at).where(*ours)
    return [Place(*row) for row in session.execute(places.order_by(turn, *latest).limit(MOST_KEPT))]


def _values(session: Session, places: Sequence[Place]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """What stands there, in this order; as far as it is asked for."""
    store = AssetStateStoreModel
    text = case((func.length(store.value) <= LONGEST_STATE, store.value)).label("text")
    for start in range(0, len(places), _AT_ONCE):
        some = places[start : start + _AT_ONCE]
        here = tuple_(store.asset_id, store.key).in_([(place.asset_id, place.key) for place in some])
        rows = session.execute(select(store.asset_id, store.key, text).where(here))
        texts = {(row.asset_id, row.key): row.text for row in rows}
        for place in some:
            if (place.asset_id, place.key) in texts:
                yield place, json_in(texts[place.asset_id, place.key])


def _trigger_of(value: Mapping[str, Any]) -> int | None:
    """Which watcher has written a value."""
    return as_number(value.get("trigger"))


def _watched(
    row: Any,
    patience: Patience,
    told: Mapping[Key, tuple[datetime, Any]],
    fired: Mapping[int, Sequence[Fired]],
) -> Watched:
    key = row.asset_id, row.trigger_id
    written_at, head = told.get(key, (None, None))
    event = last_of(fired.get(row.asset_id, ()), head["pool"] if head else None)
    is_last = row.newest is None or (event is not None and event.at >= row.newest)
    return Watched(
        key=key,
        asset=name(row.name),
        uri=name(row.uri),
        since=row.since,
        written_at=written_at,
        nobody=nobody_runs(row, patience),
        event=event.told if event else None,
        other_event=None if is_last else row.newest,
        head=head,
    )
