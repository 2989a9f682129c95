"""What it takes for a gate to begin, wait and end in the triggerer, without any worker.

Airflow starts such a task from what the sensor said when the DAG was parsed, so what is only known at run
time has to be refused there, with words, instead of being passed on wrongly. What gets lost when a task
begins or ends in the triggerer is refused too (read in Airflow 3.3.2: ``TaskInstance.defer_task``,
``handle_event_submit``, ``ToTriggerSupervisor``). Callbacks of a failure and of a retry are called: the DAG
processor does it.
"""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import chain
from typing import Any, Protocol

from airflow.triggers.base import StartTriggerArgs

from airflow_batchext.exceptions import ParameterError
from airflow_batchext.parameters import is_template
from airflow_batchext.rules.deadline import limit_of
from airflow_batchext.sensors._rules import GateParameters, gate_repair, gate_rhythm, gate_rules

# Airflow's own limit comes after ours, so that ours can say what was missing. But a triggerer that dies takes
# ours along, and another one counts anew: Airflow's is in its database and does not move.
_MARGIN_SECONDS = 120
_NO_CALL = "nobody calls it for a task that begins and ends in the triggerer"
_NO_COUNT = "tasks in the triggerer are not counted"
#: What a task loses there, by its parameter: where the task keeps it, if elsewhere, and what is lost.
_LOST = {
    "outlets": ("", "asset events of a task that ends in the triggerer are not sent"),
    "on_execute_callback": ("", _NO_CALL),
    "on_success_callback": ("", _NO_CALL),
    "on_skipped_callback": ("", _NO_CALL),
    "pre_execute": ("_pre_execute_hook", _NO_CALL),
    "post_execute": ("_post_execute_hook", _NO_CALL),
    "retry_policy": ("", "nobody asks it about a task that ends in the triggerer"),
    "max_active_tis_per_dag": ("", _NO_COUNT),
    "max_active_tis_per_dagrun": ("", _NO_COUNT),
    "multiple_outputs": ("", "the triggerer leaves the report as one XCom"),
    "silent_fail": ("", "the triggerer does not know it"),
}
#: What a template reads of Airflow's server with a request that the triggerer knows not, and waits for ever.
_UNKNOWN_THERE = frozenset(
    {
        "inlet_events",
        "prev_data_interval_end_success",
        "prev_data_interval_start_success",
        "prev_end_date_success",
        "prev_start_date_success",
        "task_state_store",
    }
)


class StartingSensor(GateParameters, Protocol):
    """What is asked of the sensor beside the parameters of its gate."""

    email_on_failure: bool
    email_on_retry: bool
    do_xcom_push: bool

    def get_dag(self) -> Any:
        """The task's DAG; None if it has none."""


def start_trigger_args(sensor: StartingSensor) -> StartTriggerArgs:
    """How the triggerer starts the gate.

    :param sensor: its parameters, as given in the DAG.
    :raises ParameterError: if the task asks for something that cannot be had without a worker.
    """
    for name in ("extension_names", "min_nodes", "max_failed_nodes", "repair"):
        if is_template(value := getattr(sensor, name)) and not isinstance(value, list | tuple):
            raise ParameterError(
                f"{sensor.task_id}: {name} is a template, has one in it, or is the output of another task; "
                "with start_from_trigger it has to be known when the DAG is parsed."
            )
    gate = gate_rules(sensor)
    limit = limit_of(sensor.timeout, sensor.execution_timeout)
    rules, policy = gate.to_json(), gate_repair(sensor, gate)
    repair = None if policy is None else policy.to_json()
    for name in ("pool_id", "azure_batchext_conn_id"):
        _check_template(sensor, name, getattr(sensor, name))
    for name, (attribute, why) in _LOST.items():
        if getattr(sensor, attribute or name, None):
            raise _refused(sensor, name, why)
    if getattr(sensor, "email", None) and (sensor.email_on_failure or sensor.email_on_retry):
        raise _refused(sensor, "email", "no mail is sent of a task that ends in the triggerer")
    if not sensor.do_xcom_push:
        raise _refused(sensor, "do_xcom_push", "the triggerer leaves the report as an XCom in any case")
    if "{{" in json.dumps([rules, repair]):
        raise ParameterError(f"{sensor.task_id}: with start_from_trigger, names cannot be templates.")
    return StartTriggerArgs(
        trigger_cls="airflow_batchext.triggers.extension.AzureBatchExtensionTrigger",
        next_method="execute_complete",
        trigger_kwargs={
            "pool_id": sensor.pool_id,
            "azure_batchext_conn_id": sensor.azure_batchext_conn_id,
            **gate_rhythm(sensor),
            "timeout": limit.seconds,
            **({"limit": limit.name} if limit.is_airflows else {}),
            "rules": rules,
            "ends_task": True,
            "skips": sensor.soft_fail or sensor.never_fail,
            **({"never_fails": True} if sensor.never_fail else {}),
            **({} if repair is None else {"repair": repair}),
        },
        timeout=timedelta(seconds=sensor.timeout + _MARGIN_SECONDS),
    )


def _refused(sensor: StartingSensor, name: str, why: str) -> ParameterError:
    return ParameterError(
        f"{sensor.task_id}: start_from_trigger does not go with {name}: {why}. Take it from this task "
        "(also where default_args bring it), or use deferrable=True, which begins and ends on a worker."
    )


def _check_template(sensor: StartingSensor, name: str, value: object) -> None:
    task_id = sensor.task_id
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
    used, dag = _names_in(value), sensor.get_dag()
    for unknown in sorted(used & _UNKNOWN_THERE):
        raise ParameterError(
            f"{task_id}: with start_from_trigger, {name} cannot use {unknown}: Airflow's triggerer would "
            "wait for ever."
        )
    own = (getattr(dag, f"user_defined_{kind}", None) or () for kind in ("macros", "filters"))
    for unknown in sorted(used.intersection(chain.from_iterable(own))):
        raise ParameterError(
            f"{task_id}: with start_from_trigger, {name} cannot use {unknown}: macros and filters of the DAG "
            "are not known in the triggerer."
        )


def _names_in(template: str) -> set[str]:
    """The variables and filters that a template uses."""
    from jinja2 import Environment, TemplateSyntaxError, nodes

    try:
        tree = Environment().parse(template)  # noqa: S701 - nothing is rendered
    except TemplateSyntaxError:
        return set()  # Airflow tells it when it renders
    names = {found.name for found in tree.find_all(nodes.Name)}
    return names | {found.name for found in tree.find_all(nodes.Filter)}
