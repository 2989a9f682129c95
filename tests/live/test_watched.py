"""Pools that events watch: what a watcher tells, what is read of it, and what of it may be wrong."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from airflow_batchext.emulator import ExtensionScenario, Scenario
from airflow_batchext.live import watched
from airflow_batchext.live._triggerer import OfAsset
from airflow_batchext.live.rows import DETAIL, Patience
from airflow_batchext.live.snapshot import read_snapshot, to_json
from airflow_batchext.live.stored import LeftOut, Stored
from airflow_batchext.live.watched import CLASSPATH, Watchers, read_watched
from tests.airflow.leaks import leaks
from tests.conftest import own_connection
from tests.examples import examples
from tests.live.planting import add_event, add_trigger, add_triggerer, add_watcher, fired
from tests.live.scenes import sized, watching
from tests.live.test_secrets import PASSWORD, SAID, SAS
from tests.live.test_snapshot import crowded
from tests.triggers.test_events import Ambiguous, Store, looks, watcher
from tests.triggers.test_events import watching as running
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    watched.AssetStateStoreModel is None, reason="Airflow keeps the state of an asset from 3.3 on"
)
URI = "azbatch://renderfarm/frames"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_batchext.live.pace.SHORTEST_SECONDS", 0.0)
    monkeypatch.setattr("airflow_batchext.triggers.events._HANDED_ON_SECONDS", 0.0)


def told(store: Store) -> Any:
    """What the one watcher of an asset has written last."""
    (text,) = store.live.values() or ("{}",)
    return read_snapshot(json.loads(text))


def of(trigger: Any, number: int = 7) -> Any:
    """A trigger as Airflow's triggerer runs it, which gives it the number of its row."""
    trigger.trigger_id = number
    return trigger


# --- what a watcher tells ----------------------------------------------------------------------------------


async def test_a_watcher_tells_how_its_pool_is(azure):
    store = Store()
    azure.create(ready=False)
    async with running(of(watcher(azure, store))):
        await until(lambda: store.live and told(store).looked)
        first = told(store)
        azure.pass_time(300)
        await until(lambda: told(store).summary == "2 of 2 nodes ready")
    last = told(store)
    assert (last.kind, last.mode, last.outcome, last.pool) == ("events", "watcher", "waiting", azure.pool_id)
    assert last.rules == f"events of pool {azure.pool_id}: ready, failed, lost"
    assert [field.cells for field in last.picture.fields[:2]] == ["rr", "rr"]
    assert (last.deadline, last.started) == (None, first.started)
    assert last.looked < last.next_look < last.stale_at
    ((key, text),) = store.live.items()
    assert key.startswith("batchext_live/")
    assert json.loads(text)["trigger"] == 7


async def test_another_triggerer_goes_on_with_the_story(azure):
    store = Store()
    azure.create()
    async with running(of(watcher(azure, store))):
        await until(lambda: store.live and told(store).looked)
    before = told(store)
    azure.emulator.account.preempt_node(azure.pool_id, 0, back_after=10_000)
    async with running(of(watcher(azure, store))):
        await until(lambda: "preempted" in told(store).summary)
    after = told(store)
    assert after.started == before.started
    assert after.history[: len(before.history)] == before.history
    assert len(after.history) > len(before.history)


@pytest.mark.parametrize(
    "edited",
    [
        {"looked": 99_999_999_999, "stale_at": None, "summary": "2 of 2 nodes ready"},
        {"kind": "gate", "deadline": 9e9, "work": {"jobs": ["j"], "failed": 3}},
        {"looked": 1e11, "outcome": "failed", "repair": {"text": "rebooted"}, "picture": None},
    ],
    ids=str,
)
async def test_whatever_somebody_has_made_of_it_the_watcher_goes_on_to_tell(azure, edited):
    store = Store()
    azure.create(ready=False)
    async with running(of(watcher(azure, store))):
        await until(lambda: store.live and told(store).looked)
    ((key, text),) = store.live.items()
    began = told(store).started
    store.live[key] = json.dumps({**json.loads(text), **edited})
    async with running(of(watcher(azure, store))):
        azure.pass_time(300)
        await until(lambda: told(store).summary == "2 of 2 nodes ready" and told(store).stale_at)
    last = told(store)
    assert (last.kind, last.outcome, last.deadline, last.work, last.repair) == (
        "events",
        "waiting",
        None,
        None,
        None,
    )
    assert last.looked <= time.time() < last.stale_at
    assert last.started == began


