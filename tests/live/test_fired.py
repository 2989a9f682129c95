"""What is told of the events of a watched asset: the last one of its watcher, whatever others have made."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import timezone

from airflow_batchext.live import fired as fired_events
from airflow_batchext.live import watched
from airflow_batchext.live.fired import SETTLED
from airflow_batchext.live.rows import Patience
from airflow_batchext.live.stored import Stored
from airflow_batchext.live.watched import Watched, Watchers, read_watched
from tests.live.planting import add_event, fired
from tests.live.test_secrets import SAID, SAS
from tests.live.test_stored import plan, statements
from tests.live.test_watched import plant, value

pytestmark = pytest.mark.skipif(
    watched.AssetStateStoreModel is None, reason="Airflow keeps the state of an asset from 3.3 on"
)

#: What else lies among the events of an asset: the extra, and the DAG whose task has made it.
OTHERS: dict[str, tuple[Any, str | None]] = {
    "by hand": ({"from_rest_api": True}, None),
    "by hand, as if a watcher's": ({**fired("lost"), "from_rest_api": True}, None),
    "not said to be a trigger's": ({"payload": {"event": "lost", "pool_id": "p"}}, None),
    "said otherwise": ({**fired("lost"), "from_trigger": "yes"}, None),
    "another watcher's": (fired("burnt down"), None),
    "a queue's": ({"from_trigger": True, "payload": {"message": "lost"}}, None),
    "a task's": (fired("lost"), "secret_dag"),
    "a task's, empty": ({}, "secret_dag"),
    "nothing": ([], None),
    "a text": ({"from_trigger": True, "payload": "lost pool_id"}, None),
    "far too long": ({**fired("lost"), "more": "x" * 200_000}, None),
}


def one() -> Watched:
    """The watcher, as it is in the list and opened."""
    (listed,) = Stored().now().watched
    opened = read_watched(listed.key)
    assert opened is not None
    assert (opened.event, opened.other_event) == (listed.event, listed.other_event)
    return listed


def kind_of(found: Watched) -> Any:
    return found.event and found.event["kind"]


def ago(found: Watched) -> float | None:
    """How many seconds before now somebody else's event was."""
    at = found.other_event
    return None if at is None else round((timezone.utcnow() - at).total_seconds(), -1)


def test_where_there_is_no_event_none_is_told(session):
    plant(session)
    assert (one().event, one().other_event) == (None, None)


def test_one_of_others_is_told_to_be_there_and_no_more(session):
    for asset_id, (extra, source) in enumerate(OTHERS.values(), 100):
        plant(session, asset_id, uri=f"azbatch://a/{asset_id}")
        add_event(session, asset_id, extra, source=source, age=50)
    session.commit()
    found = [(each.event, ago(each)) for each in Stored().now().watched]
    assert dict(zip(OTHERS, found, strict=True)) == dict.fromkeys(OTHERS, (None, 50))


def test_those_of_others_hide_none_of_its_own(session):
    for asset_id, (extra, source) in enumerate(OTHERS.values(), 100):
        plant(session, asset_id, uri=f"azbatch://a/{asset_id}")
        add_event(session, asset_id, fired("ready"), age=900)
        add_event(session, asset_id, fired("failed"), age=800)
        for number in range(9):
            add_event(session, asset_id, extra, source=source, age=700 - number)
    session.commit()
    found = [(kind_of(each), ago(each)) for each in Stored().now().watched]
    assert dict(zip(OTHERS, found, strict=True)) == dict.fromkeys(OTHERS, ("failed", 690))


@pytest.mark.parametrize("source", ["secret_dag", None])
def test_however_many_others_have_made(session, source):
    plant(session)
    add_event(session, 71, fired("lost"), age=900)
    for number in range(150):
        add_event(session, 71, {"n": number}, source=source, age=300 - number)
    add_event(session, 72, fired("failed"), age=3)
    session.commit()
    assert (kind_of(one()), ago(one())) == ("lost", 150)


