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
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from airflow_batchext.emulator.account.pools import Pool

_USABLE = {NodeState.IDLE, NodeState.RUNNING}


def evaluate_formula(
    pool: Pool,
    formula: str,
    now: datetime,
    *,
    nodes: Callable[[Pool, datetime], tuple[int, int]],
    tasks: Callable[[str, datetime], Mapping[str, int]],
) -> Evaluation:
    """Evaluate a formula on a pool as of a time. Refused where it cannot be read or is not modelled.

    ``nodes`` counts the dedicated and the low-priority nodes of a pool at a time, ``tasks`` those of its
    tasks, as formulas name them.
    """
    if len(formula) > LONGEST_FORMULA:
        raise refusal("AutoScalingFormulaTooLong")

    def sample(variable: str, at: datetime) -> float:
        if "Task" in variable:
            return float(tasks(pool.name, at)[variable.removeprefix("$")])
        dedicated, low_priority = nodes(pool, at)
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
