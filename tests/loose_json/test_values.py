"""Readers of loose JSON: nothing that a service may send makes one fail, or return another kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.management_plane import read_managed_pool
from airflow_batchext.loose_json.values import (
    as_mapping,
    as_number,
    as_sequence,
    as_text,
    as_word,
    below,
    read_json,
    total,
    visible,
    whole_number,
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": [1, null]}', {"a": [1, None]}),
        ("null", None),
        ("", "otherwise"),
        ("{'a': 1}", "otherwise"),
        ("[" * 100_000, "otherwise"),
        ({"a": 1}, "otherwise"),
        (None, "otherwise"),
    ],
)
def test_a_text_says_what_its_json_does(text, said):
    assert read_json(text, "otherwise") == said


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        | st.tuples(inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_what_is_not_of_the_kind_reads_as_if_it_were_not_there(value):
    assert as_mapping(value) == (value if isinstance(value, dict) else {})
    assert list(as_sequence(value)) == (list(value) if isinstance(value, (list, tuple)) else [])
    assert as_text(value) == (value if isinstance(value, str) else "")
    assert as_word(value) == visible(as_text(value)).lower()
    assert as_number(value) == (value if type(value) is int else None)


@pytest.mark.parametrize(
    ("value", "members", "found"),
    [
        ({"a": {"b": 1}}, ("a", "b"), 1),
        ({"a": {"b": 1}}, ("a",), {"b": 1}),
        ({"a": {"b": 1}}, (), {"a": {"b": 1}}),
        ({"a": [1]}, ("a", "b"), None),
        ({"a": None}, ("a", "b"), None),
        ("a", ("a",), None),
    ],
)
def test_below(value, members, found):
    assert below(value, *members) == found


@pytest.mark.parametrize(
    ("values", "sum_of_them"),
    [((1, 2), 3), ((1, None), 1), ((0,), 0), ((None, "2", True), None), ((), None)],
)
def test_total(values, sum_of_them):
    assert total(*values) == sum_of_them


@pytest.mark.parametrize(
    ("value", "found"),
    [(4, 4), ("4", 4), (" -4 ", -4), ("4.0", None), (4.0, None), (True, None), ("9" * 19, None), ("٤", None)],
)
def test_a_whole_number_may_be_spelt(value, found):
    assert whole_number(value) == found


#: Where ``read_managed_pool`` looks, each with what it takes there.
MEMBERS = (
    *("creationTime", "provisioningState", "allocationState", "scaleSettings", "fixedScale", "autoScale"),
    *("autoScaleRun", "error", "targetDedicatedNodes", "currentDedicatedNodes", "resizeOperationStatus"),
    *("errors", "code", "message", "details", "values"),
)


@given(
    st.recursive(
        LEAVES,
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=6)
        ),
        max_leaves=20,
    )
)
def test_no_body_of_a_pool_makes_its_reading_fail(properties):
    pool = read_managed_pool({"etag": properties, "properties": properties})
    assert isinstance(pool.created, str)
    assert all(type(count) is int for count in (*pool.target, *pool.current))
