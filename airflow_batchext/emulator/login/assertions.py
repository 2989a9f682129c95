"""Client assertions: what an application shows instead of a secret.

Either it signs with a certificate that is registered for it, or another issuer whom the tenant trusts vouches
for it (a federated token, such as Kubernetes puts into a file). The emulator makes one of each.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from jwt.utils import base64url_encode

from airflow_batchext.emulator.wire.http import utc_now

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_LIFETIME = timedelta(days=90)
_CLIENT = "airflow-batchext emulator client"
_ISSUER = "https://cluster.batchext.example/"
_SUBJECT = "system:serviceaccount:default:batchext"
_EXCHANGE = "api://AzureADTokenExchange"


class AssertionProblem(Exception):  # noqa: N818 - it is no error of the program
    """An assertion that is not accepted, with the number that Microsoft Entra gives to the reason."""

    def __init__(self, number: int, message: str) -> None:
        """``number`` is the one of AADSTS."""
        super().__init__(message)
        self.number = number


class Credentials(NamedTuple):
    """Files with which a client can sign in."""

    certificate: Path
    """The certificate and its private key, in one PEM file."""
    federated_token: Path


class Registration:
    """What is registered for the application beside its secret."""

    def __init__(self, client_id: str) -> None:
        """Make a certificate and a trusted issuer."""
        self._client_id = client_id
        self._client_key = rsa_key("client")
        self._issuer_key = ec.generate_private_key(ec.SECP256R1())
        public_key = self._client_key.public_key()
        self._certificate = certificate_builder(_CLIENT, _CLIENT, public_key).sign(
            self._client_key, hashes.SHA256()
        )
        self._thumbprints = {
            "x5t": base64url_encode(
                self._certificate.fingerprint(hashes.SHA1())  # noqa: S303 - how JWTs name certificates
            ).decode(),
            "x5t#S256": base64url_encode(self._certificate.fingerprint(hashes.SHA256())).decode(),
        }

    def write(self, folder: Path) -> Credentials:
        """Write the credentials to files that only their owner can read."""
        files = Credentials(folder / "client.pem", folder / "federated-token")
        key = self._client_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pem = key + self._certificate.public_bytes(serialization.Encoding.PEM)
        for file, content in ((files.certificate, pem), (files.federated_token, self.vouch().encode())):
            file.touch(mode=0o600)
            file.write_bytes(content)
        return files

    def vouch(self, lifetime: timedelta = _LIFETIME, **changes: str) -> str:
        """A token of the trusted issuer for the application."""
        now = utc_now()
        claims = {"iss": _ISSUER, "sub": _SUBJECT, "aud": _EXCHANGE, "iat": now, "exp": now + lifetime}
        return jwt.encode({**claims, **changes}, self._issuer_key, algorithm="ES256")

    def verify(
        self, assertion: str, audiences: Collection[str], *, certificate_expired: bool = False
    ) -> None:
        """Accept an assertion that was made for one of these audiences, or raise AssertionProblem."""
        try:
            header = jwt.get_unverified_header(assertion)
            claims = jwt.decode(assertion, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            raise AssertionProblem(50027, "JWT token is invalid or malformed.") from None
        shown = {name: header[name] for name in self._thumbprints if name in header}
        if shown and certificate_expired:
            message = "Client assertion contains an invalid signature. [Reason - The key used is expired.]"
            raise AssertionProblem(700027, message)
        if shown:
            self._verify_own(assertion, claims, shown, audiences)
        else:
            self._verify_federated(assertion, claims)

    def _verify_own(
        self, assertion: str, claims: dict[str, Any], shown: dict[str, Any], audiences: Collection[str]
    ) -> None:
        for name, thumbprint in shown.items():
            if str(thumbprint).rstrip("=") != self._thumbprints[name]:
                message = (
                    "Client assertion contains an invalid signature. [Reason - The key was not found., "
                    f"Thumbprint of key used by client: '{str(thumbprint)[:100]}']"
                )
                raise AssertionProblem(700027, message)
        _check_signature(assertion, self._client_key, "RS256", "PS256")
        if {claims.get("iss"), claims.get("sub")} != {self._client_id}:
            message = "Client assertion application identifier doesn't match 'client_id' parameter."
            raise AssertionProblem(700021, message)
        if claims.get("aud") not in audiences:
            message = "Client assertion audience claim does not match Realm issuer."
            raise AssertionProblem(700023, message)

    def _verify_federated(self, assertion: str, claims: dict[str, Any]) -> None:
        expected = (("issuer", "iss", _ISSUER), ("subject", "sub", _SUBJECT), ("audience", "aud", _EXCHANGE))
        numbers = {"issuer": 700211, "subject": 700213, "audience": 700212}
        for what, claim, wanted in expected:
            if claims.get(claim) != wanted:
                message = (
                    f"No matching federated identity record found for presented assertion {what} "
                    f"'{str(claims.get(claim))[:200]}'."
                )
                raise AssertionProblem(numbers[what], message)
        _check_signature(assertion, self._issuer_key, "ES256")


@cache
def rsa_key(purpose: str) -> rsa.RSAPrivateKey:
    """The key of this process for a purpose. It takes longer to make one than to start all the rest.

    What two emulators sign with one key is told apart by its issuer, or by the thumbprint of its certificate.
    """
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _check_signature(
    assertion: str, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *algorithms: str
) -> None:
    try:
        jwt.decode(
            assertion,
            key.public_key(),
            algorithms=list(algorithms),
            options={"verify_aud": False, "require": ["exp"]},
        )
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
        message = "Client assertion is not within its valid time range."
        raise AssertionProblem(700024, message) from None
    except jwt.InvalidTokenError:
        message = "Client assertion contains an invalid signature."
        raise AssertionProblem(700027, message) from None


def certificate_builder(
    subject: str, issuer: str, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    """Begin a certificate by the common names of who has the key and who vouches for it."""
    now = utc_now()
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
    )
