"""### A pool that repairs itself before work starts

Like `batch_pool_gate`, but the gate has nodes repaired before it fails: a node whose extension failed, or
that is broken, is rebooted; where that does not help it is replaced by another one. What helps nobody is
given up, and the gate fails with what was tried. Runs that overlap need pools of different ids.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, task

from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator, AzureBatchDeletePoolOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

POOL_ID = "{{ params.pool_id }}"

with DAG(
    "batch_pool_self_heal",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={
        "pool_id": Param("batchext-heal", type="string", pattern="^[a-zA-Z0-9_-]{1,64}$", title="Pool id"),
        "nodes": Param(3, type="integer", minimum=1, maximum=100, title="Dedicated nodes"),
    },
    default_args={"retries": 1, "retry_delay": timedelta(minutes=1)},
    description="A pool that repairs itself before work starts",
    doc_md=__doc__,
    tags=["azure batch", "on demand", "repair"],
):
    create_pool = AzureBatchCreatePoolOperator(
        task_id="create_pool", pool_id=POOL_ID, pool_document="pools/keyvault_ubuntu.json"
    )
    gate = AzureBatchExtensionSensor(
        task_id="gate",
        pool_id=POOL_ID,
        repair={"order": ["reboot", "replace"], "at_once": 0.2},
        timeout=timedelta(hours=2),
        deferrable=True,
        retries=0,  # it has tried all that it may: again would only take longer
    )
    delete_pool = AzureBatchDeletePoolOperator(task_id="delete_pool", pool_id=POOL_ID, deferrable=True)

    @task
    def use_pool(report: dict) -> list[str]:
        """This is where the work goes."""
        return sorted(report["nodes"])

    create_pool >> gate
    use_pool(gate.output) >> delete_pool.as_teardown(setups=create_pool)
