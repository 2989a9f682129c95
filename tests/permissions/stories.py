"""What each operator, sensor and trigger does to an account, and the Azure actions that it needs for it.

A new operator gets a story here; then the page docs/permissions.md has to have its row, the roles its
actions, and the tests run it with exactly these.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_batchext.emulator import ExtensionScenario, Scenario
from airflow_batchext.exceptions import GateTimeoutError
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.operators.diagnose import AzureBatchDiagnosePoolOperator
from airflow_batchext.operators.extension import AzureBatchGetExtensionOperator
from airflow_batchext.operators.job import AzureBatchCreateJobOperator, AzureBatchEndJobOperator
from airflow_batchext.operators.node import AzureBatchRepairNodesOperator
from airflow_batchext.operators.orphans import AzureBatchDeleteOrphansOperator
from airflow_batchext.operators.pool import (
    AzureBatchCreatePoolOperator,
    AzureBatchDeletePoolOperator,
    AzureBatchResizePoolOperator,
    AzureBatchUpdatePoolOperator,
)
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.origin.deployment import deployment
from airflow_batchext.origin.mark import Maker, marked
from airflow_batchext.rules.gate import Rules
from airflow_batchext.rules.pool_wait import Goal
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from airflow_batchext.triggers.events import AzureBatchPoolEventTrigger
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from airflow_batchext.triggers.pool import AzureBatchPoolTrigger
from airflow_batchext.triggers.repair import AzureBatchRepairTrigger
from airflow_batchext.triggers.task import AzureBatchTaskTrigger
from airflow_batchext.triggers.tasks import AzureBatchTasksTrigger
from tests.conftest import Azure, document

ACCOUNT = "Microsoft.Batch/batchAccounts"
LOOK_UP = f"{ACCOUNT}/read"
READ, WRITE, DELETE = (f"{ACCOUNT}/pools/{verb}" for verb in ("read", "write", "delete"))
JOBS_READ, JOBS_WRITE = f"{ACCOUNT}/jobs/read", f"{ACCOUNT}/jobs/write"
STOP = f"{ACCOUNT}/pools/stopResize/action"
LIST_KEYS = f"{ACCOUNT}/listKeys/action"

METADATA = {"properties": {"metadata": [{"name": "team", "value": "a"}]}}


@dataclass(frozen=True)
class Story:
    """One use of one class, and the actions that it needs."""

    of: str
    does: str
    actions: tuple[str, ...]
    run: Callable[[Azure], Any]
    prepare: Callable[[Azure], Any] = lambda azure: azure.create()

    def __str__(self) -> str:
        return f"{self.of}: {self.does}"


def _create(azure: Azure, nodes: int = 2, **options: Any) -> Any:
    task = AzureBatchCreatePoolOperator(
        task_id="t", pool_id=azure.pool_id, pool_document=document(nodes), poll_interval=0.01, **options
    )
    return task.execute({})


def _update(azure: Azure) -> Any:
    task = AzureBatchUpdatePoolOperator(task_id="t", pool_id=azure.pool_id, pool_document=METADATA)
    return task.execute({})


def _resize(azure: Azure, **options: Any) -> Any:
    task = AzureBatchResizePoolOperator(
        task_id="t", pool_id=azure.pool_id, target_dedicated_nodes=3, wait_for_nodes=False, **options
    )
    result = task.execute({})
    if task.stop_resize_on_kill:
        before = azure.emulator.requests[-1]
        task.on_kill()
        # What fails while a task is being ended is not raised.
        refused = [request for request in azure.emulator.requests if request.status == 403]
        if refused or azure.emulator.requests[-1] == before:
            raise AssertionError(f"lacks {STOP if 'stopResize' in refused[-1].path else READ}")
    return result


def _delete(azure: Azure) -> Any:
    azure.emulator.clock.advance(60)
    task = AzureBatchDeletePoolOperator(
        task_id="t", pool_id=azure.pool_id, wait_for_deletion=False, poll_interval=0.01
    )
    return task.execute({})


def _leave(azure: Azure) -> None:
    azure.create()
    body = azure.emulator.account.pool(azure.pool_id)
    mark = marked({}, Maker(deployment(), "d", "r", "t"))["properties"]["metadata"]
    body.definition.properties["metadata"] = mark


def _delete_orphans(azure: Azure) -> Any:
    before = RuntimeTaskInstance.get_dr_count
    RuntimeTaskInstance.get_dr_count = staticmethod(lambda **which: 0)
    try:
        result = AzureBatchDeleteOrphansOperator(task_id="t").execute({})
        for orphan in result["orphans"]:
            if orphan["problem"]:  # it is left then, and the others go on
                raise AssertionError(orphan["problem"])
    finally:
        RuntimeTaskInstance.get_dr_count = staticmethod(before)


def _read(azure: Azure, **options: Any) -> Any:
    return AzureBatchGetExtensionOperator(task_id="t", pool_id=azure.pool_id, **options).execute({})


def _diagnose(azure: Azure, **options: Any) -> Any:
    result = AzureBatchDiagnosePoolOperator(task_id="t", pool_id=azure.pool_id, **options).execute({})
    for log in result["node_logs"]:
        if log["problem"]:  # one that cannot be had does not keep the report back
            raise AssertionError(log["problem"])


def _fail(azure: Azure) -> None:
    azure.create()
    azure.emulator.account.set_extension(azure.pool_id, 0, "secretext", outcome="fail")


def _gate(azure: Azure, **options: Any) -> Any:
    sensor = AzureBatchExtensionSensor(
        task_id="t", pool_id=azure.pool_id, poke_interval=0, **{"timeout": 0, **options}
    )
    return sensor.execute({"ti": SimpleNamespace(get_first_reschedule_date=lambda context: None)})


def _first(trigger: Any) -> dict[str, Any]:
    async def first() -> Any:
        (payload,) = [event.payload async for event in trigger.run()]
        return payload

    return asyncio.run(first())


def _gate_trigger(azure: Azure) -> Any:
    event = _first(
        AzureBatchExtensionTrigger(
            pool_id=azure.pool_id,
            azure_batchext_conn_id="azure_batchext_default",
            poll_interval=0.01,
            deadline=time.time(),
            rules=Rules().to_json(),
        )
    )
    if event["status"] != "open":
        raise AssertionError(event["text"])


def _pool_trigger(azure: Azure) -> Any:
    event = _first(
        AzureBatchPoolTrigger(
            pool_id=azure.pool_id,
            azure_batchext_conn_id="azure_batchext_default",
            goal=Goal.COMPLETE.value,
            poll_interval=0.01,
            deadline=time.time(),
            pool_created="",
        )
    )
    if event["course"] != "reached":
        raise AssertionError(str(event))


def _watcher(azure: Azure) -> Any:
    """A watcher never ends: what counts is what it says of its first look."""
    said: list[str] = []
    trigger = AzureBatchPoolEventTrigger(pool_id=azure.pool_id, poll_interval=0.05)
    trigger._log = SimpleNamespace(log=lambda _, text, *values: said.append(text % values))

    async def watch() -> None:
        running = asyncio.ensure_future(anext(trigger.run()))
        while not said:
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(watch())
    if "2 of 2 nodes ready" not in said[0]:
        raise AssertionError(said[0])


def _ill(azure: Azure) -> None:
    """A node to repair: a failed extension on a machine that only another one replaces."""
    rule = ExtensionScenario(extension="secretext", outcome="fail", node=0)
    azure.emulator.scenario = Scenario(extensions=[rule])
    azure.create()


_REPLACE = {"order": ["replace"]}


def _repair(azure: Azure) -> Any:
    task = AzureBatchRepairNodesOperator(
        task_id="t", pool_id=azure.pool_id, policy=_REPLACE, poll_interval=0.01, timeout=900, deferrable=True
    )
    try:
        return task.execute({})
    except TaskDeferred:
        return None


def _repair_trigger(azure: Azure) -> Any:
    trigger = AzureBatchRepairTrigger(
        pool_id=azure.pool_id,
        azure_batchext_conn_id="azure_batchext_default",
        poll_interval=0.01,
        deadline=time.time(),
        owner="me",
        policy={"order": ["reboot"]},
    )
    event = _first(trigger)
    if event["stage"] == "failed":
        raise AssertionError(event["text"])


def _repairing_gate(azure: Azure) -> Any:
    try:
        # Its last look begins nothing, so it has to have one before.
        return _gate(azure, repair={"order": ["reboot"]}, timeout=2)
    except GateTimeoutError as error:
        if "is being repaired" not in str(error):
            raise


def _work(azure: Azure, **what: Any) -> Any:
    """The emulator's time stands still until the pool was asked why nothing starts; then the work ends."""
    given = what or {"command_line": "/bin/true"}
    task = AzureBatchTaskOperator(
        task_id="t", pool_id=azure.pool_id, timeout=120, poll_interval=0.01, **given
    )
    is_over = threading.Event()

    def go_on() -> None:
        read = f"/pools/{azure.pool_id}?"
        while not is_over.wait(0.01):
            if any(seen.path.startswith(read) for seen in azure.emulator.requests):
                azure.emulator.clock.advance(3600)

    with ThreadPoolExecutor(1) as beside:
        beside.submit(go_on)
        try:
            return task.execute({})
        finally:
            is_over.set()


