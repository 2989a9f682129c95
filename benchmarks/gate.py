"""What a gate costs in reads, side by side with the naive loop and with the least that is possible.

Three histories of a pool, in simulated time, at a poll interval of 30 seconds:

ready      nodes appear with their extensions succeeded, as in the one recording of the real service
staggered  extensions succeed one after the other over five minutes
tail       95 of 100 are ready at once, the rest within half an hour

*reads*: requests of the gate (a node list of more than 1,000 nodes is several). *naive*: a loop that reads
pool, node list and every node's extensions at every poll. *floor*: each node once and one node list per poll
of the naive loop. *delay*: seconds from the last success until the gate opens. *notice*: seconds from the
failure of one node until the gate closes, while another node hangs. Reads are the mean over gates that begin
to look at five different moments, delay and notice the longest; both include the time of the reads
themselves (0.05 s each, eight at a time).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from statistics import mean

from airflow_batchext.batch.data_plane import Phase
from airflow_batchext.rules.gate import Outcome
from airflow_batchext.rules.watch import Watch
from benchmarks.machine import markdown
from benchmarks.simulation import NEVER, Boot, SimulatedNode, SimulatedPool, play

INTERVAL = 30.0
SIZES = (10, 100, 1_000, 10_000)
APPEARS, BOOTS = 124.0, 28.0
#: Seconds after the pool's creation at which a gate looks first.
PHASES = (0.0, 6.0, 12.0, 18.0, 24.0)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    history: str
    nodes: int
    reads: int
    naive: int
    floor: int
    delay: float
    notice: float


def done_times(history: str, count: int) -> list[float]:
    """When each node's extensions have succeeded, in seconds after the node has appeared."""
    random = Random(7)
    if history == "ready":
        return [0.0] * count
    if history == "staggered":
        return [300 * random.random() for _ in range(count)]
    return [1800 * random.random() if random.random() < 0.05 else 0.0 for _ in range(count - 1)] + [1800.0]


def pool_of(times: list[float], phases: list[Phase] | None = None) -> SimulatedPool:
    phases = phases or [Phase.SUCCEEDED] * len(times)
    nodes = [
        SimulatedNode(f"n{i}", (Boot(APPEARS, APPEARS + BOOTS, APPEARS + done, phase),))
        for i, (done, phase) in enumerate(zip(times, phases, strict=True))
    ]
    return SimulatedPool(nodes, target=len(nodes), steady=APPEARS + 1)


def naive(times: list[float]) -> tuple[int, int]:
    """Reads and polls of a loop that reads everything at every poll, until all is ready."""
    count = len(times)
    ready = APPEARS + max(1.0, *times)
    pages = -(-count // 1000)
    polls = reads = 0
    at = 0.0
    while True:
        polls += 1
        there = at >= APPEARS
        reads += 1 + (pages + count if there else 1)
        at += INTERVAL
        if at - INTERVAL >= ready:
            return reads, polls


def measure(history: str, count: int) -> Row:
    """The mean of gates that begin to look at different moments; of the times, the longest."""
    times = done_times(history, count)
    ready = APPEARS + max(1.0, *times)
    failing = [NEVER, *[200.0] * (count - 1)], [Phase.PENDING, *[Phase.SUCCEEDED] * (count - 2), Phase.FAILED]
    reads, delays, notices = [], [], []
    for phase in PHASES:
        pool = pool_of(times)
        pool.now = phase
        ending = play(pool, Watch("p"), INTERVAL, deadline=1e6)
        if ending.verdict.outcome is not Outcome.OPEN:
            raise AssertionError(ending.verdict.listed())
        reads.append(sum(pool.reads.values()))
        delays.append(ending.at - ready)
        bad = pool_of(*failing)
        bad.now = phase
        notices.append(play(bad, Watch("p"), INTERVAL, deadline=1e6).at - (APPEARS + 200.0))
    naive_reads, polls = naive(times)
    return Row(
        history,
        count,
        reads=round(mean(reads)),
        naive=naive_reads,
        floor=count + polls * -(-count // 1000),
        delay=max(delays),
        notice=max(notices),
    )


def rows(sizes: tuple[int, ...] = SIZES) -> Iterator[Row]:
    for history in ("ready", "staggered", "tail"):
        for count in sizes:
            yield measure(history, count)


def report() -> str:
    """Measure and tell."""
    head = (
        "history",
        "nodes",
        "reads",
        "naive",
        "floor",
        "reads/floor",
        "naive/reads",
        "delay s",
        "notice s",
    )
    return markdown(
        head,
        (
            (
                row.history,
                *(f"{count:,}" for count in (row.nodes, row.reads, row.naive, row.floor)),
                f"{row.reads / row.floor:.2f}",
                f"{row.naive / row.reads:.1f}",
                f"{row.delay:.0f}",
                f"{row.notice:.0f}",
            )
            for row in rows()
        ),
    )
