"""Every part of the package that talks to Azure, each as a function of an Airflow connection's id.

What they raise is an error of ours, or Airflow's way of waiting. Each has a deadline.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import BaseNotifier, TaskDeferred

from airflow_batchext.cli.main import main
from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.notifications.diagnosis import AzureBatchDiagnosisNotifier
from airflow_batchext.operators.diagnose import AzureBatchDiagnosePoolOperator
from airflow_batchext.operators.extension import AzureBatchGetExtensionOperator
from airflow_batchext.operators.node import AzureBatchRepairNodesOperator
from airflow_batchext.operators.pool import (
    AzureBatchCreatePoolOperator,
    AzureBatchDeletePoolOperator,
    AzureBatchResizePoolOperator,
    AzureBatchUpdatePoolOperator,
)
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from airflow_batchext.transport import over_within, within
from airflow_batchext.triggers.events import AzureBatchPoolEventTrigger
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from airflow_batchext.triggers.pool import AzureBatchPoolTrigger
from airflow_batchext.triggers.repair import AzureBatchRepairTrigger
from airflow_batchext.triggers.task import AzureBatchTaskTrigger
from airflow_batchext.triggers.tasks import AzureBatchTasksTrigger
from tests.airflow_names import AirflowRescheduleException
from tests.conftest import document
from tests.hostile.meeting import assert_plain

Part = Callable[[str], None]

DEADLINE = 0.3

INSTANCE = SimpleNamespace(
    dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=1,
    get_first_reschedule_date=lambda context: None,
)  # fmt: skip
CHANGE = {"properties": {"metadata": [{"name": "a", "value": "c"}]}}
#: What is done to a node within so short a time.
QUICK = {"order": ["reboot", "reimage"]}
FAST = {"poll_interval": 0.1, "timeout": DEADLINE}


def _task(kind: type[Any], **parameters: Any) -> Part:
    """An operator or a sensor; one that defers itself goes on as Airflow goes on with it."""

    def run(conn_id: str) -> None:
        task = kind(task_id="t", pool_id="p", azure_batchext_conn_id=conn_id, **parameters)
        context = {"ti": INSTANCE}
        with within(DEADLINE), suppress(AirflowRescheduleException):
            try:
                task.execute(context)
            except TaskDeferred as deferred:
                _, row = deferred.trigger.serialize()
                assert "SENTINEL" not in json.dumps(row)
                event = asyncio.run(_first(type(deferred.trigger)(**row)))
                getattr(task, deferred.method_name)(context, json.loads(json.dumps(event)))
        task.on_kill()

    return run


async def _first(trigger: Any) -> Any:
    async with aclosing(trigger.run()) as events:
        async for event in events:
            return event.payload
    return None


def _trigger(make: Callable[[str], Any], *, ends: bool = True) -> Part:
    """A trigger up to its event; one that never ends is stopped at the deadline, and nothing is its event."""

    async def run(conn_id: str) -> None:
        trigger = make(conn_id)
        trigger.task_instance = INSTANCE
        if ends:
            _check_text(json.dumps(await _first(trigger), ensure_ascii=False))
            return
        with suppress(TimeoutError):
            async with over_within(DEADLINE):
                await _first(trigger)

    return lambda conn_id: asyncio.run(run(conn_id))


def _command(*arguments: str) -> Part:
    def run(conn_id: str) -> None:
        with within(DEADLINE), TemporaryDirectory() as folder, _inside(folder):
            Path("pool.json").write_text(json.dumps({"name": "p", **document(1)}), encoding="utf-8")
            with suppress(SystemExit):
                main([argument.replace("CONN", conn_id) for argument in arguments])
            for file in Path(folder).rglob("*"):
                if file.is_file() and file.suffix != ".html":
                    assert "SENTINEL" not in file.read_text("utf-8")

    return run


@contextmanager
def _inside(folder: str) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


class Noting(BaseNotifier):
    """A notifier that keeps what it is to send."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []

    def notify(self, context: Any) -> None:
        self.told.append(context)


def _notify(conn_id: str) -> None:
    task, through = SimpleNamespace(task_id="t", pool_id="p"), Noting()
    with within(DEADLINE):
        notifier = AzureBatchDiagnosisNotifier(azure_batchext_conn_id=conn_id, through=through)
        notifier.notify({"task": task, "exception": BatchextError("it failed")})
    (told,) = through.told
    _check_text(told["batch_diagnosis"])


