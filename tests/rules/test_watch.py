"""The rules of the gate, rule by rule and over random histories, without a socket or a clock."""

from __future__ import annotations

from collections.abc import Callable, Generator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from airflow_batchext.batch.data_plane import CARRYING_STATES, read_extension, read_node, read_pool
from airflow_batchext.rules.gate import Outcome, Rules, Verdict
from airflow_batchext.rules.reads import Problem, ProblemKind, ReadExtensions, ReadNodes, ReadPool
from airflow_batchext.rules.watch import Watch
from tests import shapes
from tests.examples import examples

OK = "ProvisioningState/succeeded"
BUSY = "ProvisioningState/transitioning"
BAD = "ProvisioningState/failed/7"


@dataclass
class World:
    """A pool that answers a watch, and counts what it is asked."""

    pool: dict | Problem = field(default_factory=shapes.pool)
    nodes: list[dict] | Problem = field(default_factory=lambda: [shapes.node("n1"), shapes.node("n2")])
    codes: dict[str, str | Problem] = field(default_factory=dict)
    asked: list[object] = field(default_factory=list)
    after: Callable[[World, int], None] = lambda world, count: None

    def answer(self, read):
        self.asked.append(read)
        try:
            match read:
                case ReadPool():
                    return self.pool if isinstance(self.pool, Problem) else read_pool(self.pool)
                case ReadNodes():
                    return self.nodes if isinstance(self.nodes, Problem) else [*map(read_node, self.nodes)]
                case ReadExtensions(ids):
                    return {node_id: self.extensions(node_id) for node_id in ids}
        finally:
            self.after(self, len(self.asked))

    def extensions(self, node_id):
        code = self.codes.get(node_id, OK)
        if isinstance(code, Problem):
            return code
        return (read_extension(shapes.specified()), read_extension(shapes.recorded(code=code)))


def look(world: World, watch: Watch | None = None, now: float = 1e9, *, whole: bool = True) -> Verdict:
    return play(world, (watch or Watch("p1")).look(lambda: now, whole=whole))


def play(world: World, flow: Generator) -> Verdict:
    read = next(flow)
    while True:
        try:
            read = flow.send(world.answer(read))
        except StopIteration as end:
            return end.value


def test_opens_when_every_node_has_every_extension():
    verdict = look(World())
    assert verdict.outcome is Outcome.OPEN
    assert verdict.report() == {
        "pool_id": "p1",
        "pool_created": "2026-01-01T00:00:00.0000000Z",
        "outcome": "open",
        "extensions": ["secretext"],
        "nodes": {name: {"state": "idle", "extensions": {"secretext": OK}} for name in ("n1", "n2")},
        "oldest_reading_seconds": 0.0,
    }
    assert verdict.summary == "2 of 2 nodes ready"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"codes": {"n2": BUSY}}, "node n2 (idle): extension secretext reports ProvisioningState/transi"),
        ({"nodes": [shapes.node("n1")]}, "1 of 2 nodes are not there yet"),
        ({"nodes": []}, "2 of 2 nodes are not there yet"),
        ({"pool": shapes.pool(allocationState="resizing")}, "pool p1 is resizing"),
        ({"pool": shapes.pool(allocationState="stopping")}, "pool p1 is stopping"),
        ({"pool": shapes.pool(allocationState=None)}, "in no known allocation state"),
        ({"pool": shapes.pool(state="odd")}, "pool p1 is odd, not active"),
        ({"pool": shapes.pool(targetDedicatedNodes=None, targetLowPriorityNodes=None)}, "does not say how"),
        ({"pool": {}}, "in no known state"),
        ({"pool": shapes.pool(targetDedicatedNodes=0), "nodes": []}, "no nodes and its target is 0"),
        ({"pool": Problem(ProblemKind.PASSING, "503")}, "pool p1 could not be read: 503"),
        ({"nodes": Problem(ProblemKind.MISSING, "404")}, "the node list could not be read: 404"),
        ({"codes": {"n1": Problem(ProblemKind.MISSING, "404")}}, "extensions of node n1 could not be read"),
        ({"nodes": [shapes.node("n1"), shapes.node("n2", "preempted")]}, "node n2 is preempted"),
        ({"nodes": [shapes.node("n1"), shapes.node("n2", "leavingpool")]}, "1 of 2 nodes are not there"),
        ({"nodes": [shapes.node("n1"), {"id": "n2"}]}, "node n2 is in no known state"),
        (
            {"nodes": [shapes.node("n1"), shapes.node("n2", "unusable", errors=[{"code": "DiskFull"}])]},
            "node n2 is unusable (DiskFull: no message)",
        ),
    ],
)
def test_waits_and_says_for_what(change, said):
    verdict = look(World(**change))
    assert verdict.outcome is Outcome.WAIT
    assert said in verdict.listed()
    assert said in verdict.summary


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"codes": {"n2": BAD}},
            "node n2 (idle): extension secretext reports ProvisioningState/failed/7: Plugin enabled",
        ),
        ({"codes": {"n2": BAD}, "pool": shapes.pool(allocationState="resizing")}, "node n2"),
        (
            {"codes": {"n2": BAD}, "nodes": [shapes.node("n1"), shapes.node("n2", "unusable")]},
            "node n2 (unusable): extension secretext reports ProvisioningState/failed/7",
        ),
        ({"pool": shapes.pool(state="Deleting")}, "pool p1 is being deleted"),
        ({"pool": Problem(ProblemKind.MISSING, "404 PoolNotFound")}, "does not exist (any more): 404 Pool"),
        ({"pool": Problem(ProblemKind.REFUSED, "403")}, "403"),
        ({"nodes": Problem(ProblemKind.REFUSED, "401")}, "401"),
        ({"codes": {"n1": Problem(ProblemKind.REFUSED, "403 x")}}, "403 x"),
        (
            {
                "pool": shapes.pool(
                    currentDedicatedNodes=0,
                    resizeErrors=[{"code": "AccountCoreQuotaReached", "message": "m"}],
                ),
                "nodes": [],
            },
            "the resize of pool p1 ended with 0 of 2 nodes: AccountCoreQuotaReached: m",
        ),
    ],
)
def test_fails_at_once_and_says_why(change, said):
    verdict = look(World(**change))
    assert verdict.outcome is Outcome.FAIL
    assert said in verdict.listed()


