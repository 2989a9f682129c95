"""A server that plays both planes and the sign-in, badly; and a listener that nothing may ever reach.

It answers every request alike, with one of a family of bad answers that is generated from what is wrong in
them: status, headers, shape, size, depth, coding, speed, links, redirects.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
import socket
import ssl
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from airflow_batchext.emulator.serving import certificates

POOL = {
    "id": "p",
    "name": "p",
    "eTag": "0x1",
    "etag": "0x1",
    "state": "active",
    "allocationState": "steady",
    "creationTime": "2026-01-01T00:00:00Z",
    "properties": {
        "provisioningState": "Succeeded",
        "allocationState": "Steady",
        "creationTime": "2026-01-01T00:00:00Z",
        "vmSize": "STANDARD_D2_V3",
        "currentDedicatedNodes": 1,
        "metadata": [{"name": "a", "value": "b"}],
        "scaleSettings": {"fixedScale": {"targetDedicatedNodes": 1}},
        "deploymentConfiguration": {"virtualMachineConfiguration": {"extensions": [{"name": "e"}]}},
        "accountEndpoint": "evil.example",
    },
    "metadata": [{"name": "a", "value": "b"}],
    "targetDedicatedNodes": 1,
    "currentDedicatedNodes": 1,
    "value": [{"id": "n", "state": "idle", "properties": {}}],
    "primary": "a2V5",
    "access_token": "t",
    "expires_in": 3600,
    "token_type": "Bearer",
}
ODD = [
    None,
    True,
    -1,
    1e300,
    10**30,
    "",
    "\ud800",
    "\r\n\x1b[31m\u202e",
    [],
    [None],
    [[]],
    {},
    {"a": None},
    "x" * 100_000,
]


@dataclass(frozen=True)
class Answer:
    """One bad answer.

    :param drip: seconds before each byte of the body.
    :param head_drip: seconds before each byte of the head.
    :param length: what ``Content-Length`` says; by default the truth, -1: none and the connection closes.
    :param endless: what follows the body, again and again, until nobody reads it any more.
    """

    name: str
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    drip: float = 0.0
    head_drip: float = 0.0
    length: int | None = None
    endless: bytes = b""


def _json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


@cache
def _bomb(bits: int) -> bytes:
    """Some 300 KB that are 300 MB, and made without ever being so."""
    squeezed = zlib.compressobj(9, wbits=bits)
    parts = [squeezed.compress(b'{"id": "')]
    parts += [squeezed.compress(bytes(1_000_000)) for _ in range(300)]
    return b"".join([*parts, squeezed.compress(b'"}'), squeezed.flush()])


def _changed(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _changed(value[path[0]], path[1:], odd)
    return copy


def _paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield (*above, step)
        yield from _paths(item, (*above, step))


def bad_answers(trap: str, here: str) -> list[Answer]:
    """The family.

    :param trap: the URL of the listener that nothing may reach.
    :param here: the URL of the server itself.
    """
    shapes = [
        Answer(f"{'.'.join(map(str, path))}={str(odd)[:8]!r}", body=_json(_changed(POOL, path, odd)))
        for path, odd in itertools.product(_paths(POOL), ODD)
    ]
    bodies = {
        "nothing": b"",
        "html": b"<html>a proxy's own page</html>",
        "half": _json(POOL)[:-20],
        "latin": '{"id": "é"}'.encode("latin-1"),
        "utf16": json.dumps(POOL).encode("utf-16"),
        "zeros": bytes(1000),
        "NaN": b'{"value": [{"id": NaN}], "id": Infinity}',
        "large numbers": b'{"targetDedicatedNodes": 1e999, "value": [{"a": ' + b"9" * 5000 + b"}]}",
        "deep lists": b"[" * 5000 + b"]" * 5000,
        "deep objects": b'{"value":' * 5000 + b"[]" + b"}" * 5000,
        "deep and open": b"[" * 200_000,
        "many": b'{"value": [' + b"[]," * 3_000_000 + b"[]]}",
        "large": b'{"id": "' + b"x" * 12_000_000 + b'"}',
        "same key": b"{" + b'"a": 1, ' * 100_000 + b'"a": 1}',
        "error is odd": _json({"error": {"details": 5, "message": [1], "code": {"a": 1}}}),
        "values are odd": _json({"code": 5, "message": {"value": 7}, "values": {"a": 1}}),
        "error is long": _json({"error": {"code": "C" * 99999, "message": "key=" * 200_000}}),
        "error of sign-in": _json({"error": 5, "error_description": ["AADSTS7000215"] * 9}),
        "control": _json({"code": "\x1b]0;x\x07\r\n", "message": {"value": "a\x00b\r\nlevel=critical"}}),
    }
    statuses = (200, 201, 202, 204, 400, 401, 403, 404, 409, 412, 418, 429, 500, 503)
    told = [
        Answer(f"{status} {name}", status, body)
        for status, (name, body) in itertools.product(statuses, bodies.items())
    ]
    pairs = {
        "Date": (
            "Mon, 99 Foo 99999",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Mon, 01 Jan 0001 00:00:00 +2359",
            "",
            "-1",
        ),
        "Retry-After": ("inf", "nan", "-1", "1e400", "3600", "1" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "x"),
        "retry-after-ms": ("inf", "nan", "-5", "99999999"),
        "Content-Type": (
            "application/json; charset=hex",
            "application/json; charset=idna",
            "application/xml",
            "a/b/c;;=",
        ),
        "Content-Encoding": ("gzip", "deflate", "br", "zstd", "gzip, gzip", "hex", "\xff"),
        "ETag": ("\x1b[31m", "x" * 20_000),
        "WWW-Authenticate": (
            f'Bearer authorization_uri="{trap}", claims="!!!"',
            "Bearer" + " a=b," * 5000,
            "Negotiate",
        ),
        "x-batchext-time": ("Fri, 31 Dec 9999 23:59:59 GMT", "x"),
    }
    headed = [
        Answer(f"{status} {name}: {value[:12]}", status, _json(POOL), {name: value})
        for name, values in pairs.items()
        for value, status in itertools.product(values, (200, 401, 429, 503))
    ]
    bomb, inflated = _bomb(31), _bomb(15)
    coded = [
        Answer("gzip bomb", body=bomb, headers={"Content-Encoding": "gzip"}),
        Answer("gzip bomb as error", 503, bomb, {"Content-Encoding": "gzip"}),
        Answer("deflate bomb", body=inflated, headers={"Content-Encoding": "deflate"}),
        Answer("half of a gzip", body=gzip.compress(_json(POOL))[:-9], headers={"Content-Encoding": "gzip"}),
        Answer("longer than told", body=_json(POOL), length=5),
        Answer("shorter than told", body=_json(POOL), length=90_000),
        Answer("no length", body=_json(POOL)[:-3], length=-1),
        Answer("absurd length", body=b"{}", length=10**18),
        *endless_answers(),
    ]
    slow = [
        Answer("drips", body=_json(POOL), drip=0.5),
        Answer("drips an error", 503, _json({"code": "x"}) * 50, drip=0.5),
        Answer("drips its head", body=_json(POOL), head_drip=0.3),
        Answer("says nothing", head_drip=600.0),
        Answer("stops in the middle", body=_json(POOL), drip=600.0),
    ]
    links = [
        here, f"{here}/?x=1", trap, f"{trap}/pools", f"{here}@{trap[8:]}", f"{here}\\@{trap[8:]}",
        f"//{trap.partition('//')[2]}", trap.upper(), "file:///etc/passwd", "\\\\evil", "%", "x" * 9000,
        5, {"a": 1}, [trap], True,
    ]  # fmt: skip
    pages = [
        Answer(f"{member} {str(link)[:40]}", body=_json({"value": [{"id": "n"}], member: link}))
        for member, link in itertools.product(("nextLink", "odata.nextLink"), links)
    ]
    redirects = [
        Answer(f"{status} to {where[:30]}", status, b"", {"Location": where})
        for status, where in itertools.product(
            (300, 301, 302, 303, 304, 307, 308), (trap, here, "//evil", "")
        )
    ]
    return [*shapes, *told, *headed, *coded, *slow, *pages, *redirects]


def endless_answers() -> list[Answer]:
    """Answers that go on for ever, as quickly as they are read: of one text, of many parts, of noise."""
    parts = {"text": (b'{"id":"', b"x" * 65536), "parts": (b'{"value":[', b'{"id":"n"},' * 6000)}
    parts |= {"lines": (b"", b"a line\n" * 8000), "noise": (b"", bytes(range(256)) * 256)}
    return [
        Answer(f"endless {name}, of length {length}", status, begin, length=length, endless=rest)
        for name, (begin, rest) in parts.items()
        for length, status in ((-1, 200), (10**12, 200), (-1, 503))
    ]


def heavy_answers(most_bytes: int, most_values: int) -> list[Answer]:
    """Answers of as many bytes, or parts, as are read, which cost as much as can be."""
    room, parts = most_bytes - 100, most_values - 10
    texts = {"letters": b"x", "umlauts": "é".encode(), "escapes": b"\\u0041", "quotes": b'\\"'}
    texts |= {"closers": b"]", "halves": b"\\ud800", "brackets": b"[]", "commas": b","}
    items = {"objects": (b"{}", 2), "lists": (b"[]", 2), "numbers": (b"1", 1), "texts": (b'"a"', 1)}
    items |= {"fractions": (b"1." + b"5" * 24, 1), "long numbers": (b"1" * 24, 1)}
    items |= {"nodes": (b'{"id":"n","state":"idle"}', 3)}
    bodies = {name: b'{"id":"' + unit * (room // len(unit)) + b'"}' for name, unit in texts.items()}
    for name, (item, count) in items.items():
        most = min(parts // count, room // (len(item) + 1))
        bodies[name] = b'{"value":[' + b",".join([item] * most) + b"]}"
        bodies[f"{name}, on a page"] = b'{"value":[' + b",".join([item] * 2_400) + b"]}"
    bodies["members"] = b"{" + b",".join(b'"k%d":1' % number for number in range(parts)) + b"}"
    bodies["blanks"], bodies["closed"] = b"{}" + b" " * room, b"{}" + b"]" * room
    return [Answer(f"heavy {name}", body=body) for name, body in bodies.items()]


#: What a terminal, a log or a page would obey.
LOUD = "a\r\n2026-01-01 CRITICAL \x1b]0;x\x07\x1b[2J\u202e\u2028\x00\x9b31m"
_STATES = {"state": "idle", "allocationState": "steady", "provisioningState": "Succeeded"}


def _world(said: str) -> dict[str, Any]:
    """A body that is a pool, a node, an extension, an account and a list of each; its texts say that."""
    error: dict[str, Any] = {"code": said, "message": said, "details": [{"code": said, "message": said}]}
    error |= {"values": [{"name": said, "value": said}], "errorDetails": [{"name": said, "value": said}]}
    status = {"code": f"ProvisioningState/failed/{said}", "message": said, "displayStatus": said}
    extension = {
        "provisioningState": "Failed",
        "vmExtension": {"name": said, "type": said, "publisher": said, "settings": {"a": said}},
        "instanceView": {"name": said, "statuses": [status], "subStatuses": [status]},
    }
    item = {
        **_STATES,
        **extension,
        "id": said,
        "name": said,
        "errors": [error],
        "vmSize": said,
        "executionInfo": {
            "result": said,
            "exitCode": 1,
            "failureInfo": error,
            "startTime": said,
            "endTime": said,
            "schedulingError": error,
            "terminateReason": said,
        },
        "nodeInfo": {"nodeId": said},
        "taskId": said,
        "status": said,
        "error": error,
        "startTaskInfo": {"state": said, "exitCode": 1, "failureInfo": error, "result": said},
        "nodeAgentInfo": {"version": said},
        "properties": {},
        "lastBootTime": said,
        "stateTransitionTime": said,
        "allocationTime": said,
    }
    named = [{"name": said, "type": said, "value": said}]
    properties = {
        **POOL["properties"],  # type: ignore[dict-item]
        "metadata": named,
        "vmSize": said,
        "displayName": said,
        "resizeOperationStatus": {"errors": [error]},
        "autoScaleRun": {"error": error, "results": said},
        "deploymentConfiguration": {"virtualMachineConfiguration": {"extensions": named}},
    }
    return {
        **POOL,
        **extension,
        "executionInfo": item["executionInfo"],
        "nodeInfo": item["nodeInfo"],
        "name": said,
        "id": said,
        "value": [item],
        "properties": properties,
        "eTag": said,
        "resizeErrors": [error],
        "metadata": named,
        "location": said,
        "tags": {"a": said},
        "virtualMachineConfiguration": {"extensions": named},
        "targetDedicatedNodes": 1,
        "autoScaleRun": {"error": error},
        "errors": [error],
        "identity": {"type": said},
    }


def loud_answers(seed: str, count: int) -> list[Answer]:
    """Answers that are understood, and whose words are no words: all of them, or some; and refusals."""
    whole, found = _all_that_is_loud()
    return [*whole, *random.Random(seed).sample(found, min(count, len(found)))]


@cache
def _all_that_is_loud() -> tuple[list[Answer], list[Answer]]:
    all_of_it, world = _world(LOUD), _world("w")
    codes = ("PoolBeingResized", "ConditionNotMet", "AuthorizationFailure", "RequestDisallowedByPolicy", "")
    pairs = [{"key": LOUD, "value": LOUD}]
    found = []
    for status, code, way in itertools.product((400, 401, 403, 404, 409, 412, 429, 500), codes, (0, 1)):
        told = {"code": code or LOUD, "message": LOUD, "details": [{"code": LOUD, "message": LOUD}]}
        body = {"error": told} if way else {**told, "message": {"value": LOUD}, "values": pairs}
        headers = {"request-id": "x\x1b[31m", "Retry-After": "0", "WWW-Authenticate": "Bearer x"}
        found.append(Answer(f"loud {status} {code}", status, _json(body), headers))
    places = [path for path in _paths(all_of_it) if isinstance(_at(all_of_it, path), str)]
    found += [
        Answer(f"{'.'.join(map(str, path))} is loud", body=_json(_changed(world, path, LOUD)))
        for path in places
    ]
    whole = [Answer("all is loud", body=_json(all_of_it)), Answer("no text is", body=_json(world))]
    return whole, found


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


class Trap:
    """Notes whoever connects, and what is said; by TLS, too, with a certificate that is trusted."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    connection.settimeout(1)
                    with suppress(OSError):
                        self.heard.append(connection.recv(65536))

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


