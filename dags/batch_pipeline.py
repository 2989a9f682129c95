"""### A pool as a gate between pipelines

`batch_pipeline_pool` makes a pool ready. Its gate emits the asset that stands for the pool, and each DAG that
has this asset on its schedule starts then: here `batch_pipeline_work`, which runs its work on the pool, and
deletes the pool. Whoever makes the pool need not know who uses it.

Put your account's name into `ACCOUNT` and your managed identity into `IDENTITY`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_batchext.assets import batch_pool_asset
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator, AzureBatchDeletePoolOperator
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.pool_builder import UBUNTU_24_04, AzureMonitorAgentExtension, pool_document
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

ACCOUNT = "myaccount"
POOL_ID = "pipeline"
IDENTITY = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/example-group/providers/"
    "Microsoft.ManagedIdentity/userAssignedIdentities/example-identity"
)
READY = batch_pool_asset(ACCOUNT, POOL_ID)
HOW = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {"retries": 1, "retry_delay": timedelta(seconds=30)},
    "doc_md": __doc__,
}

with DAG(
    "batch_pipeline_pool",
    schedule=None,
    description="Makes a pool ready, and says so to the DAGs that wait for it",
    tags=["azure batch", "on demand", "pipeline"],
    **HOW,
):
    create = AzureBatchCreatePoolOperator(
        task_id="create",
        pool_id=POOL_ID,
        pool_document=pool_document(
            image=UBUNTU_24_04,
            size="STANDARD_D2S_V5",
            dedicated=1,
            identities=[IDENTITY],
            extensions=[AzureMonitorAgentExtension(identity=IDENTITY)],
        ),
    )
    create >> AzureBatchExtensionSensor(
        task_id="gate", pool_id=POOL_ID, deferrable=True, retries=0, outlets=[READY]
    )

with DAG(
    "batch_pipeline_work",
    schedule=READY,
    description="Starts when batch_pipeline_pool has made the pool ready, and runs its work there",
    tags=["azure batch", "started by events", "pipeline"],
    **HOW,
):
    # The pool was ready when it was told of; here it is looked at once more.
    work = AzureBatchTaskOperator(
        task_id="work",
        pool_id=POOL_ID,
        command_line="/bin/echo The extensions are there",
        requires_ready=True,
        deferrable=True,
    )
    work >> AzureBatchDeletePoolOperator(task_id="delete", pool_id=POOL_ID, trigger_rule="all_done")
