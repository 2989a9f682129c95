"""What each mode tells the page, and that it reads nothing of Azure for it, and waits for nobody."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from airflow_batchext.emulator import ExtensionScenario, Scenario
from airflow_batchext.exceptions import GateFailedError
from airflow_batchext.live import _triggerer, _worker
from airflow_batchext.live.snapshot import XCOM_KEY, read_snapshot
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from tests.live import modes
from tests.live.conftest import INSTANCE
from tests.live.modes import GATES, LOOKS, OPERATORS, Pauses, awritten, quietly
from tests.repair.conftest import fails
from tests.waiting import until

BREAKS = ExtensionScenario(
    extension="secretext", outcome="fail", node=0, code="7", message="could not get lock"
)


def requests(azure) -> list[tuple[str, str]]:
    """What was asked of the pool and its work, in whatever order: nodes are asked at the same time."""
    made = [(request.method, request.path.partition("?")[0]) for request in azure.emulator.requests]
    return sorted(each for each in made if "/pools/" in each[1] or "/jobs" in each[1])


def run_gate(azure, monkeypatch, mode, **change):
    azure.create(2, ready=False)
    azure.emulator.requests.clear()
    pauses = Pauses(lambda: azure.pass_time(300))
    return GATES[mode](azure, monkeypatch, pauses, **change)


def run_operator(azure, monkeypatch, name):
    kind, run = OPERATORS[name]
    if kind == "repair":
        azure.emulator.scenario = fails({"node": 0, "boots": "first"})
    if kind == "work":
        azure.emulator.scenario = Scenario.load({"tasks": [{"after": 90}]})
    azure.create(3)
    azure.emulator.requests.clear()

    class Passing(Pauses):
        def pause(self, *_):
            super().pause()
            azure.pass_time(60)

    return run(azure, monkeypatch, Passing(lambda: azure.pass_time(600), looks=10))


@pytest.mark.parametrize("mode", GATES)
def test_a_gate_shows_how_it_waits_and_that_it_has_opened(azure, monkeypatch, xcoms, mode):
    run_gate(azure, monkeypatch, mode)
    first, last = xcoms.snapshots[0], xcoms.last
    assert (first.kind, first.pool, first.mode, first.outcome) == ("gate", azure.pool_id, mode, "waiting")
    assert (first.connection, first.account) == ("azure_batchext_default", azure.emulator.info.account)
    assert first.rules == f"every extension on every node of pool {azure.pool_id} to succeed"
    assert first.started <= first.looked < first.next_look < first.stale_at
    assert first.deadline == pytest.approx(first.started + 600, abs=30)
    assert "is resizing" in first.summary
    assert last.outcome == "done"
    assert (last.next_look, last.stale_at, last.reasons) == (None, None, ())
    assert (last.picture.counts.wanted, last.picture.counts.ready) == (2, 2)
    assert [(field.name, field.cells) for field in last.picture.fields[:2]] == [
        ("", "rr"),
        ("secretext", "rr"),
    ]
    assert None not in last.picture.ages
    assert last.extensions == ("secretext",)
    assert last.points[-1].ready == 2
    assert next(change.text for change in last.history) == first.summary
    assert len({change.text for change in last.history}) == len(last.history) >= 2
    assert last.started == first.started


@pytest.mark.parametrize("mode", GATES)
def test_a_gate_shows_why_it_has_failed_and_what_helps(azure, monkeypatch, xcoms, mode):
    azure.emulator.scenario = Scenario(extensions=[BREAKS])
    error = quietly(lambda: run_gate(azure, monkeypatch, mode))
    assert mode == "start_from_trigger" or isinstance(error, GateFailedError)
    last = xcoms.last
    assert last.outcome == "failed"
    node = last.picture.nodes[0]
    assert (node.kind, node.state) == ("failed", "idle")
    said = next(each for each in node.extensions if each.name == "secretext")
    assert (said.kind, said.code, said.message) == (
        "failed",
        "ProvisioningState/failed/7",
        "could not get lock",
    )
    assert last.looked - 60 <= node.read <= last.looked + 1
    assert last.picture.fields[0].cells == "fr"
    assert "ProvisioningState/failed/7" in last.reasons[0]
    assert "installs packages" in last.causes[0]
    assert last.more.startswith("batchext diagnose ")


def test_the_event_that_ends_a_task_in_the_triggerer_brings_the_last_snapshot(azure, monkeypatch, xcoms):
    event = run_gate(azure, monkeypatch, "start_from_trigger")
    assert read_snapshot(event.xcoms[XCOM_KEY]) == xcoms.last
    assert event.xcoms["return_value"]["outcome"] == "open"


def test_a_repairing_gate_shows_its_steps(azure, monkeypatch, xcoms):
    azure.emulator.scenario = fails({"node": 0, "boots": "first"})
    azure.create(2)

    class Passing(Pauses):
        def pause(self, *_):
            azure.pass_time(60)

    GATES["deferrable"](azure, monkeypatch, Passing(lambda: None), repair={}, timeout=7200)
    working = [snapshot for snapshot in xcoms.snapshots if snapshot.repair]
    assert working[0].repair.steps[0].step == "reboot"
    assert "the pool is being repaired" in working[0].summary
    assert xcoms.last.outcome == "done"
    assert xcoms.last.repair.steps[0].result in ("helped", "open")
    assert "nodes are repaired before it fails" in xcoms.last.rules


@pytest.mark.parametrize("name", OPERATORS)
def test_what_an_operator_waits_for_is_shown(azure, monkeypatch, xcoms, name):
    run_operator(azure, monkeypatch, name)
    kind, first, last = OPERATORS[name][0], xcoms.snapshots[0], xcoms.last
    mode = "deferrable" if name.endswith("triggerer") else "worker"
    assert {(each.kind, each.mode, each.pool) for each in xcoms.snapshots} == {(kind, mode, azure.pool_id)}
    assert first.outcome == "waiting"
    assert first.started <= first.looked < first.next_look < first.stale_at
    assert first.rules.startswith(f"pool {azure.pool_id} to ")
    assert last.outcome == "done"
    assert (last.started, last.deadline) == (first.started, first.deadline)
    assert next(change.text for change in last.history) == first.summary
    assert (last.repair is not None) is (kind == "repair")


def test_what_an_operator_finds_done_is_not_shown(azure, monkeypatch, xcoms):
    azure.create(4)
    OPERATORS["resize, worker"][1](azure, monkeypatch, Pauses(lambda: None))
    assert xcoms.values == []


@pytest.mark.parametrize("name", [*GATES, *OPERATORS])
def test_nothing_is_read_or_done_for_it(azure, monkeypatch, xcoms, name):
    """The same requests, one by one, whether it is on or off; and off, nothing is written."""

    def play() -> list[tuple[str, str]]:
        with monkeypatch.context() as patch:
            (run_gate if name in GATES else run_operator)(azure, patch, name)
        made = requests(azure)
        azure.emulator.reset()
        return made

    shown, written = play(), len(xcoms.values)
    assert written
    monkeypatch.setenv("AIRFLOW__BATCHEXT__STATUS_PAGE", "False")
    assert play() == shown
    assert len(xcoms.values) == written


@pytest.mark.parametrize("mode", GATES)
def test_who_cannot_look_says_so(azure, monkeypatch, xcoms, mode):
    """A connection that cannot be used: there is no look, and the page says why all the same."""
    azure.connect("azure_batchext_default", {"conn_type": "azure_batchext"})
    quietly(lambda: GATES[mode](azure, monkeypatch, Pauses(lambda: None)))
    last = xcoms.last
    assert (last.outcome, last.looked) == ("refused", None)
    assert "lacks subscription_id" in last.summary


async def test_a_trigger_that_is_moved_writes_nothing_more(azure, monkeypatch, xcoms):
    azure.create(2, ready=False)
    gate = AzureBatchExtensionTrigger(
        pool_id=azure.pool_id,
        azure_batchext_conn_id="official",
        poll_interval=0.05,
        deadline=time.time() + 600,
        started=time.time(),
    )
    gate.task_instance = INSTANCE
    waiting = asyncio.create_task(anext(gate.run()))
    await until(lambda: xcoms.values)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await awritten()
    written = len(xcoms.values)
    await asyncio.sleep(0.3)
    assert len(xcoms.values) == written
    assert xcoms.last.outcome == "waiting"


@pytest.fixture
def nothing_is_waited_for(monkeypatch, xcoms):
    """What hangs is never written."""

    async def not_waited_for():
        pass

    monkeypatch.setattr(modes, "awritten", not_waited_for)
    monkeypatch.setattr(modes, "written", lambda: None)
    monkeypatch.setattr(_worker, "LAST_SECONDS", 0.05)


async def fails_at_once(*_):
    raise RuntimeError("API_SERVER_ERROR")


async def hangs(*_):
    await asyncio.Event().wait()


@pytest.mark.usefixtures("nothing_is_waited_for")
@pytest.mark.parametrize("store", [fails_at_once, hangs])
@pytest.mark.parametrize("mode", ["deferrable", "start_from_trigger"])
def test_a_write_that_fails_or_hangs_keeps_no_gate_of_the_triggerer(azure, monkeypatch, xcoms, mode, store):
    monkeypatch.setattr(_triggerer, "store", store)
    found = run_gate(azure, monkeypatch, mode)
    report = found["outcome"] if mode == "deferrable" else found.xcoms["return_value"]["outcome"]
    assert report == "open"


@pytest.mark.usefixtures("nothing_is_waited_for")
@pytest.mark.parametrize("kind", ["fails", "hangs"])
@pytest.mark.parametrize("name", ["poke", "reschedule", "resize, worker"])
def test_a_write_that_fails_or_hangs_keeps_no_worker(azure, monkeypatch, xcoms, name, kind):
    over, begun = threading.Event(), []

    def store(instance, value):
        begun.append(time.monotonic())
        if kind == "fails":
            raise RuntimeError("API_SERVER_ERROR")
        over.wait(60)

    monkeypatch.setattr(_worker, "store", store)
    try:
        (run_gate if name in GATES else run_operator)(azure, monkeypatch, name)
    finally:
        over.set()
    assert begun


def test_a_fault_of_ours_in_what_is_told_fails_no_gate(azure, monkeypatch, xcoms):
    def broken(*_, **__):
        raise KeyError("oops")

    monkeypatch.setattr("airflow_batchext.live.story.Story.sees", broken)
    assert run_gate(azure, monkeypatch, "poke")["outcome"] == "open"
    assert LOOKS > 1
