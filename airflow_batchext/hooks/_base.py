"""What both hooks share: the Airflow connection, one client each, and closing what was opened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from airflow.providers.common.compat.sdk import BaseHook
from airflow.sdk.log import mask_secret

from airflow_batchext.connection import CONN_TYPE, DEFAULT_CONN_ID, BatchConnection, parse_connection
from airflow_batchext.hooks._async_clients import ServiceClock, SharedClient, lease, release, transport

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

SyncClient = TypeVar("SyncClient")
AsyncClient = TypeVar("AsyncClient")


class BatchHook(BaseHook, Generic[SyncClient, AsyncClient]):
    """Base of the two hooks. Use either as a context manager, ``with`` or ``async with``.

    A client is made at its first use, kept, and closed at the end of the block together with the
    credential behind it. Async clients are shared by all hooks of an event loop that have the same
    connection; the last one closes them.

    :param azure_batchext_conn_id: Airflow connection of type ``azure_batchext`` (or, for the data plane,
        ``azure_batch``).
    :param retries: how often the SDK repeats a call by itself that was throttled or met a server error.
    """

    conn_name_attr = "azure_batchext_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONN_TYPE
    hook_name = "Azure Batch with extensions"

    def __init__(self, azure_batchext_conn_id: str = DEFAULT_CONN_ID, *, retries: int = 3) -> None:
        super().__init__()
        self.azure_batchext_conn_id = azure_batchext_conn_id
        self.retries = retries
        self._connection: BatchConnection | None = None
        self._client: SyncClient | None = None
        self._clock = ServiceClock()
        self._leased: tuple[Hashable, SharedClient] | None = None
        self._to_close: list[Any] = []

    @property
    def connection(self) -> BatchConnection:
        """The connection's fields; fetched once.

        :raises ConnectionFieldsError: if the connection cannot be used.
        """
        if self._connection is None:
            self._connection = parse_connection(self.get_connection(self.azure_batchext_conn_id))
            for secret in self._connection.secrets:
                mask_secret(secret)
        return self._connection

    async def aconnection(self) -> BatchConnection:
        """The connection's fields, fetched without blocking the event loop.

        :raises ConnectionFieldsError: if the connection cannot be used.
        """
        if self._connection is None:
            from airflow.providers.common.compat.connection import get_async_connection

            self._connection = parse_connection(await get_async_connection(self.azure_batchext_conn_id))
            await _amask(self._connection.secrets)
        return self._connection

    def service_time(self) -> float:
        """The time by the service's clock, in seconds since the epoch; by our own before it has answered."""
        return (self._leased[1].clock if self._leased else self._clock).now()

    def close(self) -> None:
        """Close the sync client and its credential; a later call opens new ones."""
        self._client = None
        while self._to_close:
            self._to_close.pop().close()

    async def aclose(self) -> None:
        """Give the async client back; a later call leases one again."""
        leased, self._leased = self._leased, None
        if leased:
            await release(*leased)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _keep(self, client: SyncClient, credential: object) -> SyncClient:
        """Note what has to be closed, the credential (if it can be) after the client."""
        self._to_close += [c for c in (credential, client) if hasattr(c, "close")]
        self._client = client
        return client

    async def _alease(self, make: Callable[[dict[str, Any]], Awaitable[tuple[Any, Any]]]) -> AsyncClient:
        """The shared async client of this hook's kind, connection and retries.

        :param make: makes it, and the credential behind it, from the options that all clients have.
        """
        if self._leased is None:
            connection = await self.aconnection()

            async def make_client(clock: ServiceClock) -> tuple[Any, Any]:
                options = connection.client_options(retries=self.retries, on_response=clock.note)
                options.pop("connection_verify", None)  # the transport knows
                timeouts = {name: options.pop(name) for name in ("connection_timeout", "read_timeout")}
                return await make({**options, "transport": await transport(connection, **timeouts)})

            key = (type(self), connection, self.retries)
            shared = await lease(key, make_client)
            if self._leased is None:
                self._leased = key, shared
            else:  # somebody else was as quick
                await release(key, shared)
        return cast("AsyncClient", self._leased[1].client)


async def _amask(secrets: Iterable[str]) -> None:
    try:
        from airflow.sdk.log import amask_secret
    except ImportError:  # Airflow < 3.3.2: masking would block the event loop
        for secret in secrets:
            await asyncio.to_thread(mask_secret, secret)
        return
    for secret in secrets:
        await amask_secret(secret)
