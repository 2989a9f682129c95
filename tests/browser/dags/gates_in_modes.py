"""Gates on one pool, one in each mode, and two mapped ones."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator, AzureBatchDeletePoolOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

POOL = "modes"
GATE = {"retries": 2, "retry_delay": timedelta(seconds=5), "poke_interval": 5}

with DAG("gates_in_modes", schedule=None):
    create = AzureBatchCreatePoolOperator(
        task_id="create", pool_id=POOL, pool_document="pools/keyvault_ubuntu.json", params={"nodes": 2}
    )
    delete = AzureBatchDeletePoolOperator(task_id="delete", pool_id=POOL).as_teardown(setups=create)
    gates = [
        AzureBatchExtensionSensor(task_id="poke", pool_id=POOL, mode="poke", **GATE),
        AzureBatchExtensionSensor(task_id="reschedule", pool_id=POOL, mode="reschedule", **GATE),
        AzureBatchExtensionSensor(task_id="deferrable", pool_id=POOL, deferrable=True, **GATE),
        AzureBatchExtensionSensor(task_id="triggerer", pool_id=POOL, start_from_trigger=True, **GATE),
        AzureBatchExtensionSensor.partial(task_id="mapped", deferrable=True, **GATE).expand(
            pool_id=[POOL] * 2
        ),
    ]
    create >> gates >> delete
