"""### A pool that lives as long as the tasks that need it

The pool is created, `gate` waits until every extension on every node has succeeded, the tasks of the `with`
block run, and the pool is deleted however they ended. Each run has a pool of its own, so runs may overlap.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, task

from airflow_batchext.ephemeral import ephemeral_pool

with DAG(
    "batch_ephemeral_pool",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={"nodes": Param(1, type="integer", minimum=1, maximum=100, title="Dedicated nodes")},
    default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
    description="A pool that lives as long as the tasks that need it",
    doc_md=__doc__,
    tags=["azure batch", "on demand", "ephemeral pool"],
) as dag:

    @task
    def use_pool(pool_id: str) -> str:
        """This is where the work goes."""
        print(f"Every extension on every node of {pool_id} has succeeded")
        return pool_id

    with ephemeral_pool("pools/keyvault_ubuntu.json", gate={"deferrable": True, "retries": 0}) as pool:
        use_pool(pool.pool_id)
