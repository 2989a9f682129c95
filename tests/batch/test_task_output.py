"""Output as lines: the same however it comes in parts, and nothing in it that a terminal obeys."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.task_output import LONGEST_LINE, Lines

BYTES = st.lists(
    st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [b"\n", b"\r", b"\r\n", b"\x1b[31m", "ü€😀".encode(), b"\xff\xfe", b"\x00", b"a" * 900]
        ),
    ),
    max_size=20,
).map(b"".join)


def lines(*parts: bytes) -> list[str]:
    made = Lines()
    found = [line for part in parts[:-1] for line in made.feed(part)]
    return found + made.feed(parts[-1], is_last=True)


@given(BYTES, st.lists(st.integers(0, 200), max_size=8))
def test_the_borders_of_parts_do_not_show(data, cuts):
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [data[start:end] for start, end in pairwise(borders)]
    assert lines(*parts) == lines(data)


@given(BYTES)
def test_each_is_one_line_that_can_be_shown(data):
    for line in lines(data):
        assert line.isprintable()
        assert len(line) < 10 * LONGEST_LINE


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\n\n", ["", ""]),
        (b"10%\r20%\r30%\ndone", ["30%", "done"]),
        (b"10%\r20%", ["20%"]),
        (b"a\r\r\n", ["a"]),
        ("ü\n".encode(), ["ü"]),
        (b"\xffx\n", ["�x"]),
        (b"\x1b[31mred\x1b[0m\a\n", ["\\x1b[31mred\\x1b[0m\\x07"]),
        ("a\u202eb\u2028c\n".encode(), ["a\\u202eb\\u2028c"]),
    ],
)
def test_how_lines_read(data, wanted):
    assert lines(data) == wanted


def test_a_line_without_an_end_is_cut_and_costs_no_more():
    made = Lines()
    for _ in range(100):
        assert made.feed(b"x" * 10_000) == []
    (line,) = made.feed(b"\n")
    assert line == f"{'x' * LONGEST_LINE}… ({1_000_000 - LONGEST_LINE} characters more)"


@pytest.mark.parametrize(
    "text", ["password=hunter2hunter2", "https://u:hunter2hunter2@h/", "AccountKey=hunter2hunter2=="]
)
def test_a_secret_that_shows_itself_is_hidden(text):
    (line,) = lines(f"say {text}\n".encode())
    assert "hunter2" not in line
    assert line.startswith("say ")
