"""The data plane: read pools, their nodes, and the nodes' extensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks._base import BatchHook
from airflow_batchext.hooks._errors import translated
from airflow_batchext.hooks.pool import AzureBatchPoolHook

if TYPE_CHECKING:
    from azure.batch import BatchClient
    from azure.batch.aio import BatchClient as AsyncBatchClient

Body = dict[str, Any]


class AzureBatchNodeHook(BatchHook["BatchClient", "AsyncBatchClient"]):
    """Calls of the Batch data plane, sync and async.

    Bodies come out as plain dicts in the shape of the REST API, never as the SDK's models: reading
    ``.settings`` of those raises where the service sends a string, and silently rewrites the model where
    it sends an object. Every method raises ``ServiceError`` or one of its subclasses for what Azure
    refuses, and ``ConnectionFieldsError`` if the connection lacks what the call needs.
    """

    def get_conn(self) -> BatchClient:
        """The SDK's sync client; kept until ``close``."""
        if self._client is not None:
            return self._client
        from azure.batch import BatchClient

        connection = self.connection
        connection.require_data_plane_url()
        url = connection.account_url
        if not url:
            with AzureBatchPoolHook(self.azure_batchext_conn_id, retries=self.retries) as management:
                url = management.account_url()
        credential = connection.data_plane_credential()
        client = BatchClient(
            url, credential, **connection.client_options(retries=self.retries, on_response=self._note_date)
        )
        return self._keep(client, credential)

    async def aget_conn(self) -> AsyncBatchClient:
        """The SDK's async client; kept until ``aclose``."""
        if self._async_client is not None:
            return self._async_client
        from azure.batch.aio import BatchClient

        connection = await self.aconnection()
        connection.require_data_plane_url()
        url = connection.account_url
        if not url:
            async with AzureBatchPoolHook(self.azure_batchext_conn_id, retries=self.retries) as management:
                url = await management.aaccount_url()
        credential = connection.async_data_plane_credential()
        client = BatchClient(
            url, credential, **connection.client_options(retries=self.retries, on_response=self._note_date)
        )
        return self._akeep(client, credential)

    def get_pool(self, pool_id: str, *, select: Sequence[str] | None = None) -> Body:
        """Read a pool (``Pools_GetPool``).

        :param select: members to ask for; None means all.
        :raises NotFoundError: if there is none.
        """
        client = self.get_conn()
        with translated(f"read pool {pool_id}"):
            body: Body = client.get_pool(pool_id, select=_list(select)).as_dict()
        return body

    async def aget_pool(self, pool_id: str, *, select: Sequence[str] | None = None) -> Body:
        """``get_pool`` on the async client."""
        client = await self.aget_conn()
        with translated(f"read pool {pool_id}"):
            body: Body = (await client.get_pool(pool_id, select=_list(select))).as_dict()
        return body

    def list_nodes(self, pool_id: str, *, select: Sequence[str] | None = None) -> list[Body]:
        """List all nodes of a pool, over all pages (``Nodes_ListNodes``).

        :param select: members to ask for; None means all.
        """
        client = self.get_conn()
        with translated(f"list nodes of pool {pool_id}"):
            return [node.as_dict() for node in client.list_nodes(pool_id, select=_list(select))]

    async def alist_nodes(self, pool_id: str, *, select: Sequence[str] | None = None) -> list[Body]:
        """``list_nodes`` on the async client."""
        client = await self.aget_conn()
        with translated(f"list nodes of pool {pool_id}"):
            return [node.as_dict() async for node in client.list_nodes(pool_id, select=_list(select))]

    def list_node_extensions(self, pool_id: str, node_id: str) -> list[Body]:
        """List the extensions of a node (``Nodes_ListNodeExtensions``), Batch's own among them."""
        client = self.get_conn()
        with translated(f"list extensions of node {node_id} of pool {pool_id}"):
            return [item.as_dict() for item in client.list_node_extensions(pool_id, node_id)]

    async def alist_node_extensions(self, pool_id: str, node_id: str) -> list[Body]:
        """``list_node_extensions`` on the async client."""
        client = await self.aget_conn()
        with translated(f"list extensions of node {node_id} of pool {pool_id}"):
            return [item.as_dict() async for item in client.list_node_extensions(pool_id, node_id)]

    def get_node_extension(self, pool_id: str, node_id: str, extension_name: str) -> Body:
        """Read one extension of a node (``Nodes_GetNodeExtension``).

        :raises NotFoundError: if there is none of that name, or none yet.
        """
        client = self.get_conn()
        with translated(f"read extension {extension_name} of node {node_id} of pool {pool_id}"):
            body: Body = client.get_node_extension(pool_id, node_id, extension_name).as_dict()
        return body

    async def aget_node_extension(self, pool_id: str, node_id: str, extension_name: str) -> Body:
        """``get_node_extension`` on the async client."""
        client = await self.aget_conn()
        with translated(f"read extension {extension_name} of node {node_id} of pool {pool_id}"):
            body: Body = (await client.get_node_extension(pool_id, node_id, extension_name)).as_dict()
        return body

    def test_connection(self) -> tuple[bool, str]:
        """Try both planes and say in one sentence what works (Airflow's "Test" button).

        A connection without a subscription is for the data plane alone; that is said, not held
        against it.
        """
        try:
            client = self.get_conn()
            with translated("list pools"):
                next(iter(client.list_pools(max_results=1)), None)
        except BatchextError as error:
            return False, f"Data plane: {error}"
        if not self.connection.subscription_id:
            return True, "Data plane: works. Management plane: not tried, the connection has no subscription."
        try:
            with AzureBatchPoolHook(self.azure_batchext_conn_id, retries=self.retries) as management:
                management.get_account()
        except BatchextError as error:
            return False, f"Data plane: works. Management plane: {error}"
        return True, "Data plane: works. Management plane: works."

    def list_supported_images(self) -> list[Body]:
        """Read which images the account may use, each with its node agent (``Pools_ListSupportedImages``)."""
        client = self.get_conn()
        with translated("list the supported images"):
            return [image.as_dict() for image in client.list_supported_images()]


def _list(select: Sequence[str] | None) -> list[str] | None:
    return None if select is None else list(select)
