"""What is to be done with each of many tasks, and how all of them stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.work import JobSeen, TaskSeen
from airflow_batchext.rules.work import Stage, attempts_of
from airflow_batchext.rules.work_items import Tally, choose_items, counted_text, is_settled

OPEN = JobSeen("d-t-h-1", "active")
OVER = JobSeen("d-t-h-1", "completed", "AllTasksCompleted")
ENDED = JobSeen("d-t-h-1", "completed", "EndedByUser")
LIFE, OTHER = "0123abcdm2", "0123abcdm1"


def task(item, number=1, state="completed", result="success", life=LIFE, key="x", since=""):
    code = 0 if result == "success" else 3
    if state != "completed":
        return TaskSeen(f"{key}-{item}-{life}-t{number}", state, since=since)
    return TaskSeen(f"{key}-{item}-{life}-t{number}", state, result, code, since=since)


def choose(*tasks, job=OPEN, items=("a", "b"), number=1, submitted=False, key="x"):
    attempts = attempts_of(key, job, tasks, is_many=True)
    return choose_items(key, LIFE, number, items, attempts, submitted=submitted)


def test_a_task_alone_is_no_one_of_many_and_the_other_way_round():
    alone, many = TaskSeen(f"x-{LIFE}-t1", "running"), task("a", state="running")
    assert [one.task for one in attempts_of("x", OPEN, [alone, many])] == [alone]
    assert [one.told.key for one in attempts_of("x", OPEN, [alone, many], is_many=True)] == ["x", "x-a"]
    assert not attempts_of("m00001", OPEN, [task("a", key="m000011")], is_many=True)


@pytest.mark.parametrize(
    ("tasks", "given", "wanted"),
    [
        ([], {}, {"to_submit": ("a", "b")}),
        ([], {"submitted": True}, {"missing": ("a", "b")}),
        ([task("a"), task("b", result="failure")], {}, {"ended": {"a": "t1", "b": "t1"}}),
        (
            [task("a"), task("b", result="failure")],
            {"number": 2},
            {"ended": {"a": "t1"}, "to_submit": ("b",)},
        ),
        (
            [task("a"), task("b", result="failure"), task("b", 2)],
            {"number": 2},
            {"ended": {"a": "t1", "b": "t2"}},
        ),
        (
            [task("a", state="running"), task("b", state="active")],
            {"number": 2},
            {"live": {"a": "t1", "b": "t1"}},
        ),
        (
            [task("a", state="running"), task("a", 2, state="active")],
            {"number": 2, "items": ("a",)},
            {"live": {"a": "t2"}, "to_end": ["a"]},
        ),
        (
            [task("a", state="running", life=OTHER), task("b", life=OTHER)],
            {},
            {"to_end": ["a"], "to_submit": ("a", "b")},
        ),
        ([task("c", state="running")], {"items": ("a",)}, {"to_end": ["c"], "to_submit": ("a",)}),
        ([task("a", state="active")], {"job": OVER, "items": ("a",)}, {"to_submit": ("a",)}),
        (
            [task("a", state="active")],
            {"job": OVER, "items": ("a",), "submitted": True},
            {"to_submit": ("a",)},
        ),
        ([task("a", state="active")], {"job": ENDED, "items": ("a",)}, {"ended": {"a": "t1"}}),
        ([task("a", state="running")], {"job": ENDED, "items": ("a",)}, {"live": {"a": "t1"}}),
    ],
)
def test_what_is_done_with_each(tasks, given, wanted):
    choice = choose(*tasks, **given)
    assert {
        name: value
        for name, value in {
            "to_end": [one.told.key[2:] for one in choice.to_end],
            "ended": {name: end[0].task.id[-2:] for name, end in choice.ended.items()},
            "live": {name: one.task.id[-2:] for name, one in choice.live.items()},
            "to_submit": choice.to_submit,
            "missing": choice.missing,
        }.items()
        if value
    } == wanted


STATES = st.sampled_from(["active", "preparing", "running", "completed"])
TASKS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(1, 3),
        STATES,
        st.sampled_from(["success", "failure"]),
        st.sampled_from([LIFE, OTHER]),
    ),
    max_size=9,
    unique_by=lambda it: (it[0], it[1], it[4]),
)


@given(TASKS, st.sampled_from([OPEN, OVER, ENDED]), st.integers(1, 3), st.booleans())
def test_each_has_one_fate_and_nothing_live_is_run_beside(drawn, job, number, submitted):
    tasks = [task(*one) for one in drawn]
    choice = choose(*tasks, job=job, number=number, submitted=submitted, items=("a", "b"))
    fates = [*choice.ended, *choice.live, *choice.to_submit, *choice.missing]
    assert sorted(fates) == ["a", "b"]
    may_run = {one.id for one in tasks if one.state in ("preparing", "running")}
    may_run |= {one.id for one in tasks if one.state == "active" and job.takes_tasks}
    kept = {one.task.id for one in choice.live.values()}
    assert may_run == kept | {one.task.id for one in choice.to_end}
    for name in choice.to_submit:
        assert not [one for one in may_run if f"x-{name}-{LIFE}" in one]
    for attempt, how in choice.ended.values():
        assert how.stage in (Stage.SUCCEEDED, Stage.FAILED)
        assert (how.stage is Stage.SUCCEEDED) is (attempt.task.result == "success")


@given(TASKS, st.lists(st.integers(0, 9), max_size=4))
def test_a_tally_of_changes_is_one_of_all(drawn, borders):
    tasks = [task(*one) for one in drawn]
    whole, parts = Tally("x", LIFE, 3), Tally("x", LIFE, 3)
    whole.take("j", tasks, are_all=True, job=OPEN)
    parts.take("j", [], are_all=True, job=OPEN)
    for start, end in zip([0, *sorted(borders)], [*sorted(borders), len(tasks)], strict=True):
        parts.take("j", tasks[start:end], are_all=False, job=None)
    assert whole.states() == parts.states()
    assert sum(whole.states().values()) == 3


def test_the_newest_attempt_counts_and_what_never_runs_is_to_be_submitted():
    tally = Tally("x", LIFE, 4)
    tally.take("1", [task("a", result="failure"), task("b", state="active")], are_all=True, job=OVER)
    tally.take("2", [task("a", 2, state="running"), task("c")], are_all=True, job=OPEN)
    states = tally.states()
    assert states == {"running": 1, "stranded": 1, "succeeded": 1, "unseen": 1}
    assert counted_text(states) == ("of 4 tasks 1 succeeded, 1 running, 1 to be submitted again, 1 unseen")
    assert not is_settled(states)
    assert is_settled({"succeeded": 5, "failed": 1, "stranded": 1, "active": 0})


def test_what_has_changed_is_asked_for_with_some_time_before():
    tally = Tally("x", LIFE, 1)
    assert tally.since() == ""
    tally.take("j", [task("a", since="2026-11-29T10:02:30.5Z")], are_all=True, job=None)
    tally.take("j", [task("a", since="no time")], are_all=False, job=None)
    assert tally.since() == "2026-11-29T10:00:30Z"
    tally.take("j", [task("a", since="2026-11-29T10:02:30.5Z")], are_all=False, job=None)
    assert tally.since() == "2026-11-29T10:02:30Z", "nothing has changed"
    tally.take("j", [task("b", since="2026-11-29T10:02:30.9Z")], are_all=False, job=None)
    assert tally.since() == "2026-11-29T10:00:30Z"
