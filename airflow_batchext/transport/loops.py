"""The transport for event loops: azure-core's on ``aiohttp``, within the rules."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import aiohttp
from azure.core.exceptions import ServiceResponseError, ServiceResponseTimeoutError
from azure.core.pipeline.transport import AioHttpTransport

from airflow_batchext.transport._answers import MOST_BYTES
from airflow_batchext.transport._deadline import over_within
from airflow_batchext.transport._rules import Rules, check_sleep, too_large

if TYPE_CHECKING:
    from airflow_batchext.connection import Origin

_CHUNK = 64 * 1024
_LARGE = 512 * 1024


class AsyncGuardedTransport(AioHttpTransport):  # type: ignore[misc]
    """Sends requests; see the package.

    :param origins: where they may go.
    :param proxy: arguments of aiohttp for requests by https, which keep a proxy's password out of its URL.
    """

    def __init__(
        self,
        origins: Collection[Origin],
        *,
        proxy: dict[str, Any] | None = None,
        session: aiohttp.ClientSession | None = None,
        **options: Any,
    ) -> None:
        super().__init__(session=session, **options)
        self._rules, self._proxy = Rules(origins), proxy or {}
        self._trusted: ssl.SSLContext | None = None

    async def sleep(self, duration: float) -> None:
        """Wait between two tries."""
        await asyncio.sleep(check_sleep(duration))

    async def send(self, request: Any, *, stream: bool = False, proxies: Any = None, **options: Any) -> Any:
        """Send one request and read its answer.

        :raises AnswerError: if either breaks a rule.
        """
        options.setdefault("connection_timeout", self.connection_config.timeout)
        options.setdefault("read_timeout", self.connection_config.read_timeout)
        left = self._rules.admit(request, options)
        if self._proxy:
            proxies = None
            options |= self._proxy if request.url.startswith("https:") else {}
        if stream:
            return await super().send(request, stream=True, proxies=proxies, **options)
        try:
            async with over_within(left):
                return await self._send(request, proxies, options)
        except TimeoutError as error:
            raise ServiceResponseTimeoutError("the answer did not come in time", error=error) from error

    async def _send(self, request: Any, proxies: Any, options: dict[str, Any]) -> Any:
        verify = self.connection_config.verify
        if isinstance(verify, str) and self._trusted is None:
            # azure-core would read the file of the CA in the event loop, for each request.
            self._trusted = await asyncio.to_thread(ssl.create_default_context, cafile=verify)
        response = await super().send(request, stream=True, proxies=proxies, **options)
        found: Any = response.internal_response
        parts, size = [], 0
        try:
            async for part in found.content.iter_chunked(_CHUNK):
                parts.append(part)
                size += len(part)
                if size > MOST_BYTES:
                    raise too_large()
        except (aiohttp.ClientError, OSError) as error:
            raise ServiceResponseError("the answer broke off", error=error) from error
        finally:
            found.close() if size > MOST_BYTES else found.release()
        content = b"".join(parts)
        if size > _LARGE:
            await asyncio.sleep(0)  # others have their turn before it is checked, and before it is parsed
        response._content = self._rules.body(request, found.status, content, found.headers)
        if size > _LARGE:
            await asyncio.sleep(0)
        response._decompress, response._decompressed_content = False, True
        if hasattr(response, "_set_read_checks"):
            await response._set_read_checks()
        return response

    def _build_ssl_config(self, cert: Any, verify: Any) -> Any:
        return self._trusted or super()._build_ssl_config(cert, verify)
