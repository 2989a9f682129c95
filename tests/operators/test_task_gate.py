"""Work that looks at the pool's gate once more before it is submitted."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.exceptions import GateFailedError, GateRefusedError, TaskTimeoutError
from tests.conftest import own_connection
from tests.operators import test_tasks
from tests.operators.conftest import run
from tests.operators.test_task import MODES, books, context, left_alone, live, scenario, work

_SLOW = pytest.mark.slow
_TWO_OF_FOUR = [
    (False, 2),
    (True, 3),
    pytest.param(True, 2, marks=_SLOW),
    pytest.param(False, 3, marks=_SLOW),
]
KINDS = pytest.mark.parametrize("make", [work, test_tasks.work], ids=["one", "many"])


def ready(make, azure, **kwargs):
    return make(azure, requires_ready=True, **kwargs)


@MODES
@KINDS
def test_it_waits_until_the_pool_is_ready_and_then_submits(azure, pauses, deferrable, make):
    scenario(azure, {"after": 60}, extensions=[{"after": 300}])
    azure.create(2)
    result = run(azure, ready(make, azure), deferrable=deferrable, context=context())
    assert result.get("result", "succeeded") == "succeeded"
    extensions = [index for index, path in enumerate(azure.reads("")) if "/extensions" in path]
    posts = [index for index, path in enumerate(azure.reads("")) if "/jobs/" in path]
    assert max(extensions) < min(posts), "nothing was submitted before"


@MODES
@KINDS
def test_where_it_cannot_open_nothing_is_submitted(azure, pauses, deferrable, make):
    scenario(azure, {}, extensions=[{"outcome": "fail"}])
    azure.create(1)
    with pytest.raises(GateFailedError, match=r"The gate on pool .* cannot open: .*failed"):
        run(azure, ready(make, azure), deferrable=deferrable, context=context())
    with pytest.raises(AirflowSkipException):
        run(azure, ready(make, azure, soft_fail=True), deferrable=deferrable, context=context())
    assert not books(azure)


@MODES
@KINDS
def test_at_its_deadline_it_says_what_was_missing(azure, deferrable, make):
    scenario(azure, {}, extensions=[{"outcome": "hang"}])
    azure.create(1)
    task = ready(make, azure, timeout=0.6)
    task.poll_interval = 0.1
    with pytest.raises(
        TaskTimeoutError, match=r"The gate on pool .* did not open within .*; still missing: "
    ):
        run(azure, task, deferrable=deferrable, context=context())
    assert not books(azure)


@KINDS
def test_who_may_not_look_says_so_and_that_is_no_skip(azure, make):
    azure.create(1)
    azure.connect("wrong", own_connection(azure.emulator, password="nope"))
    with pytest.raises(GateRefusedError, match="AADSTS7000215"):
        ready(make, azure, azure_batchext_conn_id="wrong", soft_fail=True).execute(context())


@KINDS
def test_what_was_submitted_already_is_waited_for_however_the_pool_is(azure, pauses, make):
    azure.create(2)
    scenario(azure, {"after": 120})
    azure.pass_time(600)
    left_alone(azure, ready(make, azure))
    azure.emulator.requests.clear()
    ready(make, azure).execute(context(2))
    assert not azure.reads("/extensions")
    assert {name[-2:] for _, name in books(azure)} == {"t1"}


def test_it_is_not_asked_for_by_default(azure, pauses):
    scenario(azure, {}, extensions=[{"outcome": "fail"}])
    azure.create(1)
    work(azure).execute(context())
    assert not azure.reads("/extensions")


# --- what earlier tries have left -----------------------------------------------------------


def one_of_two_runs_on(azure, outcome, **kwargs):
    """The first try has submitted two; one has failed, and the gate is closed now."""
    scenario(
        azure, {"task": "*n00000*", "exit_code": 3}, {"exit_code": None}, extensions=[{"outcome": outcome}]
    )
    azure.create(2)
    left_alone(azure, test_tasks.work(azure, ["x", "y"]))
    azure.pass_time(60)
    assert len(live(azure)) == 1
    return ready(test_tasks.work, azure, tasks=["x", "y"], **kwargs)


@pytest.mark.parametrize(
    ("deferrable", "number", "soft_fail", "goes_on"),
    [
        (False, 2, False, True),
        (True, 3, False, False),
        (False, 2, True, False),
        pytest.param(True, 2, True, False, marks=_SLOW),
    ],
)
def test_where_it_cannot_open_what_runs_is_ended_if_nobody_comes_back_to_it(
    azure, pauses, deferrable, number, soft_fail, goes_on
):
    task = one_of_two_runs_on(azure, "fail", soft_fail=soft_fail)
    with pytest.raises(AirflowSkipException if soft_fail else GateFailedError):
        run(azure, task, deferrable=deferrable, context=context(number))
    azure.pass_time(60)
    assert bool(still(azure)) is goes_on


@pytest.mark.parametrize(("deferrable", "number"), _TWO_OF_FOUR)
def test_at_its_deadline_what_runs_is_ended(azure, deferrable, number):
    task = one_of_two_runs_on(azure, "hang", timeout=0.6)
    task.poll_interval = 0.1
    with pytest.raises(TaskTimeoutError, match="did not open"):
        run(azure, task, deferrable=deferrable, context=context(number))
    azure.pass_time(60)
    assert not still(azure)


@pytest.mark.parametrize(("deferrable", "number"), _TWO_OF_FOUR)
def test_where_the_gate_may_not_look_a_next_try_finds_what_runs(azure, pauses, deferrable, number):
    """That is no skip, with ``soft_fail`` too."""
    task = one_of_two_runs_on(azure, "hang", soft_fail=True)
    refused = {"action": "error", "status": 403, "path": "*/extensions*", "count": 99}
    azure.emulator.faults.add(read_fault({**refused, "skip": 2 if deferrable else 0}))
    with pytest.raises(GateRefusedError):
        run(azure, task, deferrable=deferrable, context=context(number))
    azure.pass_time(60)
    assert bool(still(azure)) is (number == 2)


@pytest.mark.parametrize(
    ("outcome", "make"),
    [
        *(("fail", work), ("hang", work), ("succeed", test_tasks.work)),
        pytest.param("fail", test_tasks.work, marks=_SLOW),
        pytest.param("succeed", work, marks=_SLOW),
    ],
)
def test_what_runs_of_an_earlier_life_is_ended_before_the_gate(azure, pauses, make, outcome):
    scenario(azure, {"task": "*-t1", "exit_code": None}, {}, extensions=[{"outcome": outcome}])
    azure.create(2)
    left_alone(azure, make(azure))
    azure.pass_time(60)
    task = ready(make, azure)
    cleared = context(2, max_tries=4)
    if outcome == "succeed":
        run(azure, task, deferrable=False, context=cleared)
    elif outcome == "hang":
        left_alone(azure, task, 2, max_tries=4)
    else:
        with pytest.raises(GateFailedError):
            run(azure, task, deferrable=False, context=cleared)
    azure.pass_time(60)
    assert not [name for name in still(azure) if name.endswith("-t1")]


def still(azure):
    """What runs, or may still be given a node."""
    jobs = azure.emulator.account.jobs.all()
    return [t.id for job in jobs if job.goal == "active" for t in job.tasks.values() if not t.is_completed]


@pytest.mark.parametrize(
    ("state", "wish", "goes_on"),
    [("failed", "terminate", False), ("failed", "leave", True), ("deferred", "terminate", True)],
)
def test_who_is_ended_while_the_trigger_waits_for_the_gate_ends_what_runs(
    azure, pauses, monkeypatch, state, goes_on, wish
):
    task = one_of_two_runs_on(azure, "hang", on_kill=wish)
    deferred = left_alone(azure, task, 2)
    path, kwargs = deferred.trigger.serialize()
    assert path.endswith("AzureBatchExtensionTrigger")
    states = "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states"
    monkeypatch.setattr(states, staticmethod(lambda **given: {"r1": {"work": state}}))
    trigger = type(deferred.trigger)(**json.loads(json.dumps(kwargs)))
    trigger.task_instance = SimpleNamespace(dag_id="d", task_id="work", run_id="r1", map_index=-1)
    asyncio.run(trigger.on_kill())
    azure.pass_time(60)
    assert bool(still(azure)) is goes_on
