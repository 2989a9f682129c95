"""Many Batch tasks in one Airflow task, on the emulator: each once in each life, and all of them told."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from threading import Barrier

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException

from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.exceptions import (
    AccessRefusedError,
    ConflictError,
    ParameterError,
    ServiceError,
    TaskFailedError,
    TaskTimeoutError,
    TriggerFailedError,
)
from airflow_batchext.hooks._base import BatchHook
from airflow_batchext.hooks._drivers.work import Work
from airflow_batchext.hooks._drivers.work_items import ENDED_AT_ONCE, end_items
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.operators.task import AzureBatchTaskOperator
from tests.operators.conftest import go_on, run
from tests.operators.test_task import MODES, books, context, give_a_node, left_alone, live, scenario
from tests.operators.test_task_output import logged, output

pytestmark = pytest.mark.usefixtures("signed_in")

LINES = ["/bin/true", "/bin/true 1", "/bin/true 2"]


def work(azure, tasks=LINES, **kwargs):
    given = {"poll_interval": 5, "timeout": 3600, "logs": "none", **kwargs}
    return AzureBatchTaskOperator(task_id="work", pool_id=azure.pool_id, tasks=tasks, **given)


def named(found):
    """The outcomes, by the id of the task and the number of the try."""
    return {name.split("-")[1] + name[-3:]: outcome for (_, name), outcome in found.items()}


DONE, FAILED = ("completed", None), ("completed", "FailureExitCode")


@MODES
def test_all_of_them_run_and_are_told(azure, pauses, deferrable):
    azure.create(2)
    scenario(azure, {"after": 60})
    tasks = [LINES[0], {"command_line": LINES[1], "id": "second"}, {"command_line": LINES[2]}]
    result = run(azure, work(azure, tasks), deferrable=deferrable, context=context())
    assert named(books(azure)) == {"n00000-t1": DONE, "second-t1": DONE, "n00002-t1": DONE}
    assert {name: result[name] for name in ("tasks", "succeeded", "failed", "failures")} == {
        "tasks": 3,
        "succeeded": 3,
        "failed": 0,
        "failures": [],
    }
    (job,) = azure.emulator.account.jobs.all()
    assert result["job_ids"] == [job.id]
    azure.pass_time(10)
    assert job.moments[-1][1] == "completed", "it ends with them"
    json.dumps(result)


def test_each_is_given_what_is_its_own(azure, pauses):
    azure.create(1)
    document = {"requiredSlots": 1, "displayName": "all"}
    task = work(
        azure,
        [{"command_line": "a", "environment": {"B": 2}, "task_document": {"displayName": "one"}}, "b"],
        environment={"A": "1", "B": "1"},
        task_document=document,
    )
    task.execute(context())
    (job,) = azure.emulator.account.jobs.all()
    one, other = sorted(job.tasks.values(), key=lambda each: each.id)
    assert (one.document["commandLine"], other.document["commandLine"]) == ("a", "b")
    assert (one.document["displayName"], other.document["displayName"]) == ("one", "all")
    of_one, of_other = (
        {pair["name"]: pair["value"] for pair in each.document["environmentSettings"]}
        for each in (one, other)
    )
    assert (of_one["A"], of_one["B"], of_other["B"]) == ("1", "2", "1")
    assert of_one["AIRFLOW_CTX_TRY_NUMBER"] == "1"


@MODES
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, TaskFailedError),
        ({"max_failed": 1}, TaskFailedError),
        ({"max_failed": 2}, None),
        ({"skip_on_exit_code": 3}, None),
        ({"fail_on_exit_code": 3}, AirflowFailException),
        ({"fail_on_exit_code": 3, "max_failed": 2}, None),
        ({"soft_fail": True}, AirflowSkipException),
    ],
)
def test_failures_are_counted_and_named(azure, pauses, deferrable, options, error):
    azure.create(1)
    scenario(azure, {"task": "*-bad*", "exit_code": 3}, {})
    tasks = [{"command_line": "x", "id": name} for name in ("good", "bad1", "bad2")]
    told = context()
    task = work(azure, tasks, **options)
    if error is None:
        result = run(azure, task, deferrable=deferrable, context=told)
    else:
        with pytest.raises(
            error, match=r"2 of 3 Batch tasks .* bad1: exit code 3, usererror: Fail"
        ) as caught:
            run(azure, task, deferrable=deferrable, context=told)
        assert type(caught.value) is error
        result = told["ti"].pushed["batch_task"]
    is_skipped = "skip_on_exit_code" in options
    assert (result["succeeded"], result["failed"], result["skipped"]) == (
        1,
        *((0, 2) if is_skipped else (2, 0)),
    )
    assert [one["id"] for one in result["failures"]] == ["bad1", "bad2"]
    assert {one["exit_code"] for one in result["failures"]} == {3}


def test_where_all_are_skipped_the_task_is(azure, pauses):
    azure.create(1)
    scenario(azure, {"exit_code": 4})
    with pytest.raises(AirflowSkipException, match="exit code 4"):
        work(azure, skip_on_exit_code=4).execute(context())


def test_of_many_failures_some_are_told(azure, pauses, monkeypatch):
    azure.create(1)
    scenario(azure, {"exit_code": 3, "stdout": "password=hunter2hunter2\n"}, timings={"task": 0})
    task, said = logged(azure, monkeypatch, command_line=None, tasks=["x"] * 150)
    told = context()
    with pytest.raises(TaskFailedError) as caught:
        task.execute(told)
    assert "150 of 150 Batch tasks" in str(caught.value)
    assert "and 145 more" in str(caught.value)
    assert len(str(caught.value)) < 3000
    assert len(told["ti"].pushed["batch_task"]["failures"]) == 20
    assert output(said) == ["password=***"] * 10
    assert len(said) < 60


# --- once in each life -----------------------------------------------------------------------


@MODES
def test_a_retry_runs_those_alone_that_have_failed(azure, pauses, deferrable):
    azure.create(1)
    scenario(azure, {"task": "*n00001-*-t1", "exit_code": 3}, {})
    with pytest.raises(TaskFailedError):
        run(azure, work(azure), deferrable=deferrable, context=context())
    result = run(azure, work(azure), deferrable=deferrable, context=context(2))
    assert named(books(azure)) == {
        "n00000-t1": DONE,
        "n00001-t1": FAILED,
        "n00001-t2": DONE,
        "n00002-t1": DONE,
    }
    assert (result["succeeded"], result["failed"]) == (3, 0)


@MODES
def test_a_try_after_a_lost_worker_goes_on_with_what_runs(azure, pauses, deferrable):
    azure.create(1)
    scenario(azure, {"after": 120})
    left_alone(azure, work(azure))
    azure.pass_time(10)
    result = run(azure, work(azure), deferrable=deferrable, context=context(2))
    assert result["succeeded"] == 3
    assert {name[-2:] for name in named(books(azure))} == {"t1"}


@MODES
@pytest.mark.parametrize("mapped", [-1, 4])
def test_of_a_task_that_was_cleared_the_old_ones_are_ended_first(azure, pauses, deferrable, mapped):
    azure.create(1)
    scenario(azure, {"task": "*-t1", "exit_code": None}, {"after": 60})
    left_alone(azure, work(azure), map_index=mapped)
    azure.pass_time(30)
    cleared = context(2, max_tries=3, map_index=mapped)
    assert run(azure, work(azure), deferrable=deferrable, context=cleared)["succeeded"] == 3
    found = books(azure)
    old = {outcome for (_, name), outcome in found.items() if name.endswith("-t1")}
    assert old <= {("completed", "TaskEnded"), ("active", None), ("running", None)}
    azure.pass_time(30)
    jobs = {job.id: job for job in azure.emulator.account.jobs.all()}
    assert not [name for job, name in live(azure) if jobs[job].moments[-1][1] != "completed"]


def test_less_that_is_asked_for_by_a_retry_ends_the_rest(azure, pauses):
    azure.create(1)
    scenario(azure, {"task": "*n00002*", "exit_code": None}, {"after": 60})
    left_alone(azure, work(azure))
    azure.pass_time(10)
    result = work(azure, LINES[:2]).execute(context(2))
    assert (result["tasks"], result["succeeded"]) == (2, 2)
    assert named(books(azure))["n00002-t1"] == ("completed", "TaskEnded")


@MODES
@pytest.mark.parametrize(
    "fault",
    [
        {"action": "drop", "performed": True, "method": "POST", "count": 1},
        {"action": "error", "status": 500, "performed": True, "method": "POST", "count": 6},
        {"action": "error", "status": 503, "method": "POST", "count": 9},
        {"action": "error", "status": 503, "method": "GET", "count": 3},
        {"action": "garble", "method": "POST", "path": "*addtask*", "count": 2},
    ],
)
def test_whatever_answer_is_lost_each_runs_once(azure, pauses, deferrable, fault):
    azure.create(1)
    azure.emulator.faults.add(read_fault({"path": "/jobs*", **fault}))
    result = run(azure, work(azure, ["x"] * 130), deferrable=deferrable, context=context())
    assert result["succeeded"] == 130
    assert len(books(azure)) == 130


@MODES
def test_where_a_job_ends_between_two_requests_the_rest_goes_into_another(
    azure, pauses, monkeypatch, deferrable
):
    """As where somebody else had told it to end with its tasks."""
    azure.create(1)
    scenario(azure, {}, timings={"task": 0, "scheduling": 0})
    from airflow_batchext.hooks import _job_requests

    create, calls = _job_requests.create_tasks, []

    def create_tasks(job_id, bodies):
        calls.append(job_id)
        if len(calls) == 3:
            azure.emulator.account.jobs.terminate(job_id)
            azure.pass_time(30)
        return create(job_id, bodies)

    monkeypatch.setattr("airflow_batchext.hooks._drivers.work_items.jobs.create_tasks", create_tasks)
    task = work(azure, ["x"] * 250)
    with suppress(TaskFailedError):
        run(azure, task, deferrable=deferrable, context=context())
    names = [name for _, name in books(azure)]
    assert len(names) == len(set(names)) == 250
    assert len({job for job, _ in books(azure)}) == 2


def test_too_large_a_request_is_halved(azure, pauses, monkeypatch):
    azure.create(1)
    azure.emulator.faults.add(
        read_fault(
            {"action": "error", "status": 413, "code": "RequestBodyTooLarge", "path": "*addtask*", "count": 3}
        )
    )
    assert work(azure, ["x"] * 120).execute(context())["succeeded"] == 120


def test_a_task_that_azure_refuses_is_named(azure, pauses):
    azure.create(1)
    tasks = ["x", {"command_line": "y", "task_document": {"requiredSlot": 1}}]
    with pytest.raises(ServiceError, match="n00001"):
        work(azure, tasks).execute(context())


def test_a_job_of_ones_own_that_has_ended_is_told(azure):
    azure.create(1)
    with AzureBatchJobHook() as hook:
        hook.create_job("mine", {"poolInfo": {"poolId": azure.pool_id}})
        hook.terminate_job("mine", "enough")
    with pytest.raises(ConflictError, match="mine"):
        work(azure, job_id="mine").execute(context())


@pytest.mark.parametrize(("how", "mine"), [("ended", True), ("ended", False), ("deleted", True)])
def test_what_was_added_before_a_job_ended_is_there(azure, pauses, monkeypatch, how, mine):
    """The answer was lost, and somebody ended the job before the request was repeated."""
    azure.create(4)
    scenario(azure, {"after": 10}, timings={"task": 0, "scheduling": 0})
    from airflow_batchext.hooks import _job_requests

    create, calls = _job_requests.create_tasks, []

    def create_tasks(job_id, bodies):
        calls.append(job_id)
        answer = yield from create(job_id, bodies)
        if len(calls) == 2:
            azure.pass_time(60)
            jobs = azure.emulator.account.jobs
            jobs.terminate(job_id) if how == "ended" else jobs.delete(job_id)
            azure.pass_time(60)
            return (yield from create(job_id, bodies))
        return answer

    monkeypatch.setattr("airflow_batchext.hooks._drivers.work_items.jobs.create_tasks", create_tasks)
    task = work(azure, job_id="mine" if mine else None)
    if how == "ended":
        assert task.execute(context())["succeeded"] == 3
        assert len(books(azure)) == 3, "none was submitted twice"
    else:
        with pytest.raises(ServiceError, match="mine"):
            task.execute(context())


def test_others_in_a_job_of_ones_own_are_left_alone(azure, pauses, monkeypatch):
    azure.create(1)
    scenario(azure, {"exit_code": None})
    with AzureBatchJobHook() as hook:
        hook.create_job("mine", {"poolInfo": {"poolId": azure.pool_id}})
        hook.create_task("mine", "other", {"commandLine": "x"})
    task = work(azure, job_id="mine")
    left_alone(azure, task)
    task.on_kill()
    assert live(azure) == [("mine", "other")]


def test_a_quota_of_jobs_is_waited_for(azure, monkeypatch):
    azure.create(1)
    azure.emulator.faults.add(
        read_fault(
            {
                "action": "error",
                "status": 409,
                "code": "ActiveJobAndScheduleQuotaReached",
                "path": "/jobs",
                "method": "POST",
                "count": 2,
            }
        )
    )
    monkeypatch.setattr("airflow_batchext.operators._steps.work.time.sleep", lambda _: azure.pass_time(30))
    task, said = logged(azure, monkeypatch, command_line=None, tasks=LINES)
    assert task.execute(context())["succeeded"] == 3
    assert [line for line in said if "not submitted yet" in line]


# --- what others do --------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("what", ["task", "job"])
def test_what_somebody_has_deleted_is_told(azure, pauses, deferrable, what):
    azure.create(1)
    scenario(azure, {"after": 60})
    task = work(azure)
    deferred = left_alone(azure, task)
    jobs = azure.emulator.account.jobs
    ((job_id, task_id), *_) = books(azure)
    jobs.delete(job_id) if what == "job" else jobs.delete_task(job_id, task_id)
    azure.pass_time(60)
    lost = 3 if what == "job" else 1
    with pytest.raises(TaskFailedError, match=f"{lost} of 3 .*it was deleted"):
        go_on(azure, task, deferred, context())


def test_a_job_that_somebody_ended_before_they_had_nodes_is_not_waited_for(azure, pauses):
    azure.create(0)
    task = work(azure)
    deferred = left_alone(azure, task)
    for job in azure.emulator.account.jobs.all():
        azure.emulator.account.jobs.terminate(job.id)
    azure.pass_time(60)
    with pytest.raises(TaskFailedError, match=r"3 of 3 .*given no node"):
        go_on(azure, task, deferred, context())


def test_a_pool_that_is_gone_ends_the_wait(azure, pauses):
    azure.create(0)
    task = work(azure)
    deferred = left_alone(azure, task)
    azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
    azure.pass_time(60)
    with pytest.raises(AirflowException, match="does not exist any more"):
        go_on(azure, task, deferred, context())
    assert not [job for job in azure.emulator.account.jobs.all() if job.goal != "completed"]


def test_it_says_why_nothing_starts_and_starts_when_it_can(azure, pauses, monkeypatch):
    azure.create(0)
    task, said = logged(azure, monkeypatch, command_line=None, tasks=LINES)

    def pause(seconds):
        azure.pass_time(30)
        if any("has no nodes and its target is 0" in line for line in said):
            give_a_node(azure)

    monkeypatch.setattr("airflow_batchext.operators._steps.work.time.sleep", pause)
    assert task.execute(context())["succeeded"] == 3


@MODES
def test_at_its_deadline_they_are_ended(azure, pauses, deferrable, monkeypatch):
    azure.create(0 if deferrable else 1)
    scenario(azure, {"exit_code": None})
    task = work(azure, timeout=0.3 if deferrable else 3600)

    def pause(seconds):
        azure.pass_time(10)
        if "running" in str(books(azure)):
            task._steps._memo["deadline"] = 0

    monkeypatch.setattr("airflow_batchext.operators._steps.work.time.sleep", pause)
    with pytest.raises(TaskTimeoutError, match="3 Batch tasks"):
        run(azure, task, deferrable=deferrable, context=context())
    azure.pass_time(60)
    (job,) = azure.emulator.account.jobs.all()
    assert job.moments[-1][1] == "completed"


@pytest.mark.parametrize("how", ["terminate", "leave"])
@pytest.mark.parametrize("mapped", [-1, 2])
def test_who_is_ended_in_the_worker_ends_them_and_never_succeeds(azure, pauses, monkeypatch, how, mapped):
    azure.create(1)
    scenario(azure, {"after": 60})
    task = work(azure, on_kill=how)

    def killed(seconds):
        azure.pass_time(600 if how == "leave" else 10)
        task.on_kill()

    monkeypatch.setattr("airflow_batchext.operators._steps.work.time.sleep", killed)
    with pytest.raises(AirflowException, match="was ended while it ran"):
        task.execute(context(map_index=mapped))
    azure.pass_time(60)
    (job,) = azure.emulator.account.jobs.all()
    assert (job.goal == "completed") or mapped != -1 or how == "leave"
    ended = {failure for _, failure in books(azure).values()}
    assert ended == ({None} if how == "leave" else {"TaskEnded"} if mapped != -1 else {"TaskEnded", None})


@pytest.mark.parametrize("asynchronous", [False, True], ids=["worker", "triggerer"])
def test_in_a_job_with_siblings_many_are_ended_side_by_side(azure, monkeypatch, asynchronous):
    """What waits for a node first, as it would be given one; and none of the siblings."""
    azure.create(2)
    scenario(azure, {"exit_code": None})
    tasks = [f"/bin/true {number}" for number in range(60)]
    one, _ = (left_alone(azure, work(azure, tasks), map_index=index).trigger for index in (7, 3))
    azure.pass_time(30)
    running = {task for (_, task), (state, _) in books(azure).items() if state == "running"}
    asked, under_way, most = [], set(), 0

    class Noting:
        def __init__(self, request):
            self.url = request.url

        def __enter__(self):
            nonlocal most
            asked.append(self.url.split("/")[-2])
            under_way.add(self.url)
            most = max(most, len(under_way))

        def __exit__(self, *exc):
            under_way.discard(self.url)

    send, asend, lanes = BatchHook._send, BatchHook._asend, Barrier(ENDED_AT_ONCE)

    def sending(hook, request):
        with Noting(request):
            if len(asked) <= ENDED_AT_ONCE + 3 and request.url.endswith("/terminate"):
                lanes.wait(20)
            return send(hook, request)

    async def asending(hook, request):
        with Noting(request):
            return await asend(hook, request)

    monkeypatch.setattr(BatchHook, "_send", sending)
    monkeypatch.setattr(BatchHook, "_asend", asending)
    azure.emulator.faults.add(read_fault({"action": "error", "status": 403, "path": "*/m00007-n00050*"}))
    ending = end_items(Work(one.base, one.key, one.life, "", {}, {}, is_many=True), is_alone=False)

    async def in_triggerer():
        async with AzureBatchJobHook() as hook:
            await hook.arun(ending)

    with pytest.raises(AccessRefusedError), AzureBatchJobHook() as hook:
        asyncio.run(in_triggerer()) if asynchronous else hook.run(ending)
    left = [task[:13] for _, task in live(azure)]
    assert [task for task in left if task.startswith("m00007")] == ["m00007-n00050"], "one that is refused"
    assert len(left) == 1 + len(tasks)
    assert running <= set(asked[-2 * ENDED_AT_ONCE :])
    assert most == ENDED_AT_ONCE


def test_where_the_trigger_fails_the_last_try_ends_them(azure):
    azure.create(1)
    scenario(azure, {"exit_code": None})
    failure = {"error": "Trigger failure", "traceback": ["boom"]}
    for number, count in ((1, 3), (3, 0)):
        task = work(azure)
        left_alone(azure, task, number)
        azure.pass_time(30)
        with pytest.raises(TriggerFailedError):
            task.resume_execution("__fail__", failure, context(number))
        azure.pass_time(60)
        jobs = {job.id: job.goal for job in azure.emulator.account.jobs.all()}
        assert len([1 for job, _ in live(azure) if jobs[job] != "completed"]) == count


@pytest.mark.parametrize("given", [{}, {"tasks": None, "command_line": "/bin/true"}], ids=["many", "one"])
@pytest.mark.parametrize("stage", ["novel", "", "x" * 500])
def test_what_a_trigger_of_a_later_version_says_ends_a_last_try_and_its_work(azure, given, stage):
    azure.create(1)
    scenario(azure, {"exit_code": None})
    for number in (1, 3):
        task = work(azure, **given)
        deferred = left_alone(azure, task, number)
        event = {"stage": stage, "text": "?", "memo": deferred.trigger.memo}
        azure.pass_time(30)
        with pytest.raises(TriggerFailedError, match=r"the trigger said '.{0,40}', which is not known here"):
            task.execute_complete(context(number), event)
        azure.pass_time(60)
        jobs = {job.id: job.goal for job in azure.emulator.account.jobs.all()}
        assert bool([1 for job, _ in live(azure) if jobs[job] != "completed"]) is (number == 1)


@pytest.mark.parametrize(("number", "is_left"), [(1, True), (3, False)])
def test_of_many_of_which_one_is_refused_none_goes_on_when_nobody_comes_back(azure, number, is_left):
    azure.create(1)
    scenario(azure, {"exit_code": None})
    refused = {"action": "error", "status": 400, "path": "*/addtaskcollection", "skip": 2, "count": 9}
    azure.emulator.faults.add(read_fault(refused))
    with pytest.raises(ServiceError, match="add 50 tasks"):
        work(azure, [f"/bin/true {each}" for each in range(150)]).execute(context(number))
    azure.pass_time(60)
    jobs = {job.id: job.goal for job in azure.emulator.account.jobs.all()}
    assert bool([1 for job, _ in live(azure) if jobs[job] != "completed"]) is is_left


# --- what is given ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tasks", "text"),
    [
        ("x", "has to be a list"),
        ([5], r"tasks\[0\]"),
        ([" "], r"tasks\[0\]"),
        ([{}], "command_line"),
        ([{"command_line": "x", "commandLine": "y"}], "it can have"),
        ([{"command_line": "x", "id": "a-b"}], "1 to 16 letters"),
        ([{"command_line": "x", "id": "a" * 17}], "1 to 16 letters"),
        ([{"command_line": "x", "id": "a"}, {"command_line": "x", "id": "A"}], "of another one"),
        (["x", {"command_line": "x", "id": "N00000"}], "of another one"),
        ([{"command_line": "x", "environment": "A=1"}], "environment"),
        (["x"] * 10_001, "there can be 10,000"),
    ],
)
def test_what_cannot_be_used_is_refused(azure, tasks, text):
    with pytest.raises(ParameterError, match=text):
        work(azure, tasks)


def test_one_of_both_is_needed(azure):
    for given in ({}, {"command_line": "x", "tasks": ["y"]}):
        with pytest.raises(ParameterError, match="one of them"):
            AzureBatchTaskOperator(task_id="work", pool_id="p", **given)


def test_none_is_a_skip(azure):
    with pytest.raises(AirflowSkipException, match="no tasks"):
        work(azure, []).execute(context())
    assert not books(azure)


@pytest.mark.parametrize(
    "item",
    [
        {"command_line": "x", "environment": {"DB_PASSWORD": "hunter2hunter2"}},
        {"command_line": "run --password=hunter2hunter2"},
        "run --password=hunter2hunter2",
        {"command_line": "x", "task_document": {"containerSettings": {"registry": {"password": "hunter2"}}}},
    ],
)
def test_a_secret_is_refused_before_anything_is_sent(azure, item):
    azure.create(1)
    task = work(azure, ["x", item])
    assert not isinstance(item, dict) or "environment" not in item or "hunter2" not in str(task.tasks)
    azure.emulator.requests.clear()
    with pytest.raises(ParameterError, match=r"tasks\[1\]: .*looks like a secret") as caught:
        task.execute(context())
    assert "hunter2" not in str(caught.value)
    assert not azure.reads("/jobs")


# --- how much it costs -----------------------------------------------------------------------


def test_a_thousand_cost_ten_requests_to_submit(azure, pauses):
    azure.create(4)
    scenario(azure, {"after": 300}, timings={"task": 0, "scheduling": 0})
    azure.emulator.requests.clear()
    task = work(azure, ["/bin/true"] * 1000)
    left_alone(azure, task)
    posts = [request for request in azure.emulator.requests if "/addtaskcollection" in request.path]
    assert len(posts) == 11, "ten, and one to find that there is no job"
    assert len(azure.emulator.requests) <= 18
