"""The management plane, through the real SDK, sync and async."""

from __future__ import annotations

import asyncio

import pytest

from airflow_batchext.emulator import Scenario
from airflow_batchext.exceptions import (
    AccessRefusedError,
    ConflictError,
    ConnectionFieldsError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from tests.conftest import document, own_connection

pytestmark = pytest.mark.usefixtures("signed_in")


class Sync:
    """Calls a hook as a sync user does."""

    def __init__(self, conn_id="azure_batchext_default"):
        self.conn_id = conn_id

    def __getattr__(self, name):
        def call(*args, **kwargs):
            with AzureBatchPoolHook(self.conn_id, retries=0) as hook:
                return getattr(hook, name)(*args, **kwargs)

        return call


class Async(Sync):
    """Calls the async twin of each method, on a loop of its own."""

    def __getattr__(self, name):
        def call(*args, **kwargs):
            async def run():
                async with AzureBatchPoolHook(self.conn_id, retries=0) as hook:
                    return await getattr(hook, f"a{name}")(*args, **kwargs)

            return asyncio.run(run())

        return call


@pytest.fixture(params=[Sync, Async])
def hook_class(request):
    return request.param


@pytest.fixture
def hook(hook_class, azure):
    return hook_class()


def test_create_read_and_delete(hook, azure):
    put = hook.create_pool(azure.pool_id, document(1))
    assert put.created
    assert put.body["properties"]["provisioningState"] == "Succeeded"
    assert put.body["properties"]["allocationState"] == "Resizing"
    assert put.body["identity"]["type"] == "UserAssigned"
    azure.pass_time(300)
    assert hook.get_pool(azure.pool_id)["properties"]["currentDedicatedNodes"] == 1
    hook.delete_pool(azure.pool_id)
    hook.delete_pool(azure.pool_id)  # nor does it while it goes
    assert hook.get_pool(azure.pool_id)["properties"]["provisioningState"] == "Deleting"
    azure.pass_time(300)
    with pytest.raises(NotFoundError) as caught:
        hook.get_pool(azure.pool_id)
    assert caught.value.status == 404
    hook.delete_pool(azure.pool_id)  # once more does no harm


@pytest.mark.parametrize("answer", ["ConditionNotMet", "PoolExists"])
def test_an_existing_pool_is_adopted_untouched_whatever_the_refusal_is_called(hook, azure, answer):
    azure.emulator.scenario = Scenario(answers={"existing_pool": answer})
    first = hook.create_pool(azure.pool_id, document(1))
    again = hook.create_pool(azure.pool_id, document(5))
    assert not again.created
    assert again.body["etag"] == first.body["etag"]
    assert again.body["properties"]["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] == 1


def test_a_pool_that_is_still_being_deleted_is_not_adopted(hook, azure):
    hook.create_pool(azure.pool_id, document(1))
    azure.pass_time(300)
    hook.delete_pool(azure.pool_id)
    with pytest.raises(ConflictError, match="still being deleted"):
        hook.create_pool(azure.pool_id, document(1))


def test_an_update_replaces_what_it_gives_and_leaves_the_rest(hook, azure):
    before = hook.create_pool(azure.pool_id, document(1)).body
    body = {"properties": {"metadata": [{"name": "a", "value": "b"}]}}
    after = hook.update_pool(azure.pool_id, body, etag=before["etag"])
    assert after["properties"]["metadata"] == [{"name": "a", "value": "b"}]
    assert after["properties"]["scaleSettings"] == before["properties"]["scaleSettings"]
    with pytest.raises(ConflictError, match="ConditionNotMet"):
        hook.update_pool(azure.pool_id, body, etag=before["etag"])
    hook.update_pool(azure.pool_id, body)


def test_a_resize_is_stopped_where_it_is(hook, azure):
    hook.create_pool(azure.pool_id, document(2))
    assert hook.stop_resize(azure.pool_id)["properties"]["allocationState"] == "Stopping"
    azure.pass_time(60)
    stopped = hook.get_pool(azure.pool_id)["properties"]
    assert (stopped["allocationState"], stopped["currentDedicatedNodes"]) == ("Steady", 0)


def test_what_azure_refuses_is_told_with_its_code_and_request_id(hook, azure):
    body = document(1)
    body["properties"]["nonsense"] = 1
    with pytest.raises(ServiceError) as caught:
        hook.create_pool(azure.pool_id, body)
    error = caught.value
    assert error.status == 400
    assert error.code == "InvalidRequestBody"
    assert f"Could not create pool {azure.pool_id}: 400 InvalidRequestBody: Could not find member" in str(
        error
    )
    assert f"(request id {error.request_id})" in str(error)
    assert len(error.request_id) == 36
    assert "RequestId" not in error.reason


def test_the_account_tells_its_data_plane(hook, azure):
    assert hook.account_url() == azure.emulator.info.batch_endpoint


def test_a_wrong_secret_is_an_access_error_that_keeps_the_secret(hook_class, azure):
    azure.connect("wrong", own_connection(azure.emulator, password="wrong-SENTINEL"))
    with pytest.raises(AccessRefusedError, match=r"sign-in failed: .*AADSTS7000215") as caught:
        hook_class("wrong").get_account()
    assert "SENTINEL" not in str(caught.value)


def test_without_a_client_id_the_default_credential_looks_around(hook_class, azure):
    info = azure.emulator.info
    azure.connect("default", own_connection(azure.emulator, login="", password="", extra={"tenant_id": ""}))
    azure.monkeypatch.setenv("AZURE_TENANT_ID", info.tenant_id)
    azure.monkeypatch.setenv("AZURE_CLIENT_ID", info.client_id)
    azure.monkeypatch.setenv("AZURE_CLIENT_SECRET", info.client_secret)
    assert hook_class("default").get_account()["name"] == info.account


def test_a_wrong_account_is_not_found(hook_class, azure):
    azure.connect("other", own_connection(azure.emulator, extra={"account_name": "otheraccount"}))
    with pytest.raises(NotFoundError, match="ResourceNotFound"):
        hook_class("other").get_account()


def test_an_unreachable_service_may_pass(hook_class, azure):
    azure.connect("down", own_connection(azure.emulator, extra={"arm_url": "https://127.0.0.1:9"}))
    with pytest.raises(UnavailableError):
        hook_class("down").get_account()


def test_the_official_connection_has_no_management_plane(hook_class, azure):
    with pytest.raises(ConnectionFieldsError, match="lacks subscription_id, resource_group"):
        hook_class("official").get_pool("p")


def test_the_sync_client_is_made_once_and_closed(azure):
    with AzureBatchPoolHook() as hook:
        client = hook.get_conn()
        assert hook.get_conn() is client
        hook.get_account()
        transport = client._client._pipeline._transport
        assert transport.session is not None
    assert transport.session is None
    assert hook.get_conn() is not client
    hook.close()


async def test_the_async_client_is_made_once_and_closed(azure):
    async with AzureBatchPoolHook() as hook:
        client = await hook.aget_conn()
        assert await hook.aget_conn() is client
        await hook.aget_account()
        transport = client._client._pipeline._transport
        assert transport.session is not None
    assert transport.session is None
