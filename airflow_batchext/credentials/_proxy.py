"""A transport for async clients that gives a proxy its password by the way, not in its URL.

aiohttp writes the proxy's URL into the text of its errors, and azure-identity writes those into the log.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from airflow_batchext.connection import BatchConnection


def async_transport(connection: BatchConnection) -> dict[str, Any]:
    """The keyword argument ``transport`` for an async client; empty if there is no password to hide."""
    if not connection.proxy or not connection.proxy_password:
        return {}
    from azure.core.pipeline.transport import AioHttpTransport

    parts = urlsplit(connection.proxy)
    user, _, place = parts.netloc.rpartition("@")
    url = parts._replace(netloc=place).geturl()
    login = b64encode(f"{unquote(user)}:{connection.proxy_password}".encode()).decode()

    class Transport(AioHttpTransport):  # type: ignore[misc]
        async def send(self, request: Any, **options: Any) -> Any:
            options.pop("proxies", None)
            if request.url.startswith("https:"):
                options |= {"proxy": url, "proxy_headers": {"Proxy-Authorization": f"Basic {login}"}}
            return await super().send(request, **options)

    verify = {"connection_verify": connection.ca_bundle} if connection.ca_bundle else {}
    return {
        "transport": Transport(
            connection_timeout=connection.connect_timeout, read_timeout=connection.read_timeout, **verify
        )
    }
