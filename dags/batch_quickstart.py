"""### The quickstart of Azure Batch, as a DAG

A pool, a gate until it is ready, a job with three tasks on it, and what they print, in Airflow's log; pool
and job are gone when they are done, however they ended.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_batchext.ephemeral import batch_job, ephemeral_pool
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.pool_builder import UBUNTU_24_04, pool_document

with (
    DAG(
        "batch_quickstart",
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
        description="The quickstart of Azure Batch: a pool, a job, three tasks and what they print",
        doc_md=__doc__,
        tags=["azure batch", "on demand", "quickstart"],
    ),
    ephemeral_pool(pool_document(image=UBUNTU_24_04, size="STANDARD_D2S_V5", dedicated=2)) as pool,
    batch_job(pool) as job,
):
    AzureBatchTaskOperator.partial(
        task_id="print", pool_id=pool.pool_id, job_id=job.job_id, deferrable=True
    ).expand(command_line=[f"/bin/echo The text of task {number}" for number in range(3)])
