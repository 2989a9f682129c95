"""The result that a task has written: a value that an XCom may hold, or why it is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.task_result import read_result

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def outcome(kind, data, *, is_cut=False):
    """The value, or why it is none."""
    try:
        return read_result(kind, data, is_cut=is_cut)
    except ValueError as error:
        return str(error)


@given(
    VALUES,
    st.sampled_from(["", "before\n", "50%\r", "a\r\nb\r\n"]),
    st.sampled_from(["", "\n", "\r\n", "\n\n"]),
)
def test_what_was_written_as_json_is_read(value, before, after):
    data = f"{before}{json.dumps(value)}{after}".encode()
    assert outcome("json", data) in (value, "there is what looks like a secret in it")


@given(st.binary(max_size=60), st.sampled_from(["json", "last_line", "wd/a.json", "wd/a"]), st.booleans())
def test_nothing_but_a_value_or_why_not(data, kind, is_cut):
    json.dumps(outcome(kind, data, is_cut=is_cut), allow_nan=False).encode()


@pytest.mark.parametrize(
    ("kind", "data", "wanted"),
    [
        ("last_line", b"a\nb\n", "b"),
        ("last_line", b"a", "a"),
        ("last_line", b"1%\r2%\r\n", "2%"),
        ("last_line", "ü\n".encode(), "ü"),
        ("json", b'x\n{"a": [1, null]}\n', {"a": [1, None]}),
        ("wd/a.JSON", b"[1]\n", [1]),
        ("wd/a.txt", b"1\n", "1\n"),
        ("wd/empty", b"", ""),
    ],
)
def test_what_is_read(kind, data, wanted):
    assert read_result(kind, data, is_cut=False) == wanted


@pytest.mark.parametrize(
    ("kind", "data", "is_cut", "text"),
    [
        ("last_line", b"", False, "nothing"),
        ("json", b"\n\r\n", False, "nothing"),
        ("last_line", b"x" * 99, True, "more than 65536 bytes"),
        ("wd/a", b"x", True, "more than 65536 bytes"),
        ("json", b"{", False, "no JSON"),
        ("json", b"NaN", False, "no JSON"),
        ("json", b"[" * 60_000, False, "no JSON"),
        ("json", b"[" * 40 + b"]" * 40, False, "nests deeper"),
        ("json", b'"\\ud800"', False, "no JSON"),
        ("json", b"9" * 5000, False, "no JSON"),
        ("last_line", b"\xff", False, "UTF-8"),
        ("last_line", b"a\0b", False, "no text"),
        ("last_line", b"https://u:hunter2hunter2@h/", False, "secret"),
        ("json", b'{"password": "hunter2hunter2"}', False, "secret"),
    ],
)
def test_what_is_none(kind, data, is_cut, text):
    with pytest.raises(ValueError, match=text) as caught:
        read_result(kind, data, is_cut=is_cut)
    assert "hunter2" not in str(caught.value)


def test_a_line_whose_beginning_is_there_is_whole_though_more_stands_before():
    assert read_result("last_line", b"x\nok\n", is_cut=True) == "ok"
