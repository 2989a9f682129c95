"""The transport for threads: azure-core's on ``requests``, within the rules."""

from __future__ import annotations

import io
import time
from collections.abc import Collection
from http.client import HTTPResponse
from threading import Lock
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ServiceResponseError, ServiceResponseTimeoutError
from azure.core.pipeline.transport import RequestsTransport
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError

from airflow_batchext.connection import origin_of
from airflow_batchext.transport._answers import MOST_BYTES
from airflow_batchext.transport._deadline import seconds_left
from airflow_batchext.transport._rules import Rules, check_sleep, too_large

if TYPE_CHECKING:
    from airflow_batchext.connection import Origin

_CHUNK = 64 * 1024
#: Connections to one host that are kept: as many as threads send at once, so that none is thrown away.
_KEPT_CONNECTIONS = 64


class GuardedTransport(RequestsTransport):  # type: ignore[misc]
    """Sends requests; see the package.

    :param origins: where they may go.
    """

    def __init__(self, origins: Collection[Origin], **options: Any) -> None:
        super().__init__(**options)
        self._rules = Rules(origins)
        self._origins = origins
        self._around: dict[Origin, dict[str, Any]] = {}
        self._opening = Lock()

    def _init_session(self, session: Any) -> None:
        super()._init_session(session)
        self._around = {
            origin: session.merge_environment_settings(str(origin), {}, None, None, None)
            for origin in self._origins
        }
        # It would look for proxies again at each request, which takes a tenth of the request's time, and put
        # what a .netrc says into the place of our signature.
        session.trust_env = False
        for adapter in session.adapters.values():
            _keep_deadlines(adapter)

    def sleep(self, duration: float) -> None:
        """Wait between two tries."""
        time.sleep(check_sleep(duration))

    def send(self, request: Any, *, proxies: Any = None, **options: Any) -> Any:
        """Send one request and read its answer.

        :raises AnswerError: if either breaks a rule.
        """
        options.setdefault("connection_timeout", self.connection_config.timeout)
        options.setdefault("read_timeout", self.connection_config.read_timeout)
        is_streamed = options.pop("stream", False)
        self._rules.admit(request, options)
        with self._opening:
            self.open()
        around = self._around[origin_of(request.url)]
        if self.connection_config.verify is True:
            options.setdefault("connection_verify", around["verify"])
        proxies = {**around["proxies"], **(proxies or {})}
        response = super().send(request, proxies=proxies, stream=True, **options)
        if is_streamed:
            return response
        found = response.internal_response
        try:
            body = self._rules.body(request, found.status_code, _read(found.raw), found.headers)
        finally:
            found.close()
        found._content, found._content_consumed = body, True
        if hasattr(response, "_set_read_checks"):
            response._content = body
            response._set_read_checks()
        return response


def _read(raw: Any) -> bytes:
    parts, size = [], 0
    try:
        for part in raw.stream(_CHUNK, decode_content=False):
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise too_large()
    except (ReadTimeoutError, TimeoutError) as error:
        raise ServiceResponseTimeoutError(
            "the answer did not come to its end in time", error=error
        ) from error
    except (HTTPError, OSError) as error:
        raise ServiceResponseError("the answer broke off", error=error) from error
    return b"".join(parts)


class _Until(io.RawIOBase):
    """Reads a socket up to the deadline: each read has less time, however little the one before brought."""

    def __init__(self, sock: Any, raw: Any) -> None:
        self._sock, self._raw = sock, raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = seconds_left()
        if left <= 0:
            raise TimeoutError("timed out")
        timeout = self._sock.gettimeout()
        if timeout is None or timeout > left:
            self._sock.settimeout(left)
        return int(self._raw.readinto(buffer) or 0)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Until(sock, self.fp.detach()))


class _Connection(HTTPConnection):
    response_class = _Response


class _TlsConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _keep_deadlines(adapter: Any) -> None:
    """Have the connections of an adapter, and of the proxies that it is going to use, read so."""
    pools = {"http": _Pool, "https": _TlsPool}
    _keep(adapter.poolmanager, pools)
    through_proxy = adapter.proxy_manager_for

    def proxy_manager_for(*arguments: Any, **options: Any) -> Any:
        manager = through_proxy(*arguments, **options)
        _keep(manager, pools)
        return manager

    adapter.proxy_manager_for = proxy_manager_for


def _keep(manager: Any, pools: dict[str, Any]) -> None:
    manager.pool_classes_by_scheme = pools
    manager.connection_pool_kw["maxsize"] = _KEPT_CONNECTIONS
