"""Several gates on one pool at once, each with rules, an age and a deadline of its own: each ends rightly.

What happens to the pool is drawn; what is true of it then, the test knows by itself. Some of the gates ask
the same and look together; reads are throttled now and then, and extensions may be upgraded.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace

import pytest

from airflow_batchext.emulator.faults import read_fault
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
    """What the nodes' extensions say, and which pool of that name it is."""

    def __init__(self):
        self.says = dict.fromkeys(range(NODES), "hang")
        self.pool = 0

    def of(self, gate):
        """What the gate comes to if it looks at everything now."""
        if gate.has_looked and gate.pool != self.pool:
            return "failed"
        failed = sum(said == "fail" for said in self.says.values())
        may = min(gate.rules.get("max_failed_nodes", 0), NODES - max(1, gate.rules.get("min_nodes", 0)))
        if failed > may:
            return "failed" if gate.rules.get("on_failure") != "wait" else "waits"
        return "waits" if "hang" in self.says.values() else "open"


@pytest.mark.parametrize("seed", range(examples(72) // 3))
async def test_each_gate_ends_as_is_right_by_its_own_rules(azure, seed):
    random, truth = Random(seed), Truth()
    machine = document()["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    (extension,) = machine["extensions"]
    extension["enableAutomaticUpgrade"] = random.random() < 0.5
    azure.create(NODES, extensions=[extension])
    for node in range(NODES):
        azure.emulator.account.set_extension(azure.pool_id, node, "secretext", outcome="hang")
    throttled = {"action": "throttle", "path": "*/extensions", "probability": random.choice([0.01, 0.1])}
    azure.emulator.faults.add(read_fault(throttled))
    gates: list[Gate] = []
    try:
        for _ in range(6):
            for _ in range(random.randint(0, 3) or len(gates) == 0):
                gate = Gate(random.choice(RULES), random.choice([1.5, 4.0, 900.0]), truth.pool)
                gate.task = asyncio.create_task(gate.run(azure))
                gates.append(gate)
            await until(lambda: all(gate.has_looked or gate.task.done() for gate in gates))
            await settle(truth, gates, {})
            before = {id(gate): truth.of(gate) for gate in gates}
            happen(azure, random, truth)
            await settle(truth, gates, before)
    finally:
        azure.emulator.faults.clear()
        for gate in gates:
            gate.task.cancel()
        await asyncio.gather(*(gate.task for gate in gates), return_exceptions=True)


def happen(azure, random, truth):
    account = azure.emulator.account
    if random.random() < 0.15:
        account.recreate_pool(azure.pool_id)
        truth.pool += 1
        truth.says = dict.fromkeys(range(NODES), "succeed")
    else:
        for node in random.sample(range(NODES), random.randint(1, NODES)):
            truth.says[node] = random.choice(OUTCOMES)
            account.set_extension(azure.pool_id, node, "secretext", outcome=truth.says[node])
    azure.pass_time(PASSES)


async def settle(truth, gates, before):
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
        # A look may have begun just before.
        right = {truth.of(gate), before.get(id(gate))} if event["status"] == "failed" else {truth.of(gate)}
        assert event["status"] in right, (gate.rules, truth.says, event)
        if event["status"] == "open":  # what passes at a happening may pass within one look
            age = event["report"]["oldest_reading_seconds"]
            assert age <= max(gate.rules.get("max_age", 300.0), PASSES + 60.0)


def may_wait(truth):
    """Whether one that hangs may keep a gate from noticing that another has failed."""
    return "hang" in truth.says.values()
