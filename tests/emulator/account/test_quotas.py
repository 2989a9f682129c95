"""Core quotas: how cores are counted, and what a resize beyond them ends with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.account.quotas import cores_of
from airflow_batchext.emulator.scenario import AccountSettings
from tests.emulator.pool_documents import management_pool

if TYPE_CHECKING:
    from azure.batch import BatchClient
    from azure.mgmt.batch import BatchManagementClient


@pytest.mark.parametrize(
    ("size", "cores"),
    [
        ("STANDARD_D2_V2", 2),
        ("Standard_D4", 8),
        ("Standard_DS14_v2", 16),
        ("Standard_D4s_v3", 4),
        ("standard_d96ads_v5", 96),
        ("Standard_A1", 1),
        ("Standard_A4", 8),
        ("Standard_A4_v2", 4),
        ("Standard_F16s_v2", 16),
        ("Standard_NC6s_v3", 6),
        ("BASIC_A2", 2),
        ("strange", 1),
    ],
)
def test_cores_are_read_from_the_name_of_a_size(size: str, cores: int) -> None:
    assert cores_of(size) == cores


def test_a_resize_beyond_the_quota_ends_with_an_error_on_both_planes(
    emulator: Emulator,
    management: BatchManagementClient,
    batch: BatchClient,
    put_pool: Callable[..., Any],
) -> None:
    quota = AccountSettings(dedicated_core_quota=10, low_priority_core_quota=2)
    emulator.scenario = Scenario(account=quota)
    info = emulator.info
    account = management.batch_account.get(info.resource_group, info.account)
    assert (account.dedicated_core_quota, account.low_priority_core_quota) == (10, 2)
    put_pool("first", management_pool(3))
    scale = {"fixedScale": {"targetDedicatedNodes": 4, "targetLowPriorityNodes": 2}}
    put_pool("second", management_pool(scaleSettings=scale))
    emulator.clock.advance(200)
    shown = management.pool.get(info.resource_group, info.account, "second")
    assert (shown.allocation_state, shown.current_dedicated_nodes) == ("Steady", 2)
    assert shown.current_low_priority_nodes == 1
    codes = ["AccountCoreQuotaReached", "AccountLowPriorityCoreQuotaReached"]
    assert shown.resize_operation_status is not None
    assert [error.code for error in shown.resize_operation_status.errors or []] == codes
    assert [error.code for error in batch.get_pool("second").resize_errors or []] == codes
    assert batch.get_pool("first").resize_errors is None


def test_cores_that_are_given_back_can_be_used_again(
    emulator: Emulator, batch: BatchClient, put_pool: Callable[..., Any]
) -> None:
    emulator.scenario = Scenario(account=AccountSettings(dedicated_core_quota=4))
    put_pool("first", management_pool(2))
    emulator.clock.advance(200)
    emulator.account.delete_pool("first")
    put_pool("second", management_pool(2))
    emulator.clock.advance(200)
    assert batch.get_pool("second").current_dedicated_nodes == 2
    assert batch.get_pool("second").resize_errors is None
