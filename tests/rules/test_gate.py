"""The rules of the gate one by one: what closes it, what holds it up, what it tolerates."""

from __future__ import annotations

import json

import pytest

from airflow_batchext.batch.data_plane import (
    REPAIR_ITEM,
    Extension,
    Phase,
    read_extension,
    read_node,
    read_pool,
)
from airflow_batchext.rules.gate import Outcome, Rules, hopeless, judge
from airflow_batchext.rules.nodes import extensions_phase, node_report
from tests import shapes

NOW = 1_800_000_000.0
LONG_AGO = "2026-01-01T00:00:00Z"
QUOTA = [{"code": "AccountCoreQuotaReached", "message": "quota"}]
FAILED = [{"code": "AllocationFailed", "message": "no capacity"}]


def pool(**change):
    return read_pool(shapes.pool(**change))


def report(rules=None, *, state="idle", since=LONG_AGO, first_seen=NOW, phases=(Phase.SUCCEEDED,), name="n1"):
    node = read_node(shapes.node(name, state, stateTransitionTime=since))
    extensions = [
        Extension(f"e{i}", f"e{i}", phase, f"code-{phase.value}", "why") for i, phase in enumerate(phases)
    ]
    names = [extension.name for extension in extensions]
    return node_report(node, rules or Rules(), names, extensions, NOW, first_seen)


def verdict(*reports, rules=None, **change):
    change.setdefault("targetDedicatedNodes", len(reports))
    change.setdefault("currentDedicatedNodes", len(reports))
    return judge(pool(**change), rules or Rules(), {f"n{i}": r for i, r in enumerate(reports)})


GOOD, BAD, BUSY = report(), report(phases=[Phase.FAILED]), report(phases=[Phase.PENDING])


class TestResize:
    short = {"currentDedicatedNodes": 1, "targetDedicatedNodes": 2}

    @pytest.mark.parametrize("errors", [QUOTA, FAILED])
    def test_a_failed_resize_is_hopeless_at_once(self, errors):
        said = hopeless(pool(resizeErrors=errors, **self.short), Rules(), NOW, None)
        assert said.startswith("the resize of pool p1 ended with 1 of 2 nodes: ")

    def test_errors_of_an_older_resize_are_no_reason(self):
        assert not hopeless(pool(resizeErrors=QUOTA), Rules(), NOW, None)
        assert not hopeless(
            pool(resizeErrors=QUOTA, **self.short, allocationState="resizing"), Rules(), NOW, None
        )

    def test_enough_nodes_are_enough(self):
        short = pool(resizeErrors=QUOTA, **self.short)
        assert not hopeless(short, Rules(min_nodes=1), NOW, None)
        assert hopeless(short, Rules(min_nodes=2), NOW, None)

    def test_a_grace_time_is_for_what_may_go_away(self):
        rules = Rules(resize_grace=600)
        for age, gone in ((599, False), (601, True)):
            since = shapes_time(NOW - age)
            short = {**self.short, "allocationStateTransitionTime": since}
            assert bool(hopeless(pool(resizeErrors=FAILED, **short), rules, NOW, None)) is gone
            assert hopeless(pool(resizeErrors=QUOTA, **short), rules, NOW, None), "a quota does not go away"
        unknown = pool(resizeErrors=FAILED, **{**self.short, "allocationStateTransitionTime": None})
        assert not hopeless(unknown, rules, NOW, None)
        assert hopeless(unknown, Rules(), NOW, None), "without a grace time nobody needs to know since when"

    def test_an_autoscale_pool_tries_again_by_itself(self):
        short = {**self.short, "enableAutoScale": True}
        assert not hopeless(pool(resizeErrors=FAILED, **short), Rules(), NOW, None)
        assert hopeless(pool(resizeErrors=QUOTA, **short), Rules(), NOW, None)
        held = verdict(GOOD, resizeErrors=FAILED, **short)
        assert held.outcome is Outcome.WAIT
        assert "AllocationFailed: no capacity" in held.listed()

    def test_numbers_that_are_not_told_are_no_reason_to_fail(self):
        untold = pool(resizeErrors=QUOTA, currentDedicatedNodes=None, currentLowPriorityNodes=None)
        assert not hopeless(untold, Rules(), NOW, None)

    def test_it_can_be_waited_for(self):
        rules = Rules(on_failure="wait")
        assert not hopeless(pool(resizeErrors=QUOTA, **self.short), rules, NOW, None)
        held = verdict(GOOD, rules=rules, resizeErrors=QUOTA, **self.short)
        assert held.outcome is Outcome.WAIT
        assert "AccountCoreQuotaReached: quota" in held.listed()


