"""Every request comes through here: it is decoded, meets its faults, goes to its plane, and is written down.

The paths tell the planes apart, so that one port serves them all.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from airflow_batchext.emulator.data.answers import CONTENT_TYPE
from airflow_batchext.emulator.faults import (
    Drop,
    Edit,
    Error,
    Expire,
    Fault,
    Faults,
    Garble,
    PlaneName,
    Slow,
    Throttle,
    Truncate,
)
from airflow_batchext.emulator.login.tokens import BATCH, MANAGEMENT
from airflow_batchext.emulator.remembered import Remembered
from airflow_batchext.emulator.serving.edits import edited
from airflow_batchext.emulator.wire.errors import (
    RefusedError,
    data_body,
    failure,
    management_body,
    refusal,
)
from airflow_batchext.emulator.wire.http import Answer, Call, http_time, new_id, utc_now, wire_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from airflow_batchext.emulator.login.tokens import Tokens

log = logging.getLogger(__name__)

_REMEMBERED_REQUESTS = 100_000
#: Bytes of a request; where Azure draws the line is not known. Forms come from anybody, and are parsed before
#: that is known.
_LARGEST_BODY, _LARGEST_FORM = 4 * 1024 * 1024, 64 * 1024
_MANAGEMENT = re.compile(r"^/(subscriptions|providers|metadata/endpoints)(/|$)", re.IGNORECASE)
_CONTROL = re.compile(r"^/emulator(/|$)")
_SIGN_IN = re.compile(
    r"^/([^/]+/(v2\.0/)?(\.well-known|oauth2|discovery)|msi/token|metadata/identity)(/|$)",
    re.IGNORECASE,
)


class RecordedRequest(NamedTuple):
    """A request that was answered. ``path`` includes the query; ``status`` is 0 if the connection was cut."""

    method: str
    path: str
    status: int


@dataclass(frozen=True)
class Endpoints:
    """Who answers what."""

    management: Callable[[Call], Answer]
    data: Callable[[Call], Answer]
    sign_in: Callable[[Call], Answer]
    tokens: Tokens
    is_private: Callable[[], bool]
    """Whether the data plane is closed to the public network."""
    control: Callable[[Call], Answer]
    """What is no part of Azure."""
    changed: Callable[[], None]
    """Told after each request that may have changed something."""
    now: Callable[[], datetime]
    """The time of the emulated service, which its answers carry as ``Date``: their times are of its clock."""


class Application:
    """The ASGI application of the emulator."""

    def __init__(self, endpoints: Endpoints, faults: Faults, cut: Callable[[Scope], None]) -> None:
        """``cut`` closes the connection that a request came on."""
        self.requests: Remembered[RecordedRequest] = Remembered(maxlen=_REMEMBERED_REQUESTS)
        self._endpoints = endpoints
        self._faults = faults
        self._cut = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = HttpRequest(scope, receive)
        call = Call(
            method=request.method,
            raw_path=scope.get("raw_path", b"").decode("latin-1") or request.url.path,
            raw_query=scope.get("query_string", b"").decode("latin-1"),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=b"",
            scheme=request.url.scheme,
            host=request.headers.get("host", ""),
            request_id=new_id(),
        )
        plane = plane_of(call.raw_path)
        sent = await _read(request, _LARGEST_FORM if plane == "sign-in" else _LARGEST_BODY)
        if sent is None:
            await self._response(_refused(plane, call, refusal("RequestBodyTooLarge")))(scope, receive, send)
            return
        call = replace(call, body=sent)
        if _CONTROL.match(call.raw_path):
            answer = self._endpoints.control(call)
            self._perhaps_changed(call)
            await self._response(answer)(scope, receive, send)
            return
        firing = self._faults.meeting(plane, call.method, call.path)
        for fault in firing:
            if isinstance(fault, Slow):
                await asyncio.sleep(fault.seconds)
        ending = next((fault for fault in firing if not isinstance(fault, (Slow, Edit))), None)
        answer = self._answer(plane, call, ending)
        for fault in firing:
            if isinstance(fault, Edit) and (body := answer.json()) is not None:
                answer = replace(answer, body=edited(body, fault), text=None)
        if call.method == "HEAD" and plane == "data" and answer.status >= 400:
            answer = _without_body(answer)
        self._perhaps_changed(call)
        target = f"{call.raw_path}?{call.raw_query}" if call.raw_query else call.raw_path
        is_cut = isinstance(ending, (Drop, Truncate))
        self.requests.append(RecordedRequest(call.method, target, 0 if is_cut else answer.status))
        if isinstance(ending, Drop):
            self._cut(scope)
            await _goodbye(receive)
        elif isinstance(ending, Truncate):
            await _send_a_part(self._response(answer), ending.keep, send)
        else:
            await self._response(answer)(scope, receive, send)

    def _perhaps_changed(self, call: Call) -> None:
        if call.method not in ("GET", "HEAD"):
            self._endpoints.changed()

    def _response(self, answer: Answer) -> Response:
        body = b"" if answer.body is None else json.dumps(answer.body, separators=(",", ":")).encode()
        headers: Mapping[str, str] = {
            "Server": "Microsoft-HTTPAPI/2.0",
            "Date": http_time(self._endpoints.now()),
            # A client does not believe a Date that is far from its own.
            "x-batchext-time": http_time(self._endpoints.now()),
            "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
            "X-Content-Type-Options": "nosniff",
            **({"Content-Type": "application/json; charset=utf-8"} if answer.body is not None else {}),
            **answer.headers,
        }
        if answer.text is not None:
            body = answer.text.encode()
        elif answer.data is not None:
            body = answer.data
        # One that is empty is one that this answer does not have.
        response = Response(body, answer.status, {name: value for name, value in headers.items() if value})
        if answer.chunked:
            del response.headers["content-length"]
        return response

    def _answer(self, plane: PlaneName, call: Call, fault: Fault | None) -> Answer:
        """Carry out a request, unless a fault comes in between."""
        if isinstance(fault, (Error, Drop)) and fault.performed:
            self._carry_out(plane, call)
        if isinstance(fault, (Throttle, Error)):
            return _refused(plane, call, _failure(fault))
        if isinstance(fault, Drop):
            return Answer(0)
        if isinstance(fault, Garble):
            return Answer(fault.status, text=fault.body, headers={"Content-Type": fault.content_type})
        if isinstance(fault, Expire):
            return self._carry_out_expired(plane, call)
        return self._carry_out(plane, call)

    def _carry_out(self, plane: PlaneName, call: Call) -> Answer:
        try:
            if plane == "management":
                return self._endpoints.management(call)
            if plane == "sign-in":
                return self._endpoints.sign_in(call)
            if self._endpoints.is_private():
                return _refused(plane, call, refusal("AuthorizationFailure"))
            return self._endpoints.data(call)
        except Exception:
            # The request itself is not logged: it may hold secrets.
            log.exception("The emulator failed to answer %s %s", call.method, call.raw_path)
            return _refused(plane, call, refusal("InternalError"))

    def _carry_out_expired(self, plane: PlaneName, call: Call) -> Answer:
        tokens = self._endpoints.tokens
        if plane == "sign-in":
            answer = self._carry_out(plane, call)
            if answer.body is None or "access_token" not in answer.body:
                return answer
            expired = tokens.expired(answer.body["access_token"])
            return replace(answer, body={**answer.body, "access_token": expired})
        if call.headers.get("authorization", "").lower().startswith("bearer "):
            audience = MANAGEMENT if plane == "management" else BATCH
            stale = {"authorization": f"Bearer {tokens.issue(audience, lifetime=-1)}"}
            call = replace(call, headers={**call.headers, **stale})
        return self._carry_out(plane, call)


async def _read(request: HttpRequest, most: int) -> bytes | None:
    """The body of a request; None if it is larger: then it is read to its end, and not kept."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= most:
            parts.append(part)
    return b"".join(parts) if size <= most else None