def _job(azure: Azure, ends: bool = False) -> Any:
    if ends:
        return AzureBatchEndJobOperator(task_id="t", job_id="j-1", prefix="j").execute({})
    return AzureBatchCreateJobOperator(task_id="t", pool_id=azure.pool_id, prefix="k").execute({})


def _submitted(azure: Azure) -> None:
    azure.create()
    with AzureBatchJobHook() as hook:
        hook.create_job("j-1", {"poolInfo": {"poolId": azure.pool_id}, "onAllTasksComplete": "noaction"})
        for task_id in ("t", "x-n00000-0m0-t1"):
            hook.create_task("j-1", task_id, {"commandLine": "/bin/true"})
        hook.end_job_with_its_tasks("j-1")


def _task_trigger(azure: Azure) -> Any:
    event = _first(
        AzureBatchTaskTrigger(
            pool_id=azure.pool_id,
            job_id="j-1",
            batch_task_id="t",
            azure_batchext_conn_id="azure_batchext_default",
            poll_interval=0.01,
            deadline=time.time(),
        )
    )
    if event["stage"] != "timeout":
        raise AssertionError(event["text"])


def _tasks_trigger(azure: Azure) -> Any:
    event = _first(
        AzureBatchTasksTrigger(
            pool_id=azure.pool_id,
            job_ids=["j-1"],
            key="x",
            life="0m0",
            count=1,
            base="j",
            azure_batchext_conn_id="azure_batchext_default",
            poll_interval=0.01,
            deadline=time.time() + 0.6,
        )
    )
    if event["stage"] != "timeout":
        raise AssertionError(event["text"])


