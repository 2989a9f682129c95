"""Running work on a pool as tasks, on the emulator: once in each life, and with a true result."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    TaskDeferred,
)
from airflow.sdk import Asset

from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.exceptions import (
    AccessRefusedError,
    ConflictError,
    ParameterError,
    TaskFailedError,
    TaskLostError,
    TaskTimeoutError,
    TriggerFailedError,
)
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators._steps.task_document import task_document
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.rules.work_ids import Instance
from tests.operators.conftest import go_on, run

pytestmark = pytest.mark.usefixtures("signed_in")

MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])


def work(azure, **kwargs):
    given = {"command_line": "/bin/true", "poll_interval": 5, "timeout": 3600, **kwargs}
    return AzureBatchTaskOperator(task_id="work", pool_id=azure.pool_id, **given)


def context(number=1, max_tries=2, *, map_index=-1, run="r1", started="2026-11-29", task_id="work"):
    pushed = {}
    ti = SimpleNamespace(
        dag_id="d",
        run_id=run,
        task_id=task_id,
        try_number=number,
        max_tries=max_tries,
        map_index=map_index,
        pushed=pushed,
        xcom_push=lambda key, value: pushed.__setitem__(key, value),
    )
    return {"ti": ti, "dag_run": SimpleNamespace(start_date=started)}


def scenario(azure, *rules, **more):
    azure.emulator.scenario = Scenario.load({"tasks": list(rules), **more})


def books(azure):
    """All Batch tasks that there are, by job and id: their states, and whether they have failed."""
    return {
        (job.id, task.id): (task.moments[-1][1], task.failure.code if task.failure else None)
        for job in azure.emulator.account.jobs.all()
        for task in job.tasks.values()
    }


def live(azure):
    return [name for name, (state, _) in books(azure).items() if state != "completed"]


def give_a_node(azure):
    with AzureBatchPoolHook() as hook:
        fixed = {"properties": {"scaleSettings": {"fixedScale": {"targetDedicatedNodes": 1}}}}
        hook.update_pool(azure.pool_id, fixed)


def left_alone(azure, task, number=1, **more):
    """A try whose worker is lost right after it has submitted."""
    task.deferrable = True
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(context(number, **more))
    return deferred.value


# --- how it ends -----------------------------------------------------------------------------


@MODES
def test_a_success_says_where_and_how_long_it_ran(azure, pauses, deferrable):
    azure.create(1)
    scenario(azure, {"after": 90})
    result = run(azure, work(azure), deferrable=deferrable, context=context())
    ((job_id, task_id),) = books(azure)
    assert (result["pool_id"], result["job_id"], result["batch_task_id"]) == (azure.pool_id, job_id, task_id)
    assert (result["result"], result["exit_code"], result["seconds"]) == ("succeeded", 0, 90)
    assert result["node_id"]
    azure.pass_time(10)
    (job,) = azure.emulator.account.jobs.all()
    assert (job.moments[-1][1], job.reason) == ("completed", "AllTasksCompleted"), "its job ends with it"
    json.dumps(result)


@pytest.mark.parametrize(
    "left",
    [
        {},
        {"outlets": [Asset("a")]},
        {"on_success_callback": print},
        {"post_execute": print},
        {"multiple_outputs": True},
        {"do_xcom_push": False},
        {"result": "last_line"},
        {"on_finish": "delete_succeeded"},
        {"on_finish": "delete"},
    ],
    ids=lambda left: next(iter(left), "nothing"),
)
def test_a_success_ends_in_the_triggerer_where_nothing_is_left_to_a_worker(azure, left):
    azure.create(1)
    for asked in (True, False):
        with pytest.raises(TaskDeferred) as deferral:
            work(azure, end_from_trigger=asked, deferrable=True, **left).execute(context())
        assert deferral.value.trigger.ends_task is (asked and not left)


@MODES
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, TaskFailedError),
        ({"skip_on_exit_code": 3}, AirflowSkipException),
        ({"skip_on_exit_code": [1, 3]}, AirflowSkipException),
        ({"fail_on_exit_code": [3]}, AirflowFailException),
        ({"skip_on_exit_code": 4, "fail_on_exit_code": 5}, TaskFailedError),
        ({"soft_fail": True}, AirflowSkipException),
    ],
)
def test_a_failure_says_with_what_and_is_what_was_asked_for(azure, pauses, deferrable, options, error):
    azure.create(1)
    scenario(azure, {"exit_code": 3})
    told = context()
    with pytest.raises(error, match=r"exit code 3, usererror: FailureExitCode.* on node \w") as caught:
        run(azure, work(azure, **options), deferrable=deferrable, context=told)
    assert type(caught.value) is error
    assert getattr(caught.value, "exit_code", 3) == 3
    assert told["ti"].pushed["batch_task"]["exit_code"] == 3


@MODES
@pytest.mark.parametrize("exit_code", [None, 0], ids=["before the command", "while uploading"])
def test_a_failure_beside_the_command_is_one(azure, pauses, deferrable, exit_code):
    azure.create(1)
    failure = {"code": "BlobMiscError", "category": "ServerError"}
    scenario(azure, {"failure": failure, **({} if exit_code is None else {"exit_code": exit_code})})
    with pytest.raises(TaskFailedError, match="servererror: BlobMiscError"):
        run(azure, work(azure, skip_on_exit_code=3), deferrable=deferrable, context=context())


@MODES
def test_at_its_deadline_the_batch_task_is_ended(azure, pauses, deferrable, monkeypatch):
    azure.create(0 if deferrable else 1)
    scenario(azure, {"exit_code": None})
    task = work(azure, timeout=0.3 if deferrable else 600)
    if not deferrable:
        clock = {"now": 0.0}
        monkeypatch.setattr(
            "airflow_batchext.operators._steps.work.time",
            SimpleNamespace(
                time=lambda: clock["now"],
                sleep=lambda seconds: (clock.__setitem__("now", clock["now"] + seconds), azure.pass_time(5)),
            ),
        )
    with pytest.raises(TaskTimeoutError, match=r"had not ended within .* seconds \(timeout\): it is "):
        run(azure, task, deferrable=deferrable, context=context())
    assert not live(azure)


def test_a_shorter_execution_timeout_is_the_deadline(azure):
    azure.create(1)
    task = work(azure, timeout=3600, execution_timeout=timedelta(minutes=5))
    deferred = left_alone(azure, task)
    long = left_alone(azure, work(azure, timeout=3600), run="r2")
    assert 3200 < long.trigger.deadline - deferred.trigger.deadline < 3400


@pytest.mark.parametrize(
    ("error", "number", "is_left", "raised"),
    [
        ("Trigger failure", 1, True, TriggerFailedError),
        ("Trigger failure", 3, False, TriggerFailedError),
        ("Trigger timeout", 1, False, TaskTimeoutError),
    ],
)
def test_where_the_trigger_fails_the_next_try_finds_the_work_and_the_last_ends_it(
    azure, error, number, is_left, raised
):
    azure.create(1)
    scenario(azure, {"exit_code": None})
    left_alone(azure, work(azure), number)
    azure.pass_time(30)
    with pytest.raises(raised, match=r"could not be waited for|had not ended within"):
        work(azure).resume_execution("__fail__", {"error": error}, context(number))
    assert bool(live(azure)) is is_left


@pytest.mark.parametrize(("number", "is_left"), [(1, True), (3, False)])
def test_what_the_triggerer_may_not_look_at_is_ended_when_nobody_comes_back(azure, number, is_left):
    azure.create(1)
    scenario(azure, {"exit_code": None})
    deferred = left_alone(azure, work(azure), number)
    azure.pass_time(30)
    event = {"stage": "refused", "text": "no", "task": None, "memo": deferred.trigger.memo}
    with pytest.raises(AccessRefusedError):
        work(azure).execute_complete(context(number), event)
    assert bool(live(azure)) is is_left


@MODES
def test_somebody_else_ends_it(azure, pauses, deferrable):
    azure.create(1)
    scenario(azure, {"exit_code": None})
    deferred = left_alone(azure, work(azure))
    azure.pass_time(30)
    azure.emulator.account.jobs.terminate_task(deferred.trigger.job_id, deferred.trigger.batch_task_id)
    with pytest.raises(TaskFailedError, match="TaskEnded"):
        go_on(azure, work(azure), deferred, context())


@pytest.mark.parametrize("what", ["task", "job", "pool"])
def test_somebody_else_takes_it_away(azure, pauses, what):
    azure.create(0 if what == "pool" else 1)
    scenario(azure, {"exit_code": None})
    deferred = left_alone(azure, work(azure))
    azure.pass_time(30)
    account, trigger = azure.emulator.account, deferred.trigger
    {
        "task": lambda: account.jobs.delete_task(trigger.job_id, trigger.batch_task_id),
        "job": lambda: account.jobs.delete(trigger.job_id),
        "pool": lambda: account.delete_pool(azure.pool_id),
    }[what]()
    azure.pass_time(3600)
    with pytest.raises(TaskLostError, match="is lost"):
        go_on(azure, work(azure), deferred, context())
    assert not live(azure)


def stranded(azure, reason):
    azure.create(0)
    deferred = left_alone(azure, work(azure))
    azure.emulator.account.jobs.terminate(deferred.trigger.job_id, reason)
    azure.pass_time(5)
    with AzureBatchJobHook() as hook:
        assert hook.get_task(deferred.trigger.job_id, deferred.trigger.batch_task_id)["state"] == "active"
    give_a_node(azure)
    azure.pass_time(600)
    return deferred


def test_a_job_that_somebody_ended_before_the_task_had_a_node_is_not_waited_for(azure, pauses):
    deferred = stranded(azure, "UserTerminate")
    with pytest.raises(TaskFailedError, match=r"was given no node before job .* \(UserTerminate\)"):
        go_on(azure, work(azure), deferred, context())
    result = run(azure, work(azure), deferrable=False, context=context(2))
    assert result["job_id"].endswith("-2")


def test_a_task_that_came_just_as_its_job_ended_by_itself_is_submitted_again(azure, pauses):
    deferred = stranded(azure, "AllTasksCompleted")
    result = go_on(azure, work(azure), deferred, context())
    assert result["job_id"].endswith("-2")
    states = books(azure)
    assert states[(deferred.trigger.job_id, deferred.trigger.batch_task_id)] == ("active", None)
    assert states[(result["job_id"], result["batch_task_id"])] == ("completed", None)


# --- once in each life -----------------------------------------------------------------------------


@MODES
def test_a_try_after_a_failure_runs_it_again(azure, pauses, deferrable):
    azure.create(1)
    scenario(azure, {"task": "*-t1", "exit_code": 3})
    with pytest.raises(TaskFailedError):
        run(azure, work(azure), deferrable=deferrable, context=context(1))
    azure.pass_time(10)
    assert run(azure, work(azure), deferrable=deferrable, context=context(2))["exit_code"] == 0
    assert len(books(azure)) == 2


@MODES
def test_a_try_after_a_lost_worker_goes_on_with_what_runs(azure, pauses, deferrable):
    azure.create(1)
    scenario(azure, {"after": 120})
    left_alone(azure, work(azure))
    azure.pass_time(30)
    result = run(azure, work(azure), deferrable=deferrable, context=context(2))
    assert list(books(azure)) == [(result["job_id"], result["batch_task_id"])]
    assert result["batch_task_id"].endswith("-t1")


@MODES
def test_a_success_of_which_airflow_has_not_heard_is_taken(azure, pauses, deferrable):
    azure.create(1)
    left_alone(azure, work(azure))
    azure.pass_time(60)
    azure.emulator.requests.clear()
    task = work(azure, deferrable=deferrable)
    assert task.execute(context(2))["result"] == "succeeded", "at once, without a trigger"
    assert not [r for r in azure.emulator.requests if r.method == "POST" and "/tasks" in r.path]


@MODES
def test_a_task_that_was_cleared_runs_again(azure, pauses, deferrable):
    azure.create(1)
    run(azure, work(azure), deferrable=deferrable, context=context(1, 2))
    azure.pass_time(10)
    run(azure, work(azure), deferrable=deferrable, context=context(2, 3))
    assert len(books(azure)) == 2


@MODES
@pytest.mark.parametrize("state", ["running", "active"])
def test_of_a_task_that_was_cleared_the_old_one_is_ended_first(azure, pauses, deferrable, state):
    azure.create(1 if state == "running" else 0)
    scenario(azure, {"task": "*m2-t1", "exit_code": None})
    old = left_alone(azure, work(azure)).trigger
    azure.pass_time(30)
    if state == "active":
        give_a_node(azure)
    result = run(azure, work(azure), deferrable=deferrable, context=context(2, 3))
    states = books(azure)
    assert states[(old.job_id, old.batch_task_id)] == ("completed", "TaskEnded")
    assert states[(result["job_id"], result["batch_task_id"])] == ("completed", None)
    assert len(states) == 2
    sent = [
        r.path.partition("?")[0].rpartition("/")[2] for r in azure.emulator.requests if r.method == "POST"
    ]
    assert sent.index("terminate") < len(sent) - 1 - sent[::-1].index("tasks")


def test_a_run_that_was_made_again_under_its_id_does_not_take_old_results(azure, pauses):
    azure.create(1)
    run(azure, work(azure), deferrable=False, context=context())
    run(azure, work(azure), deferrable=False, context=context(started="2026-11-30"))
    assert len(books(azure)) == 2


LOST = {"action": "drop", "performed": True}
FAULTS = {
    "the answer to the task": {**LOST, "path": "*/tasks", "method": "POST", "skip": 1},
    "the answer to the job": {**LOST, "path": "/jobs", "method": "POST"},
    "the answer to the change of the job": {**LOST, "path": "/jobs/*", "method": "PATCH"},
    "the change of the job": {
        "action": "error",
        "status": 503,
        "path": "/jobs/*",
        "method": "PATCH",
        "count": 9,
    },
    "an outage": {"action": "error", "status": 503, "path": "/jobs*", "count": 12},
    "throttling": {"action": "throttle", "retry_after": 1, "path": "/jobs*", "count": 5},
}


@MODES
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_answer_is_lost_it_runs_once(azure, pauses, deferrable, fault):
    azure.create(2)
    azure.emulator.faults.add(read_fault(FAULTS[fault]))
    result = run(azure, work(azure), deferrable=deferrable, context=context())
    assert list(books(azure)) == [(result["job_id"], result["batch_task_id"])]


def test_a_job_that_nobody_told_to_end_is_told_so_later(azure, pauses):
    azure.create(1)
    scenario(azure, {"after": 600})
    azure.emulator.faults.add(
        read_fault({"action": "error", "status": 400, "path": "/jobs/*", "method": "PATCH"})
    )
    run(azure, work(azure), deferrable=False, context=context())
    azure.pass_time(10)
    (job,) = azure.emulator.account.jobs.all()
    assert job.moments[-1][1] == "completed"


# --- jobs -----------------------------------------------------------------------------


def test_mapped_tasks_share_a_job_and_none_is_anothers(azure, pauses):
    azure.create(2)
    scenario(azure, {"after": 60})
    waiting = [left_alone(azure, work(azure), map_index=index) for index in range(3)]
    assert len({deferred.trigger.job_id for deferred in waiting}) == 1
    assert len(live(azure)) == 3
    for index, deferred in enumerate(waiting):
        result = go_on(azure, work(azure), deferred, context(map_index=index))
        assert result["batch_task_id"].startswith(f"m0000{index}-")


def test_where_a_job_has_ended_there_is_another(azure, pauses):
    azure.create(1)
    first = run(azure, work(azure), deferrable=False, context=context(map_index=0))
    azure.pass_time(60)
    second = run(azure, work(azure), deferrable=False, context=context(map_index=1))
    assert (first["job_id"][-2:], second["job_id"][-2:]) == ("-1", "-2")
    azure.pass_time(60)
    third = run(azure, work(azure), deferrable=False, context=context(2, 3, map_index=0))
    assert third["job_id"].endswith("-3")


@pytest.mark.parametrize("given", [{}, {"command_line": None, "tasks": ["/bin/true", "/bin/true 1"]}])
def test_however_many_jobs_have_ended_the_next_task_finds_the_last(azure, pauses, given):
    """Tasks that end sooner than the next one is submitted leave a job each."""
    azure.create(2)
    for index in range(8):
        azure.emulator.requests.clear()
        told = run(azure, work(azure, **given), deferrable=False, context=context(map_index=index))
        assert told.get("job_id", told.get("job_ids", [""])[0]).endswith(f"-{index + 1}")
        sent = [request.path for request in azure.emulator.requests if request.method == "POST"]
        assert len(sent) <= 4, sent
        azure.pass_time(60)


def test_a_quota_of_jobs_is_waited_for(azure, monkeypatch):
    azure.create(1)
    azure.emulator.scenario = Scenario.load({"account": {"active_job_quota": 1}})
    with AzureBatchJobHook() as hook:
        hook.create_job("other", {"poolInfo": {"poolId": "p"}})
    made = []

    def pause(seconds):
        made.append(seconds)
        azure.pass_time(30)
        if len(made) == 3:
            azure.emulator.account.jobs.terminate("other")

    monkeypatch.setattr("airflow_batchext.operators._steps.work.time.sleep", pause)
    result = work(azure).execute(context())
    assert result["result"] == "succeeded"
    assert made[:3] == [5, 10, 20], "and asked for less and less often"


def test_a_job_of_ones_own_is_made_but_never_ended_nor_are_others_tasks(azure, pauses):
    azure.create(2)
    with AzureBatchJobHook() as hook:
        hook.create_job("mine", {"poolInfo": {"poolId": azure.pool_id}})
        hook.create_task("mine", "x-00000000m2-t1", {"commandLine": "/bin/true"})
    results = [
        run(azure, work(azure, job_id="mine"), deferrable=deferrable, context=context(task_id=name))
        for name, deferrable in (("a", False), ("b", True))
    ]
    assert len({result["batch_task_id"] for result in results}) == 2
    azure.pass_time(600)
    (job,) = azure.emulator.account.jobs.all()
    assert job.moments[-1][1] == "active"
    again = run(azure, work(azure, job_id="new"), deferrable=True, context=context())
    assert again["job_id"] == "new"


def test_a_job_of_ones_own_that_has_ended_is_told(azure):
    azure.create(1)
    with AzureBatchJobHook() as hook:
        hook.create_job("mine", {"poolInfo": {"poolId": azure.pool_id}})
        hook.terminate_job("mine", "enough")
    azure.pass_time(5)
    with pytest.raises(ConflictError, match="JobCompleted"):
        work(azure, job_id="mine").execute(context())


# --- killing -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["terminate", "leave"])
def test_who_is_ended_in_the_worker_ends_the_batch_task_and_never_succeeds(azure, pauses, monkeypatch, how):
    azure.create(1)
    scenario(azure, {"after": 60})
    task = work(azure, on_kill=how)

    def killed(seconds):
        azure.pass_time(600 if how == "leave" else 10)
        task.on_kill()  # Airflow calls it in the midst of whatever is done, which then goes on

    monkeypatch.setattr("airflow_batchext.operators._steps.work.time.sleep", killed)
    with pytest.raises(AirflowException, match="was ended while it ran"):
        task.execute(context())
    (outcome,) = books(azure).values()
    assert outcome == ("completed", "TaskEnded" if how == "terminate" else None)


def test_who_is_ended_while_it_submits_leaves_nothing_behind(azure, monkeypatch):
    azure.create(1)
    scenario(azure, {"exit_code": None})
    task = work(azure)
    create = AzureBatchJobHook.run

    def killed_meanwhile(self, call):
        result = create(self, call)
        if not task._steps._is_killed:
            task.on_kill()
        return result

    monkeypatch.setattr(AzureBatchJobHook, "run", killed_meanwhile)
    with pytest.raises(AirflowException, match="was ended while it ran"):
        task.execute(context())
    assert not live(azure)


# --- what is sent -----------------------------------------------------------------------------

INSTANCE = Instance("here", "d", "manual__2026-11-29T00:00:00+00:00", "t", "s", 3, 2, 4)


def body(**change):
    given = {
        "command_line": "/bin/true",
        "environment": {},
        "more": {},
        "instance": INSTANCE,
        "max_retries": 0,
        "seconds": 600.4,
        **change,
    }
    return task_document(**given)


def test_what_a_batch_task_is_given():
    sent = body(
        environment={"FRAME": 7, "KEY": "$KEY"},
        more={"requiredSlots": 2, "constraints": {"retentionTime": "P1D"}},
        max_retries=2,
    )
    assert sent["constraints"] == {
        "maxWallClockTime": "PT600S",
        "maxTaskRetryCount": 2,
        "retentionTime": "P1D",
    }
    assert (sent["commandLine"], sent["requiredSlots"]) == ("/bin/true", 2)
    assert {pair["name"]: pair["value"] for pair in sent["environmentSettings"]} == {
        "AIRFLOW_CTX_DAG_ID": "d",
        "AIRFLOW_CTX_RUN_ID": "manual__2026-11-29T00:00:00+00:00",
        "AIRFLOW_CTX_TASK_ID": "t",
        "AIRFLOW_CTX_MAP_INDEX": "3",
        "AIRFLOW_CTX_TRY_NUMBER": "2",
        "FRAME": "7",
        "KEY": "$KEY",
    }


def test_ones_own_limit_is_kept():
    assert (
        body(more={"constraints": {"maxWallClockTime": "PT1M"}})["constraints"]["maxWallClockTime"] == "PT1M"
    )
    assert body(seconds=-5)["constraints"]["maxWallClockTime"] == "PT60S"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"environment": {"DB_PASSWORD": "hunter2hunter2"}}, "environmentSettings"),
        ({"environment": {"URL": "https://u:hunter2hunter2@h/"}}, "environmentSettings"),
        ({"command_line": "run --password=hunter2hunter2"}, "commandLine"),
        (
            {
                "more": {
                    "resourceFiles": [
                        {"httpUrl": "https://a.blob.core.windows.net/c?sv=1&sig=hunter2hunter2%3D"}
                    ]
                }
            },
            "resourceFiles",
        ),
        ({"more": {"containerSettings": {"registry": {"password": "hunter2hunter2"}}}}, "password"),
        ({"more": {"environmentSettings": [{"name": "API_KEY", "value": "hunter2hunter2"}]}}, "environment"),
    ],
)
def test_a_secret_is_refused_and_not_quoted(change, place):
    with pytest.raises(ParameterError, match=place) as caught:
        body(**change)
    assert "hunter2" not in str(caught.value)


def test_what_is_refused_is_shown_nowhere_before(azure):
    file = {"httpUrl": "https://a.blob.core.windows.net/c?sv=1&sig=hunter2hunter2%3D"}
    task = work(
        azure,
        environment={"DB_PASSWORD": "hunter2hunter2", "A": "1"},
        task_document={"resourceFiles": [file]},
    )
    assert "hunter2" not in f"{task.environment}{task.task_document}"
    assert task.environment["A"] == "1"
    with pytest.raises(ParameterError) as caught:
        task.execute(context())
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"environment": {"DB_PASSWORD": "$AZ_BATCH_X"}},
        {"more": {"authenticationTokenSettings": {"access": ["job"]}}},
        {"command_line": "/bin/sh -c 'echo token | sort'"},
    ],
)
def test_what_is_no_secret_is_sent(change):
    assert body(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"more": {"id": "x"}},
        {"more": {"commandLine": "x"}},
        {"more": {"environmentSettings": "x"}},
        {"environment": {"A": ["x"]}},
        {"environment": {"A": None}},
        {"environment": {"": "x"}},
    ],
)
def test_what_cannot_be_used_is_refused(change):
    with pytest.raises(ParameterError, match=r"task_document|environment"):
        body(**change)
