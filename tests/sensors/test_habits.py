"""What users are used to of Airflow's own sensors: soft_fail, backoff, words when the DAG is parsed."""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred
from airflow.sdk import DAG

from airflow_batchext.exceptions import BatchextError, GateFailedError, ParameterError
from airflow_batchext.rules.deadline import Backoff
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from tests.airflow_names import needs_airflow
from tests.conftest import own_connection
from tests.sensors.test_extension import context, sensor

MODES = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
    "triggerer": {"start_from_trigger": True},
}


async def events(trigger: Any) -> list[Any]:
    return [event async for event in trigger.run()]


def ends(azure: Any, mode: str, **change: Any) -> str:
    """How a gate ends in that mode, in the state of its task."""
    gate = sensor(azure, timeout=900, **MODES[mode], **change)
    if mode == "triggerer":
        kwargs = {**gate.start_trigger_args.trigger_kwargs, "poll_interval": 0.05}
        (event,) = asyncio.run(events(AzureBatchExtensionTrigger(**kwargs)))
        return type(event).__name__.removeprefix("Task").removesuffix("Event").lower()
    try:
        try:
            gate.execute(context())
        except TaskDeferred as deferred:
            kwargs = {**deferred.trigger.serialize()[1], "poll_interval": 0.05}
            (event,) = asyncio.run(events(AzureBatchExtensionTrigger(**kwargs)))
            happened = json.loads(json.dumps({"event": event.payload}))
            sensor(azure, timeout=900, **MODES[mode], **change).resume_execution(
                deferred.method_name, happened, context()
            )
    except AirflowSkipException:
        return "skipped"
    except BatchextError:
        return "failed"
    return "success"


def wrong_secret(azure: Any) -> dict[str, Any]:
    azure.create()
    azure.connect("wrong", own_connection(azure.emulator, password="not the one"))
    return {"azure_batchext_conn_id": "wrong"}


def wrong_id(azure: Any) -> dict[str, Any]:
    """As a template may be rendered."""
    azure.pool_id = "{{ params.pool }}"
    return {"pool_id": azure.pool_id}


def no_connection(azure: Any) -> dict[str, Any]:
    return {"azure_batchext_conn_id": "nobody_has_it"}


def broken_connection(azure: Any) -> dict[str, Any]:
    azure.connect("broken", own_connection(azure.emulator, extra={"auth": "by telepathy"}))
    return {"azure_batchext_conn_id": "broken"}


def forbidden(azure: Any) -> dict[str, Any]:
    from airflow_batchext.emulator.faults import read_fault

    azure.create()
    fault = {
        "action": "error",
        "status": 403,
        "code": "AuthorizationFailed",
        "path": "*/pools/*",
        "count": 99,
    }
    azure.emulator.faults.add(read_fault(fault))
    return {}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wrong", [wrong_secret, wrong_id, no_connection, broken_connection, forbidden])
def test_soft_fail_hides_nothing_that_is_not_the_pools_fault(azure, mode, wrong):
    given = wrong(azure)
    assert ends(azure, mode, soft_fail=True, **given) == "failed"
    assert ends(azure, mode, never_fail=True, **given) == "skipped"
    azure.emulator.faults.clear()


@pytest.mark.parametrize("mode", MODES)
def test_soft_fail_makes_a_skip_of_what_is(azure, mode):
    azure.create()
    azure.emulator.account.delete_pool(azure.pool_id)
    assert ends(azure, mode, soft_fail=True) == "skipped"
    azure.pass_time(3600)


# --- backoff -----------------------------------------------------------------------------------------------


