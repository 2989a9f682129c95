"""What exists in the emulated Batch account: its keys, its pools, their nodes. No wire format is known here.

Everything is computed when asked, from facts and the clock. This is also the control surface for tests and
demos: take a node away, reboot it, make one extension fail on one node, delete a pool.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import uuid
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_batchext.emulator import lifecycle
from airflow_batchext.emulator.errors import refusal
from airflow_batchext.emulator.lifecycle import (
    ExtensionNow,
    History,
    NodeNow,
    NodeState,
    Override,
    Resize,
)
from airflow_batchext.emulator.pool_document import PoolDefinition, Scale
from airflow_batchext.emulator.pools import Node, Pool, VisibleNode, resize_faults, waits_for_certificates
from airflow_batchext.emulator.scenario import (
    SYSTEM_EXTENSION,
    Course,
    Outcome,
    Scenario,
    seconds,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_batchext.emulator.clock import Clock

_REMEMBERED_DELETIONS = 1000
_MICROSECOND = timedelta(microseconds=1)


class Account:
    """A Batch account. Every method takes the lock; hold ``lock`` around calls that belong together."""

    def __init__(self, clock: Clock, scenario: Scenario, seed: int = 0) -> None:
        """Make an empty account with keys of its own."""
        self.name = "batchext"
        self.location = "westeurope"
        self.resource_group = "batchext-rg"
        self.subscription_id = str(uuid.uuid4())
        self.keys = {kind: _new_key() for kind in ("primary", "secondary")}
        self.clock = clock
        self.scenario = scenario
        self.lock = threading.RLock()
        self._seed = seed
        self._pools: dict[str, Pool] = {}
        self._deletions: dict[str, datetime] = {}
        self._generations: Counter[str] = Counter()
        self._last_stamp = clock.now() - _MICROSECOND

    # --- pools ---------------------------------------------------------------------------------------------

    def pools(self) -> list[Pool]:
        """Return the pools that exist, by name."""
        with self.lock:
            self._forget_the_gone()
            return sorted(self._pools.values(), key=lambda pool: pool.name.casefold())

    def find(self, name: str) -> Pool | None:
        """Return a pool, or None."""
        with self.lock:
            self._forget_the_gone()
            return self._pools.get(name.casefold())

    def pool(self, name: str) -> Pool:
        """Return a pool, or refuse with PoolNotFound."""
        pool = self.find(name)
        if pool is None:
            raise refusal("PoolNotFound")
        return pool

    def create_pool(self, name: str, definition: PoolDefinition) -> Pool:
        """Create a pool; its first resize starts at once."""
        with self.lock:
            existing = self.find(name)
            if existing is not None:
                raise refusal("PoolBeingDeleted" if existing.deleted else "PoolExists")
            now, stamp = self.clock.now(), self._next_stamp()
            idle = Resize(now, now, 0, 0)
            pool = Pool(name, definition, created=stamp, modified=stamp, resize=idle, scaled=stamp)
            self._generations[name.casefold()] += 1
            pool.generation = self._generations[name.casefold()]
            self._pools[name.casefold()] = pool
            self._start_resize(pool, now)
            return pool

    def update_pool(self, name: str, definition: PoolDefinition) -> Pool:
        """Replace what a pool asks for; new targets start a resize."""
        with self._changing(name) as (pool, now):
            before, pool.definition = pool.definition.scale, definition
            pool.modified = self._next_stamp()
            targets = (definition.scale.dedicated, definition.scale.low_priority)
            if targets != (before.dedicated, before.low_priority):
                self._start_resize(pool, now)
            if before != definition.scale:
                pool.scaled = pool.modified
            return pool

    def delete_pool(self, name: str, *, at_once: bool = False) -> str:
        """Delete a pool and return the id of the deletion. ``at_once`` skips the time that it takes."""
        with self._changing(name) as (pool, now):
            timings = self.scenario.timings
            pool.nodes = {visible.node.id: visible.node for visible in self._visible(pool)}
            leaving = bool(pool.nodes)
            for node in pool.nodes.values():
                node.history = lifecycle.leave(node.history, now, timings)
            pool.deleted = now
            pool.gone = now + seconds(max(timings.deletion, timings.leaving if leaving else 0.0))
            if at_once:
                pool.gone = now
            ends = now + seconds(timings.leaving) if leaving else pool.resize.cut(now).steady
            started = now if leaving else pool.resize.started
            pool.resize = Resize(started, ends, 0, 0)
            deletion = f"delete-{pool.name}-{pool.etag.removeprefix('0x')}"
            self._deletions[deletion.casefold()] = pool.gone
            while len(self._deletions) > _REMEMBERED_DELETIONS:
                del self._deletions[next(iter(self._deletions))]
            return deletion

    def recreate_pool(self, name: str) -> Pool:
        """Delete a pool at once and create it anew with the same definition: same name, another pool."""
        with self.lock:
            definition = self.pool(name).definition
            self.delete_pool(name, at_once=True)
            return self.create_pool(name, definition)

    def resize_pool(self, name: str, dedicated: int, low_priority: int = 0) -> Pool:
        """Give a pool other targets; the resize takes its time."""
        with self.lock:
            before = self.pool(name).definition
            scale = Scale(dedicated, low_priority, timeout=before.scale.timeout)
            return self.update_pool(name, replace(before, scale=scale))

    def deletion_ends(self, deletion: str) -> datetime | None:
        """Return when a deletion is or was finished, or None if there is no such deletion."""
        with self.lock:
            key = deletion.casefold()
            if key in self._deletions:
                return self._deletions[key]
            # Older versions of the service leave the ETag out of the id.
            older = [end for known, end in self._deletions.items() if known.rpartition("-")[0] == key]
            return older[-1] if older else None

    # --- nodes ---------------------------------------------------------------------------------------------

    def nodes(self, pool: str) -> list[VisibleNode]:
        """Return the visible nodes of a pool in the order of allocation, each with its state now."""
        with self.lock:
            return list(self._visible(self.pool(pool)))

    def node(self, pool: str, node: int | str) -> VisibleNode:
        """Return a visible node by its place in the order of allocation or by its id."""
        with self.lock:
            nodes = self.pool(pool).nodes
            found = nodes.get(node) if isinstance(node, str) else None
            if isinstance(node, int):
                found = next((other for other in nodes.values() if other.index == node), None)
            state = lifecycle.node_at(found.history, self.clock.now()) if found else None
            if found is None or state is None:
                raise refusal("NodeNotFound")
            return VisibleNode(found, state)

    def counts(self, pool: str) -> tuple[int, int]:
        """Return how many dedicated and low-priority nodes are visible, preempted ones included."""
        nodes = self.nodes(pool)
        dedicated = sum(visible.node.is_dedicated for visible in nodes)
        return dedicated, len(nodes) - dedicated

    def extensions(self, pool: str, node: int | str) -> dict[str, ExtensionNow]:
        """Return what each extension of a node shows now, Batch's own included."""
        with self.lock:
            return self.extensions_of(self.pool(pool), self.node(pool, node))

    def extensions_of(self, pool: Pool, visible: VisibleNode) -> dict[str, ExtensionNow]:
        """Return what each extension of a visible node shows now, Batch's own first."""
        node, boot = visible.node, visible.now.boot
        waits = {
            extension["name"]
            for extension in pool.definition.extensions
            if boot.scenario.answers.key_vault_without_identity == "waits"
            and pool.definition.identity is None
            and waits_for_certificates(extension)
        }

        def course_of(extension: str) -> Course:
            course = boot.scenario.course(pool.name, node.index, node.id, extension, boot.number)
            if extension in waits and course.outcome == "succeed":
                return Course(outcome="hang")
            return course

        wanted = [
            (extension["name"], extension.get("provisionAfterExtensions", []))
            for extension in pool.definition.extensions
        ]
        return lifecycle.extensions_at(
            visible.now, [(SYSTEM_EXTENSION, []), *wanted], course_of, node.overrides
        )

    # --- what happens to nodes -----------------------------------------------------------------------------

    def preempt_node(self, pool: str, node: int | str, back_after: float | None = None) -> None:
        """Take a node's machine away. It stays listed as ``preempted``; after some seconds it is back."""
        with self._touching(pool, node) as (found, now):
            found.history = lifecycle.preempt(found.history, now, back_after, self._snapshot())

    def reboot_node(self, pool: str, node: int | str) -> None:
        """Reboot a node, in whatever state it is; its extensions run again."""
        with self._touching(pool, node) as (found, now):
            found.history = lifecycle.reboot(found.history, now, self._snapshot())

    def mark_node(
        self,
        pool: str,
        node: int | str,
        state: NodeState | str,
        *,
        code: str | None = None,
        message: str = "",
    ) -> None:
        """Put a node in a state (``unusable``, ``starttaskfailed``, …), with an error if a code is given."""
        with self._touching(pool, node) as (found, now):
            found.history = lifecycle.mark(found.history, now, NodeState(state))
            found.errors = ((code, message),) if code else ()

    def remove_node(self, pool: str, node: int | str) -> None:
        """Take a node out of the pool for good: it leaves, and the target is one less."""
        with self._changing(pool) as (changed, now), self._touching(pool, node) as (found, _):
            timings, scale = self.scenario.timings, changed.definition.scale
            found.history = lifecycle.leave(found.history, now, timings)
            if found.is_dedicated:
                scale = replace(scale, dedicated=max(scale.dedicated - 1, 0))
            else:
                scale = replace(scale, low_priority=max(scale.low_priority - 1, 0))
            changed.definition = replace(changed.definition, scale=scale)
            changed.modified = self._next_stamp()
            steady = max(changed.resize.steady, now + seconds(timings.leaving))
            changed.resize = Resize(changed.modified, steady, scale.dedicated, scale.low_priority)

    def set_extension(
        self,
        pool: str,
        node: int | str,
        extension: str,
        *,
        outcome: Outcome,
        code: str | None = None,
        message: str | None = None,
    ) -> None:
        """Change what one extension of a living node shows, from now until the node boots again."""
        with self._touching(pool, node) as (found, now):
            names = [SYSTEM_EXTENSION] + [item["name"] for item in self.pool(pool).definition.extensions]
            name = next((name for name in names if name.casefold() == extension.casefold()), None)
            if name is None:
                raise refusal("ResourceNotFound", Reason=f"The pool has no extension '{extension}'")
            course = Course(outcome=outcome, code=code, message=message)
            found.overrides = {**found.overrides, name: Override(now, course)}

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

    def _visible(self, pool: Pool) -> Iterator[VisibleNode]:
        now = self.clock.now()
        # Most nodes of a large pool share one history, so it is evaluated once for all of them.
        known: dict[int, NodeNow | None] = {}
        for node in pool.nodes.values():
            key = id(node.history)
            if key not in known:
                known[key] = lifecycle.node_at(node.history, now)
            state = known[key]
            if state is not None:
                yield VisibleNode(node, state)

    def _forget_the_gone(self) -> None:
        now = self.clock.now()
        gone = [key for key, pool in self._pools.items() if pool.gone is not None and pool.gone <= now]
        for key in gone:
            del self._pools[key]

    def _next_stamp(self) -> datetime:
        """Return the time of a change, always later than the one before, because ETags are made of it."""
        self._last_stamp = max(self.clock.now(), self._last_stamp + _MICROSECOND)
        return self._last_stamp

    def _snapshot(self) -> Scenario:
        return self.scenario.model_copy(deep=True)

    def _start_resize(self, pool: Pool, now: datetime) -> None:
        scale, scenario = pool.definition.scale, self._snapshot()
        timings, rule = scenario.timings, scenario.resize_rule(pool.name)
        # Nodes that are gone are forgotten, and so are those on their way: they belong to the last resize.
        visible = list(self._visible(pool))
        pool.nodes = {here.node.id: here.node for here in visible}
        present = [here.node for here in visible if here.now.state is not NodeState.LEAVING_POOL]
        faults = resize_faults(pool, rule)
        come = rule.nodes_allocated if rule is not None else None
        if come is None:
            come = len(present) if faults else scale.dedicated + scale.low_priority
        missing: list[bool] = []  # of every node that is to be added: whether it is dedicated
        removed = 0
        for is_dedicated, target in ((True, scale.dedicated), (False, scale.low_priority)):
            here = [node for node in present if node.is_dedicated is is_dedicated]
            for node in here[target:]:
                node.history = lifecycle.leave(node.history, now, timings)
                removed += 1
            kept = min(len(here), target)
            wanted = max(min(target, come), kept)
            missing += [is_dedicated] * (wanted - kept)
            come -= min(wanted, come)
        if rule is not None and rule.steady_after is not None:
            length = rule.steady_after
        elif missing or faults:
            length = timings.allocation + timings.settling
        else:
            length = timings.leaving if removed else timings.empty_resize
        steady = now + seconds(length)
        history = lifecycle.first_boot(max(now, steady - seconds(timings.settling)), scenario)
        for is_dedicated in missing:
            node = self._new_node(pool, history, is_dedicated=is_dedicated)
            pool.nodes[node.id] = node
        pool.resize = Resize(pool.modified, steady, scale.dedicated, scale.low_priority, faults)

    def _new_node(self, pool: Pool, history: History, *, is_dedicated: bool) -> Node:
        index, pool.next_index = pool.next_index, pool.next_index + 1
        what = f"{self._seed}|{pool.name.casefold()}|{pool.generation}|{index}"
        digest = hashlib.sha256(what.encode()).hexdigest()
        return Node(f"tvmps_{digest}_{'d' if is_dedicated else 'p'}", index, is_dedicated, history)


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(64)).decode()
