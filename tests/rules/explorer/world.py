"""What is true at each instant of a run, and what may change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from airflow_batchext.batch.data_plane import Extension, Node, Phase, Pool, read_pool
from airflow_batchext.batch.whole_pool import read_whole_pool
from airflow_batchext.repair.journal import Journal, Record
from airflow_batchext.repair.requests import ReadWholePool, Remove, Resize, Restart, WriteMetadata
from airflow_batchext.rules.reads import Problem, ProblemKind, ReadExtensions, ReadNodes, ReadPool
from benchmarks.simulation import EPOCH, wire_time

NAME = "secretext"
READ_SECONDS = 0.5
OK, BUSY, BAD = Phase.SUCCEEDED, Phase.PENDING, Phase.FAILED
JUMP = 400.0
#: More than any history needs.
_MOST_READS = 2000
_THROTTLED = Problem(ProblemKind.PASSING, "429")
_MISSING = Problem(ProblemKind.MISSING, "404")


class WrongError(AssertionError):
    """The gate did what it must not do."""


@dataclass(frozen=True)
class Machine:
    """One node at one instant: its boot, its state, what its extension says."""

    id: str
    state: str = "idle"
    since: float = -900.0
    booted: float | None = -900.0
    phase: Phase = OK
    dedicated: bool = True
    busy: bool = False

    @property
    def boot(self) -> tuple[str, float | None]:
        return self.id, self.booted


@dataclass(frozen=True)
class Now:
    """All that is true at one instant."""

    nodes: tuple[Machine, ...]
    targets: tuple[int, int] = (2, 0)
    created: float = -1000.0
    here: bool = True
    steady: bool = True
    changed: float = -950.0
    scaled: bool = True
    journal: str = ""


@lru_cache(maxsize=4096)
def _node(machine: Machine) -> Node:
    booted = "" if machine.booted is None else wire_time(machine.booted)
    return Node(
        machine.id, machine.state, booted, wire_time(machine.since), (), wire_time(-950.0), machine.dedicated,
        machine.busy,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _pool(now: Now) -> tuple[dict[str, Any], Pool]:
    kinds = [sum(m.dedicated is kind for m in now.nodes) for kind in (True, False)]
    body = {
        "id": "p",
        "state": "active",
        "creationTime": wire_time(now.created),
        "allocationState": "steady" if now.steady else "resizing",
        "allocationStateTransitionTime": wire_time(now.changed),
        "targetDedicatedNodes": now.targets[0],
        "targetLowPriorityNodes": now.targets[1],
        "currentDedicatedNodes": kinds[0],
        "currentLowPriorityNodes": kinds[1],
        "enableAutoScale": not now.scaled,
        "virtualMachineConfiguration": {"extensions": [{"name": NAME}]},
        "eTag": now.journal,
        "metadata": [{"name": "batchext-repair", "value": now.journal}] if now.journal else [],
    }
    return body, read_pool(body)


class World:
    """What is true, and all that was."""

    def __init__(
        self,
        nodes: tuple[Machine, ...],
        targets: tuple[int, int],
        succeeds_at: float,
        changes: tuple[tuple[int, str], ...],
    ) -> None:
        self.time = 0.0
        self.now = Now(nodes, targets)
        self.past: list[tuple[float, Now]] = [(-1e9, self.now)]
        self._changes = sorted(changes, key=lambda change: change[0])
        self.reads = 0
        self._at_first = self.now
        self._succeeds_at = succeeds_at
        self.throttled = self.cancels = False
        self.acts: list[tuple[float, Any]] = []
        self.sleeps: list[tuple[float, float]] = []

    def clock(self) -> float:
        return EPOCH + self.time

    def let(self, **change: Any) -> None:
        self.now = Now(**{**self.now.__dict__, **change})
        self.past.append((self.time, self.now))

    def node(self, index: int, **change: Any) -> None:
        nodes = list(self.now.nodes)
        if index < len(nodes):
            nodes[index] = Machine(**{**nodes[index].__dict__, **change})
            self.let(nodes=tuple(nodes))

    def answer(self, read: Any) -> Any:
        """Answer a read, or do what is asked for; what is to happen at it happens just before."""
        while self._changes and self._changes[0][0] <= self.reads:
            CHANGES[self._changes.pop(0)[1]](self)
        self.reads += 1
        if self.reads > _MOST_READS:
            raise WrongError("reads without an end")
        if self.time >= self._succeeds_at:
            self._succeeds_at = float("inf")
            for i, machine in enumerate(self.now.nodes):
                if machine in self._at_first.nodes and machine.phase is BUSY:
                    self.node(i, phase=OK)
        self.time += READ_SECONDS / 2
        answer = self._answered(read)
        self.time += READ_SECONDS / 2
        return answer

    def _answered(self, read: Any) -> Any:
        if self.throttled and not isinstance(read, (WriteMetadata, Restart, Remove, Resize)):
            self.throttled = False
            return _THROTTLED
        now = self.now
        if isinstance(read, ReadExtensions):
            return {i: self._extensions(i) for i in read.node_ids}
        if not now.here:
            return _MISSING
        match read:
            case ReadPool():
                return _pool(now)[1]
            case ReadNodes():
                return [_node(machine) for machine in now.nodes]
            case ReadWholePool():
                return read_whole_pool(_pool(now)[0])
            case WriteMetadata(items, _):
                self.let(journal=dict(items).get("batchext-repair", ""))
                return self.now.journal
            case _:
                return self._do(read)

    def _extensions(self, node_id: str) -> Any:
        found = next((machine for machine in self.now.nodes if machine.id == node_id), None)
        if found is None or not self.now.here:
            return _MISSING
        return (_EXTENSIONS[found.phase],)

    def _do(self, act: Any) -> str:
        self.acts.append((self.time, act))
        ids = act.node_ids if isinstance(act, Remove) else (getattr(act, "node_id", ""),)
        at = [i for i, machine in enumerate(self.now.nodes) if machine.id in ids]
        if isinstance(act, Restart):
            for i in at:
                self.node(i, state="idle", booted=self.time, since=self.time, phase=OK)
        elif isinstance(act, Remove):
            left = tuple(machine for machine in self.now.nodes if machine.id not in ids)
            targets = (self.now.targets[0] - len(at), self.now.targets[1])
            self.let(nodes=left, targets=targets, changed=self.time)
        else:
            more = act.dedicated - len(self.now.nodes)
            new = tuple(
                Machine(f"new{len(self.past)}-{i}", since=self.time, booted=self.time) for i in range(more)
            )
            self.let(nodes=self.now.nodes + new, targets=(act.dedicated, act.low_priority), changed=self.time)
        return ""


_EXTENSIONS = {
    phase: Extension(NAME, NAME, phase, f"ProvisioningState/{phase.value}", "") for phase in (OK, BUSY, BAD)
}


def _of(index: int, **change: Any) -> Callable[[World], None]:
    return lambda world: world.node(index, **{k: world.time if v is ... else v for k, v in change.items()})


def _anew(world: World) -> None:
    fresh = tuple(
        Machine(m.id, since=world.time, booted=world.time, dedicated=m.dedicated) for m in world.now.nodes
    )
    world.let(created=world.time, nodes=fresh, here=True)


def _jump(world: World) -> None:
    world.sleeps.append((world.time, world.time + JUMP))
    world.time += JUMP


def _somebody_repairs(world: World) -> None:
    """Another run has something under way on a node, and goes on with it for long."""
    record = Record("0123456789", "reboot", "x", int(EPOCH), int(EPOCH), 0, owner="another")
    journal = Journal(by="another", by_name="another", until=int(EPOCH) + 80_000, records=[record])
    world.let(journal=journal.write())


def _throttle(world: World) -> None:
    world.throttled = True


def _cancel(world: World) -> None:
    world.cancels = True


def _taken(index: int) -> Callable[[World], None]:
    return lambda world: world.let(nodes=tuple(m for i, m in enumerate(world.now.nodes) if i != index))


def _more(world: World) -> None:
    targets = (world.now.targets[0] + 1, world.now.targets[1])
    world.let(targets=targets, steady=False, changed=world.time)


def _come(world: World) -> None:
    missing = sum(world.now.targets) - len(world.now.nodes)
    new = tuple(
        Machine(f"m{len(world.past)}-{i}", since=world.time, booted=world.time) for i in range(missing)
    )
    world.let(nodes=world.now.nodes + new, steady=True, changed=world.time)


CHANGES: dict[str, Callable[[World], None]] = {
    **{
        f"{what} {i}": _of(i, **change)
        for i in (0, 1)
        for what, change in {
            "fails": {"phase": BAD},
            "succeeds": {"phase": OK},
            "upgrades": {"phase": BUSY},
            "is preempted": {"state": "preempted", "since": ...},
            "is another machine": {"state": "creating", "since": ..., "booted": None, "phase": BUSY},
            "boots anew": {"state": "idle", "since": ..., "booted": ..., "phase": BUSY},
            "boots again, stale": {"state": "starting", "since": ...},
            "breaks": {"state": "unusable", "since": ...},
            "recovers": {"state": "idle", "since": ..., "phase": OK},
            "leaves": {"state": "leavingpool", "since": ...},
        }.items()
    },
    "is taken 0": _taken(0),
    "more are wanted": _more,
    "they come": _come,
    "is resized": lambda world: world.let(steady=False, changed=world.time),
    "fewer are wanted": lambda world: world.let(targets=(1, world.now.targets[1]), changed=world.time),
    "is deleted": lambda world: world.let(here=False),
    "is created anew": _anew,
    "formula": lambda world: world.let(scaled=False),
    "is being repaired": _somebody_repairs,
    "throttled": _throttle,
    "long ago": _jump,
    "cancelled": _cancel,
}
