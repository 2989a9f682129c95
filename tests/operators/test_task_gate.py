"""Work that looks at the pool's gate once more before it is submitted."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_batchext.exceptions import GateFailedError, GateRefusedError, TaskTimeoutError
from tests.conftest import own_connection
from tests.operators import test_tasks
from tests.operators.conftest import run
from tests.operators.test_task import MODES, books, context, left_alone, scenario, work

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
