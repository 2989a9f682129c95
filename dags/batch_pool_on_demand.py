"""### A pool on demand

Say in the form what pool you want, and trigger: in the web page, with `airflow dags trigger`, or through the
REST API. It is checked before anything is created. `keep` leaves the pool when the work is done.

Put your managed identity into `IDENTITY`: the Azure Monitor agent signs in as it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.sdk import DAG, Context, Param, task

from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator, AzureBatchDeletePoolOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

POOL_ID = "{{ params.pool_id }}"
IDENTITY = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/example-group/providers/"
    "Microsoft.ManagedIdentity/userAssignedIdentities/example-identity"
)


def unless_kept(context: Context) -> None:
    """Skip the deletion of a pool that was asked to stay."""
    if context["params"]["keep"]:
        raise AirflowSkipException("the pool stays: keep is on")


with DAG(
    "batch_pool_on_demand",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={
        "pool_id": Param(
            "on-demand",
            type="string",
            pattern="^[a-zA-Z0-9_-]{1,64}$",
            title="Pool id",
            description="1 to 64 letters, digits, hyphens and underscores.",
        ),
        "image": Param("ubuntu-24.04", enum=["ubuntu-24.04", "windows-2022"], title="Image of the nodes"),
        "size": Param(
            "STANDARD_D2S_V5",
            type="string",
            pattern="^[a-zA-Z0-9_]+$",
            examples=["STANDARD_D2S_V5", "STANDARD_D8S_V5", "STANDARD_NC4AS_T4_V3"],
            title="Size of the nodes",
            description="Choose GPU sizes for the GPU driver.",
        ),
        "extensions": Param(
            ["monitor"],
            type="array",
            items={"type": "string", "enum": ["monitor", "gpu"]},
            examples=["monitor", "gpu"],
            title="Extensions",
            description="monitor: Azure Monitor agent; gpu: GPU driver (from NVIDIA).",
        ),
        "nodes": Param(1, type="integer", minimum=1, maximum=20, title="Dedicated nodes"),
        "keep": Param(False, type="boolean", title="Keep the pool at the end"),
    },
    default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
    description="A pool as the form asks for it",
    doc_md=__doc__,
    tags=["azure batch", "on demand", "form"],
) as dag:

    @task(retries=0)
    def document(params: dict | None = None) -> dict:
        """The pool document that the form stands for."""
        from airflow_batchext import pool_builder

        wanted = params or {}
        known = {
            "monitor": pool_builder.AzureMonitorAgentExtension(identity=IDENTITY),
            "gpu": pool_builder.GpuDriverExtension(),
        }
        images = {"ubuntu-24.04": pool_builder.UBUNTU_24_04, "windows-2022": pool_builder.WINDOWS_SERVER_2022}
        return pool_builder.pool_document(
            image=images[wanted["image"]],
            size=wanted["size"],
            dedicated=wanted["nodes"],
            identities=[IDENTITY] if "monitor" in wanted["extensions"] else [],
            extensions=[known[name] for name in wanted["extensions"]],
        )

    create = AzureBatchCreatePoolOperator(
        task_id="create",
        pool_id=POOL_ID,
        pool_document=document(),
        on_existing="fail",  # somebody else may be using it
    )
    gate = AzureBatchExtensionSensor(task_id="gate", pool_id=POOL_ID, deferrable=True, retries=0)
    delete = AzureBatchDeletePoolOperator(task_id="delete", pool_id=POOL_ID, pre_execute=unless_kept)

    @task
    def use_pool(pool_id: str) -> str:
        """This is where the work goes."""
        print(f"Every extension on every node of {pool_id} has succeeded")
        return pool_id

    create >> gate >> use_pool(POOL_ID) >> delete.as_teardown(setups=create)
