"""azure-batch 14 (the SDK on msrest), with a shared key: ``life`` or ``work``."""

from __future__ import annotations

import sys
from typing import Any

import data_story
import work_story
from azure.batch import BatchServiceClient, models
from azure.batch.batch_auth import SharedKeyCredentials
from story import INFO, tell, until

Json = dict[str, Any]
STORY = sys.argv[1]
OPERATIONS: dict[str, tuple[str, Any]] = {
    "resize": ("resize", models.PoolResizeParameter),
    "stopresize": ("stop_resize", None),
    "removenodes": ("remove_nodes", models.NodeRemoveParameter),
    "patch": ("patch", models.PoolPatchParameter),
    "updateproperties": ("update_properties", models.PoolUpdatePropertiesParameter),
    "enableautoscale": ("enable_auto_scale", None),
    "evaluateautoscale": ("evaluate_auto_scale", None),
    "disableautoscale": ("disable_auto_scale", None),
    "disablescheduling": ("disable_scheduling", None),
    "enablescheduling": ("enable_scheduling", None),
    "reimage": ("reimage", None),
    "remoteloginsettings": ("get_remote_login_settings", None),
    "uploadbatchservicelogs": ("upload_batch_service_logs", models.UploadBatchServiceLogsConfiguration),
}
"""The method for each operation, and the model of its body where it is not given as single values."""


def connect(key: str = INFO["key"]) -> BatchServiceClient:
    return BatchServiceClient(SharedKeyCredentials(INFO["account"], key), batch_url=INFO["http_endpoint"])


def plain(model: Any) -> Json:
    """The document of the wire that a model stands for."""
    return dict(model.serialize(keep_readonly=True))


class Client:
    """The adapter of the story."""

    def __init__(self) -> None:
        self.sdk = connect()

    def create(self, pool: Json) -> None:
        self.sdk.pool.add(models.PoolAddParameter.from_dict(pool))

    def exists(self, pool: str) -> bool:
        return bool(self.sdk.pool.exists(pool))

    def get(self, pool: str) -> Json:
        return plain(self.sdk.pool.get(pool))

    def pools(self) -> list[Json]:
        return [plain(pool) for pool in self.sdk.pool.list()]

    def delete(self, pool: str) -> None:
        self.sdk.pool.delete(pool)

    def nodes(self, pool: str, **options: Any) -> list[Json]:
        if "select" in options:
            options["select"] = ",".join(options["select"])
        wanted = models.ComputeNodeListOptions(**options)
        return [plain(node) for node in self.sdk.compute_node.list(pool, wanted)]

    def node(self, pool: str, node: str) -> Json:
        return plain(self.sdk.compute_node.get(pool, node))

    def extensions(self, pool: str, node: str) -> list[Json]:
        return [plain(item) for item in self.sdk.compute_node_extension.list(pool, node)]

    def extension(self, pool: str, node: str, name: str) -> Json:
        return plain(self.sdk.compute_node_extension.get(pool, node, name))

    def reboot(self, pool: str, node: str) -> None:
        self.sdk.compute_node.reboot(pool, node)

    def stranger(self) -> Any:
        return list(connect(key="bm8gc3VjaCBrZXk=").pool.list())

    def act(self, operation: str, pool: str, node: str = "", body: Json | None = None) -> Any:
        group = self.sdk.compute_node if node else self.sdk.pool
        name, model = OPERATIONS[operation]
        given = [] if body is None else [model.from_dict(body)] if model else list(body.values())
        answer = getattr(group, name)(*((pool, node) if node else (pool,)), *given)
        return plain(answer) if answer is not None else None

    def counts(self, pool: str) -> Json:
        options = models.AccountListPoolNodeCountsOptions(filter=f"poolId eq '{pool}'")
        (found,) = self.sdk.account.list_pool_node_counts(options)
        return plain(found)

    def images(self) -> list[Json]:
        options = models.AccountListSupportedImagesOptions(filter="verificationType eq 'verified'")
        return [plain(image) for image in self.sdk.account.list_supported_images(options)]

    def add_job(self, job: Json) -> None:
        self.sdk.job.add(models.JobAddParameter.from_dict(job))

    def add_tasks(self, job: str, tasks: list[Json]) -> list[str]:
        answer = self.sdk.task.add_collection(
            job, [models.TaskAddParameter.from_dict(task) for task in tasks]
        )
        return [item.status.value.lower() for item in answer.value]

    def task(self, job: str, task: str) -> Json:
        return plain(self.sdk.task.get(job, task))

    def tasks(self, job: str) -> list[Json]:
        return [plain(task) for task in self.sdk.task.list(job, models.TaskListOptions(max_results=2))]

    def task_counts(self, job: str) -> Json:
        return plain(self.sdk.job.get_task_counts(job))

    def jobs(self) -> list[str]:
        return [str(job.id) for job in self.sdk.job.list()]

    def end_job(self, job: str) -> str:
        self.sdk.job.terminate(job)
        return str(until("the job has ended", lambda: self.ended(job)))

    def ended(self, job: str) -> str | None:
        state = self.sdk.job.get(job).state.value
        return state if state == "completed" else None

    def delete_job(self, job: str) -> None:
        self.sdk.job.delete(job)


client = Client()
label = f"batch14-{STORY}"
if STORY == "work":
    tell(operations=work_story.operations(client, label), work=work_story.work(client, label))
else:
    tell(life=data_story.life_of_a_pool(client, label), troubles=data_story.troubles(client, label))
