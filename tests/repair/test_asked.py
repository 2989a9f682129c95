"""What a repair's success states: every node that it was asked for is ready."""

from __future__ import annotations

from functools import partial

import pytest

from airflow_batchext.batch.whole_pool import read_whole_pool
from airflow_batchext.hooks._drivers.gate import drive
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.journal import Journal, Record
from airflow_batchext.repair.planner import Planner
from airflow_batchext.repair.status import Stage
from tests.repair.conftest import books as books
from tests.repair.conftest import fails, journal, node_ids, targets


@pytest.fixture
def repair(repair):
    """Long pauses, as much is waited for here."""
    return partial(repair, pause=100)


TWO_STEPS = {"order": ["reboot", "replace"], "step_timeout": 300}
ILL = {"node": 1, "boots": "first"}


def hangs_after_its_reboot(azure, **more):
    """Node 1 fails; after its first boot its extension hangs; another machine is well."""
    azure.emulator.scenario = fails(
        ILL, {"node": 1, "boots": "later", "outcome": "hang", "code": None}, **more
    )
    azure.create(3)


def until_booted(azure, repair, **options):
    """Repair until the node of a reboot has its new boot."""
    for _ in range(20):
        progress = repair(looks=1, policy=TWO_STEPS, **options)
        azure.pass_time(30)
        if any(action["step"] == "reboot" for action in progress.actions):
            break
    azure.pass_time(60)


def steps(progress):
    return [(action["step"], action["result"]) for action in progress.actions]


@pytest.mark.parametrize("step_timeout", [300, 900])
def test_a_node_that_hangs_after_its_reboot_is_given_the_next_step(azure, repair, books, step_timeout):
    hangs_after_its_reboot(azure)
    ill = node_ids(azure)[1]
    progress = repair(policy={**TWO_STEPS, "step_timeout": step_timeout})
    assert progress.stage is Stage.DONE
    assert steps(progress) == [("reboot", "failed"), ("replace", "helped")]
    assert (ill in node_ids(azure), targets(azure), books.wrong) == (False, (3, 0), [])


def test_where_nothing_is_left_to_try_it_fails_and_says_so(azure, repair, books):
    hangs_after_its_reboot(azure)
    progress = repair(policy={"order": ["reboot"], "step_timeout": 300})
    assert progress.stage is Stage.FAILED
    assert "is not ready" in progress.text
    assert "reboot did not help" in progress.text
    assert journal(azure) is not None


@pytest.mark.parametrize("state", ["starting", "waitingforstarttask", "offline"])
def test_a_node_that_hangs_in_another_state_after_its_reboot_is_given_the_next_step(
    azure, repair, books, state
):
    azure.emulator.scenario = fails(ILL, {"node": 1, "boots": "later", "outcome": "hang", "code": None})
    azure.create(3)
    ill = node_ids(azure)[1]
    until_booted(azure, repair)
    azure.emulator.account.mark_node(azure.pool_id, ill, state)
    progress = repair(policy=TWO_STEPS)
    assert (progress.stage, steps(progress)[-1]) == (Stage.DONE, ("replace", "helped"))
    assert ill not in node_ids(azure)


@pytest.mark.parametrize("state", ["unusable", "starttaskfailed"])
def test_a_node_that_becomes_ill_in_a_way_that_is_not_picked_is_not_called_done(azure, repair, books, state):
    azure.emulator.scenario = fails(ILL)
    azure.create(3)
    ill = node_ids(azure)[1]
    policy = {**TWO_STEPS, "pick": ["failed"]}
    repair(looks=1, policy=policy)
    azure.pass_time(150)
    azure.emulator.account.mark_node(azure.pool_id, ill, state, code="DiskFull")
    progress = repair(policy=policy)
    assert (progress.stage, steps(progress)) == (Stage.DONE, [("reboot", "failed"), ("replace", "helped")])
    assert ill not in node_ids(azure)


def test_a_successor_that_hangs_is_repaired_too_or_told(azure, repair, books):
    azure.emulator.scenario = fails({"node": 1}, {"node": 3, "outcome": "hang", "code": None})
    azure.create(3)
    progress = repair(policy={"order": ["replace"], "step_timeout": 300})
    assert progress.stage is Stage.DONE
    assert steps(progress) == [("replace", "failed"), ("replace", "helped")]
    assert (len(node_ids(azure)), targets(azure)) == (3, (3, 0))


def test_where_no_successor_comes_it_is_not_done():
    """Azure says that the pool is steady, has a node too few, and gives no reason."""
    pool = {"id": "p", "allocationState": "steady", "targetDedicatedNodes": 3, "currentDedicatedNodes": 2}
    gone = Record("a" * 10, "replace", "secretext failed/7", 1_000, 1_000, 0, state="gone", owner="me")
    plan = Planner(
        read_whole_pool(pool), [], Journal(records=[gone]), RepairPolicy(), 10_000, owner="me", refused={}
    ).decide()
    assert (gone.state, plan.acts, plan.waiting) == ("unknown", [], [])
    assert plan.hopeless == ["pool p has 2 of 3 nodes: none came for one that was replaced"]


