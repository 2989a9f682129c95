"""The management plane: make, read, change and delete pools. Only here can a pool be given an identity."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_batchext.credentials import AsyncSignsWithToken, SignsWithToken
from airflow_batchext.hooks import _pool_requests as requests
from airflow_batchext.hooks._async_clients import proxies
from airflow_batchext.hooks._base import BatchHook
from airflow_batchext.hooks._requests import MANAGEMENT, Body

if TYPE_CHECKING:
    from azure.mgmt.batch import BatchManagementClient
    from azure.mgmt.batch.aio import BatchManagementClient as AsyncBatchManagementClient

    from airflow_batchext.connection import BatchConnection


@dataclass(frozen=True, slots=True)
class PutPool:
    """What became of a request to create a pool.

    :param body: the pool as the management plane shows it now.
    :param created: False if a pool of that name was there already and was left untouched.
    """

    body: Body
    created: bool


class AzureBatchPoolHook(BatchHook["BatchManagementClient", "AsyncBatchManagementClient"]):
    """Calls of the Batch management plane (``Microsoft.Batch``), sync and async.

    Bodies go in and come out as plain dicts in the shape of the REST API. Every method raises
    ``ServiceError`` or one of its subclasses for what Azure refuses, and ``ConnectionFieldsError`` if the
    connection lacks what the call needs.
    """

    plane = MANAGEMENT

    def get_conn(self) -> BatchManagementClient:
        """The SDK's sync client; kept until ``close``."""
        if self._client is None:
            from azure.mgmt.batch import BatchManagementClient

            options = {**_place(self.connection), **self._client_options(self.connection)}
            credential = self._credential(self.connection)
            policy = SignsWithToken(credential, self.connection.cloud.arm_scope)
            self._client = BatchManagementClient(credential, authentication_policy=policy, **options)
        return self._client

    async def aget_conn(self) -> AsyncBatchManagementClient:
        """The SDK's async client, shared; leased until ``aclose``."""
        return await self._alease(self._amake)

    async def _amake(
        self, connection: BatchConnection, options: dict[str, Any]
    ) -> AsyncBatchManagementClient:
        from azure.mgmt.batch.aio import BatchManagementClient

        options |= {**_place(connection), "proxies": proxies(connection, connection.cloud.arm_url)}
        credential = self._acredential(connection)
        policy = AsyncSignsWithToken(credential, connection.cloud.arm_scope)
        return BatchManagementClient(credential, authentication_policy=policy, **options)

    def create_pool(self, pool_id: str, body: Mapping[str, Any], *, secrets: Collection[str] = ()) -> PutPool:
        """Create a pool unless one of that name exists, which is then left untouched.

        ``Pool_Create`` with ``If-None-Match: *``. What the service answers if the pool exists is not
        documented beyond that header (412 is expected, 409 happens in practice), so the pool is looked
        up then: if it is there, it was adopted; if not, the refusal stands.

        :param pool_id: the pool's name.
        :param body: the request's body (``properties``, ``identity``, ``tags``).
        :param secrets: values in it that must not show in an error.
        :raises ConflictError: if the pool of that name is being deleted, or a quota is used up.
        """
        return PutPool(*self.run(requests.create_pool(pool_id, body, secrets)))

    async def acreate_pool(
        self, pool_id: str, body: Mapping[str, Any], *, secrets: Collection[str] = ()
    ) -> PutPool:
        """``create_pool`` on the async client."""
        return PutPool(*await self.arun(requests.create_pool(pool_id, body, secrets)))

    def get_pool(self, pool_id: str) -> Body:
        """Read a pool (``Pool_Get``).

        :raises NotFoundError: if there is none.
        """
        return self.run(requests.get_pool(pool_id))

    async def aget_pool(self, pool_id: str) -> Body:
        """``get_pool`` on the async client."""
        return await self.arun(requests.get_pool(pool_id))

    def delete_pool(self, pool_id: str) -> None:
        """Ask for a pool's deletion (``Pool_Delete``) and do not wait; it may be going, or gone, already."""
        self.run(requests.delete_pool(pool_id))

    async def adelete_pool(self, pool_id: str) -> None:
        """``delete_pool`` on the async client."""
        await self.arun(requests.delete_pool(pool_id))

    def update_pool(
        self, pool_id: str, body: Mapping[str, Any], *, etag: str = "", secrets: Collection[str] = ()
    ) -> Body:
        """Change members of a pool (``Pool_Update``); those that are not given stay as they are.

        :param body: the request's body: ``properties`` with whole members.
        :param etag: only if the pool is still the one that was read with this ETag.
        :param secrets: values in the body that must not show in an error.
        :return: the pool as it is now.
        :raises ConflictError: if the pool is another one by now, or its state forbids the change.
        """
        return self.run(requests.update_pool(pool_id, body, etag, secrets))

    async def aupdate_pool(
        self, pool_id: str, body: Mapping[str, Any], *, etag: str = "", secrets: Collection[str] = ()
    ) -> Body:
        """``update_pool`` on the async client."""
        return await self.arun(requests.update_pool(pool_id, body, etag, secrets))

    def stop_resize(self, pool_id: str) -> Body:
        """Stop a resize (``Pool_StopResize``): the pool keeps the nodes that it has by now."""
        return self.run(requests.stop_resize(pool_id))

    async def astop_resize(self, pool_id: str) -> Body:
        """``stop_resize`` on the async client."""
        return await self.arun(requests.stop_resize(pool_id))

    def get_account(self) -> Body:
        """Read the Batch account (``BatchAccount_Get``)."""
        return self.run(requests.get_account())

    async def aget_account(self) -> Body:
        """``get_account`` on the async client."""
        return await self.arun(requests.get_account())

    def account_url(self) -> str:
        """The URL of the account's data plane, as the management plane tells it."""
        return self.run(requests.account_url())

    async def aaccount_url(self) -> str:
        """``account_url`` on the async client."""
        return await self.arun(requests.account_url())

    def account_key(self) -> str:
        """The account's primary key (``BatchAccount_GetKeys``).

        :raises AccessRefusedError: if the identity may not read it, or the account takes no keys.
        """
        return self.run(requests.account_key())

    async def aaccount_key(self) -> str:
        """``account_key`` on the async client."""
        return await self.arun(requests.account_key())

    def list_pools(self) -> list[Body]:
        """Read all pools of the account (``Pool_ListByBatchAccount``)."""
        return self.run(requests.list_pools())

    def list_sizes(self, location: str) -> list[Body]:
        """Read which sizes of machines Batch offers (``Location_ListSupportedVirtualMachineSkus``).

        :param location: the region, such as ``westeurope``.
        """
        return self.run(requests.list_sizes(location))


def _place(connection: BatchConnection) -> dict[str, Any]:
    """Where a client's requests go, and what its tokens are for."""
    connection.require_management_plane()
    return {
        "subscription_id": connection.subscription_id,
        "base_url": connection.cloud.arm_url,
        "credential_scopes": [connection.cloud.arm_scope],
    }
