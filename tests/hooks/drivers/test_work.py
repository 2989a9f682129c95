"""Submitting work: an answer that is lost, and what becomes of the job before the request is sent again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_batchext.emulator import Scenario
from airflow_batchext.exceptions import ConflictError
from airflow_batchext.hooks._drivers.work import Placed, Work, submit
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.transport.flows import drive

LIFE = "0123abcdm2"
TASK = {"commandLine": "true"}


def submitted(azure, work, *, is_performed):
    """What comes of a submission whose first POST is answered by a job that has ended."""
    with AzureBatchJobHook() as hook:

        def answer(request):
            nonlocal is_performed
            if request.method == "POST" and request.url.endswith("/tasks"):
                if is_performed:
                    hook.run(request)  # this answer is lost
                    is_performed = False
                azure.pass_time(600)
            return hook.run(request)

        return drive(submit(work, is_first=True), answer)


@pytest.fixture
def work(azure):
    """A job with a task of somebody else's map index, which ends with the last of its tasks."""
    azure.emulator.scenario = Scenario.load({"tasks": [{"after": 60}]})
    azure.create(2)
    work = Work("b", "x", LIFE, f"x-{LIFE}-t1", TASK, {"poolInfo": {"poolId": azure.pool_id}})
    with AzureBatchJobHook() as hook:
        hook.create_job("b-1", work.job)
        hook.create_task("b-1", "y-0123abcdm2-t1", TASK)
        hook.end_job_with_its_tasks("b-1")
    return work


def ran(azure, task_id):
    jobs = azure.emulator.account.jobs.all()
    return [job.id for job in jobs for task in job.tasks.values() if task.id == task_id]


def test_what_ran_meanwhile_is_not_submitted_again(azure, work):
    placed = submitted(azure, work, is_performed=True)
    assert placed == Placed("b-1", work.attempt_id, "attached")
    assert ran(azure, work.attempt_id) == ["b-1"]


def test_what_was_never_added_goes_into_the_next_job(azure, work):
    placed = submitted(azure, work, is_performed=False)
    assert placed == Placed("b-2", work.attempt_id, "submitted")
    assert ran(azure, work.attempt_id) == ["b-2"]


def test_a_job_of_the_users_own_is_asked_too(azure, work):
    own = replace(work, base="b-1", is_users=True)
    assert submitted(azure, own, is_performed=True) == Placed("b-1", work.attempt_id, "attached")


def test_a_job_of_the_users_own_that_has_ended_is_an_error(azure, work):
    with pytest.raises(ConflictError):
        submitted(azure, replace(work, base="b-1", is_users=True), is_performed=False)
