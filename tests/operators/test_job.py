"""Jobs for several operators, on the emulator: made once, used until they end, ended for certain."""

from __future__ import annotations

import pytest

from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.exceptions import ConflictError, ParameterError, TaskFailedError, UnavailableError
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.node_checks import certificate_check
from airflow_batchext.operators.job import AzureBatchCreateJobOperator, AzureBatchEndJobOperator
from airflow_batchext.operators.task import AzureBatchTaskOperator
from tests.operators.conftest import go_on, run
from tests.operators.test_task import MODES, context, left_alone, live

pytestmark = pytest.mark.usefixtures("signed_in")

PREFIX = "render-0123456789abcdef"


def create(azure, **kwargs):
    given = {"pool_id": azure.pool_id, "prefix": PREFIX, **kwargs}
    return AzureBatchCreateJobOperator(task_id="create", **given).execute({})


def end(**kwargs):
    return AzureBatchEndJobOperator(task_id="end", **(kwargs or {"prefix": PREFIX})).execute({})


def states(azure):
    return {job.id: job.moments[-1][1] for job in azure.emulator.account.jobs.all()}


def work(azure, job_id, name="work", **kwargs):
    given = {"command_line": "/bin/true", "poll_interval": 5, "timeout": 3600, **kwargs}
    return AzureBatchTaskOperator(task_id=name, pool_id=azure.pool_id, job_id=job_id, **given)


def fault(azure, **rule):
    azure.emulator.faults.add(read_fault(rule))


# --- one after the other -----------------------------------------------------------------------------


def test_it_is_made_as_the_document_asks_and_used_by_every_try(azure):
    azure.create(1)
    document = {"priority": 100, "metadata": [{"name": "team", "value": "a"}]}
    told = create(azure, job_document=document)
    assert told == {"pool_id": azure.pool_id, "job_id": f"{PREFIX}-1"}
    assert create(azure, job_document=document) == told
    assert list(states(azure)) == [f"{PREFIX}-1"]
    with AzureBatchJobHook() as hook:
        job = hook.get_job(f"{PREFIX}-1")
    assert (job["priority"], job["poolInfo"]["poolId"]) == (100, azure.pool_id)
    assert job["onAllTasksComplete"] == "noaction"
    assert job["constraints"]["maxWallClockTime"] == "P7D", "should its end never come"
    assert [each["name"] for each in job["metadata"]] == ["madeBy", "team"]


@pytest.mark.parametrize("limits", [{"maxWallClockTime": "PT8H"}, {"maxTaskRetryCount": 2}])
def test_the_documents_own_limits_win(azure, limits):
    create(azure, job_document={"constraints": limits})
    with AzureBatchJobHook() as hook:
        kept = hook.get_job(f"{PREFIX}-1")["constraints"]
    assert kept.items() >= {"maxWallClockTime": "P7D", **limits}.items()


def test_its_preparation_task_may_be_a_check_of_nodes(azure):
    check = certificate_check("https://myvault.vault.azure.net/secrets/web")
    create(azure, job_document={"jobPreparationTask": check})
    with AzureBatchJobHook() as hook:
        kept = hook.get_job(f"{PREFIX}-1")["jobPreparationTask"]
    assert kept["commandLine"] == check["commandLine"]


def test_after_its_end_it_is_the_next_one(azure):
    for number in (1, 2, 3):
        assert create(azure)["job_id"] == f"{PREFIX}-{number}"
        assert end() == {"job_ids": [f"{PREFIX}-{number}"]}
        azure.pass_time(0 if number == 1 else 60)  # also while it is being ended
    azure.pass_time(60)
    assert set(states(azure).values()) == {"completed"}
    assert end() == {"job_ids": []}


def test_of_others_it_takes_no_notice(azure):
    others = [f"{PREFIX}0-1", f"{PREFIX}-x", f"{PREFIX}-1-1", "other"]
    with AzureBatchJobHook() as hook:
        for job_id in others:
            hook.create_job(job_id, {"poolInfo": {"poolId": azure.pool_id}})
    assert create(azure)["job_id"] == f"{PREFIX}-1"
    end()
    azure.pass_time(60)
    assert {job_id for job_id, state in states(azure).items() if state == "active"} == set(others)


def test_one_of_the_prefix_on_another_pool_is_not_used(azure):
    create(azure)
    with pytest.raises(ConflictError, match=rf"{PREFIX}-1 is there already, but on pool {azure.pool_id}"):
        create(azure, pool_id="another")


@pytest.mark.parametrize("given", [{"job_id": "mine"}, {"job_id": "MINE", "prefix": PREFIX}])
def test_a_job_of_any_name_is_ended(azure, given):
    with AzureBatchJobHook() as hook:
        hook.create_job("mine", {"poolInfo": {"poolId": azure.pool_id}})
    create(azure)
    assert len(end(**given)["job_ids"]) == len(given)
    azure.pass_time(60)
    assert end(**given) == {"job_ids": []}


