"""### As many pools as a run needs

How many pools there are, and of which size, is known only when the DAG runs: `plan` says it. For each item of
the plan a pool is created, waited for, used and deleted; each goes its own way.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Param, task, task_group

from airflow_batchext.ephemeral import ephemeral_pool

with DAG(
    "batch_many_pools",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    params={
        "sizes": Param([1, 2], type="array", items={"type": "integer"}, title="Nodes of each pool"),
    },
    default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
    doc_md=__doc__,
    tags=["azure", "batch", "extensions"],
) as dag:

    @task
    def plan(params: dict | None = None) -> list[dict]:
        """One pool document for each pool."""
        image = {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"}
        agent = {"name": "agent", "publisher": "Microsoft.Azure.Monitor", "type": "AzureMonitorLinuxAgent"}
        machine = {
            "imageReference": image,
            "nodeAgentSkuId": "batch.node.ubuntu 24.04",
            "extensions": [agent],
        }
        return [
            {
                "properties": {
                    "vmSize": "STANDARD_D2S_V3",
                    "deploymentConfiguration": {"virtualMachineConfiguration": machine},
                    "scaleSettings": {"fixedScale": {"targetDedicatedNodes": size}},
                }
            }
            for size in (params or {})["sizes"]
        ]

    @task
    def use_pool(pool_id: str) -> str:
        """This is where the work goes."""
        print(f"Every extension on every node of {pool_id} has succeeded")
        return pool_id

    @task_group
    def with_a_pool(document: dict) -> None:
        """One pool, its gate, its work, its end."""
        how = {"deferrable": True, "retries": 0}
        with ephemeral_pool(document, mapped=True, gate=how) as pool:
            use_pool(pool.pool_id)

    with_a_pool.expand(document=plan())
