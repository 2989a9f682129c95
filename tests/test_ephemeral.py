"""Ids of pools that live for one run, and the tasks around the work."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.execution_time import macros
from jinja2.sandbox import SandboxedEnvironment

from airflow_batchext.ephemeral import ephemeral_pool, run_pool_id
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.parameters import check_pool_id
from tests.conftest import document


def rendered(template, run_id="manual__2026-01-01T00:00:00.1+00:00", dag_id="d", map_index=-1):
    context = {"macros": macros, "run_id": run_id, "dag": SimpleNamespace(dag_id=dag_id)}
    return (
        SandboxedEnvironment()
        .from_string(template)
        .render(**context, ti=SimpleNamespace(map_index=map_index))
    )


@pytest.mark.parametrize("run_id", ["manual__2026-01-01T00:00:00.1+00:00", "x" * 250, "ünï/cödé ☃", "a"])
@pytest.mark.parametrize("prefix", ["p", "nightly_A-1", "x" * 40])
def test_the_id_is_one_that_azure_takes_and_the_same_every_time(run_id, prefix):
    pool_id = rendered(run_pool_id(prefix), run_id)
    assert check_pool_id(pool_id).startswith(f"{prefix}-")
    assert pool_id == rendered(run_pool_id(prefix), run_id)


def test_it_is_another_one_in_each_run_dag_and_expansion():
    template = run_pool_id("p", mapped=True)
    ids = {rendered(template, f"r{r}", f"d{d}", m) for r in range(3) for d in range(3) for m in (-1, 0, 1)}
    assert len(ids) == 27
    plain = run_pool_id("p")
    assert rendered(plain, map_index=0) == rendered(plain, map_index=5), "tasks may be mapped inside"


@pytest.mark.parametrize("prefix", ["", "x" * 41, "a b", "{{ run_id }}", "ä"])
def test_a_prefix_that_azure_would_not_take_is_refused(prefix):
    with pytest.raises(ParameterError, match="prefix of a pool id"):
        run_pool_id(prefix)


def dag():
    return DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))


def test_the_work_comes_after_the_gate_and_before_the_end():
    with dag() as built, ephemeral_pool(document(1), create={"wait_for": "steady"}) as pool:
        first, second = BaseOperator(task_id="first"), BaseOperator(task_id="second")
        first >> second
    ids = {task.task_id: task for task in built.tasks}
    assert ids["pool.gate"].downstream_task_ids == {"pool.work.first"}
    assert ids["pool.work.second"].downstream_task_ids == {"pool.delete"}
    assert (pool.create.is_setup, pool.gate.is_setup, pool.delete.is_teardown) == (True, True, True)
    assert not pool.delete.on_failure_fail_dagrun, "or work that failed would be a success"
    assert pool.create.wait_for == "steady"
    assert {pool.create.pool_id, pool.gate.pool_id, pool.delete.pool_id} == {pool.pool_id}


def test_a_pool_without_work_is_built_up_and_torn_down():
    with dag() as built, ephemeral_pool(document(1), group_id="g", pool_id="mine"):
        pass
    assert built.get_task("g.gate").downstream_task_ids == {"g.delete"}
    assert built.get_task("g.create").pool_id == "mine"
