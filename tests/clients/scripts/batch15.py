"""azure-batch 15 (the SDK that is generated anew).

batch15.py sync|async key|token life|work
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import data_story
import work_story
from azure.batch import BatchClient
from azure.batch.aio import BatchClient as AsyncBatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.identity import ClientSecretCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from story import INFO, tell

Json = dict[str, Any]
MODE, SIGN_IN, STORY = sys.argv[1:4]
REBOOT = {"nodeRebootOption": "requeue"}  # without options this SDK fails before it sends anything
OPERATIONS: dict[str, tuple[Any, ...]] = {
    "resize": ("begin_resize_pool",),
    "stopresize": ("begin_stop_pool_resize",),
    "removenodes": ("begin_remove_nodes",),
    "patch": ("update_pool",),
    "updateproperties": ("replace_pool_properties",),
    "enableautoscale": ("enable_pool_auto_scale",),
    "evaluateautoscale": ("evaluate_pool_auto_scale",),
    "disableautoscale": ("disable_pool_auto_scale",),
    "disablescheduling": ("disable_node_scheduling", {"nodeDisableSchedulingOption": "requeue"}),
    "enablescheduling": ("enable_node_scheduling",),
    "reimage": ("begin_reimage_node", {"nodeReimageOption": "requeue"}),
    "remoteloginsettings": ("get_node_remote_login_settings",),
    "uploadbatchservicelogs": ("upload_node_logs",),
}
"""The method for each operation, and the options without which it fails before it sends anything."""
LOOP = asyncio.new_event_loop()


def connect(key: str = INFO["key"]) -> Any:
    """A client over plain HTTP with the key, or over HTTPS with a token."""
    is_async = MODE == "async"
    kind = AsyncBatchClient if is_async else BatchClient
    if SIGN_IN == "key" or key != INFO["key"]:
        return kind(INFO["http_endpoint"], AzureNamedKeyCredential(INFO["account"], key))
    ca = INFO["ca_bundle"]
    sign_in = AsyncClientSecretCredential if is_async else ClientSecretCredential
    credential = sign_in(
        INFO["tenant_id"],
        INFO["client_id"],
        INFO["client_secret"],
        authority=INFO["authority"],
        disable_instance_discovery=True,
        connection_verify=ca,
    )
    return kind(INFO["batch_endpoint"], credential, connection_verify=ca)


def done(answer: Any) -> Any:
    """The answer of either kind of client."""
    return LOOP.run_until_complete(answer) if asyncio.iscoroutine(answer) else answer


def listed(pages: Any) -> list[Json]:
    """All items of a listing, of either kind of client, as the documents of the wire."""

    async def collect() -> list[Any]:
        return [item async for item in pages]

    items = LOOP.run_until_complete(collect()) if MODE == "async" else list(pages)
    return [item.as_dict() for item in items]


class Client:
    """The adapter of the story."""

    def __init__(self) -> None:
        self.sdk = connect()

    def create(self, pool: Json) -> None:
        done(self.sdk.create_pool(pool))

    def exists(self, pool: str) -> bool:
        return bool(done(self.sdk.pool_exists(pool)))

    def get(self, pool: str) -> Json:
        return dict(done(self.sdk.get_pool(pool)).as_dict())

    def pools(self) -> list[Json]:
        return listed(self.sdk.list_pools())

    def delete(self, pool: str) -> None:
        done(done(self.sdk.begin_delete_pool(pool, polling_interval=1)).result())

    def nodes(self, pool: str, **options: Any) -> list[Json]:
        return listed(self.sdk.list_nodes(pool, **options))

    def node(self, pool: str, node: str) -> Json:
        return dict(done(self.sdk.get_node(pool, node)).as_dict())

    def extensions(self, pool: str, node: str) -> list[Json]:
        return listed(self.sdk.list_node_extensions(pool, node))

    def extension(self, pool: str, node: str, name: str) -> Json:
        return dict(done(self.sdk.get_node_extension(pool, node, name)).as_dict())

    def reboot(self, pool: str, node: str) -> None:
        done(done(self.sdk.begin_reboot_node(pool, node, REBOOT, polling_interval=1)).result())

    def stranger(self) -> Any:
        other = connect(key="bm8gc3VjaCBrZXk=")
        try:
            return listed(other.list_pools())
        finally:
            done(other.close())

    def act(self, operation: str, pool: str, node: str = "", body: Json | None = None) -> Any:
        name, *options = OPERATIONS[operation]
        place = (pool, node) if node else (pool,)
        given = [body] if body is not None else options
        answer = done(getattr(self.sdk, name)(*place, *given))
        return dict(answer.as_dict()) if hasattr(answer, "as_dict") else None

    def counts(self, pool: str) -> Json:
        (found,) = listed(self.sdk.list_pool_node_counts(filter=f"poolId eq '{pool}'"))
        return found

    def images(self) -> list[Json]:
        return listed(self.sdk.list_supported_images(filter="verificationType eq 'verified'"))

    def add_job(self, job: Json) -> None:
        done(self.sdk.create_job(job))

    def add_tasks(self, job: str, tasks: list[Json]) -> list[str]:
        answer = done(self.sdk.create_task_collection(job, {"value": tasks}))
        return [item["status"].lower() for item in answer.as_dict()["value"]]

    def task(self, job: str, task: str) -> Json:
        return dict(done(self.sdk.get_task(job, task)).as_dict())

    def tasks(self, job: str) -> list[Json]:
        return listed(self.sdk.list_tasks(job, max_results=2))

    def task_counts(self, job: str) -> Json:
        return dict(done(self.sdk.get_job_task_counts(job)).as_dict())

    def jobs(self) -> list[str]:
        return [job["id"] for job in listed(self.sdk.list_jobs())]

    def end_job(self, job: str) -> str:
        done(
            done(self.sdk.begin_terminate_job(job, {"terminateReason": "done"}, polling_interval=1)).result()
        )
        return str(done(self.sdk.get_job(job)).as_dict()["state"])

    def delete_job(self, job: str) -> None:
        done(done(self.sdk.begin_delete_job(job, polling_interval=1)).result())


client = Client()
label = f"batch15-{MODE}-{SIGN_IN}"
if STORY == "work":
    tell(operations=work_story.operations(client, label), work=work_story.work(client, label))
else:
    tell(life=data_story.life_of_a_pool(client, label), troubles=data_story.troubles(client, label))
done(client.sdk.close())