class Hostile:
    """The server: by http and https, at two ports, with one answer for all."""

    def __init__(self) -> None:
        self.answer = Answer("well")
        self.asked: list[str] = []
        self.stopped = threading.Event()
        folder = Path(tempfile.mkdtemp(prefix="hostile-"))
        files = certificates.make(folder, "127.0.0.1")
        self.ca_bundle = str(files.ca_bundle)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        self._servers = [_Server(self, None), _Server(self, context)]
        self.http, self.https = (
            f"{scheme}://127.0.0.1:{server.server_port}"
            for scheme, server in zip(("http", "https"), self._servers, strict=True)
        )
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """Stop, and let go whoever is still being answered."""
        self.stopped.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def connection(self, **extra: Any) -> dict[str, Any]:
        """An Airflow connection to it."""
        fields = {
            "tenant_id": "11111111-2222-3333-4444-555555555555",
            "subscription_id": "s",
            "resource_group": "g",
            "account_name": "a",
            "arm_url": self.https,
            "authority": self.https,
            "account_url": self.http,
            "account_key_secret": "c2VjcmV0LWtleS1TRU5USU5FTA==",
            "ca_bundle": self.ca_bundle,
            "connect_timeout": 5,
            **extra,
        }
        return {"conn_type": "azure_batchext", "login": "app", "password": "pw-SENTINEL", "extra": fields}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, hostile: Hostile, context: ssl.SSLContext | None) -> None:
        self.hostile, self._context = hostile, context
        super().__init__(("127.0.0.1", 0), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        with suppress(OSError):
            if self._context is not None:
                request = self._context.wrap_socket(request, server_side=True)
            super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def handle_one_request(self) -> None:
        hostile = self.server.hostile
        line = self.rfile.readline(65537).decode("latin-1").strip()
        self.close_connection = True
        if not line:
            return
        hostile.asked.append(line)
        length = 0
        while header := self.rfile.readline(65537).strip():
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        self.rfile.read(length)
        answer = hostile.answer
        length_told = len(answer.body) if answer.length is None else answer.length
        headers = {"Content-Type": "application/json", **answer.headers}
        if length_told >= 0:
            headers["Content-Length"] = str(length_told)
        head = f"HTTP/1.1 {answer.status} Odd\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        self._write(f"{head}Connection: close\r\n\r\n".encode("latin-1", "replace"), answer.head_drip)
        self._write(answer.body, answer.drip)
        while answer.endless and not self.server.hostile.stopped.is_set():
            self.wfile.write(answer.endless)

    def _write(self, data: bytes, drip: float) -> None:
        if not drip:
            self.wfile.write(data)
            return
        for byte in data:
            if self.server.hostile.stopped.wait(drip):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()


def seconds() -> float:
    """A clock for what is measured."""
    return time.monotonic()
