"""A repair of a pool on the emulator, through the real SDK: what it does, and what it leaves alone."""

from __future__ import annotations

import pytest

from airflow_batchext.emulator import PoolScenario, Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.hooks._node_requests import replace_metadata, resize_pool
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.repair.requests import ReadWholePool
from airflow_batchext.repair.status import Stage
from tests.repair.conftest import fails, journal, node_ids, targets


def test_a_healthy_pool_is_left_alone_and_nothing_is_written(azure, repair, books):
    azure.create(3)
    azure.emulator.requests.clear()
    progress = repair()
    assert (progress.stage, books.done, progress.actions) == (Stage.DONE, [], ())
    assert {request.method for request in azure.emulator.requests} == {"GET"}


def test_a_failure_of_one_boot_is_mended_by_a_reboot(azure, repair, books):
    azure.emulator.scenario = fails({"node": 1, "boots": "first"})
    azure.create(3)
    before = node_ids(azure)
    progress = repair()
    assert progress.stage is Stage.DONE
    assert [(a["node"], a["step"], a["result"]) for a in progress.actions] == [
        (before[1], "reboot", "helped")
    ]
    assert (books.wrong, node_ids(azure), journal(azure)) == ([], before, None)


def test_a_failure_of_one_machine_is_mended_by_another_machine(azure, repair, books):
    azure.emulator.scenario = fails({"node": 1})
    azure.create(3)
    before = node_ids(azure)
    progress = repair()
    assert progress.stage is Stage.DONE
    assert [(a["step"], a["result"]) for a in progress.actions] == [
        ("reboot", "failed"),
        ("reimage", "failed"),
        ("replace", "helped"),
    ]
    after = node_ids(azure)
    assert (before[1] in after, len(after), targets(azure)) == (False, 3, (3, 0))
    assert (books.wrong, journal(azure)) == ([], None)


@pytest.mark.parametrize(("nodes", "at_once"), [(1, 0.2), (4, 1.0), (12, 1.0)])
def test_a_failure_that_nothing_mends_costs_two_machines_at_most(azure, repair, books, nodes, at_once):
    azure.emulator.scenario = fails({})
    azure.create(nodes)
    progress = repair(policy={"at_once": at_once})
    assert progress.stage is Stage.FAILED
    assert "extension secretext reports ProvisioningState/failed/7" in progress.text
    assert "replace helped none of 2 nodes with this failure" in progress.text
    assert (books.count("replace"), books.count("reboot"), targets(azure)) == (2, 2, (nodes, 0))


def test_a_clear_goes_on_from_what_was_tried_and_ends_at_once(azure, repair, books):
    azure.emulator.scenario = fails({})
    azure.create(2)
    first = repair()
    done = list(books.done)
    again = repair(owner="somebody else", looks=1)
    assert again.stage is first.stage is Stage.FAILED
    assert books.done == done
    assert "did not help" in again.text or "helped none" in again.text


def test_what_was_tried_is_forgotten_after_a_while(azure, repair, books):
    azure.emulator.scenario = fails({})
    azure.create(1)
    repair()
    azure.emulator.scenario = Scenario()
    azure.pass_time(7 * 3600)
    assert repair().stage is Stage.DONE
    assert journal(azure) is None


def test_one_failure_that_helps_goes_on_to_the_others(azure, repair, books):
    azure.emulator.scenario = fails(*({"node": n, "boots": "first"} for n in range(8)))
    azure.create(10)
    progress = repair(policy={"at_once": 0.5})
    assert (progress.stage, books.count("reboot"), books.count("replace")) == (Stage.DONE, 8, 0)
    assert books.wrong == []


def test_a_node_that_runs_tasks_is_waited_for(azure, repair, books):
    azure.emulator.scenario = fails({"node": 0, "boots": "first"})
    azure.create(2)
    azure.emulator.account.mark_node(azure.pool_id, 0, "running")
    progress = repair(looks=5)
    assert (progress.stage, books.done) == (Stage.WORKING, [])
    assert "1 node to be repaired run tasks" in progress.text
    azure.emulator.account.mark_node(azure.pool_id, 0, "idle")
    assert repair().stage is Stage.DONE


