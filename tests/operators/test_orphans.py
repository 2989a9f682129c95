"""Pools that live for one run carry its mark, and are found and deleted when it has left them."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_batchext.ephemeral import ephemeral_pool
from airflow_batchext.exceptions import ParameterError, PoolConflictError, ServiceError
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators.orphans import AzureBatchDeleteOrphansOperator
from airflow_batchext.operators.pool import (
    AzureBatchCreatePoolOperator,
    AzureBatchDeletePoolOperator,
    AzureBatchUpdatePoolOperator,
)
from airflow_batchext.origin.mark import Maker, marked, read_mark
from tests.conftest import document
from tests.operators.test_create_existing import run_task_on

pytestmark = pytest.mark.usefixtures("signed_in")

NAME = "AIRFLOW__BATCHEXT__DEPLOYMENT"


@pytest.fixture(autouse=True)
def name(monkeypatch):
    monkeypatch.setenv(NAME, "here")
    return "here"


@pytest.fixture
def runs(monkeypatch):
    """The runs that Airflow knows, with their states."""
    known = {}

    def count(dag_id, logical_dates=None, run_ids=None, states=None):
        found = [known[dag_id, run_id] for run_id in run_ids if (dag_id, run_id) in known]
        return len([state for state in found if states is None or state in states])

    monkeypatch.setattr(RuntimeTaskInstance, "get_dr_count", staticmethod(count))
    return known


def context(run_id="r", dag_id="d", task_id="create", map_index=-1):
    ti = SimpleNamespace(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)
    return {"ti": ti, "run_id": run_id}


def create(azure, where=None, nodes=1, **more):
    more = {"pool_id": azure.pool_id, "pool_document": document(nodes), "lifetime": "run", **more}
    return AzureBatchCreatePoolOperator(task_id="create", **more).execute(
        context() if where is None else where
    )


def mark(azure):
    with AzureBatchPoolHook() as hook:
        return read_mark(hook.get_pool(azure.pool_id))


def clean(azure, **more):
    return AzureBatchDeleteOrphansOperator(task_id="clean", **more).execute({})


def of(azure, result, kind="orphans"):
    """What is said of the test's pool; others may use the account, too."""
    found = [each for each in result[kind] if each["pool_id"] == azure.pool_id]
    return found[0] if found else None


def is_there(azure):
    with AzureBatchPoolHook() as hook:
        bodies = [body for body in hook.list_pools() if body["name"] == azure.pool_id]
    return bool(bodies) and bodies[0]["properties"]["provisioningState"] != "Deleting"


def test_a_pool_of_one_run_says_who_made_it(azure):
    create(azure, context("manual__1", "d", "g.create", 3))
    assert mark(azure) == Maker("here", "d", "manual__1", "g.create", 3)


@pytest.mark.parametrize("lifetime", [None, "kept"])
def test_a_pool_that_is_kept_has_no_mark(azure, lifetime):
    create(azure, lifetime=lifetime)
    assert mark(azure) is None


def tasks(azure, how):
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        if how == "ephemeral":
            with ephemeral_pool(document(1), pool_id=azure.pool_id) as pool:
                return pool.create
        setup = AzureBatchCreatePoolOperator(
            task_id="create", pool_id=azure.pool_id, pool_document=document(1)
        )
        end = AzureBatchDeletePoolOperator(task_id="delete", pool_id=azure.pool_id)
        if how == "setup and teardown":
            end.as_teardown(setups=setup)
        elif how == "setup alone":
            setup.as_setup() >> end
        else:
            setup >> end
        return setup


@pytest.mark.parametrize(
    ("how", "lives"),
    [("ephemeral", "run"), ("setup and teardown", "run"), ("setup alone", "kept"), ("one by one", "kept")],
)
def test_where_a_teardown_comes_behind_the_pool_is_the_runs_own(azure, how, lives):
    tasks(azure, how).execute(context())
    assert (mark(azure) is not None) == (lives == "run")


def test_without_a_run_there_is_no_mark(azure):
    create(azure, {})
    assert mark(azure) is None


