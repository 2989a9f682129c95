from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.emulator.wire.http import (
    Answer,
    Call,
    Router,
    etag_of,
    http_time,
    read_duration,
    ticks,
    wire_time,
    write_duration,
)

times = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)).map(  # noqa: DTZ001
    lambda time: time.replace(tzinfo=UTC)
)


def call(query: str = "", **changes: object) -> Call:
    arguments = {
        "method": "GET",
        "raw_path": "/pools/a%20b",
        "raw_query": query,
        "headers": {},
        "body": b"",
        "scheme": "https",
        "host": "h:1",
        "request_id": "r",
        **changes,
    }
    return Call(**arguments)  # type: ignore[arg-type]


@given(times, times)
def test_ticks_keep_the_order_of_times(one: datetime, other: datetime) -> None:
    assert (ticks(one) < ticks(other)) is (one < other)


@given(times)
def test_a_time_has_seven_decimals_and_the_etag_is_the_same_time(time: datetime) -> None:
    written = wire_time(time)
    whole, _, decimals = written.removesuffix("Z").partition(".")
    assert len(decimals) == 7
    assert decimals[-1] != "0"
    again = datetime.fromisoformat(f"{whole}.{decimals[:6]}+00:00")
    assert again == time
    assert int(etag_of(time), 16) == ticks(again)


def test_an_etag_counts_ticks_as_dot_net_does() -> None:
    time = datetime(2022, 2, 24, 8, 2, 8, 122225, tzinfo=UTC)
    assert ticks(time) // 10 == 0x8D9F76BF442E66A // 10


def test_http_times_are_english() -> None:
    assert http_time(datetime(2023, 3, 14, 6, 23, 30, tzinfo=UTC)) == "Tue, 14 Mar 2023 06:23:30 GMT"


@pytest.mark.parametrize(
    ("given_", "written"),
    [
        ("PT06M00S", "PT6M"),
        ("PT15M", "PT15M"),
        ("PT900S", "PT15M"),
        ("P1D", "P1D"),
        ("PT36H", "P1DT12H"),
        ("PT0S", "PT0S"),
        ("PT1.5S", "PT1.5S"),
        ("P1W", "P7D"),
        ("PT168H", "P7D"),
        ("P0Y0M0DT0H15M0S", "PT15M"),
        ("PT0,25H", "PT15M"),
        ("P13M", "P395D"),
    ],
)
def test_durations_are_written_in_their_shortest_form(given_: str, written: str) -> None:
    duration = read_duration(given_)
    assert duration is not None
    assert write_duration(duration) == written


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "15M", "PT15", "P1H", "P1DT", "PT0.5H30M", "PT1H2H", "PT-5M", "P99999999999D"]
)
def test_what_is_no_duration(text: str) -> None:
    assert read_duration(text) is None


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=400)))
def test_durations_survive_writing_and_reading(duration: timedelta) -> None:
    again = read_duration(write_duration(duration))
    assert again is not None
    assert abs(again - duration) <= timedelta(microseconds=1)


def test_a_query_is_decoded_and_the_first_of_a_key_counts() -> None:
    assert call("a=1%2B2&b=x+y&a=3&c=").query == {"a": "1+2", "b": "x y", "c": ""}
    assert call().path == "/pools/a b"


def test_paths_are_found_without_regard_to_case_and_decoded() -> None:
    other = [("GET", "/jobs", lambda call: Answer(500))]
    router = Router(other, [("GET", "/pools/{pool}/nodes.x", lambda call: Answer(200, dict(call.params)))])
    answering = router.find(call(raw_path="/POOLS/a%2Fb/nodes.x"))
    assert answering is not None
    assert answering() == Answer(200, {"pool": "a/b"})
    assert router.find(call(method="POST", raw_path="/pools/a/nodes.x")) is None
    assert router.find(call(raw_path="/pools/a/nodesyx")) is None


def test_a_call_shows_neither_its_body_nor_its_headers() -> None:
    shown = repr(call(body=b"SECRET", headers={"authorization": "SECRET"}))
    assert "SECRET" not in shown
