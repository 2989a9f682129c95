"""Repairing nodes as a task, on the emulator, in the worker and in the triggerer."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_batchext.exceptions import NodeRepairError, ParameterError, PoolTimeoutError
from airflow_batchext.operators.node import AzureBatchRepairNodesOperator
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator, AzureBatchUpdatePoolOperator
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from tests.conftest import document
from tests.operators.conftest import run
from tests.repair.conftest import books as books
from tests.repair.conftest import fails, journal, node_ids, targets
from tests.waiting import TickingClock

pytestmark = pytest.mark.usefixtures("signed_in")

MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
CONTEXT = {"ti": SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)}


def repair(azure, **kwargs):
    kwargs = {"poll_interval": 5, "timeout": 3600, **kwargs}
    return AzureBatchRepairNodesOperator(task_id="repair", pool_id=azure.pool_id, **kwargs)


@MODES
def test_a_healthy_pool_is_a_success_at_once(azure, pauses, books, deferrable):
    azure.create(2)
    result = run(azure, repair(azure), deferrable=deferrable)
    assert result == {"pool_id": azure.pool_id, "outcome": "done", "actions": [], "notes": []}
    assert books.done == []


@MODES
@pytest.mark.parametrize(
    ("rule", "steps"),
    [({"boots": "first"}, ["reboot"]), ({}, ["reboot", "reimage", "replace"])],
    ids=["a reboot repairs it", "only another machine repairs it"],
)
def test_the_xcom_says_what_was_done_to_which_node(azure, pauses, books, deferrable, rule, steps):
    azure.emulator.scenario = fails({"node": 1, **rule})
    azure.create(3)
    ill = node_ids(azure)[1]
    result = run(azure, repair(azure, azure_batchext_conn_id="official"), deferrable=deferrable)
    json.dumps(result)
    assert (result["outcome"], [action["step"] for action in result["actions"]]) == ("done", steps)
    assert {action["node"] for action in result["actions"]} == {ill}
    assert result["actions"][-1]["result"] == "helped"
    assert (books.wrong, targets(azure), journal(azure)) == ([], (3, 0), None)


@MODES
def test_what_nothing_repairs_fails_with_what_was_tried_and_a_retry_burns_nothing(
    azure, pauses, books, deferrable
):
    azure.emulator.scenario = fails({"message": "no vault <b>\u202e"})
    azure.create(2)
    with pytest.raises(NodeRepairError, match=r"reports ProvisioningState/failed/7: no vault") as caught:
        run(azure, repair(azure), deferrable=deferrable, context=CONTEXT)
    assert "\u202e" not in str(caught.value)
    assert "helped none of 2 nodes" in str(caught.value)
    assert len(caught.value.report["actions"]) == 6
    done = list(books.done)
    with pytest.raises(NodeRepairError, match="could not be repaired"):
        run(azure, repair(azure), deferrable=deferrable, context=CONTEXT)
    assert books.done == done


@MODES
def test_what_hangs_after_its_reboot_is_replaced(azure, pauses, books, deferrable):
    azure.emulator.scenario = fails(
        {"node": 1, "boots": "first"}, {"node": 1, "boots": "later", "outcome": "hang", "code": None}
    )
    azure.create(2)
    task = repair(azure, policy={"order": ["reboot", "replace"], "step_timeout": 600})
    result = run(azure, task, deferrable=deferrable)
    assert [(action["step"], action["result"]) for action in result["actions"]] == [
        ("reboot", "failed"),
        ("replace", "helped"),
    ]


def test_nodes_that_are_not_there_fail_the_task_by_name(azure, pauses, books):
    azure.create(1)
    with pytest.raises(NodeRepairError, match=r"has no node tvm-1; .*has no node tvm-2"):
        run(azure, repair(azure, node_ids=["tvm-1", "tvm-2"]), deferrable=False)


@MODES
def test_a_deadline_in_the_middle_of_a_replacement_leaves_no_smaller_pool_unsaid(
    azure, pauses, books, deferrable, monkeypatch
):
    monkeypatch.setattr("airflow_batchext.parameters.REPLACEMENT_SECONDS", 0.0)
    # The node is leaving for as long as anybody looks, however often that is before the deadline.
    clock = TickingClock(time.sleep)
    for module in ("operators._steps.repair", "triggers.repair"):
        monkeypatch.setattr(f"airflow_batchext.{module}.time", clock)
    azure.emulator.scenario = fails({"node": 0})
    azure.emulator.scenario.timings.leaving = 1e7
    azure.create(2)
    task = repair(azure, policy={"order": ["replace"]}, timeout=1.5, poll_interval=0.3)
    with pytest.raises(PoolTimeoutError, match=r"targets of pool .* 1 dedicated .* instead of 2 and 0"):
        run(azure, task, deferrable=deferrable)


def test_other_operators_leave_the_journal_alone(azure, pauses, books):
    azure.emulator.scenario = fails({})
    azure.create(1)
    with pytest.raises(NodeRepairError):
        run(azure, repair(azure), deferrable=False)
    before = journal(azure)
    assert before
    same = {"pool_id": azure.pool_id, "pool_document": document(1)}
    adopted = AzureBatchCreatePoolOperator(task_id="create", on_existing="fail", **same).execute({})
    assert adopted["differences"] == []
    change = {"properties": {"metadata": [{"name": "team", "value": "a"}]}}
    updated = AzureBatchUpdatePoolOperator(task_id="update", pool_id=azure.pool_id, pool_document=change)
    assert [d["path"] for d in updated.execute({})["differences"]] == ["properties.metadata[team]"]
    assert journal(azure) == before


def test_no_node_is_taken_away_shortly_before_the_deadline(azure, books):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(2)
    task = repair(azure, policy={"order": ["replace"]}, timeout=300.0, poll_interval=0.1)
    with pytest.raises(NodeRepairError, match="to replace it 300 seconds have to be left"):
        task.execute({})
    assert books.done == []


@pytest.mark.parametrize("timeout", [0, 60, 299.9, timedelta(minutes=4)])
@pytest.mark.parametrize("order", [["replace"], ["reboot", "replace"], None])
def test_a_timeout_in_which_nothing_can_be_replaced_is_refused_at_once(azure, timeout, order):
    policy = None if order is None else {"order": order}
    with pytest.raises(ParameterError, match=r"timeout is .* but replacing a node takes 300 seconds"):
        repair(azure, policy=policy, timeout=timeout)
    gate = {"task_id": "gate", "pool_id": "p", "timeout": timeout}
    with pytest.raises(ParameterError, match=r"timeout is .* but replacing a node takes 300 seconds"):
        AzureBatchExtensionSensor(**gate, repair={"order": ["replace"]})
    AzureBatchExtensionSensor(**gate, repair={"order": ["reboot", "replace"]})
    repair(azure, policy={"order": ["reboot", "reimage"]}, timeout=timeout)
    repair(azure, policy=policy, timeout=timeout, dry_run=True)


def test_the_default_timeout_is_longer_than_all_steps_of_the_default_policy(azure):
    task = AzureBatchRepairNodesOperator(task_id="repair", pool_id="p")
    policy = RepairPolicy()
    assert task.timeout > len(policy.order) * policy.attempts * policy.step_timeout


def test_a_dry_run_returns_what_it_would_do(azure, books):
    azure.emulator.scenario = fails({"node": 1})
    azure.create(3)
    result = repair(azure, dry_run=True, deferrable=True).execute({})
    assert result["would"] == [f"reboot node {node_ids(azure)[1]}"]
    assert (result["outcome"], books.done) == ("dry run", [])
    azure.emulator.scenario = fails()
    assert repair(azure, dry_run=True, policy={"pick": ["unusable"]}).execute({})["would"] == []


def test_named_nodes_are_rendered_and_checked(azure, pauses, books):
    azure.create(2)
    named = node_ids(azure)[:1]
    result = run(azure, repair(azure, node_ids=named, policy=RepairPolicy()), deferrable=True)
    assert [(a["node"], a["for"], a["result"]) for a in result["actions"]] == [
        (named[0], "asked for", "helped")
    ]
    assert "node_ids" in AzureBatchRepairNodesOperator.template_fields


@pytest.mark.parametrize(
    "wrong",
    [
        {"policy": {"order": ["pray"]}},
        {"policy": {"order": []}},
        {"policy": {"at_once": 0}},
        {"policy": {"at_once": 2.5}},
        {"policy": {"attempts": 0}},
        {"policy": {"pick": ["stuck"]}},
        {"policy": {"on_tasks": "kill"}},
        {"policy": {"broken_after": -1}},
        {"policy": {"unknown": 1}},
        {"policy": "reboot"},
        {"node_ids": "n1"},
        {"node_ids": [1]},
    ],
)
def test_parameters_that_cannot_be_are_refused_before_anything_is_asked(azure, wrong):
    azure.emulator.requests.clear()
    with pytest.raises(ParameterError):
        repair(azure, **wrong).execute({})
    assert not azure.emulator.requests


def test_the_end_of_the_task_puts_the_targets_back(azure, pauses, books, monkeypatch):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(2)
    task = repair(azure, policy={"order": ["replace"]}, deferrable=True)
    with pytest.raises(TaskDeferred):
        task.execute(CONTEXT)
    assert targets(azure) == (1, 0)
    azure.pass_time(60)
    task.on_kill()
    assert targets(azure) == (2, 0)
    assert "by" not in (journal(azure) or {})