def test_a_pool_created_anew_is_another_pool():
    watch, world = Watch("p1"), World(codes={"n1": BUSY})
    assert look(world, watch).outcome is Outcome.WAIT
    world.pool = shapes.pool(creationTime="later")
    verdict = look(world, watch)
    assert verdict.outcome is Outcome.FAIL
    assert "created anew" in verdict.listed()
    assert look(World(), Watch("p1", pool_created="before")).outcome is Outcome.FAIL


def test_an_empty_pool_passes_only_when_told_to():
    empty = World(pool=shapes.pool(targetDedicatedNodes=0), nodes=[])
    assert look(empty).outcome is Outcome.WAIT
    assert look(empty, Watch("p1", Rules(allow_empty=True))).outcome is Outcome.OPEN
    growing = World(pool=shapes.pool(), nodes=[])
    assert look(growing, Watch("p1", Rules(allow_empty=True))).outcome is Outcome.WAIT


@given(
    skew=st.floats(-1e5, 1e5),
    unusable_for=st.floats(0, 2000),
    grace=st.floats(0, 2000),
)
def test_a_clock_of_our_own_that_is_wrong_moves_no_grace_before_the_service_has_answered(
    skew, unusable_for, grace
):
    now = 1_790_000_000.0
    since = datetime.fromtimestamp(now - unusable_for, UTC).isoformat().replace("+00:00", "Z")
    node = {**shapes.node("n1"), "state": "unusable", "stateTransitionTime": since}
    world = World(nodes=[node, shapes.node("n2")])
    flow = Watch("p1", Rules(node_grace=grace)).look(lambda: now if world.asked else now + skew)
    verdict = play(world, flow)
    assume(abs(unusable_for - grace) > 0.01)
    assert verdict.outcome is (Outcome.FAIL if unusable_for > grace else Outcome.WAIT)


def test_names_decide_which_extensions_count():
    world = World(codes={"n1": BAD, "n2": BAD})
    assert look(world, Watch("p1", Rules(extension_names=("BatchNodeExtension",)))).outcome is Outcome.OPEN
    verdict = look(world, Watch("p1", Rules(extension_names=("gpu",))))
    assert verdict.outcome is Outcome.WAIT
    assert "node n1 (idle) does not list extension gpu yet" in verdict.listed()


