"""Output as lines: the same however it comes in parts, and nothing in it that a terminal obeys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.task_output import (
    LONGEST_LINE,
    PART_BYTES,
    OutputSeen,
    Reading,
    file_sizes,
    left_out,
    take,
)

WITHOUT_CR = [
    b"\n",
    b"\x1b[31m",
    "ü€😀".encode(),
    b"\xff\xfe",
    b"\x00",
    b"a" * 900,
    b"password=hunter2hunter2",
]


def parts(*more):
    pieces = st.one_of(st.binary(max_size=6).map(lambda it: it.replace(b"\r", b"")), st.sampled_from(more))
    return st.lists(pieces, max_size=20).map(b"".join)


def read(data, *borders):
    """What is shown of a file that grows to these sizes, and then has ended."""
    reading, found = Reading(), []
    for size in (*borders, len(data)):
        is_last = size == len(data)
        lines, reading = take(reading, data[reading.offset : size], is_last=is_last)
        found += lines
    return found


CUTS = st.lists(st.integers(0, 400), max_size=8)


@given(parts(*WITHOUT_CR), CUTS)
def test_the_borders_of_looks_do_not_show(data, cuts):
    """Whatever is cut: a character, a line, a secret."""
    assert read(data, *sorted(cut for cut in cuts if cut < len(data))) == read(data)


@given(parts(*WITHOUT_CR, b"\r", b"\r\n"), CUTS)
def test_of_what_is_written_over_more_is_shown_while_it_goes_on_and_the_end_is_the_same(data, cuts):
    cuts = sorted(cut for cut in cuts if cut < len(data))
    shown, whole = read(data, *cuts), read(data)
    remaining = iter(shown)
    assert all(line in remaining for line in whole), "each, in this order"
    assert len(shown) <= len(whole) + len(cuts), "at most one more a look"


@given(parts(*WITHOUT_CR, b"\r", b"\r\n"), CUTS)
def test_each_is_one_line_that_can_be_shown_and_holds_no_secret(data, cuts):
    for line in read(data, *sorted(cut for cut in cuts if cut < len(data))):
        assert line.isprintable()
        assert len(line) < 10 * LONGEST_LINE
        assert "hunter2hunter2" not in line


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
    assert read(data) == wanted


def test_a_progress_bar_is_shown_while_it_fills():
    data = b"".join(b"%d%%\r" % number for number in range(1, 101)) + b"\n"
    assert read(data, 30, 90, len(data) - 1) == ["9%", "24%", "99%", "100%"]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_line_without_an_end_is_cut_and_the_rest_of_it_left_out(end):
    data = b"x" * (4 * PART_BYTES) + end
    reading, found = Reading(), []
    while reading.offset < 4 * PART_BYTES:
        lines, reading = take(reading, data[reading.offset :][:PART_BYTES], is_last=False)
        found += lines
    assert found == [f"{'x' * LONGEST_LINE}… (the rest of the line is left out)"]
    lines, reading = take(reading, data[reading.offset :] + b"y\n", is_last=True)
    assert lines == (["y"] if end else [])
    assert not reading.is_inside


def test_a_long_line_that_was_read_whole_says_how_long():
    (line,) = read(b"x" * 10_000 + b"\n")
    assert line == f"{'x' * LONGEST_LINE}… ({10_000 - LONGEST_LINE} characters more)"


@pytest.mark.parametrize(
    "text",
    ["password=hunter2hunter2", "https://u:hunter2hunter2@h/", "AccountKey=hunter2hunter2=="],
)
@pytest.mark.parametrize("before", [0, LONGEST_LINE - 12, LONGEST_LINE - 20])
def test_a_secret_that_shows_itself_is_hidden_where_a_line_is_cut_too(text, before):
    (line,) = read(f"{'. ' * (before // 2)}say {text}\n".encode())
    assert "hunter" not in line


def test_of_a_secret_whose_beginning_was_left_out_no_end_is_shown():
    data = b"password=hunter2hunter2\nnext\n"
    for start in range(1, 24):
        lines, _ = take(left_out(Reading(), start), data[start:], is_last=True)
        assert lines == (["next"] if start < 24 else [])


KEY = "-----BEGIN RSA PRIVATE KEY-----\nhunter2\nhunter2\n-----END RSA PRIVATE KEY-----\n"


@given(st.lists(st.integers(0, 120), max_size=5))
def test_a_private_key_is_not_shown(cuts):
    data = f"a\n{KEY}b\n{KEY}".encode()
    found = read(data, *sorted(cut for cut in cuts if cut < len(data)))
    assert found == ["a", "***", "b", "***"]


def test_what_only_begins_like_a_key_hides_no_more_than_a_key():
    assert read(b"-----BEGIN PRIVATE KEY-----\n" + b"x\n" * 1000).count("x") == 800


def test_it_is_kept_as_json_whatever_is_missing_there():
    seen = OutputSeen("n 1", {"stdout.txt": Reading(5, 9, 7, True, 2)})
    assert OutputSeen.from_json(seen.to_json()) == seen
    assert OutputSeen.from_json({"files": {"a": {"offset": 3, "new": 1}}}).files == {"a": Reading(3)}
    assert OutputSeen.from_json(None) == OutputSeen()
    again = seen.of_run("n 2")
    assert again.files == {"stdout.txt": Reading(shown=7)}
    assert again.is_unread
    assert seen.of_run("n 1") is seen


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ("12", 12),
        (12, 12),
        ("-1", 0),
        (-1, 0),
        (True, 0),
        (None, 0),
        ("9" * 40, 0),
        (1.5, 0),
        ({}, 0),
    ],
)
def test_sizes(told, wanted):
    assert file_sizes([{"name": "a", "properties": {"contentLength": told}}, None]) == {"a": wanted, "": 0}
