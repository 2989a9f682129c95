"""What is believed of an answer's body, at the bounds."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.hooks._requests import MOST_ON_PAGE, page_of
from airflow_batchext.transport._answers import (
    MOST_DEPTH,
    MOST_VALUES,
    AnswerError,
    check_bounds,
    parse_json,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(-1e90, 1e90),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
TEXTS = st.text() | st.text('[]{}",:\\0123456789eE+', max_size=60)

HALVES = ["\\ud83d", "\\uDE00", "\\ud83d\\ude00", "\\\\", "\\ud8", "ud83d", "\\u0041", '"']


def read(body):
    check_bounds(body)
    return parse_json(body)


@given(VALUES | TEXTS | st.lists(TEXTS))
def test_what_the_service_sends_is_read_as_it_is(value):
    """Also texts that look like numbers beyond bounds, or like brackets."""
    for ascii_only in (True, False):
        body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        try:
            body.decode()
        except UnicodeDecodeError:
            continue
        assert json.dumps(read(body)) == json.dumps(value) or "\\ud" in json.dumps(value)


@pytest.mark.parametrize(
    "number", ["1e999", "-1E+400", "9" * 25, "-" + "1" * 99, "0." + "3" * 30, "NaN", "-Infinity"]
)
@pytest.mark.parametrize("shape", ["{}", "[{}]", '{{"a": [1, {}]}}', '["{{", {}, "\\""]'])
def test_numbers_that_no_member_has_are_refused(number, shape):
    with pytest.raises((AnswerError, ValueError)):
        read(shape.format(number).encode())
    text = json.dumps({"told": f"{number}, and {number}"}).encode()
    assert read(text) == {"told": f"{number}, and {number}"}


@pytest.mark.parametrize("unit", [b"[", b'{"a":', b'[{"a":[', b"[]" * 9 + b"["])
def test_the_depth_that_is_read(unit):
    for depth in (MOST_DEPTH + 1, 5_000, 1_000_000 // len(unit)):
        with pytest.raises(AnswerError):
            check_bounds(unit * depth)
    check_bounds(
        unit * (MOST_DEPTH // (unit.count(b"[") + unit.count(b"{")) if b"]" not in unit else MOST_DEPTH)
    )
    check_bounds(json.dumps({"a": (unit * 1000).decode()}).encode())


@pytest.mark.parametrize("unit", [b",", b"{}", b"[]", b'"a",', b'{"a":1},'])
def test_endless_parts_are_refused(unit):
    with pytest.raises(AnswerError, match="parts"):
        check_bounds(b"[" + unit * MOST_VALUES + b"]")


def test_an_object_without_an_end_is_refused():
    body = {f"k{number}": number for number in range(30_000)}
    with pytest.raises(AnswerError, match="objects without an end"):
        check_bounds(json.dumps(body).encode().replace(b'": ', b'":'))
    check_bounds(json.dumps([dict.fromkeys("abcdefgh", number) for number in range(10_000)]).encode())


UNITS = ['"', '""', '\\"', "\\\\", "\\u0041", "\\ud83d", "\\uDE00", "x", '"a":', '"a",', "1", "]", "é", "{}"]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("before", ["", '{"id":"', "[" * 70, "0" * 30], ids=["", "text", "deep", "digits"])
def test_the_time_of_reading_grows_with_the_length_and_no_faster(before, unit):
    """Four times the answer takes about four times as long, however its texts begin and end."""

    def took(count):
        body = f"{before}{unit * count}".encode()
        times = []
        for _ in range(2):
            start = time.process_time()
            with suppress(AnswerError, ValueError):
                read(body)
            times.append(time.process_time() - start)
        return min(times)

    least = 0.002  # of less the clock says nothing
    count = 12_000 // len(unit)
    assert took(count * 4) / max(took(count), least) < 10


@given(st.text('aD\\"', max_size=4), st.lists(st.sampled_from(HALVES), max_size=5))
def test_no_text_has_half_a_character(text, parts):
    """Nothing else of it changes, whatever stands before the half."""
    body = f'["{text}{"".join(parts)}"]'
    try:
        (wanted,) = json.loads(body)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            read(body.encode())
        return
    assert read(body.encode()) == [re.sub("[\ud800-\udfff]", "\ufffd", wanted)]


def test_a_page_of_more_items_than_any_has_is_refused():
    class Response:
        def __init__(self, count: int) -> None:
            self.content = json.dumps({"value": [{}] * count}).encode()

    assert len(page_of(Response(MOST_ON_PAGE))["value"]) == MOST_ON_PAGE
    with pytest.raises(ValueError, match="more items"):
        page_of(Response(MOST_ON_PAGE + 1))
