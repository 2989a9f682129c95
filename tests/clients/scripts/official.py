"""Airflow's own provider for Azure: the hook, the operator waiting by itself, and the operator deferring.

official.py hook|operator|deferrable LABEL COMMAND_LINE
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from story import INFO, tell

MODE, LABEL, COMMAND = sys.argv[1:4]


def connection(account: str, key: str, url: str) -> str:
    return json.dumps(
        {"conn_type": "azure_batch", "login": account, "password": key, "extra": {"account_url": url}}
    )


# With a key over plain HTTP; with a wrong key; and with whatever DefaultAzureCredential finds, over HTTPS.
os.environ |= {
    "AIRFLOW_CONN_AZURE_BATCH_DEFAULT": connection(INFO["account"], INFO["key"], INFO["http_endpoint"]),
    "AIRFLOW_CONN_WRONG": connection(INFO["account"], "bm8gc3VjaCBrZXk=", INFO["http_endpoint"]),
    "AIRFLOW_CONN_NO_KEY": connection("", "", INFO["batch_endpoint"]),
}

from airflow.providers.common.compat.sdk import TaskDeferred  # noqa: E402
from airflow.providers.microsoft.azure.hooks.batch import AzureBatchHook  # noqa: E402
from airflow.providers.microsoft.azure.operators.batch import AzureBatchOperator  # noqa: E402
from airflow.providers.microsoft.azure.triggers.batch import AzureBatchTrigger  # noqa: E402


def operator(**more: Any) -> AzureBatchOperator:
    return AzureBatchOperator(
        task_id="t",
        batch_pool_id=f"official-{LABEL}",
        batch_pool_vm_size="standard_d2_v2",
        batch_job_id=f"job-{LABEL}",
        batch_task_command_line=COMMAND,
        batch_task_id="task-1",
        vm_node_agent_sku_id="batch.node.ubuntu 22.04",
        vm_publisher="canonical",
        vm_offer="0001-com-ubuntu-server-jammy",
        vm_sku="22_04-lts",
        vm_version="latest",
        target_dedicated_nodes=1,
        poll_interval=1,
        timeout=2,
        **more,
    )


def task_of(hook: AzureBatchHook) -> list[Any]:
    task = hook.connection.get_task(f"job-{LABEL}", "task-1")
    assert task.execution_info is not None
    return [task.state, task.execution_info.exit_code, task.execution_info.result]


def outcome(run: Any) -> str:
    """Success, or the first words of the failure."""
    try:
        run()
    except RuntimeError as problem:
        return str(problem).split(":")[0].split(" Failed")[0]
    return "success"


async def fired(trigger: AzureBatchTrigger) -> dict[str, Any]:
    path, arguments = trigger.serialize()
    assert path.endswith("AzureBatchTrigger")
    async for event in AzureBatchTrigger(**arguments).run():
        return dict(event.payload)
    raise SystemExit("the trigger gave no event")


def deferred() -> dict[str, Any]:
    task = operator(deferrable=True, should_delete_job=True)
    try:
        task.execute({})
    except TaskDeferred as deferral:
        trigger = deferral.trigger
        assert isinstance(trigger, AzureBatchTrigger)
        event = asyncio.run(fired(trigger))
        seen = {"event": event["status"], "task": task_of(task.hook)}
        return {**seen, "outcome": outcome(lambda: task.execute_complete({}, event))}
    raise SystemExit("the operator did not defer")


def by_itself() -> dict[str, Any]:
    task = operator()
    seen: dict[str, Any] = {"outcome": outcome(lambda: task.execute({}))}
    seen["task"] = task_of(task.hook)
    task.clean_up(job_id=f"job-{LABEL}")
    task.clean_up(pool_id=f"official-{LABEL}")
    return {**seen, "pools": [pool.id for pool in task.hook.connection.list_pools() if LABEL in pool.id]}


def hooks() -> dict[str, Any]:
    seen = {
        name: AzureBatchHook(name).test_connection()[0] for name in ("azure_batch_default", "wrong", "no_key")
    }
    pool = AzureBatchHook().configure_pool(
        pool_id=f"official-{LABEL}",
        vm_size="standard_d2_v2",
        vm_node_agent_sku_id="",
        use_latest_image_and_sku=True,
        vm_publisher="canonical",
        vm_offer="0001-com-ubuntu-server-jammy",
        sku_starts_with="22",
        target_dedicated_nodes=1,
    )
    machine = pool.virtual_machine_configuration
    assert machine is not None
    return {"connections": seen, "agent": machine.node_agent_sku_id}


tell(**{"hook": hooks, "operator": by_itself, "deferrable": deferred}[MODE]())
