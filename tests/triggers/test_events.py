"""The watcher of a pool: what it fires, what it remembers, and that it neither ends nor hurries."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from airflow_batchext.emulator import ExtensionScenario, Scenario
from airflow_batchext.triggers import _sharing, events
from airflow_batchext.triggers.events import AzureBatchPoolEventTrigger
from tests.conftest import official_connection
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Azure

ALL = ["ready", "failed", "lost"]


class Store:
    """Stands for the store of one asset, which only a supervisor process can give; see tests/airflow.

    What is there for the live page is kept apart: ``live``.
    """

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.live: dict[str, str] = {}
        self.writes = 0

    async def aget(self, key: str) -> Any:
        kept = self.rows.get(key) or self.live.get(key)
        return None if kept is None else json.loads(kept)

    async def aset(self, key: str, value: Any) -> None:
        if key.startswith("batchext_live/"):
            self.live[key] = json.dumps(value, allow_nan=False)
            return
        self.writes += 1
        self.rows[key] = json.dumps(value)


class Ambiguous(Store):
    async def aget(self, key: str) -> Any:
        raise ValueError("Task has 2 concrete inlets and outlets")


@pytest.fixture(autouse=True)
def _handed_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_HANDED_ON_SECONDS", 0.0)


def watcher(azure: Azure, store: Store | None = None, **change: Any) -> AzureBatchPoolEventTrigger:
    trigger = AzureBatchPoolEventTrigger(
        pool_id=azure.pool_id,
        **{"azure_batchext_conn_id": "official", "poll_interval": 0.05, "events": ALL, **change},
    )
    trigger.asset_state_store = store  # type: ignore[assignment]
    return trigger


@asynccontextmanager
async def watching(trigger: AzureBatchPoolEventTrigger) -> AsyncIterator[list[dict[str, Any]]]:
    """What it fires while the block runs, as it goes through Airflow's database."""
    fired: list[dict[str, Any]] = []

    async def run() -> None:
        async for event in trigger.run():
            fired.append(json.loads(json.dumps(event.payload)))  # noqa: PERF401
        raise AssertionError("a watcher must not end")

    task = asyncio.create_task(run())
    try:
        yield fired
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def looks(azure: Azure, count: int = 3) -> None:
    """Wait until the pool has been looked at so often again."""
    path = f"/pools/{azure.pool_id}?"
    before = len(azure.reads(path))
    await until(lambda: len(azure.reads(path)) >= before + 2 * count)


def kinds(fired: list[dict[str, Any]]) -> list[str]:
    return [payload["event"] for payload in fired]


async def test_a_pool_comes_becomes_ready_loses_a_node_and_gets_it_back(azure):
    async with watching(watcher(azure, Store())) as fired:
        await asyncio.sleep(0.3)
        azure.create(ready=False)
        await looks(azure, 2)
        assert fired == []
        azure.pass_time(300)
        await until(lambda: fired)
        assert fired[0] | {"pool_created": "", "at": ""} == {
            "event": "ready",
            "pool_id": azure.pool_id,
            "pool_created": "",
            "at": "",
            "extensions": ["secretext"],
            "nodes_ready": 2,
            "nodes_wanted": 2,
            "nodes": [],
            "nodes_concerned": 0,
            "reasons": [],
        }
        assert fired[0]["at"].endswith("Z")
        azure.emulator.account.preempt_node(azure.pool_id, 0, back_after=100)
        await until(lambda: len(fired) == 2)
        assert fired[1]["event"] == "lost"
        assert len(fired[1]["nodes"]) == fired[1]["nodes_concerned"] == 1
        assert "is preempted" in fired[1]["reasons"][0]
        azure.pass_time(600)
        await until(lambda: len(fired) == 3)
        await looks(azure)
    assert kinds(fired) == ["ready", "lost", "ready"]


async def test_an_extension_that_fails_is_told_once_with_its_reason(azure):
    rule = ExtensionScenario(extension="secretext", outcome="fail", node=0, message="no vault\nreally")
    azure.emulator.scenario = Scenario(extensions=[rule])
    async with watching(watcher(azure, Store())) as fired:
        azure.create()
        await until(lambda: fired)
        await looks(azure)
    (payload,) = fired
    assert payload["event"] == "failed"
    assert payload["nodes_ready"] == 1
    assert "no vault\\nreally" in payload["reasons"][0]


