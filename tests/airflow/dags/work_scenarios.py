"""Work on a pool, each task with another fate; the test makes the pool and says what the Batch tasks do."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from threading import Thread

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
MANY = {"command_line": None, "tasks": ["/bin/true"] * 4}


class LosesItsWorker(AzureBatchTaskOperator):
    """Its worker is gone once the Batch task is submitted, before Airflow hears of it."""

    def execute(self, context) -> dict:
        try:
            return super().execute(context)
        except TaskDeferred:
            if context["ti"].try_number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            raise


class IsTerminated(AzureBatchTaskOperator):
    """Its process is told to end while it waits, as where a machine is given up: nobody marks the task."""

    def execute(self, context) -> dict:
        Thread(target=self._terminate, daemon=True).start()
        return super().execute(context)

    def _terminate(self) -> None:
        while getattr(self._steps, "_placed", None) is None:
            time.sleep(0.2)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)


with DAG("work_again", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    AzureBatchTaskOperator(task_id="again", **COMMON, deferrable=True)

with DAG("work_scenarios", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    for name, options in {
        "succeeds": {"logs_interval": 0.5, "result": "json"},
        "ends_there": {"logs_interval": 0.5, "end_from_trigger": True},
        "many": {**MANY, "retries": 1},
        "many_marked": MANY,
        "many_cleared": {**MANY, "retries": 1},
        "fails_once": {"retries": 1},
        "skipped": {"skip_on_exit_code": 4},
        "no_retry": {"retries": 3, "fail_on_exit_code": [5]},
        "cleared": {"retries": 1},
        "cleared_later": {},
        "marked": {},
        "marked_in_worker": {"deferrable": False},
    }.items():
        AzureBatchTaskOperator(task_id=name, **{**COMMON, "deferrable": True, **options})
    IsTerminated(task_id="terminated", **COMMON, deferrable=False, poll_interval=3)
    LosesItsWorker(task_id="lost", **COMMON, deferrable=True, retries=2)
    AzureBatchTaskOperator.partial(task_id="mapped", **COMMON, deferrable=True).expand(
        environment=[{"FRAME": str(frame)} for frame in range(5)]
    )