def test_of_those_of_triggers_the_last_twenty_are_read(session):
    for asset_id, others in ((71, 19), (72, 20)):
        plant(session, asset_id, uri=f"azbatch://a/{asset_id}")
        add_event(session, asset_id, fired("lost"), age=900)
        for number in range(others):
            add_event(session, asset_id, fired("burnt down"), age=300 - number)
    session.commit()
    assert [kind_of(each) for each in Stored().now().watched] == ["lost", None]
    assert all(ago(each) for each in Stored().now().watched)


@pytest.mark.parametrize("ages", [(30, 20, 10), (10, 20, 30), (20, 10, 30)], ids=str)
def test_its_own_last_one_is_the_last_by_time(session, ages):
    plant(session)
    for kind, age in zip(("ready", "failed", "lost"), ages, strict=True):
        add_event(session, 71, fired(kind), age=age)
    session.commit()
    assert kind_of(one()) == ("ready", "failed", "lost")[ages.index(10)]
    assert one().other_event is None


def test_of_an_asset_with_several_pools_each_watcher_has_the_events_of_its_own(session):
    from tests.live.test_watched import keep

    now = timezone.utcnow()
    for pool in ("frames", "stills", "proofs"):
        keep(session, 71, pool, value(plant(session), pool), now)
    unknown = plant(session)
    add_event(session, 71, fired("failed", pool="stills"), age=30)
    add_event(session, 71, fired("lost", pool="frames"), age=20)
    add_event(session, 71, fired("ready", pool="stills"), age=10)
    session.commit()
    found = {each.key[1]: (kind_of(each), ago(each)) for each in Stored().now().watched}
    assert list(found.values()) == [("lost", 10), ("ready", None), (None, 10), ("ready", None)]
    assert max(found) == unknown


def test_an_event_says_what_it_likes_within_bounds(session):
    plant(session)
    payload = {
        "event": "failed",
        "pool_id": ["no", "text"],
        "reasons": ["x" * 9000, SAID, None, *["more"] * 50],
        "nodes_concerned": 10**30,
    }
    add_event(session, 71, {"from_trigger": True, "payload": payload})
    session.commit()
    found = one().event
    assert found is not None
    assert len(json.dumps(found)) < 3000
    assert SAS not in str(found)
    assert found["nodes"] == 10**6


def test_events_are_read_anew_once_there_is_another_one(session):
    plant(session)
    add_event(session, 71, fired("failed"), age=900)
    session.commit()
    watchers = Watchers()

    def kind() -> Any:
        ((found,), _) = watchers.read(session, Patience.at(timezone.utcnow()))
        return kind_of(found)

    assert kind() == "failed"
    with statements() as sent:
        assert kind() == "failed"
    assert len(sent) == 2, "who watches, and what is new"
    add_event(session, 71, fired("ready"), age=1)
    assert kind() == "ready"


def test_they_are_found_by_an_index_in_the_order_they_are_wanted(session):
    found = plan(session, fired_events._last_of(71))
    if session.get_bind().dialect.name == "postgresql":
        # Its index does not have those of one time in the order of their ids, as SQLite's has.
        assert 'Presorted Key: "timestamp"' in found
        assert "->  Index Scan Backward using idx_asset_id_timestamp on asset_event" in found
    else:
        assert found == ["SEARCH asset_event USING INDEX idx_asset_id_timestamp (asset_id=?)"]


def test_one_that_comes_late_into_the_database_is_not_missed(session):
    """Who makes two at the same time need not be done with them in that order."""
    plant(session)
    add_event(session, 71, {"n": 1}, source="d", age=5)
    watchers, now = Watchers(), timezone.utcnow()
    ((found,), _) = watchers.read(session, Patience.at(now))
    assert found.event is None
    add_event(session, 71, fired("lost"), age=6)
    ((found,), _) = watchers.read(session, Patience.at(now))
    assert kind_of(found) == "lost"
    with statements() as sent:
        watchers.read(session, Patience.at(now + SETTLED))
        watchers.read(session, Patience.at(now + SETTLED + timedelta(seconds=1)))
    assert len(sent) == 5, "twice who watches and what is new, once the events"
