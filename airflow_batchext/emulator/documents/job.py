"""Reads the documents of jobs and tasks, with the defaults that the service fills in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_batchext.emulator.documents.codec import LONGEST, Reader, bad, missing
from airflow_batchext.emulator.documents.job_schema import JOB, JOB_PATCH, JOB_UPDATE, TASK, TASK_UPDATE
from airflow_batchext.emulator.documents.pool import task_with_defaults
from airflow_batchext.emulator.wire.errors import not_modelled

if TYPE_CHECKING:
    from airflow_batchext.emulator.wire.http import Json

_ID = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_RETENTION = "P7D"
_PRIORITIES = range(-1000, 1001)


def read_job(body: Json) -> tuple[str, Json]:
    """Read the body of a POST of a job: its id, and what it asks for."""
    document = Reader("data").read(JOB, body, "")
    job = _id(document.pop("id"))
    _check_pool(body, document)
    return job, _job_with_defaults(document)


def read_job_patch(body: Json, existing: Json) -> Json:
    """Read a PATCH: what it gives is replaced, what it does not give stays."""
    document = Reader("data").read(JOB_PATCH, body, "")
    if "poolInfo" in document:
        _check_pool(body, document)
    return _job_with_defaults({**existing, **document})


def read_job_update(body: Json, existing: Json) -> Json:
    """Read a PUT: what it does not give goes back to the default; the tasks that the job names stay."""
    document = Reader("data").read(JOB_UPDATE, body, "")
    _check_pool(body, document)
    stays = {
        name: value
        for name, value in existing.items()
        if name not in JOB_PATCH.members or name in ("onTaskFailure", "networkConfiguration")
    }
    return _job_with_defaults({**stays, **document})


def read_task(body: Any, job: Json) -> tuple[str, Json]:
    """Read the body of a POST of a task: its id, and what it asks for. ``job`` gives some defaults."""
    document = Reader("data").read(TASK, body, "")
    task = _id(document.pop("id"))
    settings = document.get("multiInstanceSettings")
    if settings is not None:
        document["multiInstanceSettings"] = {"numberOfInstances": 1, **settings}
    if document.get("requiredSlots", 1) < 1:
        raise bad("requiredSlots", document["requiredSlots"], "The value must be at least 1", "data")
    return task, _task_with_defaults(document, job)


def read_task_update(body: Json, existing: Json, job: Json) -> Json:
    """Read a PUT of a task: only its constraints can be replaced."""
    document = Reader("data").read(TASK_UPDATE, body, "")
    return {**existing, "constraints": _constraints(document.get("constraints", {}), job)}


def _job_with_defaults(document: Json) -> Json:
    filled: Json = {
        "priority": 0,
        "maxParallelTasks": -1,
        "usesTaskDependencies": False,
        "allowTaskPreemption": False,
        **document,
        "constraints": {
            "maxWallClockTime": LONGEST,
            "maxTaskRetryCount": 0,
            **document.get("constraints", {}),
        },
        "onAllTasksComplete": document.get("onAllTasksComplete", "noaction"),
        "onTaskFailure": document.get("onTaskFailure", "noaction"),
    }
    if filled["priority"] not in _PRIORITIES:
        raise bad("priority", filled["priority"], "The value must be from -1000 to 1000", "data")
    if "jobManagerTask" in document:
        usual: Json = {"runExclusive": True, "allowLowPriorityNode": True, "killJobOnCompletion": True}
        filled["jobManagerTask"] = {**usual, **_task_with_defaults(document["jobManagerTask"], filled)}
    if "jobPreparationTask" in document:
        usual = {"id": "jobpreparation", "waitForSuccess": True, "rerunOnNodeRebootAfterSuccess": True}
        task = document["jobPreparationTask"]
        constraints = _constraints(task.get("constraints", {}), filled)
        filled["jobPreparationTask"] = {**task_with_defaults(usual, task), "constraints": constraints}
    if "jobReleaseTask" in document:
        if "jobPreparationTask" not in document:
            raise missing("jobPreparationTask", "data")
        usual = {"id": "jobrelease", "maxWallClockTime": "PT15M", "retentionTime": _RETENTION}
        filled["jobReleaseTask"] = task_with_defaults(usual, document["jobReleaseTask"])
    return filled


def _task_with_defaults(task: Json, job: Json) -> Json:
    filled = task_with_defaults({"requiredSlots": 1}, task)
    return {**filled, "constraints": _constraints(task.get("constraints", {}), job)}


def _constraints(given: Json, job: Json) -> Json:
    retries = job["constraints"]["maxTaskRetryCount"]
    usual = {"maxWallClockTime": LONGEST, "retentionTime": _RETENTION, "maxTaskRetryCount": retries}
    return {**usual, **given}


def _check_pool(body: Json, document: Json) -> None:
    if "autoPoolSpecification" in body.get("poolInfo", {}):
        raise not_modelled("a job that makes a pool of its own (autoPoolSpecification)")
    if "poolId" not in document["poolInfo"]:
        raise missing("poolInfo.poolId", "data")


def _id(given: str) -> str:
    if not _ID.match(given):
        reason = "An id has 1 to 64 characters: letters, digits, hyphens and underscores"
        raise bad("id", given, reason, "data")
    return given
