"""The mark of a run on a pool: written, read, and not believed where it is not as it was written."""

from __future__ import annotations

import json
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.data_plane import RUN_ITEM
from airflow_batchext.origin.mark import Maker, MarkError, maker_of, marked, read_mark

MAKER = Maker("production", "d", "manual__2026", "pool.create", 3)
IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=250)
NONE = {"properties": {}}


@given(IDS, IDS, IDS, IDS, st.integers(-1, 10**6))
def test_it_is_read_as_it_was_written(deployment, dag_id, run_id, task_id, map_index):
    maker = Maker(deployment, dag_id, run_id, task_id, map_index)
    assert read_mark(marked(NONE, maker)) == maker


def test_there_is_one_and_the_rest_of_the_metadata_stays():
    team = {"name": "team", "value": "a"}
    body = marked({"name": "p", "properties": {"vmSize": "s", "metadata": [team]}}, MAKER)
    again = marked(body, Maker("other", "d", "r", "t"))
    assert again["properties"]["metadata"][0] == team
    assert [item["name"] for item in again["properties"]["metadata"]] == ["team", RUN_ITEM]
    assert read_mark(again).deployment == "other"
    assert marked(again, None)["properties"] == {"vmSize": "s", "metadata": [team]}
    assert read_mark(NONE) is None


def test_it_is_bounded():
    value = marked(NONE, Maker("x" * 100, "d" * 250, "r" * 250, "t" * 250))["properties"]["metadata"][0][
        "value"
    ]
    assert len(value) < 1000


def told(**change):
    whole = {"v": 1, **MAKER.to_json(), **change}
    return json.dumps({name: value for name, value in whole.items() if value is not None})


BROKEN = [
    *("", "{", "[]", "null", "1", '"x"', "[" * 3000, told()[:-1], told() + " " * 5000 + "x"),
    *(told(v=2), told(v=None), told(dag_id=None), told(dag_id=""), told(dag_id=1), told(run_id=["r"])),
    *(told(task_id="t" * 251), told(map_index="3"), told(map_index=True), told(map_index=-2)),
    *(told(deployment=None), told(deployment=1), told(deployment="x" * 251), None, 1, {}),
]


@pytest.mark.parametrize("value", BROKEN, ids=range(len(BROKEN)))
def test_what_cannot_be_a_mark_is_none(value):
    with pytest.raises(MarkError, match=RUN_ITEM):
        read_mark({"properties": {"metadata": [{"name": RUN_ITEM, "value": value}]}})


def test_two_marks_are_none():
    items = [marked(NONE, maker)["properties"]["metadata"][0] for maker in (MAKER, MAKER)]
    with pytest.raises(MarkError):
        read_mark({"properties": {"metadata": items}})


@pytest.mark.parametrize("body", [None, [], "x", {"properties": []}, {"properties": {"metadata": {"a": 1}}}])
def test_what_is_no_pool_has_none(body):
    assert read_mark(body) is None


def test_the_task_of_a_context_is_a_maker():
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=2)
    assert maker_of({"ti": ti}, "here") == Maker("here", "d", "r", "t", 2)


@pytest.mark.parametrize(
    "context", [{}, {"ti": None}, {"ti": MagicMock()}, {"ti": SimpleNamespace(dag_id="d")}]
)
def test_a_context_without_a_task_is_none(context):
    assert maker_of(context, "here") is None
