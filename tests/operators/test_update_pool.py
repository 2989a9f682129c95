"""Changing members of pools as tasks, on the emulator."""

from __future__ import annotations

import pytest

from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.exceptions import NotFoundError, ParameterError, PoolConflictError
from airflow_batchext.operators.pool import AzureBatchUpdatePoolOperator
from tests.operators.conftest import properties, run

pytestmark = pytest.mark.usefixtures("signed_in")

METADATA = {"properties": {"metadata": [{"name": "team", "value": "a"}]}}
MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])


def update(azure, part, **kwargs):
    kwargs = {"poll_interval": 5, "timeout": 900, **kwargs}
    return AzureBatchUpdatePoolOperator(task_id="update", pool_id=azure.pool_id, pool_document=part, **kwargs)


def test_changes_what_is_given_and_leaves_the_rest(azure):
    azure.create(1)
    before = properties(azure.pool_id)
    result = update(azure, METADATA).execute({})
    assert result["updated"] is True
    assert [d["path"] for d in result["differences"]] == ["properties.metadata"]
    after = properties(azure.pool_id)
    assert after["metadata"] == METADATA["properties"]["metadata"]
    assert after["scaleSettings"] == before["scaleSettings"]
    assert update(azure, METADATA).execute({})["updated"] is False


@MODES
def test_waits_for_the_nodes_if_wanted(azure, pauses, deferrable):
    azure.create(1)
    part = {"properties": {"scaleSettings": {"fixedScale": {"targetDedicatedNodes": 3}}}}
    assert run(azure, update(azure, part, wait_for_nodes=True), deferrable=deferrable)["updated"] is True
    assert properties(azure.pool_id)["currentDedicatedNodes"] == 3


@MODES
def test_a_resize_under_way_is_waited_for_where_azure_wants_that(azure, pauses, deferrable):
    azure.create(1, ready=False)
    refuse = {"method": "PATCH", "action": "error", "status": 409, "code": "PoolBeingResized", "count": 1}
    azure.emulator.scenario = Scenario(faults=[read_fault(refuse)])
    assert run(azure, update(azure, METADATA), deferrable=deferrable)["updated"] is True


def test_a_formula_takes_the_place_of_a_fixed_size(azure):
    azure.create(1)
    part = {"properties": {"scaleSettings": {"autoScale": {"formula": "$TargetDedicatedNodes=2"}}}}
    update(azure, part).execute({})
    assert "autoScale" in properties(azure.pool_id)["scaleSettings"]


def test_what_cannot_be_changed_is_told_and_then_nothing_is_changed(azure):
    azure.create(1)
    part = {"properties": {**METADATA["properties"], "vmSize": "STANDARD_F2"}}
    with pytest.raises(PoolConflictError, match=r"nothing was changed:\n  properties.vmSize: is"):
        update(azure, part).execute({})
    assert "metadata" not in properties(azure.pool_id)


def test_a_pool_that_goes_or_is_not_there_cannot_be_updated(azure):
    with pytest.raises(NotFoundError):
        update(azure, METADATA).execute({})
    azure.create(1)
    azure.emulator.account.delete_pool(azure.pool_id)
    with pytest.raises(PoolConflictError, match="is being deleted"):
        update(azure, METADATA).execute({})


@pytest.mark.parametrize("part", [{}, {"properties": {}}, {"metadata": []}])
def test_an_update_that_says_nothing_is_refused(azure, part):
    with pytest.raises(ParameterError, match="has to give something"):
        update(azure, part).execute({})
