"""Preparation and release tasks of jobs through azure-batch: where tasks run then, and what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.scenario import PreparationScenario, TaskFailure, TaskScenario
from tests.emulator.pool_documents import data_pool
from tests.emulator.serving.test_state_file import client_of, emulator_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from azure.batch import BatchClient

LATER: dict[str, Any] = {"polling_interval": 3600}


@pytest.fixture
def job(emulator: Emulator, name: str) -> Iterator[str]:
    yield f"job-{name}"
    for left in emulator.account.jobs.all():
        if left.gone is None:
            emulator.account.jobs.delete(left.id)


def make(batch: BatchClient, job: str, pool: str, *tasks: str, release: bool = False, **members: Any) -> None:
    """A job that prepares its nodes, with tasks."""
    document: dict[str, Any] = {"id": job, "poolInfo": {"poolId": pool}}
    document["jobPreparationTask"] = {"commandLine": "/bin/true", **members}
    if release:
        document["jobReleaseTask"] = {"commandLine": "/bin/true"}
    batch.create_job(document)  # type: ignore[arg-type]
    add(batch, job, *tasks)


def add(batch: BatchClient, job: str, *tasks: str) -> None:
    for task in tasks:
        batch.create_task(job, {"id": task, "commandLine": "/bin/true"})  # type: ignore[arg-type]


def states(batch: BatchClient, job: str) -> dict[str, str]:
    return {task.id: str(task.state.value) for task in batch.list_tasks(job)}


def ran_on(batch: BatchClient, job: str) -> set[str]:
    return {task.node_info.node_id for task in batch.list_tasks(job) if task.node_info}


def prepared(batch: BatchClient, job: str) -> dict[str, Any]:
    """What is told of each node's preparation, by the node."""
    told = batch.list_job_preparation_and_release_task_status(job)
    return {one.node_id: one.job_preparation_task_execution_info for one in told}