def test_a_node_that_vanishes_after_something_was_done_to_it_is_told(azure, repair, books):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(3)
    gone = node_ids(azure)[0]
    with AzureBatchNodeHook("official", retries=0) as hook:
        mended = Repair(azure.pool_id, RepairPolicy(), owner="me")
        drive(hook, azure.pool_id, mended.look(hook.service_time))
        azure.emulator.account.remove_node(azure.pool_id, gone)
        azure.pass_time(60)
        progress = drive(hook, azure.pool_id, mended.look(hook.service_time))
    assert progress.stage is Stage.DONE
    assert [(a["node"], a["result"]) for a in progress.actions] == [(gone, "vanished")]


def test_nobody_named_is_nothing_to_do(azure, repair, books):
    azure.emulator.scenario = fails({})
    azure.create(1)
    assert (repair(node_ids=[]).stage, books.done) == (Stage.DONE, [])


@pytest.mark.parametrize("named", [["tvm-1"], ["tvm-1", "tvm-2"], ["x" * 300]])
def test_named_nodes_that_are_not_there_are_told(azure, repair, books, named):
    azure.create(2)
    progress = repair(node_ids=named)
    assert (progress.stage, books.done) == (Stage.FAILED, [])
    assert f"has no node {named[-1][:60]}" in progress.text


def test_those_that_are_there_are_repaired_before_the_missing_one_fails_it(azure, repair, books):
    azure.create(2)
    there = node_ids(azure)[0]
    progress = repair(node_ids=[there, "tvm-9"])
    assert (progress.stage, steps(progress)) == (Stage.FAILED, [("reboot", "helped")])
    assert "has no node tvm-9" in progress.text


def test_a_named_node_that_somebody_takes_away_meanwhile_fails_it(azure, repair, books):
    azure.create(2)
    named = node_ids(azure)[:1]
    repair(looks=1, node_ids=named)
    azure.emulator.account.remove_node(azure.pool_id, named[0])
    progress = repair(node_ids=named)
    assert (progress.stage, steps(progress)) == (Stage.FAILED, [("reboot", "vanished")])


@pytest.mark.parametrize("order", [["reboot"], ["reimage", "replace"]])
def test_every_run_repairs_what_it_names_and_reports_its_own(azure, repair, books, order):
    """Also in the same six hours, and more often than a gate's pool may be repaired."""
    azure.create(2)
    named = node_ids(azure)[:1]
    for number in range(4):
        owner = f"run {number}"
        progress = repair(owner=owner, node_ids=named, policy={"order": order, "max_actions": 1})
        assert (progress.stage, steps(progress)) == (Stage.DONE, [(order[0], "helped")])
        again = repair(owner=owner, node_ids=named, policy={"order": order})
        assert (again.stage, steps(again)) == (Stage.DONE, [(order[0], "helped")]), "once in a run"
    assert len(books.done) == 4


def test_a_run_reports_nothing_that_another_one_did(azure, repair, books):
    azure.emulator.scenario = fails({})
    azure.create(2)
    first = repair(owner="one")
    assert first.stage is Stage.FAILED
    assert len(first.actions) == 6
    other = repair(owner="two")
    assert (other.stage, other.actions) == (Stage.FAILED, ())
    assert steps(repair(owner="one")) == steps(first)


@pytest.mark.parametrize("state", ["creating", "starting", "preempted"])
def test_a_named_node_that_nobody_can_touch_yet_is_waited_for(azure, repair, books, state):
    azure.create(2)
    named = node_ids(azure)[:1]
    if state == "preempted":
        azure.emulator.account.preempt_node(azure.pool_id, named[0], 600.0)
    else:
        azure.emulator.account.mark_node(azure.pool_id, named[0], state)
    progress = repair(node_ids=named, looks=1, policy={"order": ["reboot"]})
    assert progress.stage is Stage.WORKING


def test_what_cannot_be_replaced_in_time_is_told_at_once(azure, repair, books):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(2)
    mended = Repair(azure.pool_id, RepairPolicy.from_json({"order": ["replace"]}), owner="me")
    with AzureBatchNodeHook("official", retries=0) as hook:
        progress = drive(hook, azure.pool_id, mended.look(hook.service_time, seconds_left=120.0))
    assert (progress.stage, books.done) == (Stage.FAILED, [])
    assert "300 seconds have to be left until the timeout, and 120 are" in progress.text


def test_notes_of_a_repair_that_has_ended_are_not_told_again(azure, repair, books):
    azure.emulator.scenario = fails({})
    azure.create(1)
    repair(owner="one")
    from airflow_batchext.hooks._node_requests import replace_metadata
    from airflow_batchext.repair.journal import ITEM, read_journal

    with AzureBatchNodeHook("official") as hook:
        items = [(item["name"], item["value"]) for item in hook.get_pool(azure.pool_id)["metadata"]]
        kept = read_journal(items)
        kept.notes.append("told by one")
        hook.change(replace_metadata(azure.pool_id, [(ITEM, kept.write())]))
    assert repair(owner="two").notes == ()
