"""Waits of the operators take no time here: each pause lets the emulator's time pass instead."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_batchext.hooks.pool import AzureBatchPoolHook


@pytest.fixture
def pauses(azure: Any, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every pause of an operator so far, in seconds; in each, 30 seconds pass for the emulator."""
    made: list[float] = []

    def pause(seconds: float) -> None:
        made.append(seconds)
        azure.pass_time(30)

    monkeypatch.setattr("airflow_batchext.operators._steps.pool.time.sleep", pause)
    return made


def properties(pool_id: str) -> dict[str, Any]:
    """The properties of a pool, as the management plane shows them."""
    with AzureBatchPoolHook() as hook:
        found: dict[str, Any] = hook.get_pool(pool_id)["properties"]
    return found


def run(azure: Any, task: Any, *, deferrable: bool, context: Any = None) -> Any:
    """Run an operator to its end, in the worker or (each wait) in a trigger, as Airflow does."""
    task.deferrable = deferrable
    try:
        return task.execute(context or {})
    except TaskDeferred as deferred:
        return go_on(azure, task, deferred, context)


def go_on(azure: Any, task: Any, deferred: TaskDeferred, context: Any) -> Any:
    while True:
        event = asyncio.run(event_of(azure, deferred.trigger))
        # The worker that goes on is another process: it knows the parameters and the event, no more.
        task._steps = None
        try:
            method: Callable[..., Any] = getattr(task, deferred.method_name)
            return method(context or {}, event)
        except TaskDeferred as again:
            deferred = again


async def event_of(azure: Any, original: Any) -> Any:
    """What a trigger says in the end, while the emulator's time passes: 30 seconds with each look."""
    kind, kwargs = type(original), original.serialize()[1]
    trigger = kind(**{**kwargs, "poll_interval": 0.02})
    before = Counter(request.path for request in azure.emulator.requests)

    def looks() -> int:
        """Each asks for something that the one before has asked for, however slow the machine is."""
        paths = Counter(request.path for request in azure.emulator.requests if "oauth2" not in request.path)
        return max((paths - before).values(), default=0)

    async def time_passes() -> None:
        passed = 0
        while True:
            await asyncio.sleep(0.02)
            while passed < looks():
                azure.pass_time(30)
                passed += 1

    passing = asyncio.create_task(time_passes())
    try:
        (event,) = [event.payload async for event in trigger.run()]
    finally:
        passing.cancel()
    return event