def pauses(azure: Any, monkeypatch: pytest.MonkeyPatch, mode: str, **change: Any) -> list[float]:
    """The pauses that a gate makes, none of which takes any time."""
    made: list[float] = []
    now = [1000.0]

    class Enough(BaseException):
        pass

    def pause(seconds: float) -> None:
        made.append(seconds)
        now[0] += seconds
        if len(made) > 7:
            raise Enough

    async def apause(seconds: float, *more: Any) -> None:
        if seconds:
            pause(seconds)

    gate = sensor(azure, timeout=90_000, **{**MODES[mode], **change})
    with suppress(Enough):
        if mode == "poke":
            monkeypatch.setattr("airflow.sdk.bases.sensor.time.sleep", pause)
            gate.execute(context())
        else:
            kwargs = gate.start_trigger_args.trigger_kwargs if mode == "triggerer" else None
            if kwargs is None:
                with pytest.raises(TaskDeferred) as deferred:
                    gate.execute(context())
                kwargs = deferred.value.trigger.serialize()[1]
            monkeypatch.setattr("airflow_batchext.triggers.extension.asyncio", SimpleNamespace(sleep=apause))
            asyncio.run(events(AzureBatchExtensionTrigger(**kwargs)))
    return made


@pytest.mark.parametrize("mode", ["poke", "deferrable", "triggerer"])
def test_the_pauses_grow_up_to_the_longest_in_every_mode(azure, monkeypatch, mode):
    azure.create(ready=False)
    given = {"poke_interval": 30, "exponential_backoff": True, "max_wait": timedelta(minutes=5)}
    made = pauses(azure, monkeypatch, mode, **given)
    assert len(made) == 8
    assert made[:4] == sorted(made[:4])
    assert made[0] <= 33
    assert made[3] >= 100
    assert made[-1] == 300


@pytest.mark.parametrize("mode", ["poke", "deferrable", "triggerer"])
def test_without_it_they_do_not(azure, monkeypatch, mode):
    azure.create(ready=False)
    assert max(pauses(azure, monkeypatch, mode, poke_interval=30)) <= 33


def test_a_thousand_looks_are_no_number_too_large(azure):
    azure.create(ready=False)
    gate = sensor(azure, timeout=900_000, poke_interval=30, exponential_backoff=True, max_wait=60)
    assert gate._get_next_poke_interval(0.0, lambda: 60_000.0, 1_500) == 60
    assert Backoff(60).pause(30, 1_500) == 60


@pytest.mark.parametrize("value", [-1, 0, "soon", "60", math.nan, math.inf, True, timedelta(seconds=-1), []])
def test_a_longest_pause_that_cannot_be_meant_is_refused(value):
    with pytest.raises(ParameterError, match="max_wait"):
        AzureBatchExtensionSensor(task_id="g", pool_id="p", exponential_backoff=True, max_wait=value)


def test_a_repair_keeps_its_own_rhythm():
    with pytest.raises(ParameterError, match="exponential_backoff"):
        AzureBatchExtensionSensor(task_id="g", pool_id="p", exponential_backoff=True, repair={})


# --- what the triggerer cannot carry -----------------------------------------------------------------------


def note(context: Any) -> None:
    """A callback."""


LOST = {
    **dict.fromkeys(("on_execute_callback", "on_success_callback", "on_skipped_callback"), note),
    **dict.fromkeys(("pre_execute", "post_execute"), note),
    **dict.fromkeys(("max_active_tis_per_dag", "max_active_tis_per_dagrun"), 2),
    "multiple_outputs": True,
    "silent_fail": True,
    "email": "me@example.org",
    "do_xcom_push": False,
}
#: Parameters of Airflow's that make no difference to a task in the triggerer, or are carried there.
CARRIED = {
    **dict.fromkeys(("on_failure_callback", "on_retry_callback"), note),
    "retries": 2,
    "retry_delay": timedelta(seconds=5),
    "execution_timeout": timedelta(minutes=5),
    "trigger_rule": "all_done",
    "priority_weight": 5,
    "doc_md": "x",
    "soft_fail": True,
    "exponential_backoff": True,
}


@pytest.mark.filterwarnings("ignore:Setting email")  # deprecated, and in many a DAG
@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize("where", ["task", "default_args", "list"])
def test_what_would_be_lost_is_refused_by_its_name(name, where):
    value = [LOST[name]] if where == "list" and LOST[name] is note and name.startswith("on_") else LOST[name]
    given = {} if where == "default_args" else {name: value}
    defaults = {name: value} if where == "default_args" else {}
    with DAG("d", default_args=defaults):
        AzureBatchExtensionSensor(task_id="worker", pool_id="p", deferrable=True, **given)
        with pytest.raises(ParameterError, match=rf"does not go with {name}: .*deferrable=True"):
            AzureBatchExtensionSensor(task_id="g", pool_id="p", start_from_trigger=True, **given)


