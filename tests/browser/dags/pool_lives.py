"""A pool whose gate repairs, on which work runs then, and which is watched all the while."""

from airflow.sdk import DAG, task

from airflow_batchext.assets import watched_pool_asset
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator, AzureBatchDeletePoolOperator
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

POOL = "lives"
LOST = watched_pool_asset("devaccount", POOL, event="lost")

with DAG("pool_lives", schedule=None):
    create = AzureBatchCreatePoolOperator(
        task_id="create", pool_id=POOL, pool_document="pools/keyvault_ubuntu.json", params={"nodes": 2}
    )
    gate = AzureBatchExtensionSensor(
        task_id="gate",
        pool_id=POOL,
        deferrable=True,
        poke_interval=5,
        retries=0,
        repair={"order": ["reboot"]},
    )
    work = AzureBatchTaskOperator(
        task_id="work", pool_id=POOL, tasks=["/bin/true"] * 6, deferrable=True, poll_interval=5, logs="none"
    )
    delete = AzureBatchDeletePoolOperator(task_id="delete", pool_id=POOL).as_teardown(setups=create)
    create >> gate >> work >> delete

with DAG("pool_has_lost", schedule=LOST):

    @task
    def tell() -> None:
        """Nothing: that it ran is seen."""

    tell()
