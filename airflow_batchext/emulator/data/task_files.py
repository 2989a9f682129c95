"""The data plane's operations on the files of a task, which its node serves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.job_records import ACTIVE, state_at
from airflow_batchext.emulator.account.lifecycle import NodeState, States
from airflow_batchext.emulator.account.output import files_of
from airflow_batchext.emulator.data.answers import bodies_answer
from airflow_batchext.emulator.data.queries import parameter
from airflow_batchext.emulator.wire.errors import refusal
from airflow_batchext.emulator.wire.http import Answer, Call, Json, Route, http_time, read_duration, wire_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from airflow_batchext.emulator.account.account import Account
    from airflow_batchext.emulator.account.job_records import Job, Task
    from airflow_batchext.emulator.account.output import KeptFile, TaskFile
    from airflow_batchext.emulator.account.work import TaskRun

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")
_TYPE = "application/octet-stream"
#: In these states a node serves its files.
_SERVING = frozenset({NodeState.IDLE, NodeState.RUNNING, NodeState.OFFLINE})


class TaskFileOperations:
    """Handlers of ``/jobs/{job}/tasks/{task}/files``."""

    def __init__(self, account: Account) -> None:
        """Serve that account."""
        self._account = account

    def routes(self) -> Iterator[Route]:
        """Yield what is served."""
        files = "/jobs/{job}/tasks/{task}/files"
        yield "GET", files, self._list
        yield "GET", f"{files}/{{file}}", self._get
        yield "HEAD", f"{files}/{{file}}", self._head

    def _list(self, call: Call) -> Answer:
        job, task, run = self._run(call)
        is_deep = (parameter(call, "recursive") or "").lower() == "true"
        now = self._account.now()
        bodies = [
            self._body(call, job, task, run, file)
            for file in files_of(run.output, run.start, run.end, now)
            if is_deep or "/" not in file.path
        ]
        return bodies_answer(call, "files", bodies, "name")

    def _get(self, call: Call) -> Answer:
        run, file = self._file(call)
        if file.is_folder:
            raise refusal("FileNotFound")
        asked = _RANGE.fullmatch(call.headers.get("ocp-range", ""))
        start, end = 0, file.size
        if asked is not None:
            start, last = int(asked[1]), asked[2]
            end = int(last) + 1 if last else file.size
            if start >= file.size and self._account.scenario.answers.range_past_end == "InvalidRange":
                raise refusal("InvalidRange")
        data = file.part(start, end)
        return Answer(200, data=data, headers=self._headers(call, run, file, len(data)))

    def _head(self, call: Call) -> Answer:
        run, file = self._file(call)
        return Answer(200, headers=self._headers(call, run, file, file.size))

    # --- helpers -------------------------------------------------------------------------------------------

    def _run(self, call: Call) -> tuple[Job, Task, TaskRun]:
        """The task, and its run, whose node serves its files."""
        jobs, answers = self._account.jobs, self._account.scenario.answers
        job = jobs.job(call.params["job"])
        task = jobs.task(job.id, call.params["task"])
        now, run = self._account.now(), task.run
        if run is None or run.start > now or state_at(task.moments, now)[0][1] == ACTIVE:
            raise refusal(answers.files_before_start)
        pool = self._account.known_pool(task.pool)
        node = None if pool is None else pool.nodes.get(task.nodes[0].id)
        state = None if node is None else States(now).of(node.history)
        if state is None or node is not task.nodes[0]:
            raise refusal(answers.files_without_node)
        if state.state not in _SERVING:
            raise refusal("NodeNotReady")
        kept = read_duration(task.document["constraints"]["retentionTime"])
        if task.ended is not None and kept is not None and now - task.ended > kept:
            raise refusal("TaskFilesCleanedup")
        return job, task, run

    def _file(self, call: Call) -> tuple[TaskRun, TaskFile | KeptFile]:
        _, _, run = self._run(call)
        files = files_of(run.output, run.start, run.end, self._account.now())
        file = next((file for file in files if file.path == call.params["file"]), None)
        if file is None:
            raise refusal("FileNotFound")
        return run, file

    def _headers(self, call: Call, run: TaskRun, file: TaskFile | KeptFile, size: int) -> dict[str, str]:
        return {
            "Content-Type": _TYPE,
            "Content-Length": str(size),
            "Last-Modified": http_time(self._modified(run)),
            "ocp-creation-time": http_time(run.start),
            "ocp-batch-file-isdirectory": str(file.is_folder),
            "ocp-batch-file-url": f"{call.base}{call.raw_path}",
            "ocp-batch-file-mode": "0o100644",
        }

    def _modified(self, run: TaskRun) -> datetime:
        now = self._account.now()
        return now if run.end is None or now < run.end else run.end

    def _body(self, call: Call, job: Job, task: Task, run: TaskRun, file: TaskFile | KeptFile) -> Json:
        url = f"{call.base}/jobs/{job.id}/tasks/{task.id}/files/{file.path}"
        body: Json = {"name": file.path, "url": url, "isDirectory": file.is_folder}
        if not file.is_folder:
            body["properties"] = {
                "creationTime": wire_time(run.start),
                "lastModified": wire_time(self._modified(run)),
                "contentLength": str(file.size),
                "contentType": _TYPE,
                "fileMode": "0o100644",
            }
        return body