@pytest.mark.parametrize("rules", [Rules(), Rules(on_failure="wait")])
def test_a_pool_that_goes_or_is_another_one_is_hopeless_in_any_case(rules):
    assert hopeless(pool(state="deleting"), rules, NOW, None) == "pool p1 is being deleted"
    assert "created anew" in hopeless(pool(), rules, NOW, "another time")
    assert not hopeless(pool(), rules, NOW, None)
    assert not hopeless(pool(creationTime=None), rules, NOW, "another time")


class TestNodes:
    @pytest.mark.parametrize("state", ["unusable", "starttaskfailed"])
    def test_a_broken_node_fails_after_its_grace(self, state):
        rules = Rules(node_grace=600)
        for age in (599, 601):
            told = report(rules, state=state, since=shapes_time(NOW - age))
            untold = report(rules, state=state, since="", first_seen=NOW - age)
            ahead = report(rules, state=state, since=shapes_time(NOW + 9999), first_seen=NOW - age)
            for seen in (told, untold, ahead):
                assert bool(seen.failed) is (age > 600)
                assert bool(seen.missing) is (age < 600)
                assert f"is {state}" in (*seen.failed, *seen.missing)[0]

    @pytest.mark.parametrize("state", ["preempted", "rebooting", "unknown", "deallocated", "", "brandnew"])
    def test_other_troubles_are_waited_for_however_long(self, state):
        seen = report(Rules(node_grace=0), state=state)
        assert not seen.failed
        assert seen.missing

    @pytest.mark.parametrize("state", ["preempted", "rebooting", "reimaging"])
    def test_what_a_node_without_a_machine_reports_is_of_the_past(self, state):
        assert not report(state=state, phases=[Phase.FAILED]).failed

    @pytest.mark.parametrize(
        "state", ["creating", "starting", "waitingforstarttask", "idle", "running", "offline"]
    )
    def test_states_with_a_machine_will_do(self, state):
        assert report(state=state).ready

    def test_node_states_may_ask_for_more(self):
        rules = Rules(node_states=frozenset({"idle", "running"}))
        assert report(rules, state="idle").ready
        assert report(rules, state="creating").missing == ("node n1 is creating",)

    def test_every_extension_counts(self):
        assert not report(phases=[Phase.SUCCEEDED, Phase.PENDING]).ready
        mixed = report(phases=[Phase.FAILED, Phase.PENDING])
        assert len(mixed.failed) == len(mixed.missing) == 1
        assert mixed.codes == {"e0": "code-failed", "e1": "code-pending"}


AGENT = "BatchAgentInstallationFailure"
OWN_FAILED = shapes.agent("ProvisioningState/failed/1", instanceView={
    "statuses": [{"code": "ProvisioningState/failed/1", "message": "actual=403 expected=200"}]
})  # fmt: skip
ERROR = [{"code": AGENT, "message": "The batch agent extension provisioning has failed on compute node"}]


def seen(*extensions, rules=None, state="idle", age=3600.0, errors=(), expected=("secretext",)):
    """The report on a node that is in its state for so many seconds, and lists these extensions."""
    node = read_node(shapes.node("n1", state, stateTransitionTime=shapes_time(NOW - age), errors=[*errors]))
    read = [read_extension(body) for body in extensions]
    return node_report(node, rules or Rules(), expected, read, NOW, NOW)


