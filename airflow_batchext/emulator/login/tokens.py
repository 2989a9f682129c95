"""The identities of the emulator and their tokens: who may sign in, what a token says, which is accepted.

Tokens are real: signed, for one audience, and they expire by the wall clock, by which clients judge them. The
ways to get one are next door, in ``sign_in``.
"""

from __future__ import annotations

import json
import secrets
import uuid
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import jwt

from airflow_batchext.emulator.login.assertions import Registration, rsa_key
from airflow_batchext.emulator.scenarios.answers import SignInSettings
from airflow_batchext.emulator.wire.http import Json, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable

MANAGEMENT = "https://management.azure.com"
MANAGEMENT_CORE = "https://management.core.windows.net"
"""An older name of the management plane, for which the Azure CLI asks."""
BATCH = "https://batch.core.windows.net"
_AUDIENCES = {
    "public": {MANAGEMENT: (MANAGEMENT, MANAGEMENT_CORE), BATCH: (BATCH,)},
    "usgovernment": {
        MANAGEMENT: ("https://management.usgovcloudapi.net", "https://management.core.usgovcloudapi.net"),
        BATCH: ("https://batch.core.usgovcloudapi.net",),
    },
    "china": {
        MANAGEMENT: ("https://management.chinacloudapi.cn", "https://management.core.chinacloudapi.cn"),
        BATCH: ("https://batch.chinacloudapi.cn",),
    },
}
"""By cloud, what each plane is called in tokens."""
_REMEMBERED = 256
"""Tokens whose signature is known to be right."""


class TokenError(Exception):
    """A bearer token that is not accepted; ``kind`` says why."""

    def __init__(self, kind: str, detail: str) -> None:
        """``kind`` is one of invalid, expired, audience."""
        super().__init__(detail)
        self.kind = kind


@dataclass(frozen=True)
class Identities:
    """One tenant with one application and one machine that has an identity."""

    tenant_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)
    machine_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """The client id of the managed identity."""
    identity_header: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    """What App Service gives its applications to prove that they run there."""


class Tokens:
    """Gives tokens in the name of those whom it knows, and recognises its own."""

    def __init__(
        self,
        lifetime: Callable[[], int],
        identities: Identities | None = None,
        settings: Callable[[], SignInSettings] = SignInSettings,
    ) -> None:
        """``lifetime`` says for how many seconds a token issued now is good, ``settings`` how it is set."""
        self.identities = identities or Identities()
        self.settings = settings
        self.registration = Registration(self.identities.client_id)
        self.lifetime = lifetime
        self._key = rsa_key("tokens")
        self._key_id = secrets.token_urlsafe(20)
        self._verified: dict[str, Json] = {}

    def rotate_secret(self) -> str:
        """Give the application another secret, and return it; the old one is wrong from now on."""
        self.identities = replace(self.identities, client_secret=secrets.token_urlsafe(30))
        return self.identities.client_secret

    def knows(self, resource: str) -> bool:
        """Whether tokens are given for a resource, with or without a slash at its end."""
        names = _AUDIENCES[self.settings().cloud]
        return any(resource.rstrip("/") in same for same in names.values())

    def verify(self, token: str, resource: str) -> Json:
        """Accept a token for that resource and return its claims, or raise TokenError."""
        claims = self._claims(token)
        audience = str(claims["aud"])
        accepted = _AUDIENCES[self.settings().cloud][resource]
        if audience.rstrip("/") not in accepted:
            raise TokenError(
                "audience",
                f"The access token has been obtained for wrong audience or resource '{audience}'. "
                f"It should be '{accepted[0]}/'.",
            )
        return claims

    def _claims(self, token: str) -> Json:
        """What a token of our own says. Its signature is checked when it first comes: that takes longer than
        most answers, and a client sends one token with all of its requests.
        """
        claims = self._verified.get(token)
        if claims is None or claims["exp"] <= utc_now().timestamp():
            try:
                claims = jwt.decode(
                    token,
                    self._key.public_key(),
                    algorithms=["RS256"],
                    issuer=self._issuer,
                    options={"verify_aud": False, "require": ["exp", "aud"]},
                )
            except jwt.ExpiredSignatureError:
                raise TokenError("expired", "The access token has expired.") from None
            except jwt.InvalidTokenError:
                raise TokenError("invalid", "The access token is invalid.") from None
            if len(self._verified) >= _REMEMBERED:
                self._verified.clear()
            self._verified[token] = claims
        return claims

    @property
    def _issuer(self) -> str:
        return f"https://sts.windows.net/{self.identities.tenant_id}/"

    def issue(self, audience: str, lifetime: int | None = None, client_id: str | None = None) -> str:
        """A signed token for an audience. A negative lifetime gives one that has expired."""
        now, who = utc_now(), client_id or self.identities.client_id
        object_id = str(uuid.uuid5(uuid.UUID(self.identities.tenant_id), who))
        claims = {
            "aud": audience,
            "iss": self._issuer,
            "iat": now,
            "nbf": now - timedelta(minutes=5),
            "exp": now + timedelta(seconds=self.lifetime() if lifetime is None else lifetime),
            "appid": who,
            "idtyp": "app",
            "oid": object_id,
            "sub": object_id,
            "tid": self.identities.tenant_id,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def granted(self, resource: str, client_id: str | None = None) -> Json:
        """Write a token for a resource as the older ways to get one do."""
        lifetime, now = self.lifetime(), int(utc_now().timestamp())
        return {
            "token_type": "Bearer",
            "expires_in": str(lifetime),
            "ext_expires_in": str(lifetime),
            "expires_on": str(now + lifetime),
            "not_before": str(now),
            "resource": resource,
            "access_token": self.issue(resource, lifetime, client_id),
        }

    def expired(self, token: str) -> str:
        """The same token as it will be when it has expired."""
        claims = jwt.decode(token, options={"verify_signature": False})
        return self.issue(claims["aud"], lifetime=-1, client_id=claims["appid"])

    def public_keys(self) -> Json:
        """The keys by which others can verify the tokens."""
        public: Json = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**public, "use": "sig", "kid": self._key_id, "alg": "RS256"}]}
