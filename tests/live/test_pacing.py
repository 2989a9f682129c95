"""How often is written, and in which order, on a simulated clock: no test waits for anything."""

from __future__ import annotations

import asyncio
import itertools
import json
import selectors
from collections import Counter
from types import SimpleNamespace

import pytest

from airflow_batchext.live import _triggerer
from airflow_batchext.live._triggerer import OfTask, TriggererWay
from airflow_batchext.live.form import Snapshot
from airflow_batchext.live.pace import (
    AFTER_FAILURE_SECONDS,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    Pace,
    stale_at,
)


class Selector(selectors.DefaultSelector):
    """Waits for nothing: instead, the time of its loop passes."""

    now = 0.0

    def select(self, timeout=None):
        if timeout:
            self.now += timeout
        return super().select(0)


def simulated(main):
    """Run this on a loop whose time passes only when nothing else is to be done."""
    selector = Selector()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


class Airflow:
    """Writes take some time; each is noted when it begins and when it has ended."""

    def __init__(self, monkeypatch, seconds=0.03):
        self.begun: list[tuple[float, str, str]] = []
        self.ended: list[tuple[str, str]] = []
        self.seconds = seconds
        self.hanging = {}
        monkeypatch.setattr(_triggerer, "store", self.store)
        monkeypatch.setattr(_triggerer, "stored", self.stored)

    async def stored(self, instance):
        return None

    async def store(self, instance, value):
        name, said = instance.task_id, json.loads(value)["summary"]
        self.begun.append((asyncio.get_running_loop().time(), name, said))
        if name in self.hanging:
            await self.hanging[name].wait()
        await asyncio.sleep(self.seconds)
        if self.seconds < 0:
            raise RuntimeError("API_SERVER_ERROR")
        self.ended.append((name, said))


def way(name: str) -> TriggererWay:
    return TriggererWay(OfTask(SimpleNamespace(dag_id="d", task_id=name, run_id="r", map_index=-1)))


def says(text: object):
    return lambda: Snapshot("gate", "p", summary=str(text))


@pytest.fixture
def airflow(monkeypatch):
    return Airflow(monkeypatch)


def test_two_hundred_gates_write_twenty_times_a_second_and_each_every_ten(airflow):
    async def main():
        ways = [way(f"t{number}") for number in range(200)]
        for second in range(120):
            for each in ways:
                each.offer(says(second), changed=True)
            await asyncio.sleep(1)

    simulated(main)
    moments = [at for at, _, _ in airflow.begun]
    assert all(later - at > 0.999 for at, later in zip(moments, moments[20:], strict=False))
    assert len(airflow.begun) > 0.9 * 120 * 20, "as often as it may"
    times: dict[str, list[float]] = {}
    for at, name, _ in airflow.begun:
        times.setdefault(name, []).append(at)
    assert len(times) == 200, "everybody has a turn"
    gaps = [later - earlier for found in times.values() for earlier, later in itertools.pairwise(found)]
    assert min(gaps) >= SHORTEST_SECONDS - 0.001
    assert max(gaps) < 3 * SHORTEST_SECONDS


def test_the_latest_wins(airflow):
    async def main():
        only = way("t")
        for number in range(45):
            only.offer(says(number), changed=True)
            await asyncio.sleep(0.7)

    simulated(main)
    assert [(round(at), said) for at, _, said in airflow.begun] == [
        (0, "0"),
        (10, "14"),
        (20, "28"),
        (30, "42"),
    ]


def test_what_does_not_change_is_told_now_and_then(airflow):
    async def main():
        only = way("t")
        for number in range(600):
            only.offer(says(number), changed=number == 0)
            await asyncio.sleep(1)

    simulated(main)
    assert [round(at) for at, _, _ in airflow.begun] == [0, 180, 360, 540]


def test_the_end_is_told_at_once_before_all_others(airflow):
    async def main():
        ways = [way(f"t{number}") for number in range(100)]
        for each in ways:
            each.offer(says("waits"), changed=True)
        await asyncio.sleep(0.5)
        ways[90].offer(says("ended"), changed=True, is_last=True)
        ways[90].close()
        await asyncio.sleep(20)

    simulated(main)
    (place,) = [number for number, (_, name, said) in enumerate(airflow.begun) if said == "ended"]
    assert place <= 12
    assert [said for _, name, said in airflow.begun if name == "t90"] == ["ended"]


def test_who_is_closed_before_its_turn_writes_nothing(airflow):
    async def main():
        ways = [way(f"t{number}") for number in range(10)]
        for each in ways:
            each.offer(says("waits"), changed=True)
        for each in ways[1:]:
            each.close()
        await asyncio.sleep(20)

    simulated(main)
    assert len(airflow.begun) <= 1


