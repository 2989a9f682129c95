"""What somebody who has read the rules would try: what changes between two reads, or two looks.

Each of these opened a gate early, failed it wrongly, or left it waiting, before the rules were made fewer.
"""

from __future__ import annotations

import json

import pytest

from airflow_batchext.batch.data_plane import REPAIR_ITEM, Phase, read_extension, read_pool
from airflow_batchext.batch.whole_pool import read_whole_pool
from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.gate import RepairingGate
from airflow_batchext.repair.policy import RepairPolicy
from airflow_batchext.repair.requests import ReadWholePool, Remove, Resize, Restart, WriteMetadata
from airflow_batchext.rules.deadline import LATE_LOOK_SECONDS, NEVER, Deadline, Turns
from airflow_batchext.rules.gate import Outcome, Rules, Verdict
from airflow_batchext.rules.reads import TOO_LATE, Problem, ProblemKind, ReadExtensions, ReadNodes
from airflow_batchext.rules.sharing import NEWBORN_SECONDS, OwnPool, Taken
from airflow_batchext.rules.unread import pool_unread
from airflow_batchext.rules.watch import Watch
from tests import shapes
from tests.rules.test_watch import BAD, BUSY, OK, World, big, extension_reads, look

THROTTLED = Problem(ProblemKind.PASSING, "429")
BASE = 1_800_000_000.0


def driven(flow, answer) -> Verdict:
    """Drive a look; the answer is told how many there were before."""
    read, count = next(flow), 0
    while True:
        try:
            read = flow.send(answer(read, count))
        except StopIteration as end:
            return end.value
        count += 1


def at(seconds: float) -> str:
    from benchmarks.simulation import EPOCH, wire_time

    return wire_time(BASE + seconds - EPOCH)


# --- whose a verdict is (1, 11, a cancelled look) ----------------------------------------------------------


@pytest.mark.parametrize("outcome", [Outcome.OPEN, Outcome.FAIL])
@pytest.mark.parametrize(("began", "serves"), [(10.0, False), (20.0, False), (20.1, True)])
def test_another_gates_open_or_fail_is_mine_only_if_its_look_began_after_i_asked(outcome, began, serves):
    taken = Taken(Verdict(outcome), began, is_whole=True)
    for is_due in (False, True):
        for is_last in (False, True):
            assert taken.serves(since=0.0, asked=20.0, is_due=is_due, is_last=is_last) is serves


def test_that_i_have_to_wait_anybody_may_tell_me_until_the_next_look_is_due_but_not_at_my_last_one():
    taken = Taken(Verdict(Outcome.WAIT), 10.0, is_whole=False)
    assert taken.serves(since=0.0, asked=20.0, is_due=False, is_last=False)
    assert not taken.serves(since=0.0, asked=20.0, is_due=True, is_last=False)
    assert not taken.serves(since=0.0, asked=20.0, is_due=False, is_last=True)
    assert not taken.serves(since=11.0, asked=20.0, is_due=False, is_last=False), "older than the gate"
    assert not taken.serves(since=0.0, asked=5.0, is_due=False, is_last=True), "a glance is no last look"


def test_what_a_look_cut_short_has_come_to_is_nobody_elses():
    taken = Taken(Verdict(Outcome.WAIT, cut=True), 30.0, is_whole=True)
    assert not taken.serves(since=0.0, asked=20.0, is_due=False, is_last=False)


def test_a_pool_created_anew_fails_the_gate_that_was_set_on_the_old_one_and_no_other():
    watch, world = Watch("p1", follows=True), World(codes={"n1": BUSY})
    first, second = OwnPool(), OwnPool()
    assert first.judge(look(world, watch), 0.0).outcome is Outcome.WAIT
    world.pool, world.codes = shapes.pool(creationTime="later"), {}
    seen = look(world, watch, now=1e9 + 30)
    assert second.judge(seen, 30.0).outcome is Outcome.OPEN
    failed = first.judge(seen, 30.0)
    assert (failed.outcome, "created anew" in failed.listed(), failed.nodes) == (Outcome.FAIL, True, {})


def test_nothing_is_remembered_of_the_nodes_of_another_pool():
    watch, world = Watch("p1", follows=True), World(codes={"n2": BUSY})
    look(world, watch)
    world.pool, world.codes = shapes.pool(creationTime="later"), {"n1": BUSY}
    assert "node n1" in look(world, watch, now=1e9 + 30).listed()


