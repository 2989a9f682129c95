"""Many gates on many pools, while processes are killed, services restarted, and the service throttles.

What Airflow itself loses in such a run it tries again: every task has retries, as with any user whose
machines can be lost. Each seed has its own pools, fates, moments and victims.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest

from airflow_batchext.emulator import Emulator, Scenario
from tests.distributed.books import Books, PoolRecord
from tests.distributed.chaos import HOW_OFTEN, Chaos, blows
from tests.distributed.plan import (
    GATES,
    HANGS_SECONDS,
    POOLS,
    SEEDS,
    PoolPlan,
    faults,
    kills_dag_ids,
    plan,
    scenario,
)

if TYPE_CHECKING:
    from tests.distributed.bed import Bed
    from tests.distributed.figures import Figures

PATIENCE = 1500
pytestmark = [pytest.mark.distributed, pytest.mark.timeout(PATIENCE + 300)]

#: The emulator's clock counts on from the wall's, which may be set in between.
TOLERANCE = 0.1
ENDED = ("success", "failed")


@dataclass
class Instance:
    """How a task ended, by Airflow's database. Times are seconds since the epoch.

    ``start`` is that of the first try. ``end`` is that of a try, but not always of the last one: where a gate
    that starts in the triggerer is tried again, Airflow 3.3.2 leaves it as it was.
    """

    state: str
    tries: int
    start: float
    end: float
    #: How its tries before the last one ended.
    before: list[str] = field(default_factory=list)


@dataclass
class Run:
    """One seed's run, when it is over."""

    seed: int
    pools: list[PoolPlan]
    records: dict[str, PoolRecord]
    instances: dict[str, Instance]
    work: list[dict[str, object]]
    requests: list[tuple[str, str, int]]
    seconds: float

    def gates(self) -> Iterator[tuple[PoolPlan, str, Instance]]:
        """Every gate: its pool, its task, how it ended."""
        for pool in self.pools:
            for gate in pool.gates:
                task_id = f"{pool.pool_id}.{gate.task_id}"
                yield pool, task_id, self.instances[task_id]


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed-{seed}")
def run(request: pytest.FixtureRequest, bed: Bed, service: Emulator, figures: Figures) -> Run:
    """The run of one seed, played to its end; what happened goes into the figures."""
    seed: int = request.param
    pools = plan(seed)
    service.scenario = Scenario.load(scenario(pools))
    service.requests.clear()
    bed.revived.clear()
    journal = bed.home / "work.jsonl"
    journal.unlink(missing_ok=True)
    for dag_id in kills_dag_ids(seed):
        bed.wait_for(f"the DAG {dag_id}", lambda dag_id=dag_id: bed.get(f"dags/{dag_id}"), 120)
    began = time.monotonic()
    with Books(service) as books, faulty(service):
        dag_ids = kills_dag_ids(seed)
        for dag_id in dag_ids:
            bed.wait_for(f"a run of {dag_id}", lambda dag_id=dag_id: bed.begin(dag_id, "only"), 120)
        names = [pool.pool_id for pool in pools]
        with Chaos(bed, blows(seed), lambda: books.progress(names)) as chaos:
            bed.wait_for(
                "the runs to end",
                lambda: chaos.works() and all(ended(bed, dag_id) for dag_id in dag_ids),
                PATIENCE,
            )
            seconds = time.monotonic() - began
    bed.wait_for("Airflow to be healthy again", bed._healthy, 120)
    instances = read_instances(bed, seed)
    work = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    done = Run(seed, pools, books.records, instances, work, list(service.requests), seconds)
    note(done, chaos, bed, figures)
    return done


@contextmanager
def faulty(service: Emulator) -> Iterator[None]:
    """Let the service misbehave for the length of the block."""
    service.faults.add(*Scenario.load({"faults": faults()}).faults)
    try:
        yield
    finally:
        service.faults.clear()


def ended(bed: Bed, dag_id: str) -> bool:
    try:
        return bed.get(f"dags/{dag_id}/dagRuns/only")["state"] in ENDED
    except httpx.HTTPError:
        return False


def read_instances(bed: Bed, seed: int) -> dict[str, Instance]:
    """Every task of the run."""
    where = f"where dag_id like 'kills-{seed}-%'"
    times = "coalesce(extract(epoch from start_date), 0), coalesce(extract(epoch from end_date), 0)"
    rows = bed.postgres.query(f"select task_id, state, try_number, {times} from task_instance {where}")
    found = {row[0]: Instance(row[1], int(row[2]), float(row[3]), float(row[4])) for row in rows}
    history = f"select task_id, state, {times} from task_instance_history {where} order by try_number"
    for task_id, state, start, _ in bed.postgres.query(history):
        found[task_id].before.append(state)
        found[task_id].start = min(found[task_id].start, float(start) or float("inf"))
    return found