def test_writes_that_hang_stop_the_others_for_seconds_at_most(airflow):
    async def main():
        for number in range(6):
            airflow.hanging[f"bad{number}"] = asyncio.Event()
        ways = [way(name) for name in (*airflow.hanging, "good")]
        for second in range(60):
            for each in ways:
                each.offer(says(second), changed=True)
            await asyncio.sleep(1)

    simulated(main)
    assert Counter(name for _, name, _ in airflow.begun)["good"] >= 3
    assert all(
        count == 1 for name, count in Counter(name for _, name, _ in airflow.begun).items() if name != "good"
    )


def test_of_one_task_nothing_newer_overtakes_what_hangs(airflow):
    async def main():
        airflow.hanging["t"] = asyncio.Event()
        only = way("t")
        only.offer(says("first"), changed=True)
        await asyncio.sleep(30)
        only.offer(says("last"), changed=True, is_last=True)
        only.close()
        await asyncio.sleep(30)
        assert airflow.ended == []
        airflow.hanging["t"].set()
        await asyncio.sleep(5)

    simulated(main)
    assert airflow.ended == [("t", "first"), ("t", "last")]


def test_where_all_hang_nothing_more_piles_up(airflow):
    async def main():
        names = [f"t{number}" for number in range(200)]
        airflow.hanging = {name: asyncio.Event() for name in names}
        ways = [way(name) for name in names]
        for _ in range(600):
            for each in ways:
                each.offer(says("x"), changed=True)
            await asyncio.sleep(1)
        hanging = len(airflow.begun)
        assert hanging <= 30
        for event in airflow.hanging.values():
            event.set()
        await asyncio.sleep(120)

    simulated(main)
    assert len({name for name, _ in airflow.ended}) == 200, "it goes on when they end"


def test_after_a_failure_it_is_tried_later(monkeypatch):
    airflow = Airflow(monkeypatch, seconds=-1)

    async def main():
        only = way("t")
        for number in range(130):
            only.offer(says(number), changed=number < 2)
            await asyncio.sleep(1)

    simulated(main)
    assert [round(at) for at, _, _ in airflow.begun] == [0, 60, 120]
    assert airflow.ended == []


def test_what_is_made_wrongly_fails_nobody(airflow):
    async def main():
        only = way("t")
        only.offer(lambda: 1 / 0, changed=True)
        await asyncio.sleep(1)

    simulated(main)
    assert airflow.begun == []


def test_what_an_earlier_process_has_written_is_read_once_and_goes_on(airflow, monkeypatch):
    from airflow_batchext.live.form import Change
    from airflow_batchext.live.snapshot import read_snapshot, to_json

    asked, written = [], []
    before = Snapshot("gate", "p", started=5.0, history=(Change(6.0, "earlier"),))

    async def stored(instance):
        asked.append(instance)
        return to_json(before)

    async def store(instance, value):
        written.append(read_snapshot(value))

    monkeypatch.setattr(_triggerer, "stored", stored)
    monkeypatch.setattr(_triggerer, "store", store)

    async def main():
        only = way("t")
        for number in range(25):
            now = Snapshot("gate", "p", started=5.0, history=(Change(20.0, "now"),))
            only.offer(lambda now=now: now, changed=number % 10 == 0)
            await asyncio.sleep(1)

    simulated(main)
    assert len(asked) == 1
    assert [[change.text for change in each.history] for each in written] == [["earlier", "now"]] * 3


def test_the_pace_of_one():
    pace = Pace()
    assert pace.due(0.0, changed=False) == 0.0, "the beginning"
    pace.wrote(0.0)
    assert pace.due(1.0, changed=False) is None
    assert pace.due(2.0, changed=True) == SHORTEST_SECONDS
    assert pace.due(3.0, changed=False) == SHORTEST_SECONDS, "what has changed is not forgotten"
    pace.wrote(12.0)
    assert pace.due(12.0 + LONGEST_SECONDS - 1, changed=False) is None
    assert pace.due(12.0 + LONGEST_SECONDS, changed=False) == 12.0 + LONGEST_SECONDS
    pace.failed(100.0)
    assert pace.due(101.0, changed=False) == 100.0 + AFTER_FAILURE_SECONDS


@pytest.mark.parametrize("pause", [0.0, 1.0, 30.0, 60.0, 600.0])
def test_nobody_is_called_absent_who_looks_as_announced(pause):
    """It looks after its pause, and writes then at the latest that comes after three minutes."""
    writes = max(pause, LONGEST_SECONDS + pause)
    assert stale_at(0.0, pause) > writes
