"""What our watchers have fired, as it lies in Airflow's list of the events of an asset.

Beside it lies what tasks have made of the asset, watchers of others, and people by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.models.asset import AssetEvent
from sqlalchemy import Text, cast, func, select

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.live.bounds import LONGEST_TEXT, MOST_SAID, name
from airflow_batchext.live.rows import json_in
from airflow_batchext.loose_json.values import as_mapping, as_number, as_sequence, as_text

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: For so long one may come into the database that was made before others that are there.
SETTLED: Final = timedelta(minutes=1)
#: Of an asset so many are read.
_MOST_READ: Final = 20
#: And none of more characters, which no watcher of ours has fired.
_LONGEST: Final = 100_000
_MOST_NODES: Final = 10**6
_KINDS: Final = ("ready", "failed", "lost")


@dataclass(frozen=True, slots=True)
class Fired:
    """An event of a watcher of ours.

    :param told: ``kind``, ``at``, ``nodes``, ``reasons``.
    """

    pool: str
    at: datetime
    told: dict[str, Any]


class FiredEvents:
    """Those of watched assets; what was read of an asset is kept until it has another event."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[datetime, tuple[Fired, ...]]] = {}

    def read(
        self, session: Session, newest: Mapping[int, datetime | None], now: datetime
    ) -> dict[int, tuple[Fired, ...]]:
        """The last ones of each asset, the latest first.

        :param newest: of each asset when its last event was made, whoever made it; None if it has none.
        """
        found: dict[int, tuple[Fired, ...]] = {}
        known: dict[int, tuple[datetime, tuple[Fired, ...]]] = {}
        for asset_id, at in newest.items():
            if at is None:
                continue
            then, events = self._known.get(asset_id, (None, ()))
            if then != at:
                rows = session.execute(_last_of(asset_id))
                events = tuple(
                    event for row in rows if (event := _fired(row.timestamp, row.text)) is not None
                )
            found[asset_id] = events
            if now - at > SETTLED:
                known[asset_id] = at, events
        self._known = known
        return found


def last_of(events: Sequence[Fired], pool: str | None) -> Fired | None:
    """The last one of a watcher.

    :param events: of its asset, the latest first.
    :param pool: what it watches; None where that is not known.
    """
    return next((event for event in events if pool is None or event.pool == pool), None)


def _last_of(asset_id: int) -> Any:
    """Those of an asset that look like ours."""
    text = cast(AssetEvent.extra, Text)
    return (
        select(AssetEvent.timestamp, text.label("text"))
        .where(
            AssetEvent.asset_id == asset_id,
            AssetEvent.source_dag_id.is_(None),
            *(text.contains(f'"{member}"', autoescape=True) for member in ("from_trigger", "pool_id")),
            ~text.contains('"from_rest_api"', autoescape=True),
            func.length(text) <= _LONGEST,
        )
        .order_by(AssetEvent.timestamp.desc(), AssetEvent.id.desc())
        .limit(_MOST_READ)
    )


def _fired(at: datetime, text: str) -> Fired | None:
    extra = json_in(text)
    payload = as_mapping(extra.get("payload"))
    kind = payload.get("event")
    if extra.get("from_trigger") is not True or "from_rest_api" in extra or kind not in _KINDS:
        return None
    reasons = as_sequence(payload.get("reasons"))[:MOST_SAID]
    told = {
        "kind": kind,
        "at": at.timestamp(),
        "nodes": min(max(as_number(payload.get("nodes_concerned")) or 0, 0), _MOST_NODES),
        "reasons": [one_line(as_text(each), LONGEST_TEXT) for each in reasons],
    }
    return Fired(name(as_text(payload.get("pool_id"))), at, told)
