"""The life of pools, all at once; the test makes the pools, plays the histories and ends tasks."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, task

from airflow_batchext.ephemeral import ephemeral_pool
from airflow_batchext.operators._steps.create_pool import CreatePool
from airflow_batchext.operators.pool import (
    AzureBatchCreatePoolOperator,
    AzureBatchDeletePoolOperator,
    AzureBatchResizePoolOperator,
    AzureBatchUpdatePoolOperator,
)
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor


def document(nodes: int, extension: str = "agent") -> dict:
    machine = {
        "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
        "nodeAgentSkuId": "batch.node.ubuntu 24.04",
        "extensions": [
            {"name": extension, "publisher": "Microsoft.Azure.Monitor", "type": "AzureMonitorLinuxAgent"}
        ],
    }
    return {
        "properties": {
            "vmSize": "STANDARD_DS2_V2",
            "deploymentConfiguration": {"virtualMachineConfiguration": machine},
            "scaleSettings": {"fixedScale": {"targetDedicatedNodes": nodes}},
        }
    }


class DyingSteps(CreatePool):
    def _finish(self, body):
        if self._memo["action"] == "created":
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._finish(body)


class DiesAfterThePut(AzureBatchCreatePoolOperator):
    """Its first try is killed when the pool is made and nothing is noted yet."""

    def _new_steps(self):
        return DyingSteps(self)


class RacingSteps(CreatePool):
    def _create(self, context, hook):
        place = Path(os.environ["AIRFLOW_HOME"])
        (place / f"{self.operator.task_id}.looked").touch()
        end = time.monotonic() + 90
        while len(list(place.glob("racer-*.looked"))) < 2 and time.monotonic() < end:
            time.sleep(0.2)
        return super()._create(context, hook)


class Racer(AzureBatchCreatePoolOperator):
    """Goes on to its PUT only when both have looked and seen nothing."""

    def _new_steps(self):
        return RacingSteps(self)


STEADY = {"wait_for": "steady", "deferrable": True}
start = datetime(2026, 1, 1, tzinfo=UTC)

with DAG("pool_scenarios", schedule=None, start_date=start):
    AzureBatchCreatePoolOperator(
        task_id="quota", pool_id="pl-quota", pool_document=document(2), delete_on_failure=True, **STEADY
    )
    AzureBatchResizePoolOperator(
        task_id="resize", pool_id="pl-short", target_dedicated_nodes=3, deferrable=True
    )
    AzureBatchCreatePoolOperator(task_id="going", pool_id="pl-going", pool_document=document(1), **STEADY)
    DiesAfterThePut(
        task_id="lost",
        pool_id="pl-lost",
        pool_document=document(1),
        on_existing="fail",
        retries=1,
        retry_delay=timedelta(seconds=1),
    )
    for racer in ("one", "two"):
        Racer(task_id=f"racer-{racer}", pool_id="pl-race", pool_document=document(1), on_existing="fail")
    AzureBatchCreatePoolOperator(
        task_id="replace",
        pool_id="pl-replace",
        pool_document=document(1, "other"),
        on_existing="replace",
        deferrable=True,
    )
    AzureBatchUpdatePoolOperator(
        task_id="update",
        pool_id="pl-update",
        pool_document={"properties": {"metadata": [{"name": "run", "value": "{{ run_id }}"}]}},
    )
    AzureBatchDeletePoolOperator(task_id="delete", pool_id="pl-delete", deferrable=True)
    for how, deferrable in (("triggerer", True), ("worker", False)):
        AzureBatchCreatePoolOperator(
            task_id=f"ended-{how}",
            pool_id=f"pl-ended-{how}",
            pool_document=document(1),
            wait_for="steady",
            delete_on_kill=True,
            deferrable=deferrable,
        )
    AzureBatchExtensionSensor(
        task_id="linked",
        pool_id="pl linked".replace(" ", "-"),
        azure_batchext_conn_id="portal",
        deferrable=True,
    )
    AzureBatchExtensionSensor(
        task_id="linked-triggerer",
        pool_id="pl-linked",
        azure_batchext_conn_id="portal",
        start_from_trigger=True,
        poke_interval=1,
    )

with DAG("ephemeral_scenarios", schedule=None, start_date=start):

    @task
    def use(pool_id: str, fails: bool) -> str:
        if fails:
            raise ValueError("the work failed")
        return pool_id

    for name, fails in (("fails", True), ("closed", False)):
        with ephemeral_pool(
            document(1, "bad" if name == "closed" else "agent"), group_id=name, gate={"deferrable": True}
        ) as pool:
            use(pool.pool_id, fails)
