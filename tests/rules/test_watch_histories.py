"""Random histories of pools, nodes, extensions and faults, played to the gate's rules in simulated time.

``BATCHEXT_HISTORIES`` says how many (1,000 by default over all tests here, 10,000 with ``make histories``);
Hypothesis prints the seed of a failure and shrinks it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from airflow_batchext.batch.data_plane import Phase
from airflow_batchext.rules.gate import Outcome, Rules
from airflow_batchext.rules.reads import Problem, ProblemKind, ReadExtensions
from airflow_batchext.rules.watch import Watch
from benchmarks.simulation import NAME, NEVER, Boot, SimulatedNode, SimulatedPool, play
from tests.examples import examples

HISTORIES = int(os.environ.get("BATCHEXT_HISTORIES", "1000"))
INTERVAL = 30.0
VOID = ("preempted", "rebooting", "reimaging", "deallocated")

few = settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
#: Draws that Hypothesis can shrink, and numbers from which a failure is played again.
randoms = st.randoms(use_true_random=False)


def bulk(share: float) -> list[Random]:
    """This test's share of the histories, each with a seed of its own."""
    return [Random(seed) for seed in range(max(20, int(HISTORIES * share)))]


def random_node(random, name, *, phases=(Phase.SUCCEEDED,), broken=False):
    boots = []
    up = random.choice([0.0, 0.0, 100.0]) + random.choice([0, 60]) * random.random()
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        booted = up + 40 * random.random()
        done = up + random.choice([0, 900]) * random.random()
        down = booted + 900 * random.random()
        breaks = booted + 900 * random.random() if broken and random.random() < 0.5 else NEVER
        agent_done = up + random.choice([0, 0, 60, 700]) * random.random()
        agent = Phase.FAILED if broken and random.random() < 0.1 else Phase.SUCCEEDED
        void = random.choice(VOID)
        boots.append(Boot(up, booted, done, random.choice(phases), down, void, breaks, agent_done, agent))
        up = down + 120 * random.random()
    boots[-1] = replace(boots[-1], down=NEVER)  # the last machine stays
    return SimulatedNode(name, tuple(boots), random.choice([NEVER] * 6 + [200.0, 700.0]))


def random_pool(random, most=6, **kinds):
    count = random.randint(0, most)
    return SimulatedPool(
        [random_node(random, f"n{i}", **kinds) for i in range(count)],
        target=random.randint(0, count),
        steady=random.choice([0.0, 60.0, 125.0]),
        read_seconds=random.choice([0.01, 0.3, 3.0]),
    )


def settled(pool: SimulatedPool) -> float:
    """From when on nothing happens any more."""
    moments = [pool.steady]
    for node in pool.nodes:
        moments += [
            t for b in node.boots for t in (b.up, b.booted, b.done, b.broken, b.agent_done) if t < NEVER
        ]
        moments += [node.leaves + 30] if node.leaves < NEVER else []
    return max(moments)


def check_never_early(pool, ending):
    if ending.verdict.outcome is Outcome.OPEN:
        assert pool.ready_at(ending.last_nodes_read), "opened early"


def opens_when_and_only_when_all_is_well(random):
    pool = random_pool(random)
    end = settled(pool)
    watch = Watch("p", notice_seconds=random.choice([0.0, 90.0, 300.0]))
    ending = play(pool, watch, INTERVAL, deadline=end + 2_000)
    check_never_early(pool, ending)
    if pool.ready_at(end):
        assert ending.verdict.outcome is Outcome.OPEN, "missed"
        # Slower looks are allowed while nothing moves and the end is far, at twice the interval at most.
        assert ending.at <= end + 4 * INTERVAL + 20 * pool.read_seconds * (len(pool.nodes) + 4)
    elif ending.verdict.outcome is Outcome.WAIT:
        assert ending.verdict.reasons, "it says for what it waits"
    return ending.verdict.outcome


