"""Deleting pools as tasks, on the emulator."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_batchext.exceptions import DeletionTimeoutError
from airflow_batchext.operators.pool import AzureBatchDeletePoolOperator
from tests.operators.conftest import properties, run

pytestmark = pytest.mark.usefixtures("signed_in")


def delete(azure, **kwargs):
    kwargs = {"poll_interval": 0.05, "timeout": 600, **kwargs}
    return AzureBatchDeletePoolOperator(task_id="delete", pool_id=azure.pool_id, **kwargs)


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_pool_that_is_not_there_is_a_success(azure, deferrable):
    assert delete(azure, deferrable=deferrable).execute({}) == {"pool_id": azure.pool_id, "deleted": False}


@pytest.mark.parametrize("deferrable", [False, True])
def test_waits_until_it_is_gone(azure, pauses, deferrable):
    azure.create()
    result = run(azure, delete(azure), deferrable=deferrable)
    assert result == {"pool_id": azure.pool_id, "deleted": True}
    assert azure.emulator.account.find(azure.pool_id) is None


def test_need_not_wait(azure):
    azure.create()
    assert delete(azure, wait_for_deletion=False).execute({})["deleted"] is True
    assert properties(azure.pool_id)["provisioningState"] == "Deleting"


def test_a_deletion_under_way_is_joined_not_repeated(azure):
    azure.create()
    azure.emulator.account.delete_pool(azure.pool_id)
    azure.emulator.requests.clear()
    assert delete(azure, wait_for_deletion=False).execute({})["deleted"] is True
    assert not [r for r in azure.emulator.requests if r.method == "DELETE"]


def test_gives_up_and_says_what_it_saw(azure):
    azure.create()
    with pytest.raises(DeletionTimeoutError, match=r"after 0.2 seconds \(timeout\): .* is Deleting"):
        delete(azure, timeout=timedelta(seconds=0.2)).execute({})


def test_defers_with_all_that_the_trigger_needs(azure):
    azure.create()
    created = properties(azure.pool_id)["creationTime"]
    with pytest.raises(TaskDeferred) as caught:
        delete(azure, deferrable=True).execute({})
    trigger = caught.value.trigger
    assert (trigger.pool_id, trigger.goal, trigger.pool_created) == (azure.pool_id, "gone", created)
    assert caught.value.kwargs is None, "dag.test() would drop them"
