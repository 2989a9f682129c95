"""What an operator that runs work shows: how many of its Batch tasks are how far, and why nothing starts."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_batchext.emulator import Scenario
from airflow_batchext.exceptions import GateFailedError, TaskFailedError, TaskTimeoutError
from airflow_batchext.live.form import WorkSaid
from airflow_batchext.live.work import counted, single
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.rules.work import Stage, Standing
from tests.live.modes import MANY, ONE, Pauses, quietly, through
from tests.operators.test_task import give_a_node

MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
KINDS = pytest.mark.parametrize("given", [ONE, MANY], ids=["one", "many"])


def play(azure, monkeypatch, *, given, deferrable, each=lambda: None, seconds=30, **more):
    """Run one; with each pause so many seconds pass, and something happens."""

    class Passing(Pauses):
        def pause(self, *_):
            super().pause()
            azure.pass_time(seconds)
            each()

    run = through(AzureBatchTaskOperator, deferrable=deferrable, **given, **more)
    return quietly(lambda: run(azure, monkeypatch, Passing(lambda: None)))


def scenario(azure, *rules, **more):
    azure.emulator.scenario = Scenario.load({"tasks": list(rules), **more})


@MODES
@KINDS
def test_it_shows_how_many_are_how_far_and_in_which_job(azure, monkeypatch, xcoms, given, deferrable):
    scenario(azure, {"after": 60})
    azure.create(2)
    assert play(azure, monkeypatch, given=given, deferrable=deferrable) is None
    count = len(given.get("tasks", [0]))
    told = [snapshot.work for snapshot in xcoms.snapshots]
    assert {sum((one.waiting, one.running, one.succeeded, one.failed)) for one in told} == {count}
    (job,) = azure.emulator.account.jobs.all()
    assert {one.jobs for one in told} == {(job.id,)}
    assert any(one.running for one in told)
    assert (told[-1].succeeded, told[-1].waiting, told[-1].running) == (count, 0, 0)
    last = xcoms.last
    assert (last.kind, last.outcome, last.picture.fields) == ("work", "done", ())
    assert len({snapshot.deadline for snapshot in xcoms.snapshots}) == 1


@MODES
@KINDS
def test_it_says_why_nothing_starts(azure, monkeypatch, xcoms, given, deferrable):
    scenario(azure, {"after": 1})
    azure.create(0)
    looks = []

    def each():
        looks.append(1)
        if len(looks) == 6:
            give_a_node(azure)

    play(azure, monkeypatch, given=given, deferrable=deferrable, each=each, seconds=60)
    said = [reason for snapshot in xcoms.snapshots for reason in snapshot.reasons]
    assert any(f"pool {azure.pool_id} has no nodes and its target is 0" in reason for reason in said), said
    assert xcoms.last.outcome == "done"


@MODES
@KINDS
def test_a_failure_is_counted_and_told_in_its_words(azure, monkeypatch, xcoms, given, deferrable):
    scenario(azure, {"after": 60, "exit_code": 3})
    azure.create(2)
    error = play(azure, monkeypatch, given=given, deferrable=deferrable)
    assert isinstance(error, TaskFailedError)
    last = xcoms.last
    assert last.outcome == "failed"
    assert last.work.failed == len(given.get("tasks", [0]))
    assert "exit code 3" in last.summary


@MODES
@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        ({"skip_on_exit_code": 3}, "done"),
        ({"fail_on_exit_code": 3}, "failed"),
        ({"soft_fail": True}, "failed"),
    ],
)
def test_a_skip_and_a_failure_for_good_have_the_words_too(
    azure, monkeypatch, xcoms, options, outcome, deferrable
):
    scenario(azure, {"after": 60, "exit_code": 3})
    azure.create(1)
    error = play(azure, monkeypatch, given=ONE, deferrable=deferrable, **options)
    assert isinstance(error, AirflowSkipException) is ("fail_on_exit_code" not in options)
    assert (xcoms.last.outcome, "exit code 3" in xcoms.last.summary) == (outcome, True)


@KINDS
def test_a_deadline_is_told_as_one(azure, monkeypatch, xcoms, given):
    scenario(azure, {"after": 100000})
    azure.create(1)
    run = through(AzureBatchTaskOperator, **given)
    clock = iter(range(10**6))
    monkeypatch.setattr(
        "airflow_batchext.operators._steps.work.WorkSteps._left", property(lambda _: 9 - next(clock))
    )
    error = quietly(lambda: run(azure, monkeypatch, Pauses(lambda: None)))
    assert isinstance(error, TaskTimeoutError)
    assert xcoms.last.outcome == "timeout"
    assert "had not ended within" in xcoms.last.summary


@MODES
@KINDS
def test_while_it_waits_for_the_gate_it_is_shown_as_one(azure, monkeypatch, xcoms, given, deferrable):
    scenario(azure, {"after": 60}, extensions=[{"after": 100}])
    azure.create(2, ready=False)
    play(azure, monkeypatch, given=given, deferrable=deferrable, requires_ready=True)
    kinds = [snapshot.kind for snapshot in xcoms.snapshots]
    assert (kinds[0], kinds[-1]) == ("gate", "work")
    gate = [snapshot for snapshot in xcoms.snapshots if snapshot.kind == "gate"]
    assert gate[0].extensions == ("secretext",)
    assert any(snapshot.picture.fields for snapshot in gate)
    assert not any(snapshot.picture.fields for snapshot in xcoms.snapshots if snapshot.kind == "work")


@MODES
def test_a_gate_that_cannot_open_says_so(azure, monkeypatch, xcoms, deferrable):
    scenario(azure, {}, extensions=[{"outcome": "fail", "after": 100}])
    azure.create(1, ready=False)
    error = play(azure, monkeypatch, given=ONE, deferrable=deferrable, requires_ready=True)
    assert isinstance(error, GateFailedError)
    assert (xcoms.last.kind, xcoms.last.outcome) == ("gate", "failed")
    assert xcoms.last.picture.nodes[0].kind == "failed"


def test_states_are_counted_by_what_they_mean():
    states = {"active": 1, "unseen": 2, "stranded": 3, "preparing": 4, "running": 5, "": 6, "succeeded": 7}
    assert counted(["j-1"], states) == WorkSaid(("j-1",), waiting=6, running=15, succeeded=7)
    assert counted([], {}) == WorkSaid()


@pytest.mark.parametrize(
    ("stage", "state"),
    [
        (Stage.LOST, "failed"),
        (Stage.FAILED, "failed"),
        (Stage.STRANDED, "waiting"),
        (Stage.REFUSED, "waiting"),
    ],
)
def test_a_task_that_is_not_there_is_counted_by_how_it_stands(stage, state):
    assert single("j", Standing(stage, "")) == WorkSaid(("j",), **{state: 1})
