"""The data plane: read pools, their nodes, and the nodes' extensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.log import mask_secret

from airflow_batchext.credentials import (
    AccountKey,
    AsyncAccountKey,
    AsyncSignsWithKey,
    AsyncSignsWithToken,
    SignsWithKey,
    SignsWithToken,
)
from airflow_batchext.hooks import _node_requests as requests
from airflow_batchext.hooks._async_clients import proxies
from airflow_batchext.hooks._base import BatchHook, amask
from airflow_batchext.hooks._probe import probe
from airflow_batchext.hooks._requests import DATA, Body, Request
from airflow_batchext.hooks.pool import AzureBatchPoolHook

if TYPE_CHECKING:
    from azure.batch import BatchClient
    from azure.batch.aio import BatchClient as AsyncBatchClient

    from airflow_batchext.connection import BatchConnection

# The client asks for one even where its requests are signed by a policy of ours.
_NO_CREDENTIAL = object()


class AzureBatchNodeHook(BatchHook["BatchClient", "AsyncBatchClient"]):
    """Calls of the Batch data plane, sync and async.

    Bodies come out as plain dicts in the shape of the REST API, never as the SDK's models: reading
    ``.settings`` of those raises where the service sends a string, and silently rewrites the model where
    it sends an object. Every method raises ``ServiceError`` or one of its subclasses for what Azure
    refuses, and ``ConnectionFieldsError`` if the connection lacks what the call needs.
    """

    plane = DATA

    def get_conn(self) -> BatchClient:
        """The SDK's sync client; kept until ``close``."""
        if self._client is None:
            from azure.batch import BatchClient

            url = self._url(self.connection)
            if not url:
                with self.management() as management:
                    url = management.account_url()
            where = str(self.connection.require_own_host(url))
            signing = self._signing(self.connection)
            self._client = BatchClient(where, **signing, **self._client_options(self.connection))
        return self._client

    async def aget_conn(self) -> AsyncBatchClient:
        """The SDK's async client, shared; leased until ``aclose``."""
        return await self._alease(self._amake)

    async def _amake(self, connection: BatchConnection, options: dict[str, Any]) -> AsyncBatchClient:
        from azure.batch.aio import BatchClient

        url = self._url(connection)
        if not url:
            async with self.management() as management:
                url = await management.aaccount_url()
        where = str(connection.require_own_host(url))
        options["proxies"] = proxies(connection, where)
        return BatchClient(where, **self._asigning(connection), **options)

    def management(self) -> AzureBatchPoolHook:
        """The other plane, on the same connection."""
        return self._on_same_connection(AzureBatchPoolHook, self.retries)

    def _url(self, connection: BatchConnection) -> str:
        """Where requests go; "" if the management plane has to tell."""
        connection.require_data_plane_url()
        return connection.account_url

    def _signs_with_key(self, connection: BatchConnection) -> bool:
        """Whether requests are signed with the account's key, not with a token."""
        return self._given_credential is None and connection.signs_with_key

    def _signing(self, connection: BatchConnection) -> dict[str, Any]:
        """What the sync client is told of its credential, and the policy that signs its requests."""
        if self._signs_with_key(connection):
            key = AccountKey(connection, look_up=self._look_up_key, read_again=self._read_again)
            return _signed_by(SignsWithKey(key))
        token = self._credential(connection)
        return _signed_by(SignsWithToken(token, connection.cloud.batch_scope), token)

    def _asigning(self, connection: BatchConnection) -> dict[str, Any]:
        if self._signs_with_key(connection):
            key = AsyncAccountKey(connection, look_up=self._alook_up_key, read_again=self._aread_again)
            return _signed_by(AsyncSignsWithKey(key))
        token = self._acredential(connection)
        return _signed_by(AsyncSignsWithToken(token, connection.cloud.batch_scope), token)

    def _look_up_key(self) -> str:
        with self.management() as management:
            key = management.account_key()
        mask_secret(key)
        return key

    async def _alook_up_key(self) -> str:
        async with self.management() as management:
            key = await management.aaccount_key()
        await amask([key])
        return key

    def get_pool(self, pool_id: str, *, select: Sequence[str] | None = None) -> Body:
        """Read a pool (``Pools_GetPool``).

        :param select: members to ask for; None means all.
        :raises NotFoundError: if there is none.
        """
        return self.run(requests.get_pool(pool_id, select=select))

    async def aget_pool(self, pool_id: str, *, select: Sequence[str] | None = None) -> Body:
        """``get_pool`` on the async client."""
        return await self.arun(requests.get_pool(pool_id, select=select))

    def list_nodes(self, pool_id: str, *, select: Sequence[str] | None = None) -> list[Body]:
        """List all nodes of a pool, over all pages (``Nodes_ListNodes``).

        :param select: members to ask for; None means all.
        """
        return self.run(requests.list_nodes(pool_id, select=select))

    async def alist_nodes(self, pool_id: str, *, select: Sequence[str] | None = None) -> list[Body]:
        """``list_nodes`` on the async client."""
        return await self.arun(requests.list_nodes(pool_id, select=select))

    def list_node_extensions(self, pool_id: str, node_id: str) -> list[Body]:
        """List the extensions of a node (``Nodes_ListNodeExtensions``), Batch's own among them."""
        return self.run(requests.list_node_extensions(pool_id, node_id))

    async def alist_node_extensions(self, pool_id: str, node_id: str) -> list[Body]:
        """``list_node_extensions`` on the async client."""
        return await self.arun(requests.list_node_extensions(pool_id, node_id))

    def get_node_extension(self, pool_id: str, node_id: str, extension_name: str) -> Body:
        """Read one extension of a node (``Nodes_GetNodeExtension``).

        :raises NotFoundError: if there is none of that name, or none yet.
        """
        return self.run(requests.get_node_extension(pool_id, node_id, extension_name))

    async def aget_node_extension(self, pool_id: str, node_id: str, extension_name: str) -> Body:
        """``get_node_extension`` on the async client."""
        return await self.arun(requests.get_node_extension(pool_id, node_id, extension_name))

    def change(self, change: Request[str]) -> str:
        """Change a pool or handle nodes, and do not wait for what comes of it.

        :param change: what to do, as the functions of ``hooks._node_requests`` write it.
        :return: the pool's new ETag, or "" where the service tells none.
        :raises ConflictError: if the pool is another one than the ETag is of, or a state forbids it.
        """
        return self.run(change)

    async def achange(self, change: Request[str]) -> str:
        """``change`` on the async client."""
        return await self.arun(change)

    def test_connection(self) -> tuple[bool, str]:
        """Try both planes and say what works (Airflow's "Test" button); see ``hooks._probe``."""
        return probe(self)

    def list_supported_images(self) -> list[Body]:
        """Read which images the account may use, each with its node agent (``Pools_ListSupportedImages``)."""
        return self.run(requests.list_supported_images())


def _signed_by(policy: Any, credential: Any = _NO_CREDENTIAL) -> dict[str, Any]:
    return {"credential": credential, "authentication_policy": policy}
