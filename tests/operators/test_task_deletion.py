"""What is left of Batch tasks that have ended: ``on_finish``, on the emulator."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.exceptions import (
    TaskFailedError,
    TaskNotStartedError,
    TaskResultError,
    TaskTimeoutError,
)
from airflow_batchext.hooks._base import BatchHook
from airflow_batchext.operators._steps import task_deletion as steps
from tests.operators.conftest import run
from tests.operators.test_task import MODES, books, context, left_alone, scenario, work

pytestmark = pytest.mark.usefixtures("signed_in")

KINDS = pytest.mark.parametrize(
    "make", [work, lambda azure, **kwargs: many(azure, **kwargs)], ids=["one", "many"]
)
_BOUNDS = (9999, 600), (30, 60)
CORNERS = pytest.mark.parametrize(
    ("deferrable", "make"),
    [
        (False, lambda azure, **kwargs: many(azure, **kwargs)),
        (True, work),
        pytest.param(False, work, marks=pytest.mark.slow),
        pytest.param(True, lambda azure, **kwargs: many(azure, **kwargs), marks=pytest.mark.slow),
    ],
)
WISHES = pytest.mark.parametrize("wish", ["keep", "delete_succeeded", "delete"])


def many(azure, count=4, **kwargs):
    return work(azure, command_line=None, tasks=["/bin/true"] * count, **kwargs)


def deletions(azure):
    return [r for r in azure.emulator.requests if r.method == "DELETE"]


@MODES
@WISHES
def test_a_success_is_deleted_after_its_output_and_result_were_read(azure, pauses, caplog, deferrable, wish):
    azure.create(1)
    scenario(azure, {"stdout": "so far\n42\n"})
    told = run(azure, work(azure, on_finish=wish, result="json"), deferrable=deferrable, context=context())
    assert (told["value"], told["result"]) == (42, "succeeded")
    assert bool(books(azure)) is (wish == "keep")
    last = [r.method for r in azure.emulator.requests][-1]
    assert (last == "DELETE") is (wish != "keep"), "nothing is asked of it any more"


@MODES
@WISHES
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, TaskFailedError),
        ({"skip_on_exit_code": 3}, AirflowSkipException),
        ({"soft_fail": True}, AirflowSkipException),
    ],
)
def test_a_failure_is_deleted_where_all_are(azure, pauses, deferrable, wish, options, error):
    azure.create(1)
    scenario(azure, {"exit_code": 3})
    told = context()
    with pytest.raises(error, match="exit code 3"):
        run(azure, work(azure, on_finish=wish, **options), deferrable=deferrable, context=told)
    assert bool(books(azure)) is (wish != "delete")
    assert told["ti"].pushed["batch_task"]["exit_code"] == 3


@MODES
@WISHES
def test_a_try_after_it_runs_the_work_anew(azure, pauses, deferrable, wish):
    azure.create(1)
    scenario(azure, {"task": "*-t1", "exit_code": 3})
    with pytest.raises(TaskFailedError):
        run(azure, work(azure, on_finish=wish), deferrable=deferrable, context=context(1))
    azure.pass_time(10)
    told = run(azure, work(azure, on_finish=wish), deferrable=deferrable, context=context(2))
    assert told["batch_task_id"].endswith("-t2")
    assert len(books(azure)) == {"keep": 2, "delete_succeeded": 1, "delete": 0}[wish]


@WISHES
def test_what_was_ended_at_its_deadline_is_deleted_where_all_are(azure, wish):
    azure.create(0)
    with pytest.raises(TaskTimeoutError):
        run(azure, work(azure, on_finish=wish, timeout=0.3), deferrable=True, context=context())
    assert bool(books(azure)) is (wish != "delete")


def test_a_result_that_could_not_be_read_is_kept_for_the_next_try(azure, pauses):
    azure.create(1)
    with pytest.raises(TaskResultError):
        run(azure, work(azure, on_finish="delete", result="wd/no.json"), deferrable=False, context=context())
    assert books(azure)


def test_a_success_that_an_earlier_try_has_left_is_deleted_too(azure, pauses):
    azure.create(1)
    left_alone(azure, work(azure))
    azure.pass_time(60)
    told = run(azure, work(azure, on_finish="delete_succeeded"), deferrable=False, context=context(2))
    assert told["batch_task_id"].endswith("-t1")
    assert not books(azure)


FAULTS = {
    "its answer is lost": ({"action": "drop", "performed": True, "count": 1}, False),
    "it is not performed": ({"action": "drop", "performed": False, "count": 1}, False),
    "it is throttled": ({"action": "throttle", "retry_after": 0, "count": 1}, False),
    "it is not there": ({"action": "error", "status": 404, "code": "TaskNotFound", "count": 1}, False),
    "it is refused": ({"action": "error", "status": 403, "code": "AuthorizationFailure", "count": 99}, True),
    "there is an outage": ({"action": "error", "status": 503, "count": 99}, True),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_deletion_that_goes_wrong_changes_no_result(azure, pauses, capfd, what):
    azure.create(1)
    fault, warns = FAULTS[what]
    azure.emulator.faults.add(read_fault({**fault, "path": "/jobs/*/tasks/*", "method": "DELETE"}))
    assert (
        run(azure, work(azure, on_finish="delete"), deferrable=False, context=context())["result"]
        == "succeeded"
    )
    assert ("some are kept" in capfd.readouterr().out) is warns


# --- many in one -----------------------------------------------------------------------------


@MODES
@WISHES
def test_of_many_all_go_when_the_whole_has_succeeded(azure, pauses, deferrable, wish):
    azure.create(4)
    scenario(azure, {"task": "x-n00002-*", "exit_code": 3})
    told = run(azure, many(azure, on_finish=wish, max_failed=1), deferrable=deferrable, context=context())
    assert (told["succeeded"], told["failed"]) == (3, 1)
    assert len(books(azure)) == {"keep": 4, "delete_succeeded": 1, "delete": 0}[wish]


@MODES
@pytest.mark.parametrize("wish", ["delete_succeeded", "delete"])
def test_of_many_none_goes_while_a_try_may_come_that_has_to_know_which_did(azure, pauses, deferrable, wish):
    azure.create(4)
    scenario(azure, {"task": "x-n00002-*-t1", "exit_code": 3})
    with pytest.raises(TaskFailedError):
        run(azure, many(azure, on_finish=wish), deferrable=deferrable, context=context(1))
    assert not deletions(azure)
    azure.pass_time(10)
    told = run(azure, many(azure, on_finish=wish), deferrable=deferrable, context=context(2))
    assert told["succeeded"] == 4
    gone = {r.path.partition("?")[0].rpartition("/")[2] for r in deletions(azure)}
    assert {(name[:8], name[-3:]) for name in gone} == {
        *((f"x-n0000{number}", "-t1") for number in (0, 1, 3)),
        ("x-n00002", "-t2"),
        *([("x-n00002", "-t1")] if wish == "delete" else []),
    }, "that one alone has run twice"
    left = [name[-3:] for _, name in books(azure)]
    assert left == ([] if wish == "delete" else ["-t1"]), "the failure of the first try, too"


@pytest.mark.parametrize(
    ("number", "options", "error"),
    [
        (3, {}, TaskFailedError),
        (1, {"fail_on_exit_code": 3}, AirflowFailException),
        (1, {"soft_fail": True}, AirflowSkipException),
        (1, {"skip_on_exit_code": 3}, AirflowSkipException),
    ],
)
@pytest.mark.parametrize("wish", ["delete_succeeded", "delete"])
def test_of_many_they_go_when_no_try_comes_any_more(azure, pauses, number, options, error, wish):
    azure.create(4)
    good = "x-n00000-*" if "skip_on_exit_code" not in options else "nothing"
    scenario(azure, {"task": good}, {"exit_code": 3})
    with pytest.raises(error):
        run(azure, many(azure, on_finish=wish, **options), deferrable=False, context=context(number))
    kept = 4 if good == "nothing" else 3
    assert len(books(azure)) == (0 if wish == "delete" else kept)


def test_a_hundred_are_deleted_each_once(azure, pauses):
    azure.create(20)
    run(azure, many(azure, 100, on_finish="delete"), deferrable=False, context=context())
    assert len({r.path for r in deletions(azure)}) == len(deletions(azure)) == 100
    assert not books(azure)


@pytest.mark.parametrize(
    ("deferrable", "number", "options", "wish", "goes"),
    [
        (True, 3, {}, "delete", True),
        (False, 3, {}, "delete_succeeded", False),
        (False, 1, {"soft_fail": True}, "delete", True),
        (True, 1, {}, "delete", False),
    ],
)
def test_of_many_those_ended_at_the_deadline_go_when_no_try_comes_any_more(
    azure, deferrable, number, options, wish, goes
):
    azure.create(0)
    task = many(azure, on_finish=wish, timeout=0.3, **options)
    task.poll_interval = 0.05
    with pytest.raises((TaskTimeoutError, AirflowSkipException)):
        run(azure, task, deferrable=deferrable, context=context(number))
    assert bool(books(azure)) is not goes


@CORNERS
def test_what_was_given_no_node_and_was_ended_is_deleted_where_all_are(azure, deferrable, make):
    azure.create(0)
    task = make(azure, on_finish="delete", start_timeout=0.2)
    task.poll_interval = 0.05
    with pytest.raises(TaskNotStartedError):
        run(azure, task, deferrable=deferrable, context=context(3))
    assert not books(azure)


@KINDS
@pytest.mark.parametrize("number", [3, pytest.param(2, marks=pytest.mark.slow)])
def test_what_tries_have_left_whose_workers_were_lost_is_deleted_too(azure, pauses, make, number):
    """The first has failed, and nobody has heard of it; then the task was perhaps cleared."""
    azure.create(2)
    scenario(azure, {"task": "*-t1", "exit_code": 3})
    left_alone(azure, make(azure))
    azure.pass_time(200)
    task = make(azure, on_finish="delete")
    run(azure, task, deferrable=False, context=context(number, max_tries=number))
    assert not books(azure)


@CORNERS
@pytest.mark.parametrize(
    ("seconds", "longest"), [(200, 200), *(pytest.param(*each, marks=pytest.mark.slow) for each in _BOUNDS)]
)
def test_a_deletion_that_takes_too_long_changes_no_result(
    azure, pauses, monkeypatch, deferrable, make, seconds, longest
):
    """Airflow's alarm strikes in the middle of it, or the deadline is near: a success stays one."""
    azure.create(2)
    task = make(azure, on_finish="delete", execution_timeout=timedelta(seconds=seconds), timeout=9999)
    bounds = []
    within = steps.within
    monkeypatch.setattr(steps, "within", lambda seconds: bounds.append(seconds) or within(seconds))
    send = BatchHook._send

    def slow(hook, request):
        if request.method == "DELETE":
            raise AirflowTaskTimeout("its time is up")
        return send(hook, request)

    monkeypatch.setattr(BatchHook, "_send", slow)
    told = run(azure, task, deferrable=deferrable, context=context())
    assert told.get("succeeded", 4) == told.get("tasks", 4)
    assert longest - 5 < bounds[-1] <= longest
