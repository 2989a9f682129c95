"""A gate that needs no worker; the test makes its pool."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

POOL_ID = "kind-triggerer"

with DAG("gate_in_triggerer", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    AzureBatchExtensionSensor(
        task_id="gate",
        pool_id=POOL_ID,
        azure_batchext_conn_id="official",
        start_from_trigger=True,
        poke_interval=1,
    )