async def test_one_that_cannot_look_says_why_and_goes_on(azure):
    store = Store()
    azure.connect("broken", {"conn_type": "azure_batchext"})
    azure.create()
    async with running(of(watcher(azure, store, azure_batchext_conn_id="broken"))):
        await until(lambda: "it goes on in a while" in (store.live and told(store).summary))
    assert "lacks subscription_id" in told(store).summary
    assert told(store).outcome == "waiting"


@pytest.mark.parametrize("store", [None, Ambiguous()], ids=["before Airflow 3.3", "of several assets"])
async def test_where_there_is_no_place_for_it_nothing_is_told_and_events_are_fired(azure, store):
    async with running(of(watcher(azure, store))) as events:
        await looks(azure)
        azure.create()
        await until(lambda: events)
    assert store is None or store.live == {}


async def test_switched_off_it_tells_nothing(azure, monkeypatch):
    monkeypatch.setenv("AIRFLOW__BATCHEXT__STATUS_PAGE", "False")
    store = Store()
    azure.create()
    async with running(of(watcher(azure, store))) as events:
        await until(lambda: events)
        await looks(azure)
    assert store.live == {}


async def test_a_store_that_fails_or_is_full_keeps_no_event(azure):
    class Broken(Store):
        async def aset(self, key: str, value: Any) -> None:
            if key.startswith("batchext_live"):
                raise RuntimeError("API_SERVER_ERROR")
            await super().aset(key, value)

    async with running(of(watcher(azure, Broken()))) as events:
        await looks(azure, 1)
        azure.create()
        await until(lambda: events)


async def test_nothing_secret_is_in_it(azure):
    azure.connect("azure_batchext_default", own_connection(azure.emulator))
    azure.emulator.scenario = Scenario(
        extensions=[ExtensionScenario(extension="secretext", outcome="fail", code="7", message=SAID)]
    )
    store = Store()
    azure.create()
    async with running(of(watcher(azure, store, azure_batchext_conn_id="azure_batchext_default"))):
        await until(lambda: store.live and "sig=***" in next(iter(store.live.values())))
    secrets = {"a SAS": SAS, "a password": PASSWORD, "the account key": azure.emulator.info.key}
    assert leaks(secrets, [(key, text.encode()) for key, text in store.live.items()]) == []


async def test_it_is_as_small_as_airflow_wants_it():
    store = Store()
    now = time.time()
    for nodes, names in ((5, 1), (200, 20), (2000, 4), (2000, 20)):
        seen = sized("p", now, nodes)
        own, *_ = seen.picture.fields
        fields = (own, *[replace(own, name=f"extension-{number}") for number in range(names)])
        seen = replace(seen, picture=replace(seen.picture, fields=fields))
        await OfAsset(store, "0", 7).write(seen, is_first=True)
        (text,) = store.live.values()
        assert len(text) < 65_535
        found = told(store)
        assert found.picture.counts == seen.picture.counts
        assert bool(found.picture.fields) == (nodes * names < 40_000)
        assert len(found.picture.nodes) <= 20
        assert found.capped or nodes == 5


@settings(max_examples=examples(60))
@given(
    letters=st.lists(
        st.sampled_from([*'aé漢"\\ \x00\n\u202e\ud800\U0001f600\U00020000', "password=", "\r\n"]),
        min_size=1,
        max_size=3,
    ),
    length=st.sampled_from([1, 40, 200, 501, 3_000]),
    times=st.sampled_from([1, 6, 60]),
    nodes=st.sampled_from([1, 200, 5_001]),
)
async def test_whatever_its_texts_are_it_is_no_larger(letters, length, times, nodes):
    store, text = Store(), ("".join(letters) * length)[:length]
    most = crowded(text, times=times, nodes=nodes)
    await OfAsset(store, "0", 2**31 - 1).write(replace(most, pool="frames"), is_first=True)
    (written,) = store.live.values()
    assert len(written) <= 60_000
    found = told(store)
    assert (found.pool, found.picture.counts) == ("frames", most.picture.counts)
    left_out = {each.split(":")[0] for each in found.capped}
    # What is not there is said to be left out.
    assert found.picture.fields or left_out & {"the picture of the nodes", "fields"}
    for member in ("history", "points", "reasons", "causes", "extensions", "repair", "work"):
        assert getattr(found, member) or member in left_out, member


