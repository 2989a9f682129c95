"""All that ends a wait beside the pool, at once: limits, and a connection that workers alone have."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from airflow_batchext.operators.node import AzureBatchRepairNodesOperator
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor


def document(nodes: int) -> dict[str, Any]:
    machine = {
        "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
        "nodeAgentSkuId": "batch.node.ubuntu 24.04",
        "extensions": [
            {"name": "agent", "publisher": "Microsoft.Azure.Monitor", "type": "AzureMonitorLinuxAgent"}
        ],
    }
    return {
        "properties": {
            "vmSize": "STANDARD_DS2_V2",
            "deploymentConfiguration": {"virtualMachineConfiguration": machine},
            "scaleSettings": {"fixedScale": {"targetDedicatedNodes": nodes}},
        }
    }


def note(context: Any) -> None:
    (Path(os.environ["AIRFLOW_HOME"]) / f"called-for-{context['ti'].task_id}").touch()


CREATE = {"pool_document": document(2), "wait_for": "steady", "poll_interval": 10, "delete_on_failure": True}
GATE = {"pool_id": "li-hang", "poke_interval": 10}
LACKING = {"azure_batchext_conn_id": "workeronly", "deferrable": True}
SHORT = timedelta(seconds=15)

with DAG("limits", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    for name, how in {
        "on_worker": {"execution_timeout": timedelta(seconds=3)},
        "deferred": {"execution_timeout": SHORT, "deferrable": True},
        "lacking": LACKING,
    }.items():
        AzureBatchCreatePoolOperator(task_id=name, pool_id=f"li-{name.replace('_', '-')}", **CREATE, **how)
    for name, how in {
        "gate_poke": {"mode": "poke"},
        "gate_reschedule": {"mode": "reschedule"},
        "gate_deferred": {"deferrable": True},
        "gate_in_triggerer": {"start_from_trigger": True, "on_failure_callback": note},
    }.items():
        AzureBatchExtensionSensor(task_id=name, execution_timeout=SHORT, **GATE, **how)
    AzureBatchExtensionSensor(task_id="gate_lacking", soft_fail=True, **GATE, **LACKING)
    AzureBatchExtensionSensor(
        task_id="gate_in_triggerer_lacking",
        soft_fail=True,
        start_from_trigger=True,
        azure_batchext_conn_id="workeronly",
        **GATE,
    )
    AzureBatchRepairNodesOperator(task_id="repair_lacking", pool_id="li-sick", poll_interval=10, **LACKING)
