"""What the package counts, times and traces, through Airflow's own statistics and OpenTelemetry.

Where they go, and whether they go anywhere, is Airflow's: its sections ``[metrics]`` and ``[traces]``. While
they are off, a count is a call of a function that does nothing. Names, units and tags: docs/metrics.md.

Gauges come from the triggerer: a worker that waits has one gate, and several would overwrite one another.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import Stats, conf
from opentelemetry import trace

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from airflow_batchext.exceptions import BatchextError
    from airflow_batchext.rules.gate import Verdict

_THROTTLED = (429, 503)
_ATTEMPTS = "batchext_attempts"

WorkEnd = Literal["succeeded", "failed", "timed_out", "skipped"]
_WORK_ENDS: dict[WorkEnd, str] = {
    "succeeded": "batchext.work.succeeded",
    "failed": "batchext.work.failed",
    "timed_out": "batchext.work.timed_out",
    "skipped": "batchext.work.skipped",
}

_tracer = trace.get_tracer("airflow_batchext")


def answered(response: Any, plane: str) -> None:
    """Count an answer of Azure: what was asked for, whether it was throttled, whether it was a repetition.

    :param response: azure-core's ``PipelineResponse``.
    :param plane: "data" or "management".
    """
    tags = {"plane": plane}
    Stats.incr("batchext.reads" if response.http_request.method == "GET" else "batchext.writes", tags=tags)
    if response.http_response.status_code in _THROTTLED:
        Stats.incr("batchext.throttles", tags=tags)
    # The context is that of the request: the SDK's repetitions of it share it.
    attempts = response.context.get(_ATTEMPTS, 0)
    response.context[_ATTEMPTS] = attempts + 1
    if attempts:
        Stats.incr("batchext.retries", tags=tags)


def gate_opened(pool_id: str, seconds: float) -> None:
    """Count a gate that has opened, and time it: ``seconds`` have passed since it was set."""
    Stats.incr("batchext.gate.opened", tags=_of(pool_id))
    Stats.timing("batchext.gate.time_to_ready", timedelta(seconds=seconds), tags=_of(pool_id))


def gate_ended(pool_id: str, error: BatchextError | None = None, *, timed_out: bool = False) -> None:
    """Count a gate that ended without opening.

    :param error: with what it ended, where it did so with an error.
    :param timed_out: whether its deadline had passed, where it did not.
    """
    from airflow_batchext.exceptions import ExecutionTimeoutError, GateTimeoutError

    timed_out = timed_out or isinstance(error, (ExecutionTimeoutError, GateTimeoutError))
    Stats.incr(f"batchext.gate.{'timed_out' if timed_out else 'failed'}", tags=_of(pool_id))


def pool_event(pool_id: str, event: str) -> None:
    """Count an event that a watcher has fired."""
    Stats.incr("batchext.pool_events", tags={**_of(pool_id), "event": event})


def work_submitted(pool_id: str, count: int = 1) -> None:
    """Count Batch tasks that were submitted."""
    Stats.incr("batchext.work.submitted", count, tags=_of(pool_id))


def work_ended(pool_id: str, how: WorkEnd) -> None:
    """Count a task of Airflow that has run work on a pool, by its end."""
    Stats.incr(_WORK_ENDS[how], tags=_of(pool_id))


def work_ran(pool_id: str, seconds: float | None) -> None:
    """Time a Batch task: so long it ran; None where that is not known."""
    if seconds is not None:
        Stats.timing("batchext.work.run_time", timedelta(seconds=seconds), tags=_of(pool_id))


class _Waiting:
    """Those that wait in this process.

    :param name: of the gauge.
    """

    def __init__(self, name: str) -> None:
        self._name, self._count = name, 0

    def show(self) -> None:
        Stats.gauge(self._name, self._count, tags=_here())

    @contextmanager
    def one(self) -> Iterator[None]:
        self._count += 1
        self.show()
        try:
            yield
        finally:
            self._count -= 1
            self.show()


_gates, _work = _Waiting("batchext.gate.waiting"), _Waiting("batchext.work.waiting")


def gate_waiting() -> AbstractContextManager[None]:
    """Count a gate as waiting in this triggerer for the length of the block."""
    return _gates.one()


def work_waiting() -> AbstractContextManager[None]:
    """Count a task of Airflow as waiting for its work in this triggerer, for the length of the block."""
    return _work.one()


class PoolGauge:
    """How many nodes of a pool are ready, and how many there should be, as long as somebody looks at it.

    All pools that this process looks at are one number; or, with ``[batchext] metrics_pool_id``, each is one.
    A pool at which several look, each after its own rules, counts once: as it is for who asks the most of it.

    :param conn_id: the Airflow connection; in another account a pool of that id is another one.
    """

    _seen: dict[PoolGauge, tuple[int, int]] = {}

    def __init__(self, conn_id: str, pool_id: str) -> None:
        self._conn_id, self._pool_id = conn_id, pool_id

    def show(self, verdict: Verdict) -> None:
        """Show what a look has found; one that could not read anything is left out."""
        if not verdict.unread:
            self._seen[self] = max(verdict.needed or 0, len(verdict.nodes)), -verdict.ready
        self._send()
        _gates.show()

    def close(self) -> None:
        """Nobody looks at the pool any more."""
        if self._seen.pop(self, None):
            self._send()

    def _send(self) -> None:
        pools: dict[tuple[str, str], tuple[int, int]] = {}
        for gauge, counts in self._seen.items():
            if not _by_pool() or gauge._pool_id == self._pool_id:
                pool = gauge._conn_id, gauge._pool_id.lower()
                pools[pool] = max(counts, pools.get(pool, counts))
        tags = {**_here(), **_of(self._pool_id)}
        Stats.gauge("batchext.nodes.ready", -sum(minus_ready for _, minus_ready in pools.values()), tags=tags)
        Stats.gauge("batchext.nodes.wanted", sum(wanted for wanted, _ in pools.values()), tags=tags)


def look_span(pool_id: str) -> AbstractContextManager[Span]:
    """A span around one look at a pool, inside the one that Airflow has around the task or trigger."""
    return _tracer.start_as_current_span("batchext.look", attributes={"batchext.pool_id": pool_id})


def note_verdict(span: Span, verdict: Verdict) -> Verdict:
    """Write on the span what the look came to, and return that."""
    if span.is_recording():
        span.set_attribute("batchext.outcome", verdict.outcome.value)
        span.set_attribute("batchext.nodes_ready", verdict.ready)
        span.set_attribute("batchext.nodes_wanted", max(verdict.needed or 0, len(verdict.nodes)))
    return verdict


@cache
def _by_pool() -> bool:
    return bool(conf.getboolean("batchext", "metrics_pool_id", fallback=False))


def _of(pool_id: str) -> dict[str, str]:
    return {"pool_id": pool_id} if _by_pool() else {}


@cache
def _here() -> dict[str, str]:
    return {"hostname": socket.gethostname()}
