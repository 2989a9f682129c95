"""What one seed makes of the main run: its pools, how they fare, and the gates that wait for them.

Pure, and read by two sides: the DAG files, which make tasks of it, and the tests, which make a scenario of
the emulator of it. It does not say how a gate has to end: that is told from the emulator's books.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["ready", "failing", "hanging", "short"]
_SHARES: dict[Kind, float] = {"failing": 0.14, "hanging": 0.12, "short": 0.14}
_POOLS_PER_DAG = 5

#: When a gate gives up whose pool never gets ready.
HANGS_SECONDS = 30.0

#: How many pools and gates there are, and for which seeds; the environment of every process says it.
POOLS = int(os.environ.get("BATCHEXT_BED_POOLS", "50"))
GATES = int(os.environ.get("BATCHEXT_BED_GATES", "4"))
SEEDS = tuple(int(word) for word in os.environ.get("BATCHEXT_BED_SEEDS", "1").split())


@dataclass(frozen=True)
class GatePlan:
    """One gate.

    :param task_id: its task.
    :param from_trigger: whether it starts in the triggerer.
    :param timeout: seconds until it gives up.
    """

    task_id: str
    from_trigger: bool
    timeout: float


@dataclass(frozen=True)
class PoolPlan:
    """One pool: ``kind`` is what becomes of it.

    :param pool_id: its name.
    :param dag_id: the DAG that makes it.
    :param nodes: how many nodes it asks for.
    :param steady_after: seconds from its creation until it is steady.
    :param extension_after: seconds from a node's appearing until its extension is done, node by node.
    :param waits_for_nodes: whether the task that creates it waits until it is steady.
    """

    pool_id: str
    dag_id: str
    kind: Kind
    nodes: int
    steady_after: float
    extension_after: tuple[float, ...]
    waits_for_nodes: bool
    gates: tuple[GatePlan, ...]


def kills_dag_ids(seed: int) -> list[str]:
    """The DAGs of a seed's run."""
    return [f"kills-{seed}-{number:02}" for number in range(-(-POOLS // _POOLS_PER_DAG))]


def plan(seed: int) -> list[PoolPlan]:
    """The pools of a seed's run; always the same ones."""
    draw = random.Random(f"plan {seed}")
    kinds: list[Kind] = [kind for kind, share in _SHARES.items() for _ in range(round(share * POOLS))]
    kinds += ["ready"] * (POOLS - len(kinds))
    draw.shuffle(kinds)
    return [_pool(seed, number, kind, draw) for number, kind in enumerate(kinds)]


def _pool(seed: int, number: int, kind: Kind, draw: random.Random) -> PoolPlan:
    nodes = draw.randint(1, 4)
    return PoolPlan(
        pool_id=f"kills-{seed}-{number:02}",
        dag_id=kills_dag_ids(seed)[number // _POOLS_PER_DAG],
        kind=kind,
        nodes=nodes,
        steady_after=round(draw.uniform(5, 60), 1),
        extension_after=tuple(round(draw.uniform(5, 90), 1) for _ in range(nodes)),
        waits_for_nodes=kind != "short" and draw.random() < 0.3,
        gates=tuple(
            GatePlan(
                f"gate-{gate}",
                from_trigger=gate % 2 == 1,
                timeout=HANGS_SECONDS if kind == "hanging" else 1800,
            )
            for gate in range(GATES)
        ),
    )


def scenario(pools: list[PoolPlan]) -> Mapping[str, Any]:
    """What the emulator has to do for it, as ``Scenario.load`` reads it."""
    return {
        # Everything by the wall clock, and quicker than in Azure.
        "timings": {"creating": 2, "starting": 3, "deletion": 6, "leaving": 4},
        "pools": [dict(_of_pool(pool)) for pool in pools],
        "extensions": [rule for pool in pools for rule in _of_extensions(pool)],
    }


def _of_pool(pool: PoolPlan) -> Iterator[tuple[str, Any]]:
    yield from (("pool", pool.pool_id), ("steady_after", pool.steady_after))
    if pool.kind == "short":
        yield from (("resize_error", "AccountCoreQuotaReached"), ("nodes_allocated", pool.nodes - 1))


def _of_extensions(pool: PoolPlan) -> Iterator[dict[str, Any]]:
    for node, after in enumerate(pool.extension_after):
        rule: dict[str, Any] = {"pool": pool.pool_id, "node": node, "extension": "agent", "after": after}
        if node == pool.nodes - 1 and pool.kind == "failing":
            rule |= {"outcome": "fail", "code": "7", "message": "no such vault"}
        if node == pool.nodes - 1 and pool.kind == "hanging":
            rule = {key: value for key, value in rule.items() if key != "after"} | {"outcome": "hang"}
        yield rule


def faults() -> list[dict[str, Any]]:
    """What the wire does meanwhile: storms of throttling, errors, lost connections; by the wall clock.

    The sign-in is left alone but for its share of lost connections.
    """
    storm = {"action": "throttle", "retry_after": 3, "probability": 0.7, "count": 1_000_000}
    rare = {"count": 1_000_000, "start": 0, "until": 100_000}
    return [
        {**storm, "plane": "data", "start": 15, "until": 21, "every": 40},
        {**storm, "plane": "management", "start": 5, "until": 9, "every": 45},
        {**rare, "plane": "data", "action": "error", "status": 503, "probability": 0.03},
        {**rare, "plane": "management", "action": "error", "status": 500, "probability": 0.03},
        {**rare, "plane": "management", "method": "PUT", "action": "drop", "performed": True}
        | {"probability": 0.15},
        {**rare, "plane": "management", "method": "DELETE", "action": "error", "status": 502}
        | {"performed": True, "probability": 0.15},
        {**rare, "action": "drop", "probability": 0.02},
        {**rare, "plane": "data", "action": "truncate", "probability": 0.01},
        {**rare, "plane": "data", "action": "garble", "status": 502, "probability": 0.01},
        {**rare, "plane": "data", "action": "slow", "seconds": 2, "probability": 0.01},
    ]