BAD_AGENT = read_extension(shapes.agent("ProvisioningState/failed/1"))
FRESH_AGENT = read_extension(shapes.agent(""))


@pytest.mark.parametrize("extensions", [[], [{"name": "secretext"}]])
@pytest.mark.parametrize("whole", [True, False])
def test_a_failed_agent_closes_the_gate_also_where_nobody_asks_for_extensions(extensions, whole):
    world = World(pool=shapes.pool(virtualMachineConfiguration={"extensions": extensions}))
    good = world.extensions("n1")
    world.extensions = lambda node_id: (*good[1:], BAD_AGENT) if node_id == "n2" else good
    verdict = look(world, Watch("p1", Rules(node_grace=0)), whole=whole)
    assert verdict.outcome is Outcome.FAIL
    assert "node n2 (idle) will never run a task: extension batchNodeExtension" in verdict.listed()
    for node in world.nodes:
        node["stateTransitionTime"] = "1970-01-02T00:00:00Z"
    held = look(world, Watch("p1"), now=86400 + 899.0, whole=whole)
    assert (held.outcome, "will never run a task" in held.listed()) == (Outcome.WAIT, True)
    tolerant = Watch("p1", Rules(max_failed_nodes=1))
    assert look(world, tolerant, now=86400 + 901.0, whole=whole).outcome is Outcome.OPEN


def test_an_agent_that_fails_late_on_a_node_that_joins_is_noticed():
    world, watch = World(), Watch("p1", Rules(node_grace=0))
    good = world.extensions("n1")
    world.nodes[0]["state"] = "starting"
    world.extensions = lambda node_id: (FRESH_AGENT, good[1]) if node_id == "n1" else good
    assert look(world, watch, whole=False).outcome is Outcome.WAIT
    world.extensions = lambda node_id: (BAD_AGENT, good[1]) if node_id == "n1" else good
    assert look(world, watch, now=1e9 + 30, whole=False).outcome is Outcome.FAIL


def test_a_tolerated_node_without_an_agent_does_not_keep_the_others_unread():
    nodes = [shapes.node(f"n{i}") for i in range(20)]
    world = World(nodes=nodes, pool=shapes.pool(targetDedicatedNodes=20, currentDedicatedNodes=20))
    good = world.extensions("n1")
    world.extensions = lambda node_id: (BAD_AGENT, good[1]) if node_id == "n0" else good
    verdict = look(world, Watch("p1", Rules(node_grace=0, max_failed_nodes=1)), whole=False)
    assert verdict.outcome is Outcome.OPEN


def test_a_fresh_node_opens_nothing_and_fails_nothing():
    world, watch = World(), Watch("p1", Rules(node_grace=0))
    for node in world.nodes:
        node["state"] = "creating"
    fresh = (read_extension(shapes.fresh()), FRESH_AGENT)
    world.extensions = lambda node_id: fresh
    for minute in range(12):
        assert look(world, watch, now=1e9 + 60 * minute).outcome is Outcome.WAIT
    good = World().extensions("n1")
    world.extensions = lambda node_id: good
    assert look(world, watch, now=1e9 + 800).outcome is Outcome.OPEN


def test_a_recorded_node_counts_while_it_is_still_creating():
    nodes = [shapes.node("n1", "creating", boot=None), shapes.node("n2", "Starting", boot=None)]
    assert look(World(nodes=nodes)).outcome is Outcome.OPEN


def test_a_failure_on_a_leaving_or_rebooting_node_is_of_the_past():
    pool = shapes.pool(targetDedicatedNodes=1)
    leaving = [shapes.node("n1"), shapes.node("n2", "leavingpool")]
    assert look(World(pool=pool, nodes=leaving, codes={"n2": BAD})).outcome is Outcome.OPEN
    rebooting = [shapes.node("n1"), shapes.node("n2", "rebooting")]
    assert look(World(nodes=rebooting, codes={"n2": BAD})).outcome is Outcome.WAIT


def test_a_failure_on_a_node_without_a_state_is_waited_for():
    """The answer may have lost it, and the node be one that leaves."""
    world = World(codes={"n1": BAD})
    del world.nodes[0]["state"]
    verdict = look(world)
    assert verdict.outcome is Outcome.WAIT
    assert "node n1 (no state): extension secretext reports ProvisioningState/failed/7" in verdict.listed()


