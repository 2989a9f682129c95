"""The data plane's operations on jobs and tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_batchext.emulator.data.answers import (
    bodies_answer,
    check_expand,
    created,
    done,
    element_answer,
    items_answer,
    validators,
)
from airflow_batchext.emulator.data.job_bodies import counts_body, job_body, preparation_body, task_body
from airflow_batchext.emulator.data.queries import check_conditions
from airflow_batchext.emulator.documents.codec import Reader, bad
from airflow_batchext.emulator.documents.job import (
    read_job,
    read_job_patch,
    read_job_update,
    read_task,
    read_task_update,
)
from airflow_batchext.emulator.documents.job_schema import JOB_DISABLE, JOB_TERMINATE, TASKS
from airflow_batchext.emulator.wire.errors import RefusedError, refusal
from airflow_batchext.emulator.wire.http import Answer, Call, Json, Route, utc_now, wire_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_batchext.emulator.account.account import Account
    from airflow_batchext.emulator.account.job_records import Job, Task

_MOST_TASKS = 100


class JobOperations:
    """Handlers of ``/jobs``."""

    def __init__(self, account: Account) -> None:
        """Serve that account."""
        self._account = account
        self._jobs = account.jobs

    def routes(self) -> Iterator[Route]:
        """Yield what is served."""
        job, task = "/jobs/{job}", "/jobs/{job}/tasks/{task}"
        yield "POST", "/jobs", self._create
        yield "GET", "/jobs", self._list
        yield "GET", job, self._get
        yield "PATCH", job, self._patch
        yield "PUT", job, self._update
        yield "DELETE", job, self._delete
        yield "POST", f"{job}/disable", self._disable
        yield "POST", f"{job}/enable", self._enable
        yield "POST", f"{job}/terminate", self._terminate
        yield "GET", f"{job}/taskcounts", self._counts
        yield "GET", f"{job}/jobpreparationandreleasetaskstatus", self._preparation
        yield "POST", f"{job}/tasks", self._add_task
        yield "POST", f"{job}/addtaskcollection", self._add_tasks
        yield "GET", f"{job}/tasks", self._list_tasks
        yield "GET", task, self._get_task
        yield "PUT", task, self._update_task
        yield "DELETE", task, self._delete_task
        yield "POST", f"{task}/terminate", self._terminate_task
        yield "POST", f"{task}/reactivate", self._reactivate

    # --- jobs ----------------------------------------------------------------------------------------------

    def _create(self, call: Call) -> Answer:
        name, document = read_job(call.json())
        job = self._jobs.create(name, document)
        # Not the id of the job: recorded traffic has this, whatever the job is called.
        return created(f"{call.base}/jobs/job-1", job)

    def _list(self, call: Call) -> Answer:
        check_expand(call)
        bodies = [job_body(job, call.base, self._account.now()) for job in self._jobs.all()]
        return bodies_answer(call, "jobs", bodies)

    def _get(self, call: Call) -> Answer:
        check_expand(call)
        job = self._jobs.job(call.params["job"])
        check_conditions(call, job, is_read=True)
        return element_answer(call, "jobs", job_body(job, call.base, self._account.now()), validators(job))

    def _patch(self, call: Call) -> Answer:
        job = self._job(call)
        return done(call, 200, self._jobs.update(job.id, read_job_patch(call.json(), job.document)))

    def _update(self, call: Call) -> Answer:
        job = self._job(call)
        return done(call, 200, self._jobs.update(job.id, read_job_update(call.json(), job.document)))

    def _delete(self, call: Call) -> Answer:
        self._jobs.delete(self._job(call).id)
        return Answer(202, chunked=True)

    def _disable(self, call: Call) -> Answer:
        job = self._job(call)
        option = Reader("data").read(JOB_DISABLE, call.json(), "")["disableTasks"]
        return done(call, 202, self._jobs.disable(job.id, option))

    def _enable(self, call: Call) -> Answer:
        return done(call, 202, self._jobs.enable(self._job(call).id))

    def _terminate(self, call: Call) -> Answer:
        job = self._job(call)
        document = Reader("data").read(JOB_TERMINATE, call.json() if call.body else {}, "")
        return done(call, 202, self._jobs.terminate(job.id, document.get("terminateReason", "UserTerminate")))

    def _counts(self, call: Call) -> Answer:
        tasks, slots = counts_body(self._jobs.job(call.params["job"]), self._account.now())
        metadata = f"{call.base}/$metadata#taskcountsresult/@Element"
        body = {"odata.metadata": metadata, "taskCounts": tasks, "taskSlotCounts": slots}
        return Answer(200, body, chunked=True)

    def _preparation(self, call: Call) -> Answer:
        job = self._jobs.job(call.params["job"])
        if not {"jobPreparationTask", "jobReleaseTask"} & set(job.document):
            raise refusal("JobPreparationTaskOrReleaseTaskNotSpecified")
        now = self._account.now()
        bodies = [
            preparation_body(made, call.base, now)
            for _, made in sorted(job.preparations.items())
            if made.moments and made.moments[0][0] <= now
        ]
        return bodies_answer(call, "jobpreparationandreleasetaskstatuslist", bodies, "nodeId")

    # --- tasks ---------------------------------------------------------------------------------------------

    def _add_task(self, call: Call) -> Answer:
        job = self._jobs.job(call.params["job"])
        name, document = read_task(call.json(), job.document)
        task = self._jobs.add(job.id, name, document)
        return created(_url(call, job, task), task)

    def _add_tasks(self, call: Call) -> Answer:
        job = self._jobs.job(call.params["job"])
        documents = Reader("data").read(TASKS, call.json(), "")["value"]
        if len(documents) > _MOST_TASKS:
            raise bad("value", len(documents), f"At most {_MOST_TASKS} tasks can be added at once", "data")
        results = [self._add_one(call, job, document) for document in documents]
        return Answer(
            200, {"odata.metadata": f"{call.base}/$metadata#taskaddresult", "value": results}, chunked=True
        )

    def _add_one(self, call: Call, job: Job, body: Any) -> Json:
        try:
            name, document = read_task(body, job.document)
            task = self._jobs.add(job.id, name, document)
        except RefusedError as problem:
            if problem.status >= 500:
                raise
            message = f"{problem.message}\nRequestId:{call.request_id}\nTime:{wire_time(utc_now())}"
            error: Json = {"code": problem.code, "message": {"lang": "en-US", "value": message}}
            if problem.values:
                error["values"] = [{"key": key, "value": value} for key, value in problem.values.items()]
            given = body.get("id") if isinstance(body, dict) else None
            return {"error": error, "status": "ClientError", "taskId": str(given or "")[:64]}
        return {
            "status": "Success",
            "taskId": task.id,
            "eTag": task.etag,
            "lastModified": wire_time(task.modified),
            "location": _url(call, job, task),
        }

    def _list_tasks(self, call: Call) -> Answer:
        check_expand(call)
        job, now = self._jobs.job(call.params["job"]), self._account.now()
        tasks = sorted(job.tasks.values(), key=lambda task: task.id)

        def write(task: Task) -> Json:
            return task_body(job, task, call.base, now)

        return items_answer(call, "tasks", tasks, lambda task: task.id, write, write)

    def _get_task(self, call: Call) -> Answer:
        check_expand(call)
        job, task = self._task(call, is_read=True)
        body = task_body(job, task, call.base, self._account.now())
        return element_answer(call, "tasks", body, validators(task))

    def _update_task(self, call: Call) -> Answer:
        job, task = self._task(call)
        document = read_task_update(call.json(), task.document, job.document)
        return done(call, 200, self._jobs.update_task(job.id, task.id, document))

    def _delete_task(self, call: Call) -> Answer:
        job, task = self._task(call)
        self._jobs.delete_task(job.id, task.id)
        return Answer(200, chunked=True)

    def _terminate_task(self, call: Call) -> Answer:
        job, task = self._task(call)
        return done(call, 204, self._jobs.terminate_task(job.id, task.id))

    def _reactivate(self, call: Call) -> Answer:
        job, task = self._task(call)
        # Of all the operations on tasks this one alone gives no DataServiceId.
        reactivated = validators(self._jobs.reactivate(job.id, task.id))
        return Answer(204, headers={**reactivated, "Content-Length": "0"})

    # --- helpers -------------------------------------------------------------------------------------------

    def _job(self, call: Call) -> Job:
        job = self._jobs.job(call.params["job"])
        check_conditions(call, job, is_read=False)
        return job

    def _task(self, call: Call, *, is_read: bool = False) -> tuple[Job, Task]:
        job = self._jobs.job(call.params["job"])
        task = self._jobs.task(job.id, call.params["task"])
        check_conditions(call, task, is_read=is_read)
        return job, task


def _url(call: Call, job: Job, task: Task) -> str:
    return f"{call.base}/jobs/{job.id}/tasks/{task.id}"
