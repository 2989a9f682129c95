"""What it takes for a gate to begin, wait and end in the triggerer, without any worker.

Airflow starts such a task from what the sensor said when the DAG was parsed, so what is only known at run
time has to be refused there, with words, instead of being passed on wrongly. What gets lost when a task ends
in the triggerer is refused too: asset events of ``outlets``, and ``on_success_callback``.
"""

from __future__ import annotations

import json
from datetime import timedelta

from airflow.triggers.base import StartTriggerArgs

from airflow_batchext.exceptions import ParameterError
from airflow_batchext.sensors._rules import GateParameters, gate_repair, gate_rules

# Airflow's own limit comes after ours, so that ours can say what was missing. But a triggerer that dies takes
# ours along, and another one counts anew: Airflow's is in its database and does not move.
_MARGIN_SECONDS = 120


def start_trigger_args(sensor: GateParameters) -> StartTriggerArgs:
    """How the triggerer starts the gate.

    :param sensor: its parameters, as given in the DAG.
    :raises ParameterError: if the task asks for something that cannot be had without a worker.
    """
    gate = gate_rules(sensor)
    rules, policy = gate.to_json(), gate_repair(sensor, gate)
    repair = None if policy is None else policy.to_json()
    for name in ("pool_id", "azure_batchext_conn_id"):
        _check_template(sensor.task_id, name, getattr(sensor, name))
    for name, why in (
        ("outlets", "asset events of a task that ends in the triggerer are not sent"),
        ("on_success_callback", "callbacks of a task that ends well in the triggerer are not called"),
    ):
        if getattr(sensor, name, None):
            raise ParameterError(f"{sensor.task_id}: start_from_trigger does not go with {name}: {why}.")
    if "{{" in json.dumps([rules, repair]):
        raise ParameterError(f"{sensor.task_id}: with start_from_trigger, names cannot be templates.")
    return StartTriggerArgs(
        trigger_cls="airflow_batchext.triggers.extension.AzureBatchExtensionTrigger",
        next_method="execute_complete",
        trigger_kwargs={
            "pool_id": sensor.pool_id,
            "azure_batchext_conn_id": sensor.azure_batchext_conn_id,
            "poll_interval": sensor.poke_interval,
            "timeout": sensor.timeout,
            "rules": rules,
            "ends_task": True,
            "skips": sensor.soft_fail or sensor.never_fail,
            **({} if repair is None else {"repair": repair}),
        },
        timeout=timedelta(seconds=sensor.timeout + _MARGIN_SECONDS),
    )


def _check_template(task_id: str, name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ParameterError(
            f"{task_id}: with start_from_trigger, {name} has to be a text or a template, not the output of "
            "another task; use a template with xcom_pull(…, map_indexes=-1)."
        )
    if "xcom_pull(" in value and "map_indexes" not in value:
        raise ParameterError(
            f"{task_id}: with start_from_trigger, xcom_pull in {name} needs map_indexes (-1 for a task "
            "that is not mapped): without it Airflow's triggerer waits for ever."
        )