@pytest.mark.parametrize("on_existing", ["adopt", "fail", "update", "replace"])
def test_the_mark_is_no_difference_and_stays(azure, on_existing):
    assert create(azure)["action"] == "created"
    again = create(azure, on_existing=on_existing)
    assert (again["action"], again["differences"]) == ("adopted", [])
    assert mark(azure) == Maker("here", "d", "r", "create")


def test_updates_leave_the_mark_alone(azure):
    create(azure)
    before = mark(azure)
    change = {"properties": {"metadata": [{"name": "team", "value": "a"}]}}
    task = AzureBatchUpdatePoolOperator(task_id="u", pool_id=azure.pool_id, pool_document=change)
    assert [d["path"] for d in task.execute({})["differences"]] == ["properties.metadata[team]"]
    assert mark(azure) == before
    other = document(1)
    other["properties"]["metadata"] = [{"name": "team", "value": "b"}]
    assert create(azure, pool_document=other, on_existing="update")["action"] == "updated"
    assert mark(azure) == before


@pytest.mark.parametrize("name", ["batchext-run", "Batchext-Run "])
def test_no_document_can_give_a_mark(azure, name):
    forged = document(1)
    value = marked({}, Maker("here", "d", "old", "t"))["properties"]["metadata"][0]["value"]
    forged["properties"]["metadata"] = [{"name": name, "value": value}]
    with pytest.raises(Exception, match="marks its own pools"):
        create(azure, pool_document=forged)
    assert not is_there(azure)


# A pool that somebody else has made


@pytest.mark.parametrize("state", ["running", "queued"])
def test_the_pool_of_a_run_that_goes_on_is_not_taken(azure, runs, state):
    runs["d", "first"] = state
    create(azure, context("first"))
    with pytest.raises(
        PoolConflictError, match=r"belongs to task create of run first of DAG d.*another pool_id"
    ):
        create(azure, context("second"))
    assert mark(azure).run_id == "first"


@pytest.mark.parametrize("state", ["success", "failed", None])
def test_what_an_ended_run_has_left_is_taken_over(azure, runs, state):
    if state:
        runs["d", "first"] = state
    create(azure, context("first"))
    assert create(azure, context("second"))["action"] == "adopted"
    assert mark(azure) == Maker("here", "d", "second", "create")


def test_what_an_ended_run_has_left_and_is_kept_has_no_mark_any_more(azure, runs):
    create(azure, context("first"))
    assert create(azure, context("second"), lifetime="kept", on_existing="fail")["action"] == "adopted"
    assert mark(azure) is None


def test_two_of_one_run_do_not_share_a_pool(azure, runs):
    runs["d", "r"] = "running"
    create(azure, context(task_id="a.create"))
    with pytest.raises(PoolConflictError, match=r"task a\.create"):
        create(azure, context(task_id="b.create"))


@pytest.mark.parametrize("ended", [True, False])
def test_the_pool_of_another_airflow_is_not_taken(azure, runs, monkeypatch, ended):
    runs["d", "r"] = "failed" if ended else "running"
    create(azure)
    monkeypatch.setenv(NAME, "there")
    with pytest.raises(PoolConflictError, match="belongs to"):
        create(azure)


def test_where_airflow_does_not_answer_the_pool_is_not_taken(azure):
    create(azure, context("first"))
    with pytest.raises(PoolConflictError):
        create(azure, context("second"))


@pytest.mark.parametrize(("where", "warns"), [(context("other"), True), (context(task_id="x"), False)])
def test_who_keeps_it_may_use_the_pool_of_a_run(azure, runs, capsys, where, warns):
    runs["d", "r"] = "running"
    create(azure)
    assert create(azure, where, lifetime="kept")["action"] == "adopted"
    assert mark(azure) is not None
    assert ("which deletes it when it ends" in capsys.readouterr().out) == warns


# Those that are left


@pytest.mark.parametrize("state", ["success", "failed", None])
def test_what_an_ended_run_has_left_is_deleted(azure, runs, state):
    if state:
        runs["d", "r"] = state
    create(azure, nodes=2)
    azure.pass_time(7200)
    told = of(azure, clean(azure))
    assert (told["deleted"], told["busy_nodes"], told["problem"]) == (True, 0, "")
    assert told["made_by"]["run_id"] == "r"
    assert told["dedicated_nodes"] == 2
    assert not is_there(azure)


