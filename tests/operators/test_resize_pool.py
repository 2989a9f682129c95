"""Resizing pools as tasks, on the emulator."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_batchext.emulator import PoolScenario, Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.emulator.scenario import ResizeError
from airflow_batchext.exceptions import (
    NotFoundError,
    ParameterError,
    PoolConflictError,
    PoolResizeError,
    PoolTimeoutError,
)
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators.pool import AzureBatchResizePoolOperator
from tests.conftest import document
from tests.operators.conftest import properties, run

pytestmark = pytest.mark.usefixtures("signed_in")

MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])


def resize(azure, dedicated=3, **kwargs):
    kwargs = {"poll_interval": 5, "timeout": 900, "target_dedicated_nodes": dedicated, **kwargs}
    return AzureBatchResizePoolOperator(task_id="resize", pool_id=azure.pool_id, **kwargs)


def patches(azure):
    return [r for r in azure.emulator.requests if r.method == "PATCH"]


@MODES
@pytest.mark.parametrize("nodes", [0, 1, 3, "4"])
def test_ends_when_the_pool_has_its_nodes(azure, pauses, nodes, deferrable):
    azure.create(2)
    result = run(azure, resize(azure, nodes), deferrable=deferrable)
    assert result == {
        "pool_id": azure.pool_id,
        "resized": True,
        "target_dedicated_nodes": int(nodes),
        "target_low_priority_nodes": 0,
        "current_dedicated_nodes": int(nodes),
        "current_low_priority_nodes": 0,
    }


def test_one_kind_of_nodes_can_be_given_alone_and_the_other_stays(azure, pauses):
    azure.create(1)
    result = run(azure, resize(azure, None, target_low_priority_nodes=2), deferrable=False)
    assert (result["current_dedicated_nodes"], result["current_low_priority_nodes"]) == (1, 2)


def test_what_is_said_of_the_resize_reaches_azure(azure, pauses):
    azure.create(2)
    how = {"resize_timeout": 480, "node_deallocation_option": "TaskCompletion"}
    run(azure, resize(azure, 1, **how), deferrable=False)
    status = properties(azure.pool_id)["resizeOperationStatus"]
    assert (status["resizeTimeout"], status["nodeDeallocationOption"]) == ("PT8M", "TaskCompletion")


def test_need_not_wait(azure):
    azure.create(1)
    result = resize(azure, 2, wait_for_nodes=False).execute({})
    assert (result["resized"], result["current_dedicated_nodes"]) == (True, 1)


@MODES
def test_a_retry_after_a_lost_worker_asks_for_nothing_again(azure, pauses, deferrable):
    azure.create(1)
    resize(azure, 2, wait_for_nodes=False).execute({})
    azure.emulator.requests.clear()
    result = run(azure, resize(azure, 2), deferrable=deferrable)
    assert (result["resized"], result["current_dedicated_nodes"]) == (False, 2)
    assert not patches(azure)


@MODES
def test_a_resize_under_way_is_waited_for_where_azure_wants_that(azure, pauses, deferrable):
    azure.create(1, ready=False)
    refuse = {"method": "PATCH", "action": "error", "status": 409, "code": "PoolBeingResized", "count": 1}
    azure.emulator.scenario = Scenario(faults=[read_fault(refuse)])
    assert run(azure, resize(azure, 2), deferrable=deferrable)["current_dedicated_nodes"] == 2


@MODES
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ResizeError(code="AccountCoreQuotaReached"), r"quota of dedicated cores is used up. Ask for more"),
        (ResizeError(code="AllocationTimedout"), r"did not find enough machines within the resize timeout"),
        (ResizeError(code="FailedIdentityOperation"), r"managed identity exists"),
        (
            ResizeError(
                code="AllocationFailed",
                values={
                    "Provider Error Json": '{"error":{"code":"BadRequest","message":"cannot boot"}}',
                    "Provider Error Json Truncated": "False",
                },
            ),
            r"AllocationFailed: .* \(BadRequest: cannot boot\)",
        ),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_a_resize_that_fails_is_told_in_words(azure, pauses, deferrable, error, words):
    azure.create(1)
    azure.emulator.scenario = Scenario(pools=[PoolScenario(resize_error=error, nodes_allocated=1)])
    with pytest.raises(PoolResizeError, match=rf"ended with 1 of 3 dedicated nodes\. .*{words}"):
        run(azure, resize(azure, 3), deferrable=deferrable)


def test_a_pool_that_scales_itself_is_refused_and_left_alone(azure):
    body = document(1)
    body["properties"]["scaleSettings"] = {"autoScale": {"formula": "$TargetDedicatedNodes=1"}}
    with AzureBatchPoolHook() as hook:
        hook.create_pool(azure.pool_id, body)
    with pytest.raises(PoolConflictError, match="scales itself by a formula"):
        resize(azure).execute({})
    assert "autoScale" in properties(azure.pool_id)["scaleSettings"]


def test_a_pool_that_goes_or_is_not_there_cannot_be_resized(azure):
    with pytest.raises(NotFoundError):
        resize(azure).execute({})
    azure.create(1)
    azure.emulator.account.delete_pool(azure.pool_id)
    with pytest.raises(PoolConflictError, match="is being deleted"):
        resize(azure).execute({})


@pytest.mark.parametrize(
    "wrong",
    [
        {"dedicated": None},
        {"dedicated": -1},
        {"dedicated": "many"},
        {"resize_timeout": 10},
        {"node_deallocation_option": "Never"},
    ],
)
def test_parameters_that_cannot_be_are_refused(azure, wrong):
    azure.create(1)
    azure.emulator.requests.clear()
    with pytest.raises(ParameterError):
        resize(azure, **wrong).execute({})
    assert not patches(azure)


def test_gives_up_and_says_what_it_saw(azure):
    azure.create(1)
    with pytest.raises(PoolTimeoutError, match=r"within 0.3 seconds \(timeout\): .* is resizing: 1 of 3 ded"):
        resize(azure, timeout=0.3, poll_interval=0.05).execute({})


@pytest.mark.parametrize("wanted", [False, True])
def test_the_end_of_the_task_stops_the_resize_if_wanted(azure, wanted):
    azure.create(1)
    task = resize(azure, stop_resize_on_kill=wanted, deferrable=True)
    with pytest.raises(TaskDeferred) as caught:
        task.execute({})
    assert caught.value.trigger.on_killed == ("stop_resize" if wanted else "nothing")
    task.on_kill()
    assert properties(azure.pool_id)["allocationState"] == ("Stopping" if wanted else "Resizing")
