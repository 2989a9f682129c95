"""Lets gates run as the trigger runs them, in simulated time."""

from __future__ import annotations

from typing import Any

from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.gate import RepairingGate
from airflow_batchext.repair.policy import RepairPolicy
from airflow_batchext.rules.deadline import Deadline
from airflow_batchext.rules.gate import Outcome, Verdict
from airflow_batchext.rules.reads import TOO_LATE
from airflow_batchext.rules.sharing import Taken
from airflow_batchext.rules.watch import Watch
from tests.rules.explorer.judge import Gate, Judge
from tests.rules.explorer.runs import Run, run_of
from tests.rules.explorer.world import Machine, World, WrongError

INTERVAL = 60.0


def play(run: Run) -> None:
    """Play a run to its end.

    :raises WrongError: if a gate opens early, fails wrongly, misses what is so, or ends late.
    """
    setup = run.setup
    nodes = tuple(Machine(f"n{i}", **change) for i, change in enumerate(setup.nodes))
    world = World(nodes, setup.targets, setup.succeeds_at, run.changes)
    deadline = setup.deadline
    watch: Any = _watch(run, world, deadline)
    judge = Judge(world, setup)
    gates = [Gate(world, deadline, 7.0 * i) for i in range(setup.gates)]
    taken, due = None, -1.0
    for _ in range(400):
        waiting = [gate for gate in gates if gate.ended is None]
        if not waiting:
            return
        gate = min(waiting, key=lambda gate: gate.wake)
        asked = gate.wake
        if gate.is_last and gate.turns.deadline.has_passed:
            gate.ended = "timeout", None
            judge.ended(gate, asked)
            continue
        world.time = max(world.time, asked)
        is_last = gate.turns.is_last
        if taken is None or not taken.serves(
            since=gate.since, asked=asked, is_due=world.time >= due, is_last=is_last
        ):
            if setup.forgets:
                watch = _watch(run, world, deadline, created=gate.own.created)
            began = world.time
            verdict = _look(world, watch, gate.turns.limit, whole=is_last)
            if verdict is None:  # the gate whose look it was is gone
                gates.remove(gate)
                continue
            taken, due = Taken(verdict, began, is_whole=is_last), world.time + watch.pause(INTERVAL, verdict)
            judge.looked(verdict, began)
        gate.turns.took(world.time - asked, was_whole=is_last)
        verdict = gate.own.judge(taken.verdict, world.time, is_last=is_last)
        gate.is_last = gate.turns.deadline.has_passed or (is_last and gate.turns.is_last)
        if verdict.outcome is not Outcome.WAIT:
            gate.ended = verdict.outcome.value, verdict
            judge.ended(gate, asked)
        else:
            gate.wake = world.time + gate.turns.pause(max(due - world.time, 0.0))
            if gate.is_last:
                gate.wake = max(deadline, world.time)
    raise WrongError("it hangs")


def _watch(run: Run, world: World, deadline: float, created: str | None = None) -> Any:
    setup = run.setup
    if not setup.repairs:
        notice = 0.0 if setup.forgets else 300.0
        return Watch("p", setup.rules, follows=not setup.forgets, notice_seconds=notice, pool_created=created)
    policy = RepairPolicy(settle=0.0, broken_after=setup.rules.node_grace)
    repair = Repair("p", policy, owner="me", keeps_journal=True)
    return RepairingGate(Watch("p", setup.rules), repair, deadline=Deadline(deadline, lambda: world.time))


def _look(world: World, watch: Any, deadline: Deadline, *, whole: bool) -> Verdict | None:
    flow = watch.look(world.clock, whole=whole)
    wanted = next(flow)
    while True:
        try:
            wanted = flow.send(TOO_LATE if deadline.has_passed else world.answer(wanted))
        except StopIteration as end:
            verdict: Verdict = end.value
            return verdict
        if world.cancels:
            world.cancels = False
            flow.close()
            return None


def explore(first: int, count: int, *, most: int = 5) -> list[tuple[int, str]]:
    """Play so many runs from that number on; the wrong ones, up to ``most``, each with what is wrong."""
    wrong: list[tuple[int, str]] = []
    for number in range(first, first + count):
        run = run_of(number)
        try:
            play(run)
        except Exception as error:
            wrong.append((number, f"{run.setup.name}, {run.changes}: {type(error).__name__}: {error}"))
            if len(wrong) >= most:
                break
    return wrong
