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
from airflow_batchext.hooks._async_clients import proxies
from airflow_batchext.hooks._base import BatchHook, amask
from airflow_batchext.hooks._errors import translated
from airflow_batchext.hooks._probe import probe
from airflow_batchext.hooks._reading import Body, aread, aread_list, read, read_list
from airflow_batchext.hooks.pool import AzureBatchPoolHook

if TYPE_CHECKING:
    from azure.batch import BatchClient
    from azure.batch.aio import BatchClient as AsyncBatchClient

    from airflow_batchext.hooks._requests import Change

READ_ACTION = "Microsoft.Batch/batchAccounts/pools/read"
WRITE_ACTION = "Microsoft.Batch/batchAccounts/pools/write"
# The client asks for one even where its requests are signed by a policy of ours.
_NO_CREDENTIAL = object()


class AzureBatchNodeHook(BatchHook["BatchClient", "AsyncBatchClient"]):
    """Calls of the Batch data plane, sync and async.

    Bodies come out as plain dicts in the shape of the REST API, never as the SDK's models: reading
    ``.settings`` of those raises where the service sends a string, and silently rewrites the model where
    it sends an object. Every method raises ``ServiceError`` or one of its subclasses for what Azure
    refuses, and ``ConnectionFieldsError`` if the connection lacks what the call needs.
    """

    plane = "data"

    def get_conn(self) -> BatchClient:
        """The SDK's sync client; kept until ``close``."""
        if self._client is not None:
            return self._client
        from azure.batch import BatchClient

        connection = self.connection
        connection.require_data_plane_url()
        url = connection.account_url
        if not url:
            with self._management() as management:
                url = management.account_url()
        where = str(connection.require_own_host(url))
        credential, policy = self._signing()
        self._client = BatchClient(
            where, credential, authentication_policy=policy, **self._client_options(connection)
        )
        return self._client

    async def aget_conn(self) -> AsyncBatchClient:
        """The SDK's async client, shared; leased until ``aclose``."""
        connection = await self.aconnection()
        connection.require_data_plane_url()

        async def make(options: dict[str, Any]) -> AsyncBatchClient:
            from azure.batch.aio import BatchClient

            url = connection.account_url
            if not url:
                async with self._management() as management:
                    url = await management.aaccount_url()
            where = str(connection.require_own_host(url))
            credential, policy = await self._asigning()
            options["proxies"] = proxies(connection, where)
            return BatchClient(where, credential, authentication_policy=policy, **options)

        return await self._alease(make)

    def _management(self) -> AzureBatchPoolHook:
        """The other plane, on the same connection."""
        hook = AzureBatchPoolHook(
            self.azure_batchext_conn_id, retries=self.retries, credential=self._given_credential
        )
        hook._connection = self._connection
        return hook

    def _signing(self) -> tuple[Any, Any]:
        """What the client is told of its credential, and the policy that signs its requests."""
        connection = self.connection
        if self._given_credential is None and connection.signs_with_key:
            key = AccountKey(connection, look_up=self._look_up_key, read_again=self._read_again)
            return _NO_CREDENTIAL, SignsWithKey(key)
        credential = self._credential()
        return credential, SignsWithToken(credential, connection.cloud.batch_scope)

    async def _asigning(self) -> tuple[Any, Any]:
        connection = await self.aconnection()
        if self._given_credential is None and connection.signs_with_key:
            key = AsyncAccountKey(connection, look_up=self._alook_up_key, read_again=self._aread_again)
            return _NO_CREDENTIAL, AsyncSignsWithKey(key)
        credential = await self._acredential()
        return credential, AsyncSignsWithToken(credential, connection.cloud.batch_scope)

    def _look_up_key(self) -> str:
        with self._management() as management:
            key = management.account_key()
        mask_secret(key)
        return key

    async def _alook_up_key(self) -> str:
        async with self._management() as management:
            key = await management.aaccount_key()
        await amask([key])
        return key

    def get_pool(self, pool_id: str, *, select: Sequence[str] | None = None) -> Body:
        """Read a pool (``Pools_GetPool``).

        :param select: members to ask for; None means all.
        :raises NotFoundError: if there is none.
        """
        client = self.get_conn()
        with translated(f"read pool {pool_id}", needs=READ_ACTION):
            return read(client, "pools", pool_id, select=select)

    async def aget_pool(self, pool_id: str, *, select: Sequence[str] | None = None) -> Body:
        """``get_pool`` on the async client."""
        client = await self.aget_conn()
        with translated(f"read pool {pool_id}", needs=READ_ACTION):
            return await aread(client, "pools", pool_id, select=select)

    def list_nodes(self, pool_id: str, *, select: Sequence[str] | None = None) -> list[Body]:
        """List all nodes of a pool, over all pages (``Nodes_ListNodes``).

        :param select: members to ask for; None means all.
        """
        client = self.get_conn()
        with translated(f"list nodes of pool {pool_id}", needs=READ_ACTION):
            return read_list(client, "pools", pool_id, "nodes", select=select)

    async def alist_nodes(self, pool_id: str, *, select: Sequence[str] | None = None) -> list[Body]:
        """``list_nodes`` on the async client."""
        client = await self.aget_conn()
        with translated(f"list nodes of pool {pool_id}", needs=READ_ACTION):
            return await aread_list(client, "pools", pool_id, "nodes", select=select)

    def list_node_extensions(self, pool_id: str, node_id: str) -> list[Body]:
        """List the extensions of a node (``Nodes_ListNodeExtensions``), Batch's own among them."""
        client = self.get_conn()
        with translated(f"list extensions of node {node_id} of pool {pool_id}", needs=READ_ACTION):
            return read_list(client, "pools", pool_id, "nodes", node_id, "extensions")

    async def alist_node_extensions(self, pool_id: str, node_id: str) -> list[Body]:
        """``list_node_extensions`` on the async client."""
        client = await self.aget_conn()
        with translated(f"list extensions of node {node_id} of pool {pool_id}", needs=READ_ACTION):
            return await aread_list(client, "pools", pool_id, "nodes", node_id, "extensions")

    def get_node_extension(self, pool_id: str, node_id: str, extension_name: str) -> Body:
        """Read one extension of a node (``Nodes_GetNodeExtension``).

        :raises NotFoundError: if there is none of that name, or none yet.
        """
        client = self.get_conn()
        with translated(
            f"read extension {extension_name} of node {node_id} of pool {pool_id}", needs=READ_ACTION
        ):
            return read(client, "pools", pool_id, "nodes", node_id, "extensions", extension_name)

    async def aget_node_extension(self, pool_id: str, node_id: str, extension_name: str) -> Body:
        """``get_node_extension`` on the async client."""
        client = await self.aget_conn()
        with translated(
            f"read extension {extension_name} of node {node_id} of pool {pool_id}", needs=READ_ACTION
        ):
            return await aread(client, "pools", pool_id, "nodes", node_id, "extensions", extension_name)

    def change(self, change: Change) -> str:
        """Change a pool or handle nodes, and do not wait for what comes of it.

        :param change: what to do, as the functions of ``hooks.changes`` write it.
        :return: the pool's new ETag, or "" where the service tells none.
        :raises ConflictError: if the pool is another one than the ETag is of, or a state forbids it.
        """
        client = self.get_conn()
        with translated(change.does, needs=WRITE_ACTION):
            return change.etag_of(client.send_request(change.request()))

    async def achange(self, change: Change) -> str:
        """``change`` on the async client."""
        client = await self.aget_conn()
        with translated(change.does, needs=WRITE_ACTION):
            return change.etag_of(await client.send_request(change.request()))

    def test_connection(self) -> tuple[bool, str]:
        """Try both planes and say what works (Airflow's "Test" button); see ``hooks._probe``."""
        return probe(self)

    def list_supported_images(self) -> list[Body]:
        """Read which images the account may use, each with its node agent (``Pools_ListSupportedImages``)."""
        client = self.get_conn()
        with translated("list the supported images"):
            return read_list(client, "supportedimages")