def test_tasks_are_preparing_until_their_node_is_prepared_once(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(1, taskSlotsPerNode=2)
    emulator.scenario = Scenario(
        preparations=[PreparationScenario(after=60)], tasks=[TaskScenario(after=100)]
    )
    make(batch, job, name, "a", "b", "c")
    emulator.clock.advance(1)
    (node,) = batch.list_nodes(name)
    assert states(batch, job) == {"a": "preparing", "b": "preparing", "c": "active"}
    counts = batch.get_job_task_counts(job).task_counts
    assert (counts.active, counts.running) == (1, 2)
    assert (node.state, node.running_tasks_count) == ("running", 0)
    info = prepared(batch, job)[node.id]
    assert (info.state, info.end_time, info.exit_code, info.result) == ("running", None, None, None)
    emulator.clock.advance(61)
    assert states(batch, job) == {"a": "running", "b": "running", "c": "active"}
    (told,) = batch.list_job_preparation_and_release_task_status(job)
    done = told.job_preparation_task_execution_info
    assert (told.pool_id, told.node_id, told.job_release_task_execution_info) == (name, node.id, None)
    assert told.node_url.endswith(f"/pools/{name}/nodes/{node.id}")
    assert (done.state, done.exit_code, done.result, done.retry_count) == ("completed", 0, "success", 0)
    assert (done.end_time - done.start_time).total_seconds() == 60
    assert done.task_root_directory == f"workitems/{job}/job-1/jobpreparation"
    emulator.clock.advance(1000)
    assert set(states(batch, job).values()) == {"completed"}
    again = prepared(batch, job)[node.id]
    assert (again.start_time, again.end_time) == (done.start_time, done.end_time)
    (node,) = batch.list_nodes(name)
    assert (node.state, node.total_tasks_run, node.total_tasks_succeeded) == ("idle", 3, 3)


def test_a_node_that_fails_gets_no_task_of_that_job_and_those_of_others(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(2)
    bad, good = (visible.node.id for visible in emulator.account.nodes(name))
    emulator.scenario = Scenario(preparations=[PreparationScenario(node=0, exit_code=3)])
    make(batch, job, name, *"abcd", constraints={"maxTaskRetryCount": 2})
    emulator.clock.advance(600)
    assert set(states(batch, job).values()) == {"completed"}
    assert ran_on(batch, job) == {good}
    infos = prepared(batch, job)
    assert {node: (info.state, info.result, info.exit_code) for node, info in infos.items()} == {
        bad: ("completed", "failure", 3),
        good: ("completed", "success", 0),
    }
    assert (infos[bad].retry_count, infos[bad].failure_info.code) == (2, "FailureExitCode")
    assert all(task.execution_info.requeue_count == 0 for task in batch.list_tasks(job))
    other = f"{job}-o"
    batch.create_job({"id": other, "poolInfo": {"poolId": name}})  # type: ignore[arg-type]
    add(batch, other, *"abcd")
    emulator.clock.advance(1)
    assert ran_on(batch, other) == {bad, good}


def test_where_all_fail_the_tasks_stay_active(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(3)
    failure = TaskFailure(code="CommandProgramNotFound", message="no such program")
    emulator.scenario = Scenario(preparations=[PreparationScenario(failure=failure)])
    make(batch, job, name, "a", "b", constraints={"maxTaskRetryCount": 5})
    emulator.clock.advance(3600)
    assert states(batch, job) == {"a": "active", "b": "active"}
    infos = prepared(batch, job)
    assert len(infos) == 3
    for info in infos.values():
        assert (info.retry_count, info.exit_code, info.failure_info.code) == (0, None, failure.code)
    assert {node.state for node in batch.list_nodes(name)} == {"idle"}


@pytest.mark.parametrize(
    ("does", "first", "then", "runs"),
    [
        ("reboot", 0, 0, True),
        ("reboot", 1, 0, False),  # not before it is reimaged
        ("reimage", 1, 0, True),
        ("reimage", 0, 1, False),
        ("reboot", 0, 1, False),
        ("reboot without", 0, 1, True),
    ],
)
def test_a_node_is_prepared_again(
    emulator: Emulator,
    batch: BatchClient,
    ready_pool: Callable[..., str],
    job: str,
    does: str,
    first: int,
    then: int,
    runs: bool,
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(
        preparations=[
            PreparationScenario(boots="first", exit_code=first),
            PreparationScenario(exit_code=then),
        ]
    )
    again = {"rerunOnNodeRebootAfterSuccess": False} if does == "reboot without" else {}
    make(batch, job, name, "a", **again)
    emulator.clock.advance(60)
    assert states(batch, job) == {"a": "completed" if not first else "active"}
    (node,) = batch.list_nodes(name)
    began = prepared(batch, job)[node.id].start_time
    if does == "reimage":
        batch.begin_reimage_node(name, node.id, {"nodeReimageOption": "requeue"}, **LATER)  # type: ignore[arg-type]
    else:
        batch.begin_reboot_node(name, node.id, {"nodeRebootOption": "requeue"}, **LATER)  # type: ignore[arg-type]
    emulator.clock.advance(3600)
    add(batch, job, "b")
    emulator.clock.advance(60)
    assert states(batch, job)["b"] == ("completed" if runs else "active")
    is_anew = prepared(batch, job)[node.id].start_time != began
    assert is_anew == (does == "reimage" or (does == "reboot" and not first))


def test_what_cuts_a_preparation_off_makes_it_begin_anew(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(preparations=[PreparationScenario(after=100)])
    make(batch, job, name, "a")
    emulator.clock.advance(50)
    (node,) = batch.list_nodes(name)
    batch.begin_reboot_node(name, node.id, {"nodeRebootOption": "requeue"}, **LATER)  # type: ignore[arg-type]
    emulator.clock.advance(1)
    assert states(batch, job) == {"a": "active"}
    assert prepared(batch, job) == {}
    emulator.clock.advance(60)
    assert states(batch, job) == {"a": "preparing"}
    emulator.clock.advance(110)
    assert states(batch, job) == {"a": "completed"}


def disturb(emulator: Emulator, batch: BatchClient, pool: str, job: str, how: str) -> None:
    """What takes the first node, or its preparation, away."""
    (node, *_) = emulator.account.nodes(pool)
    match how:
        case "terminate":
            batch.begin_terminate_job(job, {"terminateReason": "x"}, **LATER)
        case "delete":
            batch.begin_delete_job(job, **LATER)
        case "reboot":
            batch.begin_reboot_node(pool, node.node.id, {"nodeRebootOption": "requeue"}, **LATER)  # type: ignore[arg-type]
        case "reboot and terminate":
            batch.begin_reboot_node(pool, node.node.id, {"nodeRebootOption": "terminate"}, **LATER)  # type: ignore[arg-type]
        case "reimage":
            batch.begin_reimage_node(pool, node.node.id, {"nodeReimageOption": "requeue"}, **LATER)  # type: ignore[arg-type]
        case "remove":
            emulator.account.remove_node(pool, node.node.id)
        case "preempt":
            emulator.account.preempt_node(pool, node.node.id)
        case _:
            raise ValueError(how)


@pytest.mark.parametrize("how", ["terminate", "delete", "time", "reboot and terminate"])
@pytest.mark.parametrize("failing", [{"exit_code": 1, "after": 5}, {"exit_code": None}])
def test_a_preparation_that_was_cut_off_does_not_go_on(
    emulator: Emulator,
    batch: BatchClient,
    ready_pool: Callable[..., str],
    job: str,
    how: str,
    failing: dict[str, Any],
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(preparations=[PreparationScenario(boots="first", **failing)])
    make(batch, job, name, "a", constraints={"maxTaskRetryCount": -1, "maxWallClockTime": "PT1M"})
    emulator.clock.advance(12)
    (node,) = batch.list_nodes(name)
    assert node.state == "running"
    if how == "time":
        batch.update_job(job, {"constraints": {"maxWallClockTime": "PT15S"}})  # type: ignore[arg-type]
    else:
        disturb(emulator, batch, name, job, how)
    for pause in (6, 60, 600):
        emulator.clock.advance(pause)
        (node,) = batch.list_nodes(name)
        assert node.state == ("rebooting" if how.startswith("reboot") and pause == 6 else "idle")


@pytest.mark.parametrize("how", ["reboot", "reimage"])
@pytest.mark.parametrize("end", [{"exit_code": 1, "after": 600}, {"after": 600}, {"exit_code": None}])
def test_one_that_was_cut_off_says_nothing_of_the_next(
    emulator: Emulator,
    batch: BatchClient,
    ready_pool: Callable[..., str],
    job: str,
    how: str,
    end: dict[str, Any],
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(
        preparations=[PreparationScenario(boots="first", **end), PreparationScenario(after=2000)]
    )
    make(batch, job, name, "a", constraints={"maxWallClockTime": "PT11M"} if "after" not in end else {})
    emulator.clock.advance(10)
    disturb(emulator, batch, name, job, how)
    emulator.clock.advance(550)
    before = batch.get_task(job, "a")
    assert before.state == "preparing"
    emulator.clock.advance(150)
    after = batch.get_task(job, "a")
    assert (after.state, after.state_transition_time) == ("preparing", before.state_transition_time)


@pytest.mark.parametrize("how", ["reboot", "reimage", "remove", "spare"])
@pytest.mark.parametrize("retries", [1, -1])
def test_a_node_that_is_to_take_no_more_does_not_try_again(
    emulator: Emulator,
    batch: BatchClient,
    ready_pool: Callable[..., str],
    job: str,
    how: Literal["reboot", "reimage", "remove", "spare"],
    retries: int,
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(preparations=[PreparationScenario(exit_code=1, after=40)])
    make(batch, job, name, "a", waitForSuccess=how == "spare", constraints={"maxTaskRetryCount": retries})
    emulator.clock.advance(10)
    (node,) = batch.list_nodes(name)
    match how:
        case "reboot":
            emulator.account.reboot_node(name, node.id, "taskcompletion")
        case "reimage":
            emulator.account.reimage_node(name, node.id, "taskcompletion")
        case "remove":
            emulator.account.remove_nodes(name, [node.id], "taskcompletion")
        case "spare":
            emulator.account.set_scheduling(name, node.id, enabled=False, option="taskcompletion")
    emulator.clock.advance(20)
    assert batch.get_node(name, node.id).state == "running"
    emulator.clock.advance(12)
    state = {"reboot": "rebooting", "reimage": "reimaging", "remove": "leavingpool", "spare": "offline"}[how]
    assert batch.get_node(name, node.id).state == state
    assert prepared(batch, job) == {}
    assert states(batch, job) == {"a": "active" if how == "spare" else "completed"}
    emulator.clock.advance(50)
    assert prepared(batch, job) == {}


@pytest.mark.timeout(60)  # one that fails hangs
@pytest.mark.parametrize("after", [0, 3])
def test_one_that_is_tried_again_without_end_never_begins_later_than_now(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str, after: float
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(preparations=[PreparationScenario(exit_code=1, after=after)])
    make(batch, job, name, "a", constraints={"maxTaskRetryCount": -1})
    emulator.clock.advance(10_000)
    for _ in range(8):
        emulator.clock.advance(30)
        (info,) = prepared(batch, job).values()
        assert (info.state, info.retry_count > 100) == ("running", True)
        assert info.last_retry_time <= info.start_time <= emulator.clock.now()


def test_without_waiting_for_success_tasks_begin_at_once_and_go_on(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(preparations=[PreparationScenario(after=30, exit_code=1)])
    make(batch, job, name, "a", "b", waitForSuccess=False)
    emulator.clock.advance(1.4)
    assert states(batch, job)["a"] == "completed"
    assert [info.state for info in prepared(batch, job).values()] == ["running"]
    emulator.clock.advance(60)
    add(batch, job, "c")
    emulator.clock.advance(60)
    assert set(states(batch, job).values()) == {"completed"}
    assert [info.result for info in prepared(batch, job).values()] == ["failure"]


@pytest.mark.parametrize("how", ["terminate task", "delete task", "terminate job", "disable", "delete pool"])
def test_a_preparing_task_can_be_ended(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str, how: str
) -> None:
    name = ready_pool(1)
    emulator.scenario = Scenario(preparations=[PreparationScenario(after=100)])
    make(batch, job, name, "a", "b")
    emulator.clock.advance(10)
    match how:
        case "terminate task":
            batch.terminate_task(job, "a")
            emulator.clock.advance(1)
            assert states(batch, job) == {"a": "completed", "b": "preparing"}
            assert batch.get_task(job, "a").execution_info.failure_info.code == "TaskEnded"
        case "delete task":
            batch.delete_task(job, "a")
            emulator.clock.advance(1)
            assert states(batch, job) == {"b": "preparing"}
        case "terminate job":
            batch.begin_terminate_job(job, {"terminateReason": "x"}, **LATER)
            emulator.clock.advance(1)
            assert states(batch, job) == {"a": "completed", "b": "active"}
            assert prepared(batch, job) == {}
            (node,) = batch.list_nodes(name)
            assert node.state == "idle"
        case "disable":
            batch.begin_disable_job(job, {"disableTasks": "wait"}, **LATER)  # type: ignore[arg-type]
            emulator.clock.advance(50)
            assert batch.get_job(job).state == "disabling"
            emulator.clock.advance(60)
            assert (batch.get_job(job).state, states(batch, job)) == (
                "disabled",
                {"a": "completed", "b": "active"},
            )
        case _:
            batch.begin_delete_pool(name, **LATER)
            emulator.clock.advance(60)
            assert states(batch, job) == {"a": "active", "b": "active"}


ENDINGS = [
    *("reboot", "reboot and terminate", "reimage", "remove", "preempt"),
    *("terminate task", "delete task", "delete pool", "fails"),
]


@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("runs", ["prepares", "for ever", "long"])
def test_a_job_that_waits_for_its_tasks_is_disabled_when_they_are_no_more(
    emulator: Emulator,
    batch: BatchClient,
    ready_pool: Callable[..., str],
    job: str,
    runs: str,
    how: str,
) -> None:
    if how == "fails" and runs != "prepares":
        return
    name = ready_pool(1, taskSlotsPerNode=2)
    preparation = PreparationScenario(after=100, exit_code=1) if runs == "prepares" else PreparationScenario()
    task = TaskScenario(exit_code=None) if runs == "for ever" else TaskScenario(after=3000)
    emulator.scenario = Scenario(preparations=[preparation], tasks=[task])
    make(batch, job, name, "a", "b", "c")
    emulator.clock.advance(10)
    batch.begin_disable_job(job, {"disableTasks": "wait"}, **LATER)  # type: ignore[arg-type]
    emulator.clock.advance(10)
    match how:
        case "terminate task" | "delete task":
            end = batch.terminate_task if how == "terminate task" else batch.delete_task
            end(job, "a")
            emulator.clock.advance(10)
            assert batch.get_job(job).state == "disabling", "the other one is still there"
            end(job, "b")
        case "delete pool":
            batch.begin_delete_pool(name, **LATER)
        case "fails":
            emulator.clock.advance(100)
        case _:
            disturb(emulator, batch, name, job, how)
    told = batch.get_job(job)
    assert (told.state, told.previous_state) == ("disabled", "disabling")
    emulator.clock.advance(600)
    assert batch.get_job(job).state_transition_time == told.state_transition_time
    assert set(states(batch, job).values()) <= {"active", "completed"}
    batch.begin_enable_job(job, **LATER)
    emulator.clock.advance(5000)
    assert batch.get_job(job).state == "active"


def test_a_task_on_several_nodes_waits_for_all_of_them(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(2, interNodeCommunication="Enabled")
    emulator.scenario = Scenario(
        preparations=[PreparationScenario(node=0, after=10), PreparationScenario(after=100)]
    )
    make(batch, job, name)
    several = {"numberOfInstances": 2, "coordinationCommandLine": "/bin/true"}
    task = {"id": "a", "commandLine": "/bin/true", "multiInstanceSettings": several}
    batch.create_task(job, task)  # type: ignore[arg-type]
    emulator.clock.advance(50)
    assert states(batch, job) == {"a": "preparing"}
    emulator.clock.advance(60)
    assert states(batch, job) == {"a": "completed"}


def test_release_tasks_run_where_the_job_did(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(3)
    first, second, third = (visible.node.id for visible in emulator.account.nodes(name))
    emulator.scenario = Scenario(
        preparations=[PreparationScenario(node=0, exit_code=1)], tasks=[TaskScenario(after=30)]
    )
    make(batch, job, name, *"abc", release=True)
    emulator.clock.advance(100)
    batch.begin_reimage_node(name, third, {"nodeReimageOption": "requeue"}, **LATER)  # type: ignore[arg-type]
    emulator.clock.advance(600)
    batch.begin_terminate_job(job, {"terminateReason": "x"}, **LATER)
    emulator.clock.advance(1)
    told = {one.node_id: one for one in batch.list_job_preparation_and_release_task_status(job)}
    assert set(told) == {first, second, third}
    released = told[second].job_release_task_execution_info
    assert (released.state, released.exit_code, released.result) == ("completed", 0, "success")
    assert released.task_root_directory == f"workitems/{job}/job-1/jobrelease"
    assert told[first].job_release_task_execution_info is None
    assert told[third].job_release_task_execution_info is None


@pytest.mark.parametrize("wait", [0.1, 60])
@pytest.mark.parametrize("first", ["terminate", "complete", "time", ""])
def test_release_tasks_run_once(
    emulator: Emulator,
    batch: BatchClient,
    ready_pool: Callable[..., str],
    job: str,
    first: str,
    wait: float,
) -> None:
    name = ready_pool(2)
    emulator.scenario = Scenario(tasks=[TaskScenario(after=30)])
    make(batch, job, name, *"ab", release=True)
    emulator.clock.advance(100)
    changes = {"complete": {"onAllTasksComplete": "terminatejob"}, "time": {"constraints": SHORT}}.get(first)
    if changes is not None:
        batch.update_job(job, changes)  # type: ignore[arg-type]
    else:
        disturb(emulator, batch, name, job, first or "delete")
    emulator.clock.advance(wait if first else 0.1)
    before = released(batch, job)
    assert len(before) == 2
    if first:
        disturb(emulator, batch, name, job, "delete")
    emulator.clock.advance(0.1)
    assert released(batch, job) == before


SHORT = {"maxWallClockTime": "PT1S"}


def released(batch: BatchClient, job: str) -> dict[str, Any]:
    """When each node's release task began, by the node."""
    told = batch.list_job_preparation_and_release_task_status(job)
    infos = {one.node_id: one.job_release_task_execution_info for one in told}
    return {node: info.start_time for node, info in infos.items() if info is not None}


def test_nodes_that_are_gone_stay_in_the_list_which_is_paged_and_filtered(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    name = ready_pool(3)
    emulator.scenario = Scenario(tasks=[TaskScenario(after=30)])
    make(batch, job, name, *"abc")
    emulator.clock.advance(100)
    nodes = sorted(visible.node.id for visible in emulator.account.nodes(name))
    emulator.account.remove_node(name, nodes[0])
    emulator.clock.advance(100)
    listing = batch.list_job_preparation_and_release_task_status
    assert [one.node_id for one in listing(job)] == nodes
    assert [one.node_id for one in listing(job, max_results=1)] == nodes
    filtered = listing(job, filter=f"nodeId eq '{nodes[1]}'", select=["nodeId"])
    assert [one.as_dict() for one in filtered] == [{"nodeId": nodes[1]}]


def test_the_ids_of_preparation_and_release_are_taken(
    emulator: Emulator, batch: BatchClient, job: str
) -> None:
    make(batch, job, "p", release=True)
    for task, code in (
        ("JobPreparation", "TaskIdSameAsJobPreparationTask"),
        ("jobrelease", "TaskIdSameAsJobReleaseTask"),
    ):
        with pytest.raises(ResourceExistsError) as refused:
            add(batch, job, task)
        assert refused.value.model.code == code  # type: ignore[attr-defined]
    alone: dict[str, Any] = {"id": f"{job}-r", "poolInfo": {"poolId": "p"}}
    alone["jobReleaseTask"] = {"commandLine": "/bin/true"}
    with pytest.raises(HttpResponseError) as missing:
        batch.create_job(alone)  # type: ignore[arg-type]
    assert missing.value.status_code == 400


def test_preparations_are_kept_across_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    scenario = Scenario(
        preparations=[PreparationScenario(node=0, exit_code=1), PreparationScenario(after=50)]
    )
    with emulator_with(state, scenario=scenario) as first, client_of(first) as batch:
        batch.create_pool(data_pool("p", 2))
        first.clock.advance(200)
        make(batch, "j", "p", "a", "b", "c")
        first.clock.advance(10)
        before = {node: info.as_dict() for node, info in prepared(batch, "j").items()}
        assert sorted(states(batch, "j").values()) == ["active", "active", "preparing"]
    with emulator_with(state, scenario=scenario) as second, client_of(second) as batch:
        assert {node: info.as_dict().keys() for node, info in prepared(batch, "j").items()} == {
            node: info.keys() for node, info in before.items()
        }
        second.clock.advance(600)
        assert set(states(batch, "j").values()) == {"completed"}
        assert len(ran_on(batch, "j")) == 1
