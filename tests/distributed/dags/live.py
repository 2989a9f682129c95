"""Gates of every kind that waits in a triggerer, for test_live_page."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

POOLS = [f"live-{number}" for number in range(5)]

with DAG(
    "live",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    is_paused_upon_creation=False,
    max_active_tasks=100,
):
    AzureBatchExtensionSensor.partial(task_id="mapped", deferrable=True).expand(pool_id=POOLS)
    for place, from_trigger in (("worker", False), ("triggerer", True)):
        for pool in POOLS[:2]:
            AzureBatchExtensionSensor(
                task_id=f"{place}-{pool}", pool_id=pool, deferrable=True, start_from_trigger=from_trigger
            )
