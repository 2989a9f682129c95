"""What is done to a pool and its nodes, and what work they get, through a client of the data plane.

The client is an adapter, as in ``data_story``; ``act`` asks for an operation by the name it has on the wire.
"""

from __future__ import annotations

from typing import Any, Protocol

from data_story import Json, document, idle_nodes, steady
from story import refusal, until

METADATA = {"odata.metadata"}
"""What one generation of clients shows of an answer, and the other keeps to itself."""


class WorkClient(Protocol):
    """What the story asks of a client, beside what ``DataClient`` has."""

    def act(self, operation: str, pool: str, node: str = "", body: Json | None = None) -> Any: ...
    def counts(self, pool: str) -> Json: ...
    def images(self) -> list[Json]: ...
    def add_job(self, job: Json) -> None: ...
    def add_tasks(self, job: str, tasks: list[Json]) -> list[str]: ...
    def task(self, job: str, task: str) -> Json: ...
    def tasks(self, job: str) -> list[Json]: ...
    def task_counts(self, job: str) -> Json: ...
    def jobs(self) -> list[str]: ...
    def end_job(self, job: str) -> str: ...
    def delete_job(self, job: str) -> None: ...


def operations(client: Any, pool: str) -> Json:
    """Resize, stop, scale by formula, spare and remove nodes, patch and replace properties."""
    client.create(document(pool, 1))
    seen: Json = {"while_resizing": refusal(lambda: client.act("resize", pool, body=targets(2)))[1:]}
    (node,) = idle_nodes(client, pool, 1)
    before = client.get(pool)["eTag"]
    client.act("patch", pool, body={"metadata": [{"name": "what", "value": "patched"}]})
    patched = client.get(pool)
    seen["patched"] = [patched["metadata"], patched["eTag"] != before]
    properties = {"metadata": [], "applicationPackageReferences": [], "certificateReferences": []}
    client.act("updateproperties", pool, body=properties)
    seen["replaced"] = client.get(pool).get("metadata", [])

    client.act("disablescheduling", pool, node["id"])
    spared = client.node(pool, node["id"])
    seen["spared"] = [spared["state"], spared["schedulingState"]]
    client.act("enablescheduling", pool, node["id"])
    seen["taken_back"] = client.node(pool, node["id"])["schedulingState"]
    again = refusal(lambda: client.act("enablescheduling", pool, node["id"]))
    seen["taken_back_again"] = again[1:]
    seen["reimage"] = refusal(lambda: client.act("reimage", pool, node["id"]))[1:]
    login = client.act("remoteloginsettings", pool, node["id"])
    seen["login"] = sorted(set(login) - METADATA)
    logs = {"containerUrl": "https://logs.blob.core.windows.net/", "startTime": "2026-01-01T00:00:00Z"}
    uploaded = client.act("uploadbatchservicelogs", pool, node["id"], logs)
    seen["logs"] = sorted(set(uploaded) - METADATA)

    client.act("resize", pool, body=targets(3))
    client.act("stopresize", pool)
    stopped = steady(client, pool)
    seen["stopped"] = [error["code"] for error in stopped["resizeErrors"]]
    client.act("resize", pool, body=targets(2))
    nodes = idle_nodes(client, pool, 2)
    counts = client.counts(pool)["dedicated"]
    seen["counts"] = [counts["total"], counts["idle"]]
    client.act("removenodes", pool, body={"nodeList": [nodes[0]["id"]]})
    until("the node has left", lambda: [item["id"] for item in client.nodes(pool)] == [nodes[1]["id"]])

    steady(client, pool)
    formula = {"autoScaleFormula": "$TargetDedicatedNodes = min(2, 5);"}
    client.act("enableautoscale", pool, body=formula)
    idle_nodes(client, pool, 2)
    scaled = steady(client, pool)
    seen["scaled"] = [scaled["enableAutoScale"], scaled["targetDedicatedNodes"]]
    evaluation = client.act("evaluateautoscale", pool, body={"autoScaleFormula": "$TargetDedicatedNodes=7;"})
    seen["evaluated"] = evaluation["results"]
    client.act("disableautoscale", pool)
    seen["by_hand"] = client.get(pool)["enableAutoScale"]
    images = client.images()
    seen["images"] = "batch.node.ubuntu 22.04" in {image["nodeAgentSKUId"] for image in images}
    return seen


def work(client: Any, pool: str) -> Json:
    """A job with tasks on the two nodes that there are."""
    idle_nodes(client, pool, 2)
    job, failing = f"job-{pool}", f"job-fails-{pool}"
    tasks = [{"id": f"task-{number}", "commandLine": "true"} for number in range(5)]
    client.add_job({"id": job, "poolInfo": {"poolId": pool}})
    client.add_job({"id": failing, "poolInfo": {"poolId": pool}})
    seen: Json = {"added": client.add_tasks(job, tasks)}
    until("all is done", lambda: {task["state"] for task in client.tasks(job)} == {"completed"})
    done = client.task(job, "task-3")["executionInfo"]
    seen["done"] = [done["exitCode"], done["result"]]
    seen["succeeded"] = client.task_counts(job)["taskCounts"]["succeeded"]
    client.add_tasks(failing, tasks[:1])
    until("it has failed", lambda: client.task(failing, "task-0")["state"] == "completed")
    failed = client.task(failing, "task-0")["executionInfo"]
    seen["failed"] = [failed["exitCode"], failed["result"], failed["failureInfo"]["code"]]
    seen["jobs"] = [name in client.jobs() for name in (job, failing)]
    seen["refusals"] = {
        "job": refusal(lambda: client.add_job({"id": job, "poolInfo": {"poolId": pool}}))[1:],
        "task": refusal(lambda: client.task(job, "nope"))[1:],
        "no job": refusal(lambda: client.tasks("nope"))[1:],
    }
    seen["ended"] = client.end_job(job)
    for name in (job, failing):
        client.delete_job(name)
    until("the jobs are gone", lambda: not {job, failing} & set(client.jobs()))
    client.delete(pool)
    return seen


def targets(nodes: int) -> Json:
    return {"targetDedicatedNodes": nodes}
