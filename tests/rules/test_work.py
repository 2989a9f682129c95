"""What to do with earlier attempts, and what a look at the present one means."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.work import JobSeen, TaskSeen, read_task
from airflow_batchext.rules.work import (
    Stage,
    Standing,
    TasksSeen,
    attempts_of,
    choose,
    has_started,
    has_succeeded,
    standing,
    stands,
)

OPEN, OVER = JobSeen("j-1", "active"), JobSeen("j-0", "completed", "UserTerminate")
OURS, OLD = "00m2", "00m1"


def task(life=OURS, number=1, state="running", **more):
    return TaskSeen(f"x-{life}-t{number}", state, **more)


def done(life=OURS, number=1, exit_code=0):
    result = "failure" if exit_code else "success"
    return task(life, number, "completed", result=result, exit_code=exit_code)


def choice(*tasks, job=OPEN):
    return choose(OURS, attempts_of("x", job, tasks))


def named(attempts):
    return [attempt.task.id for attempt in attempts]


def test_what_runs_is_gone_on_with():
    found = choice(done(number=1, exit_code=3), task(number=2))
    assert (found.to_end, found.attempt.task.id) == ((), "x-00m2-t2")


@pytest.mark.parametrize("state", ["active", "preparing", "running", ""])
def test_what_runs_of_another_life_is_ended_first(state):
    found = choice(task(OLD, 1, state), done(number=2))
    assert named(found.to_end) == ["x-00m1-t1"]


def test_of_two_that_run_the_older_is_ended():
    found = choice(task(number=9), task(number=10))
    assert (named(found.to_end), found.attempt.task.id) == (["x-00m2-t9"], "x-00m2-t10")


def test_a_success_of_this_life_is_taken_and_no_other():
    assert choice(done(number=2)).attempt.task.id == "x-00m2-t2"
    assert choice(done(OLD, 1)).attempt is None
    assert choice(done(number=1, exit_code=1)).attempt is None
    assert choice(done(number=1), done(number=2, exit_code=1)).attempt is None, "the newest counts"
    assert choice().attempt is None


def test_what_will_never_run_counts_as_if_it_were_not_there():
    for state in ("terminating", "completed", "deleting"):
        found = choice(task(state="active"), task(OLD, 1, "active"), job=JobSeen("j-0", state))
        assert (found.to_end, found.attempt) == ((), None)


def test_tasks_of_others_are_not_looked_at():
    others = [TaskSeen("m00001-00m2-t1", "running"), TaskSeen("mine", "running"), TaskSeen("", "running")]
    assert attempts_of("x", OPEN, others) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from([OURS, OLD, "11m2"]),
            st.integers(1, 4),
            st.sampled_from(["active", "preparing", "running", "completed"]),
            st.sampled_from([0, 1]),
        ),
        max_size=6,
        unique_by=lambda one: one[:2],
    )
)
def test_never_do_two_live_at_once(world):
    """Whatever is there: what is submitted is alone, and so is what is gone on with."""
    tasks = [
        done(life, number, code) if state == "completed" else task(life, number, state)
        for life, number, state, code in world
    ]
    live = {one.id for one in tasks if not one.is_completed}
    found = choice(*tasks)
    left = live - set(named(found.to_end))
    if found.attempt is None:
        assert not left
    else:
        assert left <= {found.attempt.task.id}
        assert found.attempt.told.life == OURS
        assert not found.attempt.task.is_completed or has_succeeded(found.attempt.task)


# --- looks -----------------------------------------------------------------------------


def test_success_is_what_azure_calls_so_and_nothing_else():
    assert standing(done(), OPEN).stage is Stage.SUCCEEDED
    lies = [
        task(state="completed"),
        task(state="completed", exit_code=0),
        task(state="completed", result="success", exit_code=1),
        task(state="completed", result="success", exit_code=0, failure="servererror: FileUploadMiscError"),
        task(state="completed", result="failure", exit_code=0),
    ]
    assert {standing(lie, OPEN).stage for lie in lies} == {Stage.FAILED}
    others = [task(state=state, result="success", exit_code=0) for state in ("running", "active", "", "odd")]
    assert {standing(other, OPEN).stage for other in others} == {Stage.WAITING}


def test_a_failure_says_with_what_why_and_where():
    body = {
        "id": "x",
        "state": "Completed",
        "executionInfo": {
            "result": "Failure",
            "exitCode": 3,
            "failureInfo": {
                "category": "UserError",
                "code": "FailureExitCode",
                "message": "m",
                "details": [{"name": "Message", "value": "v"}],
            },
        },
        "nodeInfo": {"nodeId": "tvm-1"},
    }
    text = standing(read_task(body), OPEN).text
    assert text == "exit code 3, usererror: FailureExitCode: m: Message v, on node tvm-1"
    ended = standing(task(state="completed", result="failure"), OVER).text
    assert ended == "without a word of why, its job ended for UserTerminate"


def test_a_task_in_a_job_that_is_over_does_not_wait_for_ever():
    assert standing(task(state="active"), OVER).stage is Stage.FAILED, "somebody wanted it to end"
    assert standing(task(state="active"), JobSeen("j", "completed")).stage is Stage.FAILED
    by_itself = JobSeen("j", "completed", "AllTasksCompleted")
    assert standing(task(state="active"), by_itself).stage is Stage.STRANDED
    assert standing(task(state="active"), JobSeen("j", "terminating")).stage is Stage.WAITING
    assert standing(task(state="running"), OVER).stage is Stage.WAITING, "Batch is about to end it"
    assert standing(None, OPEN).stage is Stage.LOST


def test_what_passes_is_waited_through_and_what_does_not_is_told():
    assert stands("a", TasksSeen(problem="503")).stage is Stage.WAITING
    assert stands("a", TasksSeen(refused="401")).stage is Stage.REFUSED
    assert stands("a", TasksSeen()).stage is Stage.LOST
    gone = "pool p does not exist any more"
    waits, runs = (TasksSeen({"a": TaskSeen("a", state)}, is_gone=gone) for state in ("active", "running"))
    assert (stands("a", waits).stage, stands("a", waits).text) == (Stage.LOST, gone)
    assert stands("a", runs).stage is Stage.WAITING
    assert stands("a", TasksSeen({"a": done()}, is_gone=gone)).stage is Stage.SUCCEEDED


def test_while_it_waits_it_says_why_and_where_nothing_will_start_it_is_over():
    waits, prepares, runs = (TaskSeen("a", state) for state in ("active", "preparing", "running"))
    for seen in (waits, prepares):
        look = TasksSeen({"a": seen}, OPEN, why="no nodes")
        assert stands("a", look) == Standing(Stage.WAITING, f"it is {seen.state}; no nodes", seen)
    assert stands("a", TasksSeen({"a": runs}, OPEN, why="no nodes")).text == "it is running"
    final = {
        seen: TasksSeen({"a": seen}, OPEN, why="none", is_final=True) for seen in (waits, prepares, runs)
    }
    assert stands("a", final[waits]) == Standing(Stage.UNSTARTED, "it is active; none", waits)
    assert {stands("a", final[one]).stage for one in (prepares, runs)} == {Stage.WAITING}
    assert stands("a", TasksSeen({"a": done()}, OVER, why="none", is_final=True)).stage is Stage.SUCCEEDED
    assert stands("a", TasksSeen({"a": waits}).after(final[waits])).stage is Stage.WAITING, "not seen now"


def test_what_has_run_once_has_started():
    assert not any(map(has_started, [None, TaskSeen("a", "active"), TaskSeen("a", "preparing")]))
    has_run = TaskSeen("a", "active", started="2026-01-01T00:00:00Z"), TaskSeen("a", "active", retries=1)
    assert all(
        map(has_started, [TaskSeen("a", "running"), done(), TaskSeen("a", "active", requeues=1), *has_run])
    )


def test_a_look_that_is_not_whole_knows_what_a_whole_one_has_seen():
    last = TasksSeen({}, OPEN, why="no nodes")
    assert TasksSeen({}).after(last) == last
    assert TasksSeen({}, OVER).after(last).job is OVER
    assert TasksSeen({}).after(None) == TasksSeen({})


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_a_list_says_nothing(order):
    tasks = [done(number=1, exit_code=1), task(number=2), task(OLD, 1)]
    found = choice(*(tasks[index] for index in order))
    assert (named(found.to_end), found.attempt.task.id) == (["x-00m1-t1"], "x-00m2-t2")