@pytest.mark.filterwarnings("ignore:Setting email")
@pytest.mark.parametrize("name", LOST)
def test_a_mapped_gate_goes_through_a_worker_which_carries_it(name):
    with DAG("d"):
        mapped = AzureBatchExtensionSensor.partial(
            task_id="g", start_from_trigger=True, **{name: LOST[name]}
        ).expand(pool_id=["a", "b"])
    gate = mapped.unmap({"pool_id": "a"})
    assert gate.pool_id == "a"
    assert gate.start_trigger_args is None


@pytest.mark.parametrize("name", CARRIED)
def test_what_is_carried_is_not(name):
    with DAG("d", default_args={name: CARRIED[name]}):
        assert AzureBatchExtensionSensor(task_id="g", pool_id="p", start_from_trigger=True).start_trigger_args


@needs_airflow("3.3", "before, there are no such policies")
def test_a_policy_of_retries_is_refused():
    from airflow.sdk import ExceptionRetryPolicy

    with pytest.raises(ParameterError, match="retry_policy"):
        AzureBatchExtensionSensor(
            task_id="g", pool_id="p", start_from_trigger=True, retry_policy=ExceptionRetryPolicy(rules=[])
        )


@pytest.mark.parametrize(
    ("template", "word"),
    [
        ("{{ prev_start_date_success }}", "prev_start_date_success"),
        ("{{ prev_data_interval_end_success | ds }}", "prev_data_interval_end_success"),
        ("{% if inlet_events %}a{% endif %}", "inlet_events"),
        ("{{ task_state_store.get('x') }}", "task_state_store"),
        ("{{ mine() }}", "mine"),
        ("{{ run_id | shortened }}", "shortened"),
    ],
)
@pytest.mark.parametrize("name", ["pool_id", "azure_batchext_conn_id"])
def test_a_template_that_the_triggerer_cannot_render_is_refused(template, word, name):
    with (
        DAG("d", user_defined_macros={"mine": str}, user_defined_filters={"shortened": str}),
        pytest.raises(ParameterError, match=f"{name} cannot use {word}"),
    ):
        AzureBatchExtensionSensor(
            **{"task_id": "g", "pool_id": "p", "start_from_trigger": True, name: template}
        )


def test_the_limit_goes_along():
    gate = AzureBatchExtensionSensor(
        task_id="g", pool_id="p", start_from_trigger=True, execution_timeout=timedelta(seconds=15)
    )
    kwargs = gate.start_trigger_args.trigger_kwargs
    assert (kwargs["timeout"], kwargs["limit"]) == (15, "execution_timeout")


@pytest.mark.parametrize("limit", ["execution_timeout", "timeout"])
def test_the_triggerers_log_names_the_limit(azure, capsys, limit):
    azure.create(ready=False)
    trigger = AzureBatchExtensionTrigger(
        pool_id=azure.pool_id, azure_batchext_conn_id="official", poll_interval=0.1, timeout=0.5, limit=limit,
        ends_task=True,
    )  # fmt: skip
    asyncio.run(events(trigger))
    assert f"did not open within 0.5 seconds ({limit}); still missing: " in capsys.readouterr().out


def test_airflows_own_limit_in_the_triggerer_is_told_as_what_it_is(azure):
    """Airflow counts ``execution_timeout`` of such a task as well, and may be first."""
    azure.create(ready=False)
    gate = sensor(azure, start_from_trigger=True, timeout=3600, execution_timeout=timedelta(seconds=15))
    with pytest.raises(BatchextError, match=r"15 seconds \(execution_timeout\); still missing: .*resizing"):
        gate.resume_execution("__fail__", {"error": "Trigger timeout"}, context())


def test_what_failed_is_still_a_failure(azure):
    azure.create()
    azure.emulator.account.delete_pool(azure.pool_id)
    with pytest.raises(GateFailedError, match="deleted"):
        sensor(azure).execute(context())
    azure.pass_time(3600)