def test_a_pool_that_nobody_has_seen_may_be_one_that_is_not_shown_yet():
    """A 404 of the data plane just after the PUT: whether Azure does that is not known."""
    missing = pool_unread(Problem(ProblemKind.MISSING, "404"), "p1")
    assert missing.outcome is Outcome.FAIL
    own = OwnPool(set_at=100.0)
    assert own.judge(missing, 101.0).outcome is Outcome.WAIT
    assert own.judge(missing, 100.0 + NEWBORN_SECONDS).outcome is Outcome.FAIL
    assert own.judge(missing, 101.0, is_last=True).outcome is Outcome.FAIL
    assert OwnPool("known", 100.0).judge(missing, 101.0).outcome is Outcome.FAIL, "it was there"


# --- how old what is remembered may be (2, 8) --------------------------------------------------------------


@pytest.mark.parametrize(("max_age", "passed", "outcome"), [
    (300.0, 400.0, Outcome.FAIL), (50.0, 100.0, Outcome.FAIL), (0.0, 1.0, Outcome.FAIL),
    (300.0, 100.0, Outcome.OPEN), (1000.0, 900.0, Outcome.OPEN),
])  # fmt: skip
def test_before_it_opens_what_was_read_too_long_ago_is_read_once_more(max_age, passed, outcome):
    watch, world = Watch("p1", Rules(max_age=max_age)), World(codes={"n2": BUSY})
    look(world, watch, now=1e9)
    world.codes = {"n1": BAD}  # it has failed since, on the same boot
    verdict = look(world, watch, now=1e9 + passed)
    assert verdict.outcome is outcome
    if outcome is Outcome.OPEN:
        assert verdict.report()["oldest_reading_seconds"] == passed


def test_a_node_that_upgrades_itself_is_read_once_more_though_the_pool_does_not_list_the_extension():
    watch = Watch("p1", Rules(extension_names=("secretext",)))
    world = World(pool=shapes.pool(virtualMachineConfiguration={}), codes={"n2": BUSY})

    def extensions(node_id):
        body = shapes.recorded(code=world.codes.get(node_id, OK))
        body["vmExtension"]["enableAutomaticUpgrade"] = True
        return (read_extension(body),)

    world.extensions = extensions
    look(world, watch, now=1e9)
    world.codes = {"n1": BUSY}
    assert look(world, watch, now=1e9 + 30).outcome is Outcome.WAIT


@pytest.mark.parametrize("count", [3, 20, 60])
@pytest.mark.parametrize("every", [20, 7])
def test_upgrades_with_some_reads_throttled_open_all_the_same(count, every):
    machine = {"extensions": [{"name": "secretext", "enableAutomaticUpgrade": True}]}
    watch, world = Watch("p1"), big(count, {})
    world.pool["virtualMachineConfiguration"] = machine
    reads = iter(range(10_000))
    plain = world.extensions
    world.extensions = lambda node_id: THROTTLED if next(reads) % every == every - 1 else plain(node_id)
    outcomes = [look(world, watch, now=1e9 + 30 * i, whole=False).outcome for i in range(12)]
    assert Outcome.OPEN in outcomes


def test_a_success_that_cannot_be_renewed_counts_until_it_is_too_old_and_then_that_is_told():
    watch, world = Watch("p1"), World(codes={"n2": BUSY})
    look(world, watch, now=1e9)
    world.codes = {"n1": THROTTLED}
    verdict = look(world, watch, now=1e9 + 301)
    assert verdict.outcome is Outcome.WAIT
    assert "extensions of node n1 could not be read: 429" in verdict.listed()
    world.codes = {}
    assert look(world, watch, now=1e9 + 331).outcome is Outcome.OPEN


@pytest.mark.parametrize("kind", [ProblemKind.MISSING, ProblemKind.CONFLICT])
def test_a_node_that_is_not_there_any_more_is_not_remembered_as_ready(kind):
    machine = {"extensions": [{"name": "secretext", "enableAutomaticUpgrade": True}]}
    watch, world = Watch("p1"), World(pool=shapes.pool(virtualMachineConfiguration=machine))
    world.codes = {"n2": BUSY}
    look(world, watch, now=1e9)
    world.codes = {"n1": Problem(kind, "404")}
    assert look(world, watch, now=1e9 + 30).outcome is Outcome.WAIT