def _check_text(text: str) -> None:
    assert "SENTINEL" not in text
    assert_plain(text)


def _test_button(conn_id: str) -> None:
    with within(DEADLINE), AzureBatchNodeHook(conn_id) as hook:
        _, text = hook.test_connection()
        _check_text(text)


def _ends() -> float:
    return time.time() + DEADLINE


GATE = {"poke_interval": 0.1, "timeout": DEADLINE}
PARTS: dict[str, Part] = {
    **{
        f"{kind.__name__} {'deferred' if deferrable else 'waits'} {index}": _task(
            kind, deferrable=deferrable, **FAST, **parameters
        )
        for kind, several in {
            AzureBatchCreatePoolOperator: [
                {"pool_document": {"name": "p", **document(1)}, "on_existing": way}
                for way in ("adopt", "replace")
            ],
            AzureBatchUpdatePoolOperator: [{"pool_document": CHANGE}],
            AzureBatchResizePoolOperator: [{"target_dedicated_nodes": 3, "stop_resize_on_kill": True}],
            AzureBatchDeletePoolOperator: [{}],
            AzureBatchTaskOperator: [
                {"command_line": "x", "result": "json"},
                {"tasks": ["x", "y"], "requires_ready": True},
            ],
            AzureBatchRepairNodesOperator: [
                {"policy": QUICK},
                {"policy": QUICK, "node_ids": ["n"]},
            ],
        }.items()
        for index, parameters in enumerate(several)
        for deferrable in (False, True)
    },
    "dry repair": _task(AzureBatchRepairNodesOperator, dry_run=True, **FAST),
    "read extension": _task(AzureBatchGetExtensionOperator, compute_node_id="n", extension_name="e"),
    "diagnose": _task(AzureBatchDiagnosePoolOperator),
    **{
        f"sensor {name}{' and repairs' if 'repair' in more else ''}": _task(
            AzureBatchExtensionSensor, **GATE, **mode, **more
        )
        for name, mode in {
            "pokes": {"mode": "poke"},
            "is rescheduled": {"mode": "reschedule"},
            "is deferred": {"deferrable": True},
        }.items()
        for more in ({}, {"repair": {"stuck_after": 0}})
    },
    "gate's trigger": _trigger(
        lambda conn_id: AzureBatchExtensionTrigger(
            pool_id="p", azure_batchext_conn_id=conn_id, poll_interval=0.1, timeout=DEADLINE
        )
    ),
    "pool's trigger": _trigger(
        lambda conn_id: AzureBatchPoolTrigger(
            pool_id="p",
            azure_batchext_conn_id=conn_id,
            goal="complete",
            poll_interval=0.1,
            deadline=_ends(),
            pool_created=None,
            on_killed="nothing",
            memo={},
        )
    ),
    "task's trigger": _trigger(
        lambda conn_id: AzureBatchTaskTrigger(
            pool_id="p",
            job_id="b-1",
            batch_task_id="n",
            azure_batchext_conn_id=conn_id,
            poll_interval=0.1,
            logs_interval=0.1,
            deadline=_ends(),
        )
    ),
    "tasks' trigger": _trigger(
        lambda conn_id: AzureBatchTasksTrigger(
            pool_id="p",
            job_ids=["b-1", "b-2"],
            key="x",
            life="0123abcdm2",
            count=3,
            base="b",
            azure_batchext_conn_id=conn_id,
            poll_interval=0.1,
            deadline=_ends(),
        )
    ),
    "repair's trigger": _trigger(
        lambda conn_id: AzureBatchRepairTrigger(
            pool_id="p",
            azure_batchext_conn_id=conn_id,
            poll_interval=0.1,
            deadline=_ends(),
            owner="d.t r",
            policy={},
        )
    ),
    "events' trigger": _trigger(
        lambda conn_id: AzureBatchPoolEventTrigger(
            pool_id="p", azure_batchext_conn_id=conn_id, poll_interval=0.1, events=["ready", "failed", "lost"]
        ),
        ends=False,
    ),
    "status": _command("status", "p", "--conn-id", "CONN"),
    "status as JSON": _command("status", "p", "--conn-id", "CONN", "--json"),
    "command diagnose": _command("diagnose", "p", "--conn-id", "CONN", "--output", "reports"),
    "validate against": _command("validate", "pool.json", "--against", "CONN"),
    "export": _command("export", "p", "--conn-id", "CONN"),
    "notifier": _notify,
    "test button": _test_button,
}
