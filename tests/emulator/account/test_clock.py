from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_batchext.emulator import Clock

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_clock_at_scale_zero_moves_only_when_it_is_advanced() -> None:
    clock = Clock(0, START)
    assert clock.now() == clock.now() == START
    assert clock.advance(1.5) == START + timedelta(seconds=1.5) == clock.now()


def test_a_fast_clock_runs_ahead_of_the_wall() -> None:
    clock = Clock(1_000_000, START)
    while clock.now() < START + timedelta(seconds=1000):  # a millisecond of the wall
        pass
    assert clock.scale == 1_000_000


def test_the_time_is_in_utc_whatever_the_start() -> None:
    start = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    assert Clock(0, start).now().isoformat() == "2026-01-01T07:00:00+00:00"
    assert abs(Clock().now() - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize("scale", [-1.0, float("nan"), float("inf")])
def test_a_senseless_scale_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="time scale"):
        Clock(scale)


def test_time_does_not_go_back_and_a_start_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        Clock(0).advance(-1)
    with pytest.raises(ValueError, match="time zone"):
        Clock(0, datetime(2026, 1, 1))  # noqa: DTZ001
