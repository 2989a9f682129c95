"""The fields of a connection, what each way of signing in needs of them, and what they tell the SDKs."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from airflow_batchext import __version__
from airflow_batchext.batch.clouds import CLOUDS, PUBLIC, Cloud
from airflow_batchext.connection._endpoints import Origin, is_below, origin_of
from airflow_batchext.exceptions import ConnectionFieldsError

CONN_TYPE = "azure_batchext"

# The SDKs log every request at INFO, which would drown a task's log. Set this logger to INFO to see them.
HTTP_LOG = logging.getLogger("airflow_batchext.http")
HTTP_LOG.setLevel(logging.WARNING)

_CONNECT_TIMEOUT_SECONDS = 20.0
_READ_TIMEOUT_SECONDS = 60.0
# A wait of ours is ended by its own deadline; the SDK's patience below it has to be short.
_LONGEST_RETRY_DELAY_SECONDS = 10
_SHORTEST_MASKED_LINE = 16


class SignInKind(str, Enum):
    """How a connection signs in at Microsoft Entra; the field ``auth``."""

    CLIENT_SECRET = "client_secret"  # noqa: S105 - a name, not a secret
    CERTIFICATE = "certificate"
    WORKLOAD_IDENTITY = "workload_identity"
    MANAGED_IDENTITY = "managed_identity"
    AZURE_CLI = "azure_cli"
    DEFAULT = "default"
    ACCOUNT_KEY = "account_key"


# What each kind needs, and the environment variable that azure-identity takes instead, if it does.
_NEEDED: Mapping[SignInKind, Mapping[str, str]] = {
    SignInKind.CLIENT_SECRET: {"client_id": "", "client_secret": "", "tenant_id": ""},
    SignInKind.CERTIFICATE: {"client_id": "", "tenant_id": "", "certificate": ""},
    SignInKind.WORKLOAD_IDENTITY: {
        "client_id": "AZURE_CLIENT_ID",
        "tenant_id": "AZURE_TENANT_ID",
        "token_file": "AZURE_FEDERATED_TOKEN_FILE",
    },
    SignInKind.ACCOUNT_KEY: {"account_name": "", "account_key": ""},
}
_NAMES = {
    "client_id": "client_id (login)",
    "client_secret": "client_secret (password)",
    "account_key": "account_key_secret",
    "certificate": "certificate_secret",
}
_ARM_FIELDS = ("subscription_id", "resource_group", "account_name")


@dataclass(frozen=True, kw_only=True)
class BatchConnection:
    """The fields of a connection, checked. Secrets are left out of its ``repr``.

    ``account_url`` and the URLs of ``cloud`` have a scheme and no trailing slash.

    :param auth: how to sign in at Microsoft Entra.
    :param certificate: a certificate with its private key, as PEM text or as the path of a PEM or PKCS12
        file.
    :param token_file: path of the file with the federated token of a workload identity.
    :param exclude: what ``DefaultAzureCredential`` leaves out (``cli``, ``managed_identity``, …).
    :param list_keys: ask the management plane for the account's key and sign the data plane's requests
        with it.
    :param cloud: where everything is.
    :param is_own_authority: whether the authority is one that Microsoft's directory of clouds does not know.
    :param is_own_cloud: whether the connection itself says where a part of its cloud is.
    :param ca_bundle: path of a PEM file with the certificates to trust.
    :param proxy: URL of the proxy for https, without its password.
    :param connect_timeout: seconds.
    :param read_timeout: seconds.
    :param retries: how often the SDK repeats a call by itself; None leaves it to the caller.
    :param shown_secrets: fields of the extra that hold a secret under a name by which Airflow does not know
        it, each with the name that it should have.
    """

    conn_id: str
    auth: SignInKind = SignInKind.DEFAULT
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    tenant_id: str = ""
    certificate: str = field(default="", repr=False)
    certificate_password: str = field(default="", repr=False)
    token_file: str = ""
    managed_identity_client_id: str = ""
    workload_identity_tenant_id: str = ""
    exclude: tuple[str, ...] = ()
    subscription_id: str = ""
    resource_group: str = ""
    account_name: str = ""
    account_url: str = ""
    account_key: str = field(default="", repr=False)
    list_keys: bool = False
    cloud: Cloud = PUBLIC
    is_own_authority: bool = False
    is_own_cloud: bool = False
    ca_bundle: str = ""
    proxy: str = ""
    proxy_password: str = field(default="", repr=False)
    connect_timeout: float = _CONNECT_TIMEOUT_SECONDS
    read_timeout: float = _READ_TIMEOUT_SECONDS
    retries: int | None = None
    shown_secrets: tuple[tuple[str, str], ...] = ()

    @property
    def warning(self) -> str:
        """What its owner should fix, though it works; "" if nothing."""
        return " ".join(
            f"Connection {self.conn_id!r}: Airflow shows the extra's field {earlier} to everybody who sees "
            f"connections; name it {name}, and take another secret."
            for earlier, name in self.shown_secrets
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for masking: each line of a certificate's key too, as logs have lines."""
        given = [self.client_secret, self.account_key, self.certificate_password, self.proxy_password]
        if self.proxy_password:
            given.append(quote(self.proxy_password, safe=""))
        if self.has_certificate_text:
            # A line feed that was escaped makes another text of the whole.
            lines = [line for line in self.certificate.splitlines() if len(line) >= _SHORTEST_MASKED_LINE]
            given += [self.certificate, *(line for line in lines if not line.startswith("-----"))]
        return tuple(dict.fromkeys(secret for secret in given if secret))

    @property
    def has_certificate_text(self) -> bool:
        """Whether the certificate is here as text, not a path."""
        return self.certificate.startswith("-----BEGIN")

    @cached_property
    def fingerprint(self) -> str:
        """The same for two connections that sign in alike; a changed secret changes it."""
        fields = asdict(self) | {"conn_id": "", "account_url": "", "retries": None}
        text = json.dumps(fields, default=str, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    # --- what is needed for what ---------------------------------------------------------------------------

    def require_management_plane(self) -> None:
        """Check that pools can be managed with this connection.

        :raises ConnectionFieldsError: naming each field that is missing.
        """
        self._require("the management plane (creating, deleting pools)", _ARM_FIELDS)

    def require_data_plane_url(self) -> None:
        """Check that the account's URL is given, or can be asked of the management plane.

        :raises ConnectionFieldsError: naming each field that is missing.
        """
        if not self.account_url:
            self._require("the data plane (give account_url, or the fields to look it up)", _ARM_FIELDS)

    def require_sign_in(self) -> None:
        """Check that the fields that this way of signing in to Microsoft Entra needs are given.

        :raises ConnectionFieldsError: naming each field that is missing.
        """
        if self.auth is SignInKind.ACCOUNT_KEY:
            raise ConnectionFieldsError(
                f"Connection {self.conn_id!r} signs in with an account key alone (auth is 'account_key'), "
                "and the management plane (creating, deleting pools, looking up account_url) takes no keys. "
                "Give another auth, or account_url if only the data plane is needed."
            )
        self._require_kind(self.auth)

    def require_shared_key(self) -> None:
        """Check that the shared key has the account name that it signs for.

        :raises ConnectionFieldsError: if it has not.
        """
        self._require_kind(SignInKind.ACCOUNT_KEY)
        try:
            base64.b64decode(self.account_key, validate=True)
        except ValueError:
            raise ConnectionFieldsError(
                f"Connection {self.conn_id!r}: account_key_secret is not a key of a Batch account (which is "
                "base64 text); copy it again from the account's page of keys."
            ) from None

    def require_own_host(self, url: str) -> Origin:
        """Check that the data plane's requests may be sent there, whoever named the place.

        In a known cloud that is a host of Batch, by https at its usual port; or this machine, if the
        connection names it and gives the key. In a cloud of one's own it is the ``account_url`` given, what
        ends in ``batch_suffix``, or the host of the management plane.

        :return: where that is.
        :raises ConnectionFieldsError: if they may not.
        """
        suffix = self.cloud.batch_suffix
        try:
            origin = origin_of(url)
        except ValueError as error:
            shown = f"is odd ({error})"
        else:
            if self._may_go_to(origin):
                return origin
            shown = f"{str(origin)[:300]!r} is none of the cloud {self.cloud.name!r}"
        known = f", whose hosts end in {suffix!r}" if suffix else ""
        raise ConnectionFieldsError(
            f"Connection {self.conn_id!r}: the account's address {shown}{known}; no token is sent there, and "
            "no signature. Correct account_url or cloud, or set batch_suffix for a cloud of your own."
        )

    def _may_go_to(self, origin: Origin) -> bool:
        suffix = self.cloud.batch_suffix
        if suffix and is_below(origin.host, suffix) and origin.scheme == "https":
            return self.is_own_cloud or origin.is_usual_https
        if self.account_url and origin == origin_of(self.account_url):
            return self.is_own_cloud or (origin.is_loopback and bool(self.account_key))
        arm = origin_of(self.cloud.arm_url)
        alike = origin.host == arm.host or (origin.is_loopback and arm.is_loopback)
        return self.is_own_cloud and origin.scheme == "https" and alike

    @property
    def own_addresses(self) -> tuple[tuple[str, Origin], ...]:
        """The addresses that the connection names and that are no part of Azure, each with its field."""
        named = {"arm_url": self.cloud.arm_url, "authority": self.cloud.authority}
        known = {url for cloud in CLOUDS.values() for url in (cloud.arm_url, cloud.authority)}
        own = [(field, origin_of(url)) for field, url in named.items() if url not in known]
        if self.account_url:
            account = origin_of(self.account_url)
            is_known = any(is_below(account.host, cloud.batch_suffix) for cloud in CLOUDS.values())
            if not (is_known and account.is_usual_https):
                own.append(("account_url", account))
        if self.proxy:
            parts = urlsplit(self.proxy)
            own.append(("proxy", origin_of(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")))
        return tuple(own)

    @property
    def signs_with_key(self) -> bool:
        """Whether the data plane's requests are signed with the account's key, given or looked up."""
        return self.list_keys or bool(self.account_key) or self.auth is SignInKind.ACCOUNT_KEY

    def _require_kind(self, kind: SignInKind) -> None:
        needed = _NEEDED.get(kind, {})
        names = [name for name, variable in needed.items() if not os.environ.get(variable or " ")]
        also = ", ".join(variable for variable in needed.values() if variable)
        hint = f" (or the environment of the worker: {also})" if also else ""
        self._require(f"signing in with auth {kind.value!r}{hint}", names)

    def _require(self, purpose: str, names: tuple[str, ...] | list[str]) -> None:
        missing = [_NAMES.get(name, name) for name in names if not getattr(self, name)]
        if missing:
            raise ConnectionFieldsError(
                f"Connection {self.conn_id!r} lacks {', '.join(missing)}, needed for {purpose}. "
                f"Set it in the extra fields of a connection of type {CONN_TYPE!r}."
            )

    # --- what the SDKs are told ----------------------------------------------------------------------------

    def client_options(self, *, retries: int, on_response: Callable[[Any], None]) -> dict[str, Any]:
        """Keyword arguments that all four SDK clients share.

        :param retries: how often the SDK asks again by itself before it raises.
        :param on_response: called with every ``PipelineResponse``.
        """
        return {
            **self.proxy_options,
            "logger": HTTP_LOG,
            "user_agent": f"airflow-batchext/{__version__}",
            "raw_response_hook": on_response,
            "retry_total": retries,
            "retry_backoff_max": _LONGEST_RETRY_DELAY_SECONDS,
        }

    @property
    def identity_options(self) -> dict[str, Any]:
        """Keyword arguments for what asks Microsoft Entra for tokens."""
        options = {**self.proxy_options, "logger": HTTP_LOG, "authority": self.cloud.authority}
        if self.is_own_authority:
            # An authority of one's own is unknown to the public instance discovery.
            options["disable_instance_discovery"] = True
        if self.retries is not None:
            options["retry_total"] = self.retries
        return options

    def hurried(self, seconds: float) -> BatchConnection:
        """The same with timeouts of at most so many seconds, and without repetitions."""
        connect, read = min(self.connect_timeout, seconds), min(self.read_timeout, seconds)
        return replace(self, connect_timeout=connect, read_timeout=read, retries=0)

    @property
    def transport_options(self) -> dict[str, Any]:
        """Keyword arguments of a transport."""
        options: dict[str, Any] = {
            "connection_timeout": self.connect_timeout,
            "read_timeout": self.read_timeout,
        }
        if self.ca_bundle:
            options["connection_verify"] = self.ca_bundle
        return options

    @property
    def proxy_options(self) -> dict[str, Any]:
        """Keyword arguments of what sends through a proxy."""
        return {"proxies": self.proxies} if self.proxy else {}

    @property
    def proxies(self) -> dict[str, str]:
        """The proxy by scheme, with its password in the URL; empty if there is none.

        Plain http goes to this machine and to its identity's endpoint alone: never through a proxy.
        """
        return {"https": self._proxy_with_password} if self.proxy else {}

    @property
    def _proxy_with_password(self) -> str:
        if not self.proxy_password:
            return self.proxy
        parts = urlsplit(self.proxy)
        user, _, place = parts.netloc.rpartition("@")
        login = f"{quote(unquote(user), safe='')}:{quote(self.proxy_password, safe='')}"
        return urlunsplit(parts._replace(netloc=f"{login}@{place}"))


def account_endpoint_url(endpoint: str) -> str:
    """The URL of an ``accountEndpoint`` as the management plane gives it: without a scheme."""
    return endpoint.rstrip("/") if "://" in endpoint else f"https://{endpoint.rstrip('/')}"
