"""Autoscale formulas and the pools that they are about: what a formula can see of a pool, and refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.autoscale import (
    LONGEST_FORMULA,
    Evaluation,
    NotModelledError,
    Outlook,
    evaluate,
)
from airflow_batchext.emulator.account.autoscale_syntax import FormulaSyntaxError
from airflow_batchext.emulator.account.lifecycle import NodeState, node_at
from airflow_batchext.emulator.wire.errors import not_modelled, refusal

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_batchext.emulator.account.account import Account
    from airflow_batchext.emulator.account.pools import Pool

_USABLE = {NodeState.IDLE, NodeState.RUNNING}


def evaluate_formula(account: Account, pool: Pool, formula: str, now: datetime) -> Evaluation:
    """Evaluate a formula on a pool as of a time. Refused where it cannot be read or is not modelled."""
    if len(formula) > LONGEST_FORMULA:
        raise refusal("AutoScalingFormulaTooLong")

    def sample(variable: str, at: datetime) -> float:
        if "Task" in variable:
            return float(account.jobs.counts_of_pool(pool.name, at)[variable.removeprefix("$")])
        dedicated, low_priority = account.counts_at(pool, at)
        if variable == "$CurrentDedicatedNodes":
            return float(dedicated)
        if variable == "$CurrentLowPriorityNodes":
            return float(low_priority)
        states = [node_at(node.history, at) for node in pool.nodes.values()]
        if variable == "$PreemptedNodeCount":
            return float(sum(state is not None and state.state is NodeState.PREEMPTED for state in states))
        return float(sum(state is not None and state.state in _USABLE for state in states))

    scale = pool.definition.scale
    outlook = Outlook(
        now=now,
        created=pool.created,
        targets=(scale.dedicated, scale.low_priority),
        slots_per_node=pool.definition.properties["taskSlotsPerNode"],
        sample=sample,
    )
    try:
        return evaluate(formula, outlook)
    except FormulaSyntaxError as problem:
        raise refusal("AutoScalingFormulaSyntaxError", Message=str(problem)) from None
    except NotModelledError as problem:
        raise not_modelled(f"{problem} in an autoscale formula") from None
