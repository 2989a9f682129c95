"""Where an application gets its tokens: OpenID discovery, the endpoints of Microsoft Entra and AD FS.

Refusals have the codes of Microsoft Entra, so that a client's own messages are the ones its users will see.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_plus

from airflow_batchext.emulator.login.assertions import AssertionProblem
from airflow_batchext.emulator.wire.errors import not_modelled
from airflow_batchext.emulator.wire.http import Answer, Call, Route, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_batchext.emulator.login.tokens import Tokens

_ADFS = "adfs"
"""What clients take for the tenant where there is none; they ask nobody whether the authority is known."""
_ERROR_PAGE = "https://login.microsoftonline.com/error?code="
_NOT_KEPT = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MALFORMED = 50027


class TokenEndpoint:
    """Discovery and tokens, for the tenant under its id and under the name that AD FS has."""

    def __init__(self, tokens: Tokens) -> None:
        """Hand out those tokens."""
        self._tokens = tokens

    def routes(self) -> Iterator[Route]:
        """Which calls are answered here."""
        for version in ("", "/v2.0"):
            yield "GET", f"/{{tenant}}{version}/.well-known/openid-configuration", self._discovery
        yield "GET", "/{tenant}/discovery/v2.0/keys", self._keys
        yield "GET", "/{tenant}/discovery/keys", self._keys
        yield "POST", "/{tenant}/oauth2/v2.0/token", self._token
        yield "POST", "/{tenant}/oauth2/token", self._token_of_version_1
        yield "GET", "/{tenant}/oauth2/v2.0/authorize", _no_browser
        yield "GET", "/{tenant}/oauth2/authorize", _no_browser

    def _discovery(self, call: Call) -> Answer:
        tenant = call.params["tenant"]
        if not self._is_known(tenant):
            return _refused(400, "invalid_tenant", 90002, f"Tenant '{tenant}' not found.")
        here = f"{call.base}/{tenant}"
        folder = "oauth2" if tenant.casefold() == _ADFS else "oauth2/v2.0"
        methods = ["client_secret_post", "private_key_jwt", "client_secret_basic"]
        return Answer(
            200,
            {
                "token_endpoint": f"{here}/{folder}/token",
                "token_endpoint_auth_methods_supported": methods,
                "jwks_uri": f"{here}/discovery/v2.0/keys",
                "response_types_supported": ["code", "id_token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "issuer": here if tenant.casefold() == _ADFS else f"{here}/v2.0",
                "authorization_endpoint": f"{here}/{folder}/authorize",
            },
        )

    def _keys(self, call: Call) -> Answer:
        return Answer(200, self._tokens.public_keys())

    def _token(self, call: Call) -> Answer:
        form = _form(call)
        return self._refuse(call, form) or self._grant(form.get("scope", ""))

    def _token_of_version_1(self, call: Call) -> Answer:
        form = _form(call)
        if "resource" not in form:
            return self._token(call)
        refused = self._refuse(call, form)
        if refused is not None:
            return refused
        if not self._tokens.knows(form["resource"]):
            return _no_resource(form["resource"])
        return Answer(200, self._tokens.granted(form["resource"]), _NOT_KEPT)

    def _refuse(self, call: Call, form: dict[str, str]) -> Answer | None:
        """The refusal, unless the application has shown who it is."""
        tokens, known, tenant = self._tokens, self._tokens.identities, call.params["tenant"]
        if not self._is_known(tenant):
            return _refused(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
        grant = form.get("grant_type", "")
        if grant != "client_credentials":
            message = f"The app requested an unsupported grant type '{grant[:100]}'."
            return _refused(400, "unsupported_grant_type", 70003, message)
        client = form.get("client_id", "")
        if client.casefold() != known.client_id:
            message = (
                f"Application with identifier '{client[:100]}' was not found in the directory '{tenant}'."
            )
            return _refused(400, "unauthorized_client", 700016, message)
        if "client_assertion" in form:
            return self._refuse_assertion(call, form)
        secret = form.get("client_secret", "")
        if not secret:
            message = (
                "The request body must contain the following parameter: "
                "'client_assertion' or 'client_secret'."
            )
            return _refused(401, "invalid_client", 7000218, message)
        if not hmac.compare_digest(secret.encode(), known.client_secret.encode()):
            message = (
                "Invalid client secret provided. Ensure the secret being sent in the request is the client "
                f"secret value, not the client secret ID, for a secret added to app '{known.client_id}'."
            )
            return _refused(401, "invalid_client", 7000215, message)
        if tokens.settings().secret_expired:
            message = (
                f"The provided client secret keys for app '{known.client_id}' are expired. Visit the Azure "
                "portal to create new keys for your app."
            )
            return _refused(401, "invalid_client", 7000222, message)
        return None

    def _refuse_assertion(self, call: Call, form: dict[str, str]) -> Answer | None:
        if form.get("client_assertion_type") != _ASSERTION_TYPE:
            message = "The request body must contain the following parameter: 'client_assertion_type'."
            return _refused(400, "invalid_request", 900144, message)
        here = f"{call.base}/{call.params['tenant']}"
        folders = ("/oauth2/v2.0/token", "/oauth2/token", "/v2.0", "/", "")
        try:
            self._tokens.registration.verify(
                form["client_assertion"],
                {f"{here}{folder}" for folder in folders},
                certificate_expired=self._tokens.settings().certificate_expired,
            )
        except AssertionProblem as problem:
            if problem.number == _MALFORMED:
                return _refused(400, "invalid_request", problem.number, str(problem))
            return _refused(401, "invalid_client", problem.number, str(problem))
        return None

    def _grant(self, scope: str) -> Answer:
        wanted = [part for part in scope.split() if part not in ("openid", "profile", "offline_access")]
        if len(wanted) != 1 or not wanted[0].endswith("/.default"):
            message = f"The provided value for the input parameter 'scope' is not valid: '{scope[:200]}'."
            return _refused(400, "invalid_scope", 70011, message)
        audience = wanted[0].removesuffix("/.default")
        if not self._tokens.knows(audience):
            return _no_resource(audience)
        lifetime = self._tokens.lifetime()
        answer = {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": self._tokens.issue(audience, lifetime),
        }
        return Answer(200, answer, _NOT_KEPT)

    def _is_known(self, tenant: str) -> bool:
        return tenant.casefold() in (self._tokens.identities.tenant_id, _ADFS)


def _no_browser(call: Call) -> Answer:
    raise not_modelled("sign-in with a browser")


def _no_resource(resource: str) -> Answer:
    message = f"The resource principal named {resource[:200]} was not found in the tenant."
    return _refused(400, "invalid_resource", 500011, message)


def _form(call: Call) -> dict[str, str]:
    form = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
    return {**form, **_basic(call.headers.get("authorization", ""))}


def _basic(header: str) -> dict[str, str]:
    """Read client id and secret from a Basic header, in which both are form-encoded."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        client, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {"client_id": unquote_plus(client), "client_secret": unquote_plus(secret)}


def _refused(status: int, error: str, code: int, message: str) -> Answer:
    trace, correlation, now = str(uuid.uuid4()), str(uuid.uuid4()), f"{utc_now():%Y-%m-%d %H:%M:%SZ}"
    body: dict[str, Any] = {
        "error": error,
        "error_description": f"AADSTS{code}: {message} Trace ID: {trace} Correlation ID: {correlation} "
        f"Timestamp: {now}",
        "error_codes": [code],
        "timestamp": now,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"{_ERROR_PAGE}{code}",
    }
    return Answer(status, body, _NOT_KEPT)
