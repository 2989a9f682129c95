"""How an async client gives a proxy its password by the way, not in its URL.

aiohttp writes the proxy's URL into the text of its errors, and azure-identity writes those into the log.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from airflow_batchext.connection import BatchConnection


def hidden_proxy(connection: BatchConnection) -> dict[str, Any]:
    """Arguments of aiohttp for requests by https; empty if there is no password to hide."""
    if not connection.proxy or not connection.proxy_password:
        return {}
    parts = urlsplit(connection.proxy)
    user, _, place = parts.netloc.rpartition("@")
    login = b64encode(f"{unquote(user)}:{connection.proxy_password}".encode()).decode()
    return {
        "proxy": parts._replace(netloc=place).geturl(),
        "proxy_headers": {"Proxy-Authorization": f"Basic {login}"},
    }