def test_successes_are_remembered_for_the_boot_they_are_of():
    watch, world = Watch("p1"), World(codes={"n2": BUSY})
    look(world, watch)
    world.asked.clear()
    look(world, watch)
    assert [r.node_ids for r in world.asked if isinstance(r, ReadExtensions)] == [("n2",)]

    world.asked.clear()
    world.nodes[0] = shapes.node("n1", boot="b2")
    world.codes["n1"] = BUSY
    assert "node n1" in look(world, watch).listed()
    assert extension_reads(world) == ["n1", "n2"], "what it said on the boot before does not count"


@pytest.mark.parametrize("void", ["preempted", "rebooting", "reimaging", "upgradingos", "deallocated"])
def test_a_success_is_forgotten_with_the_vm_even_if_the_boot_time_has_not_changed_yet(void):
    watch, world = Watch("p1"), World(codes={"n2": BUSY})
    look(world, watch)
    world.nodes[0] = shapes.node("n1", void)
    assert f"node n1 is {void}" in look(world, watch).listed()
    world.nodes[0] = shapes.node("n1", "idle", boot="b1")
    world.codes = {"n1": BUSY}
    verdict = look(world, watch)
    assert verdict.outcome is Outcome.WAIT
    assert "node n1" in verdict.listed()


@pytest.mark.parametrize("state", ["creating", "starting", "waitingforstarttask", "idle"])
@pytest.mark.parametrize("boot", [None, "2026-01-01T00:05:01Z"])
def test_a_failure_on_the_first_boot_counts_when_it_is_read(state, boot):
    """No boot was before it, of which the failure might be: to read it again later would be for nothing."""
    watch, world = Watch("p1"), World(codes={"n1": BAD, "n2": BUSY})
    world.nodes[0] = shapes.node("n1", "creating", boot=None, stateTransitionTime="2026-01-01T00:00:00Z")
    world.codes["n1"] = BUSY
    assert look(world, watch).outcome is Outcome.WAIT
    world.nodes[0] = shapes.node("n1", state, boot=boot, stateTransitionTime="2026-01-01T00:05:00Z")
    world.codes["n1"] = BAD
    assert look(world, watch).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    "move",
    [
        lambda world: world.pool.update(allocationState="resizing"),
        lambda world: world.pool.update(allocationStateTransitionTime="later"),
        lambda world: world.pool.update(targetDedicatedNodes=3),
        lambda world: world.pool.update(state="deleting"),
        lambda world: world.nodes.pop(),
        lambda world: world.nodes.append(shapes.node("n3")),
        lambda world: world.nodes[0].update(state="preempted"),
        lambda world: world.nodes[0].update(lastBootTime="b2"),
    ],
)
def test_what_moves_while_it_is_read_does_not_open_the_gate(move):
    def after(world, count):
        if count == 3:  # pool, nodes, extensions are read; the gate would open
            move(world)

    verdict = look(World(after=after))
    assert verdict.outcome is Outcome.WAIT
    assert "changed while" in verdict.listed()


def test_retry_after_reaches_the_driver():
    problem = Problem(ProblemKind.PASSING, "429", retry_after=17)
    assert look(World(pool=problem)).retry_after == 17
    assert look(World(nodes=problem)).retry_after == 17
    assert look(World(codes={"n1": problem})).retry_after == 17


@pytest.mark.parametrize(("what", "reads"), [("nodes", 3), ("pool", 4)])
def test_trouble_with_the_last_reads_is_told_as_such_and_retry_after_too(what, reads):
    def after(world, count):
        if count == reads:
            setattr(world, what, Problem(ProblemKind.PASSING, "429", retry_after=17))

    verdict = look(World(after=after))
    assert verdict.outcome is Outcome.WAIT
    assert "could not be read: 429" in verdict.listed()
    assert (verdict.retry_after, verdict.unread) == (17, True)


def test_long_lists_of_reasons_are_cut_with_a_count():
    nodes = [shapes.node(f"n{i}") for i in range(40)]
    world = World(
        pool=shapes.pool(targetDedicatedNodes=40), nodes=nodes, codes={n["id"]: BUSY for n in nodes}
    )
    verdict = look(world)
    assert verdict.listed().endswith("; and 20 more")
    assert verdict.summary.startswith("0 of 40 nodes ready; node n0")
    assert verdict.summary.endswith("; and 37 more")


