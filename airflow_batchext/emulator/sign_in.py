"""The sign-in of the emulator: a token endpoint with OpenID discovery, and the verification of its tokens.

Tokens are real: signed, for one audience, and they expire by the wall clock, by which clients judge them.
Refusals have the codes of Microsoft Entra, so that a client's own messages are the ones its users will see.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_plus

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_batchext.emulator.errors import not_modelled
from airflow_batchext.emulator.wire import Answer, Call, Json, Router, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable

MANAGEMENT = "https://management.azure.com"
BATCH = "https://batch.core.windows.net"
_RESOURCES = (MANAGEMENT, BATCH)
_ERROR_PAGE = "https://login.microsoftonline.com/error?code="


class TokenError(Exception):
    """A bearer token that is not accepted; ``kind`` says why."""

    def __init__(self, kind: str, detail: str) -> None:
        """``kind`` is one of invalid, expired, audience."""
        super().__init__(detail)
        self.kind = kind


class SignIn:
    """One tenant with one application, which may sign in with its secret."""

    def __init__(self, lifetime: Callable[[], int]) -> None:
        """``lifetime`` says how many seconds a token issued now is good for."""
        self.tenant_id = str(uuid.uuid4())
        self.client_id = str(uuid.uuid4())
        self.client_secret = secrets.token_urlsafe(30)
        self._lifetime = lifetime
        self._object_id = str(uuid.uuid4())
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_id = secrets.token_urlsafe(20)
        self.router = Router()
        for version in ("", "/v2.0"):
            self.router.add("GET", f"/{{tenant}}{version}/.well-known/openid-configuration", self._discovery)
        self.router.add("GET", "/{tenant}/discovery/v2.0/keys", self._keys)
        self.router.add("POST", "/{tenant}/oauth2/v2.0/token", self._token)
        self.router.add("GET", "/{tenant}/oauth2/v2.0/authorize", _no_browser)

    def verify(self, token: str, resource: str) -> None:
        """Accept a token for that resource, or raise TokenError."""
        try:
            claims = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["RS256"],
                options={"verify_aud": False, "require": ["exp", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise TokenError("expired", "The access token has expired.") from None
        except jwt.InvalidTokenError:
            raise TokenError("invalid", "The access token is invalid.") from None
        audience = str(claims["aud"])
        if audience.rstrip("/") != resource:
            raise TokenError(
                "audience",
                f"The access token has been obtained for wrong audience or resource '{audience}'. "
                f"It should be '{resource}/'.",
            )

    def issue(self, audience: str, lifetime: int | None = None) -> str:
        """Return a signed token for an audience. A negative lifetime gives one that has expired."""
        now = utc_now()
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{self.tenant_id}/",
            "iat": now,
            "nbf": now - timedelta(minutes=5),
            "exp": now + timedelta(seconds=self._lifetime() if lifetime is None else lifetime),
            "appid": self.client_id,
            "idtyp": "app",
            "oid": self._object_id,
            "sub": self._object_id,
            "tid": self.tenant_id,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def _discovery(self, call: Call) -> Answer:
        tenant = call.params["tenant"]
        if tenant.casefold() != self.tenant_id:
            return _refused(400, "invalid_tenant", 90002, f"Tenant '{tenant}' not found.")
        here = f"{call.base}/{self.tenant_id}"
        return Answer(
            200,
            {
                "token_endpoint": f"{here}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
                "jwks_uri": f"{here}/discovery/v2.0/keys",
                "response_types_supported": ["code", "id_token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "issuer": f"{here}/v2.0",
                "authorization_endpoint": f"{here}/oauth2/v2.0/authorize",
            },
        )

    def _keys(self, call: Call) -> Answer:
        public: Json = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        return Answer(200, {"keys": [{**public, "use": "sig", "kid": self._key_id, "alg": "RS256"}]})

    def _token(self, call: Call) -> Answer:
        tenant = call.params["tenant"]
        if tenant.casefold() != self.tenant_id:
            return _refused(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
        form = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
        form.update(_basic(call.headers.get("authorization", "")))
        grant = form.get("grant_type", "")
        if grant != "client_credentials":
            message = f"The app requested an unsupported grant type '{grant[:100]}'."
            return _refused(400, "unsupported_grant_type", 70003, message)
        client = form.get("client_id", "")
        if client.casefold() != self.client_id:
            message = (
                f"Application with identifier '{client[:100]}' was not found in the directory '{tenant}'."
            )
            return _refused(400, "unauthorized_client", 700016, message)
        if "client_assertion" in form:
            raise not_modelled("sign-in with a client assertion (a certificate or a federated token)")
        secret = form.get("client_secret", "")
        if not secret:
            message = (
                "The request body must contain the following parameter: "
                "'client_assertion' or 'client_secret'."
            )
            return _refused(401, "invalid_client", 7000218, message)
        if not hmac.compare_digest(secret.encode(), self.client_secret.encode()):
            message = (
                "Invalid client secret provided. Ensure the secret being sent in the request is the client "
                f"secret value, not the client secret ID, for a secret added to app '{self.client_id}'."
            )
            return _refused(401, "invalid_client", 7000215, message)
        return self._grant(form.get("scope", ""))

    def _grant(self, scope: str) -> Answer:
        wanted = [part for part in scope.split() if part not in ("openid", "profile", "offline_access")]
        if len(wanted) != 1 or not wanted[0].endswith("/.default"):
            message = f"The provided value for the input parameter 'scope' is not valid: '{scope[:200]}'."
            return _refused(400, "invalid_scope", 70011, message)
        audience = wanted[0].removesuffix("/.default")
        if audience.rstrip("/") not in _RESOURCES:
            message = f"The resource principal named {audience[:200]} was not found in the tenant."
            return _refused(400, "invalid_resource", 500011, message)
        lifetime = self._lifetime()
        answer = {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": self.issue(audience, lifetime),
        }
        return Answer(200, answer, {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"})


def _no_browser(call: Call) -> Answer:
    raise not_modelled("sign-in with a browser")


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
    return Answer(status, body, {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"})
