"""What one gate may take from the looks of others at the same pool, and what is its own to know.

Pure: no I/O, no clock, no Airflow.

=====================================  ==============================================================
what is known                          whose it is
=====================================  ==============================================================
what nodes and extensions said         everybody's who asks the same of the pool (``watch.Watch``)
that the gate has to wait              everybody's until the next look is due
that it opens, or has failed           a gate's own, whose look began after the gate had asked; who only
                                       tells what is seen takes it until the next look is due
what a look cut short has come to      only of whom it was cut for
on which pool the gate was set, when   the gate's own (``OwnPool``)
=====================================  ==============================================================
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from airflow_batchext.rules.gate import Outcome, Verdict, created_anew

#: For so long after a gate was set may a pool that nobody has seen be one that the service does not show yet.
NEWBORN_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A verdict, and the look that it is of.

    :param began: when the look began, by the clock by which gates say when they asked.
    :param is_whole: whether it was a whole look, not a glance at what kept the gate closed.
    """

    verdict: Verdict
    began: float
    is_whole: bool

    def serves(
        self, *, since: float, asked: float, is_due: bool, is_last: bool, only_tells: bool = False
    ) -> bool:
        """Whether a gate may take it for its own.

        :param since: when the gate was set.
        :param asked: when the gate asked: its own turn.
        :param is_due: whether the next look is due.
        :param is_last: whether the gate has no other look after this one.
        :param only_tells: whether it is no gate, but only tells what is seen, look by look.
        """
        if self.verdict.cut or self.began < since:
            return False
        if self.began > asked:
            return self.is_whole or not is_last
        return (only_tells or self.verdict.outcome is Outcome.WAIT) and not is_due and not is_last


@dataclass(slots=True)
class OwnPool:
    """The pool on which one gate was set.

    :param created: its ``creationTime``, where it is known; learnt from the first verdict that tells it.
    :param set_at: when the gate was set, in seconds since the epoch.
    """

    created: str | None = None
    set_at: float = float("-inf")

    def judge(self, verdict: Verdict, now: float, *, is_last: bool = False) -> Verdict:
        """What a look at the pool of that name means for this gate.

        :param now: the time by the clock by which the gate was set.
        """
        pool = verdict.pool
        if verdict.is_missing and not self.created and not is_last and now < self.set_at + NEWBORN_SECONDS:
            return replace(verdict, outcome=Outcome.WAIT)
        if pool is None or not pool.created:
            return verdict
        if self.created and pool.created != self.created:
            reason = created_anew(pool, self.created)
            return replace(verdict, outcome=Outcome.FAIL, reasons=(reason,), nodes={}, moved=False)
        self.created = pool.created
        return verdict
