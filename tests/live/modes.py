"""A gate, a wait of an operator and a repair, in each mode, on the emulator, with so many looks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_batchext.live import _triggerer
from airflow_batchext.operators.node import AzureBatchRepairNodesOperator
from airflow_batchext.operators.pool import AzureBatchDeletePoolOperator, AzureBatchResizePoolOperator
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from tests.airflow_names import AirflowRescheduleException
from tests.live.conftest import INSTANCE
from tests.waiting import PATIENCE, until

LOOKS = 3


class Pauses:
    """In place of each pause between two looks: after so many of them, something happens.

    :param then: what.
    """

    def __init__(self, then: Callable[[], None], looks: int = LOOKS) -> None:
        self.made = 0
        self._then, self._looks = then, looks

    def pause(self, *_: Any) -> None:
        self.made += 1
        if self.made == self._looks:
            self._then()

    async def apause(self, seconds: float = 0.0) -> None:
        await awritten()
        self.pause()
        # Until the next look is due: who shares one with others is told the last one before.
        await asyncio.sleep(seconds + 0.01)


def written() -> None:
    """Wait for what a worker's thread has still to write: what comes next would take its place."""
    for thread in threading.enumerate():
        if thread.name == "batchext-live":
            thread.join(PATIENCE)


async def awritten() -> None:
    """Wait for what the triggerer has still to write that is due."""
    queue = _triggerer._queue()

    def is_over() -> bool:
        is_due = any(way.due <= queue.clock() for way in queue._waiting)
        return not is_due and not any(each.get_name() == "batchext-live" for each in asyncio.all_tasks())

    await until(is_over)


def asyncio_with(pauses: Pauses) -> SimpleNamespace:
    names = {name: getattr(asyncio, name) for name in dir(asyncio) if not name.startswith("__")}
    return SimpleNamespace(**{**names, "sleep": pauses.apause})


def context() -> dict[str, Any]:
    return {"ti": INSTANCE}


async def payload_of(trigger: Any, monkeypatch: Any, pauses: Pauses) -> Any:
    """The event of a trigger; what it has to write is written then."""
    module = type(trigger).__module__
    monkeypatch.setattr(f"{module}.asyncio", asyncio_with(pauses))
    trigger.task_instance = INSTANCE
    events = [event async for event in trigger.run()]
    await awritten()
    (event,) = events
    return event


def sensor(azure: Any, **change: Any) -> AzureBatchExtensionSensor:
    kwargs = {"task_id": "t", "pool_id": azure.pool_id, "timeout": 600, "poke_interval": 0.05, **change}
    return AzureBatchExtensionSensor(**kwargs)


def poke(azure: Any, monkeypatch: Any, pauses: Pauses, **change: Any) -> Any:
    gate = sensor(azure, **change)
    plain = AzureBatchExtensionSensor._get_next_poke_interval

    def interval(self: Any, *args: Any) -> float:
        plain(self, *args)
        written()
        pauses.pause()
        return 0.0

    monkeypatch.setattr(AzureBatchExtensionSensor, "_get_next_poke_interval", interval)
    return gate.execute(context())


class Store(dict[str, Any]):
    """Airflow's store for the state of a task: what it keeps is JSON."""

    def set(self, key: str, value: Any) -> None:
        self[key] = json.loads(json.dumps(value))


def reschedule(azure: Any, monkeypatch: Any, pauses: Pauses, **change: Any) -> Any:
    store = Store()
    while True:
        gate = sensor(azure, mode="reschedule", **change)
        try:
            return gate.execute({**context(), "task_state_store": store})
        except AirflowRescheduleException:
            pauses.pause()


def deferrable(azure: Any, monkeypatch: Any, pauses: Pauses, **change: Any) -> Any:
    gate = sensor(azure, deferrable=True, **change)
    try:
        return gate.execute(context())
    except TaskDeferred as deferral:
        trigger = deferral.trigger
    event = asyncio.run(payload_of(trigger, monkeypatch, pauses))
    return sensor(azure, deferrable=True, **change).execute_complete(context(), event.payload)


def start_from_trigger(azure: Any, monkeypatch: Any, pauses: Pauses, **change: Any) -> Any:
    now = time.time()
    trigger = AzureBatchExtensionTrigger(
        pool_id=azure.pool_id,
        azure_batchext_conn_id="azure_batchext_default",
        poll_interval=0.05,
        timeout=600.0,
        started=now,
        ends_task=True,
        **change,
    )

    async def nothing() -> None:
        """Nobody reads what it logs."""

    monkeypatch.setattr("airflow_batchext.triggers.extension.logged", nothing)
    return asyncio.run(payload_of(trigger, monkeypatch, pauses))


GATES = {
    "poke": poke,
    "reschedule": reschedule,
    "deferrable": deferrable,
    "start_from_trigger": start_from_trigger,
}


def through(make: Callable[..., Any], **kwargs: Any) -> Callable[..., Any]:
    """An operator in the worker, or from it to the triggerer and back."""

    def run(azure: Any, monkeypatch: Any, pauses: Pauses) -> Any:
        def new() -> Any:
            return make(task_id="t", pool_id=azure.pool_id, timeout=3600, poll_interval=0.05, **kwargs)

        def pause(*_: Any) -> None:
            written()
            pauses.pause()

        for module in ("pool", "repair", "work"):
            stand_in = SimpleNamespace(time=time.time, sleep=pause)
            monkeypatch.setattr(f"airflow_batchext.operators._steps.{module}.time", stand_in)
        operator = new()
        try:
            return operator.execute(context())
        except TaskDeferred as deferral:
            trigger = deferral.trigger
        while True:
            event = asyncio.run(payload_of(trigger, monkeypatch, pauses))
            try:
                return new().execute_complete(context(), event.payload)
            except TaskDeferred as deferral:
                trigger = deferral.trigger

    return run


def quietly(run: Callable[[], Any]) -> BaseException | None:
    """With what it has ended."""
    with contextlib.suppress(TaskDeferred):
        try:
            run()
        except Exception as error:
            return error
    return None


ONE: dict[str, Any] = {"command_line": "/bin/true", "logs": "none"}
MANY: dict[str, Any] = {"tasks": ["/bin/true"] * 5, "logs": "none"}
RESIZE = {"target_dedicated_nodes": 4}
OPERATORS = {
    "resize, worker": ("resize", through(AzureBatchResizePoolOperator, **RESIZE)),
    "resize, triggerer": ("resize", through(AzureBatchResizePoolOperator, deferrable=True, **RESIZE)),
    "delete, worker": ("delete", through(AzureBatchDeletePoolOperator)),
    "delete, triggerer": ("delete", through(AzureBatchDeletePoolOperator, deferrable=True)),
    "repair, worker": ("repair", through(AzureBatchRepairNodesOperator)),
    "repair, triggerer": ("repair", through(AzureBatchRepairNodesOperator, deferrable=True)),
    "work, worker": ("work", through(AzureBatchTaskOperator, **ONE)),
    "work, triggerer": ("work", through(AzureBatchTaskOperator, deferrable=True, **ONE)),
    "many, worker": ("work", through(AzureBatchTaskOperator, **MANY)),
    "many, triggerer": ("work", through(AzureBatchTaskOperator, deferrable=True, **MANY)),
}
