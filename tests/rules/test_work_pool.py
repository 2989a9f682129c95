"""Why nothing starts on a pool, in words, and whether anything ever will."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.batch.data_plane import read_node, read_pool
from airflow_batchext.batch.work import read_job, read_preparation
from airflow_batchext.rules.work_pool import Hindrance, why_nothing_starts
from tests.examples import examples

START = datetime(2026, 1, 1, tzinfo=UTC)
QUOTA = {"code": "AccountCoreQuotaReached", "message": "used up"}
FAILED = {"category": "UserError", "code": "Code", "message": "m"}
LONG = [f"tvmps_{digit * 64}_d" for digit in "abc"]


def at(minutes: float) -> str:
    return (START + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def seen(
    pool: dict[str, Any], nodes: list[dict[str, Any]], prepared: list[dict[str, Any]] | None = None
) -> Hindrance:
    body = {"id": "p", "state": "active", "allocationState": "steady", **pool}
    return why_nothing_starts(
        read_pool(body), map(read_node, nodes), [read_preparation(one) for one in prepared or []]
    )


def pool(target: int, current: int, **more: Any) -> dict[str, Any]:
    none = {"targetLowPriorityNodes": 0, "currentLowPriorityNodes": 0}
    return {"targetDedicatedNodes": target, "currentDedicatedNodes": current, **none, **more}


def node(node_id: str, state: str = "idle", booted: float = 0, **more: Any) -> dict[str, Any]:
    return {"id": node_id, "state": state, "lastBootTime": at(booted), **more}


def prepared(node_id: str, exit_code: int | None = 1, ended: float = 5) -> dict[str, Any]:
    info: dict[str, Any] = {"startTime": at(ended - 1), "state": "running", "retryCount": 0}
    if exit_code is not None:
        info |= {"state": "completed", "endTime": at(ended), "exitCode": exit_code}
        info["result"] = "failure" if exit_code else "success"
        info |= {"failureInfo": FAILED} if exit_code else {}
    return {"nodeId": node_id, "jobPreparationTaskExecutionInfo": info}


PREPARATION = "the job's preparation task"
FULL = {"errors": [{"code": "DiskFull", "message": "m"}]}
UNSCALED = "the autoscale formula of pool p has not been evaluated yet"
SCALES = {"enableAutoScale": True, "targetDedicatedNodes": 0}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            (pool(4, 0, resizeErrors=[QUOTA]), []),
            "0 of 4; the resize of pool p ended with 0 of 4 nodes: AccountCoreQuotaReached: used up",
        ),
        ((pool(0, 0), []), "0 of 0; pool p has no nodes and its target is 0"),
        ((pool(2, 2), [node("a", "unusable"), node("b", "unusable")]), "0 of 2 (2 unusable)"),
        (
            (pool(2, 1, allocationState="resizing"), [node("a"), node("b", "leavingpool")]),
            "1 of 2 (1 idle); pool p is resizing",
        ),
        (
            (pool(2, 2), [node("a", "unusable", **FULL), node("b")]),
            "1 of 2 (1 idle, 1 unusable); node a (unusable): DiskFull: m",
        ),
        (
            (pool(2, 2), [node("a"), node("b", "running")], [prepared("a", 3), prepared("gone", 3)]),
            f"1 of 2 (1 idle, 1 running); {PREPARATION} failed on a (exit code 3, usererror: Code: m)",
        ),
        (
            (pool(2, 2), [node("a"), node("b")], [prepared("a", None), prepared("b", 0)]),
            f"2 of 2 (2 idle); {PREPARATION} runs on a",
        ),
        ((pool(1, 1, resizeErrors=[QUOTA]), [node("a", "running")]), "1 of 1 (1 running)"),
        ((SCALES, []), f"0 of 0; {UNSCALED}; pool p has no nodes and its target is 0"),
    ],
)
def test_it_says_why_in_the_words_of_the_gate(given: Any, text: str) -> None:
    count, rest = text[:6], text[6:]
    assert seen(*given) == Hindrance(why=f"{count} nodes of pool p take tasks of the job{rest}")


def test_long_ids_are_short_and_long_lists_are_cut() -> None:
    nodes = [node(each) for each in LONG]
    why = seen(pool(3, 3), nodes, [prepared(each) for each in LONG[:2]]).why
    assert "failed on tvmps_aaaaaaaa…_d, tvmps_bbbbbbbb…_d (exit code 1, " in why
    assert LONG[0] not in why
    many = [node(f"n{number}") for number in range(50)]
    why = seen(pool(50, 50), many, [prepared(f"n{number}") for number in range(40)]).why
    assert why.startswith("10 of 50 nodes")
    assert "failed on n0, n1, n2 and 37 more nodes (exit code 1, " in why


FAILED_ALL = [prepared("a"), prepared("b")]


@pytest.mark.parametrize(
    ("given", "is_final"),
    [
        ((pool(2, 2), [node("a"), node("b")], FAILED_ALL), True),
        ((pool(2, 2), [node("a", "running"), node("b", "offline")], FAILED_ALL), True),
        ((pool(9, 2, resizeErrors=[QUOTA]), [node("a"), node("b")], FAILED_ALL), True),
        ((pool(2, 2), [node("a"), node("b"), node("c", "leavingpool")], FAILED_ALL), True),
        ((pool(2, 2), [node("a"), node("b")], [prepared("a"), prepared("b", 0)]), False),
        ((pool(2, 2), [node("a"), node("b")], [prepared("a"), prepared("b", None)]), False),
        ((pool(2, 2), [node("a"), node("b")], [prepared("a")]), False),
        ((pool(2, 2), [node("a"), node("b", "unusable")], [prepared("a")]), False),
        ((pool(2, 2), [node("a"), node("b", "rebooting")], FAILED_ALL), False),
        ((pool(2, 2), [node("a"), node("b", booted=6)], FAILED_ALL), False),
        ((pool(2, 2, allocationState="resizing"), [node("a"), node("b")], FAILED_ALL), False),
        ((pool(2, 2, allocationState=None), [node("a"), node("b")], FAILED_ALL), False),
        ((pool(2, 2, enableAutoScale=True), [node("a"), node("b")], FAILED_ALL), False),
        ((pool(2, 0), [], FAILED_ALL), False),
    ],
)
def test_only_where_no_node_is_left_that_might_take_it_nothing_ever_will(given: Any, is_final: bool) -> None:
    assert seen(*given).is_final is is_final


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["completed", "failure"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
INFO = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("state", "result", "exitCode", "failureInfo", "endTime", "startTime"), JUNK),
)
ITEMS = st.lists(
    st.fixed_dictionaries({}, optional={"nodeId": JUNK, "jobPreparationTaskExecutionInfo": INFO | JUNK})
    | JUNK,
    max_size=3,
)


@settings(max_examples=examples(100), deadline=None)
@given(items=ITEMS)
def test_whatever_is_answered_is_read_as_far_as_it_goes(items: list[Any]) -> None:
    found = why_nothing_starts(
        read_pool({"id": "p", "allocationState": "steady"}),
        [read_node(node("a"))],
        [read_preparation(item) for item in items],
    )
    assert found.why.isprintable()
    assert len(found.why) < 5000
    if found.is_final:
        named = [item for item in items if isinstance(item, dict) and item.get("nodeId") == "a"]
        assert any(item["jobPreparationTaskExecutionInfo"]["state"] == "completed" for item in named)


@pytest.mark.parametrize(
    ("body", "prepares"),
    [
        ({}, False),
        ({"jobPreparationTask": None}, False),
        ({"jobPreparationTask": "x"}, False),
        ({"jobPreparationTask": {"commandLine": "x"}}, True),
        ({"jobPreparationTask": {"commandLine": "x", "waitForSuccess": True}}, True),
        ({"jobPreparationTask": {"commandLine": "x", "waitForSuccess": False}}, False),
    ],
)
def test_a_job_prepares_its_nodes_where_its_tasks_wait_for_that(body: Any, prepares: bool) -> None:
    assert read_job({"id": "j", **body}).prepares is prepares