def test_a_pool_that_takes_longer_to_read_than_anything_may_be_old_opens():
    """In a look that long its own readings count, however old they are in the end."""
    now = [1e9]
    watch, world = Watch("p1", Rules(max_age=60.0)), big(100, {})

    def answer(read, _):
        now[0] += 40.0
        return world.answer(read)

    verdict = driven(watch.look(lambda: now[0], whole=True), answer)
    assert verdict.outcome is Outcome.OPEN
    assert verdict.age > 60.0, "and that is told"
    assert len(extension_reads(world)) == 100


@pytest.mark.parametrize("seconds", [10.0, 30.0, 60.0])
def test_what_grows_too_old_while_the_last_reads_are_made_is_read_once_more(seconds):
    now, watch, world = [1e9], Watch("p1"), World(codes={"n2": BUSY})
    look(world, watch, now=now[0])
    now[0], world.codes, world.asked = 1e9 + 250.0, {}, []

    def answer(read, count):
        now[0] += seconds if count >= 3 else 0.0  # n2, pool, nodes; then the nodes and the pool once more
        return world.answer(read)

    verdict = driven(watch.look(lambda: now[0]), answer)
    assert verdict.outcome is Outcome.OPEN
    assert not verdict.is_older(300.0)
    assert ("n1" in extension_reads(world)) is (seconds > 25.0)


def test_what_a_node_said_before_it_booted_again_is_no_reading_that_an_opening_rests_on():
    watch, world = Watch("p1", Rules(max_failed_nodes=1)), World(codes={"n2": BUSY})
    world.nodes[0].update(lastBootTime=at(0), stateTransitionTime=at(0))
    look(world, watch, now=BASE + 100)
    fatal = [{"code": "DiskFull", "message": "m"}]
    world.nodes[0].update(state="starting", stateTransitionTime=at(200), errors=fatal)
    look(world, watch, now=BASE + 300)
    world.codes = {}
    verdict = look(world, watch, now=BASE + 1200)
    assert verdict.outcome is Outcome.OPEN
    assert verdict.nodes["n1"].read_at is None
    assert verdict.age == 0.0


@pytest.mark.parametrize("tolerated", [1, 2, 3])
def test_a_failure_of_an_earlier_look_is_read_once_more_before_the_gate_fails_for_it(tolerated):
    watch = Watch("p1", Rules(max_failed_nodes=tolerated))
    before = {f"n{9 + i}": BAD for i in range(tolerated)}
    hang = {"n1": BUSY, "n2": BUSY}
    world = big(20, {"n0": BUSY, **hang, **before})
    assert look(world, watch, now=1e9).outcome is Outcome.WAIT
    world.codes = {"n0": BAD, **hang}  # those that had failed were mended, another one failed
    assert look(world, watch, now=1e9 + 30, whole=False).outcome is Outcome.WAIT


# --- how many nodes are enough (3, 4, 5) -------------------------------------------------------------------


@pytest.mark.parametrize("rules", [
    Rules(max_failed_nodes=2), Rules(max_failed_nodes=9), Rules(max_failed_nodes=2, min_nodes=2),
    Rules(max_failed_nodes=2, min_nodes=1), Rules(max_failed_nodes=2, min_nodes=0),
    Rules(max_failed_nodes=2, on_failure="wait"), Rules(max_failed_nodes=2, min_nodes=0, allow_empty=True),
])  # fmt: skip
def test_no_gate_opens_without_a_node_that_is_ready(rules):
    verdict = look(World(codes={"n1": BAD, "n2": BAD}), Watch("p1", rules))
    assert verdict.outcome is (Outcome.WAIT if rules.on_failure == "wait" else Outcome.FAIL)
    assert "extension secretext reports ProvisioningState/failed/7" in verdict.listed()


@pytest.mark.parametrize(
    ("min_nodes", "bad", "opens"), [(1, 2, False), (1, 1, True), (2, 1, False), (0, 2, False)]
)
def test_nor_where_the_pool_does_not_say_how_many_it_wants(min_nodes, bad, opens):
    world = World(pool=shapes.pool(targetDedicatedNodes=None, targetLowPriorityNodes=None))
    world.codes = {f"n{i + 1}": BAD for i in range(bad)}
    verdict = look(world, Watch("p1", Rules(max_failed_nodes=2, min_nodes=min_nodes)))
    assert (verdict.outcome is Outcome.OPEN) is opens


