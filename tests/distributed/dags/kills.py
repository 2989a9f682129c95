"""The main run of each seed: pools, several gates before each, and work behind them that leaves a trace."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context, task

from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator, AzureBatchDeletePoolOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from tests.distributed.plan import SEEDS, kills_dag_ids, plan
from tests.distributed.pool_document import document

# As a user would give them whose machines are lost now and then.
RETRIES = {"retries": 3, "retry_delay": timedelta(seconds=3)}


@task(**RETRIES)
def work(pool_id: str, gate: str, ti=None) -> None:
    line = {"pool": pool_id, "gate": gate, "at": time.time(), "try": ti.try_number}
    with (Path(os.environ["AIRFLOW_HOME"]) / "work.jsonl").open("a") as journal:
        journal.write(f"{json.dumps(line)}\n")


# A worker needs the DAG of its task alone.
wanted = get_parsing_context().dag_id

for seed in SEEDS:
    pools = plan(seed)
    for dag_id in kills_dag_ids(seed):
        if wanted not in (None, dag_id):
            continue
        with DAG(
            dag_id,
            schedule=None,
            start_date=datetime(2026, 1, 1, tzinfo=UTC),
            default_args=RETRIES,
            max_active_tasks=200,
            is_paused_upon_creation=False,
        ):
            for pool in (pool for pool in pools if pool.dag_id == dag_id):
                create = AzureBatchCreatePoolOperator(
                    task_id=f"{pool.pool_id}.create",
                    pool_id=pool.pool_id,
                    pool_document=document(pool.nodes),
                    wait_for="steady" if pool.waits_for_nodes else "created",
                    deferrable=True,
                )
                delete = AzureBatchDeletePoolOperator(
                    task_id=f"{pool.pool_id}.delete",
                    pool_id=pool.pool_id,
                    deferrable=True,
                    trigger_rule="all_done",
                )
                for gate in pool.gates:
                    wait = AzureBatchExtensionSensor(
                        task_id=f"{pool.pool_id}.{gate.task_id}",
                        pool_id=pool.pool_id,
                        timeout=gate.timeout,
                        start_from_trigger=gate.from_trigger,
                        deferrable=True,
                    )
                    done = work.override(task_id=f"{pool.pool_id}.work-{gate.task_id}")(
                        pool.pool_id, gate.task_id
                    )
                    create >> wait >> done >> delete
