"""### Forty frames, rendered on a pool that is ready

The pool is created, `gate` waits until every extension on every node has succeeded, and forty Batch tasks
run on its nodes, as many at a time as they have slots; no worker is held meanwhile. What each of them writes
is in the log of its Airflow task. The pool is deleted however they ended.

With `batchext up --run-tasks` the command lines are really run, on your machine; with `batchext up` alone
they are pretended, and write nothing. Put your own in the place of `RENDER`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_batchext.ephemeral import ephemeral_pool
from airflow_batchext.operators.task import AzureBatchTaskOperator

RENDER = (
    "/bin/sh -c 'echo frame $FRAME on $AZ_BATCH_NODE_ID; for p in 25 50 75 100; do sleep 1; echo $p %; done'"
)

with DAG(
    "batch_work",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={
        "nodes": Param(4, type="integer", minimum=1, maximum=100, title="Dedicated nodes"),
        "frames": Param(40, type="integer", minimum=1, maximum=1000, title="Frames"),
    },
    default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
    description="Forty tasks of Azure Batch on a pool that is ready, their output in the log",
    doc_md=__doc__,
    tags=["azure batch", "on demand", "work"],
) as dag:

    @task
    def frames(params: dict[str, Any]) -> list[dict[str, str]]:
        """What each of the tasks is given."""
        return [{"FRAME": str(number)} for number in range(1, params["frames"] + 1)]

    @task
    def film(rendered: Any) -> int:
        """Tell how many frames there are, and how long their nodes had to work."""
        done = list(rendered)
        print(f"{len(done)} frames, {sum(each['seconds'] for each in done):.0f} s of work")
        return len(done)

    wanted = frames()
    with ephemeral_pool("pools/keyvault_ubuntu.json", gate={"deferrable": True, "retries": 0}) as pool:
        render = AzureBatchTaskOperator.partial(
            task_id="render", pool_id=pool.pool_id, command_line=RENDER, deferrable=True
        ).expand(environment=wanted)
    film(render.output)