def test_min_nodes_counts_nodes_that_are_ready():
    world = World(codes={"n2": BAD})
    assert look(world, Watch("p1", Rules(max_failed_nodes=1))).outcome is Outcome.OPEN
    assert look(world, Watch("p1", Rules(max_failed_nodes=1, min_nodes=1))).outcome is Outcome.OPEN
    short = look(world, Watch("p1", Rules(max_failed_nodes=1, min_nodes=2)))
    assert short.outcome is Outcome.FAIL
    assert "or too few are left" in short.listed()
    waits = look(world, Watch("p1", Rules(max_failed_nodes=1, min_nodes=2, on_failure="wait")))
    assert waits.outcome is Outcome.WAIT
    growing = World(pool=shapes.pool(targetDedicatedNodes=3, allocationState="resizing"), codes={"n2": BAD})
    rules = Rules(max_failed_nodes=1, min_nodes=2)
    assert look(growing, Watch("p1", rules)).outcome is Outcome.WAIT, "another one is still to come"


@pytest.mark.parametrize("state", ["preempted", "rebooting", "reimaging", "deallocated", "unknown"])
def test_a_node_without_a_machine_is_never_ready_whatever_states_are_asked_for(state):
    rules = Rules(node_states=frozenset({"idle", state}))
    world = World(nodes=[shapes.node("n1"), shapes.node("n2", state)])
    assert look(world, Watch("p1", rules)).outcome is Outcome.WAIT


@pytest.mark.parametrize(("wanted", "has", "opens"), [
    ((2, 2), (4, 0), False), ((2, 2), (3, 1), False), ((2, 2), (2, 2), True), ((0, 2), (2, 0), False),
    ((4, 0), (2, 2), False), ((1, 1), (2, 2), True),
])  # fmt: skip
def test_nodes_of_one_kind_do_not_stand_for_those_of_the_other(wanted, has, opens):
    nodes = [shapes.node(f"n{i}", isDedicated=i < has[0]) for i in range(sum(has))]
    pool = shapes.pool(targetDedicatedNodes=wanted[0], targetLowPriorityNodes=wanted[1])
    verdict = look(World(pool=pool, nodes=nodes))
    assert (verdict.outcome is Outcome.OPEN) is opens
    assert opens or "are not there yet" in verdict.listed()
    enough = look(World(pool=pool, nodes=nodes), Watch("p1", Rules(min_nodes=2)))
    assert enough.outcome is Outcome.OPEN, "min_nodes does not tell them apart"


def test_a_target_that_is_raised_between_the_last_two_reads_does_not_open_the_gate():
    def after(world, count):
        if isinstance(world.asked[-1], ReadNodes) and count > 2:
            world.pool.update(targetDedicatedNodes=3)

    assert "changed while" in look(World(after=after)).listed()


@pytest.mark.parametrize(
    "run", [None, {}, {"timestamp": "x", "error": {"code": "EvalError", "message": "m"}}]
)
@pytest.mark.parametrize(("target", "nodes"), [(0, []), (2, [shapes.node("n1"), shapes.node("n2")])])
def test_an_autoscale_pool_whose_formula_was_not_evaluated_is_waited_for(run, target, nodes):
    pool = shapes.pool(enableAutoScale=True, targetDedicatedNodes=target, autoScaleRun=run)
    verdict = look(World(pool=pool, nodes=nodes), Watch("p1", Rules(allow_empty=True)))
    assert verdict.outcome is Outcome.WAIT
    assert "the autoscale formula of pool p1" in verdict.listed()
    enough = look(World(pool=pool, nodes=nodes), Watch("p1", Rules(min_nodes=2)))
    assert (enough.outcome is Outcome.OPEN) is bool(nodes), "who says how many are enough need not wait"
    pool["autoScaleRun"] = {"timestamp": "x", "results": "$TargetDedicatedNodes=2"}
    assert look(World(pool=pool, nodes=nodes), Watch("p1", Rules(allow_empty=True))).outcome is Outcome.OPEN


# --- one broken node, and what it says (9, 12, 13, a stale failure) ----------------------------------------


@pytest.mark.parametrize("count", [17, 40, 300])
@pytest.mark.parametrize("answer", [BUSY, BAD, Problem(ProblemKind.MISSING, "404")])
def test_one_broken_node_that_may_fail_keeps_no_other_unread(count, answer):
    world = big(count, {"n0": answer})
    world.nodes[0].update(state="unusable", stateTransitionTime=at(0))
    verdict = look(world, Watch("p1", Rules(max_failed_nodes=1)), now=BASE + 1000, whole=False)
    assert verdict.outcome is Outcome.OPEN


