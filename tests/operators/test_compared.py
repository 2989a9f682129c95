"""What docs/work-compared.md says of Airflow's own operator and of ours, run against the emulator."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.exceptions import TaskFailedError
from airflow_batchext.hooks.job import AzureBatchJobHook
from tests.conftest import official_connection
from tests.operators.conftest import go_on, run
from tests.operators.test_task import books, context, left_alone, live, scenario, work

batch = pytest.importorskip("airflow.providers.microsoft.azure.operators.batch")
hooks = pytest.importorskip("airflow.providers.microsoft.azure.hooks.batch")

pytestmark = pytest.mark.usefixtures("signed_in")


@pytest.fixture
def waits(azure, monkeypatch):
    """The official hook's pauses, which take no time here; in each, 30 seconds pass for the emulator."""
    azure.connect("official", official_connection(azure.emulator))
    made = []

    def pause(seconds):
        made.append(seconds)
        azure.pass_time(30)
        if len(made) > 50:
            raise AssertionError("it waits for ever")

    monkeypatch.setattr(hooks, "time", SimpleNamespace(sleep=pause))
    return made


def official(azure, name="a", **kwargs):
    return batch.AzureBatchOperator(
        task_id=name,
        azure_batch_conn_id="official",
        batch_pool_id=azure.pool_id,
        batch_pool_vm_size="STANDARD_D2S_V5",
        vm_publisher="canonical",
        vm_offer="ubuntu-24_04-lts",
        vm_sku="server",
        vm_version="latest",
        vm_node_agent_sku_id="batch.node.ubuntu 24.04",
        target_dedicated_nodes=2,
        batch_job_id="job",
        batch_task_id=name,
        batch_task_command_line="/bin/true",
        **kwargs,
    )


def added(azure):
    return [r for r in azure.emulator.requests if r.method == "POST" and "/tasks?" in r.path]


def test_two_tasks_run_one_after_the_other_and_ours_side_by_side(azure, waits, pauses):
    azure.create(2)
    scenario(azure, {"after": 600})
    with pytest.raises(TaskDeferred):
        official(azure, deferrable=True).execute({})
    azure.pass_time(30)
    with pytest.raises(TaskDeferred):
        official(azure, "b", deferrable=True).execute({})
    assert len(waits) >= 15, "on its worker, until the first has ended"
    assert live(azure) == [("job", "b")]
    for index in range(2):
        left_alone(azure, work(azure), map_index=index)
    assert len(live(azure)) == 3


def test_a_retry_reads_the_old_failure_and_ours_runs_the_work_again(azure, waits, pauses):
    azure.create(2)
    scenario(azure, {"job": "job", "exit_code": 3}, {"task": "*-t1", "exit_code": 3})
    for _ in range(2):
        with pytest.raises(RuntimeError, match="Job fail"):
            official(azure).execute({})
    assert [name for name in books(azure) if name[0] == "job"] == [("job", "a")]
    with pytest.raises(TaskFailedError):
        run(azure, work(azure), deferrable=False, context=context(1))
    assert run(azure, work(azure), deferrable=False, context=context(2))["exit_code"] == 0


def test_a_success_beside_a_failure_fails_and_ours_does_not(azure, waits, pauses):
    azure.create(2)
    scenario(azure, {"task": "bad*", "exit_code": 3}, {"task": "*m00000*", "exit_code": 3})
    with pytest.raises(RuntimeError):
        official(azure, "bad").execute({})
    with pytest.raises(RuntimeError, match="Job fail"):
        official(azure, "good").execute({})
    assert books(azure)["job", "good"] == ("completed", None)
    with pytest.raises(TaskFailedError):
        run(azure, work(azure, job_id="mine"), deferrable=False, context=context(map_index=0))
    assert run(azure, work(azure, job_id="mine"), deferrable=False, context=context(map_index=1))


def test_who_ends_it_ends_nothing_and_with_ours_the_batch_task(azure, waits, pauses):
    azure.create(2)
    scenario(azure, {"exit_code": None})
    task = official(azure, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute({})
    azure.pass_time(30)
    with pytest.raises(ValueError, match="No value for given attribute"):
        task.on_kill()
    assert live(azure) == [("job", "a")]
    # The base has one that does nothing; before Airflow 3.3 it has none.
    assert "on_kill" not in vars(type(deferred.value.trigger))
    ours = work(azure)
    left_alone(azure, ours)
    ours.on_kill()
    azure.pass_time(30)
    assert live(azure) == [("job", "a")]


@pytest.mark.parametrize("is_ours", [False, True])
def test_one_answer_that_cannot_be_read_fails_the_task_and_ours_looks_again(azure, waits, pauses, is_ours):
    azure.create(2)
    scenario(azure, {"after": 60})
    garbled = {"action": "garble", "path": "/jobs/*/tasks", "method": "GET", "count": 1}
    if is_ours:
        deferred = left_alone(azure, work(azure))
        azure.emulator.faults.add(read_fault(garbled))
        assert go_on(azure, work(azure), deferred, context())["result"] == "succeeded"
        return
    with pytest.raises(TaskDeferred) as deferred:
        official(azure, deferrable=True).execute({})
    azure.emulator.faults.add(read_fault(garbled))

    async def first():
        return await anext(deferred.value.trigger.run())

    assert asyncio.run(first()).payload["status"] == "error"
    assert live(azure) == [("job", "a")]


def test_its_deadline_leaves_the_work_running(azure, waits):
    azure.create(2)
    scenario(azure, {"exit_code": None})
    with pytest.raises(TimeoutError):
        official(azure, timeout=0, should_delete_job=True).execute({})
    assert live(azure) == [("job", "a")]


def test_retries_by_azure_are_not_sent_no_output_is_read_and_nothing_is_told(azure, waits):
    azure.create(2)
    scenario(azure, {"stdout": "hello\n"})
    assert official(azure, batch_max_retries=7).execute({}) is None
    with AzureBatchJobHook() as hook:
        assert hook.get_task("job", "a")["constraints"]["maxTaskRetryCount"] == 0
    assert not [r for r in azure.emulator.requests if "/files" in r.path]
    assert not batch.AzureBatchOperator.operator_extra_links


def test_it_makes_the_pool_itself(azure, waits):
    official(azure).execute({})
    (pool,) = azure.emulator.account.pools()
    assert pool.name == azure.pool_id
    machine = pool.definition.properties["deploymentConfiguration"]["virtualMachineConfiguration"]
    assert not machine.get("extensions")
