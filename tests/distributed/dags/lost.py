"""Workers that are lost between the request that makes a pool and the note that it was made."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta

import psutil
from airflow.sdk import DAG

from airflow_batchext.operators._steps.create_pool import CreatePool
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator, AzureBatchDeletePoolOperator
from tests.distributed.pool_document import document


class DyingSteps(CreatePool):
    """Dies right after the PUT: nothing of its answer is known or noted anywhere."""

    def _create(self, context, hook):
        put = hook.create_pool

        def put_and_die(*args, **kwargs):
            put(*args, **kwargs)
            self.operator.die()

        hook.create_pool = put_and_die
        return super()._create(context, hook)


class TaskDies(AzureBatchCreatePoolOperator):
    """The process of the task is killed."""

    def _new_steps(self):
        return DyingSteps(self)

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class WorkerDies(TaskDies):
    """The whole worker is killed, as with its machine: this task, its supervisor, Celery, all of them."""

    def die(self) -> None:
        ancestors = psutil.Process().parents()
        worker = max(i for i, process in enumerate(ancestors) if "celery" in " ".join(process.cmdline()))
        for process in [*ancestors[: worker + 1], psutil.Process()]:
            process.kill()


with DAG(
    "lost",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    is_paused_upon_creation=False,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=2)},
):
    for name, operator in (("task", TaskDies), ("worker", WorkerDies)):
        create = operator(
            task_id=f"{name}.create", pool_id=f"lost-{name}", pool_document=document(1), on_existing="fail"
        )
        create >> AzureBatchDeletePoolOperator(
            task_id=f"{name}.delete", pool_id=f"lost-{name}", deferrable=True
        )