@pytest.mark.parametrize("broken_first", [True, False])
def test_nor_does_a_glance_take_it_for_what_keeps_the_gate_closed(broken_first):
    broken, other = ("n0", "n1") if broken_first else ("n1", "n0")
    watch, world = Watch("p1", Rules(max_failed_nodes=1)), big(3, {broken: BUSY, other: BUSY})
    world.nodes[int(broken[1])].update(state="unusable", stateTransitionTime=at(0))
    assert look(world, watch, now=BASE + 1000).outcome is Outcome.WAIT
    world.codes = {broken: BUSY}
    assert look(world, watch, now=BASE + 1030, whole=False).outcome is Outcome.OPEN


@pytest.mark.parametrize("provisioning", ["Updating", "Creating", "Succeeded"])
def test_a_failure_that_the_provisioning_state_contradicts_is_pending(provisioning):
    status = shapes.status("ProvisioningState/failed/7")
    assert read_extension(shapes.reporting(status, provisioning=provisioning)).phase is Phase.PENDING
    for agreed in (None, "Failed", "Canceled"):
        assert read_extension(shapes.reporting(status, provisioning=agreed)).phase is Phase.FAILED


@pytest.mark.parametrize("grace", [900.0, 300.0])
def test_a_node_that_recovered_between_two_looks_has_its_whole_grace_again(grace):
    watch = Watch("p1", Rules(node_grace=grace))
    world = World(nodes=[shapes.node("n1"), shapes.node("n2", "unusable", stateTransitionTime=at(0))])
    assert look(world, watch, now=BASE + 10).outcome is Outcome.WAIT
    world.nodes[1]["stateTransitionTime"] = at(grace + 10)  # it was idle for a while in between
    assert look(world, watch, now=BASE + grace + 15).outcome is Outcome.WAIT
    world.nodes[1]["stateTransitionTime"] = ""  # nor does it matter whether the service says since when
    assert look(world, watch, now=BASE + grace + 20).outcome is Outcome.WAIT
    assert look(world, watch, now=BASE + 2 * grace + 25).outcome is Outcome.FAIL


def test_a_node_that_boots_again_tells_of_the_boot_before():
    booted, since = at(0), at(500)
    for code in (OK, BAD):
        again = shapes.node("n2", "starting", booted, stateTransitionTime=since)
        verdict = look(World(nodes=[shapes.node("n1"), again], codes={"n2": code}), now=BASE + 510)
        assert verdict.outcome is Outcome.WAIT
        assert "has not told of its new boot yet" in verdict.listed()
    first = shapes.node("n2", "starting", None, stateTransitionTime=since)
    assert look(World(nodes=[shapes.node("n1"), first]), now=BASE + 510).outcome is Outcome.OPEN


def test_a_stale_failure_right_after_a_reboot_does_not_fail_the_gate():
    watch = Watch("p1")
    world = World(nodes=[shapes.node("n1"), shapes.node("n2", "rebooting", at(0))], codes={"n2": BAD})
    assert look(world, watch, now=BASE + 100).outcome is Outcome.WAIT
    world.nodes[1] = shapes.node("n2", "idle", at(110))
    verdict = look(world, watch, now=BASE + 120)
    assert verdict.outcome is Outcome.WAIT
    assert "may be of the boot before" in verdict.listed()
    assert look(world, watch, now=BASE + 240).outcome is Outcome.FAIL, "it has failed on this boot too"


# --- repairs (6, 7, 10, a read that fails in the end) ------------------------------------------------------


@pytest.mark.parametrize(("targets", "lowered", "pool", "holds"), [
    ([3, 0], [[2, 0]], (2, 0), True),
    ([3, 0], [[2, 0]], (5, 0), False),
    ([3, 0], [[2, 0]], (1, 0), False),
    ([3, 1], [[2, 1], [3, 0]], (3, 0), True),
    ([2, 1], [[1, 1]], (2, 0), False),
])  # fmt: skip
def test_a_dead_repair_holds_no_gate_once_somebody_has_resized_the_pool(targets, lowered, pool, holds):
    journal = json.dumps({"v": 1, "targets": targets, "lowered": lowered, "until": BASE})
    body = shapes.pool(
        targetDedicatedNodes=pool[0],
        targetLowPriorityNodes=pool[1],
        metadata=[{"name": REPAIR_ITEM, "value": journal}],
        allocationStateTransitionTime=at(-60),
    )
    assert (read_pool(body).repair_target is not None) is holds
    # To the very targets to which the repair had lowered them, but after it was dead.
    assert read_pool({**body, "allocationStateTransitionTime": at(60)}).repair_target is None