def test_hostile_messages_stay_on_one_line():
    world = World()
    hostile = shapes.recorded(code=BAD)
    hostile["instanceView"]["statuses"][0]["message"] = "x\n2026-01-01 INFO all is well\u202e" + "A" * 9000
    world.extensions = lambda node_id: (read_extension(hostile),)
    text = look(world).listed()
    assert "\n" not in text
    assert "\u202e" not in text
    assert len(text) < 3000


# All being well is one case in very many, so good news is drawn more often than the rest.
STATES = st.sampled_from(
    ["idle"] * 6 + ["running"] * 3 + [
        "creating", "starting", "offline", "waitingforstarttask", "preempted", "rebooting", "unusable",
        "starttaskfailed", "leavingpool", "unknown", "upgradingos", "",
    ]
)  # fmt: skip
CODES = st.sampled_from([OK] * 6 + [BUSY, BAD, "ProvisioningState/creating", "", "nonsense"])


@st.composite
def worlds(draw):
    names = [f"n{i}" for i in range(draw(st.integers(0, 4)))]
    return World(
        pool=shapes.pool(
            state=draw(st.sampled_from(["active"] * 8 + ["deleting", ""])),
            allocationState=draw(st.sampled_from(["steady"] * 4 + ["resizing", "stopping"])),
            targetDedicatedNodes=draw(st.integers(0, 3)),
            currentDedicatedNodes=draw(st.integers(0, 4)),
            resizeErrors=draw(st.sampled_from([[], [], [], [{"code": "AllocationFailed"}]])),
        ),
        nodes=[shapes.node(n, draw(STATES), draw(st.sampled_from(["b1", "b2", None]))) for n in names],
        codes={n: draw(CODES) for n in names},
    )


def all_is_well(world: World) -> bool:
    """The gate's promise, stated from scratch."""
    staying = [n for n in world.nodes if n["state"] != "leavingpool"]
    return (
        world.pool["state"] == "active"
        and world.pool["allocationState"] == "steady"
        and 0 < len(staying) >= world.pool["targetDedicatedNodes"]
        and all(n["state"] in CARRYING_STATES and world.codes[n["id"]] == OK for n in staying)
        and (not world.pool["resizeErrors"]
             or world.pool["currentDedicatedNodes"] >= world.pool["targetDedicatedNodes"])
    )  # fmt: skip


@settings(max_examples=examples(500), deadline=None)
@given(st.lists(st.tuples(worlds(), st.booleans()), min_size=1, max_size=6))
def test_over_any_history_the_gate_opens_exactly_when_all_is_well(history):
    watch = Watch("p1")
    seen: dict[tuple[str, str | None], None] = {}
    for world, whole in history:
        # A boot's success is final until the next boot: a history in which it is not is no history.
        for n in world.nodes:
            if (n["id"], n.get("lastBootTime")) in seen:
                world.codes[n["id"]] = OK
        verdict = look(world, watch, whole=whole)
        event(verdict.outcome.value)
        if whole or verdict.outcome is Outcome.OPEN:  # a glance may come later to the same
            assert (verdict.outcome is Outcome.OPEN) == all_is_well(world)
        assert verdict.reasons or verdict.outcome is Outcome.OPEN
        for n in world.nodes:
            if n["state"] in CARRYING_STATES and world.codes[n["id"]] == OK:
                seen[(n["id"], n.get("lastBootTime"))] = None


def big(count, codes):
    nodes = [shapes.node(f"n{i}") for i in range(count)]
    pool = shapes.pool(targetDedicatedNodes=count, currentDedicatedNodes=count)
    return World(pool=pool, nodes=nodes, codes=codes)


def extension_reads(world):
    return [node_id for read in world.asked if isinstance(read, ReadExtensions) for node_id in read.node_ids]


def test_in_a_large_pool_one_pending_node_is_enough_to_know_that_it_cannot_open():
    watch, world = Watch("p1"), big(500, {"n3": BUSY})
    assert look(world, watch, now=0).outcome is Outcome.WAIT
    assert len(extension_reads(world)) == 16, "the first batch has the pending node"
    world.asked.clear()
    assert look(world, watch, now=30).outcome is Outcome.WAIT
    # Its share of those not read yet (30 of 300 seconds), and the node that keeps it closed.
    assert 48 <= len(extension_reads(world)) <= 51
    assert "n3" in extension_reads(world)
    world.asked.clear()
    world.codes.clear()
    assert look(world, watch, now=60).outcome is Outcome.OPEN
    read = extension_reads(world)
    assert len(read) == len(set(read)), "no node is read twice"
    assert "n3" in read


