"""The requests of the data plane: jobs and their tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_batchext.hooks._requests import DATA, Body, Flow, Request, etag_of, page_of, pages, path, shaped
from airflow_batchext.transport import PART_OF_A_FILE

READ_ACTION = "Microsoft.Batch/batchAccounts/jobs/read"
WRITE_ACTION = "Microsoft.Batch/batchAccounts/jobs/write"


def get_job(job_id: str, *, select: Sequence[str] | None = None) -> Request[Body]:
    """Read a job (``Jobs_GetJob``).

    :param job_id: the job.
    :param select: members to ask for; None means all.
    :raises NotFoundError: if there is none.
    """
    return _read(f"read job {job_id}", "jobs", job_id, select=select)


def list_jobs(prefix: str = "", *, select: Sequence[str] | None = None) -> Flow[list[Body]]:
    """List jobs, over all pages (``Jobs_ListJobs``).

    :param prefix: how their ids begin.
    :param select: members to ask for; None means all.
    """
    return pages(_page("list jobs", "jobs", prefix=prefix, select=select))


def list_open_jobs(pool_id: str, *, select: Sequence[str] | None = None) -> Flow[list[Body]]:
    """List the jobs on a pool that are not completed, over all pages (``Jobs_ListJobs``).

    :param pool_id: the pool.
    :param select: members to ask for; None means all.
    """
    first = _page(f"list jobs on pool {pool_id}", "jobs", prefix="", select=select)
    test = f"state ne 'completed' and executionInfo/poolId eq {_quoted(pool_id)}"
    return pages(replace(first, query={**first.query, "$filter": test}))


def get_task_counts(job_id: str) -> Request[Body]:
    """Count the tasks of a job by their states (``Jobs_GetJobTaskCounts``); Azure may be a little late.

    :param job_id: the job.
    :raises NotFoundError: if there is none.
    """
    return _read(f"count the tasks of job {job_id}", "jobs", job_id, "taskcounts", select=None)


def create_job(job_id: str, body: Mapping[str, Any]) -> Request[str]:
    """Make a job (``Jobs_CreateJob``).

    :param job_id: the job.
    :param body: all of it but its id.
    :raises ConflictError: if there is one of that id, or the account has too many.
    """
    return _change(f"create job {job_id}", "POST", {"id": job_id, **body}, "jobs")


def end_job_with_its_tasks(job_id: str) -> Request[str]:
    """Have a job end as soon as all of its tasks have ended (``Jobs_UpdateJob``).

    One that has no tasks yet would end at once.

    :param job_id: the job.
    """
    body = {"onAllTasksComplete": "terminatejob"}
    return _change(f"have job {job_id} end with its tasks", "PATCH", body, "jobs", job_id)


def terminate_job(job_id: str, reason: str) -> Request[str]:
    """End a job, and what runs of it (``Jobs_TerminateJob``).

    :param job_id: the job.
    :param reason: why, as the job shows it then (``terminateReason``).
    """
    body = {"terminateReason": reason}
    return _change(f"end job {job_id}", "POST", body, "jobs", job_id, "terminate")


def list_preparations(job_id: str, *, select: Sequence[str] | None = None) -> Flow[list[Body]]:
    """List the preparation and release tasks of a job, over all pages: one item for each node.

    Nodes that are gone are among them (``Jobs_ListJobPreparationAndReleaseTaskStatus``).

    :param job_id: the job.
    :param select: members to ask for; None means all.
    :raises NotFoundError: if there is no such job.
    :raises ConflictError: if it has neither.
    """
    segments = ("jobs", job_id, "jobpreparationandreleasetaskstatus")
    return pages(_page(f"list the prepared nodes of job {job_id}", *segments, prefix="", select=select))


def create_task(job_id: str, task_id: str, body: Mapping[str, Any]) -> Request[str]:
    """Add a task to a job (``Tasks_CreateTask``).

    :param job_id: the job.
    :param task_id: the task.
    :param body: all of it but its id.
    :raises NotFoundError: if there is no such job.
    :raises ConflictError: if the job has a task of that id, or takes none any more.
    """
    does = f"add task {task_id} to job {job_id}"
    return _change(does, "POST", {"id": task_id, **body}, "jobs", job_id, "tasks")


def create_tasks(job_id: str, bodies: Sequence[Mapping[str, Any]]) -> Request[Body]:
    """Add up to 100 tasks to a job (``Tasks_CreateTaskCollection``); the answer says of each what came of it.

    :param job_id: the job.
    :param bodies: of the tasks, with their ids.
    :raises NotFoundError: if there is no such job.
    :raises ConflictError: if the job takes no tasks any more.
    """
    return Request(
        DATA,
        f"add {len(bodies)} tasks to job {job_id}",
        "POST",
        path("jobs", job_id, "addtaskcollection"),
        page_of,
        body={"value": list(bodies)},
        needs=WRITE_ACTION,
    )


def get_task(job_id: str, task_id: str, *, select: Sequence[str] | None = None) -> Request[Body]:
    """Read a task (``Tasks_GetTask``).

    :param job_id: the job.
    :param task_id: the task.
    :param select: members to ask for; None means all.
    :raises NotFoundError: if there is none, or no such job.
    """
    does = f"read task {task_id} of job {job_id}"
    return _read(does, "jobs", job_id, "tasks", task_id, select=select)


def list_tasks(
    job_id: str, prefix: str = "", *, since: str = "", select: Sequence[str] | None = None
) -> Flow[list[Body]]:
    """List the tasks of a job, over all pages (``Tasks_ListTasks``).

    :param job_id: the job.
    :param prefix: how their ids begin.
    :param since: those alone whose state has changed since then, a time as the service writes it.
    :param select: members to ask for; None means all.
    :raises NotFoundError: if there is no such job.
    """
    first = _page(f"list tasks of job {job_id}", "jobs", job_id, "tasks", prefix=prefix, select=select)
    if since:
        tests = [first.query.get("$filter", ""), f"stateTransitionTime ge DateTime'{since}'"]
        first = replace(first, query={**first.query, "$filter": " and ".join(filter(None, tests))})
    return pages(first)


def terminate_task(job_id: str, task_id: str) -> Request[str]:
    """End a task (``Tasks_TerminateTask``).

    :param job_id: the job.
    :param task_id: the task.
    :raises NotFoundError: if there is none.
    :raises ConflictError: if it has ended already.
    """
    does = f"end task {task_id} of job {job_id}"
    return _change(does, "POST", None, "jobs", job_id, "tasks", task_id, "terminate")


def delete_task(job_id: str, task_id: str) -> Request[str]:
    """Delete a task with its files (``Tasks_DeleteTask``); what runs of it is ended.

    :param job_id: the job.
    :param task_id: the task.
    :raises NotFoundError: if there is none.
    """
    does = f"delete task {task_id} of job {job_id}"
    return _change(does, "DELETE", None, "jobs", job_id, "tasks", task_id)


def list_task_files(job_id: str, task_id: str) -> Flow[list[Body]]:
    """List the files in a task's folder, but not below it, with their sizes (``Tasks_ListTaskFiles``).

    The node is asked.

    :param job_id: the job.
    :param task_id: the task.
    :raises NotFoundError: if there is no such task, or its node is gone.
    :raises ConflictError: if the task has not begun, or the node cannot say.
    """
    does = f"list the files of task {task_id}"
    return pages(_page(does, "jobs", job_id, "tasks", task_id, "files", prefix="", select=None))


def read_task_file(job_id: str, task_id: str, file_path: str, *, start: int, length: int) -> Request[bytes]:
    """Read a part of a file of a task (``Tasks_DownloadTaskFile``); the node is asked.

    :param job_id: the job.
    :param task_id: the task.
    :param file_path: such as ``stdout.txt`` or ``wd/out.json``.
    :param start: the number of its first byte.
    :param length: bytes; no more are taken, whatever is sent.
    :raises NotFoundError: if there is none, or its node is gone.
    :raises ConflictError: if the task has not begun, or the node cannot say.
    """
    return Request(
        DATA,
        f"read file {file_path} of task {task_id}",
        "GET",
        path("jobs", job_id, "tasks", task_id, "files", file_path),
        lambda response: _part(response, start, length),
        headers={PART_OF_A_FILE: f"bytes={start}-{start + length - 1}"},
        expected=(200, 206),
        needs=READ_ACTION,
    )


def _part(response: Any, start: int, length: int) -> bytes:
    content = bytes(response.content)
    # Who takes no notice of ranges sends all of it.
    return content[start : start + length] if start and len(content) > length else content[:length]


def _read(does: str, *segments: str, select: Sequence[str] | None) -> Request[Body]:
    query = {} if select is None else {"$select": ",".join(select)}
    return Request(DATA, does, "GET", path(*segments), shaped(dict), query=query, needs=READ_ACTION)


def _page(does: str, *segments: str, prefix: str, select: Sequence[str] | None) -> Request[Body]:
    query = {} if select is None else {"$select": ",".join(select)}
    if prefix:
        query["$filter"] = f"startswith(id,{_quoted(prefix)})"
    return Request(DATA, does, "GET", path(*segments), page_of, query=query, needs=READ_ACTION)


def _quoted(text: str) -> str:
    return f"'{text.replace(chr(39), chr(39) * 2)}'"


def _change(does: str, method: str, body: Mapping[str, Any] | None, *segments: str) -> Request[str]:
    return Request(
        DATA,
        does,
        method,
        path(*segments),
        etag_of,
        body=body,
        expected=range(200, 300),
        needs=WRITE_ACTION,
    )