class Healed:
    """A pool that a gate with a repair looks at; notes what is done to it."""

    def __init__(self, world: World, rules: Rules, *, deadline: Deadline = NEVER) -> None:
        self.world, self.done, self.metadata = world, [], []
        policy = RepairPolicy(settle=0.0, order=("reboot",), at_once=1.0)
        repair = Repair("p1", policy, owner="me", keeps_journal=True)
        self.gate = RepairingGate(Watch("p1", rules), repair, deadline=deadline)
        self.unreadable, self.now, self.seconds = False, 0.0, 0.0

    def look(self, now: float, *, whole: bool = False) -> Verdict:
        self.now = now
        flow = self.gate.look(lambda: self.now, whole=whole)
        wanted = next(flow)
        while True:
            try:
                wanted = flow.send(self.answer(wanted))
            except StopIteration as end:
                return end.value

    def answer(self, wanted):
        match wanted:
            case ReadWholePool():
                self.now += self.seconds
                items = [{"name": name, "value": value} for name, value in self.metadata]
                body = {**self.world.pool, "metadata": items, "eTag": "e"}
                return THROTTLED if self.unreadable else read_whole_pool(body)
            case WriteMetadata(items, _):
                self.metadata = list(items)
                return "e"
            case Restart() | Remove() | Resize():
                self.done.append(wanted)
                return ""
            case _:
                return self.world.answer(wanted)


def broken(count: int, bad: dict[str, str]) -> World:
    world = big(count, bad)
    for node in world.nodes:
        node.update(lastBootTime=at(-900), stateTransitionTime=at(-800))
    return world


@pytest.mark.parametrize("whole", [True, False])
def test_the_last_look_begins_no_repair(whole):
    healed = Healed(broken(3, {"n1": BAD}), Rules())
    verdict = healed.look(BASE, whole=whole)
    assert bool(healed.done) is not whole
    assert bool(healed.metadata) is not whole, "nor does it leave a journal"
    assert verdict.outcome is (Outcome.FAIL if whole else Outcome.WAIT)


def test_only_as_many_nodes_are_mended_as_failed_beyond_what_may():
    healed = Healed(broken(4, {"n0": BAD, "n1": BAD}), Rules(max_failed_nodes=1))
    assert healed.look(BASE).outcome is Outcome.WAIT
    assert len(healed.done) == 1
    repaired = int(healed.done[0].node_id[1])
    healed.world.codes = {f"n{1 - repaired}": BAD}
    healed.world.nodes[repaired].update(lastBootTime=at(30))
    healed.world.nodes[1 - repaired].update(state="running", runningTasksCount=1)
    assert healed.look(BASE + 60).outcome is Outcome.OPEN, "the other one may stay as it is, with its tasks"
    assert len(healed.done) == 1


def test_a_gate_does_not_open_while_nobody_can_tell_whether_the_pool_is_being_repaired():
    healed = Healed(broken(2, {}), Rules())
    healed.unreadable = True
    assert healed.look(BASE).outcome is Outcome.WAIT
    healed.unreadable = False
    assert healed.look(BASE + 30).outcome is Outcome.OPEN


@pytest.mark.parametrize(("seconds", "opens"), [(100.0, True), (180.0, True), (250.0, False), (400.0, False)])
def test_what_was_read_long_before_it_is_known_whether_the_pool_is_being_repaired_is_read_again(
    seconds, opens
):
    """The explorer's find: asking for that was the last read, and took longer than anything may be old."""
    healed = Healed(broken(3, {}), Rules())
    healed.world.codes = {"n1": BUSY}
    assert healed.look(BASE).outcome is Outcome.WAIT
    healed.world.codes, healed.seconds = {}, seconds
    verdict = healed.look(BASE + 100)
    assert (verdict.outcome is Outcome.OPEN) is opens
    assert verdict.age == 100 + seconds
    healed.seconds = 0.0
    assert healed.look(BASE + 1000).outcome is Outcome.OPEN