def test_a_dry_run_deletes_nothing(azure, runs):
    create(azure)
    told = of(azure, clean(azure, dry_run=True))
    assert (told["deleted"], told["verdict"]) == (False, "orphan")
    assert is_there(azure)


@pytest.mark.parametrize("state", ["running", "queued"])
def test_the_pool_of_a_run_that_goes_on_is_left(azure, runs, state):
    runs["d", "r"] = state
    create(azure)
    assert of(azure, clean(azure, delete_busy=True), "others")["verdict"] == "used"
    assert is_there(azure)


def test_the_pool_of_another_airflow_is_left(azure, runs, monkeypatch):
    create(azure)
    monkeypatch.setenv(NAME, "there")
    assert of(azure, clean(azure, delete_busy=True), "others")["verdict"] == "foreign"
    assert is_there(azure)


def test_pools_without_a_mark_are_not_even_named(azure, runs):
    azure.create()
    result = clean(azure, delete_busy=True)
    assert of(azure, result) is of(azure, result, "others") is None
    assert is_there(azure)


def test_an_airflow_without_a_name_deletes_nothing(azure, runs, monkeypatch):
    create(azure)
    monkeypatch.setenv(NAME, "")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "")
    with pytest.raises(ParameterError, match=r"\[batchext\] deployment"):
        clean(azure)
    assert is_there(azure)


def test_a_pool_on_which_tasks_run_is_left_unless_asked_for(azure, runs):
    create(azure)
    azure.pass_time(300)
    run_task_on(azure)
    azure.pass_time(60)
    told = of(azure, clean(azure))
    assert (told["deleted"], told["busy_nodes"], told["problem"]) == (False, 1, "tasks run on 1 of its nodes")
    assert is_there(azure)
    assert of(azure, clean(azure, delete_busy=True))["deleted"]
    assert not is_there(azure)


def test_where_nobody_says_whether_tasks_run_it_is_left(azure, runs):
    create(azure)
    azure.pass_time(300)
    refusal = {"status": 403, "code": "AuthorizationFailed", "message": "no"}
    azure.emulator.faults.add(
        action="error", method="GET", path=f"*/pools/{azure.pool_id}/nodes*", count=9, **refusal
    )
    told = of(azure, clean(azure))
    assert (told["deleted"], told["busy_nodes"]) == (False, None)
    assert "could not be told whether tasks run" in told["problem"]
    assert is_there(azure)
    azure.emulator.faults.clear()


def test_a_run_that_was_cleared_meanwhile_keeps_its_pool(azure, runs, monkeypatch):
    runs["d", "r"] = "failed"
    create(azure)
    from airflow_batchext.operators._steps import orphans

    found = orphans.delete_orphans

    def then(*arguments, **options):
        runs["d", "r"] = "queued"
        return found(*arguments, **options)

    monkeypatch.setattr(orphans, "delete_orphans", then)
    assert of(azure, clean(azure), "others")["verdict"] == "used"
    assert is_there(azure)


def test_a_pool_that_was_taken_over_meanwhile_is_left(azure, runs, monkeypatch):
    create(azure, context("first"))
    from airflow_batchext.operators._steps import orphans

    found = orphans.delete_orphans

    def then(*arguments, **options):
        runs["d", "second"] = "running"
        create(azure, context("second"))
        return found(*arguments, **options)

    monkeypatch.setattr(orphans, "delete_orphans", then)
    assert of(azure, clean(azure)) is None
    assert is_there(azure)


def test_a_deletion_that_is_refused_is_an_error_and_the_others_go_on(azure, runs):
    create(azure)
    refusal = {"status": 409, "code": "ScopeLocked", "message": "locked"}
    azure.emulator.faults.add(
        action="error", method="DELETE", path=f"*/pools/{azure.pool_id}*", count=9, **refusal
    )
    with pytest.raises(ServiceError, match=rf"(?s)could not be deleted.*{azure.pool_id}.*"):
        clean(azure)
    azure.emulator.faults.clear()
    assert is_there(azure)
