"""The gate's rules, out of the parameters of its sensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

from airflow_batchext.parameters import (
    check_count,
    check_extension_names,
    check_node_states,
    check_seconds,
    one_of,
)
from airflow_batchext.repair.policy import check_repair_policy
from airflow_batchext.rules.gate import Rules

if TYPE_CHECKING:
    from airflow_batchext.repair import RepairPolicy


class GateParameters(Protocol):
    """What the gate needs of its sensor, wherever it waits; the sensor's parameters say the same."""

    task_id: str
    pool_id: str
    azure_batchext_conn_id: str
    extension_names: Sequence[str] | None
    allow_empty: bool
    min_nodes: int | str | None
    node_states: Sequence[str] | None
    on_failure: Literal["fail", "wait"]
    max_failed_nodes: int
    node_grace: float | timedelta
    resize_grace: float | timedelta
    max_age: float | timedelta
    repair: RepairPolicy | Mapping[str, Any] | None
    poke_interval: float
    timeout: float
    execution_timeout: timedelta | None
    soft_fail: bool
    never_fail: bool
    exponential_backoff: bool
    max_wait: timedelta | None


def gate_rhythm(sensor: GateParameters) -> dict[str, Any]:
    """How often the gate looks, as its trigger takes it."""
    interval = sensor.poke_interval
    if not sensor.exponential_backoff:
        return {"poll_interval": interval}
    if sensor.max_wait is None:
        return {"poll_interval": interval, "exponential_backoff": True}
    longest = sensor.max_wait.total_seconds()
    return {"poll_interval": min(interval, longest), "exponential_backoff": True, "max_wait": longest}


def gate_rules(sensor: GateParameters) -> Rules:
    """What the gate asks for.

    :param sensor: its parameters, rendered.
    :raises ParameterError: if one of them cannot be used.
    """
    return Rules(
        extension_names=check_extension_names(sensor.extension_names),
        allow_empty=sensor.allow_empty,
        min_nodes=None if sensor.min_nodes is None else check_count("min_nodes", sensor.min_nodes),
        node_states=check_node_states(sensor.node_states),
        on_failure=one_of("fail", "wait")("on_failure", sensor.on_failure),
        max_failed_nodes=check_count("max_failed_nodes", sensor.max_failed_nodes),
        node_grace=check_seconds("node_grace", sensor.node_grace),
        resize_grace=check_seconds("resize_grace", sensor.resize_grace),
        max_age=check_seconds("max_age", sensor.max_age),
    )


def gate_repair(sensor: GateParameters, rules: Rules) -> RepairPolicy | None:
    """What may be done to nodes before the gate fails; None if nothing.

    It acts on what the gate would fail for: the same extensions, and nodes no later than the gate's grace.

    :raises ParameterError: if it cannot be used, or the gate would never ask for it.
    """
    if sensor.repair is None:
        return None
    policy = check_repair_policy("repair", sensor.repair)
    return replace(
        policy,
        extension_names=policy.extension_names or rules.extension_names,
        broken_after=min(policy.broken_after, rules.node_grace),
    )
