"""One job for the tasks of a ``with`` block: how it stands in a DAG."""

from __future__ import annotations

import pytest
from airflow.sdk import TaskGroup, XComArg, task_group
from airflow.sdk.bases.operator import BaseOperator

from airflow_batchext.ephemeral import batch_job, ephemeral_pool, run_pool_id
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.parameters.work import check_job_prefix
from tests.airflow_names import DagSerialization
from tests.conftest import document
from tests.test_ephemeral import ARGS, all_differ, dag, failed, rendered


def work(task_id, job, **kwargs):
    given = {"command_line": "/bin/true", "pool_id": job.pool_id, "job_id": job.job_id, **kwargs}
    return AzureBatchTaskOperator(task_id=task_id, **given)


def test_the_tasks_come_after_it_is_made_and_before_it_is_ended():
    with dag() as built, batch_job("p1", job_document={"priority": 5}) as job:
        work("first", job) >> work("second", job)
    assert set(built.task_dict) == {"job.create", "job.work.first", "job.work.second", "job.end"}
    assert built.get_task("job.create").downstream_task_ids == {
        "job.work.first",
        "job.work.second",
        "job.end",
    }
    assert built.get_task("job.end").upstream_task_ids == {"job.work.second", "job.create"}
    assert (job.create.is_setup, job.end.is_teardown) == (True, True)
    assert not job.end.on_failure_fail_dagrun, "or work that failed would be a success"
    assert (job.create.pool_id, job.pool_id) == ("p1", "p1")
    assert job.create.job_document == {"priority": 5}
    assert job.end.prefix == job.create.prefix
    assert check_job_prefix("prefix", rendered(job.create.prefix)).startswith("job-")


def test_its_id_is_an_argument_and_in_a_text_a_template():
    with dag(), batch_job("p1") as job:
        pass
    assert isinstance(job.job_id, XComArg)
    assert "{{ task_instance.xcom_pull(task_ids='job.create'" in f"--job {job.job_id}"


def test_on_an_ephemeral_pool_it_ends_before_the_pool_is_deleted():
    with (
        dag() as built,
        ephemeral_pool(document(1), azure_batchext_conn_id="mine") as pool,
        batch_job(pool) as job,
    ):
        work("use", job)
    ids = {task.task_id: task for task in built.tasks}
    assert ids["pool.gate"].downstream_task_ids == {"pool.work.job.create"}
    assert ids["pool.work.job.end"].downstream_task_ids == {"pool.delete"}
    assert job.pool_id == pool.pool_id
    assert [each.azure_batchext_conn_id for each in (job.create, job.end)] == ["mine", "mine"]


def test_a_job_without_work_is_made_and_ended():
    with dag() as built, batch_job("p1", group_id="g"):
        pass
    assert built.get_task("g.create").downstream_task_ids == {"g.end"}


@pytest.mark.parametrize("name", ["use", "also"])
def test_whoever_clears_its_work_clears_its_life_too(name):
    with dag() as built:
        before = BaseOperator(task_id="before")
        with ephemeral_pool(document(1)) as pool, batch_job(pool) as job:
            before >> work("use", job) >> work("also", job)
    cleared = built.partial_subset([f"pool.work.job.work.{name}"], include_upstream=False)
    around = {"pool.create", "pool.gate", "pool.delete", "pool.work.job.create", "pool.work.job.end"}
    assert set(cleared.task_dict) == {*around, f"pool.work.job.work.{name}"}


def prefixes(built):
    found = [task for task in built.tasks if task.task_id.endswith("create") and hasattr(task, "prefix")]
    for each in found:
        assert built.get_task(each.task_id.removesuffix("create") + "end").prefix == each.prefix
    return [each.prefix for each in found]


def in_two_groups():
    for name in ("a", "b"):
        with TaskGroup(name), batch_job("p1"):
            pass


def in_one_another():
    with batch_job("p1"), batch_job("p1"):
        pass


def on_a_pool_of_the_same_prefix():
    with ephemeral_pool(document(1), group_id="job") as pool, batch_job(pool):
        pass


