"""Several gates on one pool at once, each with rules, an age and a deadline of its own: each ends rightly.

What happens to the pool is drawn; what is true of it then, the test knows by itself. Some of the gates ask
the same and look together; reads are throttled or slow now and then, and extensions may be upgraded. A look
that is under way while something happens may see some nodes before it and others after it.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace

import pytest

from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.rules.gate import Outcome
from airflow_batchext.rules.watch import Watch
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from tests.conftest import document
from tests.examples import examples
from tests.waiting import until

NODES = 4
RULES = (
    {},
    {"max_age": 0.0},
    {"max_age": 1000.0},
    {"on_failure": "wait"},
    {"max_failed_nodes": 1},
    {"max_failed_nodes": NODES, "min_nodes": 1},
    {"max_failed_nodes": 2, "min_nodes": 3},
    {"max_failed_nodes": 1, "on_failure": "wait", "max_age": 60.0},
)
OUTCOMES = ("succeed", "succeed", "fail", "hang")
#: Seconds that pass at each happening: more than what was read may be old for most gates.
PASSES = 400.0
#: What a loaded machine may take beside a deadline, in seconds.
SLACK = 5.0


@dataclass
class Gate:
    """One gate, and what it may come to."""

    rules: dict
    seconds: float
    pool: int
    began: float = field(default_factory=time.time)
    task: asyncio.Task | None = None
    has_looked: bool = False
    ended_at: float = 0.0

    async def run(self, azure):
        trigger = AzureBatchExtensionTrigger(
            pool_id=azure.pool_id,
            azure_batchext_conn_id="official",
            poll_interval=0.1,
            deadline=self.began + self.seconds,
            started=self.began,
            rules=self.rules,
        )
        trigger._log = SimpleNamespace(info=self._looked)
        event = await anext(aiter(trigger.run()))
        self.ended_at = time.time()
        return event.payload

    def _looked(self, *_):
        self.has_looked = True


class Truth:
    """What the nodes' extensions say, and which pool of that name it is: now, and before each happening."""

    def __init__(self):
        self.says = dict.fromkeys(range(NODES), "hang")
        self.pool = 0
        self.before: list[tuple[dict[int, str], int]] = []

    def of(self, gate):
        """What the gate comes to if it looks at everything now."""
        return _comes_to(gate, self.says, self.pool)

    def was_of(self, gate):
        """What it came to before the last happening."""
        return _comes_to(gate, *(self.before[-1] if self.before else (self.says, self.pool)))

    def may_be_of(self, gate, came_to):
        """What it may come to, as it remembers who was ready, and may look while something happens.

        :param came_to: what those looks have come to that were under way at the last happening.
        """
        lately = self.before[-int(gate.rules.get("max_age", 300.0) // PASSES) or len(self.before) :]
        if not self.before or self.before[-1][1] != self.pool:
            return {self.of(gate)} | ({self.was_of(gate)} & came_to)
        may_say = []
        for node in range(NODES):
            said = {self.says[node]} | ({self.before[-1][0][node]} if came_to else set())
            remembered = {says[node] for says, pool in lately if pool == self.pool}
            may_say.append(said | (remembered & {"succeed"}))
        mixed = {_comes_to(gate, dict(enumerate(said)), self.pool) for said in itertools.product(*may_say)}
        return {self.of(gate)} | (mixed & (came_to | ({"open"} if lately else set())))


def _comes_to(gate, says, pool):
    if gate.has_looked and gate.pool != pool:
        return "failed"
    failed = sum(said == "fail" for said in says.values())
    may = min(gate.rules.get("max_failed_nodes", 0), NODES - max(1, gate.rules.get("min_nodes", 0)))
    if failed > may:
        return "failed" if gate.rules.get("on_failure") != "wait" else "waits"
    return "waits" if "hang" in says.values() else "open"


class Looks:
    """The looks that are under way, and what those have come to that began before the last happening."""

    def __init__(self, monkeypatch):
        self._under_way: set[Iterator] = set()
        self._over_it: set[Iterator] = set()
        self.came_to: set[str] = set()
        look = Watch.look

        def noted(watch, *args, **kwargs):
            reads = look(watch, *args, **kwargs)
            self._under_way.add(reads)
            try:
                verdict = yield from reads
                if reads in self._over_it:
                    self.came_to.add(
                        {Outcome.OPEN: "open", Outcome.FAIL: "failed"}.get(verdict.outcome, "waits")
                    )
                return verdict
            finally:
                self._under_way.discard(reads)

        monkeypatch.setattr(Watch, "look", noted)

    async def go_on(self):
        """What happens next, those that are under way may see in part; none of them more than that."""
        await until(lambda: not self._over_it & self._under_way)
        self._over_it, self.came_to = set(self._under_way), set()


@pytest.mark.parametrize("seed", range(examples(72) // 3))
async def test_each_gate_ends_as_is_right_by_its_own_rules(azure, monkeypatch, seed):
    random, truth, looks = Random(seed), Truth(), Looks(monkeypatch)
    machine = document()["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    (extension,) = machine["extensions"]
    extension["enableAutomaticUpgrade"] = random.random() < 0.5
    azure.create(NODES, extensions=[extension])
    for node in range(NODES):
        azure.emulator.account.set_extension(azure.pool_id, node, "secretext", outcome="hang")
    throttled = {"action": "throttle", "path": "*/extensions", "probability": random.choice([0.01, 0.1])}
    slow = {"action": "slow", "path": "*/extensions", "probability": 0.1, "seconds": 0.05}
    for fault in (throttled, slow):
        azure.emulator.faults.add(read_fault(fault))
    gates: list[Gate] = []
    try:
        for _ in range(6):
            for _ in range(random.randint(0, 3) or len(gates) == 0):
                gate = Gate(random.choice(RULES), random.choice([1.5, 4.0, 900.0]), truth.pool)
                gate.task = asyncio.create_task(gate.run(azure))
                gates.append(gate)
            await until(lambda: all(gate.has_looked or gate.task.done() for gate in gates))
            await settle(truth, gates, looks)
            await looks.go_on()
            happen(azure, random, truth)
            await settle(truth, gates, looks)
    finally:
        azure.emulator.faults.clear()
        for gate in gates:
            gate.task.cancel()
        await asyncio.gather(*(gate.task for gate in gates), return_exceptions=True)


def happen(azure, random, truth):
    account = azure.emulator.account
    truth.before.append((dict(truth.says), truth.pool))
    if random.random() < 0.15:
        account.recreate_pool(azure.pool_id)
        truth.pool += 1
        truth.says = dict.fromkeys(range(NODES), "succeed")
    else:
        for node in random.sample(range(NODES), random.randint(1, NODES)):
            truth.says[node] = random.choice(OUTCOMES)
            account.set_extension(azure.pool_id, node, "secretext", outcome=truth.says[node])
    azure.pass_time(PASSES)


async def settle(truth, gates, looks):
    """Wait until the gates that have to end have ended; check all that have."""
    running = [gate for gate in gates if not gate.ended_at]
    await until(
        lambda: all(gate.ended_at or truth.of(gate) == "waits" or may_wait(truth) for gate in running)
    )
    await asyncio.sleep(0.3)
    for gate in running:
        if not gate.task.done():
            continue
        event = gate.task.result()
        late = gate.ended_at - gate.began - gate.seconds
        if event["status"] == "timeout":
            assert 0 <= late < SLACK, event
            continue
        assert late < SLACK
        right = truth.may_be_of(gate, looks.came_to)
        if event["status"] == "failed":  # one that hangs may have kept it from noticing until just before
            right.add(truth.was_of(gate))
        assert event["status"] in right, (gate.rules, truth.before, truth.says, event)
        if event["status"] == "open":  # the clock that a look begins by may not know yet what has passed
            age = event["report"]["oldest_reading_seconds"]
            assert age <= max(gate.rules.get("max_age", 300.0), PASSES + 60.0)


def may_wait(truth):
    """Whether one that hangs may keep a gate from noticing that another has failed."""
    return "hang" in truth.says.values()
