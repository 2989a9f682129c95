"""A repair behind a gate: where the gate would fail, nodes are mended, and then it is asked again.

A ``Healing`` is looked with as a ``watch.Watch`` is. While a repair is under way the gate stays closed, also
when another process has begun it: the pool itself remembers that.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_batchext.repair.course import Progress, Repair, Stage
from airflow_batchext.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from airflow_batchext.watch import Watch

#: How often it is looked for nodes that are stuck, at least.
_LEAST_STUCK_SECONDS = 60.0


class Healing:
    """A gate that has nodes mended before it fails.

    :param watch: the gate.
    :param repair: mends them; it has to keep its journal.
    :param rounds: how often the gate may fail and be mended.
    :param seconds_left: tells in how many seconds the gate gives up.
    """

    def __init__(
        self, watch: Watch, repair: Repair, *, rounds: int, seconds_left: Callable[[], float]
    ) -> None:
        self.watch, self.repair, self.rounds = watch, repair, rounds
        self._seconds_left = seconds_left
        self._begun = 0
        self._is_mending: bool | None = None
        self._last_search = float("-inf")
        self._progress: Progress | None = None

    @property
    def pool_id(self) -> str:
        """The pool's id."""
        return self.watch.pool_id

    @property
    def pool_created(self) -> str | None:
        """The ``creationTime`` of the pool on which the gate was set, once it is known."""
        return self.watch.pool_created

    @pool_created.setter
    def pool_created(self, created: str | None) -> None:
        self.watch.pool_created = created

    def look(self, clock: Callable[[], float], *, whole: bool = False) -> Generator[Any, Any, Verdict]:
        """Look at the pool, and do what comes next; ``whole`` as for ``Watch.look``."""
        if self._is_mending is None:
            self._is_mending = yield from self.repair.glance()
        if self._is_mending:
            held = yield from self._mend(clock)
            if held is not None:
                return held
        verdict = yield from self.watch.look(clock, whole=whole)
        if verdict.outcome is Outcome.OPEN:
            yield from self.repair.finish()
        elif verdict.outcome is Outcome.FAIL and verdict.nodes:
            return (yield from self._begin(verdict, clock))
        elif self._seeks_stuck(verdict, clock()):
            self._last_search = clock()
            return (yield from self._begin(verdict, clock))
        return verdict

    def pause(self, interval: float, verdict: Verdict) -> float:
        """How long to wait for the next look, in seconds."""
        if self._progress is not None and verdict.outcome is Outcome.WAIT:
            if self._progress.soon:
                return 0.0
            return max(interval, self._progress.retry_after or 0.0)
        return self.watch.pause(interval, verdict)

    def _seeks_stuck(self, verdict: Verdict, now: float) -> bool:
        stuck_after = self.repair.policy.stuck_after
        if stuck_after is None or verdict.outcome is not Outcome.WAIT or not verdict.nodes:
            return False
        return now - self._last_search >= max(_LEAST_STUCK_SECONDS, stuck_after / 4)

    def _begin(self, verdict: Verdict, clock: Callable[[], float]) -> Generator[Any, Any, Verdict]:
        """Mend what made the gate fail; fail with it if there is nothing to mend."""
        if verdict.outcome is Outcome.FAIL and self._begun >= self.rounds:
            return _with(verdict, f"{self.rounds} repairs have not opened the gate")
        held = yield from self._mend(clock)
        if held is None:
            self._progress = None
            return verdict
        self._begun += held.outcome is Outcome.WAIT
        if held.outcome is Outcome.FAIL:
            return verdict if verdict.outcome is Outcome.WAIT else replace(held, nodes=verdict.nodes)
        return replace(held, nodes=verdict.nodes, expected=verdict.expected, needed=verdict.needed)

    def _mend(self, clock: Callable[[], float]) -> Generator[Any, Any, Verdict | None]:
        """One look of the repair; None if nothing is to be mended (any more)."""
        progress = self._progress = yield from self.repair.look(clock, seconds_left=self._seconds_left())
        self._is_mending = progress.stage is Stage.WORKING
        if progress.stage is Stage.DONE:
            self._progress = None
            return None
        outcome = Outcome.WAIT if progress.stage is Stage.WORKING else Outcome.FAIL
        said = "the pool is being repaired" if outcome is Outcome.WAIT else "a repair does not help"
        return Verdict(
            outcome,
            (f"{said}: {progress.text}",),
            retry_after=progress.retry_after,
            unread=progress.unread,
        )


def _with(verdict: Verdict, reason: str) -> Verdict:
    return replace(verdict, reasons=(*verdict.reasons, reason))
