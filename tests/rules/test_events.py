"""What is news of a pool: each rule by name, and all of them over random histories."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from airflow_batchext.batch.data_plane import read_pool
from airflow_batchext.defaults import WATCHER_MAX_AGE_SECONDS
from airflow_batchext.rules.events import EventKind, PoolEvent, Told, mark, news
from airflow_batchext.rules.gate import NodeReport, Outcome, Rules, Verdict, judge
from airflow_batchext.rules.reads import Problem, ProblemKind
from airflow_batchext.rules.watch import Watch
from tests import shapes
from tests.rules.test_watch import BAD, BUSY, World, look

RULES = Rules(on_failure="wait", max_age=WATCHER_MAX_AGE_SECONDS)
REPORTS = {
    "up": NodeReport("idle", {"e": "ok"}),
    "pending": NodeReport("idle", {"e": "busy"}, missing=("it is busy",)),
    "failed": NodeReport("idle", {"e": "bad"}, failed=("it failed",)),
    "unread": NodeReport("idle", {"e": ""}, missing=("it was not read",), unread=True),
}
IDS = ("n1", "n2", "n3")


@dataclass(frozen=True)
class Sight:
    """One look: at a pool of two nodes or more, at no pool, or one that shows nothing."""

    kind: str = "pool"
    created: str = "A"
    nodes: dict[str, str] = field(default_factory=dict)

    def verdict(self) -> Verdict:
        if self.kind == "gone":
            return Verdict(Outcome.FAIL, ("it is not there",))
        if self.kind == "unread":
            return Verdict(Outcome.WAIT, ("it could not be read",), unread=True)
        pool = read_pool({**shapes.pool(), "creationTime": self.created, "targetDedicatedNodes": 2})
        reports = {node_id: REPORTS[how] for node_id, how in self.nodes.items()}
        refused = ("you may not",) if self.kind == "refused" else ()
        return judge(pool, RULES, reports, refused=refused)

    @property
    def shows_pool(self) -> bool:
        return self.kind == "pool"

    @property
    def ready(self) -> bool | None:
        """Whether the pool is; None if that cannot be told."""
        states = list(self.nodes.values())
        if len(states) < 2 or {"pending", "failed"} & set(states):
            return False
        return None if "unread" in states else True


sights = st.builds(
    Sight,
    st.sampled_from(["pool"] * 8 + ["gone", "unread", "refused"]),
    st.sampled_from("AAAB"),
    st.dictionaries(
        st.sampled_from(IDS), st.sampled_from(["up"] * 5 + ["pending", "failed", "unread"]), min_size=1
    ),
)


def expected(history: list[Sight]) -> dict[str, set[str]]:
    """What the last look of a history is to tell, found by going back through all of it."""
    now = history[-1]
    if not now.shows_pool:
        return {}
    story = []
    for sight in reversed(history[:-1]):
        if sight.kind in ("unread", "refused"):
            continue
        if sight.kind == "gone" or sight.created != now.created:
            break
        story.append(sight)
    told: dict[str, set[str]] = {}
    if now.ready and not next((s.ready for s in story if s.ready is not None), False):
        told["ready"] = set()
    for node_id, how in now.nodes.items():
        states = [s.nodes.get(node_id, "absent") for s in story]
        last = next((state for state in states if state != "unread"), "absent")
        if how == "failed" and last != "failed":
            told.setdefault("failed", set()).add(node_id)
        if how in ("pending", "failed") and last == "up":
            told.setdefault("lost", set()).add(node_id)
    return told


@settings(deadline=None)
@given(st.lists(sights, min_size=1, max_size=12), st.sets(st.integers(0, 11)))
def test_each_thing_is_told_once_whatever_happens_and_wherever_the_triggerer_dies(
    history: list[Sight], deaths: set[int]
):
    told: Told | None = None
    for number, sight in enumerate(history):
        if number in deaths and told is not None:
            told = Told.from_json(json.loads(json.dumps(told.to_json())))
        told, events = news(told, sight.verdict())
        found = {e.kind.value: set(e.nodes) for e in events}
        assert found == expected(history[: number + 1])
        for kind in found:
            event(kind)


def kinds(told: Told | None, verdict: Verdict) -> tuple[Told | None, list[str]]:
    told, events = news(told, verdict)
    return told, [e.kind.value for e in events]


def test_through_real_looks_a_pool_comes_up_fails_and_loses_a_node():
    world = World(codes={"n1": BUSY})
    watch = Watch("p1", RULES)
    told, now, seen = None, 1e9, []

    def step(*expected_kinds: str) -> None:
        nonlocal told, now
        now += 400
        told, found = kinds(told, look(world, watch, now))
        seen.append(found)
        assert found == list(expected_kinds), seen

    step()
    world.codes.clear()
    step("ready")
    step()
    world.codes["n2"] = BAD
    step()  # the same boot: what has succeeded there is not asked again
    world.nodes = [shapes.node("n1"), shapes.node("n2", boot="b2")]
    step("failed", "lost")
    step()
    world.codes["n2"] = Problem(ProblemKind.PASSING, "throttled")
    step()
    world.codes["n2"] = BAD
    step()  # the same failure
    del world.codes["n2"]
    step("ready")
    world.nodes = [shapes.node("n1"), shapes.node("n2", state="preempted")]
    step("lost")
    world.pool = Problem(ProblemKind.MISSING, "no such pool")
    step()


def test_what_was_not_read_is_no_news_and_makes_none_of_what_is_old():
    well = {"n1": "up", "n2": "up"}
    told, _ = news(None, Sight(nodes=well).verdict())
    moved = replace(Sight(nodes={"n1": "pending", "n2": "up"}).verdict(), moved=True)
    for unread in (
        Sight(nodes={"n1": "unread", "n2": "up"}).verdict(),
        Sight("unread").verdict(),
        Sight("refused", nodes={"n1": "unread", "n2": "pending"}).verdict(),
        moved,
    ):
        for verdict in (unread, Sight(nodes=well).verdict()):
            told, found = kinds(told, verdict)
            assert found == []


def test_a_failure_that_was_not_read_for_a_while_is_the_same_failure():
    told, found = kinds(None, Sight(nodes={"n1": "failed", "n2": "up"}).verdict())
    assert found == ["failed"]
    for how in ("unread", "failed"):
        told, found = kinds(told, Sight(nodes={"n1": how, "n2": "up"}).verdict())
        assert found == []
    told, _ = kinds(told, Sight(nodes={"n1": "up", "n2": "up"}).verdict())
    _, found = kinds(told, Sight(nodes={"n1": "failed", "n2": "up"}).verdict())
    assert found == ["failed", "lost"]


def test_a_pool_created_anew_is_another_story():
    told, found = kinds(None, Sight(created="A", nodes={"n1": "up", "n2": "up"}).verdict())
    assert found == ["ready"]
    _, found = kinds(told, Sight(created="B", nodes={"n1": "up", "n2": "up"}).verdict())
    assert found == ["ready"]


def test_nodes_that_leave_the_pool_are_not_lost():
    told, _ = news(None, Sight(nodes={"n1": "up", "n2": "up", "n3": "up"}).verdict())
    _, found = kinds(told, Sight(nodes={"n1": "up", "n2": "up"}).verdict())
    assert found == []


@pytest.mark.parametrize(
    "kept", [None, 1, "x", [], {}, {"created": 1, "ready": True, "up": "", "failed": ""}]
)
def test_a_memory_that_is_none_is_nothing_known(kept):
    assert Told.from_json(kept) is None


def test_the_memory_of_two_thousand_nodes_fits_what_airflow_stores_for_an_asset():
    nodes = frozenset(mark(f"tvmps_{number:064x}_d") for number in range(2000))
    told = Told("2026-01-01T00:00:00.0000000Z", True, nodes, nodes)
    assert len(told.up) == 2000
    assert len(json.dumps(told.to_json())) < 65_535 / 2
    assert Told.from_json(told.to_json()) == told


@settings(deadline=None)
@given(st.integers(1, 60), st.text(min_size=1), st.text())
@example(60, "\U00010000" * 200, "\U00010000")
@example(60, "\x1b" * 200, "\x1b")
def test_the_payload_is_bounded_and_each_of_its_texts_is_one_line(count: int, name: str, said: str):
    ids = [f"{name}{number}" for number in range(count)]
    reports = {i: NodeReport("idle", {"e": "bad"}, failed=(said * 500,)) for i in ids}
    pool = read_pool({**shapes.pool(), "targetDedicatedNodes": count})
    verdict = judge(pool, Rules(extension_names=(name,) * 50, on_failure="wait"), reports)
    payload = PoolEvent(EventKind.FAILED, {i: reports[i].failed for i in ids}).payload(verdict, "now")
    texts = [*payload["nodes"], *payload["reasons"], *payload["extensions"]]
    assert sum(map(len, texts)) < 6_500
    assert payload["nodes_concerned"] == count
    assert len(payload["nodes"]) <= 20
    assert len(payload["reasons"]) <= 5
    assert all(text.isprintable() for text in texts)


@pytest.mark.parametrize(
    ("first", "last", "told_of"),
    [("up", "pending", {EventKind.LOST}), ("failed", "failed", set())],
)
def test_what_a_node_was_is_known_over_looks_that_did_not_read_it(first, last, told_of):
    told = None
    for how in (first, "unread", "unread"):
        told, _ = news(told, Sight(nodes={"n1": how, "n2": "up"}).verdict())
    _, events = news(told, Sight(nodes={"n1": last, "n2": "up"}).verdict())
    assert {event.kind for event in events} == told_of
