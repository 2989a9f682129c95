"""Work on a pool, each task with another fate; the test makes the pool and says what the Batch tasks do."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk import DAG

from airflow_batchext.operators.task import AzureBatchTaskOperator

POOL_ID = "work"
COMMON = {
    "pool_id": POOL_ID,
    "azure_batchext_conn_id": "official",  # the data plane alone is enough
    "command_line": "/bin/sh -c 'echo $AIRFLOW_CTX_TASK_ID'",
    "retry_delay": timedelta(seconds=1),
}


class LosesItsWorker(AzureBatchTaskOperator):
    """Its worker is gone once the Batch task is submitted, before Airflow hears of it."""

    def execute(self, context) -> dict:
        try:
            return super().execute(context)
        except TaskDeferred:
            if context["ti"].try_number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            raise


with DAG("work_scenarios", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    for name, options in {
        "succeeds": {"logs_interval": 0.5, "result": "json"},
        "ends_there": {"logs_interval": 0.5, "end_from_trigger": True},
        "many": {"command_line": None, "tasks": ["/bin/true"] * 4, "retries": 1},
        "fails_once": {"retries": 1},
        "skipped": {"skip_on_exit_code": 4},
        "no_retry": {"retries": 3, "fail_on_exit_code": [5]},
        "cleared": {"retries": 1},
        "marked": {},
        "marked_in_worker": {"deferrable": False},
    }.items():
        AzureBatchTaskOperator(task_id=name, **{**COMMON, "deferrable": True, **options})
    LosesItsWorker(task_id="lost", **COMMON, deferrable=True, retries=2)
    AzureBatchTaskOperator.partial(task_id="mapped", **COMMON, deferrable=True).expand(
        environment=[{"FRAME": str(frame)} for frame in range(5)]
    )