def test_the_node_that_keeps_it_closed_is_asked_again_when_those_whose_turn_it_is_do_not():
    watch, world = Watch("p1"), big(2000, {"n300": BUSY})
    for now in (0, 30, 60, 90):
        world.asked.clear()
        assert look(world, watch, now=now).outcome is Outcome.WAIT
        assert "n300" in extension_reads(world)
        # Its share of 300 seconds, and few others: who was pending last time is asked first.
        assert len(extension_reads(world)) < {0: 520, 30: 155}.get(now, 145)


def kinds(world):
    return [type(read).__name__ for read in world.asked]


def test_most_looks_are_a_glance_at_a_node_that_is_pending():
    watch, world = Watch("p1"), big(10, {f"n{i}": BUSY for i in range(10)})
    looked, nodes = [], []
    for now in range(0, 360, 30):
        world.asked.clear()
        assert look(world, watch, now=now, whole=False).outcome is Outcome.WAIT
        looked.append(len(world.asked))
        nodes += extension_reads(world)[:1]
    assert looked == [3, 1, 1, 1] * 3
    assert set(nodes) == {f"n{i}" for i in range(10)}, "they take turns"


def test_while_the_pool_is_resized_a_glance_is_at_the_pool_alone():
    watch, world = Watch("p1"), big(10, {})
    world.pool["allocationState"] = "resizing"
    looked = []
    for now in range(0, 270, 30):
        world.asked.clear()
        look(world, watch, now=now, whole=False)
        looked.append(kinds(world)[:2])
    whole, glance = ["ReadPool", "ReadNodes"], ["ReadPool"]
    assert looked == [*[whole, glance, glance, glance] * 2, whole]
    world.pool["allocationState"] = "steady"
    assert look(world, watch, now=270, whole=False).outcome is Outcome.OPEN, "news is looked into at once"


def test_a_failure_in_a_glance_is_told_at_once_though_others_still_keep_the_gate_closed():
    watch, world = Watch("p1"), big(10, {f"n{i}": BUSY for i in range(10)})
    look(world, watch, now=0, whole=False)
    world.asked.clear()
    look(world, deepcopy(watch), now=30, whole=False)
    (turn,) = extension_reads(world)
    world.codes[turn] = BAD
    verdict = look(world, watch, now=30, whole=False)
    assert verdict.outcome is Outcome.FAIL
    assert f"node {turn} " in verdict.listed()


def test_a_glance_that_shows_news_becomes_a_whole_look():
    for news, outcome in ((OK, Outcome.OPEN), (BAD, Outcome.FAIL)):
        watch, world = Watch("p1"), big(3, {"n1": BUSY})
        assert look(world, watch, now=0).outcome is Outcome.WAIT
        world.codes["n1"] = news
        assert look(world, watch, now=30, whole=False).outcome is outcome


@pytest.mark.parametrize(
    ("problem", "outcome"),
    [
        (Problem(ProblemKind.PASSING, "429", retry_after=70), Outcome.WAIT),
        (Problem(ProblemKind.CONFLICT, "409", retry_after=70), Outcome.WAIT),
        (Problem(ProblemKind.REJECTED, "400", retry_after=70), Outcome.WAIT),
        (Problem(ProblemKind.MISSING, "404"), Outcome.WAIT),
        (Problem(ProblemKind.REFUSED, "403"), Outcome.FAIL),
    ],
)
def test_a_glance_that_is_not_answered_waits_or_looks_into_it(problem, outcome):
    watch, world = Watch("p1"), big(3, {"n1": BUSY})
    look(world, watch, now=0)
    world.codes["n1"] = problem
    world.asked.clear()
    verdict = look(world, watch, now=30, whole=False)
    assert verdict.outcome is outcome
    if problem.retry_after:
        assert len(world.asked) == 1, "who is told to wait does not ask on"
        assert verdict.unread
        assert watch.pause(30, verdict) == 70
    else:
        assert len(world.asked) > 1


