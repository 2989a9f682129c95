"""Work whose nodes are checked first, and work that is given no node: it says why."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.account.job_records import state_at
from airflow_batchext.emulator.documents.job import read_job, read_task
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.exceptions import ParameterError, TaskNotStartedError
from airflow_batchext.hooks._drivers.work import Place, look_at_task
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.node_checks import certificate_check, gpu_check
from airflow_batchext.operators.job import AzureBatchCreateJobOperator
from airflow_batchext.rules.work import Stage, stands
from tests.examples import examples
from tests.operators import test_tasks
from tests.operators.conftest import run
from tests.operators.test_task import MODES, books, context, left_alone, live, scenario, work

pytestmark = pytest.mark.usefixtures("signed_in")

KINDS = pytest.mark.parametrize("make", [work, test_tasks.work], ids=["one", "many"])
CHECK = "/usr/bin/test -s /var/lib/certs/web"
_numbers = itertools.count()


def job_of(azure: Any) -> Any:
    (job,) = azure.emulator.account.jobs.all()
    return job


def still(azure: Any) -> list[str]:
    """What runs, or may still be given a node."""
    jobs = azure.emulator.account.jobs.all()
    return [t.id for job in jobs if job.goal == "active" for t in job.tasks.values() if not t.is_completed]


def ran_on(azure: Any) -> set[str]:
    return {node.id for task in job_of(azure).tasks.values() for node in task.nodes}


@MODES
@KINDS
def test_only_nodes_that_pass_are_given_its_tasks(azure, pauses, deferrable, make):
    azure.create(2)
    bad, good = (visible.node.id for visible in azure.emulator.account.nodes(azure.pool_id))
    scenario(azure, {"after": 40}, preparations=[{"node": 0, "exit_code": 1}])
    result = run(azure, make(azure, node_check=CHECK), deferrable=deferrable, context=context())
    assert result.get("result", "succeeded") == "succeeded"
    task = job_of(azure).document["jobPreparationTask"]
    assert (task["commandLine"], task["waitForSuccess"]) == (CHECK, True)
    assert task["constraints"]["maxWallClockTime"] == "PT15M"
    assert ran_on(azure) == {good}
    assert set(job_of(azure).preparations) <= {bad, good}


@MODES
@KINDS
def test_where_all_nodes_fail_it_fails_and_says_with_what(azure, pauses, deferrable, make):
    azure.create(2)
    scenario(azure, {}, preparations=[{"exit_code": 3, "after": 100}])
    told = context()
    with pytest.raises(
        TaskNotStartedError,
        match=r"given no node: .*0 of 2 nodes of pool .* take tasks of the job \(2 idle\); "
        r"the job's preparation task failed on tvmps_\w+…_d, tvmps_\w+…_d \(exit code 3, usererror: ",
    ):
        run(azure, make(azure, node_check=CHECK), deferrable=deferrable, context=told)
    azure.pass_time(60)
    assert not still(azure), "what waits is ended"
    with pytest.raises(AirflowSkipException):
        run(azure, make(azure, node_check=CHECK, soft_fail=True), deferrable=deferrable, context=context(2))
    if make is work:
        assert told["ti"].pushed["batch_task"]["result"] == "unstarted"


@KINDS
def test_the_next_try_has_its_nodes_checked_anew(azure, pauses, make):
    azure.create(2)
    scenario(azure, {}, preparations=[{"exit_code": 1}])
    with pytest.raises(TaskNotStartedError):
        make(azure, node_check=CHECK).execute(context())
    azure.pass_time(60)
    scenario(azure, {})
    make(azure, node_check=CHECK).execute(context(2))
    assert [name for name, (_, failed) in books(azure).items() if not failed]


@pytest.mark.parametrize(
    ("deferrable", "make"), [(False, work), pytest.param(True, test_tasks.work, marks=pytest.mark.slow)]
)
def test_the_job_of_one_whose_nodes_all_failed_takes_no_next_try(azure, pauses, deferrable, make):
    """However late Azure ends a job in which nothing is left to do."""
    azure.create(2)
    scenario(azure, {}, preparations=[{"exit_code": 1}], answers={"ends_by_itself": "never"})
    for number in (1, 2):
        with pytest.raises(TaskNotStartedError):
            run(azure, make(azure, node_check=CHECK), deferrable=deferrable, context=context(number))
    first, second = azure.emulator.account.jobs.all()
    assert (first.goal, second.goal) == ("completed", "completed")
    assert [len(job.tasks) for job in (first, second)] == [1 if make is work else 3] * 2


@pytest.mark.parametrize("make", [work, pytest.param(test_tasks.work, marks=pytest.mark.slow)])
def test_a_job_of_ones_own_or_of_map_indexes_is_not_ended_for_others(azure, pauses, make):
    azure.create(2)
    scenario(azure, {}, preparations=[{"exit_code": 1}])
    left_alone(azure, make(azure, node_check=CHECK), map_index=1)
    azure.pass_time(60)
    with pytest.raises(TaskNotStartedError):
        make(azure, node_check=CHECK).execute(context(map_index=2))
    assert {name[:6] for name in still(azure)} == {"m00001"}


@MODES
@KINDS
def test_a_node_that_comes_later_is_checked_too(azure, pauses, deferrable, make, monkeypatch):
    azure.create(1)
    scenario(azure, {"after": 400}, preparations=[{"node": 1, "exit_code": 1}])
    azure.emulator.account.resize_pool(azure.pool_id, 2)
    run(azure, make(azure, node_check=CHECK), deferrable=deferrable, context=context())
    assert len(ran_on(azure)) == 1


@KINDS
@pytest.mark.parametrize(
    ("check", "retries", "longest"),
    [
        ({"commandLine": CHECK}, 0, "PT15M"),
        ({"commandLine": CHECK, "constraints": {"maxTaskRetryCount": 2}}, 2, "PT15M"),
        (certificate_check("https://v.vault.azure.net/secrets/c"), 0, "PT11M"),
        (gpu_check(2), 0, "PT11M"),
    ],
)
def test_it_is_the_jobs_preparation_task(azure, pauses, make, check, retries, longest):
    azure.create(1)
    make(azure, node_check=check).execute(context())
    task = job_of(azure).document["jobPreparationTask"]
    for name in check.keys() - {"constraints"}:
        assert str(task[name]).casefold() == str(check[name]).casefold()
    limits = task["constraints"]
    assert (limits["maxTaskRetryCount"], limits["maxWallClockTime"]) == (retries, longest)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("", "node_check"),
        (3, "command line or a dict"),
        (["/bin/true"], "command line or a dict"),
        ({}, "commandLine"),
        ({"commandLine": " "}, "commandLine"),
        ({"commandLine": "x", "waitForSuccess": False}, "takes no task before it was checked"),
        ({"commandLine": "x", "id": "y"}, "'id', but it can have"),
        ({"commandLine": "x", "constraints": 3}, "constraints"),
    ],
)
def test_what_is_no_check_is_refused_when_the_dag_is_read_and_when_it_runs(azure, check, said):
    with pytest.raises(ParameterError, match=said):
        work(azure, node_check=check)
    task = work(azure)
    task.node_check = check  # as a template may have been rendered to it
    with pytest.raises(ParameterError, match=said):
        task.execute(context())
    assert not books(azure)


@KINDS
def test_a_job_of_ones_own_has_its_own_preparation(azure, pauses, make):
    with pytest.raises(
        ParameterError, match=r"node_check is for the job that is made for the task\. A job of"
    ):
        make(azure, node_check=CHECK, job_id="mine")
    azure.create(1)
    task = make(azure, node_check="{{ params.check }}")
    task.node_check, task.job_id = CHECK, "mine"
    with pytest.raises(ParameterError, match=r"jobPreparationTask in the job_document of batch_job"):
        task.execute(context())
    assert not books(azure)


@MODES
@KINDS
def test_a_job_of_several_operators_prepares_its_nodes_as_it_was_made_to(azure, pauses, deferrable, make):
    azure.create(2)
    scenario(azure, {}, preparations=[{"exit_code": 1}])
    document = {"jobPreparationTask": certificate_check("https://v.vault.azure.net/secrets/c")}
    job = AzureBatchCreateJobOperator(
        task_id="job", pool_id=azure.pool_id, prefix="shared", job_document=document
    ).execute({})
    with pytest.raises(TaskNotStartedError, match=r"preparation task failed on .* \(exit code 1, "):
        run(azure, make(azure, job_id=job["job_id"]), deferrable=deferrable, context=context())
    azure.pass_time(10)
    assert not live(azure), "its tasks are ended, not the job"


def test_a_secret_in_it_is_refused(azure):
    azure.create(1)
    secret = [{"name": "PASSWORD", "value": "hunter2-hunter2"}]
    task = work(azure, node_check={"commandLine": "x", "environmentSettings": secret})
    assert "hunter2" not in str(task.node_check)
    with pytest.raises(ParameterError, match="preparation task looks like a secret") as refused:
        task.execute(context())
    assert "hunter2" not in str(refused.value)


# --- why nothing starts ------------------------------------------------------------------------------------


@MODES
@KINDS
def test_after_start_timeout_it_fails_and_says_why_nothing_starts(
    azure, pauses, deferrable, make, monkeypatch
):
    rules = [{"resize_error": "AccountCoreQuotaReached", "nodes_allocated": 0}]
    scenario(azure, {}, pools=rules)
    azure.create(4)
    task = make(azure, start_timeout=0.3)
    task.poll_interval = 0.05
    with pytest.raises(
        TaskNotStartedError,
        match=r"not started within start_timeout: .*0 of 4 nodes of pool .*; the resize of pool .* ended "
        r"with 0 of 4 nodes: AccountCoreQuotaReached",
    ):
        run(azure, task, deferrable=deferrable, context=context())
    assert not still(azure)


@MODES
@KINDS
def test_what_has_started_in_time_may_take_its_time(azure, pauses, deferrable, make):
    azure.create(2)
    scenario(azure, {"after": 300})
    result = run(azure, make(azure, start_timeout=0.2), deferrable=deferrable, context=context())
    assert result.get("result", "succeeded") == "succeeded"


def test_a_task_that_gave_its_node_back_has_started(azure, monkeypatch):
    azure.create(1)
    scenario(azure, {"after": 300})
    looks = itertools.count()

    def pause(seconds):
        if next(looks) == 1:
            account = azure.emulator.account
            account.preempt_node(azure.pool_id, account.nodes(azure.pool_id)[0].node.id, back_after=3000)
            task._steps._memo["start_deadline"] = 1.0
        azure.pass_time(30 if next(looks) < 30 else 3000)

    task = work(azure, start_timeout=600)
    monkeypatch.setattr("airflow_batchext.operators._steps.work.time.sleep", pause)
    assert task.execute(context())["result"] == "succeeded"


def test_who_may_not_read_how_nodes_are_prepared_waits_all_the_same(azure, pauses):
    azure.create(1)
    path = "/jobs/*/jobpreparationandreleasetaskstatus"
    scenario(azure, {"after": 60}, preparations=[{"after": 200}])
    fault = {"action": "error", "status": 403, "path": path, "count": 100}
    azure.emulator.faults.add(read_fault(fault))
    assert work(azure, node_check=CHECK).execute(context())["result"] == "succeeded"
    assert azure.reads("jobpreparation")


def test_it_costs_one_list_more_and_only_while_something_waits(azure, pauses):
    azure.create(1)
    scenario(azure, {"after": 600}, preparations=[{"after": 300}])
    work(azure, node_check=CHECK).execute(context())
    asked = azure.reads("")
    lists = len([path for path in asked if "jobpreparation" in path])
    assert lists == len([path for path in asked if "/nodes" in path])
    assert 1 <= lists <= 4
    azure.emulator.requests.clear()
    work(azure).execute(context(task_id="other"))
    assert not azure.reads("jobpreparation")


# --- worlds: the emulator is the one who knows -------------------------------------------------------------

FATE = st.sampled_from([0, 0, 1])
WORLDS = st.fixed_dictionaries(
    {
        "nodes": st.lists(st.tuples(FATE, FATE), min_size=1, max_size=3),
        "length": st.sampled_from([0, 100]),
        "happenings": st.lists(
            st.tuples(
                st.sampled_from(["reboot", "reimage", "unusable", "remove", "grow", "preempt", "spare"]),
                st.integers(0, 2),
            ),
            max_size=3,
        ),
    }
)


def let(azure: Any, what: str, number: int) -> None:
    account, name = azure.emulator.account, azure.pool_id
    nodes = account.nodes(name)
    if not nodes:
        return
    node = nodes[number % len(nodes)].node.id
    match what:
        case "reboot":
            account.reboot_node(name, node)
        case "reimage":
            account.reimage_node(name, node)
        case "unusable":
            account.mark_node(name, node, "unusable")
        case "remove":
            account.remove_node(name, node)
        case "grow":
            account.resize_pool(name, len(nodes) + 1)
        case "preempt":
            account.preempt_node(name, node, back_after=60)
        case "spare":
            account.set_scheduling(name, node, enabled=False)


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world=WORLDS)
def test_where_nothing_will_start_it_says_so_and_never_where_something_does(azure: Any, world: Any) -> None:
    """A look is final only where, left alone, the emulator never starts the task; where it is not, and the
    pool has come to rest, then a node is still in the way of coming back, or the task starts."""
    azure.pool_id = f"world-{next(_numbers)}"
    azure.emulator.scenario = Scenario()
    account, jobs = azure.emulator.account, azure.emulator.account.jobs
    azure.create(len(world["nodes"]))
    name = f"j-{azure.pool_id}"
    rules = [
        {"node": number, "boots": boots, "exit_code": fate, "after": world["length"], "pool": azure.pool_id}
        for number, fates in enumerate(world["nodes"])
        for boots, fate in zip(("first", "later"), fates, strict=True)
    ]
    azure.emulator.scenario = Scenario.load({"tasks": [{"after": 60}], "preparations": rules})
    pool = {"poolInfo": {"poolId": azure.pool_id}, "onAllTasksComplete": "noaction"}
    job_id, document = read_job({"id": name, **pool, "jobPreparationTask": {"commandLine": "x"}})
    jobs.create(job_id, document)
    jobs.add(name, *read_task({"id": "t", "commandLine": "x"}, document))
    task = jobs.task(name, "t")
    with AzureBatchJobHook() as hook:
        for what, number in [*world["happenings"], ("", 0)]:
            azure.pass_time(60)
            if what:
                let(azure, what, number)
                azure.pass_time(1)
            look = hook.run(look_at_task(Place(name, azure.pool_id), "t", whole=True))
            found = stands("t", look)
            if found.stage is Stage.UNSTARTED:
                event("final")
                azure.pass_time(100_000)
                assert state_at(task.moments, azure.emulator.clock.now())[0][1] == "active"
                assert task.run is None
                break
        else:
            azure.pass_time(100_000)
            found = stands("t", hook.run(look_at_task(Place(name, azure.pool_id), "t", whole=True)))
            states = {visible.now.state.value for visible in account.nodes(azure.pool_id)}
            has_rebooted = {"reboot", "preempt", "reimage"} & {what for what, _ in world["happenings"]}
            event(f"{found.stage.value} {'after a boot' if has_rebooted else ''}")
            waits_for = states & {"unusable", "offline", "preempted"} or not states or has_rebooted
            assert found.stage in (Stage.SUCCEEDED, Stage.UNSTARTED) or waits_for, found.text
    jobs.delete(name)
    account.delete_pool(azure.pool_id, at_once=True)
