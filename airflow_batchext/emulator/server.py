"""The running emulator: two sockets, TLS, and a thread that serves both planes and the sign-in.

One HTTPS port serves everything (the paths tell the planes apart), as real clients insist on TLS for tokens;
a plain HTTP port serves the same, for clients with a shared key that know nothing of our certificate.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import shutil
import socket
import tempfile
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from airflow_batchext.emulator import certificates
from airflow_batchext.emulator.account import Account
from airflow_batchext.emulator.clock import Clock
from airflow_batchext.emulator.data_plane import DataPlane
from airflow_batchext.emulator.errors import RefusedError, data_body, management_body, refusal
from airflow_batchext.emulator.management_plane import ManagementPlane
from airflow_batchext.emulator.scenario import Scenario
from airflow_batchext.emulator.serving import ServingThread
from airflow_batchext.emulator.sign_in import SignIn
from airflow_batchext.emulator.wire import Answer, Call, new_id, utc_now, wire_time

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import Receive, Scope, Send
    from typing_extensions import Self

log = logging.getLogger(__name__)

_REMEMBERED_REQUESTS = 100_000
_MANAGEMENT = re.compile(r"^/(subscriptions|providers|metadata)(/|$)", re.IGNORECASE)
_SIGN_IN = re.compile(r"^/[^/]+/(v2\.0/)?(\.well-known|oauth2|discovery)/", re.IGNORECASE)


@dataclass(frozen=True)
class Info:
    """Where the emulator is and how to sign in to it."""

    batch_endpoint: str
    arm_endpoint: str
    authority: str
    http_endpoint: str
    ca_bundle: str
    account: str
    key: str = field(repr=False)
    subscription_id: str
    resource_group: str
    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)

    def as_dict(self) -> dict[str, str]:
        """Return the same as a JSON object."""
        return asdict(self)


class RecordedRequest(NamedTuple):
    """A request that was answered. ``path`` includes the query."""

    method: str
    path: str
    status: int


class Emulator:
    """An Azure Batch account on this machine. Use it in a ``with`` block, or call ``start`` and ``stop``."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        https_port: int = 0,
        http_port: int = 0,
        time_scale: float = 1.0,
        scenario: Scenario | None = None,
        seed: int = 0,
    ) -> None:
        """Prepare an emulator; port 0 takes a free one. The same ``seed`` gives the same node ids."""
        self.clock = Clock(time_scale)
        self.account = Account(self.clock, scenario or Scenario(), seed)
        self.requests: deque[RecordedRequest] = deque(maxlen=_REMEMBERED_REQUESTS)
        self.tokens = SignIn(lambda: self.scenario.answers.token_lifetime)
        self._host = host
        self._ports = (https_port, http_port)
        self._info: Info | None = None
        self._folder: Path | None = None
        self._serving: ServingThread | None = None
        self._management = ManagementPlane(self.account, self.tokens, self._data_host)
        self._data = DataPlane(self.account, self.tokens)

    @property
    def info(self) -> Info:
        """Where the running emulator is and how to sign in to it."""
        if self._info is None:
            raise RuntimeError("the emulator is not running")
        return self._info

    @property
    def scenario(self) -> Scenario:
        """What will happen. It may be replaced or extended while the emulator runs."""
        return self.account.scenario

    @scenario.setter
    def scenario(self, scenario: Scenario) -> None:
        self.account.scenario = scenario

    def start(self) -> Self:
        """Bind the sockets and serve; on return both accept connections. OSError if a port is taken."""
        if self._serving is not None:
            raise RuntimeError("the emulator is running already")
        sockets: list[socket.socket] = []
        try:
            for port in self._ports:
                sockets.append(_bind(self._host, port))  # noqa: PERF401 - if one fails the others must be closed
            self._folder = Path(tempfile.mkdtemp(prefix="batchext-emulator-"))
            files = certificates.make(self._folder, self._host)
            self._info = self._describe(sockets, files.ca_bundle)
            serving = ServingThread(self._application, [(sockets[0], files), (sockets[1], None)])
            serving.start()
            self._serving = serving
        except BaseException:
            for bound in sockets:
                bound.close()
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close the sockets and the connections, and remove the files. Calling it again does no harm."""
        if self._serving is not None:
            self._serving.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._serving, self._folder, self._info = None, None, None

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    # --- serving -------------------------------------------------------------------------------------------

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest(scope, receive)
        call = Call(
            method=request.method,
            raw_path=scope.get("raw_path", b"").decode("latin-1") or request.url.path,
            raw_query=scope.get("query_string", b"").decode("latin-1"),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.body(),
            scheme=request.url.scheme,
            host=request.headers.get("host", ""),
            request_id=new_id(),
        )
        answer = self._answer(call)
        target = f"{call.raw_path}?{call.raw_query}" if call.raw_query else call.raw_path
        self.requests.append(RecordedRequest(call.method, target, answer.status))
        await _response(answer)(scope, receive, send)

    def _answer(self, call: Call) -> Answer:
        is_management = bool(_MANAGEMENT.match(call.raw_path))
        try:
            if is_management:
                return self._management.answer(call)
            if _SIGN_IN.match(call.raw_path):
                return self._sign_in(call)
            return self._data.answer(call)
        except Exception:
            # The request itself is not logged: it may hold secrets.
            log.exception("The emulator failed to answer %s %s", call.method, call.raw_path)
            problem, time = refusal("InternalError"), wire_time(utc_now())
            if is_management:
                return Answer(500, management_body(problem, call.request_id, time))
            return Answer(500, data_body(problem, call.base, call.request_id, time))

    def _sign_in(self, call: Call) -> Answer:
        found = self.tokens.router.find(call.method, call.raw_path)
        try:
            if found is None:
                raise refusal("NotImplemented", message=f"The emulator has no {call.method} {call.path}")
            handler, params = found
            return handler(replace(call, params=params))
        except RefusedError as problem:
            body = {"error": "server_error", "error_description": problem.message}
            return Answer(problem.status, body)

    def _describe(self, sockets: list[socket.socket], ca_bundle: Path) -> Info:
        host = _reachable(self._host)
        https, http = (f"{host}:{bound.getsockname()[1]}" for bound in sockets)
        account = self.account
        return Info(
            batch_endpoint=f"https://{https}",
            arm_endpoint=f"https://{https}",
            authority=f"https://{https}",
            http_endpoint=f"http://{http}",
            ca_bundle=str(ca_bundle),
            account=account.name,
            key=account.keys["primary"],
            subscription_id=account.subscription_id,
            resource_group=account.resource_group,
            tenant_id=self.tokens.tenant_id,
            client_id=self.tokens.client_id,
            client_secret=self.tokens.client_secret,
        )

    def _data_host(self) -> str:
        return self.info.batch_endpoint.removeprefix("https://")


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reachable(host: str) -> str:
    """Return the host under which clients on this machine reach a socket bound to ``host``."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{host}]" if address.version == 6 else host


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as problem:
        bound.close()
        raise OSError(problem.errno, f"cannot listen on {host} port {port}: {problem.strerror}") from None
    return bound


def _response(answer: Answer) -> Response:
    body = b"" if answer.body is None else json.dumps(answer.body, separators=(",", ":")).encode()
    headers = {
        "Server": "Microsoft-HTTPAPI/2.0",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        **answer.headers,
    }
    if answer.body is not None:
        headers.setdefault("Content-Type", "application/json; charset=utf-8")
    response = Response(body, answer.status, headers)
    if answer.chunked:
        del response.headers["content-length"]
    return response
