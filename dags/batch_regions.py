"""### The same work in several regions

A Batch account is in one region, so each region has a connection of its own. Where no machines can be had,
the other regions go on. Set up the connections `azure_batch_west` and `azure_batch_north` before it can run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, task

from airflow_batchext.ephemeral import ephemeral_pool

REGIONS = {"west": "azure_batch_west", "north": "azure_batch_north"}

with DAG(
    "batch_regions",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={"nodes": Param(1, type="integer", minimum=1, title="Dedicated nodes in each region")},
    default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
    description="The same work in several regions",
    doc_md=__doc__,
    tags=["azure batch", "on demand", "regions"],
) as dag:

    @task
    def use_pool(pool_id: str) -> str:
        """This is where the work goes."""
        print(f"Every extension on every node of {pool_id} has succeeded")
        return pool_id

    for region, conn_id in REGIONS.items():
        with ephemeral_pool(
            "pools/keyvault_ubuntu.json",
            group_id=region,
            azure_batchext_conn_id=conn_id,
            create={"wait_for": "steady", "delete_on_failure": True, "deferrable": True},
            gate={"deferrable": True, "retries": 0},
        ) as pool:
            use_pool(pool.pool_id)