# --- what is read of it ------------------------------------------------------------------------------------


def plant(session: Any, asset_id: int = 71, *, silent: float = 0, uri: str = URI, **more: Any) -> int:
    trigger = add_trigger(session, add_triggerer(session, silent_for=silent), classpath=CLASSPATH, age=500)
    add_watcher(session, asset_id, uri, trigger, **more)
    session.commit()
    return trigger


def keep(session: Any, asset_id: int, key: str, value: Any, at: Any) -> None:
    """What somebody has written into the state of an asset."""
    row = {"asset_id": asset_id, "key": f"batchext_live/{key}", "value": json.dumps(value), "updated_at": at}
    session.execute(insert(watched.AssetStateStoreModel).values(**row))


def value(trigger: int, pool: str = "frames") -> dict[str, Any]:
    return {**to_json(watching(pool, time.time())), "trigger": trigger}


def test_without_watchers_there_is_nothing(session):
    reading = Stored().now()
    assert (reading.watched, reading.left_out) == ((), LeftOut())
    assert read_watched((1, 2)) is None


def test_a_watcher_is_there_with_what_it_has_told_and_its_last_event(session):
    trigger = add_trigger(session, add_triggerer(session), classpath=CLASSPATH, age=500)
    add_watcher(session, 71, URI, trigger, value=value(trigger))
    add_event(session, 71, fired("ready", pool="frames"), age=90)
    add_event(session, 71, fired("lost", "node a is preempted", 1, pool="frames"), age=60)
    session.commit()
    (one,) = Stored().now().watched
    assert (one.key, one.asset, one.uri, one.nobody) == ((71, trigger), URI, URI, "")
    assert one.event is not None
    assert (one.event["kind"], one.event["reasons"], one.event["nodes"]) == (
        "lost",
        ["node a is preempted"],
        1,
    )
    assert one.head is not None
    assert not set(one.head) & set(DETAIL)
    whole = read_watched(one.key)
    assert whole is not None
    assert whole.head is not None
    assert set(whole.head) - set(one.head) == set(DETAIL)
    assert (whole.event, whole.written_at, whole.since) == (one.event, one.written_at, one.since)


def test_what_another_trigger_has_told_is_not_taken_for_its_own(session):
    """A changed watcher is another trigger; what the old one left stands in the store for ever."""
    plant(session, value=value(1))
    (one,) = Stored().now().watched
    assert (one.head, one.written_at) == (None, None)
    whole = read_watched(one.key)
    assert whole is not None
    assert whole.head is None


@pytest.mark.parametrize("order", [(3, 2, 1), (1, 2, 3), (2, 3, 1)], ids=str)
@pytest.mark.parametrize("keys", ["abc", "cba"])
def test_of_several_values_of_one_watcher_the_latest_counts(session, order, keys):
    """Arguments that change leave a value behind, and Airflow may give a row's number anew."""
    trigger, now = plant(session), timezone.utcnow()
    for key, age in zip(keys, order, strict=True):
        keep(session, 71, key, value(trigger, f"pool-{age}"), now - timedelta(hours=age))
    session.commit()
    (one,) = Stored().now().watched
    whole = read_watched(one.key)
    assert one.head is not None
    assert whole is not None
    assert whole.head is not None
    assert (one.head["pool"], whole.head["pool"]) == ("pool-1", "pool-1")
    assert one.written_at == whole.written_at == now - timedelta(hours=1)