class TestAgent:
    """A node without Batch's agent runs no task, whatever its state and its other extensions say."""

    @pytest.mark.parametrize("state", ["creating", "starting", "waitingforstarttask", "idle", "running"])
    @pytest.mark.parametrize(
        ("own", "errors", "words"),
        [
            (OWN_FAILED, [], ["batchNodeExtension", "failed/1", "actual=403 expected=200"]),
            (shapes.agent(), ERROR, [AGENT, "provisioning has failed"]),
            (OWN_FAILED, ERROR, ["batchNodeExtension", "failed/1", "actual=403", AGENT]),
            (shapes.fresh("batchNodeExtension"), ERROR, [AGENT]),
        ],
        ids=["extension", "error", "both", "error before the extension"],
    )
    def test_each_sign_alone_counts_like_unusable(self, state, own, errors, words):
        for order in ((shapes.recorded(), own), (own, shapes.recorded())):
            for age, over in ((899, False), (901, True)):
                report = seen(*order, state=state, errors=errors, age=age)
                told = report.failed if over else report.missing
                assert [bool(report.failed), bool(report.missing)] == [over, not over]
                assert len(told) == 1, "told once for the node"
                assert all(word in told[0] for word in ("node n1", "will never run a task", *words))
            assert seen(*order, state=state, errors=errors, age=0, rules=Rules(node_grace=0)).failed

    @pytest.mark.parametrize("code", ["DiskFull", "MountConfigurationError", "ApplicationPackageError"])
    def test_other_errors_that_are_documented_as_fatal_do_too(self, code):
        for state in ("starting", "idle"):
            failed = seen(shapes.recorded(), shapes.agent(), state=state, errors=[{"code": code}]).failed
            assert code in failed[0]

    def test_an_unusable_node_tells_its_agents_failure_in_the_same_breath(self):
        report = seen(OWN_FAILED, shapes.recorded(), state="unusable", errors=ERROR)
        assert len(report.failed) == 1
        assert all(w in report.failed[0] for w in ("is unusable", "actual=403", AGENT, "for more than 900"))

    @pytest.mark.parametrize("state", ["preempted", "rebooting", "deallocated", "reimaging", "upgradingos"])
    def test_on_a_node_without_a_machine_they_are_of_the_past(self, state):
        report = seen(OWN_FAILED, state=state, errors=ERROR)
        assert not report.failed
        assert f"is {state}" in report.missing[0]

    def test_a_node_without_a_state_may_be_one_that_leaves(self):
        assert not seen(OWN_FAILED, shapes.recorded(), state="", errors=ERROR).failed

    @pytest.mark.parametrize("state", ["creating", "starting"])
    def test_a_node_that_joins_waits_for_its_agent(self, state):
        report = seen(shapes.recorded(), shapes.agent(""), state=state, age=9e9)
        assert (report.failed, len(report.missing)) == ((), 1)
        assert "extension batchNodeExtension reports Creating" in report.missing[0]

    @pytest.mark.parametrize("state", ["waitingforstarttask", "idle", "running", "offline"])
    def test_a_node_that_has_joined_has_shown_that_its_agent_runs(self, state):
        assert seen(shapes.recorded(), shapes.agent(""), state=state).ready
        named = seen(
            shapes.recorded(), shapes.agent(""), state=state, expected=("secretext", "BATCHnodeextension")
        )
        assert not named.ready, "who names it among the extensions waits for it"

    def test_who_names_it_hears_of_its_failure_once_and_without_grace(self):
        report = seen(OWN_FAILED, expected=("batchNodeExtension",), age=0)
        assert (len(report.failed), report.missing) == (1, ())
        assert "will never" not in report.failed[0]

    def test_another_error_holds_up_a_node_that_joins_and_none_that_has_joined(self):
        odd = [{"code": "SomethingNew", "message": "m"}]
        report = seen(shapes.recorded(), state="starting", errors=odd)
        assert not report.failed
        assert "SomethingNew: m" in report.missing[0]
        assert seen(shapes.recorded(), state="idle", errors=odd).ready

    @pytest.mark.parametrize("state", ["creating", "starting"])
    def test_a_fresh_node_says_nothing_yet(self, state):
        for order in ((shapes.agent(""), shapes.fresh()), (shapes.fresh(), shapes.agent(""))):
            report = seen(*order, state=state, age=540, rules=Rules(node_grace=0))
            assert not report.failed
            assert report.missing
            assert report.codes == {"secretext": "Creating"}

    def test_node_states_do_not_hide_it(self):
        report = seen(
            shapes.recorded(), state="starting", errors=ERROR, rules=Rules(node_states=frozenset({"idle"}))
        )
        assert "will never run a task" in report.failed[0]

    @pytest.mark.parametrize(
        ("state", "own", "phase"),
        [
            ("idle", "ProvisioningState/failed/1", Phase.FAILED),
            ("idle", "", Phase.SUCCEEDED),
            ("starting", "", Phase.PENDING),
            ("starting", "ProvisioningState/succeeded", Phase.SUCCEEDED),
        ],
    )
    def test_how_far_a_node_is_by_its_extensions(self, state, own, phase):
        read = [read_extension(shapes.recorded()), read_extension(shapes.agent(own))]
        assert extensions_phase(state, ("secretext",), read) is phase

    def test_a_pool_without_extensions_needs_its_agents_too(self):
        assert seen(OWN_FAILED, expected=()).failed
        assert seen(shapes.agent(""), expected=(), state="starting").missing
        assert seen(shapes.agent(""), expected=()).ready