def plane_of(raw_path: str) -> PlaneName:
    """Which plane a path belongs to."""
    if _SIGN_IN.match(raw_path):
        return "sign-in"
    return "management" if _MANAGEMENT.match(raw_path) else "data"


def _failure(fault: Throttle | Error) -> RefusedError:
    if isinstance(fault, Error):
        problem = failure(fault.status, fault.code, fault.message)
    else:
        problem = failure(429, None, None)
    if fault.retry_after is None:
        return problem
    pause = str(fault.retry_after)
    if isinstance(fault, Throttle) and fault.as_date:
        pause = http_time(utc_now() + timedelta(seconds=fault.retry_after))
    return replace(problem, headers={"Retry-After": pause})


def _without_body(answer: Answer) -> Answer:
    """The answer to a HEAD of what is missing: chunked, with neither a type nor a length, as recorded."""
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-type"}
    return Answer(answer.status, headers={**headers, "Transfer-Encoding": "chunked"}, chunked=True)


def _refused(plane: PlaneName, call: Call, problem: RefusedError) -> Answer:
    """Write a refusal that does not come from the plane itself, in its shape."""
    time, headers = wire_time(utc_now()), dict(problem.headers)
    if plane == "management":
        headers |= {"x-ms-request-id": call.request_id, "Cache-Control": "no-cache"}
        return Answer(problem.status, management_body(problem, call.request_id, time), headers)
    if plane == "sign-in":
        body = {"error": "temporarily_unavailable", "error_description": problem.message}
        return Answer(problem.status, body, headers)
    headers |= {
        "DataServiceVersion": "3.0",
        "request-id": call.request_id,
        "Content-Type": CONTENT_TYPE,
    }
    return Answer(problem.status, data_body(problem, call.base, call.request_id, time), headers)


async def _send_a_part(response: Response, part: float, send: Send) -> None:
    """Send the head and the beginning of the body. What follows, the server finds missing and hangs up."""
    await send(
        {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    )
    beginning = bytes(response.body)[: int(len(response.body) * part)]
    await send({"type": "http.response.body", "body": beginning, "more_body": True})


async def _goodbye(receive: Receive) -> None:
    """Wait until the server has noticed that the connection is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