def fails_exactly_when_something_failed(random):
    pool = random_pool(random, phases=(Phase.SUCCEEDED, Phase.SUCCEEDED, Phase.FAILED), broken=True)
    ending = play(pool, Watch("p", Rules(node_grace=300)), INTERVAL, deadline=settled(pool) + 2_000)
    check_never_early(pool, ending)
    if ending.verdict.outcome is Outcome.FAIL:
        signs = ("reports ProvisioningState/failed", "unusable")
        assert any(sign in reason for sign in signs for reason in ending.verdict.reasons)
    elif ending.at > settled(pool) + 1000:
        staying = [node.boots[-1] for node in pool.nodes if node.leaves == NEVER]
        bad = [b for b in staying if Phase.FAILED in (b.phase, b.agent) or b.broken < NEVER]
        assert not bad, "not noticed"
    return ending.verdict.outcome


def faults_that_pass_change_no_verdict(random):
    pool = random_pool(random)
    trouble_ends = settled(pool) + 600
    often = 0.6 * random.random()

    def fault(read, now):
        if now >= trouble_ends or random.random() >= often:
            return None
        kind = ProblemKind.PASSING
        if isinstance(read, ReadExtensions) and random.random() < 0.5:
            kind = ProblemKind.MISSING
        return Problem(kind, "503", retry_after=random.choice([None, 5.0, 200.0]))

    pool.faults = fault
    ending = play(pool, Watch("p"), INTERVAL, deadline=trouble_ends + 5_000)
    check_never_early(pool, ending)
    assert (ending.verdict.outcome is Outcome.OPEN) or not pool.ready_at(trouble_ends)
    assert ending.verdict.outcome is not Outcome.FAIL
    return ending.verdict.outcome


def large_pools_keep_the_rules(random):
    pool = random_pool(random, most=60)
    end = settled(pool)
    ending = play(pool, Watch("p"), INTERVAL, deadline=end + 2_000)
    check_never_early(pool, ending)
    assert (ending.verdict.outcome is Outcome.OPEN) or not pool.ready_at(end)
    return ending.verdict.outcome


STORIES = {
    opens_when_and_only_when_all_is_well: 0.5,
    fails_exactly_when_something_failed: 0.25,
    faults_that_pass_change_no_verdict: 0.2,
    large_pools_keep_the_rules: 0.05,
}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
@pytest.mark.long
def test_many_histories(story):
    outcomes = set()
    for seed, random in enumerate(bulk(STORIES[story])):
        try:
            outcomes.add(story(random))
        except AssertionError as error:
            raise AssertionError(f"{story.__name__}(Random({seed})): {error}") from error
    assert len(outcomes) > 1, "histories that all end alike show little"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_histories_that_shrink(story):
    @few
    @given(randoms)
    def play_one(random):
        event(story(random).value)

    play_one()


@few
@given(st.integers(17, 200), st.data())
def test_a_failure_on_any_node_is_noticed_in_time(count, data):
    """One node hangs, so nothing else needs a look; another one fails."""
    at = data.draw(st.floats(10, 2000), label="when it fails")
    bad = data.draw(st.integers(1, count - 1), label="which")
    hang = SimulatedNode("n0", (Boot(0, 20, NEVER),))
    others = [
        SimulatedNode(f"n{i}", (Boot(0, 20, at if i == bad else NEVER, Phase.FAILED),))
        for i in range(1, count)
    ]
    pool = SimulatedPool([hang, *others], target=count)
    ending = play(pool, Watch("p", notice_seconds=300), INTERVAL, deadline=10_000)
    assert ending.verdict.outcome is Outcome.FAIL
    assert f"node n{bad} " in ending.verdict.listed()
    assert ending.at <= at + 300 + 4 * INTERVAL


@given(st.integers(1, 40), st.floats(50, 400))
def test_an_upgraded_extension_is_read_once_more_before_the_gate_opens(count, slow):
    nodes = [SimulatedNode(f"n{i}", (Boot(0, 0, slow if i == 0 else 0),)) for i in range(count)]
    pool = SimulatedPool(nodes, target=count, upgrades=frozenset({NAME}))
    watch = Watch("p")
    ending = play(pool, watch, INTERVAL, deadline=10_000)
    assert ending.verdict.outcome is Outcome.OPEN
    last = {
        node_id
        for t, read in pool.asked
        if t >= ending.first_read and isinstance(read, ReadExtensions)
        for node_id in read.node_ids
    }
    assert last == {n.id for n in nodes}
