"""Whatever stands in a pool's metadata, a repair does no more than its policy lets it do."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_batchext.batch.data_plane import read_node
from airflow_batchext.batch.whole_pool import read_whole_pool
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.journal import ITEM, STATES, node_key, owner_key
from airflow_batchext.repair.requests import ReadWholePool, Remove, Resize, Restart, WriteMetadata
from airflow_batchext.rules.reads import ReadExtensions, ReadNodes

STEPS = ("reboot", "reimage", "replace")
NOW = 1_790_000_000
LONG_AGO = "2026-01-01T00:00:00Z"
BOOTED = 1_767_225_600
IDS = [f"n{number}" for number in range(14)]
FAILURES = ["unusable", "asked for", "f"]


class World:
    """A pool that nothing changes, and all that is asked to be done to it."""

    def __init__(self, states, targets, metadata, *, autoscale=False):
        self.nodes = [
            read_node(
                {"id": node_id, "state": state, "stateTransitionTime": LONG_AGO, "lastBootTime": LONG_AGO}
            )
            for node_id, state in zip(IDS, states, strict=False)
        ]
        self.targets, self.metadata, self.autoscale, self.now = targets, metadata, autoscale, NOW
        self.done = []

    def answer(self, wanted):
        if isinstance(wanted, ReadWholePool):
            counts = {"targetDedicatedNodes": self.targets[0], "targetLowPriorityNodes": self.targets[1]}
            counts |= {"currentDedicatedNodes": self.targets[0], "currentLowPriorityNodes": self.targets[1]}
            items = [{"name": name, "value": value} for name, value in self.metadata]
            state = {"state": "active", "allocationState": "steady", "enableAutoScale": self.autoscale}
            return read_whole_pool({"id": "p", "eTag": "0x1", "metadata": items, **state, **counts})
        if isinstance(wanted, ReadNodes):
            return self.nodes
        if isinstance(wanted, ReadExtensions):
            return dict.fromkeys(wanted.node_ids, ())
        if isinstance(wanted, WriteMetadata):
            self.metadata = wanted.items
            return "0x2"
        self.done.append(wanted)
        return None

    def repaired(self, policy, looks=4, **options):
        repair = Repair("p", policy, owner="me", **options)
        for _ in range(looks):
            flow = repair.look(lambda: self.now)
            try:
                wanted = next(flow)
                while True:
                    wanted = flow.send(self.answer(wanted))
            except StopIteration:
                self.now += 100
        return self

    @property
    def touched(self):
        return {
            (step, node_id)
            for act in self.done
            if not isinstance(act, Resize)
            for step, node_ids in [
                (act.step, [act.node_id]) if isinstance(act, Restart) else ("replace", act.node_ids)
            ]
            for node_id in node_ids
        }


MOMENTS = st.sampled_from([0, BOOTED, NOW - 7200, NOW - 100, NOW - 10, NOW + 10**6, 10**15]) | st.integers(
    -9, 10**16
)
COUNTS = st.integers(0, 14) | st.sampled_from([-1, 100, 5000, 10**6, 10**9, 1e308])
RECORDS = st.tuples(
    st.sampled_from(IDS).map(node_key) | st.integers(0, 10**9).map("{:010x}".format),
    st.integers(-1, 3),
    st.integers(0, len(FAILURES)),
    MOMENTS,
    st.sampled_from([0, 0, 10, -100, 10**9]),
    st.sampled_from([BOOTED, BOOTED, 0, NOW]),
    st.integers(0, 1),
    st.integers(0, 1),
    st.integers(0, len(STATES) - 1),
)
#: Most are understood, some are not.
BELIEVABLE = st.tuples(
    st.sampled_from(IDS).map(node_key),
    st.integers(0, 2),
    st.integers(0, len(FAILURES) - 1),
    st.sampled_from([BOOTED, NOW - 7200, NOW - 100]),
    st.just(0),
    st.just(BOOTED),
    st.integers(0, 1),
    st.integers(0, 1),
    st.integers(0, len(STATES) - 1),
)
POLICIES = st.fixed_dictionaries(
    {
        "at_once": st.sampled_from([1.0, 0.2, 0.5, 1, 2, 5, 200]),
        "order": st.lists(st.sampled_from(STEPS), min_size=1, max_size=3, unique=True),
        "max_actions": st.sampled_from([1, 3, 40]),
        "give_up_after": st.sampled_from([1, 2, 50]),
    }
)


@st.composite
def worlds(draw):
    states = draw(st.lists(st.sampled_from(["unusable", "idle", "idle"]), min_size=1, max_size=len(IDS)))
    targets = draw(st.sampled_from([(len(states), 0), (len(states) + 3, 2), (0, 0)]))
    forged = {
        "v": 1,
        "targets": draw(st.tuples(COUNTS, COUNTS)),
        "lowered": draw(st.lists(st.tuples(COUNTS, COUNTS) | st.just(targets), max_size=3)),
        "by": draw(st.sampled_from(["", owner_key("me"), "0123456789ab"])),
        "until": draw(MOMENTS),
        "rounds": draw(COUNTS),
        "over": draw(st.integers(0, 1)),
        "failures": FAILURES,
        "owners": [owner_key("me"), "0123456789ab"],
        "records": draw(st.lists(BELIEVABLE, max_size=120) | st.lists(RECORDS, max_size=20)),
    }
    left_out = draw(st.sets(st.sampled_from([*forged][1:]), max_size=3))
    text = json.dumps({name: value for name, value in forged.items() if name not in left_out})
    return states, targets, text, draw(st.booleans())


def opened(count):
    return [[node_key(node_id), 0, 0, NOW - 100, 0, BOOTED, 1, 0, 0] for node_id in IDS[:count]]


def gone(count):
    return [[f"{number:010x}", 2, 0, NOW - 100, 0, 0, 1, 0, 1] for number in range(count)]


def journal(records, **members):
    told = {"failures": FAILURES, "owners": [owner_key("me"), "0123456789ab"]}
    return json.dumps({"v": 1, **told, "records": records, **members})


@example((["unusable"] * 14, (14, 0), journal(opened(14)), False), {"at_once": 1})
@example(
    (["unusable"] * 14, (14, 0), journal([*opened(14)[:7], [*opened(8)[7][:8], 2]]), False), {"at_once": 2}
)
@example(
    (["idle"], (1, 0), journal(gone(100), targets=[5000, 0], lowered=[[1, 0]]), False),
    {"at_once": 1.0, "max_actions": 3},
)
@settings(max_examples=60)
@given(worlds(), POLICIES)
def test_a_forged_journal_lets_nothing_more_be_done(world, given_policy):
    states, targets, text, autoscale = world
    policy = RepairPolicy.from_json(given_policy)
    played = World(states, targets, [(ITEM, text), ("team", "a")], autoscale=autoscale).repaired(policy)
    most = policy.most_at_once(max(len(states), sum(targets)))
    ill = {node_id for node_id, state in zip(IDS, states, strict=False) if state == "unusable"}
    assert len({node_id for _, node_id in played.touched}) <= most
    assert {node_id for _, node_id in played.touched} <= ill
    assert {step for step, _ in played.touched} <= set(policy.order)
    assert all(len(act.node_ids) <= most for act in played.done if isinstance(act, Remove))
    for act in played.done:
        if isinstance(act, Resize):
            back = act.dedicated - targets[0], act.low_priority - targets[1]
            assert min(back) >= 0
            assert 0 < sum(back) <= min(policy.most_at_once(sum(targets) + sum(back)), policy.max_actions)
            assert not autoscale
    assert dict(played.metadata)["team"] == "a"


@given(st.integers(2, 14), st.sampled_from([1, 2, 1.0]))
def test_the_same_worlds_are_repaired_where_nothing_is_forged(count, at_once):
    """The control: so many nodes, each with its step."""
    policy = RepairPolicy.from_json({"at_once": at_once, "give_up_after": 50})
    played = World(["unusable"] * count, (count, 0), []).repaired(policy)
    chosen = sorted(IDS[:count])[: policy.most_at_once(count)]
    assert played.touched == {("reboot", node_id) for node_id in chosen}


@given(st.integers(3, 14))
def test_that_a_step_helped_is_believed_of_nodes_that_show_it(count):
    helped = [node_key(IDS[0]), 0, 0, NOW - 7200, 0, BOOTED, 1, 1, 2]
    for state, most in (("idle", count - 1), ("unusable", 2)):
        world = World([state, *["unusable"] * (count - 1)], (count, 0), [(ITEM, journal([helped]))])
        policy = RepairPolicy(at_once=1.0, order=("reboot",))
        assert len(world.repaired(policy).touched) == most
