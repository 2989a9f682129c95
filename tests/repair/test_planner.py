"""What is decided at one look, by how long ago something was asked for, and how the pool is meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.data_plane import read_extension, read_node
from airflow_batchext.batch.whole_pool import read_whole_pool
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.repair.journal import Journal, Record, node_key
from airflow_batchext.repair.planner import Planner
from airflow_batchext.repair.requests import Remove, Restart
from airflow_batchext.repair.symptoms import Machine

BOOTED, NOW = 1_700_000_000, 1_700_100_000
NODES = 3
STEPS = ("reboot", "reimage", "replace")
AGES = st.integers(0, 3_600)


def at(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def machine(node_id: str, outcome: str, booted: int = BOOTED) -> Machine:
    node = {"id": node_id, "state": "idle", "lastBootTime": at(booted), "stateTransitionTime": at(booted)}
    said = {"statuses": [{"code": f"ProvisioningState/{outcome}"}]}
    extension = {"vmExtension": {"name": "certs"}, "instanceView": {"name": "certs", **said}}
    return Machine(read_node({**node, "allocationTime": at(BOOTED)}), [read_extension(extension)])


def decide(step: str, outcome: str, age: int, *, booted: int = BOOTED, target: int = NODES, **options):
    """One node of three, for which a step was asked some seconds ago; return its record and the plan."""
    policy = RepairPolicy(order=(step,), **options.pop("policy", {}))
    pool = {
        "id": "p",
        "allocationState": "steady",
        "targetDedicatedNodes": target,
        "currentDedicatedNodes": NODES,
        "virtualMachineConfiguration": {"extensions": [{"name": "certs"}]},
        **options,
    }
    asked = NOW - age
    record = Record(node_key("tvm-1"), step, "certs failed", asked, asked, BOOTED, owner="me")
    targets = (NODES, 0) if step == "replace" else None
    machines = [
        machine("tvm-1", outcome, booted),
        *(machine(f"tvm-{number}", "succeeded") for number in range(2, NODES + 1)),
    ]
    journal = Journal(by="me", records=[record], targets=targets, lowered=((NODES - 1, 0),))
    plan = Planner(read_whole_pool(pool), machines, journal, policy, NOW, owner="me", refused={}).decide()
    return record, plan


@pytest.mark.parametrize("step", ["reboot", "reimage"])
@given(age=AGES, settle=st.integers(1, 3_600), has_booted=st.booleans())
def test_a_ready_node_was_helped_once_it_has_booted_or_the_boot_would_have_begun(
    step, age, settle, has_booted
):
    """A node that is still as it was may have its reboot before it: what it says is of the boot before."""
    booted = BOOTED + 1 if has_booted else BOOTED
    record, plan = decide(step, "succeeded", age, booted=booted, policy={"settle": settle})
    assert (record.state == "helped") is (has_booted or age >= settle)
    assert plan.acts == []


@pytest.mark.parametrize("step", STEPS)
@given(age=AGES)
def test_what_shows_no_effect_is_asked_for_again_after_a_minute_and_not_before(step, age):
    record, plan = decide(step, "failed", age, policy={"step_timeout": 7_200})
    again = (
        [Remove(("tvm-1",), "taskcompletion", "")]
        if step == "replace"
        else [Restart(step, "tvm-1", "taskcompletion")]
    )
    assert plan.acts == ([] if age < 60 else again)
    assert record.asked == (NOW - age if age < 60 else NOW)


@given(
    age=st.integers(60, 3_600),
    allocation=st.sampled_from(["steady", "resizing", "stopping", "", "Steady"]),
    target=st.integers(0, NODES + 2),
)
def test_a_removal_is_asked_for_again_only_of_a_steady_pool_with_its_own_targets(age, allocation, target):
    _, plan = decide(
        "replace", "failed", age, target=target, allocationState=allocation, policy={"step_timeout": 7_200}
    )
    removals = [act for act in plan.acts if isinstance(act, Remove)]
    assert bool(removals) is (allocation.lower() == "steady" and target == NODES)
