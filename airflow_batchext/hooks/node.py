"""The data plane: read pools, their nodes, and the nodes' extensions."""

from __future__ import annotations

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
from airflow_batchext.hooks._base import BatchHook, amask, both
from airflow_batchext.hooks._probe import probe
from airflow_batchext.hooks._requests import DATA
from airflow_batchext.hooks.pool import AzureBatchPoolHook

if TYPE_CHECKING:
    from azure.batch import BatchClient
    from azure.batch.aio import BatchClient as AsyncBatchClient

    from airflow_batchext.connection import BatchConnection
    from airflow_batchext.hooks._async_clients import ServiceClock

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
    sdk = "azure.batch.aio"

    def _make(self, connection: BatchConnection) -> BatchClient:
        from azure.batch import BatchClient

        where = connection.require_own_host(self._url(connection) or self._look_up_url())
        credential, signing = self._signing(connection)
        options = self._client_options(connection, where, signing)
        return BatchClient(str(where), credential, **options)

    async def _amake(self, connection: BatchConnection, clock: ServiceClock) -> AsyncBatchClient:
        from azure.batch.aio import BatchClient

        where = connection.require_own_host(self._url(connection) or await self._alook_up_url())
        credential, signing = self._signing(connection, asynchronous=True)
        options = await self._aclient_options(connection, where, signing, clock)
        return BatchClient(str(where), credential, **options)

    def management(self) -> AzureBatchPoolHook:
        """The other plane, on the same connection."""
        return self._on_same_connection(AzureBatchPoolHook, self.retries)

    def _url(self, connection: BatchConnection) -> str:
        """Where requests go; "" if the management plane has to tell."""
        connection.require_data_plane_url()
        return connection.account_url

    def _look_up_url(self) -> str:
        with self.management() as management:
            return management.account_url()

    async def _alook_up_url(self) -> str:
        async with self.management() as management:
            return await management.aaccount_url()

    def _signing(self, connection: BatchConnection, *, asynchronous: bool = False) -> tuple[Any, Any]:
        """What the client is told of its credential, and the policy that signs its requests."""
        if self._given_credential is not None or not connection.signs_with_key:
            token = self._credential(connection, asynchronous=asynchronous)
            with_token = AsyncSignsWithToken if asynchronous else SignsWithToken
            return token, with_token(token, connection.cloud.batch_scope)
        if asynchronous:
            akey = AsyncAccountKey(connection, look_up=self._alook_up_key, read_again=self._aread_again)
            return _NO_CREDENTIAL, AsyncSignsWithKey(akey)
        key = AccountKey(connection, look_up=self._look_up_key, read_again=self._read_again)
        return _NO_CREDENTIAL, SignsWithKey(key)

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

    # Each is a function of ``_node_requests``, run.
    get_pool, aget_pool = both(requests.get_pool)
    list_nodes, alist_nodes = both(requests.list_nodes)
    list_node_extensions, alist_node_extensions = both(requests.list_node_extensions)
    get_node_extension, aget_node_extension = both(requests.get_node_extension)
    list_supported_images, alist_supported_images = both(requests.list_supported_images)
    change, achange = both(requests.change)

    def test_connection(self) -> tuple[bool, str]:
        """Try both planes and say what works (Airflow's "Test" button); see ``hooks._probe``."""
        return probe(self)
