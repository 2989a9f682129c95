"""The management plane: Azure Resource Manager in front, and Batch's resource provider behind it.

The front door checks the token, the api-version and that subscription, resource group and account exist; what
passes is a matter of pools. Whatever is not modelled here is refused with 501 and said so.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_batchext.emulator import sign_in
from airflow_batchext.emulator.errors import RefusedError, front_door, management_body, not_modelled, refusal
from airflow_batchext.emulator.management_bodies import account_body, pool_body
from airflow_batchext.emulator.pool_document import PoolDefinition, check_name, read_management
from airflow_batchext.emulator.sign_in import SignIn, TokenError
from airflow_batchext.emulator.wire import Answer, Call, Router, http_time, new_id, utc_now, wire_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_batchext.emulator.account import Account
    from airflow_batchext.emulator.pools import Pool

_VERSION = re.compile(r"^\d{4}-\d{2}-\d{2}(-preview)?$")
_ACCOUNT = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Batch/batchAccounts/{account}"
)
_SCOPE = re.compile(
    r"^/subscriptions/(?P<subscription>[^/]+)(?:/resourceGroups/(?P<group>[^/]+)"
    r"(?:/providers/Microsoft\.Batch/batchAccounts/(?P<account>[^/]+))?)?(?:/|$)",
    re.IGNORECASE,
)
_DELETION_POLL = 15
_HOURLY = {"reads": 12000, "writes": 1200, "deletes": 15000}
_UPDATABLE = ("metadata", "startTask", "applicationPackages", "targetNodeCommunicationMode")
_KINDS = {
    "ExpiredAuthenticationToken": "expired",
    "InvalidAuthenticationTokenAudience": "audience",
    "InvalidAuthenticationToken": "invalid",
}


class ManagementPlane:
    """Answers the calls to ``/subscriptions/…``."""

    def __init__(self, account: Account, tokens: SignIn, data_host: Callable[[], str]) -> None:
        """``data_host`` says the host and port under which the data plane is served."""
        self._account = account
        self._tokens = tokens
        self._data_host = data_host
        self._used = dict.fromkeys(_HOURLY, 0)
        self._router = Router()
        for method, template, handler in (
            ("GET", "", self._get_account),
            ("POST", "/listKeys", self._list_keys),
            ("GET", "/pools", self._list_pools),
            ("GET", "/pools/{pool}", self._get_pool),
            ("PUT", "/pools/{pool}", self._put_pool),
            ("DELETE", "/pools/{pool}", self._delete_pool),
            ("GET", "/poolOperationResults/{operation}", self._operation_result),
        ):
            self._router.add(method, _ACCOUNT + template, handler)

    def answer(self, call: Call) -> Answer:
        """Answer a call, refusals included."""
        try:
            self._authenticate(call)
            self._check_version(call)
            self._check_scope(call)
            found = self._router.find(call.method, call.raw_path)
            if found is None:
                raise not_modelled(f"{call.method} {call.path} of the management plane")
            handler, params = found
            with self._account.lock:
                answer = handler(replace(call, params=params))
        except RefusedError as problem:
            body = management_body(problem, call.request_id, wire_time(utc_now()))
            answer = Answer(problem.status, body, problem.headers)
        return replace(answer, headers={**self._common_headers(call), **answer.headers})

    # --- the front door ------------------------------------------------------------------------------------

    def _authenticate(self, call: Call) -> None:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            message = "Authentication failed. The 'Authorization' header is missing or is not a bearer token."
            raise self._challenge(call, "AuthenticationFailed", message)
        try:
            self._tokens.verify(token.strip(), sign_in.MANAGEMENT)
        except TokenError as problem:
            code = next(code for code, kind in _KINDS.items() if kind == problem.kind)
            raise self._challenge(call, code, str(problem)) from None

    def _challenge(self, call: Call, code: str, message: str) -> RefusedError:
        authority = f"{call.base}/{self._tokens.tenant_id}"
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

    def _common_headers(self, call: Call) -> dict[str, str]:
        kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(call.method, "writes")
        self._used[kind] += 1
        correlation = call.headers.get("x-ms-correlation-request-id") or new_id()
        headers = {
            "Cache-Control": "no-cache",
            "Pragma": "no-cache",
            "Expires": "-1",
            "x-ms-request-id": call.request_id,
            "x-ms-correlation-request-id": correlation,
            "x-ms-routing-request-id": f"EMULATOR:{utc_now():%Y%m%dT%H%M%SZ}:{correlation}",
            f"x-ms-ratelimit-remaining-subscription-{kind}": str(max(_HOURLY[kind] - self._used[kind], 1)),
        }
        if "x-ms-client-request-id" in call.headers:
            headers["x-ms-client-request-id"] = call.headers["x-ms-client-request-id"]
        return headers

    # --- the account ---------------------------------------------------------------------------------------

    def _get_account(self, call: Call) -> Answer:
        return Answer(200, account_body(self._account, self._account_id(), self._data_host()))

    def _list_keys(self, call: Call) -> Answer:
        return Answer(200, {"accountName": self._account.name, **self._account.keys})

    # --- pools ---------------------------------------------------------------------------------------------

    def _list_pools(self, call: Call) -> Answer:
        for parameter in ("$filter", "$select", "maxresults", "$skiptoken"):
            if parameter in call.query:
                raise not_modelled(f"'{parameter}' on the management plane's list of pools")
        return Answer(200, {"value": [self._body(pool) for pool in self._account.pools()]})

    def _get_pool(self, call: Call) -> Answer:
        return self._pool_answer(self._existing(call))

    def _put_pool(self, call: Call) -> Answer:
        name = call.params["pool"]
        check_name(name, "management")
        existing = self._account.find(name)
        if existing is not None and existing.deleted:
            raise refusal("PoolBeingDeleted")
        self._check_conditions(call, existing)
        definition = read_management(call.json(), call.body.decode("utf-8", "replace"))
        if existing is None:
            return self._pool_answer(self._account.create_pool(name, definition))
        _check_update(existing, definition)
        return self._pool_answer(self._account.update_pool(name, definition))

    def _delete_pool(self, call: Call) -> Answer:
        name = call.params["pool"]
        if self._account.find(name) is None:
            return Answer(204)
        deletion = self._account.delete_pool(name)
        return self._still_deleting(call, deletion)

    def _operation_result(self, call: Call) -> Answer:
        operation = call.params["operation"]
        ends = self._account.deletion_ends(operation)
        if ends is None:
            raise refusal("ResourceNotFound")
        return self._still_deleting(call, operation) if self._now() < ends else Answer(200)

    def _still_deleting(self, call: Call, operation: str) -> Answer:
        version = call.query["api-version"]
        location = f"{call.base}{self._account_id()}/poolOperationResults/{operation}?api-version={version}"
        # Clients wait by the wall clock. Some take 0 for "use your default", which is 30 s; so at least 1.
        scale = self._account.clock.scale
        pause = max(1, math.ceil(_DELETION_POLL / scale)) if scale else 1
        return Answer(202, headers={"Location": location, "Retry-After": str(pause)})

    def _check_conditions(self, call: Call, existing: Pool | None) -> None:
        if call.headers.get("if-none-match") == "*" and existing is not None:
            raise refusal(self._account.scenario.answers.existing_pool)
        wanted = call.headers.get("if-match")
        if wanted is not None:
            tags = {tag.strip() for tag in wanted.split(",")}
            if existing is None or not ({"*", _etag(existing)} & tags):
                raise refusal("ConditionNotMet")

    # --- helpers -------------------------------------------------------------------------------------------

    def _existing(self, call: Call) -> Pool:
        pool = self._account.find(call.params["pool"])
        if pool is None:
            raise refusal(self._account.scenario.answers.missing_pool)
        return pool

    def _pool_answer(self, pool: Pool) -> Answer:
        headers = {"ETag": _etag(pool), "Last-Modified": http_time(pool.modified)}
        return Answer(200, self._body(pool), headers)

    def _body(self, pool: Pool) -> dict[str, object]:
        counts = self._account.counts(pool.name)
        return pool_body(pool, self._account_id(), _etag(pool), counts, self._now())

    def _account_id(self) -> str:
        account = self._account
        return _ACCOUNT.format(
            subscription=account.subscription_id, group=account.resource_group, account=account.name
        )

    def _now(self) -> datetime:
        return self._account.clock.now()


def _etag(pool: Pool) -> str:
    return f'W/"{pool.etag}"'


def _check_update(existing: Pool, definition: PoolDefinition) -> None:
    """Refuse to change what cannot be changed on a pool that exists: nearly everything, extensions too."""
    before, after = existing.definition.properties, definition.properties
    for name in dict.fromkeys((*after, *before)):
        if name not in _UPDATABLE and before.get(name) != after.get(name):
            raise refusal(
                "PropertyCannotBeUpdated",
                Reason="A property that cannot be updated was specified as part of the request.",
                PropertyName=name,
                PropertyPath=f"properties.{name}",
            )
