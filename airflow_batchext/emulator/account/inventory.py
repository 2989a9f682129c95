"""What exists in the emulated account, and how it is looked up. Nothing is changed here.

Everything that a pool or a node shows is computed when asked, from facts and the clock. What has become due
in the meantime (autoscale, tasks that end) is caught up with before anything is looked up.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account import lifecycle
from airflow_batchext.emulator.account.extensions import ExtensionNow, extensions_at
from airflow_batchext.emulator.account.lifecycle import NodeNow, NodeState, States
from airflow_batchext.emulator.account.pools import Node, Pool, VisibleNode, waits_for_certificates
from airflow_batchext.emulator.account.runs import SimulatedRuns
from airflow_batchext.emulator.account.work import occupied
from airflow_batchext.emulator.scenario import SYSTEM_EXTENSION, ExtensionRun, Scenario
from airflow_batchext.emulator.wire.errors import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_batchext.emulator.account.clock import Clock
    from airflow_batchext.emulator.account.runs import Runs

_MICROSECOND = timedelta(microseconds=1)


class NodeView:
    """The nodes of a pool at one time. Of a large pool, only those that are looked at are computed."""

    def __init__(self, pool: Pool, now: datetime) -> None:
        """Look at a pool."""
        self.nodes = pool.order()
        """By id, visible or not."""
        self._now = now
        self._states = States(now)

    def state(self, node: Node) -> NodeNow | None:
        """The state of a node, or None if it is not visible."""
        state = self._states.of(node.history)
        return state and occupied(state, node.work, self._now)

    def is_visible(self, node: Node) -> bool:
        """Whether a node is there."""
        return self.state(node) is not None

    def visible(self, node: Node) -> VisibleNode:
        """A node that is visible."""
        state = self.state(node)
        if state is None:
            raise LookupError("the node is not visible")
        return VisibleNode(node, state)


class Inventory:
    """The pools of an account and their nodes. Hold ``lock`` around calls that belong together."""

    def __init__(self, clock: Clock, scenario: Scenario, seed: int) -> None:
        """Start with nothing. The same ``seed`` gives nodes of the same ids."""
        self.clock = clock
        self.scenario = scenario
        self.lock = threading.RLock()
        self.runs: Runs = SimulatedRuns(lambda: self.scenario)
        self._seed = seed
        self._pools: dict[str, Pool] = {}
        self._last_stamp = clock.now() - _MICROSECOND

    # --- pools ---------------------------------------------------------------------------------------------

    def pools(self) -> list[Pool]:
        """The pools that exist, by name."""
        with self.lock:
            self._catch_up()
            return sorted(self._pools.values(), key=lambda pool: pool.name.casefold())

    def find(self, name: str) -> Pool | None:
        """A pool, or None."""
        with self.lock:
            self._catch_up()
            return self._pools.get(name.casefold())

    def pool(self, name: str) -> Pool:
        """A pool; refused with PoolNotFound if there is none."""
        pool = self.find(name)
        if pool is None:
            raise refusal("PoolNotFound")
        return pool

    # --- nodes ---------------------------------------------------------------------------------------------

    def nodes(self, pool: str) -> list[VisibleNode]:
        """The visible nodes of a pool in the order of allocation, each with its state now."""
        with self.lock:
            return list(self._visible(self.pool(pool)))

    def view(self, pool: str) -> NodeView:
        """The nodes of a pool by id, for those who do not want them all."""
        with self.lock:
            return NodeView(self.pool(pool), self.clock.now())

    def node(self, pool: str, node: int | str) -> VisibleNode:
        """A visible node by its place in the order of allocation or by its id."""
        with self.lock:
            nodes, now = self.pool(pool).nodes, self.clock.now()
            found = nodes.get(node) if isinstance(node, str) else None
            if isinstance(node, int):
                found = next((other for other in nodes.values() if other.index == node), None)
            state = lifecycle.node_at(found.history, now) if found else None
            if found is None or state is None:
                raise refusal("NodeNotFound")
            return VisibleNode(found, occupied(state, found.work, now))

    def counts(self, pool: str) -> tuple[int, int]:
        """How many dedicated and low-priority nodes are visible, preempted ones included."""
        with self.lock:
            return self.counts_at(self.pool(pool), self.clock.now())

    def counts_at(self, pool: Pool, now: datetime) -> tuple[int, int]:
        """The same as of a time."""
        states = States(now)
        kinds = Counter(node.is_dedicated for node in pool.nodes.values() if states.of(node.history))
        return kinds[True], kinds[False]

    # --- extensions ----------------------------------------------------------------------------------------

    def extensions(self, pool: str, node: int | str) -> dict[str, ExtensionNow]:
        """What each extension of a node shows now, Batch's own included."""
        with self.lock:
            return self.extensions_of(self.pool(pool), self.node(pool, node))

    def extensions_of(self, pool: Pool, visible: VisibleNode) -> dict[str, ExtensionNow]:
        """What each extension of a visible node shows now, Batch's own first."""
        node, boot = visible.node, visible.now.boot
        waits = {
            extension["name"]
            for extension in pool.definition.extensions
            if boot.scenario.answers.key_vault_without_identity == "waits"
            and pool.definition.identity is None
            and waits_for_certificates(extension)
        }

        def run_of(extension: str) -> ExtensionRun:
            run = boot.scenario.extension_run(pool.name, node.index, node.id, extension, boot.number)
            if extension in waits and run.outcome == "succeed":
                return ExtensionRun(outcome="hang")
            return run

        wanted = [
            (extension["name"], extension.get("provisionAfterExtensions", []))
            for extension in pool.definition.extensions
        ]
        return extensions_at(visible.now, [(SYSTEM_EXTENSION, []), *wanted], run_of, node.overrides)

    # --- for those who keep the books ----------------------------------------------------------------------

    def known_pool(self, name: str) -> Pool | None:
        """A pool without catching up with what has become due."""
        return self._pools.get(name.casefold())

    def now(self) -> datetime:
        """The time, which is never before the last change: those of one instant are told apart."""
        return max(self.clock.now(), self._last_stamp)

    def stamp(self, at: datetime | None = None) -> datetime:
        """The time of a change, always later than the one before, because ETags are made of it."""
        now = self.clock.now()
        self._last_stamp = max(at or now, self._last_stamp + _MICROSECOND)
        if self._last_stamp > now:
            # On a clock that stands still a change takes a moment, so that nothing is before what it follows.
            self.clock.step((self._last_stamp - now).total_seconds())
        return self._last_stamp

    # --- inside --------------------------------------------------------------------------------------------

    @contextmanager
    def _changing(self, name: str) -> Iterator[tuple[Pool, datetime]]:
        with self.lock:
            pool = self.pool(name)
            if pool.deleted:
                raise refusal("PoolBeingDeleted")
            yield pool, self.clock.now()

    @contextmanager
    def _touching(self, pool: str, node: int | str) -> Iterator[tuple[Node, datetime]]:
        with self.lock:
            found = self.node(pool, node)
            if found.now.state is NodeState.LEAVING_POOL:
                raise refusal("OperationInvalidForCurrentState", Reason="The node is leaving its pool")
            yield found.node, self.clock.now()

    def _visible(self, pool: Pool, now: datetime | None = None) -> Iterator[VisibleNode]:
        now = now or self.clock.now()
        states = States(now)
        for node in pool.nodes.values():
            state = states.of(node.history)
            if state is not None:
                yield VisibleNode(node, occupied(state, node.work, now))

    def _catch_up(self) -> None:
        self._forget_the_gone()

    def _forget_the_gone(self) -> None:
        now = self.clock.now()
        gone = [key for key, pool in self._pools.items() if pool.gone is not None and pool.gone <= now]
        for key in gone:
            del self._pools[key]

    def _snapshot(self) -> Scenario:
        return self.scenario.model_copy(deep=True)
