"""Every operator, sensor and notifier runs without Airflow's context, as users' own unit tests call it."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
import traceback
from typing import Any
from unittest.mock import MagicMock

import pytest
from airflow.providers.common.compat.sdk import (
    BaseNotifier,
    BaseOperator,
    TaskDeferred,
)

from airflow_batchext import notifications, operators, sensors
from airflow_batchext.assets import batch_pool_asset
from airflow_batchext.emulator import Scenario
from airflow_batchext.exceptions import ConnectionFieldsError, GateTimeoutError
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from tests.airflow_names import AirflowRescheduleException
from tests.conftest import document

pytestmark = pytest.mark.usefixtures("signed_in")


def public(room: Any, base: type) -> dict[str, Any]:
    """The classes of that kind that users import from a room."""
    modules = [
        importlib.import_module(f"{room.__name__}.{found.name}")
        for found in pkgutil.iter_modules(room.__path__)
        if not found.name.startswith("_")
    ]
    return {
        name: kind
        for module in modules
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, base) and kind.__module__ == module.__name__
    }


TASKS = public(operators, BaseOperator) | public(sensors, BaseOperator)
NOTIFIERS = public(notifications, BaseNotifier)
#: What each needs beside the pool, on a pool that is ready.
NEEDS: dict[str, dict[str, Any]] = {
    "AzureBatchCreateJobOperator": {"prefix": "j"},
    "AzureBatchCreatePoolOperator": {"pool_document": document(2), "wait_for": "steady"},
    "AzureBatchDeleteOrphansOperator": {},
    "AzureBatchDeletePoolOperator": {"wait_for_deletion": False},
    "AzureBatchDiagnosePoolOperator": {},
    "AzureBatchEndJobOperator": {"prefix": "j"},
    "AzureBatchExtensionSensor": {"outlets": [batch_pool_asset("acc", "p1")]},
    "AzureBatchGetExtensionOperator": {},
    "AzureBatchRepairNodesOperator": {},
    "AzureBatchResizePoolOperator": {"target_dedicated_nodes": 2},
    "AzureBatchTaskOperator": {"command_line": "/bin/true"},
    "AzureBatchUpdatePoolOperator": {
        "pool_document": {"properties": {"metadata": [{"name": "a", "value": "b"}]}}
    },
}
CONTEXTS = {
    "empty": dict,
    "none": lambda: None,
    "a mock of a task instance": lambda: {"ti": MagicMock()},
    "a mock": MagicMock,
}


#: Of which pool is not for them to say.
NO_POOL = {"AzureBatchDeleteOrphansOperator", "AzureBatchEndJobOperator"}


def task(name: str, azure: Any, **kwargs: Any) -> Any:
    if name == "AzureBatchTaskOperator":  # the clock stands still, and work has an end
        azure.emulator.scenario = Scenario.load({"timings": {"scheduling": 0, "task": 0}})
    pool = {} if name in NO_POOL else {"pool_id": azure.pool_id}
    return TASKS[name](task_id="one", **{**pool, **NEEDS[name], **kwargs})


@pytest.fixture(autouse=True)
def _deployment(monkeypatch):
    """The name of this Airflow, by which orphans are told."""
    monkeypatch.setenv("AIRFLOW__BATCHEXT__DEPLOYMENT", "tests")


def test_every_operator_and_sensor_is_tried():
    assert TASKS.keys() == NEEDS.keys()
    assert NOTIFIERS.keys() == {"AzureBatchDiagnosisNotifier"}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("name", NEEDS)
def test_it_executes(azure, name, context):
    azure.create(nodes=2)
    assert task(name, azure).execute(context=context())


@pytest.mark.parametrize("name", NEEDS)
def test_what_fails_it_has_one_line_of_ours_in_its_traceback(azure, name):
    """Airflow writes one below the text of whatever fails a task, also where that says all."""
    azure.connect("broken", {"conn_type": "azure_batchext", "extra": {"arm_url": "http://not.here"}})
    with pytest.raises(ConnectionFieldsError) as failed:
        task(name, azure, azure_batchext_conn_id="broken").execute({})
    files = [frame.filename for frame in traceback.extract_tb(failed.value.__traceback__)]
    assert sum("airflow_batchext/" in file for file in files) == 1
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


WAITS = {
    "AzureBatchCreatePoolOperator": {},
    "AzureBatchDeletePoolOperator": {"wait_for_deletion": True},
    "AzureBatchExtensionSensor": {},
    "AzureBatchRepairNodesOperator": {"node_ids": ["no-such-node"]},
    "AzureBatchResizePoolOperator": {"target_dedicated_nodes": 3},
    "AzureBatchTaskOperator": {},
    "AzureBatchUpdatePoolOperator": {
        "pool_document": {
            "properties": {"scaleSettings": {"fixedScale": {"targetDedicatedNodes": 3}}},
        },
        "wait_for_nodes": True,
    },
}


def test_every_one_that_defers_itself_is_tried():
    assert WAITS.keys() == {
        name for name, kind in TASKS.items() if "deferrable" in inspect.signature(kind).parameters
    } | {name for name, kind in TASKS.items() if hasattr(kind, "execute_complete")}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("name", [name for name in WAITS if "Repair" not in name])
def test_it_defers_itself_and_goes_on(azure, name, context):
    if "Create" not in name:
        azure.create(nodes=2, ready="Sensor" not in name)
    waiting = task(name, azure, **WAITS[name], deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute(context=context())
    azure.pass_time(600)
    event = asyncio.run(first_event(deferred.value.trigger))
    fresh = task(name, azure, **WAITS[name], deferrable=True)
    assert fresh.execute_complete(context=context(), event=event)


async def first_event(trigger: Any) -> Any:
    trigger.poll_interval = 0.02
    (event,) = [event.payload async for event in trigger.run()]
    return event


def test_a_repair_ends_as_its_event_says(azure):
    report = {"pool_id": azure.pool_id, "outcome": "done", "actions": [], "notes": []}
    event = {"stage": "done", "text": "", "report": report}
    repair = task("AzureBatchRepairNodesOperator", azure)
    for context in CONTEXTS.values():
        assert repair.execute_complete(context=context(), event=event) == report


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
class TestTheSensor:
    def test_pokes(self, azure, context):
        azure.create(nodes=1, ready=False)
        gate = AzureBatchExtensionSensor(task_id="gate", pool_id=azure.pool_id)
        assert not gate.poke(context())
        azure.pass_time(300)
        assert gate.poke(context())

    def test_says_what_was_missing_when_airflow_gave_up(self, azure, context):
        azure.create(nodes=1, ready=False)
        gate = AzureBatchExtensionSensor(task_id="gate", pool_id=azure.pool_id)
        with pytest.raises(GateTimeoutError, match="resizing"):
            gate.resume_execution("__fail__", {"error": "Trigger timeout"}, context())


@pytest.mark.parametrize("context", [{}, None])
def test_the_sensor_leaves_its_worker(azure, context):
    azure.create(nodes=1, ready=False)
    gate = AzureBatchExtensionSensor(task_id="gate", pool_id=azure.pool_id, mode="reschedule")
    with pytest.raises(AirflowRescheduleException):
        gate.execute(context=context)


@pytest.mark.parametrize("context", [dict, MagicMock], ids=["empty", "a mock"])
@pytest.mark.parametrize("name", NOTIFIERS)
def test_a_notifier_notifies(azure, name, context, capsys):
    azure.create(nodes=1)
    NOTIFIERS[name](pool_id=azure.pool_id).notify(context())
    assert "Nothing is wrong" in capsys.readouterr().out


def test_a_notifier_is_called_with_an_empty_context(azure, capsys):
    azure.create(nodes=1)
    for notifier in NOTIFIERS.values():
        notifier(pool_id=azure.pool_id)({})
        assert "Nothing is wrong" in capsys.readouterr().out
