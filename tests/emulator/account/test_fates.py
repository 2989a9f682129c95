"""What a scenario has in store for pools: deleted or re-created by somebody else, allocation timed out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from pydantic import ValidationError

from airflow_batchext.emulator import Emulator, PoolScenario, Scenario
from airflow_batchext.emulator.scenario import ResizeError
from tests.emulator.pool_documents import management_pool

if TYPE_CHECKING:
    from azure.batch import BatchClient


def test_a_pool_is_deleted_by_somebody_else(
    emulator: Emulator, batch: BatchClient, put_pool: Callable[..., Any], name: str
) -> None:
    emulator.scenario = Scenario(pools=[PoolScenario(pool=name, deleted_after=200)])
    put_pool(name, management_pool(1))
    emulator.clock.advance(199)
    assert batch.get_pool(name).state == "active"
    emulator.clock.advance(2)
    pool = batch.get_pool(name)
    assert pool.state == "deleting"
    assert [node.state for node in batch.list_nodes(name)] == ["leavingpool"]
    emulator.clock.advance(20)
    with pytest.raises(ResourceNotFoundError):
        batch.get_pool(name)


def test_a_deletion_that_nobody_saw_took_place_all_the_same(
    emulator: Emulator, put_pool: Callable[..., Any], name: str
) -> None:
    emulator.scenario = Scenario(pools=[PoolScenario(deleted_after=200)])
    put_pool(name, management_pool(1))
    emulator.clock.advance(10_000)
    assert emulator.account.find(name) is None


def test_a_pool_is_re_created_under_its_name(
    emulator: Emulator, batch: BatchClient, put_pool: Callable[..., Any], name: str
) -> None:
    emulator.scenario = Scenario(pools=[PoolScenario(recreated_after=200)])
    put_pool(name, management_pool(2))
    emulator.clock.advance(190)
    before, nodes = batch.get_pool(name), {node.id for node in batch.list_nodes(name)}
    assert len(nodes) == 2
    emulator.clock.advance(20)
    after = batch.get_pool(name)
    assert after.creation_time is not None
    assert before.creation_time is not None
    assert (after.creation_time - before.creation_time).total_seconds() == pytest.approx(200, abs=0.001)
    assert (after.allocation_state, after["eTag"] == before["eTag"]) == ("resizing", False)
    assert list(batch.list_nodes(name)) == []
    emulator.clock.advance(1000)
    assert not nodes & {node.id for node in batch.list_nodes(name)}
    assert batch.get_pool(name).creation_time == after.creation_time


def test_a_pool_that_a_client_deletes_before_meets_no_fate(
    emulator: Emulator, put_pool: Callable[..., Any], name: str
) -> None:
    emulator.scenario = Scenario(pools=[PoolScenario(recreated_after=200)])
    put_pool(name, management_pool(0))
    emulator.account.delete_pool(name)
    emulator.clock.advance(1000)
    assert emulator.account.find(name) is None


def test_an_allocation_times_out(
    emulator: Emulator, batch: BatchClient, put_pool: Callable[..., Any], name: str, tmp_path: Path
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("pools: [{resize_error: AllocationTimedout, nodes_allocated: 1, steady_after: 900}]\n")
    emulator.scenario = Scenario.load(file)
    put_pool(name, management_pool(3))
    emulator.clock.advance(899)
    assert batch.get_pool(name).allocation_state == "resizing"
    emulator.clock.advance(2)
    pool = batch.get_pool(name)
    assert pool.current_dedicated_nodes == 1
    (error,) = pool.resize_errors or []
    assert error.code == "AllocationTimedout"
    assert "as the resize timeout was reached" in str(error.message)


def test_a_resize_error_may_be_a_code_alone() -> None:
    rule = PoolScenario.model_validate({"resize_error": "AccountCoreQuotaReached"})
    assert rule.resize_error == ResizeError(
        code="AccountCoreQuotaReached", message="The specified account has reached core quota"
    )
    with pytest.raises(ValidationError):
        PoolScenario(deleted_after=1, recreated_after=2)
