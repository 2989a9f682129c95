"""A repair behind a gate: where the gate would fail, nodes are repaired, and then it is asked again.

A ``RepairingGate`` looks as a ``watch.Watch`` does. While a repair is under way the gate stays closed, also
when another process has begun it: the pool itself remembers that. The last look begins nothing any more, as
nobody would see it through.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_batchext.repair.status import Stage
from airflow_batchext.rules.gate import Outcome, Verdict

if TYPE_CHECKING:
    from airflow_batchext.repair.controller import Repair
    from airflow_batchext.repair.status import Progress
    from airflow_batchext.rules.deadline import Deadline
    from airflow_batchext.rules.watch import Watch

#: How often it is looked for nodes that are stuck, at least.
_LEAST_STUCK_SECONDS = 60.0


class RepairingGate:
    """A gate that has nodes repaired before it fails.

    :param watch: the gate.
    :param repair: repairs them; it has to keep its journal.
    :param deadline: when the gate gives up.
    """

    def __init__(self, watch: Watch, repair: Repair, *, deadline: Deadline) -> None:
        self.watch, self.repair = watch, repair
        self._deadline = deadline
        self._is_repairing: bool | None = None
        self._last_search = float("-inf")
        self._progress: Progress | None = None
        self._seen = Verdict(Outcome.WAIT)

    @property
    def pool_id(self) -> str:
        """The pool's id."""
        return self.watch.pool_id

    @property
    def progress(self) -> Progress | None:
        """How far the repair is; None where nothing is being repaired."""
        return self._progress

    @property
    def pool_created(self) -> str | None:
        """The ``creationTime`` of the pool on which the gate was set, once it is known."""
        return self.watch.pool_created

    @pool_created.setter
    def pool_created(self, created: str | None) -> None:
        self.watch.pool_created = created

    def look(self, clock: Callable[[], float], *, whole: bool = False) -> Generator[Any, Any, Verdict]:
        """Look at the pool, and do what comes next; ``whole`` as for ``Watch.look``: it is the last look."""
        in_vain: Verdict | None = None
        was_repairing = self._is_repairing
        if was_repairing is None:
            was_repairing = self._is_repairing = yield from self.repair.glance()
        if was_repairing:
            held = yield from self._repair_nodes(clock, is_last=whole)
            is_held = self.repair.is_pending or (held is not None and held.unread)
            if held is not None and held.outcome is Outcome.WAIT and is_held:
                return held
            in_vain = held
        # What the gate knew of the nodes was before they were repaired.
        verdict = self._seen = yield from self.watch.look(clock, whole=whole or was_repairing)
        if verdict.outcome is Outcome.OPEN:
            # Nodes that cannot be repaired, but may fail, keep no gate closed.
            return (yield from self._open(verdict, clock))
        if in_vain is not None:
            pool = verdict.pool or in_vain.pool
            return replace(in_vain, nodes=verdict.nodes, pool=pool, refused=verdict.refused)
        seeks = verdict.outcome is Outcome.FAIL or self._seeks_stuck(verdict, clock())
        if verdict.nodes and seeks and not whole:
            self._last_search = clock()
            held = yield from self._repair_nodes(clock, is_last=False)
            if held is not None:
                return held
        return verdict

    def pause(self, interval: float, verdict: Verdict) -> float:
        """How long to wait for the next look, in seconds."""
        if self._progress is not None and verdict.outcome is Outcome.WAIT:
            return self.repair.pause(interval, self._progress)
        return self.watch.pause(interval, verdict)

    def _open(self, verdict: Verdict, clock: Callable[[], float]) -> Generator[Any, Any, Verdict]:
        """Open, unless something is still under way, nobody can tell, or asking has taken too long."""
        is_repairing = yield from self.repair.finish()
        verdict = replace(verdict, ended=max(verdict.ended, clock()))
        if is_repairing is None:
            reason = "whether the pool is being repaired could not be read"
            return replace(verdict, outcome=Outcome.WAIT, reasons=(reason,), unread=True)
        self._is_repairing = is_repairing
        if is_repairing:
            return replace(verdict, outcome=Outcome.WAIT, reasons=("the pool is being repaired",))
        if verdict.is_older(self.watch.rules.max_age):
            reason = f"what was read of pool {self.pool_id} has grown too old meanwhile"
            return replace(verdict, outcome=Outcome.WAIT, reasons=(reason,), moved=True)
        return verdict

    def _seeks_stuck(self, verdict: Verdict, now: float) -> bool:
        stuck_after = self.repair.policy.stuck_after
        if stuck_after is None or verdict.outcome is not Outcome.WAIT:
            return False
        return now - self._last_search >= max(_LEAST_STUCK_SECONDS, stuck_after / 4)

    def _repair_nodes(
        self, clock: Callable[[], float], *, is_last: bool
    ) -> Generator[Any, Any, Verdict | None]:
        """One look of the repair; None if nothing is to be repaired (any more)."""
        left = 0.0 if is_last else self._deadline.left
        progress = self._progress = yield from self.repair.look(
            clock, seconds_left=left, rules=self.watch.rules, begins=not is_last
        )
        self._is_repairing = progress.stage is Stage.WORKING
        text = progress.text
        if progress.stage is Stage.DONE:
            self._progress = None
            return None
        if self._is_repairing and is_last:
            given_back = yield from self.repair.give_back(clock)
            text = ". ".join(filter(None, (text, given_back.text)))
        said = "the pool is being repaired" if self._is_repairing else "a repair does not help"
        return replace(
            self._seen,
            outcome=Outcome.WAIT if self._is_repairing else Outcome.FAIL,
            reasons=(f"{said}: {text}",),
            retry_after=progress.retry_after,
            unread=progress.unread,
            cut=progress.unread and self._deadline.has_passed,
        )
