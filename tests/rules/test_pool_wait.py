"""How far a pool is, by what the management plane shows of it."""

from __future__ import annotations

import pytest

from airflow_batchext.batch.management_plane import read_managed_pool
from airflow_batchext.rules.pool_wait import Goal, Observation, Wait, WaitStatus, assess, pause_after


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
    ("goal", "body", "status"),
    [
        (Goal.GONE, None, WaitStatus.REACHED),
        (Goal.GONE, pool(created="t2"), WaitStatus.REACHED),
        (Goal.GONE, pool(**DELETING), WaitStatus.WAITING),
        (Goal.SETTLED, pool(0), WaitStatus.REACHED),
        (Goal.SETTLED, pool(0, errors=["AccountCoreQuotaReached"]), WaitStatus.REACHED),
        (Goal.SETTLED, pool(state="Stopping"), WaitStatus.WAITING),
        (Goal.COMPLETE, pool(), WaitStatus.REACHED),
        (Goal.COMPLETE, pool(1, 1, wants=(1, 1)), WaitStatus.REACHED),
        (Goal.COMPLETE, pool(0, 2), WaitStatus.WAITING),
        (Goal.COMPLETE, pool(3), WaitStatus.WAITING),
        (Goal.COMPLETE, pool(state="Resizing"), WaitStatus.WAITING),
        (Goal.COMPLETE, pool(state=None), WaitStatus.WAITING),
        (Goal.COMPLETE, pool(errors=["AccountCoreQuotaReached"]), WaitStatus.REACHED),
        (Goal.COMPLETE, pool(1, errors=["AllocationTimedout"]), WaitStatus.SHORT),
        (Goal.COMPLETE, pool(1, state="Resizing", errors=["AllocationTimedout"]), WaitStatus.WAITING),
        (Goal.COMPLETE, None, WaitStatus.LOST),
        (Goal.COMPLETE, pool(**DELETING), WaitStatus.LOST),
        (Goal.COMPLETE, pool(created="t2"), WaitStatus.LOST),
        (Goal.COMPLETE, scaled(), WaitStatus.WAITING),
        (Goal.COMPLETE, scaled(RUN), WaitStatus.REACHED),
        (Goal.COMPLETE, scaled(RUN, errors=["AllocationTimedout"]), WaitStatus.REACHED),
        (Goal.COMPLETE, scaled(RUN, errors=["AccountCoreQuotaReached"]), WaitStatus.SHORT),
        (Goal.COMPLETE, scaled({"error": {"code": "AutoScalingFormulaEvaluationError"}}), WaitStatus.SHORT),
        (Goal.COMPLETE, {"properties": {}}, WaitStatus.LOST),
    ],
)
def test_what_is_observed_means(goal, body, status):
    assert assess(Wait(goal, "t1"), "p", body and read_managed_pool(body)).status is status


def test_any_pool_will_do_where_none_is_named():
    assert (
        assess(Wait(Goal.COMPLETE), "p", read_managed_pool(pool(created="t9"))).status is WaitStatus.REACHED
    )


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
    observed = Observation(WaitStatus.WAITING)
    assert [pause_after(observed, failures, 30) for failures in (0, 1, 2, 3, 4, 5, 1000)] == [
        30, 60, 120, 240, 300, 300, 300,
    ]  # fmt: skip
    assert pause_after(observed, 3, 900) == 900, "never shorter than the interval"
    assert pause_after(Observation(WaitStatus.WAITING, retry_after=400), 0, 30) == 400
