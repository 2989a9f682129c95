"""### Every night as many pools as there is work for

How many pools there are, and of which size, is known only when the DAG runs: `plan` says it. For each item
of the plan a pool is created, waited for, used and deleted; each goes its own way, and where one fails the
others go on.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task, task_group
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_batchext.ephemeral import ephemeral_pool

with DAG(
    "batch_many_pools",
    # The first run is the next night's: not the moment in which it is switched on.
    schedule=CronTriggerTimetable("0 2 * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    params={
        "sizes": Param([1, 2], type="array", items={"type": "integer"}, title="Nodes of each pool"),
    },
    default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
    description="Every night as many pools as there is work for",
    doc_md=__doc__,
    tags=["azure batch", "scheduled", "many pools"],
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
