"""The management plane: make, read, change and delete pools. Only here can a pool be given an identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_batchext.connection import origin_of
from airflow_batchext.credentials import AsyncSignsWithToken, SignsWithToken
from airflow_batchext.hooks import _pool_requests as requests
from airflow_batchext.hooks._base import BatchHook, both
from airflow_batchext.hooks._requests import MANAGEMENT

if TYPE_CHECKING:
    from azure.mgmt.batch import BatchManagementClient
    from azure.mgmt.batch.aio import BatchManagementClient as AsyncBatchManagementClient

    from airflow_batchext.connection import BatchConnection
    from airflow_batchext.hooks._async_clients import ServiceClock


class AzureBatchPoolHook(BatchHook["BatchManagementClient", "AsyncBatchManagementClient"]):
    """Calls of the Batch management plane (``Microsoft.Batch``), sync and async.

    Bodies go in and come out as plain dicts in the shape of the REST API. Every method raises
    ``ServiceError`` or one of its subclasses for what Azure refuses, and ``ConnectionFieldsError`` if the
    connection lacks what the call needs.
    """

    plane = MANAGEMENT
    sdk = "azure.mgmt.batch.aio"

    def _make(self, connection: BatchConnection) -> BatchManagementClient:
        from azure.mgmt.batch import BatchManagementClient

        place, where = _place(connection), origin_of(connection.cloud.arm_url)
        credential = self._credential(connection)
        signing = SignsWithToken(credential, connection.cloud.arm_scope)
        options = self._client_options(connection, where, signing)
        return BatchManagementClient(credential, **place, **options)

    async def _amake(self, connection: BatchConnection, clock: ServiceClock) -> AsyncBatchManagementClient:
        from azure.mgmt.batch.aio import BatchManagementClient

        place, where = _place(connection), origin_of(connection.cloud.arm_url)
        credential = self._credential(connection, asynchronous=True)
        signing = AsyncSignsWithToken(credential, connection.cloud.arm_scope)
        options = await self._aclient_options(connection, where, signing, clock)
        return BatchManagementClient(credential, **place, **options)

    # Each is a function of ``_pool_requests``, run.
    create_pool, acreate_pool = both(requests.create_pool)
    get_pool, aget_pool = both(requests.get_pool)
    delete_pool, adelete_pool = both(requests.delete_pool)
    update_pool, aupdate_pool = both(requests.update_pool)
    stop_resize, astop_resize = both(requests.stop_resize)
    get_account, aget_account = both(requests.get_account)
    account_url, aaccount_url = both(requests.account_url)
    account_key, aaccount_key = both(requests.account_key)
    list_pools, alist_pools = both(requests.list_pools)
    list_sizes, alist_sizes = both(requests.list_sizes)


def _place(connection: BatchConnection) -> dict[str, Any]:
    """Where a client's requests go, and what its tokens are for."""
    connection.require_management_plane()
    return {
        "subscription_id": connection.subscription_id,
        "base_url": connection.cloud.arm_url,
        "credential_scopes": [connection.cloud.arm_scope],
    }