def test_what_was_read_in_the_look_that_opens_counts_however_long_it_takes():
    healed = Healed(broken(3, {}), Rules(max_age=50.0))
    healed.seconds = 100.0
    assert healed.look(BASE).outcome is Outcome.OPEN


# --- the one deadline (14, 15) -----------------------------------------------------------------------------


@pytest.mark.parametrize("deadline", [0.5, 3.0, 100.0, 3600.0])
def test_every_pause_is_cut_so_that_the_last_look_is_over_by_the_deadline(deadline):
    now = [0.0]
    turns = Turns(Deadline(deadline, lambda: now[0]))
    assert (turns.pause(0.1), turns.is_last) == (0.1, False)
    assert turns.pause(4000.0) == deadline - 0.25, "a loaded machine wakes late"
    turns.took(deadline / 10)
    turns.took(deadline / 20)
    longest = max(0.25, deadline / 10)
    assert turns.pause(4000.0) == pytest.approx(deadline - longest)
    now[0] = deadline - longest
    assert (turns.pause(30.0), turns.is_last) == (0.0, True)


@pytest.mark.parametrize(("slow", "quick"), [(400.0, 1.0), (90.0, 0.1), (700.0, 600.0)])
def test_a_last_look_that_took_less_than_was_feared_was_not_the_last(slow, quick):
    now = [0.0]
    turns = Turns(Deadline(1200.0, lambda: now[0]))
    turns.took(slow)
    now[0] = 1200.0 - slow
    assert turns.is_last
    now[0] += quick
    turns.took(quick, was_whole=True)
    assert turns.is_last is (1200.0 - now[0] <= quick)
    assert turns.pause(4000.0) == pytest.approx(max(0.0, 1200.0 - now[0] - max(quick, 0.25)))
    turns.took(3 * quick)
    turns.took(0.1)
    assert turns.pause(4000.0) == pytest.approx(max(0.0, 1200.0 - now[0] - max(3 * quick, 0.25)))


def test_who_comes_after_the_deadline_has_a_look_of_limited_length_and_nobody_else():
    now = [90.0]
    deadline = Deadline(100.0, lambda: now[0])
    turns = Turns(deadline)
    assert (deadline.left, deadline.or_late(), turns.limit) == (10.0, deadline, deadline)
    now[0] = 150.0
    assert (deadline.left, deadline.has_passed) == (0.0, True)
    assert turns.limit.has_passed, "it was in time, and has had its looks"
    assert Turns(deadline).limit.at == 150.0 + LATE_LOOK_SECONDS


@pytest.mark.parametrize("after", range(6))
def test_a_look_that_the_deadline_cuts_never_opens_and_says_so(after):
    world, watch = World(), Watch("p1")
    flow = watch.look(lambda: BASE, whole=True)
    verdict = driven(flow, lambda read, count: world.answer(read) if count < after else TOO_LATE)
    assert (verdict.outcome is Outcome.OPEN) is (after == 5), "pool, nodes, extensions, nodes, pool"
    assert verdict.cut is (after < 5)


def test_a_verdict_says_when_its_first_read_began_and_its_last_ended():
    now, world = [BASE], World()

    def answer(read, _):
        now[0] += 1.0
        return world.answer(read)

    verdict = driven(Watch("p1").look(lambda: now[0], whole=True), answer)
    assert (verdict.began, verdict.ended, verdict.age) == (BASE, BASE + 5, 5.0)


@pytest.mark.parametrize("back", [1.0, 30.0])
def test_a_clock_that_goes_back_within_a_look_makes_no_reading_younger(back):
    """The service tells its time in whole seconds, and each of its machines has a clock of its own."""
    now, watch, world = [BASE], Watch("p1"), World(codes={"n2": BUSY})
    look(world, watch, now=BASE - 100)
    world.codes = {}

    def answer(read, count):
        now[0] = BASE - back * (count % 2 == 0)
        return world.answer(read)

    verdict = driven(watch.look(lambda: now[0]), answer)
    assert verdict.outcome is Outcome.OPEN
    assert (verdict.began, verdict.ended, verdict.age) == (BASE, BASE, 100.0)


def test_an_oldest_reading_is_that_of_a_remembered_node():
    watch, world = Watch("p1"), World(codes={"n2": BUSY})
    look(world, watch, now=1e9)
    assert [r.node_ids for r in world.asked if isinstance(r, ReadExtensions)] == [("n1", "n2")]
    world.codes = {}
    assert look(world, watch, now=1e9 + 120).age == 120.0
