"""What both hooks share: the Airflow connection, signing in with it, one client each, and closing it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, cast

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook
from airflow.sdk.log import mask_secret

from airflow_batchext.connection import CONN_TYPE, BatchConnection, parse_connection
from airflow_batchext.credentials import AsyncSharedCredential, SharedCredential
from airflow_batchext.defaults import DEFAULT_CONN_ID
from airflow_batchext.exceptions import NoConnectionError
from airflow_batchext.hooks._async_clients import (
    ServiceClock,
    SharedClient,
    lease,
    proxies,
    release,
    transport,
)
from airflow_batchext.hooks._requests import Aside, AtOnce, ReadConnection, Request
from airflow_batchext.metrics import answered
from airflow_batchext.parameters import check_count, check_text, optional
from airflow_batchext.transport import within
from airflow_batchext.transport.flows import adrive, drive

if TYPE_CHECKING:
    from typing import Concatenate, Self

    from airflow_batchext.connection import Origin
    from airflow_batchext.hooks._requests import Call, Plane

SyncClient = TypeVar("SyncClient", bound="_Client")
AsyncClient = TypeVar("AsyncClient", bound="_AsyncClient")
AnyHook = TypeVar("AnyHook", bound="BatchHook[Any, Any]")
Result = TypeVar("Result")
Params = ParamSpec("Params")
Answers = dict[type, Callable[[Any], Any]]

# They tell of every sign-in and of every way that was not taken, and azure.batch writes a traceback for each
# refusal whose body is no JSON: a task's log would hold little else. What they refuse is in our errors.
for _name in ("azure.identity", "azure.core", "azure.batch", "azure.mgmt", "msal"):
    _log = logging.getLogger(_name)
    if _log.level == logging.NOTSET:  # not where somebody has set one, as by [logging] namespace_levels
        _log.setLevel(logging.ERROR)

_OF_EACH_CLIENT = (
    "airflow_batchext.transport.loops",
    "airflow_batchext.transport.policies",
    "azure.identity.aio",
)
DEFAULT_RETRIES = 3
#: A call that nobody else gives a deadline ends by then, with all of its requests and their repetitions.
CALL_SECONDS = 600.0


class _Client(Protocol):
    def send_request(self, request: Any) -> Any: ...
    def close(self) -> None: ...


class _AsyncClient(Protocol):
    def send_request(self, request: Any) -> Awaitable[Any]: ...
    async def close(self) -> None: ...


class BatchHook(BaseHook, Generic[SyncClient, AsyncClient]):
    """Base of the two hooks. Use either as a context manager, ``with`` or ``async with``.

    A client is made at its first use, kept, and closed at the end of the block. Async clients are shared by
    all hooks of an event loop that have the same connection; the last one closes them. Tokens are the
    process's: hooks whose connections sign in alike share them.

    :param azure_batchext_conn_id: Airflow connection of type ``azure_batchext``, ``azure`` with our fields
        in its extra, or, for the data plane, ``azure_batch``.
    :param retries: how often the SDK repeats a call by itself that was throttled or met a server error; by
        default the connection's ``retries``, else 3.
    :param credential: a credential of azure-core's kind (sync for the sync client, async for the async
        one), or a callable that returns one, instead of what the connection says of signing in. It is
        neither kept nor closed here.
    """

    conn_name_attr = "azure_batchext_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONN_TYPE
    hook_name = "Azure Batch with extensions"
    plane: Plane
    #: The module that has the async client.
    sdk: str

    def __init__(
        self,
        azure_batchext_conn_id: str = DEFAULT_CONN_ID,
        *,
        retries: int | None = None,
        credential: Any = None,
    ) -> None:
        super().__init__()
        self.azure_batchext_conn_id = check_text("azure_batchext_conn_id", azure_batchext_conn_id)
        self.retries: int | None = optional(check_count)("retries", retries)
        self._given_credential = credential
        self._connection: BatchConnection | None = None
        self._client: SyncClient | None = None
        self._clock = ServiceClock()
        self._leased: tuple[Hashable, SharedClient] | None = None

    @property
    def connection(self) -> BatchConnection:
        """The connection's fields; fetched once.

        :raises ConnectionFieldsError: if it cannot be used; ``NoConnectionError`` if there is none.
        """
        if self._connection is None:
            with self._fetching():
                self._connection = parse_connection(self.get_connection(self.azure_batchext_conn_id))
                for secret in self._connection.secrets:
                    mask_secret(secret)
        return self._connection

    @property
    def known_connection(self) -> BatchConnection | None:
        """The connection's fields, if they have been fetched."""
        return self._connection

    async def aconnection(self) -> BatchConnection:
        """The connection's fields, fetched without blocking the event loop.

        :raises ConnectionFieldsError: if it cannot be used; ``NoConnectionError`` if there is none.
        """
        if self._connection is None:
            from airflow.providers.common.compat.connection import get_async_connection

            with self._fetching():
                self._connection = parse_connection(await get_async_connection(self.azure_batchext_conn_id))
                await amask(self._connection.secrets)
        return self._connection

    @contextmanager
    def _fetching(self) -> Iterator[None]:
        """Within, Airflow looks for the connection; what is odd about it is told."""
        try:
            yield
            if self._connection and self._connection.warning:
                self.log.warning("%s", self._connection.warning)
        except AirflowNotFoundException:
            conn_id = self.azure_batchext_conn_id
            raise NoConnectionError(
                f"Airflow has no connection {conn_id!r}. Add it under that name (in its database, a secrets "
                f"backend, or the environment as AIRFLOW_CONN_{conn_id.upper()}), or name another one as "
                "azure_batchext_conn_id."
            ) from None

    def _read_again(self) -> BatchConnection | None:
        """The connection as it is now, after a refusal: its secrets may have been rotated."""
        with self._forgotten() as found:
            found.append(self.connection)
        return found[0] if found else None

    async def _aread_again(self) -> BatchConnection | None:
        with self._forgotten() as found:
            found.append(await self.aconnection())
        return found[0] if found else None

    @contextmanager
    def _forgotten(self) -> Iterator[list[BatchConnection]]:
        """Within, the connection's fields are not known; if they cannot be fetched, they stay."""
        before, self._connection = self._connection, None
        try:
            yield []
        except Exception:  # whatever is wrong now, the refusal is what has to be told
            self._connection = before

    def _credential(self, connection: BatchConnection, *, asynchronous: bool = False) -> Any:
        """What gives the client its tokens.

        :raises ConnectionFieldsError: if the connection lacks what its way of signing in needs.
        """
        given = self._given_credential
        if given is not None:  # itself, or a callable that returns one
            return given if hasattr(given, "get_token") or hasattr(given, "get_token_info") else given()
        if asynchronous:
            return AsyncSharedCredential(connection, retries=self._patience, read_again=self._aread_again)
        return SharedCredential(connection, retries=self._patience, read_again=self._read_again)

    @property
    def _patience(self) -> int:
        """How often a call is repeated."""
        if self.retries is not None:
            return self.retries
        given = self._connection.retries if self._connection else None
        return DEFAULT_RETRIES if given is None else given

    def _client_options(self, connection: BatchConnection, where: Origin, signing: Any) -> dict[str, Any]:
        """What the sync client is made from.

        :param where: where its requests go, and nowhere else.
        :param signing: the policy that signs them.
        """
        from airflow_batchext.transport.policies import pipeline
        from airflow_batchext.transport.threads import GuardedTransport

        options = connection.client_options(
            retries=self._patience, on_response=self._noting(self._clock, where)
        )
        return {
            "authentication_policy": signing,
            "policies": pipeline(signing, {**self.plane.client_options, **options}, asynchronous=False),
            "transport": GuardedTransport([where], **connection.transport_options),
        }

    async def _aclient_options(
        self, connection: BatchConnection, where: Origin, signing: Any, clock: ServiceClock
    ) -> dict[str, Any]:
        from airflow_batchext.transport.policies import pipeline

        options = connection.client_options(retries=self._patience, on_response=self._noting(clock, where))
        options |= {**self.plane.client_options, "proxies": proxies(connection, str(where))}
        return {
            "authentication_policy": signing,
            "policies": pipeline(signing, options, asynchronous=True),
            "transport": await transport(connection, where),
        }

    def _noting(self, clock: ServiceClock, where: Origin) -> Callable[[Any], None]:
        """What is done with each answer of Azure."""
        plane = self.plane.name

        def note(response: Any) -> None:
            clock.note(response.http_response.headers, is_here=where.is_loopback)
            answered(response, plane)

        return note

    def run(self, call: Call[Result]) -> Result:
        """Send what a call asks for until it comes to its result; the other methods do it for you.

        :param call: what to ask, as the modules of requests beside this one write it.
        :raises ServiceError: what Azure refuses, unless the call makes something else of it.
        """
        answers: Answers = {
            AtOnce: self._run_at_once,
            ReadConnection: self._read_connection,
            Aside: lambda asked: asked.work(),
        }
        with within(CALL_SECONDS):
            return drive(call, lambda asked: answers.get(type(asked), self._send)(asked))

    async def arun(self, call: Call[Result]) -> Result:
        """``run`` on the async client.

        :param call: as for ``run``.
        """
        answers: Answers = {
            AtOnce: self._arun_at_once,
            ReadConnection: self._aread_connection,
            Aside: lambda asked: asyncio.to_thread(asked.work),
        }
        with within(CALL_SECONDS):
            return await adrive(call, lambda asked: answers.get(type(asked), self._asend)(asked))

    def _read_connection(self, asked: ReadConnection) -> BatchConnection:
        return self.connection

    async def _aread_connection(self, asked: ReadConnection) -> BatchConnection:
        return await self.aconnection()

    def _send(self, request: Request[Result]) -> Result:
        client = self.get_conn()
        with request.translated():
            return request.result(client.send_request(request.http()))

    async def _asend(self, request: Request[Result]) -> Result:
        client = await self.aget_conn()
        with request.translated():
            return request.result(await client.send_request(request.http()))

    def _run_at_once(self, asked: AtOnce) -> list[Any]:
        self.get_conn()  # made here, not by several threads at once
        if len(asked.calls) == 1:
            return [self.run(asked.calls[0])]
        with ThreadPoolExecutor(max(1, len(asked.calls))) as threads:
            # Each thread gets the deadline.
            contexts = [copy_context() for _ in asked.calls]
            return list(threads.map(lambda context, call: context.run(self.run, call), contexts, asked.calls))

    async def _arun_at_once(self, asked: AtOnce) -> list[Any]:
        await self.aget_conn()  # Airflow hands out connections to the trigger's own task alone
        return await asyncio.gather(*map(self.arun, asked.calls))

    def get_conn(self) -> SyncClient:
        """The SDK's sync client; kept until ``close``."""
        if self._client is None:
            self._client = self._make(self.connection)
        return self._client

    async def aget_conn(self) -> AsyncClient:
        """The SDK's async client, shared by hooks of one kind and connection; leased until ``aclose``."""
        if self._leased is None:
            connection = await self.aconnection()

            async def make(clock: ServiceClock) -> AsyncClient:
                # The first import takes as long as many gates' looks.
                for module in (*_OF_EACH_CLIENT, self.sdk):
                    await asyncio.to_thread(import_module, module)
                return await self._amake(connection, clock)

            key = (type(self), connection, self._patience, self._given_credential)
            shared = await lease(key, make)
            if self._leased is None:
                self._leased = key, shared
            else:  # somebody else was as quick
                await release(key, shared)
        return cast("AsyncClient", self._leased[1].client)

    def _make(self, connection: BatchConnection) -> SyncClient:
        raise NotImplementedError

    async def _amake(self, connection: BatchConnection, clock: ServiceClock) -> AsyncClient:
        """Make a client, whose answers set the clock."""
        raise NotImplementedError

    def hurried(self, seconds: float) -> Self:
        """Another hook, on the same connection, that repeats nothing and waits for so long at most.

        :param seconds: how long a request of it may take.
        """
        hook = self._on_same_connection(type(self), 0)
        hook._connection = self.connection.hurried(seconds)
        return hook

    def _on_same_connection(self, kind: type[AnyHook], retries: int | None) -> AnyHook:
        hook = kind(self.azure_batchext_conn_id, retries=retries, credential=self._given_credential)
        hook._connection = self._connection
        return hook

    def service_time(self) -> float:
        """The time by the service's clock, in seconds since the epoch; by our own before it has answered."""
        return self._service_clock.now()

    def cautious_time(self) -> float:
        """The earlier of the service's time and our own: for what is done to nodes because of their age."""
        return self._service_clock.cautious_now()

    @property
    def _service_clock(self) -> ServiceClock:
        return self._leased[1].clock if self._leased else self._clock

    def close(self) -> None:
        """Close the sync client; a later call opens a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Give the async client back; a later call leases one again."""
        leased, self._leased = self._leased, None
        if leased:
            await release(*leased)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