def note(run: Run, chaos: Chaos, bed: Bed, figures: Figures) -> None:
    gates = [instance for _, _, instance in run.gates()]
    statuses = Counter(status for _, _, status in run.requests)
    figures.add(
        run.seed,
        {
            "pools": POOLS,
            "gates": len(gates),
            "open": sum(gate.state == "success" for gate in gates),
            "failed": sum(gate.state == "failed" for gate in gates),
            **{f"{what} down": chaos.dealt[what] for what in HOW_OFTEN},
            "ended by themselves": sum(bed.revived.values()),
            "requests": len(run.requests),
            "throttled": statuses[429],
            "errors": sum(count for status, count in statuses.items() if status >= 500),
            "cut": statuses[0],
            "tries lost": sum(
                max(0, instance.tries - 1)
                for instance in run.instances.values()
                if instance.state == "success"
            ),
            "seconds": round(run.seconds),
        },
    )


def test_every_gate_has_the_right_verdict(run: Run):
    right = {
        task: "success" if run.records[pool.pool_id].opens else "failed" for pool, task, _ in run.gates()
    }
    assert len(right) == POOLS * GATES
    assert {task: instance.state for _, task, instance in run.gates()} == right


def test_the_books_say_what_was_planned(run: Run):
    """Else the verdicts would be right for a run in which nothing went wrong."""
    for pool in run.pools:
        record = run.records[pool.pool_id]
        assert (record.ready is not None) == (pool.kind == "ready")
        assert (record.failed is not None) == (pool.kind == "failing")
        assert (record.short is not None) == (pool.kind == "short")


def test_no_gate_ends_before_its_pool_has_come_so_far(run: Run):
    early = []
    for pool, task_id, instance in run.gates():
        decided = run.records[pool.pool_id].decided
        since = instance.start + HANGS_SECONDS - 1 if decided is None else decided - TOLERANCE
        if instance.end < since:
            early.append((task_id, instance.end - since))
    assert early == []
    for line in run.work:
        ready = run.records[str(line["pool"])].ready
        assert ready is not None
        assert float(str(line["at"])) >= ready - TOLERANCE


def test_no_gate_ends_twice_and_what_is_behind_it_runs_once(run: Run):
    again = {task: instance.before for _, task, instance in run.gates() if "success" in instance.before}
    assert again == {}, "a gate that was open was tried again"
    traces = Counter((line["pool"], line["gate"]) for line in run.work)
    expected = Counter(
        (pool.pool_id, gate.task_id)
        for pool in run.pools
        for gate in pool.gates
        if run.records[pool.pool_id].opens
    )
    assert set(traces) == set(expected)
    tries = Counter((line["pool"], line["gate"], line["try"]) for line in run.work)
    assert max(tries.values()) == 1, "one try of the work behind a gate ran twice"
    for (pool, gate), count in traces.items():
        lost = run.instances[f"{pool}.work-{gate}"].tries - 1
        assert count <= 1 + lost, "it ran again though Airflow had not lost it"


def test_no_pool_is_made_twice_or_forgotten(run: Run, service: Emulator):
    assert {pool.pool_id: run.records[pool.pool_id].made for pool in run.pools} == {
        pool.pool_id: 1 for pool in run.pools
    }
    for pool in run.pools:
        puts = [s for method, path, s in run.requests if method == "PUT" and f"/{pool.pool_id}?" in path]
        assert puts.count(200) <= 1
        assert puts.count(200) + puts.count(0) >= 1
        assert run.records[pool.pool_id].deleted is not None
    left = [pool.name for pool in service.account.pools() if pool.name.startswith(f"kills-{run.seed}-")]
    assert left == []


def test_nothing_is_left_deferred_and_no_trigger_is_left(run: Run, bed: Bed):
    states = {instance.state for instance in run.instances.values()}
    assert states <= {"success", "failed", "upstream_failed"}
    bed.wait_for(
        "the triggers to be gone", lambda: bed.postgres.query("select count(*) from trigger") == [["0"]], 90
    )


def test_no_gate_is_asked_for_when_the_run_is_over(run: Run, service: Emulator):
    before = len(service.requests)
    time.sleep(12)  # more than two intervals
    since = [request.path for request in list(service.requests)[before:]]
    assert [path for path in since if f"/kills-{run.seed}-" in path] == []
