"""Durations: all forms of one are equal everywhere, and the emulator reads them as the check does."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import isodate
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_batchext.emulator.wire.http import read_duration
from airflow_batchext.pool_spec import check_document, find_differences, request_body
from airflow_batchext.pool_spec._durations import parse_duration, plain_duration
from tests.pool_spec.bodies import read_back
from tests.pool_spec.documents import FIXED, GOOD, with_change

TIMEOUT = f"{FIXED}.resizeTimeout"
_UNITS = {"Y": 365 * 86400, "M": 30 * 86400, "W": 604800, "D": 86400}
_CLOCK = {"H": 3600, "M": 60, "S": 1}


@st.composite
def durations(draw: st.DrawFn) -> tuple[str, timedelta]:
    """A duration in one of its forms, and how long it is."""
    chosen = draw(
        st.lists(st.sampled_from([*("YMWD"), *("hms")]), min_size=1, max_size=7, unique=True).map(
            lambda units: sorted(units, key="YMWDhms".index)
        )
    )
    text, seconds = "P", Fraction(0)
    for unit in chosen:
        number = str(draw(st.integers(0, 11 if unit == "M" else 400)))
        if unit == chosen[-1] and unit not in "YM" and draw(st.booleans()):
            number += draw(st.sampled_from(".,")) + draw(st.text("0123456789", min_size=1, max_size=6))
        if unit in "hms" and "T" not in text:
            text += "T"
        text += number + unit.upper()
        length = _CLOCK[unit.upper()] if unit in "hms" else _UNITS[unit]
        seconds += Fraction(number.replace(",", ".")) * length
    return text, timedelta(microseconds=round(seconds * 1_000_000))


NEARLY = st.text("PT0159.,YMWDHS -+", max_size=16) | durations().flatmap(
    lambda given_: st.builds(
        lambda place, letter: given_[0][:place] + letter + given_[0][place:],
        st.integers(0, len(given_[0])),
        st.sampled_from(["", "P", "T", "5", ".", "M", "W", " ", "\n", "9" * 30, "\u0665"]),
    )
)


@given(durations())
def test_both_readers_know_every_form(case):
    text, length = case
    assert parse_duration(text) == read_duration(text) == length


@given(NEARLY)
@example("P1W")
@example("P24M")
@example("P1.5M")
@example("PT0.0000005S")
def test_both_readers_agree_on_what_is_none(text):
    assert parse_duration(text) == read_duration(text)


@given(durations())
def test_what_is_sent_is_as_long_and_known_to_net_and_to_the_sdk(case):
    text, length = case
    plain = plain_duration(text)
    assert parse_duration(plain or text) == length
    sent = plain or text
    assert "W" not in sent
    assert "," not in sent
    assert "." not in sent or sent.endswith("S")
    if not set(sent.partition("T")[0]) & set("YM"):
        assert isodate.parse_duration(sent) == length


ONE = [
    ("P7D", "P1W", "PT168H", "PT604800S", "P0Y0M7D", "P6DT24H", "PT10080M"),
    ("PT15M", "P0Y0M0DT0H15M0S", "PT0.25H", "PT0,25H", "PT900S", "PT15M00S", "PT00H15M00.000S"),
]


@pytest.mark.parametrize("forms", ONE)
def test_all_forms_of_one_duration_are_one_everywhere(forms):
    for form in forms:
        document = with_change(TIMEOUT, form)
        assert check_document(document) == []
        body = request_body(document)
        existing = read_back(body)  # by the emulator's reader
        for other in forms:
            asked = request_body(with_change(TIMEOUT, other))
            assert not [d for d in find_differences(existing, asked) if TIMEOUT in d.path]
            raw = {key: value for key, value in with_change(TIMEOUT, other).items() if key != "name"}
            assert not [d for d in find_differences(existing, raw) if TIMEOUT in d.path]
        other = request_body(with_change(TIMEOUT, "PT16M"))
        assert [d for d in find_differences(existing, other) if TIMEOUT in d.path]


@pytest.mark.parametrize(
    ("given_", "sent"),
    [("P1W", "P7D"), ("PT0.25H", "PT900S"), ("PT1,5S", "PT1.5S"), ("P1.5D", "P1DT43200S"), ("P0W", "PT0S")],
)
def test_what_net_does_not_read_is_written_anew(given_, sent):
    assert plain_duration(given_) == sent
    body = request_body(with_change(TIMEOUT, given_))
    assert body["properties"]["scaleSettings"]["fixedScale"]["resizeTimeout"] == sent


@pytest.mark.parametrize("form", ["PT15M", "P0Y0M0DT0H15M0S", "PT06M00S", "PT7.5S", "P1Y"])
def test_what_net_reads_is_sent_as_it_is(form):
    assert plain_duration(form) is None


def test_an_unreadable_one_is_left_to_the_check():
    assert plain_duration("15 minutes") is None
    assert request_body(GOOD)["properties"] == GOOD["properties"]