def test_a_node_that_runs_tasks_is_mended_if_that_is_asked_for(azure, repair, books):
    books.allowed_running = True
    azure.emulator.scenario = fails({"node": 0, "boots": "first"})
    azure.create(2)
    azure.emulator.account.mark_node(azure.pool_id, 0, "running")
    progress = repair(policy={"include_running": True, "on_tasks": "requeue"})
    assert (progress.stage, books.count("reboot")) == (Stage.DONE, 1)


def test_an_unusable_node_is_replaced_where_a_reboot_is_refused(azure, repair, books):
    azure.create(3)
    azure.emulator.account.mark_node(azure.pool_id, 1, "unusable", code="DiskFull", message="full")
    assert repair(looks=3).stage is Stage.WORKING
    assert books.done == [], "it may recover by itself"
    azure.pass_time(900)
    progress = repair()
    assert progress.stage is Stage.DONE
    assert [(a["for"], a["step"], a["result"]) for a in progress.actions] == [
        ("unusable diskfull", "reboot", "refused"),
        ("unusable diskfull", "reimage", "refused"),
        ("unusable diskfull", "replace", "helped"),
    ]
    assert books.count("replace") == 1


def test_an_extension_that_hangs_is_stuck_only_after_a_while(azure, repair, books):
    azure.emulator.scenario = fails({"node": 0, "outcome": "hang", "code": None, "boots": "first"})
    azure.create(2)
    assert repair().stage is Stage.DONE
    assert books.done == []
    progress = repair(policy={"stuck_after": 200})
    assert (progress.stage, books.count("reboot")) == (Stage.DONE, 1)
    assert books.wrong == []


def test_a_failed_start_task_is_mended(azure, repair, books):
    azure.emulator.scenario = Scenario()
    azure.create(2)
    azure.emulator.account.mark_node(azure.pool_id, 1, "starttaskfailed")
    azure.pass_time(1000)
    assert (repair().stage, books.count("replace")) == (Stage.DONE, 1)


def test_the_nodes_that_were_named_are_replaced_and_once(azure, repair, books):
    azure.create(4)
    named = node_ids(azure)[1:3]
    policy = {"order": ["replace"], "at_once": 1.0}
    progress = repair(node_ids=named, policy=policy)
    assert (progress.stage, sorted(books.done[0][1])) == (Stage.DONE, sorted(named))
    assert len(node_ids(azure)) == 4
    assert not set(named) & set(node_ids(azure))
    assert repair(node_ids=named, policy=policy).stage is Stage.DONE
    assert len(books.done) == 1


def test_a_named_node_is_rebooted_once_also_by_a_retry(azure, repair, books):
    azure.create(2)
    named = node_ids(azure)[:1]
    assert repair(node_ids=named).stage is Stage.DONE
    assert repair(node_ids=named).stage is Stage.DONE
    assert books.done == [("reboot", (named[0],))]


def test_a_dry_run_tells_and_does_nothing(azure, repair, books):
    azure.emulator.scenario = fails({"node": 1})
    azure.create(3)
    azure.emulator.requests.clear()
    progress = repair(dry_run=True, looks=1)
    assert progress.acts == (f"reboot node {node_ids(azure)[1]}",)
    assert books.done == []
    assert {request.method for request in azure.emulator.requests} == {"GET"}


def test_a_share_of_the_pool_is_mended_at_once_and_no_more(azure, repair, books):
    azure.emulator.scenario = fails({"boots": "first"})
    azure.create(10)
    most = 0
    for _ in range(60):
        progress = repair(policy={"at_once": 0.3}, looks=1)
        open_now = sum(action["result"] in ("open", "gone") for action in progress.actions)
        most = max(most, open_now)
        azure.pass_time(30)
        if progress.stage is Stage.DONE:
            break
    assert (progress.stage, most) == (Stage.DONE, 3)


def test_two_repairs_at_once_take_turns(azure, repair, books):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(3)
    repair(owner="one", looks=1)
    other = repair(owner="two", looks=1)
    assert (other.stage, other.acts) == (Stage.WORKING, ())
    assert "is being repaired by one" in other.text
    assert repair(owner="one").stage is Stage.DONE
    assert repair(owner="two").stage is Stage.DONE
    assert (books.count("replace"), targets(azure)) == (1, (3, 0))


def test_who_dies_is_succeeded_when_the_lease_is_over(azure, repair, books):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(3)
    while not books.count("replace"):
        repair(owner="one", looks=1)
        azure.pass_time(30)
    assert targets(azure) == (2, 0)
    azure.pass_time(60)
    assert repair(owner="two", looks=1).acts == ()
    azure.pass_time(1000)
    assert repair(owner="two").stage is Stage.DONE
    assert (books.count("replace"), targets(azure), len(node_ids(azure))) == (1, (3, 0), 3)