class TestTolerance:
    def test_one_failure_closes_the_gate(self):
        closed = verdict(GOOD, BAD)
        assert closed.outcome is Outcome.FAIL
        assert closed.reasons == BAD.failed

    def test_on_failure_wait_holds_it_up_instead(self):
        held = verdict(GOOD, BAD, rules=Rules(on_failure="wait"))
        assert held.outcome is Outcome.WAIT
        assert held.reasons == BAD.failed

    def test_tolerated_failures_neither_close_it_nor_hold_it_up(self):
        two = Rules(max_failed_nodes=2)
        assert verdict(GOOD, BAD, BAD, rules=two).outcome is Outcome.OPEN
        assert verdict(GOOD, BUSY, BAD, BAD, rules=two).outcome is Outcome.WAIT
        closed = verdict(GOOD, BAD, BAD, BAD, rules=two)
        assert closed.outcome is Outcome.FAIL
        assert closed.reasons[0] == "3 nodes failed, 2 may"
        waiting = Rules(max_failed_nodes=1, on_failure="wait")
        assert verdict(GOOD, BAD, rules=waiting).outcome is Outcome.OPEN
        assert verdict(GOOD, BAD, BAD, rules=waiting).outcome is Outcome.WAIT

    def test_refusals_close_it_whatever_else(self):
        lenient = Rules(on_failure="wait", max_failed_nodes=9)
        closed = judge(pool(), lenient, {"n1": GOOD, "n2": GOOD}, refused=["403"])
        assert (closed.outcome, closed.reasons) == (Outcome.FAIL, ("403",))


class TestCounts:
    def test_min_nodes_takes_the_place_of_the_target(self):
        change = {"targetDedicatedNodes": 5, "currentDedicatedNodes": 2}
        assert verdict(GOOD, GOOD, **change).outcome is Outcome.WAIT
        assert verdict(GOOD, GOOD, rules=Rules(min_nodes=2), **change).outcome is Outcome.OPEN
        assert verdict(GOOD, GOOD, rules=Rules(min_nodes=3), **change).outcome is Outcome.WAIT
        assert verdict(GOOD, rules=Rules(min_nodes=3), targetDedicatedNodes=1).outcome is Outcome.WAIT

    @pytest.mark.parametrize(
        ("journal", "opens"),
        [
            ('{"v":1,"targets":[2,1],"lowered":[[1,1],[2,0]]}', False),
            ('{"v":1,"targets":[2,1],"lowered":[[1,1]]}', True),  # these targets are somebody else's
            ('{"v":1,"targets":[2,1],"lowered":"nonsense"}', False),
            ('{"v":1,"targets":[2,0]}', True),
            ('{"v":1}', True),
            ("nonsense", True),
            ('["targets"]', True),
        ],
    )
    def test_nodes_that_a_repair_has_taken_away_are_waited_for(self, journal, opens):
        metadata = [{"name": "team", "value": "x"}, {"name": REPAIR_ITEM, "value": journal}]
        seen = verdict(GOOD, GOOD, metadata=metadata)
        assert (seen.outcome is Outcome.OPEN) is opens
        assert opens or "its target was 3, meanwhile it is 2" in seen.listed()
        assert verdict(GOOD, GOOD, metadata=metadata, rules=Rules(min_nodes=2)).outcome is Outcome.OPEN

    def test_every_node_has_to_be_ready_even_beyond_the_target(self):
        assert verdict(GOOD, BUSY, targetDedicatedNodes=1).outcome is Outcome.WAIT

    def test_low_priority_nodes_count_too(self):
        assert verdict(GOOD, targetLowPriorityNodes=1).outcome is Outcome.WAIT

    def test_an_autoscale_pool_of_none_passes_with_min_nodes_0_and_allow_empty_only(self):
        empty = {"targetDedicatedNodes": 0, "currentDedicatedNodes": 0, "enableAutoScale": True}
        assert verdict(**empty).outcome is Outcome.WAIT
        assert verdict(rules=Rules(min_nodes=1, allow_empty=True), **empty).outcome is Outcome.WAIT
        assert verdict(rules=Rules(allow_empty=True), **empty).outcome is Outcome.WAIT, "not evaluated yet"
        run = {"timestamp": LONG_AGO, "results": "$TargetDedicatedNodes=0"}
        assert verdict(rules=Rules(allow_empty=True), **empty, autoScaleRun=run).outcome is Outcome.OPEN
        assert verdict(**empty, autoScaleRun=run).outcome is Outcome.WAIT


@pytest.mark.parametrize(
    "rules",
    [
        Rules(),
        Rules(("a", "b"), True, 3, frozenset({"idle", "running"}), "wait", 2, 1.5, 2.5),
        Rules(extension_names=("a",), node_states=frozenset({"idle"})),
    ],
)
def test_rules_survive_json(rules):
    assert Rules.from_json(json.loads(json.dumps(rules.to_json()))) == rules


def test_default_rules_are_nothing_to_store():
    assert Rules().to_json() == {}


def shapes_time(seconds):
    from benchmarks.simulation import EPOCH, wire_time

    return wire_time(seconds - EPOCH)