def test_what_is_not_there_is_a_success(azure):
    assert end(job_id="gone") == end(prefix="gone") == {"job_ids": []}


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("performed", [True, False])
@pytest.mark.parametrize("count", [1, 2])
def test_an_answer_that_is_lost_makes_no_second_job(azure, pauses, performed, count):
    fault(azure, action="drop", performed=performed, path="/jobs", method="POST", count=count)
    assert create(azure)["job_id"] == f"{PREFIX}-1"
    fault(azure, action="drop", performed=performed, path="/jobs/*/terminate", method="POST", count=count)
    end()
    azure.pass_time(60)
    assert states(azure) == {f"{PREFIX}-1": "completed"}


def test_a_list_that_does_not_show_it_yet_makes_no_second_job_and_leaves_none(azure):
    create(azure)
    fault(azure, action="edit", at="value", value=[], path="/jobs", method="GET", count=2)
    assert create(azure)["job_id"] == f"{PREFIX}-1"
    assert end(job_id=f"{PREFIX}-1", prefix=PREFIX) == {"job_ids": [f"{PREFIX}-1"]}


def unlisted(azure, count=1):
    fault(azure, action="edit", at="value", value=[], path="/jobs", method="GET", count=count)


@pytest.mark.parametrize("state", ["completed", "JobCompleted", "JobBeingTerminated", "JobBeingDeleted"])
def test_one_that_has_ended_and_that_no_list_shows_is_passed_over(azure, state):
    create(azure)
    if state == "completed":
        end()
        azure.pass_time(60)
    else:
        fault(azure, action="error", status=409, code=state, path="/jobs", method="POST")
    unlisted(azure)
    assert create(azure)["job_id"] == f"{PREFIX}-2"
    assert states(azure)[f"{PREFIX}-2"] == "active"


def test_one_that_is_gone_before_it_is_looked_at_is_passed_over(azure):
    fault(azure, action="error", status=409, code="JobExists", path="/jobs", method="POST")
    assert create(azure)["job_id"] == f"{PREFIX}-2"


def test_where_every_number_is_taken_it_says_so(azure):
    fault(azure, action="error", status=409, code="JobExists", path="/jobs", method="POST", count=99)
    with pytest.raises(ConflictError, match=rf"Could not make a job: {PREFIX}-50 and 49 before it are there"):
        create(azure)
    assert states(azure) == {}


@pytest.mark.parametrize(
    ("code", "fails"), [("JobCompleted", False), ("JobBeingDeleted", False), ("Odd", True)]
)
def test_an_end_in_conflict_is_one_if_it_has_ended(azure, code, fails):
    create(azure)
    fault(azure, action="error", status=409, code=code, path="/jobs/*/terminate", method="POST")
    if fails:
        with pytest.raises(ConflictError, match=code):
            end()
    else:
        assert end() == {"job_ids": []}


def test_too_many_active_jobs_fail_it_and_it_says_so(azure):
    azure.emulator.scenario = Scenario.load({"account": {"active_job_quota": 1}})
    with AzureBatchJobHook() as hook:
        hook.create_job("other", {"poolInfo": {"poolId": azure.pool_id}})
    with pytest.raises(ConflictError, match="ActiveJobAndScheduleQuotaReached"):
        create(azure)
    azure.emulator.scenario = Scenario()
    assert create(azure)["job_id"] == f"{PREFIX}-1"


def test_an_end_that_azure_refuses_fails(azure, pauses):
    create(azure)
    fault(azure, action="error", status=503, path="/jobs/*/terminate", method="POST", count=99)
    with pytest.raises(UnavailableError):
        end()
    assert len(pauses) >= 3


SECRET = "sv=2020-08-04&sig=aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGU%3D"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"id": "x"}, "prefix"),
        ({"poolInfo": {"poolId": "x"}}, "pool_id"),
        ({"onAllTasksComplete": "terminatejob"}, "when it is told to"),
        ({"commonEnvironmentSettings": [{"name": "A", "value": f"https://a.example/b?{SECRET}"}]}, "secret"),
        ({"jobPreparationTask": {"commandLine": "x", "password": "hunter2-hunter2"}}, "secret"),
        ({"constraints": "P1D"}, "constraints of job_document"),
        ({"metadata": "x"}, "metadata of job_document"),
    ],
)
def test_what_a_document_must_not_have_is_refused_before_anything_is_sent(azure, document, said):
    azure.emulator.requests.clear()
    with pytest.raises(ParameterError, match=said) as refusal:
        create(azure, job_document=document)
    assert "hunter2" not in str(refusal.value)
    assert "sig=" not in str(refusal.value)
    assert not azure.emulator.requests


