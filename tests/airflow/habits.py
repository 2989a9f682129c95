"""DAGs as their authors are used to write them, run one after the other by ``dag.test()``; see test_habits.

Called as ``python habits.py RESULT_FILE``, in a folder of DAGs and an AIRFLOW_HOME of its own.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, TaskGroup, task, task_group

from airflow_batchext.ephemeral import batch_job, ephemeral_pool
from airflow_batchext.operators.orphans import AzureBatchDeleteOrphansOperator
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator
from airflow_batchext.operators.task import AzureBatchTaskOperator
from tests.distributed.pool_document import document

START = {"schedule": None, "start_date": datetime(2026, 1, 1, tzinfo=UTC)}
FIRST: dict[str, Any] = {"wait_for": "steady", "poll_interval": 0.2}


@task
def use(pool_id: str) -> str:
    return pool_id


with DAG("collide", **START) as collide:
    for name in ("render", "encode"):
        with TaskGroup(name), ephemeral_pool(document(1), create=FIRST, gate={"poke_interval": 0.2}) as pool:
            use(pool.pool_id)

with DAG("mapped", **START) as mapped:

    @task_group
    def each(size: int) -> None:
        with ephemeral_pool(document(1), create=FIRST, gate={"poke_interval": 0.2}) as pool:
            use(pool.pool_id)

    each.expand(size=[1, 2])

with DAG("native", render_template_as_native_obj=True, **START) as native:
    body = document(1)
    body["properties"]["metadata"] = [{"name": "version", "value": "1.10"}, {"name": "off", "value": "None"}]
    machine = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine["extensions"][0] |= {
        "typeHandlerVersion": "1.10",
        "settings": {"v": "1.10", "off": "None", "n": "{{ 3 + params.n }}"},
        "protectedSettings": {"pin": "12345678"},
    }
    create = AzureBatchCreatePoolOperator(
        task_id="create", pool_id="{{ 20260000 + params.n }}", pool_document=body, params={"n": 1}
    )
    use(create.output["pool_id"])

with DAG("orphans", **START) as orphans:
    made = AzureBatchCreatePoolOperator(
        task_id="create", pool_id="of-this-run", pool_document=document(1), lifetime="run"
    )
    made >> AzureBatchDeleteOrphansOperator(task_id="clean")


with DAG("jobs", **START) as jobs:

    @task_group
    def work(number: int) -> None:
        with batch_job("jobs") as job:
            how: dict[str, Any] = {"pool_id": "jobs", "job_id": job.job_id, "command_line": "/bin/true"}
            first, second = (AzureBatchTaskOperator(task_id=name, **how) for name in ("first", "second"))
            first >> second

    nodes = AzureBatchCreatePoolOperator(task_id="nodes", pool_id="jobs", pool_document=document(2), **FIRST)
    nodes >> work.expand(number=[0, 1])


def main(result_file: str) -> None:
    """Run them; write down how each task ended, and what it returned."""
    from airflow.utils.db import initdb

    initdb()
    told: dict[str, Any] = {}
    for dag in (collide, mapped, native, orphans, jobs):
        run = dag.test()
        told[dag.dag_id] = {
            f"{ti.task_id}[{ti.map_index}]": [
                str(ti.state),
                ti.xcom_pull(ti.task_id, map_indexes=ti.map_index),
            ]
            for ti in run.get_task_instances()
        }
    Path(result_file).write_text(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
