"""Jobs and tasks through azure-batch: what they show, how they run, and how they end."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.batch import BatchClient, models
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from airflow_batchext.emulator import Emulator, Scenario, Timings
from airflow_batchext.emulator.scenario import TaskScenario
from tests.emulator.pool_documents import data_pool, raw_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LATER: dict[str, Any] = {"polling_interval": 3600}


def code_of(error: HttpResponseError) -> str:
    return error.model.code  # type: ignore[no-any-return, attr-defined]


@pytest.fixture
def job(emulator: Emulator, name: str) -> Iterator[str]:
    """The id of a job that a test makes; it is deleted afterwards, and so are all others."""
    yield f"job-{name}"
    for left in emulator.account.jobs.all():
        if left.gone is None:
            emulator.account.jobs.delete(left.id)


def make(batch: BatchClient, job: str, pool: str, *tasks: str, **more: Any) -> None:
    """Make a job with tasks; it is told last to end with them, as one without any would end at once."""
    ends = more.pop("onAllTasksComplete", None)
    batch.create_job({"id": job, "poolInfo": {"poolId": pool}, **more})  # type: ignore[arg-type]
    for task in tasks:
        batch.create_task(job, {"id": task, "commandLine": "/bin/true"})  # type: ignore[arg-type]
    if ends:
        batch.update_job(job, {"onAllTasksComplete": ends})  # type: ignore[arg-type]


def states(batch: BatchClient, job: str) -> dict[str, str]:
    return {task["id"]: task["state"] for task in batch.list_tasks(job)}


# --- jobs -------------------------------------------------------------------------------------------------


def test_a_job_shows_what_the_service_fills_in(emulator: Emulator, batch: BatchClient, job: str) -> None:
    answer = raw_data(
        emulator,
        "POST",
        "/jobs",
        json={
            "id": job,
            "poolInfo": {"poolId": "nowhere"},
            "constraints": {"maxTaskRetryCount": 5},
            "jobPreparationTask": {"commandLine": "p"},
            "jobReleaseTask": {"commandLine": "r"},
            "metadata": [{"name": "n", "value": "v"}],
        },
    )
    assert (answer.status_code, answer.content) == (201, b"")
    # Recorded: the service does not name the job here.
    assert answer.headers["Location"] == f"{emulator.info.http_endpoint}/jobs/job-1"
    assert answer.headers["DataServiceId"] == answer.headers["Location"]
    shown = raw_data(emulator, "GET", f"/jobs/{job}")
    body = shown.json()
    assert shown.headers["ETag"] == answer.headers["ETag"] == body["eTag"]
    user = {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}}
    unlimited = "P10675199DT2H48M5.4775807S"
    assert list(body.items())[7:] == [
        ("stateTransitionTime", body["creationTime"]),
        ("priority", 0),
        ("maxParallelTasks", -1),
        ("usesTaskDependencies", False),
        ("allowTaskPreemption", False),
        ("constraints", {"maxWallClockTime": unlimited, "maxTaskRetryCount": 5}),
        (
            "jobPreparationTask",
            {
                "id": "jobpreparation",
                "commandLine": "p",
                "constraints": {
                    "maxWallClockTime": unlimited,
                    "retentionTime": "P7D",
                    "maxTaskRetryCount": 5,
                },
                "userIdentity": user,
                "waitForSuccess": True,
                "rerunOnNodeRebootAfterSuccess": True,
            },
        ),
        (
            "jobReleaseTask",
            {
                "id": "jobrelease",
                "commandLine": "r",
                "maxWallClockTime": "PT15M",
                "retentionTime": "P7D",
                "userIdentity": user,
            },
        ),
        ("poolInfo", {"poolId": "nowhere"}),
        ("metadata", [{"name": "n", "value": "v"}]),
        ("executionInfo", {"startTime": body["creationTime"], "poolId": "nowhere"}),
        ("onAllTasksComplete", "noaction"),
        ("onTaskFailure", "noaction"),
    ]
    listed = raw_data(emulator, "GET", f"/jobs?$filter=id eq '{job}'&$select=id,state").json()
    assert listed["value"] == [{"id": job, "state": "active"}]
    status = raw_data(emulator, "GET", f"/jobs/{job}/jobpreparationandreleasetaskstatus").json()
    assert status["value"] == []


def test_a_job_is_patched_and_replaced(emulator: Emulator, batch: BatchClient, job: str) -> None:
    make(
        batch,
        job,
        "p",
        "t",
        constraints={"maxTaskRetryCount": 5},
        metadata=[{"name": "n", "value": "v"}],
        priority=7,
    )
    first = batch.get_job(job)
    constraints = models.BatchJobConstraints(max_wall_clock_time=timedelta(days=1))
    changes = models.BatchJobUpdateOptions(constraints=constraints)
    changes["onAllTasksComplete"] = "terminatejob"
    batch.update_job(job, changes)
    second = batch.get_job(job)
    assert (second.priority, second.metadata[0].value) == (7, "v")
    assert (second.constraints.max_wall_clock_time, second.constraints.max_task_retry_count) == (
        timedelta(days=1),
        0,
    )
    assert second["onAllTasksComplete"] == "terminatejob"
    body = {"poolInfo": {"poolId": "p"}, "onAllTasksComplete": "noaction"}
    assert raw_data(emulator, "PUT", f"/jobs/{job}", json=body).status_code == 200
    third = batch.get_job(job)
    assert (third.priority, third.metadata) == (0, None)
    assert len({first.etag, second.etag, third.etag}) == 3
    long = raw_data(
        emulator, "PATCH", f"/jobs/{job}", json={"constraints": {"maxWallClockTime": "P3Y6M4DT12H30M5S"}}
    )
    assert long.status_code == 200
    assert batch.get_job(job)["constraints"]["maxWallClockTime"] == "P1279DT12H30M5S"
    before = {"If-Unmodified-Since": "Thu, 24 Oct 2024 01:15:18 GMT"}
    refused = raw_data(emulator, "PUT", f"/jobs/{job}", json=body, headers=before)
    assert refused.status_code == 412
    assert refused.json()["message"]["value"].startswith(
        "The condition specified using HTTP conditional header(s) is not met.\n"
    )


def test_a_job_is_disabled_enabled_terminated_and_deleted(
    emulator: Emulator, batch: BatchClient, job: str
) -> None:
    make(batch, job, "p", "t")
    batch.begin_disable_job(job, models.BatchJobDisableOptions(disable_tasks="requeue"), **LATER)
    assert batch.get_job(job).state == "disabled"
    batch.begin_enable_job(job, **LATER)
    assert batch.get_job(job).state == "active"
    batch.begin_terminate_job(job, {"terminateReason": "enough"}, **LATER)  # type: ignore[arg-type]
    ending = batch.get_job(job)
    assert (ending.state, ending.previous_state) == ("terminating", "active")
    with pytest.raises(ResourceExistsError) as caught:
        batch.create_task(job, {"id": "u", "commandLine": "x"})  # type: ignore[arg-type]
    assert code_of(caught.value) == "JobBeingTerminated"
    emulator.clock.advance(1)
    done = batch.get_job(job)
    assert (done.state, done["executionInfo"]["terminateReason"]) == ("completed", "enough")
    assert done.execution_info.end_time == done.state_transition_time
    assert states(batch, job) == {"t": "active"}, "it had no node, and stays as it was"
    for act in (
        lambda: batch.begin_enable_job(job, **LATER),
        lambda: raw_terminate(emulator, job),
        lambda: batch.create_task(job, {"id": "u", "commandLine": "x"}),  # type: ignore[arg-type]
    ):
        with pytest.raises(ResourceExistsError) as caught:
            act()
        assert code_of(caught.value) == "JobCompleted"
    batch.begin_delete_job(job, **LATER)
    assert batch.get_job(job).state == "deleting"
    with pytest.raises(ResourceExistsError) as caught:
        make(batch, job, "p")
    assert code_of(caught.value) == "JobBeingDeleted"
    emulator.clock.advance(1)
    with pytest.raises(ResourceNotFoundError) as gone:
        batch.get_job(job)
    assert code_of(gone.value) == "JobNotFound"


def raw_terminate(emulator: Emulator, job: str) -> None:
    answer = raw_data(emulator, "POST", f"/jobs/{job}/terminate")
    assert answer.status_code == 409
    error = ResourceExistsError("refused")
    error.model = models.BatchError(answer.json())  # type: ignore[assignment]
    raise error


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/jobs", {"id": "a b", "poolInfo": {"poolId": "p"}}, 400, "InvalidPropertyValue"),
        ("POST", "/jobs", {"id": "a"}, 400, "MissingRequiredProperty"),
        ("POST", "/jobs", {"id": "a", "poolInfo": {}}, 400, "MissingRequiredProperty"),
        ("POST", "/jobs", {"id": "a", "poolInfo": {"poolId": "p"}, "x": 1}, 400, "InvalidRequestBody"),
        (
            "POST",
            "/jobs",
            {"id": "a", "poolInfo": {"poolId": "p"}, "priority": 1001},
            400,
            "InvalidPropertyValue",
        ),
        ("POST", "/jobs", {"id": "a", "poolInfo": {"autoPoolSpecification": {}}}, 501, "NotImplemented"),
        ("POST", "/jobs/{job}/disable", {}, 400, "MissingRequiredProperty"),
        ("POST", "/jobs/{job}/disable", {"disableTasks": "kick"}, 400, "InvalidPropertyValue"),
        ("POST", "/jobs/{job}/tasks", {"id": "t"}, 400, "MissingRequiredProperty"),
        ("POST", "/jobs/{job}/tasks", {"id": "t t", "commandLine": "x"}, 400, "InvalidPropertyValue"),
        (
            "POST",
            "/jobs/{job}/tasks",
            {"id": "t", "commandLine": "x", "requiredSlots": 0},
            400,
            "InvalidPropertyValue",
        ),
        (
            "POST",
            "/jobs/{job}/tasks",
            {"id": "t", "commandLine": "x", "dependsOn": {"taskIds": ["u"]}},
            400,
            "TaskDependenciesNotSpecifiedOnJob",
        ),
        ("POST", "/jobs/{job}/addtaskcollection", {"value": [{}] * 101}, 400, "InvalidPropertyValue"),
        ("GET", "/jobs/{job}/tasks/none", None, 404, "TaskNotFound"),
        ("GET", "/jobs/none/tasks", None, 404, "JobNotFound"),
        (
            "GET",
            "/jobs/{job}/jobpreparationandreleasetaskstatus",
            None,
            409,
            "JobPreparationTaskOrReleaseTaskNotSpecified",
        ),
        ("PATCH", "/jobs/{job}", {"poolInfo": {"poolId": "q"}}, 409, "OperationInvalidForCurrentState"),
    ],
)
def test_what_jobs_refuse(
    emulator: Emulator,
    batch: BatchClient,
    job: str,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    status: int,
    code: str,
) -> None:
    make(batch, job, "p")
    answer = raw_data(emulator, method, path.format(job=job), json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


# --- tasks ------------------------------------------------------------------------------------------------


def test_a_task_waits_runs_and_completes(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(tasks=[TaskScenario(after=60)])
    make(batch, job, name, "t", constraints={"maxTaskRetryCount": 2})
    waiting = batch.get_task(job, "t")
    assert (waiting.state, waiting.constraints.max_task_retry_count) == ("active", 2)
    assert waiting["executionInfo"] == {"retryCount": 0, "requeueCount": 0}
    emulator.clock.advance(1)
    running = batch.get_task(job, "t")
    (node,) = batch.list_nodes(name)
    assert (running.state, running.previous_state, running.etag) == ("running", "active", waiting.etag)
    assert (running.node_info.node_id, running.node_info.pool_id) == (node.id, name)
    assert running.node_info.task_root_directory == f"workitems/{job}/job-1/t"
    assert (node.state, node.running_tasks_count) == ("running", 1)
    assert node.state_transition_time == running.execution_info.start_time
    emulator.clock.advance(60)
    done = batch.get_task(job, "t")
    assert (done.state, done.previous_state) == ("completed", "running")
    info = done.execution_info
    assert (info.exit_code, info.result, info.failure_info) == (0, "success", None)
    assert (info.end_time - info.start_time).total_seconds() == 60
    (node,) = batch.list_nodes(name)
    assert (node.state, node.total_tasks_run, node.total_tasks_succeeded) == ("idle", 1, 1)
    assert node.state_transition_time == info.end_time
    counts = batch.get_job_task_counts(job).task_counts
    assert (counts.active, counts.running, counts.completed, counts.succeeded) == (0, 0, 1, 1)


def test_tasks_share_the_nodes_and_their_slots(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(2, taskSlotsPerNode=2)
    emulator.scenario = Scenario(tasks=[TaskScenario(after=100)])
    make(batch, job, name)
    tasks = [{"id": f"t{i}", "commandLine": "x", "requiredSlots": 2 if i == 0 else 1} for i in range(6)]
    added = raw_data(emulator, "POST", f"/jobs/{job}/addtaskcollection", json={"value": tasks}).json()
    assert [item["status"] for item in added["value"]] == ["Success"] * 6
    emulator.clock.advance(1)
    counts = batch.get_job_task_counts(job)
    assert (counts.task_counts.running, counts.task_slot_counts.running) == (3, 4)
    assert [node.running_task_slots_count for node in batch.list_nodes(name)] == [2, 2]
    emulator.clock.advance(101)
    assert batch.get_job_task_counts(job).task_counts.running == 3
    emulator.clock.advance(1000)
    assert batch.get_job_task_counts(job).task_counts.succeeded == 6
    runs = sorted(
        (task.execution_info.start_time, task.execution_info.end_time) for task in batch.list_tasks(job)
    )
    assert runs[3][0] >= runs[0][1]
    assert sum(node.total_tasks_run for node in batch.list_nodes(name)) == 6


def test_a_task_runs_as_soon_as_a_node_is_idle(
    emulator: Emulator, batch: BatchClient, job: str, name: str, put_pool: Callable[..., Any]
) -> None:
    from tests.emulator.pool_documents import management_pool

    make(batch, job, name, "t")
    emulator.clock.advance(50)
    assert states(batch, job) == {"t": "active"}
    put_pool(name, management_pool(1))
    emulator.clock.advance(3600)
    info = batch.get_task(job, "t").execution_info
    (node,) = batch.list_nodes(name)
    idle = node.last_boot_time + timedelta(seconds=3.5)
    assert abs((info.start_time - idle).total_seconds() - 0.8) < 0.001


def test_a_task_that_fails_is_tried_again(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(
        tasks=[
            TaskScenario(task="mends", exit_code=1, attempts="first"),
            TaskScenario(task="breaks", exit_code=9),
        ]
    )
    make(batch, job, name, "breaks", "mends", constraints={"maxTaskRetryCount": 2})
    emulator.clock.advance(60)
    mended, broken = batch.get_task(job, "mends"), batch.get_task(job, "breaks")
    assert (mended.execution_info.result, mended.execution_info.retry_count) == ("success", 1)
    info = broken.execution_info
    assert (info.result, info.exit_code, info.retry_count) == ("failure", 9, 2)
    assert (info.failure_info.code, info.failure_info.details[0].name) == ("FailureExitCode", "Message")
    failed = list(batch.list_tasks(job, filter="executionInfo/exitCode ne 0", select=["id"]))
    assert failed == [{"id": "breaks"}]
    with pytest.raises(ResourceExistsError) as caught:
        batch.reactivate_task(job, "mends")
    assert code_of(caught.value) == "TaskSucceeded"
    emulator.scenario = Scenario()
    batch.reactivate_task(job, "breaks")
    again = batch.get_task(job, "breaks")
    assert (again.state, again.previous_state, again.execution_info.retry_count) == ("active", "completed", 0)
    emulator.clock.advance(10)
    assert batch.get_task(job, "breaks").execution_info.result == "success"


def test_tasks_are_terminated_replaced_and_deleted(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(tasks=[TaskScenario(exit_code=None)])
    make(batch, job, name, "a", "b")
    emulator.clock.advance(5)
    assert states(batch, job) == {"a": "running", "b": "active"}
    etag = batch.get_task(job, "a").etag
    answer = raw_data(emulator, "PUT", f"/jobs/{job}/tasks/a", json={"constraints": {"maxTaskRetryCount": 3}})
    assert answer.status_code == 200
    assert answer.headers["ETag"] == batch.get_task(job, "a").etag != etag
    terminated = raw_data(emulator, "POST", f"/jobs/{job}/tasks/a/terminate")
    assert (terminated.status_code, terminated.headers["Content-Length"]) == (204, "0")
    assert terminated.headers["DataServiceId"].endswith("/tasks/a/terminate")
    info = batch.get_task(job, "a").execution_info
    assert (info.exit_code, info.failure_info.code) == (None, "TaskEnded")
    with pytest.raises(ResourceExistsError) as caught:
        batch.terminate_task(job, "a")
    assert code_of(caught.value) == "TaskCompleted"
    emulator.clock.advance(5)
    assert states(batch, job) == {"a": "completed", "b": "running"}
    reactivated = raw_data(emulator, "POST", f"/jobs/{job}/tasks/a/reactivate")
    assert (reactivated.status_code, "DataServiceId" in reactivated.headers) == (204, False)
    batch.delete_task(job, "b")
    with pytest.raises(ResourceNotFoundError):
        batch.get_task(job, "b")
    emulator.clock.advance(5)
    assert states(batch, job) == {"a": "running"}
    with pytest.raises(ResourceExistsError) as caught:
        batch.reactivate_task(job, "a")
    assert code_of(caught.value) == "TaskNotCompleted"


def test_a_collection_tells_which_tasks_were_not_added(
    emulator: Emulator, batch: BatchClient, job: str
) -> None:
    make(batch, job, "p", "t")
    body = {"value": [{"id": "u", "commandLine": "x"}, {"id": "t", "commandLine": "x"}, {"id": "v"}]}
    answer = raw_data(emulator, "POST", f"/jobs/{job}/addtaskcollection", json=body)
    assert answer.status_code == 200
    assert answer.json()["odata.metadata"].endswith("$metadata#taskaddresult")
    good, *bad = answer.json()["value"]
    assert list(good) == ["status", "taskId", "eTag", "lastModified", "location"]
    assert good["location"] == f"{emulator.info.http_endpoint}/jobs/{job}/tasks/u"
    assert [(item["status"], item["taskId"], item["error"]["code"]) for item in bad] == [
        ("ClientError", "t", "TaskExists"),
        ("ClientError", "v", "MissingRequiredProperty"),
    ]


def test_tasks_depend_on_others(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(3)
    emulator.scenario = Scenario(tasks=[TaskScenario(task="bad", exit_code=1), TaskScenario(after=10)])
    make(batch, job, name, "1", "2", usesTaskDependencies=True)
    for task, depends in (
        ("after", {"taskIdRanges": [{"start": 1, "end": 2}]}),
        ("bad", {}),
        ("never", {"taskIds": ["bad"]}),
    ):
        document = {"id": task, "commandLine": "x", "dependsOn": depends}
        batch.create_task(job, document)  # type: ignore[arg-type]
    emulator.clock.advance(5)
    assert states(batch, job)["after"] == "active"
    emulator.clock.advance(100)
    assert states(batch, job) == {
        "1": "completed", "2": "completed", "after": "completed", "bad": "completed", "never": "active",
    }  # fmt: skip
    starts = {task.id: task.execution_info.start_time for task in batch.list_tasks(job)}
    assert starts["after"] > starts["2"] + timedelta(seconds=10)


@pytest.mark.parametrize(
    ("job_more", "tasks", "reason"),
    [
        ({"onAllTasksComplete": "terminatejob"}, ["good"], "AllTasksCompleted"),
        ({"onTaskFailure": "performexitoptionsjobaction"}, ["bad", "good"], "TaskFailed"),
        ({"jobManagerTask": {"id": "manager", "commandLine": "x"}}, [], "JMComplete"),
    ],
)
def test_a_job_ends_by_itself(
    emulator: Emulator,
    batch: BatchClient,
    ready_pool: Callable[..., str],
    job: str,
    job_more: dict[str, Any],
    tasks: list[str],
    reason: str,
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(tasks=[TaskScenario(task="bad", exit_code=1)])
    make(batch, job, name, *tasks, **job_more)
    emulator.clock.advance(60)
    found = batch.get_job(job)
    assert (found.state, found["executionInfo"]["terminateReason"]) == ("completed", reason)


def test_what_takes_no_time_is_in_order_all_the_same(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(timings=Timings(scheduling=0, task=0), tasks=[TaskScenario(exit_code=1)])
    make(batch, job, name, "t")
    before = batch.get_task(job, "t")
    batch.reactivate_task(job, "t")
    after = batch.get_task(job, "t")
    assert (before.state, after.state) == ("completed", "completed")
    assert before.execution_info.end_time < after.last_modified
    assert after.last_modified <= after.execution_info.start_time <= after.state_transition_time


@pytest.mark.parametrize(
    "more",
    [{}, {"onAllTasksComplete": "terminatejob"}, {"onTaskFailure": "performexitoptionsjobaction"}],
)
def test_a_job_that_is_deleted_does_not_end_by_itself_meanwhile(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str, more: dict[str, Any]
) -> None:
    emulator.scenario = Scenario(tasks=[TaskScenario(after=100)])
    make(batch, job, ready_pool(1), "t", **more)
    emulator.clock.advance(10)
    batch.begin_delete_job(job, **LATER)
    found = batch.get_job(job)
    assert (found.state, found.previous_state) == ("deleting", "active")
    assert "terminateReason" not in found["executionInfo"]
    assert states(batch, job) == {"t": "completed"}


@pytest.mark.parametrize("ends", ["by itself", "by hand"])
def test_a_task_that_disables_its_job_lets_the_others_wait(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str, ends: str
) -> None:
    name = ready_pool(3)
    after = 50 if ends == "by itself" else 3000
    emulator.scenario = Scenario(
        tasks=[TaskScenario(task="bad", exit_code=1, after=after), TaskScenario(after=100)]
    )
    make(batch, job, name, "a", "b", onTaskFailure="performexitoptionsjobaction")
    document = {"id": "bad", "commandLine": "x", "exitConditions": {"default": {"jobAction": "disable"}}}
    batch.create_task(job, document)  # type: ignore[arg-type]
    emulator.clock.advance(40)
    assert set(states(batch, job).values()) == {"running"}
    if ends == "by hand":
        batch.terminate_task(job, "bad")
    emulator.clock.advance(20)
    assert batch.get_job(job).state == "disabled"
    assert states(batch, job) == {"a": "active", "b": "active", "bad": "completed"}
    assert {node.state for node in batch.list_nodes(name)} == {"idle"}


# --- tasks and what happens to their nodes ----------------------------------------------------------------


@pytest.mark.parametrize("began", [True, False])
def test_only_a_task_that_had_begun_is_queued_again(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str, began: bool
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(timings=Timings(scheduling=5), tasks=[TaskScenario(after=100)])
    make(batch, job, name, "t")
    before = batch.get_task(job, "t")
    emulator.clock.advance(6 if began else 4)
    emulator.account.reboot_node(name, 0)
    emulator.clock.advance(1)
    after = batch.get_task(job, "t")
    assert (after.state, after.execution_info.requeue_count) == ("active", int(began))
    assert (after.state_transition_time == before.state_transition_time) is not began


@pytest.mark.parametrize(
    ("option", "task_state", "node_state"),
    [
        ("requeue", "active", "rebooting"),
        ("terminate", "completed", "rebooting"),
        ("taskcompletion", "running", "running"),
    ],
)
def test_what_becomes_of_the_task_of_a_node_that_is_rebooted(
    emulator: Emulator,
    batch: BatchClient,
    ready_pool: Callable[..., str],
    job: str,
    option: str,
    task_state: str,
    node_state: str,
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(tasks=[TaskScenario(after=100)])
    make(batch, job, name, "t", "next")
    emulator.clock.advance(10)
    (node,) = batch.list_nodes(name)
    batch.begin_reboot_node(name, node.id, {"nodeRebootOption": option}, **LATER)  # type: ignore[arg-type]
    assert batch.get_task(job, "t").state == task_state
    assert batch.get_node(name, node.id).state == node_state
    emulator.clock.advance(92)
    expected = "rebooting" if option == "taskcompletion" else "running"
    assert batch.get_node(name, node.id).state == expected
    emulator.clock.advance(1000)
    done = {task.id: task for task in batch.list_tasks(job)}
    assert done["next"].execution_info.result == "success"
    assert done["t"].execution_info.requeue_count == (option == "requeue")
    assert (done["t"].execution_info.result == "failure") is (option == "terminate")


def test_a_preempted_node_gives_its_task_back(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(2)
    emulator.scenario = Scenario(tasks=[TaskScenario(after=100)])
    make(batch, job, name, "t")
    emulator.clock.advance(10)
    first = batch.get_task(job, "t").node_info.node_id
    emulator.account.preempt_node(name, first)
    assert batch.get_task(job, "t").state == "active"
    emulator.clock.advance(10)
    again = batch.get_task(job, "t")
    assert (again.state, again.execution_info.requeue_count) == ("running", 1)
    assert again.node_info.node_id != first


def test_a_spared_node_takes_no_task(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(1)
    (node,) = batch.list_nodes(name)
    batch.disable_node_scheduling(name, node.id, {"nodeDisableSchedulingOption": "requeue"})  # type: ignore[arg-type]
    make(batch, job, name, "t")
    emulator.clock.advance(60)
    assert states(batch, job) == {"t": "active"}
    batch.enable_node_scheduling(name, node.id)
    emulator.clock.advance(60)
    assert states(batch, job) == {"t": "completed"}


def test_a_spared_node_finishes_its_task_if_asked_to(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(tasks=[TaskScenario(after=100)])
    make(batch, job, name, "t")
    emulator.clock.advance(10)
    (node,) = batch.list_nodes(name)
    batch.disable_node_scheduling(name, node.id, {"nodeDisableSchedulingOption": "taskcompletion"})  # type: ignore[arg-type]
    found = batch.get_node(name, node.id)
    assert (found.state, found.scheduling_state) == ("running", "disabled")
    emulator.clock.advance(100)
    assert batch.get_node(name, node.id).state == "offline"
    assert states(batch, job) == {"t": "completed"}


def test_a_disabled_job_waits(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(tasks=[TaskScenario(after=100)])
    make(batch, job, name, "t", "u")
    emulator.clock.advance(10)
    batch.begin_disable_job(job, models.BatchJobDisableOptions(disable_tasks="wait"), **LATER)
    assert batch.get_job(job).state == "disabling"
    emulator.clock.advance(300)
    assert batch.get_job(job).state == "disabled"
    assert states(batch, job) == {"t": "completed", "u": "active"}
    batch.begin_enable_job(job, **LATER)
    emulator.clock.advance(300)
    assert states(batch, job) == {"t": "completed", "u": "completed"}


def test_a_pool_scales_with_its_tasks(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(0)
    formula = """
        startingNumberOfVMs = 1;  // the well-known example
        maxNumberofVMs = 3;
        percent = $PendingTasks.GetSamplePercent(180 * TimeInterval_Second);
        pending = percent < 70 ? startingNumberOfVMs
            : avg($PendingTasks.GetSample(180 * TimeInterval_Second));
        $TargetDedicatedNodes = min(maxNumberofVMs, pending);
        $NodeDeallocationOption = taskcompletion;
    """
    emulator.scenario = Scenario(tasks=[TaskScenario(after=400)])
    batch.enable_pool_auto_scale(
        name,
        {"autoScaleFormula": formula, "autoScaleEvaluationInterval": "PT5M"},  # type: ignore[arg-type]
    )
    make(batch, job, name, *(f"t{i}" for i in range(6)))
    seen = []
    for _ in range(10):
        emulator.clock.advance(300)
        seen.append(batch.get_pool(name).target_dedicated_nodes)
    assert max(seen) == 3
    assert seen[-1] == 0
    assert set(states(batch, job).values()) == {"completed"}


def test_jobs_go_on_after_a_restart(tmp_path: Path) -> None:
    scenario = Scenario(tasks=[TaskScenario(after=400)])

    def running() -> Emulator:
        return Emulator(time_scale=0, state=tmp_path / "state.json", scenario=scenario)

    def client(emulator: Emulator) -> BatchClient:
        info = emulator.info
        return BatchClient(info.http_endpoint, AzureNamedKeyCredential(info.account, info.key))

    with running() as first, client(first) as batch:
        batch.create_pool(data_pool("p", 1))  # type: ignore[arg-type]
        make(batch, "j", "p", "t1", "t2", onAllTasksComplete="terminatejob")
        first.clock.advance(300)
        assert states(batch, "j") == {"t1": "running", "t2": "active"}
    with running() as second, client(second) as batch:
        assert states(batch, "j") == {"t1": "running", "t2": "active"}
        assert [node.state for node in batch.list_nodes("p")] == ["running"]
        second.clock.advance(400)
        assert states(batch, "j") == {"t1": "completed", "t2": "running"}
        second.clock.advance(400)
        assert states(batch, "j") == {"t1": "completed", "t2": "completed"}
        assert batch.get_job("j").state == "completed"


# --- how jobs and tasks end without anybody's doing ---------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "state"), [(None, "active"), ("stay", "active"), ("complete", "completed")]
)
def test_what_has_no_node_when_its_job_is_ended_stays_active(
    emulator: Emulator,
    batch: BatchClient,
    ready_pool: Callable[..., str],
    job: str,
    answer: str | None,
    state: str,
) -> None:
    name = ready_pool(1)
    answers = {} if answer is None else {"active_tasks_of_an_ended_job": answer}
    emulator.scenario = Scenario.load({"answers": answers, "tasks": [{"exit_code": None}]})
    make(batch, job, name, "runs", "waits")
    emulator.clock.advance(5)
    batch.begin_terminate_job(job, {"terminateReason": "enough"}, **LATER)  # type: ignore[arg-type]
    emulator.clock.advance(600)
    assert batch.get_job(job).state == "completed"
    assert states(batch, job) == {"runs": "completed", "waits": state}
    other = f"{job}-2"
    make(batch, other, name, "next")
    emulator.clock.advance(5)
    assert states(batch, other) == {"next": "running"}, "the node is free, and nothing else gets it"
    if state == "active":
        batch.terminate_task(job, "waits")
        assert batch.get_task(job, "waits").execution_info.failure_info.code == "TaskEnded"


def test_a_task_to_which_a_node_is_kept_gives_it_back_when_its_job_is_ended(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario.load({"timings": {"scheduling": 10}})
    make(batch, job, name, "t")
    emulator.clock.advance(5)
    batch.begin_terminate_job(job, {"terminateReason": "enough"}, **LATER)  # type: ignore[arg-type]
    make(batch, f"{job}-2", name, "u")
    emulator.clock.advance(11)
    assert (states(batch, job), states(batch, f"{job}-2")) == ({"t": "active"}, {"u": "completed"})


@pytest.mark.parametrize(
    ("answer", "exit_code", "code"),
    [(None, 137, "FailureExitCode"), ("TaskEnded", None, "TaskEnded")],
)
def test_a_task_runs_no_longer_than_it_may(
    emulator: Emulator,
    batch: BatchClient,
    ready_pool: Callable[..., str],
    job: str,
    answer: str | None,
    exit_code: int | None,
    code: str,
) -> None:
    name = ready_pool(3)
    answers = {} if answer is None else {"task_beyond_its_time": answer}
    tasks = [{"task": "short", "after": 50}, {"task": "long", "after": 70}, {"exit_code": None}]
    emulator.scenario = Scenario.load({"answers": answers, "tasks": tasks})
    make(batch, job, name)
    constraints = {"maxWallClockTime": "PT1M", "maxTaskRetryCount": 3}
    for task in ("short", "long", "endless"):
        body = {"id": task, "commandLine": "x", "constraints": constraints}
        batch.create_task(job, body)  # type: ignore[arg-type]
    emulator.clock.advance(62)
    assert states(batch, job) == dict.fromkeys(("short", "long", "endless"), "completed")
    assert batch.get_task(job, "short").execution_info.result == "success"
    for task in ("long", "endless"):
        info = batch.get_task(job, task).execution_info
        assert (info.result, info.exit_code, info.retry_count) == ("failure", exit_code, 0)
        assert info.failure_info.code == code
        assert info.end_time - info.start_time == timedelta(minutes=1)


def test_a_job_lives_no_longer_than_it_may(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(tasks=[TaskScenario(exit_code=None)])
    for number in (1, 2):
        make(batch, f"{job}{number}", name, "t", constraints={"maxWallClockTime": "PT10M"})
    emulator.clock.advance(500)
    batch.update_job(f"{job}2", {"constraints": {"maxWallClockTime": "PT20M"}})  # type: ignore[arg-type]
    emulator.clock.advance(150)
    first, second = batch.get_job(f"{job}1"), batch.get_job(f"{job}2")
    assert (first.state, second.state) == ("completed", "active")
    assert first.execution_info.termination_reason == "MaxWallClockTimeExpiry"
    assert states(batch, f"{job}1") == {"t": "completed"}
    emulator.clock.advance(600)
    assert batch.get_job(f"{job}2").state == "completed"


@pytest.mark.parametrize(("answer", "ended_after"), [("at once", 10), ("late", 200), ("never", None)])
def test_a_job_sees_at_once_late_or_never_that_it_has_nothing_left_to_do(
    emulator: Emulator,
    batch: BatchClient,
    ready_pool: Callable[..., str],
    job: str,
    answer: str,
    ended_after: int | None,
) -> None:
    emulator.scenario = Scenario.load({"answers": {"ends_by_itself": answer}})
    make(batch, job, ready_pool(1), "t", onAllTasksComplete="terminatejob")
    seen = {}
    for seconds in (10, 200, 10_000):
        emulator.clock.advance(seconds)
        seen[seconds] = batch.get_job(job).state == "completed"
    assert seen == {seconds: ended_after is not None and seconds >= ended_after for seconds in seen}


@pytest.mark.parametrize("is_created_so", [True, False])
def test_a_job_without_tasks_has_nothing_left_to_do(
    emulator: Emulator, batch: BatchClient, job: str, is_created_so: bool
) -> None:
    if is_created_so:
        body = {"id": job, "poolInfo": {"poolId": "p"}, "onAllTasksComplete": "terminatejob"}
        batch.create_job(body)  # type: ignore[arg-type]
    else:
        make(batch, job, "p", onAllTasksComplete="terminatejob")
    emulator.clock.advance(10)
    assert batch.get_job(job)["executionInfo"]["terminateReason"] == "AllTasksCompleted"
    with pytest.raises(HttpResponseError) as refused:
        batch.create_task(job, {"id": "t", "commandLine": "x"})  # type: ignore[arg-type]
    assert code_of(refused.value) == "JobCompleted"


def test_a_job_that_ends_late_goes_on_if_it_is_given_more_meanwhile(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    emulator.scenario = Scenario.load(
        {"answers": {"ends_by_itself": "late"}, "tasks": [{"task": "b", "after": 300}]}
    )
    make(batch, job, ready_pool(1), "a", onAllTasksComplete="terminatejob")
    emulator.clock.advance(60)
    batch.create_task(job, {"id": "b", "commandLine": "x"})  # type: ignore[arg-type]
    emulator.clock.advance(200)
    assert (batch.get_job(job).state, states(batch, job)["b"]) == ("active", "running")
    emulator.clock.advance(400)
    assert batch.get_job(job).state == "completed"
    assert batch.get_task(job, "b").execution_info.result == "success"


def test_a_task_fails_beside_its_command(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(2)
    before = {"code": "BlobDownloadMiscError", "message": "no", "category": "ServerError"}
    after = {"code": "FileUploadMiscError", "values": {"FilePath": "wd/out"}}
    emulator.scenario = Scenario.load(
        {
            "tasks": [
                {"task": "before", "failure": before},
                {"task": "after", "failure": after, "exit_code": 0},
            ]
        }
    )
    make(batch, job, name)
    for task in ("before", "after"):
        body = {"id": task, "commandLine": "x", "constraints": {"maxTaskRetryCount": 3}}
        batch.create_task(job, body)  # type: ignore[arg-type]
    emulator.clock.advance(10)
    seen = {task.id: task.execution_info for task in batch.list_tasks(job)}
    assert {task: (info.exit_code, info.result, info.retry_count) for task, info in seen.items()} == {
        "before": (None, "failure", 0),
        "after": (0, "failure", 0),
    }
    why = seen["before"].failure_info
    assert (why.category, why.code, why.message) == ("ServerError", "BlobDownloadMiscError", "no")
    why = seen["after"].failure_info
    assert (why.category, why.details[0].name) == ("UserError", "FilePath")


def test_active_jobs_have_a_quota(emulator: Emulator, batch: BatchClient, job: str) -> None:
    emulator.scenario = Scenario.load({"account": {"active_job_quota": 2}})
    make(batch, f"{job}1", "p")
    make(batch, f"{job}2", "p")
    with pytest.raises(ResourceExistsError) as caught:
        make(batch, f"{job}3", "p")
    assert code_of(caught.value) == "ActiveJobAndScheduleQuotaReached"
    batch.begin_terminate_job(f"{job}1", {"terminateReason": "enough"}, **LATER)  # type: ignore[arg-type]
    emulator.clock.advance(1)
    make(batch, f"{job}3", "p")
