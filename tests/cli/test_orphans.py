"""``batchext orphans``, with the runs in a real database of Airflow."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from airflow_batchext.cli import orphans as command
from airflow_batchext.cli.main import main
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator
from tests.conftest import document
from tests.operators.test_create_existing import run_task_on

pytestmark = pytest.mark.usefixtures("signed_in")


@pytest.fixture
def database(monkeypatch):
    """An empty database with Airflow's tables, instead of its own; adds DAGs and runs to it."""
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.tasklog import LogTemplate
    from airflow.utils import session as sessions
    from sqlalchemy import create_engine, insert
    from sqlalchemy.orm import sessionmaker
    from sqlalchemy.pool import StaticPool

    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    for model in (DagModel, DagRun, LogTemplate):
        model.__table__.create(engine)
    monkeypatch.setattr(sessions, "create_session", sessionmaker(engine).begin)

    def known(dag_id, **runs):
        with engine.begin() as connection:
            needed = dict.fromkeys(("max_active_tasks", "max_consecutive_failed_dag_runs"), 1)
            dag = {"dag_id": dag_id, "bundle_name": "b", "has_task_concurrency_limits": False, **needed}
            connection.execute(insert(DagModel.__table__).values(**dag))
            for run_id, state in runs.items():
                row = {"dag_id": dag_id, "run_id": run_id, "state": state, "run_type": "manual"}
                connection.execute(insert(DagRun.__table__).values(**row, run_after=datetime.now(UTC)))

    return known


@pytest.fixture
def orphans(azure, capsys, monkeypatch):
    monkeypatch.setenv("AIRFLOW__BATCHEXT__DEPLOYMENT", f"of {azure.pool_id}")

    def run(*arguments):
        capsys.readouterr()
        ended = main(["orphans", *arguments])
        out, err = capsys.readouterr()
        return ended, out, err

    return run


def create(azure, run_id="r", dag_id="d"):
    ti = SimpleNamespace(dag_id=dag_id, run_id=run_id, task_id="create", map_index=-1)
    AzureBatchCreatePoolOperator(
        task_id="create", pool_id=azure.pool_id, pool_document=document(2), lifetime="run"
    ).execute({"ti": ti})
    azure.pass_time(3600)


def is_there(azure):
    with AzureBatchPoolHook() as hook:
        return hook.get_pool(azure.pool_id)["properties"]["provisioningState"] != "Deleting"


def test_nothing_is_left(azure, orphans, database):
    ended, out, _ = orphans()
    assert (ended, out.splitlines()[0]) == (0, "No pool is left of a run that has ended")


@pytest.mark.parametrize("state", ["success", "failed", None])
def test_what_is_left_is_named_with_what_it_costs_and_deleted_when_asked(azure, orphans, database, state):
    database("d", **({"r": state} if state else {"other": "running"}))
    create(azure)
    ended, out, _ = orphans()
    assert (ended, is_there(azure)) == (1, True)
    shown = " ".join(out.split())
    assert "1 left over: 2 node-hours more with each hour" in shown
    ended, out, _ = orphans("--output", "json")
    [told] = json.loads(out)["orphans"]
    assert (ended, told["pool_id"], told["deleted"]) == (1, azure.pool_id, False)
    assert told["node_hours"] == pytest.approx(2 * told["hours"], abs=0.02)
    ended, out, _ = orphans("--delete", "--json")
    assert (ended, json.loads(out)["orphans"][0]["deleted"], is_there(azure)) == (0, True, False)
    ended, out, _ = orphans()
    assert ended == 0
    assert "left alone, being deleted: 1" in out


@pytest.mark.parametrize("state", ["running", "queued"])
def test_the_pool_of_a_run_that_goes_on_is_left_alone(azure, orphans, database, state):
    database("d", r=state)
    create(azure)
    ended, out, _ = orphans("--delete", "--delete-busy")
    assert (ended, is_there(azure)) == (0, True)
    assert f"left alone, of runs that go on: 1 ({azure.pool_id})" in out


def test_the_pool_of_a_dag_that_this_database_does_not_know_is_named_and_left(azure, orphans, database):
    database("another", r="success")
    create(azure)
    ended, out, _ = orphans("--delete")
    assert (ended, is_there(azure)) == (1, True)
    assert "no such DAG" in out


def test_the_pool_of_another_airflow_is_left_alone(azure, orphans, database, monkeypatch):
    create(azure)
    monkeypatch.setenv("AIRFLOW__BATCHEXT__DEPLOYMENT", "nobody")
    ended, out, _ = orphans("--delete")
    assert (ended, is_there(azure)) == (0, True)
    assert "of other Airflows" in out


def test_a_pool_on_which_tasks_run_is_deleted_only_when_that_is_asked_for(azure, orphans, database):
    database("d", r="failed")
    create(azure)
    run_task_on(azure)
    azure.pass_time(60)
    ended, out, _ = orphans("--delete")
    assert (ended, is_there(azure)) == (1, True)
    assert "tasks run on 1 of its nodes" in out
    assert orphans("--delete", "--delete-busy")[0] == 0
    assert not is_there(azure)


def test_without_airflows_database_nothing_can_be_told(azure, orphans, monkeypatch):
    from airflow.utils import session as sessions
    from sqlalchemy import create_engine
    from sqlalchemy.orm import sessionmaker

    monkeypatch.setattr(sessions, "create_session", sessionmaker(create_engine("sqlite://")).begin)
    create(azure)
    ended, out, err = orphans("--delete")
    assert (ended, out, is_there(azure)) == (3, "", True)
    assert "the database of Airflow cannot be asked" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--conn-id", "nobody"], "nobody"), (["--delete-busy"], "--delete-busy is for --delete")],
)
def test_what_cannot_be_done_is_told_with_3(azure, orphans, arguments, said):
    ended, _, err = orphans(*arguments)
    assert ended == 3
    assert said in err


def test_an_airflow_without_a_name_is_told_how_to_get_one(azure, orphans, monkeypatch):
    monkeypatch.setenv("AIRFLOW__BATCHEXT__DEPLOYMENT", "")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "")
    ended, _, err = orphans()
    assert ended == 3
    assert "[batchext] deployment" in err


def test_the_help_says_what_each_status_means(capsys):
    with pytest.raises(SystemExit):
        main(["orphans", "--help"])
    assert "exit status: 0 nothing is left" in capsys.readouterr().out
    assert command.COULD_NOT == 3
