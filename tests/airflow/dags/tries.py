"""Tasks that note how Airflow counts their tries, in the file TRIES; each comes to another end."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import AirflowException, BaseOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG


class Noting(BaseOperator):
    """Notes its try, and does what its id says."""

    def execute(self, context) -> None:
        ti = context["ti"]
        if ti.try_number > 20:
            raise AirflowException("something counts on and on")
        note = {
            "task": self.task_id,
            "map_index": ti.map_index,
            "try": ti.try_number,
            "max_tries": ti.max_tries,
            "retries": self.retries,
            "run_started": context["dag_run"].start_date.isoformat(),
        }
        with Path(os.environ["TRIES"]).open("a") as file:
            file.write(json.dumps(note) + "\n")
        if self.task_id in ("fails", "mapped"):
            raise AirflowException("as always")
        if self.task_id == "killed" and ti.try_number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.task_id == "lost" and ti.try_number == 1:
            os.kill(os.getppid(), signal.SIGKILL)  # who runs it, and would tell of its end
            os.kill(os.getpid(), signal.SIGKILL)
        if self.task_id == "deferred":
            self.defer(trigger=TimeDeltaTrigger(timedelta(hours=1)), method_name="execute_complete")
        if self.task_id == "running" and ti.try_number == 1:
            time.sleep(600)

    def execute_complete(self, context, event) -> None:
        """Nothing: nobody waits an hour."""


with DAG("tries", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    for name, retries in {
        "fails": 2,
        "once": 0,
        "succeeds": 2,
        "killed": 2,
        "lost": 2,
        "deferred": 2,
        "running": 2,
    }.items():
        Noting(task_id=name, retries=retries, retry_delay=timedelta(seconds=1))
    Noting.partial(task_id="mapped", retries=1, retry_delay=timedelta(seconds=1)).expand(doc=["a", "b"])