async def test_only_what_was_asked_for_is_fired(azure):
    azure.create()
    async with watching(watcher(azure, Store(), events=["lost"])) as fired:
        await looks(azure)
        azure.emulator.account.preempt_node(azure.pool_id, 0, back_after=9999)
        await until(lambda: fired)
    assert kinds(fired) == ["lost"]


async def test_a_pool_created_anew_is_ready_anew(azure):
    azure.create()
    async with watching(watcher(azure, Store())) as fired:
        await until(lambda: fired)
        azure.emulator.account.recreate_pool(azure.pool_id)
        await looks(azure, 2)
        azure.pass_time(600)
        await until(lambda: len(fired) == 2)
        azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
        await asyncio.sleep(0.4)
    assert kinds(fired) == ["ready", "ready"]
    assert fired[0]["pool_created"] != fired[1]["pool_created"]


async def test_another_triggerer_goes_on_and_tells_nothing_twice(azure):
    azure.create()
    store = Store()
    async with watching(watcher(azure, store)) as fired:
        await until(lambda: fired and store.rows)
    async with watching(watcher(azure, store)) as again:
        await looks(azure)
        assert again == []
        azure.emulator.account.preempt_node(azure.pool_id, 0, back_after=9999)
        await until(lambda: again)
    assert kinds(again) == ["lost"]


async def test_what_happens_while_no_triggerer_runs_is_told_by_the_next(azure):
    store = Store()
    azure.create(ready=False)
    async with watching(watcher(azure, store)) as fired:
        await looks(azure, 2)
    assert fired == []
    azure.pass_time(300)
    async with watching(watcher(azure, store)) as fired:
        await until(lambda: fired)
    assert kinds(fired) == ["ready"]


async def test_a_triggerer_that_dies_right_after_an_event_tells_it_again_rather_than_never(
    azure, monkeypatch
):
    monkeypatch.setattr(events, "_HANDED_ON_SECONDS", 60.0)
    azure.create()
    store = Store()
    async with watching(watcher(azure, store)) as fired:
        await until(lambda: fired)
    assert store.rows == {}
    async with watching(watcher(azure, store)) as again:
        await until(lambda: again)
    assert fired[0] | {"at": ""} == again[0] | {"at": ""}


async def test_the_store_is_written_when_something_has_changed_and_only_then(azure):
    azure.create()
    store = Store()
    async with watching(watcher(azure, store)):
        await looks(azure, 6)
    assert store.writes == 1


async def test_watchers_of_one_asset_remember_each_for_itself(azure):
    azure.create()
    store = Store()
    one, other = watcher(azure, store, events=["ready"]), watcher(azure, store, events=["ready", "lost"])
    async with watching(one) as fired, watching(other) as told:
        await until(lambda: fired and told and len(store.rows) == 2)


@pytest.mark.parametrize("store", [None, Ambiguous()], ids=["before Airflow 3.3", "of several assets"])
async def test_without_a_store_what_is_seen_first_is_known(azure, store):
    azure.create()
    async with watching(watcher(azure, store)) as fired:
        await looks(azure)
        assert fired == []
        azure.emulator.account.preempt_node(azure.pool_id, 0, back_after=100)
        await until(lambda: fired)
        azure.pass_time(600)
        await until(lambda: len(fired) == 2)
    assert kinds(fired) == ["lost", "ready"]


async def test_twenty_watchers_of_one_pool_make_one_poll(azure):
    azure.create()
    azure.emulator.requests.clear()
    watchers = [watcher(azure, Store(), poll_interval=0.5, events=[ALL[i % 3]]) for i in range(20)]
    began = time.monotonic()
    tasks = [asyncio.create_task(anext(trigger.run())) for trigger in watchers]
    path = f"/pools/{azure.pool_id}?"
    await until(lambda: sum(task.done() for task in tasks) == 7 and len(azure.reads(path)) >= 8)
    most = 2 * ((time.monotonic() - began) / 0.5 + 2)
    assert len(azure.reads(path)) <= most, "two reads for each look, as many as one watcher alone makes"
    assert sum(task.done() for task in tasks) == 7, "those that are after ready"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_last_watcher_to_leave_closes_the_connection(azure):
    azure.create()
    async with watching(watcher(azure, Store())) as fired:
        await until(lambda: fired)
    assert _sharing._shared[asyncio.get_running_loop()] == {}


