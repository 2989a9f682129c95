"""Repairs through random histories: faults on the wire, deaths in the middle, others at the same time.

Each look goes through the real SDK to the emulator. The emulator's own books say at every request whether the
node that it is about is ready or runs tasks, and in the end what the pool has.
``BATCHEXT_REPAIR_HISTORIES=500`` plays so many (12 by default).
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from airflow_batchext.emulator import ExtensionScenario, Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.emulator.wire.errors import RefusedError
from airflow_batchext.hooks._drivers import gate
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.status import Progress, Stage
from tests.repair.conftest import Books, journal, node_ids, targets

COUNT = int(os.environ.get("BATCHEXT_REPAIR_HISTORIES", "12"))
MOST_LOOKS = 500
_numbers = itertools.count()

RULES = st.fixed_dictionaries(
    {
        "node": st.sampled_from([0, 1, 2, "*", "*"]),
        "boots": st.sampled_from(["all", "all", "first", "later"]),
        "outcome": st.sampled_from(["fail", "fail", "fail", "hang"]),
    }
)
POLICIES = st.fixed_dictionaries(
    {
        "order": st.sampled_from([["reboot", "replace"], ["reboot", "reimage", "replace"], ["replace"]]),
        "at_once": st.sampled_from([0.2, 0.5, 1.0, 1, 2]),
        "attempts": st.sampled_from([1, 1, 2]),
        "give_up_after": st.sampled_from([1, 2, 2, 3]),
        "max_actions": st.sampled_from([3, 12, 40]),
        "stuck_after": st.sampled_from([None, 600.0]),
    }
)
FAULTS = st.fixed_dictionaries(
    {
        "plane": st.just("data"),
        "path": st.sampled_from(
            ["*", "*/nodes", "*/extensions", "*/reboot", "*/removenodes", "*/resize", "*/pools/*"]
        ),
        "skip": st.integers(0, 12),
        "count": st.integers(1, 3),
    }
).flatmap(
    lambda place: st.sampled_from(
        [
            {"action": "throttle", "retry_after": 45},
            {"action": "throttle"},
            {"action": "error", "status": 503},
            {"action": "error", "status": 500, "performed": True},
            {"action": "drop"},
            {"action": "drop", "performed": True},
            {"action": "garble"},
            {"action": "truncate"},
        ]
    ).map(lambda kind: {**place, **kind})
)
HAPPENINGS = st.tuples(
    st.integers(0, 25),
    st.integers(0, 3),
    st.sampled_from(["remove_node", "preempt_node", "busy", "idle", "reboot_node", "mend"]),
)


@dataclass(frozen=True)
class History:
    """The pool, what goes wrong with it, who repairs it, and what else happens."""

    nodes: int
    rules: list[dict[str, Any]]
    policy: dict[str, Any]
    faults: list[dict[str, Any]]
    deaths: list[tuple[int, int]]
    """At which look, after how many answers, a process dies."""
    happenings: list[tuple[int, int, str]]
    """At which look, to which node, what; in the middle of the look."""
    are_two: bool
    """Whether another task repairs the pool at the same time."""


HISTORIES = st.builds(
    History,
    nodes=st.integers(1, 6),
    rules=st.lists(RULES, min_size=1, max_size=2),
    policy=POLICIES,
    faults=st.lists(FAULTS, max_size=3),
    deaths=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), max_size=3),
    happenings=st.lists(HAPPENINGS, max_size=2),
    are_two=st.booleans(),
)


class World:
    """A history as it happens."""

    def __init__(self, azure: Any, books: Books, history: History) -> None:
        self.azure, self.books, self.history = azure, books, history
        self.account = azure.emulator.account
        self.first = set(node_ids(azure))
        self.looks = 0
        self.taken_away = 0
        self.told: list[str] = []
        self.policy = RepairPolicy.from_json(history.policy)

    def let_happen(self) -> None:
        """What happens to the pool at this look."""
        for at, index, what in self.history.happenings:
            if at != self.looks:
                continue
            nodes = self.account.nodes(self.azure.pool_id)
            if not nodes:
                continue
            node_id = nodes[index % len(nodes)].node.id
            done = len(self.books.done)
            with suppress(RefusedError):
                if what == "busy":
                    if nodes[index % len(nodes)].now.state.value == "idle":
                        self.account.mark_node(self.azure.pool_id, node_id, "running")
                        self.books.busy_since_read.add(node_id)
                elif what == "idle":
                    if nodes[index % len(nodes)].now.state.value == "running":
                        self.account.mark_node(self.azure.pool_id, node_id, "idle")
                elif what == "mend":
                    self.azure.emulator.scenario = Scenario()
                elif what == "preempt_node":
                    self.account.preempt_node(self.azure.pool_id, node_id, 60.0)
                else:
                    before = sum(targets(self.azure))
                    getattr(self.account, what)(self.azure.pool_id, node_id)
                    self.taken_away += before - sum(targets(self.azure))
            # What others do is none of the repair's.
            del self.books.done[done:]
            self.books.wrong = [w for w in self.books.wrong if node_id not in w or what == "busy"]

    def look(self, hook: AzureBatchNodeHook, repair: Repair) -> Progress | None:
        """One look; None if the process died in the middle of it."""
        self.books.busy_since_read.clear()
        dies_after = next((after for at, after in self.history.deaths if at == self.looks), None)
        flow, answers = repair.look(hook.service_time), 0
        self.is_through = False
        try:
            wanted = next(flow)
            while True:
                answer = hook.run(gate.answer_of(repair.pool_id, wanted))
                answers += 1
                if answers == 2:
                    self.let_happen()
                if answers == dies_after:
                    return None
                wanted = flow.send(answer)
        except StopIteration as end:
            progress: Progress = end.value
            return progress

    def play(self) -> list[Progress]:
        """Repair until everybody has ended; each look is followed by a pause."""
        owners = ["one", "two"] if self.history.are_two else ["one"]
        ended: dict[str, Progress] = {}
        repairs = {owner: self._repair(owner) for owner in owners}
        with AzureBatchNodeHook("official", retries=0) as hook:
            while len(ended) < len(owners):
                for owner in owners:
                    if owner in ended:
                        continue
                    assert self.looks < MOST_LOOKS, "it hangs"
                    progress = self.look(hook, repairs[owner])
                    self.looks += 1
                    if progress is None:
                        repairs[owner] = self._repair(owner)
                    elif progress.stage is not Stage.WORKING:
                        ended[owner] = progress
                        if progress.stage is Stage.DONE:
                            self._check_claim(progress)
                        self.told += [progress.text]
                    self._check_bounds()
                    self.azure.pass_time(0.5 if progress and progress.soon else 35)
                    if self.looks == 60:  # whoever has come to run tasks ends them some time
                        self._end_tasks()
        return list(ended.values())

    def _end_tasks(self) -> None:
        for visible in self.account.nodes(self.azure.pool_id):
            if visible.now.state.value == "running":
                self.account.mark_node(self.azure.pool_id, visible.node.id, "idle")

    def _repair(self, owner: str) -> Repair:
        return Repair(self.azure.pool_id, self.policy, owner=owner)

    def _check_claim(self, progress: Progress) -> None:
        """Done: every node that was asked for is ready, at this moment, and so are those that came."""
        pool = self.account.pool(self.azure.pool_id)
        handled = {action["node"] for action in progress.actions}
        replaced = [a for a in progress.actions if a["step"] == "replace" and a["result"] != "refused"]
        for visible in self.account.nodes(self.azure.pool_id):
            shown = self.account.extensions_of(pool, visible)["secretext"].outcome
            came_for_one = bool(replaced) and visible.node.id not in self.first
            if visible.node.id in handled or came_for_one:
                assert (shown, visible.now.state.value in ("idle", "running")) == ("succeed", True)
            assert shown != "fail" or visible.now.state.value not in ("idle", "running")
        if replaced and not self.taken_away:
            assert len(node_ids(self.azure)) == sum(targets(self.azure))

    def _check_bounds(self) -> None:
        found = journal(self.azure) or {}
        records = found.get("records", [])
        assert len(records) <= self.policy.max_actions
        under_way = sum(record[-1] in (0, 1) for record in records)
        assert under_way <= self.policy.most_at_once(self.history.nodes), records


@pytest.mark.long
@settings(
    max_examples=COUNT,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=HISTORIES)
def test_random_histories(azure: Any, books: Books, history: History) -> None:
    azure.emulator.faults.clear()
    azure.emulator.requests.clear()
    books.done.clear()
    books.wrong.clear()
    azure.pool_id = f"heal-{next(_numbers)}"
    rules = [ExtensionScenario(extension="secretext", **rule) for rule in history.rules]
    azure.emulator.scenario = Scenario(extensions=rules)
    azure.create(history.nodes)
    azure.emulator.faults.add(*(read_fault(fault) for fault in history.faults))
    world = World(azure, books, history)
    try:
        ends = world.play()
        azure.emulator.faults.clear()
        _judge(azure, books, world, ends)
    finally:
        azure.emulator.faults.clear()
        azure.emulator.account.delete_pool(azure.pool_id, at_once=True)


def _judge(azure: Any, books: Books, world: World, ends: list[Progress]) -> None:
    """What has to be true in the end, however it went."""
    history = world.history
    for step in ("reboot", "reimage", "replace"):
        event(f"{step}: {'some' if books.count(step) else 'none'}")
    for end in ends:
        event(f"ended {end.stage.value}")
    assert books.wrong == []
    # A reboot may have been asked for twice where its answer was lost; a machine is taken away once.
    taken = [node for step, nodes in books.done if step == "replace" for node in nodes]
    assert len(taken) == len(set(taken))
    assert len(taken) <= world.policy.max_actions
    azure.pass_time(600)
    has, wanted = sum(targets(azure)), history.nodes - world.taken_away
    assert has >= wanted or any("somebody has set the targets" in text for text in world.told), (has, wanted)
    assert has <= history.nodes
    if not world.taken_away:
        assert len(node_ids(azure)) == history.nodes
    found = journal(azure) or {}
    assert "targets" not in found
    assert "by" not in found
    assert all(end.stage is Stage.DONE or end.text for end in ends)
