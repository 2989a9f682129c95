"""A pool that lives in simulated time, for playing histories to the gate's rules: no sockets, no waiting.

The tests play random histories and check that the gate never opens early and always ends; the benchmark
plays three typical ones at scale and counts reads. Every read takes simulated time, so the pool moves on
while it is being looked at.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING

from airflow_batchext.batch.data_plane import (
    BATCH_OWN_EXTENSION,
    CARRYING_STATES,
    VOID_STATES,
    Extension,
    Node,
    Phase,
    Pool,
)
from airflow_batchext.rules.gate import Outcome, Verdict
from airflow_batchext.rules.reads import Problem, Read, ReadExtensions, ReadNodes, ReadPool

if TYPE_CHECKING:
    from airflow_batchext.rules.watch import Watch

EPOCH = 1_800_000_000.0
NAME = "secretext"
NEVER = float("inf")

_CODES = {
    Phase.SUCCEEDED: "ProvisioningState/succeeded",
    Phase.PENDING: "ProvisioningState/transitioning",
    Phase.FAILED: "ProvisioningState/failed/1",
}


@dataclass(frozen=True)
class Boot:
    """One boot of a node, all times in seconds from the start of the history.

    ``down``: the machine goes (``void_state`` until ``up``); ``up``: a machine is there, joining;
    ``booted``: the node agent reports (idle); ``done``: the extension ends in ``phase``; ``agent_done``:
    Batch's own extension ends in ``agent``. Where that is a failure the agent never reports.
    """

    up: float
    booted: float
    done: float
    phase: Phase = Phase.SUCCEEDED
    down: float = NEVER
    void_state: str = "preempted"
    broken: float = NEVER
    agent_done: float = 0.0
    agent: Phase = Phase.SUCCEEDED


@dataclass(frozen=True)
class SimulatedNode:
    """A node with its boots in the order of time. Before the first one it is not listed."""

    id: str
    boots: tuple[Boot, ...]
    leaves: float = NEVER

    def boot_at(self, t: float) -> Boot | None:
        index = bisect.bisect_right(self.boots, t, key=lambda boot: boot.up) - 1
        return self.boots[index] if index >= 0 else None

    def state_at(self, t: float) -> tuple[str, float] | None:
        """State and since when, or None while it is not listed."""
        boot = self.boot_at(t)
        if boot is None or t >= self.leaves + 30:
            return None
        if t >= self.leaves:
            return "leavingpool", self.leaves
        if t >= boot.down:
            return boot.void_state, boot.down
        if t >= boot.broken:
            return "unusable", boot.broken
        has_joined = t >= boot.booted and boot.agent is not Phase.FAILED
        return ("idle", boot.booted) if has_joined else ("creating", boot.up)

    def phase_at(self, t: float) -> Phase:
        boot = self.boot_at(t)
        return boot.phase if boot is not None and t >= boot.done else Phase.PENDING

    def agent_at(self, t: float) -> Phase:
        boot = self.boot_at(t)
        return boot.agent if boot is not None and t >= boot.agent_done else Phase.PENDING

    def read_at(self, t: float) -> Node | None:
        state = self.state_at(t)
        boot = self.boot_at(t)
        if state is None or boot is None:
            return None
        return _node(self.id, state[0], boot.booted if t >= boot.booted else None, state[1])


@dataclass
class SimulatedPool:
    """A pool of simulated nodes. It is steady from ``steady`` on; ``faults`` may answer a read instead."""

    nodes: Sequence[SimulatedNode]
    target: int
    steady: float = 0.0
    deleted: float = NEVER
    upgrades: frozenset[str] = frozenset()
    faults: Callable[[Read, float], Problem | None] = lambda read, t: None
    read_seconds: float = 0.05
    concurrent_reads: int = 8
    now: float = 0.0
    reads: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[float, Read]] = field(default_factory=list)

    @cached_property
    def by_id(self) -> dict[str, SimulatedNode]:
        return {node.id: node for node in self.nodes}

    def clock(self) -> float:
        return EPOCH + self.now

    def answer(self, read: Read) -> object:
        """Answer as the service would at this moment, and let the time pass that it takes."""
        fault = self.faults(read, self.now)
        self.asked.append((self.now, read))
        match read:
            case ReadPool():
                self.reads["pool"] += 1
                answer: object = fault or self.pool_at(self.now)
            case ReadNodes():
                self.reads["nodes"] += max(1, -(-len(self.nodes) // 1000))
                answer = fault or [node for n in self.nodes if (node := n.read_at(self.now)) is not None]
            case ReadExtensions(node_ids):
                self.reads["extensions"] += len(node_ids)
                answer = {}
                for i, node_id in enumerate(node_ids):
                    at = self.now + self.read_seconds * (i // self.concurrent_reads)
                    node = self.by_id[node_id]
                    answer[node_id] = fault or (
                        extension(node.phase_at(at)),
                        extension(node.agent_at(at), BATCH_OWN_EXTENSION),
                    )
                self.now += self.read_seconds * (-(-len(node_ids) // self.concurrent_reads) - 1)
        self.now += self.read_seconds
        return answer

    def pool_at(self, t: float) -> Pool:
        listed = sum(n.state_at(t) is not None for n in self.nodes)
        return Pool(
            id="p",
            state="deleting" if t >= self.deleted else "active",
            allocation_state="steady" if t >= self.steady else "resizing",
            allocation_since=wire_time(self.steady if t >= self.steady else 0.0),
            created=wire_time(0.0),
            target=self.target,
            current=listed,
            extension_names=(NAME,),
            upgrades_itself=self.upgrades,
        )

    def ready_at(self, t: float) -> bool:
        """Whether the gate's promise holds at that moment, stated from scratch."""
        states = [(n, s[0]) for n in self.nodes if (s := n.state_at(t)) is not None and s[0] != "leavingpool"]
        return (
            self.steady <= t < self.deleted
            and 0 < len(states) >= self.target
            and all(state in CARRYING_STATES and n.phase_at(t) is Phase.SUCCEEDED for n, state in states)
            and all(state == "idle" or n.agent_at(t) is Phase.SUCCEEDED for n, state in states)
        )