def test_what_is_read_of_the_store_is_bounded_and_no_asset_displaces_another(session, monkeypatch):
    monkeypatch.setattr(watched, "MOST_KEPT", 6)
    monkeypatch.setattr(watched, "_AT_ONCE", 2)
    now, old = timezone.utcnow(), timezone.utcnow() - timedelta(days=9)
    flooded, quiet = plant(session, 71), plant(session, 72, uri="azbatch://z/quiet")
    for number in range(40):
        keep(session, 71, f"left-{number}", value(1000 + number), now - timedelta(seconds=40 - number))
    keep(session, 71, "latest", value(flooded), now)
    keep(session, 72, "own", value(quiet, "quiet"), old)
    session.commit()
    watchers, patience = Watchers(), Patience.at(now)
    found, _ = watchers.read(session, patience)
    assert [one.head and one.head["pool"] for one in found] == ["frames", "quiet"]
    assert len(watchers._known) == 6
    whole = read_watched((72, quiet))
    assert whole is not None
    assert whole.head is not None


def test_what_is_longer_than_a_watcher_writes_is_none_of_ours(session):
    trigger = plant(session)
    keep(session, 71, "0", {**value(trigger), "more": "x" * 130_000}, timezone.utcnow())
    session.commit()
    (one,) = Stored().now().watched
    whole = read_watched(one.key)
    assert whole is not None
    assert (one.head, whole.head) == (None, None)


def test_two_watchers_of_one_asset_and_two_assets_of_one_watcher_are_each_there(session):
    first = plant(session)
    second = plant(session)
    add_watcher(session, 72, "azbatch://renderfarm/other", first)
    session.commit()
    assert [one.key for one in Stored().now().watched] == [(71, first), (71, second), (72, first)]


@pytest.mark.parametrize(("silent", "nobody"), [(1, ""), (29, ""), (31, "Its triggerer is dead")])
def test_a_dead_triggerer_is_known_by_its_heartbeat(session, silent, nobody):
    plant(session, silent=silent)
    assert [one.nobody for one in Stored().now().watched] == [nobody]


def test_one_that_nobody_takes_is_known_by_its_age(session):
    add_watcher(session, 71, URI, add_trigger(session, None, age=60, classpath=CLASSPATH))
    session.commit()
    assert [one.nobody for one in Stored().now().watched] == ["No triggerer has taken it"]


def test_watchers_of_others_are_none_of_ours(session):
    add_watcher(session, 71, URI, add_trigger(session, add_triggerer(session)))
    session.commit()
    assert Stored().now().watched == ()


@pytest.mark.parametrize(
    "kept",
    [{}, [], "x", 7, {"trigger": True}, {"trigger": 10**40}, {"version": 1, "trigger": "1"}, "x" * 500_000],
)
def test_whatever_stands_in_the_store_the_watcher_is_there(session, kept):
    trigger = add_trigger(session, add_triggerer(session), classpath=CLASSPATH)
    add_watcher(session, 71, URI, trigger, value={**kept, "trigger": trigger} if kept == {} else kept)
    session.commit()
    (one,) = Stored().now().watched
    assert one.head is None
    assert read_watched(one.key) is not None


def test_a_value_is_read_once_and_anew_when_it_was_written_anew(session):
    from sqlalchemy import update

    from tests.live.test_stored import statements

    trigger = add_trigger(session, add_triggerer(session), classpath=CLASSPATH)
    add_watcher(session, 71, URI, trigger, value=value(trigger))
    session.commit()
    watchers, now = Watchers(), timezone.utcnow()

    def pool() -> Any:
        ((one,), _) = watchers.read(session, Patience.at(now))
        return one.head and one.head["pool"]

    assert pool() == "frames"
    with statements() as sent:
        assert pool() == "frames"
    assert len(sent) == 2, "who watches, and what is new"
    store = watched.AssetStateStoreModel
    changed = {"value": json.dumps(value(trigger, "other")), "updated_at": now + timedelta(seconds=1)}
    session.execute(update(store).values(**changed))
    session.commit()
    assert pool() == "other"


@pytest.mark.parametrize(("most", "left"), [(1, {71, 72, 73}), (2, {72, 73}), (3, {73}), (4, set())])
def test_more_than_fit_are_said_to_be_left_out(session, monkeypatch, most, left):
    monkeypatch.setattr(watched, "MOST_WATCHED", most)
    for asset_id in (71, 71, 72, 73):
        plant(session, asset_id, uri=f"azbatch://a/{asset_id}")
    reading = Stored().now()
    assert [one.key[0] for one in reading.watched] == [71, 71, 72, 73][:most]
    assert reading.left_out == LeftOut(assets=frozenset(left))
