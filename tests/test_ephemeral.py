"""Ids of pools that live for one run, and the tasks around the work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, TaskGroup, task, task_group
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.execution_time import macros
from hypothesis import given
from hypothesis import strategies as st
from jinja2.nativetypes import NativeEnvironment
from jinja2.sandbox import SandboxedEnvironment

from airflow_batchext.ephemeral import ephemeral_pool, run_pool_id
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.parameters import check_pool_id
from tests.conftest import document

ENVIRONMENTS = (SandboxedEnvironment(), NativeEnvironment())


def rendered(template, run_id="manual__2026-01-01T00:00:00.1+00:00", dag_id="d", map_index=-1):
    context = {"macros": macros, "run_id": run_id, "dag": SimpleNamespace(dag_id=dag_id)}
    context["ti"] = SimpleNamespace(map_index=map_index)
    plain, native = (environment.from_string(template).render(**context) for environment in ENVIRONMENTS)
    assert plain == native, "also where templates are rendered to Python's own values"
    return plain


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


WORDS = st.text("ab-_A.1/", min_size=1, max_size=6)


@given(
    st.lists(
        st.tuples(
            st.text("abA1-_", min_size=1, max_size=4), st.text("ab.-", min_size=1, max_size=4), WORDS,
            st.integers(-1, 11),
        ),
        min_size=2, max_size=6, unique=True,
    )
)  # fmt: skip
def test_no_two_of_prefix_dag_run_and_expansion_have_one_pool(places):
    ids = [rendered(run_pool_id(p, mapped=True), r, d, m).casefold() for p, d, r, m in places]
    assert len(set(ids)) == len(ids), "Azure does not tell pools apart by case"
    assert all(check_pool_id(pool_id) for pool_id in ids)


def dag(**more):
    return DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), **more)


def pools_of(built):
    """The templates of the pools, by the task that creates each; all tasks of a pool agree on it."""
    found = {}
    for each in built.tasks:
        if each.task_id.endswith("create"):
            group = each.task_id.removesuffix("create")
            others = {built.get_task(f"{group}{name}").pool_id for name in ("create", "gate", "delete")}
            assert len(others) == 1
            found[each.task_id] = each.pool_id
    return found


def all_differ(templates, map_indexes=(-1,)):
    ids = {rendered(template, map_index=index) for template in templates for index in map_indexes}
    return len(ids) == len(templates) * len(map_indexes)


def in_two_groups():
    for name in ("render", "encode"):
        with TaskGroup(name), ephemeral_pool(document(1)):
            pass


def in_groups_within_groups():
    for outer in ("a", "b"):
        with TaskGroup(outer):
            with TaskGroup("a"), ephemeral_pool(document(1)):
                pass
            with ephemeral_pool(document(1)):
                pass


def in_the_work_of_another():
    with ephemeral_pool(document(1)), ephemeral_pool(document(1)):
        pass


def in_a_group_that_is_called_twice():
    @task_group
    def group():
        with ephemeral_pool(document(1)):
            pass

    group()
    group()


def in_groups_that_give_no_prefix():
    for name in ("a", "b"):
        with (
            TaskGroup(name, prefix_group_id=False),
            TaskGroup("g", add_suffix_on_collision=True),
            ephemeral_pool(document(1)),
        ):
            pass


def under_names_that_are_one_for_azure():
    for name in ("g", "G"):
        with ephemeral_pool(document(1), group_id=name):
            pass


def under_long_names_with_the_same_beginning():
    for name in ("x" * 60, "x" * 61, "ü" * 3):
        with ephemeral_pool(document(1), group_id=name):
            pass


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (in_two_groups, 2),
        (in_groups_within_groups, 4),
        (in_the_work_of_another, 2),
        (in_a_group_that_is_called_twice, 2),
        (in_groups_that_give_no_prefix, 2),
        (under_names_that_are_one_for_azure, 2),
        (under_long_names_with_the_same_beginning, 3),
    ],
)
def test_each_pool_of_a_run_is_another_one_wherever_it_stands(build, count):
    with dag() as built:
        build()
    pools = pools_of(built)
    assert len(pools) == count
    assert all_differ(pools.values())
    assert all(check_pool_id(rendered(template)) for template in pools.values())
    with dag() as again:
        build()
    assert pools_of(again) == pools, "the DAG is parsed anew for each task and try"


def test_a_pool_beside_has_another_id_than_one_of_the_same_prefix():
    with dag(), ephemeral_pool(document(1), group_id="p") as pool:
        pass
    assert rendered(pool.pool_id) != rendered(run_pool_id("p"))


@pytest.mark.parametrize("mapped", [{}, {"mapped": None}, {"mapped": True}])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_each_expansion_of_a_mapped_group_has_its_own(mapped, depth):
    @task_group
    def group(document):
        def build(left):
            if left:
                with TaskGroup("inner"):
                    build(left - 1)
                    return
            with ephemeral_pool(document, **mapped):
                pass
            with ephemeral_pool(document, group_id="other", **mapped):
                pass

        build(depth)

    with dag() as built:
        group.expand(document=[document(1), document(2)])
    assert all_differ(pools_of(built).values(), map_indexes=(0, 1))


def test_the_expansions_of_a_group_given_by_keywords_have_their_own():
    @task_group
    def group(document, nodes):
        with ephemeral_pool(document):
            pass

    with dag() as built:
        group.expand_kwargs([{"document": document(1), "nodes": n} for n in (1, 2)])
    assert all_differ(pools_of(built).values(), map_indexes=(0, 1))


@pytest.mark.parametrize("mapped", [None, False, True])
def test_what_is_mapped_within_the_block_uses_the_one_pool(mapped):
    @task
    def use(pool_id, item):
        pass

    with dag(), ephemeral_pool(document(1), mapped=mapped) as pool:
        use.partial(pool_id=pool.pool_id).expand(item=[1, 2])
    assert len({rendered(pool.pool_id, map_index=index) for index in (-1, 0, 1)}) == 1


SAME = ["mine", "{{ run_id }}", "p-{{ ds_nodash }}-{% if params.x %}a{% endif %}"]


@pytest.mark.parametrize(
    ("how", "hint"),
    [({"mapped": False}, "mapped=True"), *(({"pool_id": name}, "mapped=True") for name in SAME)],
)
def test_expansions_that_would_share_a_pool_are_refused_when_the_dag_is_parsed(how, hint):
    @task_group
    def group(document):
        with ephemeral_pool(document, **how):
            pass

    with dag(), pytest.raises(ParameterError, match=hint) as refusal:
        group.expand(document=[document(1), document(2)])
    assert "'group'" in str(refusal.value), "it says which group is mapped"


@pytest.mark.parametrize(
    "pool_id", ["p-{{ ti.map_index }}", "{{ task_instance.xcom_pull('x')[ti.map_index] }}", "{{ broken", None]
)
def test_an_id_of_ones_own_that_may_differ_is_taken_in_a_mapped_group(pool_id):
    @task_group
    def group(document, name):
        with ephemeral_pool(document, pool_id=name if pool_id is None else pool_id):
            pass

    with dag():
        group.expand(document=[document(1)], name=["a"])


def test_two_deployments_on_one_account_have_different_pools(monkeypatch):
    def pool(name):
        monkeypatch.setenv("AIRFLOW__BATCHEXT__DEPLOYMENT", name)
        with dag(), ephemeral_pool(document(1)) as made:
            return rendered(made.pool_id), rendered(run_pool_id("p"))

    ids = [each for name in ("", "a", "b") for each in pool(name)]
    assert len(set(ids)) == 6
    assert pool("a") == tuple(ids[2:4])


def failed(context):
    pass


ARGS = {
    "azure_batchext_conn_id": "other",
    "retries": 5,
    "on_failure_callback": failed,
    "owner": "me",
    "poll_interval": 7.0,
}


@pytest.mark.parametrize("place", ["dag", "group", "both"])
def test_default_args_reach_what_is_made(place):
    of_dag = {"dag": ARGS, "group": {}, "both": {**ARGS, "owner": "nobody", "retries": 1}}[place]
    of_group = {"dag": {}, "group": ARGS, "both": ARGS}[place]
    with (
        dag(default_args=of_dag) as built,
        TaskGroup("g", default_args=of_group),
        TaskGroup("h"),
        ephemeral_pool(document(1)) as pool,
    ):
        pass
    assert len(built.tasks) == 3
    for each in (pool.create, pool.gate, pool.delete):
        assert each.azure_batchext_conn_id == "other"
        assert (each.retries, each.owner) == (5, "me")
        assert each.on_failure_callback in (failed, [failed])
    assert (pool.create.poll_interval, pool.delete.poll_interval) == (7.0, 7.0)


def test_what_is_given_itself_comes_before_default_args():
    with (
        dag(default_args=ARGS),
        ephemeral_pool(
            document(1),
            azure_batchext_conn_id="mine",
            create={"retries": 1},
            gate={"azure_batchext_conn_id": "reader"},
            delete={"default_args": {"retries": 9}},
        ) as pool,
    ):
        pass
    assert [each.retries for each in (pool.create, pool.gate, pool.delete)] == [1, 5, 9]
    conn_ids = [each.azure_batchext_conn_id for each in (pool.create, pool.gate, pool.delete)]
    assert conn_ids == ["mine", "reader", "mine"]


@pytest.mark.parametrize(
    ("args", "how", "retries"),
    [
        ({}, {}, 2),
        ({"retries": 0}, {}, 0),
        ({"retries": 1}, {}, 1),
        ({}, {"default_args": {"retries": 1}}, 1),
        ({}, {"retries": 0}, 0),
    ],
)
def test_creation_is_tried_again_unless_somebody_has_said_how_often(args, how, retries):
    with dag(default_args=args), ephemeral_pool(document(1), create=how) as pool:
        pass
    assert pool.create.retries == retries


@pytest.mark.parametrize("place", ["create", "gate", "delete"])
@pytest.mark.parametrize("name", ["pool_id", "task_id", "pool_document"])
def test_what_the_tasks_share_cannot_be_given_to_one_of_them(place, name):
    with dag(), pytest.raises(ParameterError, match=f"{place} has {name}"), ephemeral_pool(
        document(1), **{place: {name: "x"}}
    ):  # fmt: skip
        pass


def test_a_dag_with_a_timeout_is_warned_of_where_it_is_written():
    with (
        pytest.warns(UserWarning, match="dagrun_timeout") as warned,
        dag(dagrun_timeout=timedelta(seconds=60)),
        TaskGroup("g"),
        ephemeral_pool(document(1)),
    ):
        pass
    [warning] = warned
    assert warning.filename == __file__
    said = str(warning.message)
    assert all(word in said for word in ("'g.pool'", "dagrun_timeout", "execution_timeout"))


def test_no_other_dag_is_warned_of(recwarn):
    with dag(), ephemeral_pool(document(1)):
        pass
    assert not recwarn.list


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
