"""### A pool that does not become ready, and why

Where the gate fails, `why` reads the pool once more, finds the known causes of what is wrong, and writes a
report: its log has the short form, and the link *Pool report* on the task leads to the page. Then the pool is
deleted.

With `batchext up`, an extension fails in each pool whose id ends in `-fails`, as that of this form does.
Reports go to the folder of the Airflow Variable `batchext_reports`, as Airflow's object storage takes it;
`batchext_reports_url` is where a browser finds that folder.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, task

from airflow_batchext.operators.diagnose import AzureBatchDiagnosePoolOperator
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator, AzureBatchDeletePoolOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

POOL_ID = "{{ params.pool_id }}"
# A run on demand may have no logical date.
RUN = "{{ dag_run.run_after | ts_nodash }}"
REPORTS = "{{ var.value.get('batchext_reports', 'file:///tmp/batchext-reports') }}/" + RUN
REPORTS_URL = "{{ var.value.get('batchext_reports_url', 'file:///tmp/batchext-reports') }}/" + RUN

with DAG(
    "batch_pool_diagnosis",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={
        "pool_id": Param("diagnosis-fails", type="string", pattern="^[a-zA-Z0-9_-]{1,64}$", title="Pool id"),
        "nodes": Param(3, type="integer", minimum=1, maximum=100, title="Dedicated nodes"),
    },
    default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
    description="A pool whose extension fails, why it did, and the report of it",
    doc_md=__doc__,
    tags=["azure batch", "on demand", "diagnosis"],
):
    create = AzureBatchCreatePoolOperator(
        task_id="create", pool_id=POOL_ID, pool_document="pools/keyvault_ubuntu.json"
    )
    gate = AzureBatchExtensionSensor(task_id="gate", pool_id=POOL_ID, deferrable=True, retries=0)
    why = AzureBatchDiagnosePoolOperator(
        task_id="why",
        pool_id=POOL_ID,
        trigger_rule="one_failed",
        output_uri=REPORTS,
        report_url=REPORTS_URL,
    )
    delete = AzureBatchDeletePoolOperator(task_id="delete", pool_id=POOL_ID)

    @task
    def use_pool(report: dict) -> list[str]:
        """This is where the work goes."""
        return sorted(report["nodes"])

    create >> gate >> why
    [use_pool(gate.output), why] >> delete.as_teardown(setups=create)
