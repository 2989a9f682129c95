"""Gates that fail, in each mode and many at once in the triggerer, and a run that misses its deadline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference

from airflow_batchext.notifications.diagnosis import AzureBatchDiagnosisNotifier
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

POOL_ID = "story-fails"
#: Gates that fail in the triggerer at the same moment.
MANY = 40
MODES: dict[str, dict[str, Any]] = {
    "poke": {},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
START = datetime(2026, 1, 1, tzinfo=UTC)
LATE = DeadlineAlert(
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=timedelta(seconds=1),
    callback=AsyncCallback(AzureBatchDiagnosisNotifier, {"pool_id": POOL_ID}),
)


def gate(task_id: str, **kwargs: Any) -> AzureBatchExtensionSensor:
    return AzureBatchExtensionSensor(task_id=task_id, pool_id=POOL_ID, poke_interval=10, **kwargs)


with DAG("story", schedule=None, start_date=START, deadline=LATE, max_active_tasks=64):
    for mode, given in MODES.items():
        gate(mode, **given)
    for number in range(MANY):
        gate(f"triggerer-{number}", start_from_trigger=True)
