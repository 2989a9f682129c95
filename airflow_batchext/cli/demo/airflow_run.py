"""The demo's child process: Airflow runs the DAG here, in an AIRFLOW_HOME that it has for itself.

Called as ``python -m airflow_batchext.cli.demo.airflow_run RESULT_FILE RUN_CONF``; what came of it is written
to the file as JSON.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from runpy import run_path
from typing import Any

DAG_ID = "batch_pool_gate"


def main(result_file: str, run_conf: str) -> None:
    """Make the metadata database, run the DAG once, write down how it ended."""
    gc.disable()  # a tenth of the time of a process that is over before there is much to collect

    from airflow.utils.db import initdb

    from airflow_batchext.cli.demo.airflow_home import dags_folder

    initdb()
    dag: Any = run_path(str(dags_folder() / f"{DAG_ID}.py"))["dag"]
    reasons: dict[str, str] = {}

    def note(context: dict[str, Any]) -> None:
        reasons[context["ti"].task_id] = str(context.get("exception") or "")

    for task in dag.tasks:
        task.on_failure_callback = [note]
        task.retries = 0  # a demo shows the first failure; minutes of waiting for a retry show nothing
    run = dag.test(run_conf=json.loads(run_conf))
    instances = {instance.task_id: instance for instance in run.get_task_instances()}
    Path(result_file).write_text(
        json.dumps(
            {
                "state": str(run.state.value),
                "tasks": [
                    {"task_id": task_id, "state": str(instances[task_id].state or "not run")}
                    for task_id in (task.task_id for task in dag.topological_sort())
                ],
                "reasons": reasons,
                "gate": instances["gate"].xcom_pull("gate"),
                "downstream": instances["use_pool"].xcom_pull("use_pool"),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