def under_names_that_are_one_for_azure():
    for name in ("g", "G", "ü", "ö", "x" * 60, "x" * 61):
        with batch_job("p1", group_id=name):
            pass


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (in_two_groups, 2),
        (in_one_another, 2),
        (on_a_pool_of_the_same_prefix, 1),
        (under_names_that_are_one_for_azure, 6),
    ],
)
def test_each_job_of_a_run_is_another_one_wherever_it_stands(build, count):
    with dag() as built:
        build()
    found = prefixes(built)
    assert len({rendered(each).casefold() for each in found}) == count
    assert {rendered(each, run_id="another") for each in found}.isdisjoint(map(rendered, found))
    with dag() as again:
        build()
    assert prefixes(again) == found, "the DAG is parsed anew for each task and try"


@pytest.mark.parametrize("shares", [True, False])
def test_each_expansion_of_a_mapped_group_has_its_own(shares):
    @task_group
    def group(number):
        with batch_job("p1" if shares else run_pool_id("p", mapped=True)) as job:
            work("use", job, environment={"N": number})

    with dag() as built:
        group.expand(number=["1", "2"])
    assert all_differ(prefixes(built), map_indexes=(0, 1))


def test_what_is_mapped_within_the_block_shares_it():
    with dag() as built, batch_job("p1") as job:
        AzureBatchTaskOperator.partial(
            task_id="use", pool_id="p1", job_id=job.job_id, command_line="/bin/true"
        ).expand(environment=[{"N": "1"}, {"N": "2"}])
    (prefix,) = prefixes(built)
    assert len({rendered(prefix, map_index=index) for index in (-1, 0, 1)}) == 1
    assert built.get_task("job.work.use").upstream_task_ids == {"job.create"}


@pytest.mark.parametrize("place", ["dag", "group"])
def test_default_args_reach_what_is_made(place):
    of_dag, of_group = (ARGS, {}) if place == "dag" else ({}, ARGS)
    with dag(default_args=of_dag), TaskGroup("g", default_args=of_group), batch_job("p1") as job:
        pass
    for each in (job.create, job.end):
        assert (each.azure_batchext_conn_id, each.retries, each.owner) == ("other", 5, "me")
        assert each.on_failure_callback in (failed, [failed])


@pytest.mark.parametrize(
    ("args", "create", "end", "retries"),
    [
        ({}, {}, {}, [2, 2]),
        ({"retries": 0}, {}, {}, [0, 0]),
        ({}, {"retries": 1}, {"default_args": {"retries": 4}}, [1, 4]),
    ],
)
def test_both_are_tried_again_unless_somebody_has_said_how_often(args, create, end, retries):
    with dag(default_args=args), batch_job("p1", create=create, end=end) as job:
        pass
    assert [job.create.retries, job.end.retries] == retries


@pytest.mark.parametrize("place", ["create", "end"])
@pytest.mark.parametrize("name", ["pool_id", "task_id", "prefix", "job_id", "job_document"])
def test_what_the_tasks_share_cannot_be_given_to_one_of_them(place, name):
    said = f"{place} has {name}.*of batch_job"
    with dag(), pytest.raises(ParameterError, match=said), batch_job("p1", **{place: {name: "x"}}):
        pass


@pytest.mark.parametrize("pool", [None, 3, "a b", ["p1"]])
def test_what_is_no_pool_is_refused(pool):
    with dag(), pytest.raises(ParameterError, match="pool_id"), batch_job(pool):
        pass


def test_it_is_stored_as_airflow_stores_dags_and_hides_what_looks_like_a_secret():
    hidden = {"commonEnvironmentSettings": [{"name": "A", "value": "https://a.example/b?sig=hunter2hunter2"}]}
    with (
        dag() as built,
        ephemeral_pool(document(1)) as pool,
        batch_job(pool, job_document={"priority": 7, **hidden}) as job,
    ):
        work("use", job)
        AzureBatchTaskOperator.partial(
            task_id="many", pool_id=pool.pool_id, job_id=job.job_id, command_line="/bin/true"
        ).expand(environment=[{"N": "1"}])
    stored = DagSerialization.to_dict(built)
    assert "hunter2" not in str(stored)
    again = DagSerialization.from_dict(stored)
    assert set(again.task_dict) == set(built.task_dict)
    end = again.get_task("pool.work.job.end")
    assert (end.is_teardown, end.downstream_task_ids) == (True, {"pool.delete"})
    assert again.get_task("pool.work.job.create").is_setup
