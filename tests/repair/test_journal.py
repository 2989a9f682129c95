"""What the pool remembers of a repair: read as it was written, kept short, and never guessed at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.repair.journal import (
    ITEM,
    STATES,
    Journal,
    JournalError,
    Record,
    keeping_journal,
    node_key,
    read_journal,
    with_journal,
)

#: What the controller writes: lines that can be shown as they are.
LINES = st.text(max_size=60).map(one_line).filter(lambda text: one_line(text) == text and len(text) <= 60)
TIMES = st.integers(1_600_000_000, 2_000_000_000)
RECORDS = st.builds(
    Record,
    key=st.text("0123456789abcdef", min_size=10, max_size=10),
    step=st.sampled_from(["reboot", "reimage", "replace"]),
    failure=LINES,
    at=TIMES,
    asked=TIMES,
    booted=st.one_of(st.just(0), TIMES),
    is_dedicated=st.booleans(),
    state=st.sampled_from(STATES),
)
TARGETS = st.tuples(st.integers(0, 999), st.integers(0, 999))
JOURNALS = st.builds(
    Journal,
    by=st.just("0123456789ab"),
    by_name=LINES,
    until=TIMES,
    targets=TARGETS,
    lowered=st.lists(TARGETS, max_size=2).map(tuple),
    records=st.lists(RECORDS, max_size=5),
    rounds=st.integers(1, 3),
    is_over=st.booleans(),
    notes=st.lists(LINES, max_size=2),
)


@given(journal=JOURNALS)
def test_a_journal_is_read_as_it_was_written(journal):
    others = (("team", "a"), ("", "b"))
    metadata = with_journal((*others, (ITEM, "an older one")), journal)
    assert metadata[:2] == others
    assert read_journal(metadata) == journal
    assert with_journal(metadata, None) == others


@given(text=st.text(max_size=60))
def test_what_others_wrote_is_read_as_a_line(text):
    record = Record("0123456789", "reboot", text, 1_600_000_000, 1_600_000_000, 0)
    written = with_journal((), Journal("0123456789ab", text, 1, records=[record], notes=[text]))
    journal = read_journal(written)
    assert [journal.by_name, journal.records[0].failure, *journal.notes] == [
        one_line(text, 60),
        one_line(text, 300),
        one_line(text, 300),
    ]


def test_forty_actions_take_less_than_four_kilobytes():
    failure = "keyvaultforlinux failed/vmextensionprovisioningerror".ljust(60, "x")
    records = [
        Record(
            node_key(f"n{i}"), "replace", failure, 1_790_000_000, 1_790_000_600, 1_789_990_000, state="failed"
        )
        for i in range(40)
    ]
    assert len(Journal("b" * 12, "n" * 60, 1_790_000_000, records=records).write()) < 4000


@pytest.mark.parametrize(
    "value",
    ["", "nonsense", "[]", "{}", '{"v":2}', '{"v":1,"targets":5}', '{"v":1,"records":[[1]]}', "null", "1"],
)
def test_what_cannot_be_understood_is_told(value):
    with pytest.raises(JournalError, match="cannot be understood"):
        read_journal([(ITEM, value)])


def test_no_journal_is_none():
    assert read_journal([("team", "a")]) is None


def test_what_is_old_is_forgotten_but_not_what_is_under_way():
    records = [
        Record("a", "reboot", "f", 100, 100, 0, state="failed"),
        Record("b", "reboot", "f", 100, 100, 0, state="open"),
        Record("c", "reboot", "f", 100, 300, 0, state="failed"),
    ]
    journal = Journal(records=records)
    journal.forget(200)
    assert [record.key for record in journal.records] == ["b", "c"]


def test_a_document_is_not_about_the_journal():
    item = {"name": ITEM, "value": "{}"}
    asked = {"properties": {"vmSize": "A"}}
    assert keeping_journal(asked, {"properties": {}}) is asked
    kept = keeping_journal(asked, {"properties": {"metadata": [{"name": "x", "value": "y"}, item]}})
    assert kept == {"properties": {"vmSize": "A", "metadata": [item]}}
    assert asked == {"properties": {"vmSize": "A"}}
