"""Runs with a pool of their own that end in every way; how each of them ends stands in its id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, task

from airflow_batchext.ephemeral import ephemeral_pool
from tests.distributed.pool_document import document

WAYS = {
    "left_over": {},
    "left_over_late": {"dagrun_timeout": timedelta(seconds=120)},
    "left_over_fast": {"fail_fast": True},
}


@task
def use(pool_id: str) -> None:
    if "-failure-" in pool_id:
        raise ValueError("the work failed")


for dag_id, way in WAYS.items():
    with (
        DAG(
            dag_id,
            schedule=None,
            start_date=datetime(2026, 1, 1, tzinfo=UTC),
            is_paused_upon_creation=False,
            max_active_runs=60,
            max_active_tasks=100,
            default_args={"retries": 0 if "fail_fast" in way else 2, "retry_delay": timedelta(seconds=2)},
            **way,
        ),
        ephemeral_pool(document(1), pool_id="left-{{ run_id }}", gate={"deferrable": True}) as pool,
    ):
        use(pool.pool_id)