@lru_cache(maxsize=8192)
def _node(node_id: str, state: str, booted: float | None, since: float) -> Node:
    return Node(node_id, state, "" if booted is None else wire_time(booted), wire_time(since), ())


@cache
def extension(phase: Phase, name: str = NAME) -> Extension:
    return Extension(name, name, phase, _CODES[phase], "said so")


@lru_cache(maxsize=8192)
def wire_time(t: float) -> str:
    return datetime.fromtimestamp(EPOCH + t, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def look(pool: SimulatedPool, watch: Watch, *, whole: bool = False) -> Verdict:
    """One look, in simulated time."""
    flow = watch.look(pool.clock, whole=whole)
    read = next(flow)
    while True:
        try:
            read = flow.send(pool.answer(read))  # type: ignore[arg-type]
        except StopIteration as end:
            verdict: Verdict = end.value
            return verdict


@dataclass(frozen=True)
class Ending:
    """How a gate ended, when, after how many looks, and when its last reads were made."""

    verdict: Verdict
    at: float
    looks: int
    first_read: float
    last_nodes_read: float


def play(pool: SimulatedPool, watch: Watch, interval: float, deadline: float) -> Ending:
    """Look again and again, as the trigger does, until the gate ends or the deadline has passed."""
    looks = 0
    while True:
        looks += 1
        start = len(pool.asked)
        began = pool.now
        verdict = look(pool, watch, whole=pool.now >= deadline)
        node_reads = [t for t, read in pool.asked[start:] if isinstance(read, ReadNodes)]
        if verdict.outcome is not Outcome.WAIT or pool.now >= deadline:
            return Ending(verdict, pool.now, looks, began, node_reads[-1] if node_reads else began)
        pool.now = min(pool.now + watch.pause(interval, verdict), max(deadline, pool.now))


__all__ = [
    "EPOCH",
    "NAME",
    "NEVER",
    "VOID_STATES",
    "Boot",
    "Ending",
    "SimulatedNode",
    "SimulatedPool",
    "look",
    "play",
]
