"""The data plane: pools, nodes, node extensions, jobs and tasks, for shared key and for Entra tokens.

It sees the same account as the management plane and spells it in its own way. Whatever is not modelled here
is refused with 501 and said so.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_batchext.emulator.data.answers import CONTENT_TYPE
from airflow_batchext.emulator.data.jobs import JobOperations
from airflow_batchext.emulator.data.nodes import NodeOperations
from airflow_batchext.emulator.data.pools import PoolOperations
from airflow_batchext.emulator.data.queries import parameter
from airflow_batchext.emulator.data.task_files import TaskFileOperations
from airflow_batchext.emulator.login import permissions, shared_key
from airflow_batchext.emulator.login.tokens import BATCH, TokenError, Tokens
from airflow_batchext.emulator.wire.errors import (
    RefusedError,
    bad_parameter,
    data_body,
    not_modelled,
    refusal,
)
from airflow_batchext.emulator.wire.http import Answer, Call, Router, utc_now, wire_time

if TYPE_CHECKING:
    from airflow_batchext.emulator.account.account import Account

_VERSION = re.compile(r"^\d{4}-\d{2}-\d{2}(\.\d+\.\d+)?$")


class DataPlane:
    """Answers the calls to ``/pools``, ``/jobs`` and so on."""

    def __init__(self, account: Account, tokens: Tokens) -> None:
        """Serve that account."""
        self._account = account
        self._tokens = tokens
        operations = (
            *(PoolOperations(account), NodeOperations(account)),
            *(JobOperations(account), TaskFileOperations(account)),
        )
        self._router = Router(*(each.routes() for each in operations))

    def answer(self, call: Call) -> Answer:
        """Answer a call, refusals included."""
        try:
            self._authenticate(call)
            self._check_version(call)
            answering = self._router.find(call)
            if answering is None:
                raise not_modelled(f"{call.method} {call.path} of the data plane")
            with self._account.lock:
                answer = answering()
        except RefusedError as problem:
            body = data_body(problem, call.base, call.request_id, wire_time(utc_now()))
            answer = Answer(problem.status, None if problem.status == 304 else body, problem.headers)
        headers = {"DataServiceVersion": "3.0", "request-id": call.request_id}
        wants_id = call.headers.get("return-client-request-id", "").lower() == "true"
        if wants_id and "client-request-id" in call.headers:
            headers["client-request-id"] = call.headers["client-request-id"]
        if answer.body is not None:
            headers["Content-Type"] = CONTENT_TYPE
        return replace(answer, headers={**headers, **answer.headers})

    # --- who asks, and in which version ---------------------------------------------------------------------

    def _authenticate(self, call: Call) -> None:
        scheme, _, credentials = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "sharedkey":
            account = self._account
            status = account.scenario.answers.refused_shared_key
            if not account.scenario.account.shared_key:
                detail = "The account does not allow authentication with a shared key"
                raise refusal("AuthenticationFailed", status=status, AuthenticationErrorDetail=detail)
            shared_key.verify(call, credentials.strip(), account.name, account.keys.values(), status)
            return
        if scheme.lower() != "bearer" or not credentials:
            raise self._challenge(call, "The Authorization header is missing or is of an unknown scheme")
        try:
            self._tokens.verify(credentials.strip(), BATCH)
        except TokenError as problem:
            raise self._challenge(call, str(problem)) from None
        needed = permissions.needed_for_data(call.method, call.path)
        if not permissions.allows(self._account.scenario.account.permissions, needed):
            raise refusal(self._account.scenario.answers.missing_role)

    def _challenge(self, call: Call, detail: str) -> RefusedError:
        problem = refusal("AuthenticationFailed", status=401, AuthenticationErrorDetail=detail)
        authority = f"{call.base}/{self._tokens.identities.tenant_id}"
        challenge = f'Bearer authorization_uri="{authority}", resource_id="{BATCH}/"'
        return replace(problem, headers={"WWW-Authenticate": challenge})

    def _check_version(self, call: Call) -> None:
        version = call.query.get("api-version", "")
        if not version:
            raise refusal("MissingRequiredQueryParameter", QueryParameterName="api-version")
        if not _VERSION.match(version):
            raise refusal("UnsupportedRequestVersion", Reason=f"The version '{version[:50]}' is not known")
        timeout = parameter(call, "timeout")
        if timeout is not None and not timeout.isdecimal():
            raise bad_parameter("timeout", timeout, "A number of seconds is expected")
