"""The token buckets of the management plane, alone and as the SDK meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import HttpResponseError

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.management.throttling import Buckets, kind_of
from airflow_batchext.emulator.scenario import AccountSettings
from tests.emulator.pool_documents import account_path, raw

if TYPE_CHECKING:
    from azure.mgmt.batch import BatchManagementClient


def test_a_bucket_is_emptied_and_fills_again() -> None:
    time = 0.0
    buckets = Buckets(lambda: time)
    assert [buckets.take("write").left for _ in range(200)] == list(range(199, -1, -1))
    assert buckets.take("write") == (0, 1)
    assert buckets.take("delete").left == 199
    time = 0.35
    assert [buckets.take("write").wait for _ in range(4)] == [0, 0, 0, 1]
    time = 1000.0
    assert buckets.take("write").left == 199


def test_each_method_has_its_bucket() -> None:
    kinds = {method: kind_of(method) for method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")}
    assert kinds == {
        **dict.fromkeys(("GET", "HEAD"), "read"),
        **dict.fromkeys(("PUT", "POST", "PATCH"), "write"),
        "DELETE": "delete",
    }


def test_throttling_of_the_management_plane_is_an_option(
    emulator: Emulator, management: BatchManagementClient
) -> None:
    emulator.scenario = Scenario(account=AccountSettings(throttling=True))
    info = emulator.info
    management.batch_account.get(info.resource_group, info.account)
    answers = [raw(emulator, "POST", f"{account_path(emulator)}/listKeys")]
    while answers[-1].status_code == 200:
        answers.append(raw(emulator, "POST", f"{account_path(emulator)}/listKeys"))
    remaining = [int(answer.headers["x-ms-ratelimit-remaining-subscription-writes"]) for answer in answers]
    assert remaining[0] == 199
    assert remaining[-1] == 0
    assert len(answers) > 200
    refused = answers[-1]
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json()["error"]["code"] == "SubscriptionRequestsThrottled"
    emulator.requests.clear()
    for _ in range(3):  # the bucket gets ten tokens a second, and the SDK waits as long as it is told
        management.batch_account.get_keys(info.resource_group, info.account)
    assert {request.status for request in emulator.requests} <= {200, 429}
    with pytest.raises(HttpResponseError, match="SubscriptionRequestsThrottled"):
        _exhaust(management, info.resource_group, info.account)
    assert management.batch_account.get_keys(info.resource_group, info.account).primary == info.key


def _exhaust(management: BatchManagementClient, group: str, account: str) -> None:
    for _ in range(1000):
        management.batch_account.get_keys(group, account, retry_total=0)
