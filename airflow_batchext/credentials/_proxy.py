"""A transport for async clients that gives a proxy its password by the way, not in its URL.

aiohttp writes the proxy's URL into the text of its errors, and azure-identity writes those into the log.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from airflow_batchext.connection import BatchConnection


def proxied_transport(connection: BatchConnection) -> Any:
    """azure-core's class of transports for aiohttp, or one that hides the password of a proxy."""
    from azure.core.pipeline.transport import AioHttpTransport

    if not connection.proxy or not connection.proxy_password:
        return AioHttpTransport
    parts = urlsplit(connection.proxy)
    user, _, place = parts.netloc.rpartition("@")
    login = b64encode(f"{unquote(user)}:{connection.proxy_password}".encode()).decode()
    sent = {
        "proxy": parts._replace(netloc=place).geturl(),
        "proxy_headers": {"Proxy-Authorization": f"Basic {login}"},
    }

    class Transport(AioHttpTransport):  # type: ignore[misc]
        async def send(self, request: Any, **options: Any) -> Any:
            options.pop("proxies", None)
            if request.url.startswith("https:"):
                options |= sent
            return await super().send(request, **options)

    return Transport


def async_transport(connection: BatchConnection) -> dict[str, Any]:
    """The keyword argument ``transport`` for an async credential; empty if there is no password to hide."""
    if not connection.proxy or not connection.proxy_password:
        return {}
    verify = {"connection_verify": connection.ca_bundle} if connection.ca_bundle else {}
    timeouts = {"connection_timeout": connection.connect_timeout, "read_timeout": connection.read_timeout}
    return {"transport": proxied_transport(connection)(**timeouts, **verify)}