def test_a_pool_that_does_not_answer_a_glance_is_waited_for():
    watch, world = Watch("p1"), World(pool=shapes.pool(allocationState="resizing"))
    look(world, watch, now=0)
    world.pool = Problem(ProblemKind.PASSING, "503")
    assert look(world, watch, now=30, whole=False).unread
    world.pool = Problem(ProblemKind.MISSING, "404 PoolNotFound")
    assert look(world, watch, now=60, whole=False).outcome is Outcome.FAIL


def test_news_of_what_is_not_glanced_at_comes_at_the_fourth_look_or_after_two_minutes():
    for interval, looks in ((5, 4), (30, 4), (60, 2), (200, 1)):
        watch, world = Watch("p1"), big(3, {"n1": BUSY})
        look(world, watch, now=0)
        world.pool["state"] = "deleting"
        outcomes = [look(world, watch, now=interval * i, whole=False).outcome for i in range(1, looks + 1)]
        assert outcomes == [Outcome.WAIT] * (looks - 1) + [Outcome.FAIL]


def test_nothing_is_read_of_extensions_while_the_pool_itself_is_not_ready():
    world = big(500, {})
    world.pool["allocationState"] = "resizing"
    assert look(world, Watch("p1"), now=0).outcome is Outcome.WAIT
    assert extension_reads(world) == []


def test_of_many_nodes_that_have_just_begun_to_join_none_is_read_at_a_glance_either():
    watch, world = Watch("p1"), big(501, {})
    for node in world.nodes:
        node.update(state="starting", stateTransitionTime="2027-01-15T08:00:00Z")
    joined = 1_800_000_000.0
    for seconds in (5, 20, 35, 50):
        assert look(world, watch, now=joined + seconds, whole=False).outcome is Outcome.WAIT
    assert extension_reads(world) == []
    look(world, watch, now=joined + 65, whole=False)
    assert extension_reads(world)


def test_who_remembers_nothing_reads_everything():
    world = big(500, {"n3": BUSY})
    look(world, Watch("p1", notice_seconds=0))
    assert len(extension_reads(world)) == 500


def test_pauses_are_never_shorter_than_asked_and_grow_with_trouble():
    watch, world = Watch("p1"), World(pool=Problem(ProblemKind.PASSING, "503"))
    pauses = [watch.pause(30, look(world, watch)) for _ in range(6)]
    assert pauses == [30, 60, 120, 240, 300, 300]
    world.pool = shapes.pool()
    assert watch.pause(30, look(world, watch)) == 30
    assert watch.pause(900, look(World(pool=Problem(ProblemKind.PASSING, "x")), watch)) == 900
    told = look(World(pool=Problem(ProblemKind.PASSING, "429", retry_after=400)), Watch("p1"))
    assert watch.pause(30, told) == 400


def test_when_something_moved_at_the_last_moment_the_next_looks_come_soon_but_not_for_ever():
    boots = iter(range(1000))

    def after(world, count):
        world.nodes[0].update(lastBootTime=f"b{next(boots)}")

    watch, world = Watch("p1"), World(after=after)
    assert [watch.pause(30, look(world, watch)) for _ in range(5)] == [5, 5, 5, 30, 30]
    assert Watch("p1").pause(2, look(World(after=after), Watch("p1"))) == 2


def test_looks_slow_down_when_nothing_moves_for_long_and_not_before():
    watch, world = Watch("p1"), big(100, {f"n{i}": BUSY for i in range(100)})
    world.pool["allocationState"] = "resizing"
    pauses = [watch.pause(30, look(world, watch, now=30 * i)) for i in range(25)]
    assert pauses[:20] == [30] * 20
    assert pauses[-1] == 60
    world.pool["allocationState"] = "steady"
    assert watch.pause(30, look(world, watch, now=900)) == 30


PROVIDER = '{"error": {"code": "RequestDisallowedByPolicy", "message": "disallowed by policy"}}'


def test_a_failed_resize_is_told_with_one_number_and_the_providers_words():
    error = {
        "code": "AllocationFailed",
        "message": "m",
        "values": [
            {"name": "Provider Error Json", "value": PROVIDER},
            {"name": "Provider Error Json Truncated", "value": "False"},
        ],
    }
    verdict = look(World(pool=shapes.pool(currentDedicatedNodes=1, resizeErrors=[error])))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.summary == (
        "the resize of pool p1 ended with 1 of 2 nodes: "
        "AllocationFailed: m (RequestDisallowedByPolicy: disallowed by policy)"
    )
