"""The management plane: Azure Resource Manager in front, and Batch's resource provider behind it.

The front door checks the token, the api-version and that subscription, resource group and account exist;
what passes is a matter of the account and its pools. Whatever is not modelled here is refused with 501.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_batchext.emulator.login import permissions
from airflow_batchext.emulator.login.tokens import MANAGEMENT, TokenError, Tokens
from airflow_batchext.emulator.management import throttling
from airflow_batchext.emulator.management.account import AccountOperations
from airflow_batchext.emulator.management.pools import PoolOperations
from airflow_batchext.emulator.wire.errors import (
    RefusedError,
    front_door,
    management_body,
    not_authorized,
    not_modelled,
    throttled,
)
from airflow_batchext.emulator.wire.http import Answer, Call, Json, Router, new_id, utc_now, wire_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_batchext.emulator.account.account import Account

_VERSION = re.compile(r"^\d{4}-\d{2}-\d{2}(-preview)?$")
_SCOPE = re.compile(
    r"^/subscriptions/(?P<subscription>[^/]+)(?:/resourceGroups/(?P<group>[^/]+)"
    r"(?:/providers/Microsoft\.Batch/batchAccounts/(?P<account>[^/]+))?)?(?:/|$)",
    re.IGNORECASE,
)
_CLOUD = re.compile(r"^/metadata/endpoints/?$", re.IGNORECASE)
"""Who asks for this does not know yet where to sign in."""
#: Recorded: a ``Server`` in answers of 2022, none in 2026.
_WITHOUT_SERVER = "2025"
_LEFT: dict[throttling.Kind, int] = {"read": 1100, "write": 800, "delete": 800}
"""What is said to remain where throttling is off, one more than was recorded."""
_LEFT_GLOBALLY: dict[throttling.Kind, int] = {"read": 16_500, "write": 12_000, "delete": 12_000}
"""The same of the limits of the whole subscription."""
_KINDS = {
    "ExpiredAuthenticationToken": "expired",
    "InvalidAuthenticationTokenAudience": "audience",
    "InvalidAuthenticationToken": "invalid",
}


class ManagementPlane:
    """Answers the calls to ``/subscriptions/…``."""

    def __init__(self, account: Account, tokens: Tokens, host: Callable[[], str]) -> None:
        """``host`` says the host and port under which everything is served over HTTPS."""
        self._account = account
        self._tokens = tokens
        self._used = dict.fromkeys(_LEFT, 0)
        self._buckets = throttling.Buckets(time.monotonic)
        about_account, about_pools = AccountOperations(account, tokens, host), PoolOperations(account)
        self._router = Router(about_account.routes(), about_pools.routes())

    def answer(self, call: Call) -> Answer:
        """Answer a call, refusals included."""
        kind = throttling.kind_of(call.method)
        remaining: dict[str, str] = {}
        try:
            claims = None if _CLOUD.match(call.path) else self._authenticate(call)
            remaining = self._remaining(kind) | self._operation(claims)
            self._check_version(call)
            self._check_scope(call)
            if claims is not None:
                self._authorize(call, claims)
            answering = self._router.find(call)
            if answering is None:
                raise not_modelled(f"{call.method} {call.path} of the management plane")
            with self._account.lock:
                answer = answering()
        except RefusedError as problem:
            body = management_body(problem, call.request_id, wire_time(utc_now()))
            answer = Answer(problem.status, body, problem.headers)
        varies = {"Vary": "Accept-Encoding"} if answer.body is not None else {}
        headers = {**self._common_headers(call), **remaining, **varies, **answer.headers}
        return replace(answer, headers=headers)

    # --- the front door ------------------------------------------------------------------------------------

    def _authenticate(self, call: Call) -> Json:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            message = "Authentication failed. The 'Authorization' header is missing or is not a bearer token."
            raise self._challenge(call, "AuthenticationFailed", message)
        try:
            return self._tokens.verify(token.strip(), MANAGEMENT)
        except TokenError as problem:
            code = next(code for code, kind in _KINDS.items() if kind == problem.kind)
            raise self._challenge(call, code, str(problem)) from None

    def _authorize(self, call: Call, claims: Json) -> None:
        needed = permissions.needed_for_management(call.method, call.path)
        if not permissions.allows(self._account.scenario.account.permissions, needed):
            scope = permissions.scope_of(call.method, call.path)
            raise not_authorized(str(claims["appid"]), str(claims["oid"]), needed.action, scope)

    def _challenge(self, call: Call, code: str, message: str) -> RefusedError:
        authority = f"{call.base}/{self._tokens.identities.tenant_id}"
        challenge = (
            f'Bearer authorization_uri="{authority}", error="invalid_token", error_description="{code}"'
        )
        return front_door(401, code, message, {"WWW-Authenticate": challenge})

    def _check_version(self, call: Call) -> None:
        version = call.query.get("api-version", "")
        if not version:
            message = "The api-version query parameter (?api-version=) is required for all requests."
            raise front_door(400, "MissingApiVersionParameter", message)
        if not _VERSION.match(version):
            message = f"The api-version '{version[:50]}' is invalid. It has the form 'YYYY-MM-DD'."
            raise front_door(400, "InvalidApiVersionParameter", message)

    def _check_scope(self, call: Call) -> None:
        match = _SCOPE.match(call.path)
        if match is None:
            return
        account = self._account
        subscription, group, name = match["subscription"], match["group"], match["account"]
        if subscription.casefold() != account.subscription_id:
            message = f"The subscription '{subscription}' could not be found."
            raise front_door(404, "SubscriptionNotFound", message)
        if group is not None and group.casefold() != account.resource_group.casefold():
            raise front_door(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
        if name is not None and name.casefold() != account.name:
            message = (
                f"The Resource 'Microsoft.Batch/batchAccounts/{name}' under resource group "
                f"'{group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
            )
            raise front_door(404, "ResourceNotFound", message)

    def _remaining(self, kind: throttling.Kind) -> dict[str, str]:
        """How many more requests of that kind there may be, as headers."""
        self._used[kind] += 1
        left, globally = self._throttle(kind), max(_LEFT_GLOBALLY[kind] - self._used[kind], 1)
        named = "x-ms-ratelimit-remaining-subscription-"
        return {f"{named}{kind}s": str(left), f"{named}global-{kind}s": str(globally)}

    def _operation(self, claims: Json | None) -> dict[str, str]:
        """Who asked, as the answer tells it."""
        if claims is None:
            return {}
        who = f"tenantId={self._tokens.identities.tenant_id},objectId={claims['oid']}"
        return {"x-ms-operation-identifier": f"{who}/{self._account.location}/{new_id()}"}

    def _throttle(self, kind: throttling.Kind) -> int:
        """How many more requests of that kind there may be; this one is refused if it is one too many."""
        if not self._account.scenario.account.throttling:
            return max(_LEFT[kind] - self._used[kind], 1)
        taken = self._buckets.take(kind)
        if taken.wait:
            raise throttled(kind, self._account.subscription_id, taken.wait)
        return taken.left

    def _common_headers(self, call: Call) -> dict[str, str]:
        correlation = call.headers.get("x-ms-correlation-request-id") or new_id()
        headers = {
            **({"Server": ""} if call.query.get("api-version", "") >= _WITHOUT_SERVER else {}),
            "Cache-Control": "no-cache",
            "Pragma": "no-cache",
            "Expires": "-1",
            "x-ms-request-id": call.request_id,
            "x-ms-correlation-request-id": correlation,
            "x-ms-routing-request-id": f"EMULATOR:{utc_now():%Y%m%dT%H%M%SZ}:{correlation}",
            "X-Cache": "CONFIG_NOCACHE",
            "X-MSEdge-Ref": f"Ref A: {new_id()} Ref B: EMULATOR Ref C: {utc_now():%Y-%m-%dT%H:%M:%SZ}",
        }
        if "x-ms-client-request-id" in call.headers:
            headers["x-ms-client-request-id"] = call.headers["x-ms-client-request-id"]
        return headers
