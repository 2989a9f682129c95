"""Everything that waits, for tests that end it from outside or look at what it costs; and one that works."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, task

from airflow_batchext.ephemeral import ephemeral_pool
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from tests.distributed.pool_document import document

RETRIES = {"retries": 3, "retry_delay": timedelta(seconds=2)}
DEFAULTS = {
    "schedule": None,
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "is_paused_upon_creation": False,
}

with DAG("waiting", default_args=RETRIES, **DEFAULTS):
    # Pools that never get their nodes: see test_ended_runs.
    for flag, is_set in (("on", True), ("off", False)):
        AzureBatchCreatePoolOperator(
            task_id=f"create-{flag}",
            pool_id=f"{{{{ run_id }}}}-{flag}",
            pool_document=document(1),
            wait_for="steady",
            deferrable=True,
            delete_on_kill=is_set,
        )
    made = AzureBatchCreatePoolOperator(
        task_id="make", pool_id="{{ run_id }}-gates", pool_document=document(1)
    )
    for place, from_trigger in (("worker", False), ("triggerer", True)):
        made >> AzureBatchExtensionSensor(
            task_id=f"gate-{place}",
            pool_id="{{ run_id }}-gates",
            deferrable=True,
            start_from_trigger=from_trigger,
        )

    @task
    def use(pool_id: str) -> None:
        print(pool_id)

    with ephemeral_pool(
        document(1), group_id="life", pool_id="{{ run_id }}-life", gate={"deferrable": True}
    ) as pool:
        use(pool.pool_id)

with DAG("gates_only", **DEFAULTS):
    for place, from_trigger in (("worker", False), ("triggerer", True)):
        for number in range(5):
            AzureBatchExtensionSensor(
                task_id=f"{place}-{number}",
                pool_id="gates-only",
                deferrable=True,
                start_from_trigger=from_trigger,
            )

with DAG("busy", **DEFAULTS):

    @task
    def sleep() -> None:
        time.sleep(5)

    sleep()