@pytest.mark.parametrize("action", ["throttle", "error"])
async def test_an_outage_is_no_news(azure, action):
    azure.create()
    async with watching(watcher(azure, Store())) as fired:
        await until(lambda: fired)
        words = {"status": 500, "code": "InternalError"} if action == "error" else {"retry_after": 0}
        azure.emulator.faults.add(action=action, path=f"*/pools/{azure.pool_id}*", count=6, **words)
        await looks(azure, 8)
    azure.emulator.faults.clear()
    assert kinds(fired) == ["ready"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"azure_batchext_conn_id": "nowhere"}, "goes on in a while"),
        ({"azure_batchext_conn_id": "empty"}, "lacks subscription_id"),
        ({"azure_batchext_conn_id": "wrong_key"}, "AuthenticationFailed"),
        ({"pool_id": "no pool id"}, "pool_id is 'no pool id'"),
        ({"events": ["gone"]}, "ready, failed, lost"),
        ({"poll_interval": 0}, "poll_interval is '0'"),
        ({"min_nodes": -1}, "min_nodes"),
    ],
)
async def test_what_is_wrong_for_good_is_said_and_tried_later_and_later(azure, capsys, change, said):
    azure.connect("empty", {"conn_type": "azure_batchext"})
    url = azure.emulator.info.http_endpoint
    extra = {"account_url": url}
    azure.connect("wrong_key", {"conn_type": "azure_batch", "login": "x", "password": "bm8=", "extra": extra})
    azure.create()
    azure.emulator.requests.clear()
    trigger = watcher(azure, Store())
    for name, value in change.items():
        setattr(trigger, name, value)
    told: list[str] = []

    def is_told() -> bool:
        told.append(capsys.readouterr().out)
        return said in "".join(told)

    async with watching(trigger) as fired:
        await until(is_told)
        await asyncio.sleep(1.5)
    assert fired == []
    # Of a refusal each try is told, by its request id.
    assert ("".join(told) + capsys.readouterr().out).count(said) <= 8
    assert len(azure.emulator.requests) <= 8


async def test_a_connection_that_is_fixed_is_used_without_a_restart(azure, monkeypatch):
    azure.create()
    azure.connect("later", {"conn_type": "azure_batchext"})
    async with watching(watcher(azure, Store(), azure_batchext_conn_id="later")) as fired:
        await asyncio.sleep(0.3)
        monkeypatch.setenv("AIRFLOW_CONN_LATER", json.dumps(official_connection(azure.emulator)))
        await until(lambda: fired, 20)
    assert kinds(fired) == ["ready"]


@pytest.mark.parametrize("state", ["missing", "coming", "ready", "failed"])
async def test_watchers_of_a_pool_look_together_whatever_they_see(azure, state):
    if state == "failed":
        azure.emulator.scenario = Scenario(extensions=[ExtensionScenario(node=0, outcome="fail")])
    if state != "missing":
        azure.create(ready=state != "coming")
    # Each of them was started at another moment of the interval.
    watchers = [watcher(azure, Store(), poll_interval=1.0, events=[kind]) for kind in ALL * 2]
    async with AsyncExitStack() as stack:
        for one in watchers:
            await stack.enter_async_context(watching(one))
            await asyncio.sleep(0.15)
        azure.emulator.requests.clear()
        began = time.monotonic()
        await until(lambda: len(azure.reads(f"/pools/{azure.pool_id}?")) >= 4)
        looks = 1 + (time.monotonic() - began)
        # A look that could open reads the pool once more.
        most = 2 if state == "ready" else 1
        assert len(azure.reads(f"/pools/{azure.pool_id}?")) <= most * (looks + 1)
