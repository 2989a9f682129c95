"""Cloud, subscription, resource group and account on the management plane, through real clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.scenario import AccountSettings, Answers
from tests.emulator.pool_documents import account_path, code_of, data_pool, raw, raw_data

if TYPE_CHECKING:
    from azure.mgmt.batch import BatchManagementClient


def endpoints(emulator: Emulator, version: str) -> requests.Response:
    """Without a token: who asks for this knows nothing yet."""
    url = f"{emulator.info.arm_endpoint}/metadata/endpoints?api-version={version}"
    return requests.get(url, verify=emulator.info.ca_bundle, timeout=5)


def test_the_cloud_describes_itself(emulator: Emulator) -> None:
    cloud = endpoints(emulator, "2022-09-01").json()
    assert cloud["authentication"]["loginEndpoint"] == emulator.info.authority
    assert cloud["resourceManager"].rstrip("/") == emulator.info.arm_endpoint
    assert cloud["batch"] == "https://batch.core.windows.net/"
    assert {"storage", "keyVaultDns", "sqlServerHostname"} <= set(cloud["suffixes"])
    assert endpoints(emulator, "2019-05-01").json() == [cloud]
    assert endpoints(emulator, "2015-01-01").json()["authentication"] == {
        name: cloud["authentication"][name] for name in ("loginEndpoint", "audiences")
    }
    assert endpoints(emulator, "").status_code == 400
    assert raw(emulator, "PUT", "/metadata/endpoints").status_code == 501


def test_tokens_for_every_audience_of_the_cloud_are_good(emulator: Emulator) -> None:
    for audience in endpoints(emulator, "2022-09-01").json()["authentication"]["audiences"]:
        headers = {"Authorization": f"Bearer {emulator.tokens.issue(audience)}"}
        assert raw(emulator, "GET", "/subscriptions", headers=headers).status_code == 200
        data = requests.get(
            f"{emulator.info.http_endpoint}/pools?api-version=2025-06-01", headers=headers, timeout=5
        )
        assert data.status_code == 401


def test_the_subscription_and_the_resource_group(emulator: Emulator) -> None:
    info = emulator.info
    (one,) = raw(emulator, "GET", "/subscriptions", "2022-12-01").json()["value"]
    assert (one["subscriptionId"], one["tenantId"]) == (info.subscription_id, info.tenant_id)
    assert one["state"] == "Enabled"
    path = f"/subscriptions/{info.subscription_id}"
    assert raw(emulator, "GET", path).json() == one
    (group,) = raw(emulator, "GET", f"{path}/resourcegroups").json()["value"]
    assert raw(emulator, "GET", f"{path}/resourcegroups/{info.resource_group.upper()}").json() == group
    assert raw(emulator, "HEAD", f"{path}/resourceGroups/{info.resource_group}").status_code == 204
    assert raw(emulator, "HEAD", f"{path}/resourceGroups/other").status_code == 404
    assert raw(emulator, "GET", "/subscriptions/other").json()["error"]["code"] == "SubscriptionNotFound"


def test_accounts_are_listed_by_group_and_by_subscription(
    emulator: Emulator, management: BatchManagementClient
) -> None:
    info = emulator.info
    one = management.batch_account.get(info.resource_group, info.account)
    assert list(management.batch_account.list()) == [one]
    assert list(management.batch_account.list_by_resource_group(info.resource_group)) == [one]
    assert management.location.get_quotas("westeurope").account_quota == 3


def test_the_sizes_of_a_location(management: BatchManagementClient) -> None:
    listed = management.location.list_supported_virtual_machine_skus("westeurope")
    sizes = {size.name: size for size in listed}
    size = sizes["Standard_D4s_v3"]
    assert size.family_name == "standardDSv3Family"
    assert {capability.name: capability.value for capability in size.capabilities or []}["vCPUs"] == "4"
    with pytest.raises(HttpResponseError) as caught:
        list(management.location.list_supported_virtual_machine_skus("westeurope", maxresults=3))
    assert caught.value.status_code == 501


def test_a_key_is_regenerated_and_the_old_one_is_refused(
    emulator: Emulator, management: BatchManagementClient
) -> None:
    info = emulator.info
    before = management.batch_account.get_keys(info.resource_group, info.account)
    after = management.batch_account.regenerate_key(
        info.resource_group,
        info.account,
        {"keyName": "Primary"},  # type: ignore[arg-type]
    )
    assert (after.secondary, after.primary == before.primary) == (before.secondary, False)
    assert emulator.info.key == after.primary
    assert before.primary is not None
    assert after.primary is not None
    for key, status in ((before.primary, 403), (after.primary, 200)):
        with BatchClient(info.http_endpoint, AzureNamedKeyCredential(info.account, key)) as client:
            if status == 200:
                assert list(client.list_pools()) == []
                continue
            with pytest.raises(HttpResponseError) as caught:
                list(client.list_pools())
            assert caught.value.status_code == status
    emulator.account.keys["primary"] = before.primary


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "MissingRequiredProperty"),
        ({"keyName": "third"}, "InvalidPropertyValue"),
        ({"keyName": "Primary", "more": 1}, "InvalidRequestBody"),
    ],
)
def test_a_bad_request_for_a_key(emulator: Emulator, body: dict[str, object], code: str) -> None:
    answer = raw(emulator, "POST", f"{account_path(emulator)}/regenerateKeys", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_an_account_without_shared_keys(
    emulator: Emulator,
    management: BatchManagementClient,
    batch: BatchClient,
    batch_with_token: BatchClient,
) -> None:
    info = emulator.info
    emulator.scenario = Scenario(account=AccountSettings(shared_key=False))
    account = management.batch_account.get(info.resource_group, info.account)
    assert account.allowed_authentication_modes == ["AAD", "TaskAuthenticationToken"]
    with pytest.raises(HttpResponseError) as caught:
        list(batch.list_pools())
    assert (caught.value.status_code, caught.value.model.code) == (403, "AuthenticationFailed")
    assert "shared key" in str(caught.value.model.error_values)
    assert list(batch_with_token.list_pools()) == []
    with pytest.raises(ResourceExistsError) as refused:
        management.batch_account.get_keys(info.resource_group, info.account)
    assert code_of(refused.value) == "InvalidRestAPIForAccountSetting"
    answers = Answers(keys_not_allowed="AuthorizationFailure")
    emulator.scenario = Scenario(account=AccountSettings(shared_key=False), answers=answers)
    with pytest.raises(HttpResponseError, match="AuthorizationFailure") as refused_by_setting:
        management.batch_account.regenerate_key(
            info.resource_group,
            info.account,
            {"keyName": "Primary"},  # type: ignore[arg-type]
        )
    assert refused_by_setting.value.status_code == 403


def test_a_private_account_refuses_the_data_plane_alone(
    emulator: Emulator,
    management: BatchManagementClient,
    batch: BatchClient,
    batch_with_token: BatchClient,
) -> None:
    info = emulator.info
    emulator.scenario = Scenario(account=AccountSettings(public_network_access=False))
    account = management.batch_account.get(info.resource_group, info.account)
    assert account.public_network_access == "Disabled"
    for client in (batch, batch_with_token):
        with pytest.raises(HttpResponseError) as caught:
            list(client.list_pools())
        assert (caught.value.status_code, caught.value.model.code) == (403, "AuthorizationFailure")
        assert caught.value.model.message.value.startswith("This request is not authorized to perform")
    assert raw_data(emulator, "GET", "/pools").headers["request-id"]
    assert list(management.pool.list_by_batch_account(info.resource_group, info.account)) == []


def test_the_pool_quota_counts_the_pools_of_both_planes(emulator: Emulator, batch: BatchClient) -> None:
    emulator.scenario = Scenario(account=AccountSettings(pool_quota=1))
    batch.create_pool(data_pool("one", 0))  # type: ignore[arg-type]
    with pytest.raises(ResourceExistsError) as caught:
        batch.create_pool(data_pool("two", 0))  # type: ignore[arg-type]
    assert caught.value.model.code == "PoolQuotaReached"
    with pytest.raises(ResourceExistsError) as again:
        batch.create_pool(data_pool("one", 0))  # type: ignore[arg-type]
    assert again.value.model.code == "PoolExists"
