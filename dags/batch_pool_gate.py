"""### A pool with extensions, and work that starts only when every node is ready

`create_pool` creates the pool of the document in `pools/` (or adopts the one that is there), `gate` waits
until every extension on every node has succeeded, `read_extensions` reads what they say, `use_pool` is
where the work would be, and `delete_pool` tears the pool down however it went.

It runs every night, and on demand with other parameters. Before it can run on an account of yours, put
your vault, its certificate, your managed identity and its client id into the pool document.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, task

from airflow_batchext.operators.extension import AzureBatchGetExtensionOperator
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator, AzureBatchDeletePoolOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

POOL_ID = "{{ params.pool_id }}"

with DAG(
    "batch_pool_gate",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # two runs would share the pool, and the first to end would delete it
    params={
        "pool_id": Param("batchext-gate", type="string", pattern="^[a-zA-Z0-9_-]{1,64}$", title="Pool id"),
        "nodes": Param(1, type="integer", minimum=1, maximum=100, title="Dedicated nodes"),
        "image": Param("ubuntu", enum=["ubuntu", "almalinux"], title="Image of the nodes"),
    },
    default_args={"retries": 2, "retry_delay": timedelta(minutes=2)},
    description="A pool with extensions, and work that starts only when every node is ready",
    doc_md=__doc__,
    tags=["azure batch", "scheduled", "gate"],
) as dag:
    create_pool = AzureBatchCreatePoolOperator(
        task_id="create_pool",
        pool_id=POOL_ID,
        pool_document="pools/keyvault_{{ params.image }}.json",
    )
    gate = AzureBatchExtensionSensor(
        task_id="gate",
        pool_id=POOL_ID,
        deferrable=True,
        retries=0,  # an extension that failed stays failed: asking again would only take longer
    )
    read_extensions = AzureBatchGetExtensionOperator(task_id="read_extensions", pool_id=POOL_ID)
    delete_pool = AzureBatchDeletePoolOperator(task_id="delete_pool", pool_id=POOL_ID, deferrable=True)

    @task
    def use_pool(extensions: list[dict]) -> list[str]:
        """Show what each extension on each node said; this is where the work goes."""
        lines = []
        for extension in extensions:
            status = next(iter(extension["statuses"]), {})
            said = (status.get("message") or "").strip().partition("\n")[0][:80]
            lines.append(f"{extension['node_id'][:14]}…  {extension['name']}  {status.get('code')}  {said}")
        print("\n".join(lines))
        return lines

    create_pool >> gate >> read_extensions
    use_pool(read_extensions.output) >> delete_pool.as_teardown(setups=create_pool)