def test_a_pool_that_is_changed_meanwhile_is_looked_at_again(azure, repair, books, monkeypatch):
    azure.emulator.scenario = fails({"node": 0, "boots": "first"})
    azure.create(2)
    from airflow_batchext.hooks._drivers import gate

    request_of, raced = gate.request_of, []

    def race(pool_id, ask):
        if not raced and not isinstance(ask, ReadWholePool):
            raced.append(ask)
            with AzureBatchNodeHook("official") as hook:
                hook.change(replace_metadata(pool_id, [("team", "a")]))
        return request_of(pool_id, ask)

    monkeypatch.setattr(gate, "request_of", race)
    first = repair(looks=1)
    assert (first.soon, books.done) == (True, [])
    assert repair().stage is Stage.DONE
    with AzureBatchNodeHook("official") as hook:
        assert hook.get_pool(azure.pool_id)["metadata"] == [{"name": "team", "value": "a"}]


def test_targets_that_somebody_sets_meanwhile_are_left_and_told(azure, repair, books):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(4)
    while not books.count("replace"):
        repair(looks=1)
        azure.pass_time(30)
    azure.pass_time(20)
    with AzureBatchNodeHook("official") as hook:
        hook.change(resize_pool(azure.pool_id, 7, 0))
    progress = repair()
    assert targets(azure) == (7, 0)
    assert "somebody has set the targets" in progress.text
    assert "they were 4 dedicated and 0 low-priority nodes before" in progress.notes[0]


def test_a_pool_that_scales_itself_loses_the_node_and_that_is_told(azure, repair, books):
    azure.emulator.scenario = fails({"node": 0})
    formula = {"formula": "$TargetDedicatedNodes = 3;", "evaluationInterval": "PT5M"}
    azure.create(3, scale={"autoScale": formula})
    progress = repair()
    assert books.count("replace") == 1
    assert progress.stage is Stage.DONE
    assert "scales itself by a formula" in progress.notes[0]


def test_a_pool_whose_nodes_do_not_come_back_is_no_success(azure, repair, books):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(3)
    azure.emulator.scenario = fails({"node": 0}, pools=[PoolScenario(resize_error="AccountCoreQuotaReached")])
    progress = repair()
    assert progress.stage is Stage.FAILED
    assert "AccountCoreQuotaReached" in progress.text
    assert "2 of 3" in progress.text


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "throttle", "retry_after": 30},
        {"action": "error", "status": 503},
        {"action": "error", "status": 500, "performed": True},
        {"action": "drop"},
        {"action": "drop", "performed": True},
        {"action": "garble"},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
@pytest.mark.parametrize("path", ["*/reboot", "*/removenodes", "*/resize", "*/pools/*"])
def test_what_fails_in_between_is_made_good(azure, repair, books, fault, path):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(3)
    method = "PATCH" if path == "*/pools/*" else "POST"
    azure.emulator.faults.add(read_fault({"plane": "data", "path": path, "method": method, **fault}))
    progress = repair()
    azure.emulator.faults.clear()
    assert progress.stage is Stage.DONE
    assert (books.wrong, targets(azure), len(node_ids(azure))) == ([], (3, 0), 3)
    assert books.count("replace") == 1, "never removed twice"
    assert books.count("reboot") <= 2


def test_a_node_that_becomes_ready_before_it_is_taken_away_may_stay(azure, repair, books):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(2)
    refuse = {"path": "*/removenodes", "action": "throttle", "count": 1}
    azure.emulator.faults.add(read_fault(refuse))
    repair(looks=1, policy={"order": ["replace"]})
    azure.emulator.account.set_extension(azure.pool_id, 0, "secretext", outcome="succeed")
    azure.pass_time(120)
    assert repair(policy={"order": ["replace"]}).stage is Stage.DONE
    assert (books.done, targets(azure), journal(azure)) == ([], (2, 0), None)


def test_a_node_that_vanishes_meanwhile_is_forgotten(azure, repair, books):
    azure.emulator.scenario = fails({"node": 0}, {"node": 1})
    azure.create(4)
    repair(looks=1, policy={"at_once": 2})
    azure.emulator.account.remove_node(azure.pool_id, 0)
    progress = repair(policy={"at_once": 2})
    assert progress.stage is Stage.DONE
    assert targets(azure) == (3, 0)
    assert books.wrong == []


