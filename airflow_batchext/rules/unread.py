"""What a look comes to where something could not be read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_batchext.rules.gate import Outcome, Verdict
from airflow_batchext.rules.reads import Problem, ProblemKind

if TYPE_CHECKING:
    from airflow_batchext.batch.data_plane import Pool


def pool_unread(problem: Problem, pool_id: str) -> Verdict:
    """The verdict where the pool could not be read."""
    if problem.kind is ProblemKind.MISSING:
        reason = f"pool {pool_id} does not exist (any more): {problem.text}"
        return Verdict(Outcome.FAIL, (reason,), is_missing=True)
    return _unread(problem, f"pool {pool_id}", None)


def nodes_unread(problem: Problem, pool: Pool) -> Verdict:
    """The verdict where the pool's node list could not be read."""
    return _unread(problem, "the node list", pool)


def _unread(problem: Problem, what: str, pool: Pool | None) -> Verdict:
    refused = problem.kind is ProblemKind.REFUSED
    outcome = Outcome.FAIL if refused else Outcome.WAIT
    reason = f"{what} could not be read: {problem.text}"
    return Verdict(outcome, (reason,), pool, retry_after=problem.retry_after, unread=True, refused=refused)


def held_by(problem: Problem, last: Verdict) -> Verdict | None:
    """What a glance without an answer comes to: it waits if that may pass, else a whole look has to tell."""
    if not problem.may_pass:
        return None
    return replace(last, retry_after=problem.retry_after, unread=True)
