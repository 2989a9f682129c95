"""How the data plane writes jobs and tasks: the shapes of recorded traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.job_records import (
    BAD_EXIT,
    COMPLETED,
    PREPARING,
    RUNNING,
    Job,
    Moments,
    Preparation,
    Task,
    state_at,
)
from airflow_batchext.emulator.data.bodies import failure_info
from airflow_batchext.emulator.documents.codec import write
from airflow_batchext.emulator.documents.job_schema import JOB, TASK
from airflow_batchext.emulator.wire.http import Json, wire_time

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_batchext.emulator.account.work import TaskRun


def job_body(job: Job, base: str, now: datetime) -> Json:
    """Write a job."""
    document: Json = write(JOB, job.document, "data")
    named = {"displayName": document.pop("displayName")} if "displayName" in document else {}
    last = {name: document.pop(name) for name in ("onAllTasksComplete", "onTaskFailure")}
    started = job.moments[0][0]
    execution: Json = {"startTime": wire_time(started)}
    if job.ended is not None and job.ended <= now:
        execution["endTime"] = wire_time(job.ended)
    execution["poolId"] = job.pool
    if job.reason is not None:
        execution["terminateReason"] = job.reason
    return {
        "id": job.id,
        **named,
        "url": f"{base}/jobs/{job.id}",
        "eTag": job.etag,
        "lastModified": wire_time(job.modified),
        "creationTime": wire_time(job.created),
        **_states(job.moments, now),
        **document,
        "executionInfo": execution,
        **last,
    }


def task_body(job: Job, task: Task, base: str, now: datetime) -> Json:
    """Write a task."""
    document: Json = write(TASK, task.document, "data")
    named = {"displayName": document.pop("displayName")} if "displayName" in document else {}
    body: Json = {
        "id": task.id,
        **named,
        "url": f"{base}/jobs/{job.id}/tasks/{task.id}",
        "eTag": task.etag,
        "creationTime": wire_time(task.created),
        "lastModified": wire_time(task.modified),
        **_states(task.moments, now),
        **document,
        "executionInfo": _execution(task, now),
    }
    if task.run is not None and task.run.start <= now and not task.is_waiting:
        body["nodeInfo"] = _node_info(job, task, base)
    return body


def preparation_body(preparation: Preparation, base: str, now: datetime) -> Json:
    """Write how the preparation task of a job, and its release task, are on a node."""
    node = preparation.node
    url = f"{base}/pools/{preparation.pool}/nodes/{node.id}"
    body: Json = {"poolId": preparation.pool, "nodeId": node.id, "nodeUrl": url}
    if preparation.run is not None:
        info = _node_task(preparation.run, url, is_over=preparation.is_completed)
        info["retryCount"] = preparation.retries
        if preparation.retried is not None:
            info["lastRetryTime"] = wire_time(preparation.retried)
            if preparation.run.start > now:  # put off, as there were so many
                info["startTime"] = info["lastRetryTime"]
        body["jobPreparationTaskExecutionInfo"] = info
    released = preparation.release
    if released is not None and released.start <= now:
        is_over = released.end is not None and released.end <= now
        body["jobReleaseTaskExecutionInfo"] = _node_task(released, url, is_over=is_over)
    return body


def _node_task(run: TaskRun, url: str, *, is_over: bool) -> Json:
    folder = f"workitems/{run.job}/job-1/{run.task}"
    info: Json = {"startTime": wire_time(run.start)}
    if is_over and run.end is not None:
        info["endTime"] = wire_time(run.end)
    info["state"] = "completed" if is_over else "running"
    info |= {"taskRootDirectory": folder, "taskRootDirectoryUrl": f"{url}/files/{folder}"}
    if is_over:
        failure = run.failure or (BAD_EXIT if run.exit_code else None)
        if run.exit_code is not None:
            info["exitCode"] = run.exit_code
        if failure is not None:
            info["failureInfo"] = failure_info(failure)
        info["result"] = "success" if failure is None else "failure"
    return info


def counts_body(job: Job, now: datetime) -> tuple[dict[str, int], dict[str, int]]:
    """Count the tasks of a job by state, and the slots that they take."""
    names = ("active", "running", "completed", "succeeded", "failed")
    tasks, slots = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for task in job.tasks.values():
        (_, state), _ = state_at(task.moments, now)
        found = [RUNNING if state == PREPARING else state]
        if state == COMPLETED:
            found.append("failed" if task.failure else "succeeded")
        for name in found:
            tasks[name] += 1
            slots[name] += task.document["requiredSlots"]
    return tasks, slots


def _states(moments: Moments, now: datetime) -> Json:
    (since, state), before = state_at(moments, now)
    states = {"state": state, "stateTransitionTime": wire_time(since)}
    if before is not None:
        states |= {"previousState": before[1], "previousStateTransitionTime": wire_time(before[0])}
    return states


def _execution(task: Task, now: datetime) -> Json:
    execution: Json = {}
    run = task.run if not task.is_waiting else None
    if run is not None and run.start <= now:
        execution["startTime"] = wire_time(run.start)
    if task.ended is not None:
        execution["endTime"] = wire_time(task.ended)
        if task.exit_code is not None:
            execution["exitCode"] = task.exit_code
        if task.failure is not None:
            execution["failureInfo"] = failure_info(task.failure)
        execution["result"] = "success" if task.failure is None else "failure"
    execution["retryCount"] = task.retries
    if task.retried is not None:
        execution["lastRetryTime"] = wire_time(task.retried)
    execution["requeueCount"] = task.requeues
    if task.requeued is not None:
        execution["lastRequeueTime"] = wire_time(task.requeued)
    return execution


def _node_info(job: Job, task: Task, base: str) -> Json:
    node = task.nodes[0].id
    url = f"{base}/pools/{task.pool}/nodes/{node}"
    folder = f"workitems/{job.id}/job-1/{task.id}"
    return {
        "affinityId": f"TVM:{node}",
        "nodeUrl": url,
        "poolId": task.pool,
        "nodeId": node,
        "taskRootDirectory": folder,
        "taskRootDirectoryUrl": f"{url}/files/{folder}",
    }
