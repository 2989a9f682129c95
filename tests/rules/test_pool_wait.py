"""How far a pool is, by what the management plane shows of it."""

from __future__ import annotations

import pytest

from airflow_batchext.batch.management_plane import read_managed_pool
from airflow_batchext.rules.pool_wait import Course, Goal, Look, Wait, judge, pause_after


def pool(dedicated=2, low=0, *, wants=(2, 0), state="Steady", created="t1", errors=(), **properties):
    return {
        "properties": {
            "creationTime": created,
            "provisioningState": "Succeeded",
            "allocationState": state,
            "currentDedicatedNodes": dedicated,
            "currentLowPriorityNodes": low,
            "scaleSettings": {
                "fixedScale": {"targetDedicatedNodes": wants[0], "targetLowPriorityNodes": wants[1]}
            },
            "resizeOperationStatus": {"errors": [{"code": code} for code in errors]},
            **properties,
        }
    }


def scaled(run=None, **properties):
    more = {} if run is None else {"autoScaleRun": run}
    return pool(scaleSettings={"autoScale": {"formula": "x"}}, **more, **properties)


DELETING = {"provisioningState": "Deleting"}
RUN = {"results": "$TargetDedicatedNodes=2"}


@pytest.mark.parametrize(
    ("goal", "body", "course"),
    [
        (Goal.GONE, None, Course.REACHED),
        (Goal.GONE, pool(created="t2"), Course.REACHED),
        (Goal.GONE, pool(**DELETING), Course.WAITING),
        (Goal.SETTLED, pool(0), Course.REACHED),
        (Goal.SETTLED, pool(0, errors=["AccountCoreQuotaReached"]), Course.REACHED),
        (Goal.SETTLED, pool(state="Stopping"), Course.WAITING),
        (Goal.COMPLETE, pool(), Course.REACHED),
        (Goal.COMPLETE, pool(1, 1, wants=(1, 1)), Course.REACHED),
        (Goal.COMPLETE, pool(0, 2), Course.WAITING),
        (Goal.COMPLETE, pool(3), Course.WAITING),
        (Goal.COMPLETE, pool(state="Resizing"), Course.WAITING),
        (Goal.COMPLETE, pool(state=None), Course.WAITING),
        (Goal.COMPLETE, pool(errors=["AccountCoreQuotaReached"]), Course.REACHED),
        (Goal.COMPLETE, pool(1, errors=["AllocationTimedout"]), Course.SHORT),
        (Goal.COMPLETE, pool(1, state="Resizing", errors=["AllocationTimedout"]), Course.WAITING),
        (Goal.COMPLETE, None, Course.LOST),
        (Goal.COMPLETE, pool(**DELETING), Course.LOST),
        (Goal.COMPLETE, pool(created="t2"), Course.LOST),
        (Goal.COMPLETE, scaled(), Course.WAITING),
        (Goal.COMPLETE, scaled(RUN), Course.REACHED),
        (Goal.COMPLETE, scaled(RUN, errors=["AllocationTimedout"]), Course.REACHED),
        (Goal.COMPLETE, scaled(RUN, errors=["AccountCoreQuotaReached"]), Course.SHORT),
        (Goal.COMPLETE, scaled({"error": {"code": "AutoScalingFormulaEvaluationError"}}), Course.SHORT),
        (Goal.COMPLETE, {"properties": {}}, Course.LOST),
    ],
)
def test_what_is_seen_means(goal, body, course):
    assert judge(Wait(goal, "t1"), "p", body and read_managed_pool(body)).course is course


def test_any_pool_will_do_where_none_is_named():
    assert judge(Wait(Goal.COMPLETE), "p", read_managed_pool(pool(created="t9"))).course is Course.REACHED


@pytest.mark.parametrize(
    ("body", "empty"),
    [
        (pool(0, wants=(0, 0)), True),
        (pool(0, wants=(1, 0)), False),
        (pool(0, 1, wants=(0, 0)), False),
        (pool(0, wants=(0, 0), state="Resizing"), False),
    ],
)
def test_empty_is_a_pool_that_has_no_nodes_and_wants_none(body, empty):
    assert read_managed_pool(body).is_empty is empty


def test_pauses_grow_while_nothing_can_be_read_and_the_service_is_heard():
    seen = Look(Course.WAITING)
    assert [pause_after(seen, failures, 30) for failures in (0, 1, 2, 3, 4, 5, 1000)] == [
        30, 60, 120, 240, 300, 300, 300,
    ]  # fmt: skip
    assert pause_after(seen, 3, 900) == 900, "never shorter than the interval"
    assert pause_after(Look(Course.WAITING, retry_after=400), 0, 30) == 400