def both(
    call: Callable[Params, Call[Result]],
) -> tuple[
    Callable[Concatenate[BatchHook[Any, Any], Params], Result],
    Callable[Concatenate[BatchHook[Any, Any], Params], Coroutine[Any, Any, Result]],
]:
    """Two methods of a hook that run a call: one on the sync client, one on the async client."""

    def method(self: BatchHook[Any, Any], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        return self.run(call(*args, **kwargs))

    async def amethod(self: BatchHook[Any, Any], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        return await self.arun(call(*args, **kwargs))

    signature = inspect.signature(call)
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    shown = signature.replace(parameters=[this, *signature.parameters.values()])
    for function, name in ((method, call.__name__), (amethod, f"a{call.__name__}")):
        vars(function)["__signature__"] = shown
        function.__name__, function.__qualname__, function.__doc__ = name, name, call.__doc__
    return method, amethod


async def amask(secrets: Iterable[str]) -> None:
    """Have secrets masked in logs, without blocking the event loop."""
    try:
        from airflow.sdk.log import amask_secret
    except ImportError:  # Airflow < 3.3.2
        from asgiref.sync import sync_to_async

        # No thread of our own: two loops on Airflow's one channel kill the triggerer (apache/airflow#64620).
        for secret in secrets:
            await sync_to_async(mask_secret)(secret)
        return
    for secret in secrets:
        await amask_secret(secret)