def test_a_refused_write_of_the_journal_ends_it_before_anything_is_done(azure, repair, books):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(2)
    refuse = {"method": "PATCH", "action": "error", "status": 400, "code": "InvalidPropertyValue"}
    azure.emulator.faults.add(read_fault(refuse))
    progress = repair()
    azure.emulator.faults.clear()
    assert (progress.stage, books.done) == (Stage.FAILED, [])
    assert "could not be written, so nothing was done" in progress.text


def test_a_journal_that_nobody_understands_is_left_and_told(azure, repair, books):
    azure.emulator.scenario = fails({"node": 0})
    azure.create(2)
    with AzureBatchNodeHook("official") as hook:
        hook.change(replace_metadata(azure.pool_id, [("batchext-repair", "nonsense")]))
    progress = repair()
    assert (progress.stage, books.done) == (Stage.FAILED, [])
    assert "cannot be understood" in progress.text


def test_a_pool_that_is_gone_or_goes_ends_it(azure, repair):
    assert repair().stage is Stage.FAILED
    azure.create(1)
    azure.emulator.account.delete_pool(azure.pool_id)
    progress = repair()
    assert (progress.stage, "is being deleted" in progress.text) == (Stage.FAILED, True)


OWN_FAILED = {"extension": "batchNodeExtension", "outcome": "fail", "code": "1", "message": "actual=403"}
NO_AGENT = "BatchAgentInstallationFailure"


@pytest.mark.parametrize("extensions", [None, []])
def test_an_idle_node_whose_agent_failed_is_mended(azure, repair, books, extensions):
    azure.create(2, extensions=extensions)
    azure.pass_time(3600)
    azure.emulator.account.set_extension(azure.pool_id, 1, **OWN_FAILED)
    before = node_ids(azure)
    progress = repair()
    assert progress.stage is Stage.DONE
    (action,) = progress.actions
    assert (action["node"], action["step"], action["for"]) == (before[1], "reboot", "agent")
    assert action["result"] == "helped"


def test_a_node_that_tells_of_its_missing_agent_while_it_starts_is_replaced(azure, repair, books):
    azure.create(2)
    before = node_ids(azure)
    azure.emulator.account.mark_node(azure.pool_id, 0, "starting", code=NO_AGENT, message="m")
    assert repair(looks=1).stage is Stage.WORKING, "not before broken_after"
    assert books.done == []
    azure.pass_time(3600)
    progress = repair(policy={"order": ["replace"]})
    assert progress.stage is Stage.DONE
    assert before[0] not in node_ids(azure)
    assert [a["for"] for a in progress.actions] == ["agent batchagentinstallationfailure"]


def test_it_is_left_alone_where_the_policy_does_not_pick_unusable_nodes(azure, repair, books):
    azure.create(2)
    azure.emulator.account.set_extension(azure.pool_id, 1, **OWN_FAILED)
    azure.pass_time(3600)
    progress = repair(policy={"pick": ["failed"]})
    assert (progress.stage, books.done) == (Stage.DONE, [])


def test_a_slow_first_boot_is_no_trouble(azure, repair, books):
    azure.emulator.scenario = Scenario.model_validate({"timings": {"starting": 480, "extension": 470}})
    azure.create(2, ready=False)
    azure.pass_time(500)
    assert repair().stage is Stage.DONE
    assert books.done == []


def test_a_reimage_mends_and_the_marks_of_the_boot_before_mislead_nobody(azure, repair, books):
    azure.emulator.scenario = fails({"node": 1, "boots": "first"})
    azure.create(3)
    progress = repair(policy={"order": ["reimage", "replace"]})
    assert progress.stage is Stage.DONE
    assert [(a["step"], a["result"]) for a in progress.actions] == [("reimage", "helped")]
    assert (books.count("reimage"), books.wrong) == (1, [])


def test_a_reimage_that_azure_refuses_counts_as_tried(azure, repair, books):
    azure.emulator.scenario = fails({"node": 1}, answers={"reimage": "refused"})
    azure.create(3)
    progress = repair()
    assert [(a["step"], a["result"]) for a in progress.actions] == [
        ("reboot", "failed"),
        ("reimage", "refused"),
        ("replace", "helped"),
    ]
