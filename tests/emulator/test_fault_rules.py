"""Faults of requests as data: when they fire, what edits change, what is refused. No emulator runs here."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.faults import (
    Drop,
    Edit,
    Error,
    Fault,
    Faults,
    Slow,
    Throttle,
    read_fault,
)
from airflow_batchext.emulator.serving.edits import edited, markup

# --- when a fault fires -------------------------------------------------------------------------------------


class Time:
    """Both clocks, under the hand of a test."""

    def __init__(self, *faults: Fault, seed: int = 0) -> None:
        self.simulated, self.wall = datetime(2026, 1, 1, tzinfo=UTC), 0.0
        self.given = list(faults)
        self.faults = Faults(seed, lambda: self.simulated, lambda: self.wall, lambda: self.given)

    def pass_(self, seconds: float) -> None:
        self.simulated += timedelta(seconds=seconds)

    def ask(self, path: str = "/pools", method: str = "GET", plane: str = "data") -> bool:
        return bool(self.faults.meeting(plane, method, path))


def test_a_fault_fires_once_unless_told_otherwise() -> None:
    one = Time(Throttle())
    assert [one.ask() for _ in range(3)] == [True, False, False]
    three = Time(Throttle(count=3, skip=1))
    assert [three.ask() for _ in range(6)] == [False, True, True, True, False, False]


def test_a_fault_meets_a_plane_a_method_and_a_path() -> None:
    fault = Throttle(plane="data", method="G*", path="/pools/P?")
    assert fault.meets("data", "GET", "/POOLS/p1")
    assert not fault.meets("management", "GET", "/pools/p1")
    assert not fault.meets("data", "POST", "/pools/p1")
    assert not fault.meets("data", "GET", "/pools/p10")


def test_a_window_of_simulated_time_counts_from_when_the_fault_was_given() -> None:
    time_ = Time(Throttle(start=10, until=20))
    asked = []
    for _ in range(6):
        asked.append(time_.ask())
        time_.pass_(5)
    assert asked == [False, False, True, True, False, False]
    time_.faults.add(Throttle(until=5))
    assert time_.ask()


def test_a_window_may_repeat_and_may_go_by_the_wall() -> None:
    time_ = Time(Throttle(until=10, every=30), Throttle(path="/jobs", start=2, clock="wall"))
    asked = []
    for _ in range(7):
        asked.append(time_.ask())
        time_.pass_(10)
    assert asked == [True, False, False, True, False, False, True]
    assert not time_.ask("/jobs")
    time_.wall = 2.0
    assert time_.ask("/jobs")


def test_a_probability_is_drawn_from_the_seed_and_bounded() -> None:
    def history(seed: int) -> list[bool]:
        chance = Time(Error(probability=0.3), seed=seed)
        return [chance.ask() for _ in range(200)]

    assert history(1) == history(1) != history(2)
    assert 30 < sum(history(1)) < 90
    bounded = Time(Error(probability=0.5, count=7))
    assert sum(bounded.ask() for _ in range(200)) == 7
    for_ever = Time(Error(probability=0.9))
    assert sum(for_ever.ask() for _ in range(3000)) == 1000


def test_what_other_requests_do_does_not_change_the_draw() -> None:
    alone, together = Time(Drop(path="/a", probability=0.5)), Time(Drop(path="/a", probability=0.5))
    first = [alone.ask("/a") for _ in range(50)]
    second = []
    for number in range(50):
        together.ask(f"/b{number}")
        second.append(together.ask("/a"))
    assert first == second


def test_changes_add_up_and_one_fault_ends_a_request() -> None:
    time_ = Time(Slow(), Edit(at="a"), Error(), Drop())
    assert [type(fault) for fault in time_.faults.meeting("data", "GET", "/")] == [Slow, Edit, Error]
    assert [type(fault) for fault in time_.faults.meeting("data", "GET", "/")] == [Drop]
    assert [fired.path for fired in time_.faults.fired] == ["/"] * 4


@pytest.mark.parametrize(
    "words",
    [
        {"action": "explode"},
        {"action": "throttle", "until": 1, "start": 2},
        {"action": "throttle", "every": 5},
        {"action": "throttle", "until": 6, "every": 5},
        {"action": "error", "status": 200},
        {"action": "edit"},
        {"action": "edit", "at": "a", "to": "nothing", "value": 1},
        {"action": "drop", "retry_after": 1},
    ],
)
def test_a_bad_fault_is_refused_in_one_line(words: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the fault is not valid") as caught:
        read_fault(words)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValidationError):
        Scenario(faults=[words])  # type: ignore[list-item]


def test_faults_of_a_file_are_read(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("faults:\n- {action: throttle, path: '*/pools', retry_after: 2}\n- {action: drop}\n")
    assert Scenario.load(file).faults == [Throttle(path="*/pools", retry_after=2), Drop()]


# --- edits --------------------------------------------------------------------------------------------------

BODY = {
    "value": [
        {"state": "idle", "ext": {"name": "a"}, "view": {"statuses": [{"code": "X/ok"}]}},
        {"state": "creating", "ext": {"name": "b"}, "view": {"statuses": [{"code": "X/no"}]}},
    ]
}


def test_edits_reach_where_they_point_and_nothing_else() -> None:
    assert edited(BODY, Edit(at="value/*/state", to="upper"))["value"][1]["state"] == "CREATING"
    null = edited(BODY, Edit(at="**/statuses"))
    assert [item["view"] for item in null["value"]] == [{"statuses": None}] * 2
    of_b = edited(BODY, Edit(at="value/*/view/statuses/0/code", where={"ext/name": "b"}, value="Y"))
    assert [item["view"]["statuses"][0]["code"] for item in of_b["value"]] == ["X/ok", "Y"]
    assert [item["ext"]["name"] for item in edited(BODY, _remove_a())["value"]] == ["b"]
    assert edited(BODY, Edit(at="value/*", to="nothing")) == {"value": []}
    assert edited(BODY, Edit(at="nowhere/*/x", value=1)) == BODY
    assert edited(BODY, Edit(at="**", to="nothing")) == {}
    assert edited({"a": 1, "b": "x"}, Edit(at="*", to="swapped")) == {"a": 1, "b": "X"}
    assert BODY["value"][0]["state"] == "idle"


def _remove_a() -> Edit:
    return Edit(at="value/*", where={"ext/name": "a"}, to="nothing")


def test_the_examples_of_the_docs_are_scenarios() -> None:
    page = Path(__file__).parents[2] / "docs" / "emulator.md"
    examples = re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL)
    scenarios = [Scenario.load(yaml.safe_load(example)) for example in examples]
    assert max(len(scenario.faults) for scenario in scenarios) == 8


def test_markup_is_as_long_as_asked() -> None:
    assert len(markup(4096)) == 4096
    assert "<script>" in markup(200)