@pytest.mark.parametrize("prefix", ["", "x" * 58, "a b", "ä", None])
def test_a_prefix_that_makes_no_id_is_refused(azure, prefix):
    with pytest.raises(ParameterError, match="prefix"):
        create(azure, prefix=prefix)
    assert create(azure, prefix="x" * 57)["job_id"] == f"{'x' * 57}-1"


def test_nothing_to_end_is_refused_also_when_a_template_comes_to_nothing(azure):
    with pytest.raises(ParameterError, match="Give job_id or prefix"):
        AzureBatchEndJobOperator(task_id="end")
    rendered = AzureBatchEndJobOperator(task_id="end", job_id="{{ none }}")
    rendered.job_id = None
    with pytest.raises(ParameterError, match="Give job_id or prefix"):
        rendered.execute({})


# --- with work in it -----------------------------------------------------------------------------


@MODES
def test_two_operators_share_it_and_neither_ends_the_other(azure, pauses, deferrable):
    azure.create(2)
    azure.emulator.scenario = Scenario.load({"tasks": [{"after": 30}]})
    job_id = create(azure)["job_id"]
    first = run(azure, work(azure, job_id, "a"), deferrable=deferrable, context=context(task_id="a"))
    azure.pass_time(600)
    assert states(azure) == {job_id: "active"}
    second = run(azure, work(azure, job_id, "b"), deferrable=deferrable, context=context(task_id="b"))
    assert first["job_id"] == second["job_id"] == job_id
    assert first["batch_task_id"] != second["batch_task_id"]
    end(job_id=job_id, prefix=PREFIX)
    azure.pass_time(60)
    assert states(azure) == {job_id: "completed"}


@MODES
def test_a_try_after_a_failure_runs_again_in_it(azure, pauses, deferrable):
    azure.create(1)
    azure.emulator.scenario = Scenario.load({"tasks": [{"task": "*-t1", "exit_code": 3}]})
    job_id = create(azure)["job_id"]
    with pytest.raises(TaskFailedError):
        run(azure, work(azure, job_id), deferrable=deferrable, context=context(1))
    result = run(azure, work(azure, job_id), deferrable=deferrable, context=context(2))
    assert (result["job_id"], result["batch_task_id"][-3:]) == (job_id, "-t2")


@MODES
def test_a_clear_while_it_runs_goes_on_in_it_and_one_after_its_end_in_the_next(azure, pauses, deferrable):
    azure.create(1)
    azure.emulator.scenario = Scenario.load({"tasks": [{"task": "*m2-t1", "exit_code": None}]})
    job_id = create(azure)["job_id"]
    left_alone(azure, work(azure, job_id))
    assert create(azure)["job_id"] == job_id, "cleared with the task"
    result = run(azure, work(azure, job_id), deferrable=deferrable, context=context(2, 3))
    assert result["job_id"] == job_id
    assert not live(azure), "the old one was ended first"
    end()
    azure.pass_time(60)
    job_id = create(azure)["job_id"]
    result = run(azure, work(azure, job_id), deferrable=deferrable, context=context(3, 4))
    assert result["job_id"] == f"{PREFIX}-2"


def test_its_end_ends_what_still_runs_and_leaves_nothing_active(azure, pauses):
    azure.create(1)
    azure.emulator.scenario = Scenario.load({"tasks": [{"exit_code": None}]})
    job_id = create(azure)["job_id"]
    deferred = left_alone(azure, work(azure, job_id))
    azure.pass_time(60)
    end(job_id=job_id)
    with pytest.raises(TaskFailedError, match="TaskEnded"):
        go_on(azure, work(azure, job_id), deferred, context())
    assert (live(azure), states(azure)) == ([], {job_id: "completed"})


def test_a_try_whose_job_somebody_has_ended_says_so_and_makes_nothing(azure, pauses):
    azure.create(1)
    job_id = create(azure)["job_id"]
    azure.emulator.account.jobs.terminate(job_id, "UserTerminate")
    azure.pass_time(60)
    with pytest.raises(ConflictError, match=rf"to job {job_id}.*JobCompleted"):
        run(azure, work(azure, job_id), deferrable=False, context=context(2))
    assert list(states(azure)) == [job_id]


@MODES
def test_many_in_one_operator_share_it_too(azure, pauses, deferrable):
    azure.create(2)
    azure.emulator.scenario = Scenario.load({"tasks": [{"after": 30}]})
    job_id = create(azure)["job_id"]
    many = work(azure, job_id, "many", command_line=None, tasks=["/bin/true"] * 5)
    told = run(azure, many, deferrable=deferrable, context=context(task_id="many"))
    assert (told["job_ids"], told["succeeded"]) == ([job_id], 5)
    assert states(azure) == {job_id: "active"}
