"""The async clients that all hooks of one event loop share: one of each kind for each connection.

A triggerer holds a thousand gates on a few accounts. A client for each of them would sign in, and shake hands
for almost every read, as a connection is not kept as long as a gate waits; one client keeps a few warm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from airflow_batchext.credentials import hidden_proxy
from airflow_batchext.exceptions import ConnectionFieldsError

if TYPE_CHECKING:
    import ssl

    from airflow_batchext.connection import BatchConnection, Origin
    from airflow_batchext.transport.loops import AsyncGuardedTransport

#: Connections that one client opens at the same time.
_MOST_CONNECTIONS = 32
# Longer than gates usually wait between two looks, shorter than Azure's load balancers keep an idle one.
_KEPT_SECONDS = 90


#: By how much the service's clock may differ from ours: no sign-in works with more.
_LARGEST_SKEW_SECONDS = 900.0
#: How an emulator on this machine tells its time, which may pass faster.
EMULATED_TIME_HEADER = "x-batchext-time"


class ServiceClock:
    """Knows the service's time, as far as its answers have told it.

    A ``Date`` that is far from our own time is some proxy's, or wrong: it is not believed.
    """

    def __init__(self) -> None:
        self._ahead = 0.0
        self._is_emulated = False

    def now(self) -> float:
        """The service's time in seconds since the epoch; our own before it has answered."""
        return time.time() + self._ahead

    def cautious_now(self) -> float:
        """The earlier of the service's time and our own: by it nothing is older than it really is.

        One of the two may be wrong, by less than what is not believed at all.
        """
        return time.time() + (self._ahead if self._is_emulated else min(0.0, self._ahead))

    def note(self, headers: Mapping[str, str], *, is_here: bool = False) -> None:
        """Learn from the headers of an answer.

        :param is_here: whether it came from this machine, where the service may be an emulator.
        """
        emulated = headers.get(EMULATED_TIME_HEADER) if is_here else None
        with suppress(TypeError, ValueError, OverflowError, OSError, LookupError):
            ahead = parsedate_to_datetime(emulated or headers["Date"]).timestamp() - time.time()
            if emulated or abs(ahead) <= _LARGEST_SKEW_SECONDS:
                self._ahead, self._is_emulated = ahead, bool(emulated)


@dataclass(eq=False)
class SharedClient:
    """A client, and the clock of the service it talks to."""

    clock: ServiceClock = field(default_factory=ServiceClock)
    client: Any = None
    users: int = 0
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, SharedClient]] = WeakKeyDictionary()


async def lease(key: Hashable, make: Callable[[ServiceClock], Awaitable[Any]]) -> SharedClient:
    """The client of this event loop that has this key; made if there is none.

    :param key: what the client was made from.
    :param make: makes a client.
    """
    here = _shared.setdefault(asyncio.get_running_loop(), {})
    shared = here.setdefault(key, SharedClient())
    shared.users += 1
    try:
        async with shared.opening:
            if shared.client is None:
                shared.client = await make(shared.clock)
    except BaseException:
        await release(key, shared)
        raise
    return shared


async def release(key: Hashable, shared: SharedClient) -> None:
    """Give a client back; the last one to do so closes it."""
    shared.users -= 1
    if shared.users:
        return
    _shared[asyncio.get_running_loop()].pop(key, None)
    if shared.client is not None:
        await shared.client.close()


async def transport(connection: BatchConnection, where: Origin) -> AsyncGuardedTransport:
    """The transport of an async client whose requests go there.

    azure-core's own would read the CA file and shake hands anew for each request, and use two threads to
    look for proxies and passwords in the environment; see ``proxies``.

    :raises ConnectionFieldsError: if the CA file cannot be used.
    """
    import aiohttp

    from airflow_batchext.transport.loops import AsyncGuardedTransport

    trusted = await asyncio.to_thread(_trusted, connection) if connection.ca_bundle else True
    connector = aiohttp.TCPConnector(ssl=trusted, limit=_MOST_CONNECTIONS, keepalive_timeout=_KEPT_SECONDS)
    session = aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    )
    return AsyncGuardedTransport(
        [where],
        proxy=hidden_proxy(connection),
        session=session,
        connection_timeout=connection.connect_timeout,
        read_timeout=connection.read_timeout,
    )


def proxies(connection: BatchConnection, url: str) -> dict[str, str]:
    """The proxies for a URL, by scheme: the connection's, else the environment's (``HTTPS_PROXY``, …)."""
    from urllib.request import getproxies, proxy_bypass

    if connection.proxies:
        return connection.proxies
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    return {parts.scheme: proxy} if proxy and not proxy_bypass(parts.netloc) else {}


def _trusted(connection: BatchConnection) -> ssl.SSLContext:
    import ssl

    try:
        return ssl.create_default_context(cafile=connection.ca_bundle)
    except OSError as error:
        raise ConnectionFieldsError(
            f"Connection {connection.conn_id!r}: ca_bundle {connection.ca_bundle!r} cannot be read as PEM "
            f"certificates ({type(error).__name__})."
        ) from None