def _nothing(azure: Azure) -> None:
    pass


STORIES = [
    Story("AzureBatchCreatePoolOperator", "creates a pool", (READ, WRITE), _create, _nothing),
    Story("AzureBatchCreatePoolOperator", "adopts a pool that exists", (READ,), _create),
    Story(
        "AzureBatchCreatePoolOperator",
        "updates a pool that exists",
        (READ, WRITE),
        lambda azure: _create(azure, nodes=3, on_existing="update"),
    ),
    Story("AzureBatchUpdatePoolOperator", "changes a pool", (READ, WRITE), _update),
    Story("AzureBatchResizePoolOperator", "resizes a pool", (READ, WRITE), _resize),
    Story(
        "AzureBatchResizePoolOperator",
        "stops the resize when the task is ended",
        (READ, WRITE, STOP),
        lambda azure: _resize(azure, stop_resize_on_kill=True),
    ),
    Story("AzureBatchDeletePoolOperator", "deletes a pool", (READ, DELETE), _delete),
    Story(
        "AzureBatchDeleteOrphansOperator",
        "deletes what ended runs have left",
        (LOOK_UP, READ, DELETE),
        _delete_orphans,
        _leave,
    ),
    Story("AzureBatchPoolTrigger", "waits for a pool", (READ,), _pool_trigger),
    Story("AzureBatchGetExtensionOperator", "reads extensions", (LOOK_UP, READ), _read),
    Story("AzureBatchDiagnosePoolOperator", "reads and diagnoses", (LOOK_UP, READ), _diagnose),
    Story(
        "AzureBatchDiagnosePoolOperator",
        "has nodes upload their logs",
        (LOOK_UP, READ, WRITE),
        lambda azure: _diagnose(azure, logs_container="https://a/c", logs_identity="/subscriptions/s/i"),
        _fail,
    ),
    Story("AzureBatchExtensionSensor", "holds the gate", (LOOK_UP, READ), _gate),
    Story("AzureBatchRepairNodesOperator", "repairs nodes", (LOOK_UP, READ, WRITE), _repair, _ill),
    Story("AzureBatchRepairTrigger", "repairs nodes", (LOOK_UP, READ, WRITE), _repair_trigger, _ill),
    Story("AzureBatchExtensionSensor", "repairs nodes", (LOOK_UP, READ, WRITE), _repairing_gate, _ill),
    Story("AzureBatchTaskOperator", "runs work", (LOOK_UP, READ, JOBS_READ, JOBS_WRITE), _work),
    Story(
        "AzureBatchTaskOperator",
        "runs work of many tasks",
        (LOOK_UP, READ, JOBS_READ, JOBS_WRITE),
        lambda azure: _work(azure, tasks=["/bin/true"] * 2),
    ),
    Story(
        "AzureBatchTaskOperator",
        "runs work on nodes that are checked first",
        (LOOK_UP, READ, JOBS_READ, JOBS_WRITE),
        lambda azure: _work(azure, command_line="/bin/true", node_check="/bin/true"),
    ),
    Story("AzureBatchTasksTrigger", "waits for work", (LOOK_UP, READ, JOBS_READ), _tasks_trigger, _submitted),
    Story("AzureBatchTaskTrigger", "waits for work", (LOOK_UP, READ, JOBS_READ), _task_trigger, _submitted),
    Story("AzureBatchCreateJobOperator", "makes a job for work", (LOOK_UP, JOBS_READ, JOBS_WRITE), _job),
    Story(
        "AzureBatchEndJobOperator",
        "ends a job of work",
        (LOOK_UP, JOBS_READ, JOBS_WRITE),
        lambda azure: _job(azure, ends=True),
        _submitted,
    ),
    Story("AzureBatchPoolEventTrigger", "watches a pool", (LOOK_UP, READ), _watcher),
    Story("AzureBatchExtensionTrigger", "holds the gate", (LOOK_UP, READ), _gate_trigger),
    Story(
        "AzureBatchExtensionSensor",
        "holds the gate, with account_url given",
        (READ,),
        lambda azure: _gate(azure, azure_batchext_conn_id="with_url"),
    ),
    Story(
        "AzureBatchExtensionSensor",
        "holds the gate, with list_keys and account_url given",
        (LIST_KEYS,),
        lambda azure: _gate(azure, azure_batchext_conn_id="with_keys"),
    ),
]
