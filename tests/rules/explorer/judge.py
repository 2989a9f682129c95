"""Judges what gates come to by what was true at each instant, by definitions of its own."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_batchext.repair.requests import Remove, Restart
from airflow_batchext.rules.deadline import LATE_LOOK_SECONDS, Deadline, Turns
from airflow_batchext.rules.gate import Outcome, Verdict
from airflow_batchext.rules.sharing import OwnPool
from benchmarks.simulation import wire_time
from tests.rules.explorer.world import BAD, OK, READ_SECONDS, Machine, Now, World, WrongError

if TYPE_CHECKING:
    from airflow_batchext.batch.data_plane import Phase
    from tests.rules.explorer.runs import Setup

#: So long all may be well before a gate that is awake has opened.
MOST_SECONDS_TO_OPEN = 125.0
_CARRYING = {"idle", "creating", "starting"}


class Gate:
    """One gate, as the trigger runs it."""

    def __init__(self, world: World, deadline: float, wake: float) -> None:
        self.wake, self.since = wake, wake
        self.turns = Turns(Deadline(deadline, lambda: world.time))
        self.own = OwnPool(set_at=-100.0)
        self.ended: tuple[str, Verdict | None] | None = None
        self.is_last = False


class Judge:
    """Knows what was true at each instant, and nothing of reads."""

    def __init__(self, world: World, setup: Setup) -> None:
        self.world, self.setup, self.rules = world, setup, setup.rules
        self._last_look = 0.0

    def looked(self, verdict: Verdict, began: float) -> None:
        self._last_look = began
        if verdict.outcome is Outcome.OPEN and verdict.ended < verdict.began:
            raise WrongError("ended before it began")
        oldest = [node.read_at for node in verdict.nodes.values() if node.read_at is not None]
        age = self.world.clock() - min(oldest, default=verdict.began)
        if verdict.outcome is Outcome.OPEN and age > max(self.rules.max_age, self.world.time - began):
            raise WrongError(f"rests on a reading of {age:g} s ago")
        if (
            verdict.outcome is Outcome.OPEN
            and abs(verdict.age - max(age, verdict.ended - verdict.began)) > 0.01
        ):
            raise WrongError(f"says {verdict.age:g} s of a reading of {age:g} s ago")
        if verdict.outcome is Outcome.WAIT and not verdict.reasons:
            raise WrongError("waits for nothing")

    def ended(self, gate: Gate, asked: float) -> None:
        assert gate.ended is not None
        outcome, verdict = gate.ended
        end, deadline = self.world.time, self.setup.deadline
        if outcome == "timeout":
            end = max(end, deadline)
        limit = deadline if gate.since < deadline else gate.since + LATE_LOOK_SECONDS
        # Who sleeps over a deadline ends when the machine wakes.
        for slept, woke in self.world.sleeps:
            limit = woke if slept <= limit < woke else limit
        if end > limit + READ_SECONDS + 0.01:
            raise WrongError(f"ended {end - limit:g} s after its deadline")
        if outcome == "open":
            self._check_open(verdict, asked, end)
        elif outcome == "fail":
            if not any(self._fails(now, gate, end) for now in self._instants(asked, end)):
                raise WrongError(f"failed for what is not so: {verdict and verdict.listed()}")
        else:
            self._check_missed(end)
        self._check_acts(is_last=gate.is_last)

    def _instants(self, start: float, end: float) -> Iterator[Now]:
        """What was so at some instant between these two."""
        past = self.world.past
        for i, (at, now) in enumerate(past):
            until = past[i + 1][0] if i + 1 < len(past) else float("inf")
            if at <= end and until > start:
                yield now

    def _said(self, machine: Machine, start: float, end: float) -> set[Phase]:
        """What the extension of the node has said between these two, on the boot that it has."""
        return {
            other.phase
            for now in self._instants(start, end)
            for other in now.nodes
            if other.boot == machine.boot and other.state in _CARRYING | {"unusable"}
            and not _is_stale(other)
        }  # fmt: skip

    def _check_open(self, verdict: Verdict | None, asked: float, end: float) -> None:
        # An extension may have said so as long ago as the gate lets it, or in this look.
        start = min(asked, end - self.rules.max_age)
        past = [*self.world.past, (float("inf"), self.world.now)]
        for (at, now), (until, _) in itertools.pairwise(past):
            # What is said only after the last moment at which this was so, was not said then.
            last = min(end, until - 1e-6)
            if at <= last and last >= asked and self._is_well(now, start, last):
                return
        raise WrongError(f"opened early, at {end:g}, asked at {asked:g}")

    def _is_well(self, now: Now, start: float, end: float) -> bool:
        rules = self.rules
        nodes = [machine for machine in now.nodes if machine.state != "leavingpool"]
        if not (now.here and now.steady) or not self._are_there(now, nodes):
            return False
        if not now.scaled and rules.min_nodes is None:
            return False
        if self._is_taken_apart(now) or (self.setup.repairs and "another" in now.journal):
            return False
        said = {machine.id: self._said(machine, start, end) for machine in nodes}
        allowed = _CARRYING & (rules.node_states or _CARRYING)
        ready = [m for m in nodes if m.state in allowed and not _is_stale(m) and OK in said[m.id]]
        others = [machine for machine in nodes if machine not in ready]
        may_fail = [m for m in others if m.state == "unusable" or BAD in said[m.id]]
        is_enough = len(ready) >= max(1, rules.min_nodes or 0)
        return is_enough and others == may_fail and len(others) <= rules.max_failed_nodes

    def _are_there(self, now: Now, nodes: list[Machine]) -> bool:
        if self.rules.min_nodes is not None:
            return len(nodes) >= self.rules.min_nodes
        dedicated = sum(machine.dedicated for machine in nodes)
        return dedicated >= now.targets[0] and len(nodes) - dedicated >= now.targets[1]

    def _is_taken_apart(self, now: Now) -> bool:
        journal = json.loads(now.journal) if now.journal else {}
        return "targets" in journal and list(now.targets) in journal.get("lowered", [])

    def _fails(self, now: Now, gate: Gate, end: float) -> bool:
        # Who shares its watch with nobody knows by that on which pool it was set.
        known = wire_time(self.world.past[0][1].created) if self.setup.repairs else gate.own.created
        if not now.here or (known and known != wire_time(now.created)):
            return True
        nodes = [machine for machine in now.nodes if machine.state != "leavingpool"]
        grace = self.rules.node_grace
        bad = [
            machine
            for machine in nodes
            if (machine.state == "unusable" and end - machine.since >= grace)
            or (machine.phase is BAD and machine.state in _CARRYING | {"unusable"} and not _is_stale(machine))
        ]
        return self.rules.on_failure == "fail" and len(bad) > self._tolerance(now, nodes)

    def _check_missed(self, end: float) -> None:
        """A gate that ends at its deadline must not have missed what was so all the time before."""
        since, now = self.world.past[-1]
        since, end = max(since, 0.0), min(end, self.setup.deadline)
        if not (self._is_well(now, since, end) and all(m.phase is OK for m in now.nodes)):
            return
        # A broken node is waited for until its grace is over.
        broken = [m.since + self.rules.node_grace for m in now.nodes if m.state == "unusable"]
        since = max([since, *broken])
        awake = end - since - sum(max(0.0, min(b, end) - max(a, since)) for a, b in self.world.sleeps)
        if awake > MOST_SECONDS_TO_OPEN:
            raise WrongError(f"did not open, though all was well for {awake:g} s")

    def _check_acts(self, *, is_last: bool) -> None:
        for at, act in self.world.acts:
            if isinstance(act, (Restart, Remove)) and is_last and at >= self._last_look:
                raise WrongError(f"began {act} at the last look")
            if isinstance(act, (Restart, Remove)):
                before = list(self._instants(at - 3 * READ_SECONDS, at))
                if not any(self._is_ill(now) for now in before):
                    raise WrongError(f"{act}, though no more nodes had failed than may")

    def _is_ill(self, now: Now) -> bool:
        nodes = [machine for machine in now.nodes if machine.state != "leavingpool"]
        bad = sum(machine.phase is BAD or machine.state == "unusable" for machine in nodes)
        return bad > self._tolerance(now, nodes)

    def _tolerance(self, now: Now, nodes: list[Machine]) -> int:
        """How many may have failed: not so many that too few are left, if no others are to come."""
        enough = max(1, self.rules.min_nodes or 0)
        if len(nodes) >= max(enough, sum(now.targets)):
            return min(self.rules.max_failed_nodes, len(nodes) - enough)
        return self.rules.max_failed_nodes


def _is_stale(machine: Machine) -> bool:
    """Whether what the node says is of a boot before: it joins again, and shows no new boot."""
    joining = machine.state in ("creating", "starting")
    return joining and machine.booted is not None and machine.booted < machine.since
