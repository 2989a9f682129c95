"""What an Airflow connection says about an Azure Batch account: where it is and how to sign in.

Both hooks get their endpoint, credential and client options here, for sync and async clients alike.
Two connection types are understood:

``azure_batchext`` (ours)
    Login and password are a service principal's client id and secret; the extra fields are
    ``tenant_id, subscription_id, resource_group, account_name, account_url, account_key`` and, for
    clouds of one's own (the emulator is one), ``arm_url, authority, ca_bundle``.

``azure_batch`` (Airflow's own Azure provider)
    Login and password are the account's name and key, ``account_url`` is in the extra. It has no
    subscription, so it serves the data plane alone.

How it signs in: an ``account_key`` serves the data plane as shared key; a client id with its secret is a
service principal; with neither, ``DefaultAzureCredential`` looks around (environment, workload identity,
managed identity, Azure CLI, …).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_batchext import __version__
from airflow_batchext.exceptions import ConnectionFieldsError

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from azure.core.credentials import AzureNamedKeyCredential, TokenCredential
    from azure.core.credentials_async import AsyncTokenCredential

DEFAULT_CONN_ID = "azure_batchext_default"
CONN_TYPE = "azure_batchext"
OFFICIAL_CONN_TYPE = "azure_batch"

# The SDKs log every request at INFO, which would drown a task's log. Set this logger to INFO to see them.
_HTTP_LOG = logging.getLogger("airflow_batchext.http")
_HTTP_LOG.setLevel(logging.WARNING)

_PUBLIC_ARM_URL = "https://management.azure.com"
_CONNECT_TIMEOUT_SECONDS = 20
_READ_TIMEOUT_SECONDS = 60
# A wait of ours is ended by its own deadline; the SDK's patience below it has to be short.
_LONGEST_RETRY_DELAY_SECONDS = 10


@dataclass(frozen=True)
class BatchConnection:
    """The fields of a connection, checked. Secrets are left out of its ``repr``.

    ``account_url``, ``arm_url`` and ``authority`` have a scheme and no trailing slash.
    """

    conn_id: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    tenant_id: str = ""
    subscription_id: str = ""
    resource_group: str = ""
    account_name: str = ""
    account_url: str = ""
    account_key: str = field(default="", repr=False)
    arm_url: str = _PUBLIC_ARM_URL
    authority: str = ""
    ca_bundle: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for masking."""
        return tuple(secret for secret in (self.client_secret, self.account_key) if secret)

    def require_management_plane(self) -> None:
        """Check that pools can be managed with this connection.

        :raises ConnectionFieldsError: naming each field that is missing.
        """
        self._require("the management plane (creating, deleting pools)", _ARM_FIELDS)

    def require_shared_key_fields(self) -> None:
        """Check that the shared key has the account name that it signs for.

        :raises ConnectionFieldsError: if it has not.
        """
        self._require("signing in with an account key", ("account_name",))

    def require_data_plane_url(self) -> None:
        """Check that the account's URL is given, or can be asked of the management plane.

        :raises ConnectionFieldsError: naming each field that is missing.
        """
        if not self.account_url:
            self._require("the data plane (give account_url, or the fields to look it up)", _ARM_FIELDS)

    def _require(self, purpose: str, names: tuple[str, ...]) -> None:
        missing = [name for name in names if not getattr(self, name)]
        if missing:
            raise ConnectionFieldsError(
                f"Connection {self.conn_id!r} lacks {', '.join(missing)}, needed for {purpose}. "
                f"Set it in the extra fields of a connection of type {CONN_TYPE!r}."
            )

    def data_plane_credential(self) -> TokenCredential | AzureNamedKeyCredential:
        """The credential for the sync data-plane client: shared key if there is one, else a token."""
        return self._shared_key() if self.account_key else self.token_credential()

    def async_data_plane_credential(self) -> AsyncTokenCredential | AzureNamedKeyCredential:
        """The credential for the async data-plane client."""
        return self._shared_key() if self.account_key else self.async_token_credential()

    def _shared_key(self) -> AzureNamedKeyCredential:
        from azure.core.credentials import AzureNamedKeyCredential

        self.require_shared_key_fields()
        return AzureNamedKeyCredential(self.account_name, self.account_key)

    def token_credential(self) -> TokenCredential:
        """The Microsoft Entra credential for sync clients."""
        from azure.identity import ClientSecretCredential, DefaultAzureCredential

        if self._is_service_principal:
            return ClientSecretCredential(
                self.tenant_id, self.client_id, self.client_secret, **self._identity_options
            )
        return DefaultAzureCredential(**self._identity_options)

    def async_token_credential(self) -> AsyncTokenCredential:
        """The Microsoft Entra credential for async clients."""
        from azure.identity.aio import ClientSecretCredential, DefaultAzureCredential

        if self._is_service_principal:
            return ClientSecretCredential(
                self.tenant_id, self.client_id, self.client_secret, **self._identity_options
            )
        return DefaultAzureCredential(**self._identity_options)

    @property
    def _is_service_principal(self) -> bool:
        if not self.client_id and not self.client_secret:
            return False
        self._require("signing in as a service principal", ("client_id", "client_secret", "tenant_id"))
        return True

    @property
    def _identity_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"logger": _HTTP_LOG}
        if self.authority:
            # An authority of one's own is unknown to the public instance discovery.
            options |= {"authority": self.authority, "disable_instance_discovery": True}
        if self.ca_bundle:
            options["connection_verify"] = self.ca_bundle
        return options

    def client_options(self, *, retries: int, on_response: Callable[[Any], None]) -> dict[str, Any]:
        """Keyword arguments that all four SDK clients share.

        :param retries: how often the SDK asks again by itself before it raises.
        :param on_response: called with every ``PipelineResponse``.
        """
        options: dict[str, Any] = {
            "logger": _HTTP_LOG,
            "user_agent": f"airflow-batchext/{__version__}",
            "raw_response_hook": on_response,
            "retry_total": retries,
            "retry_backoff_max": _LONGEST_RETRY_DELAY_SECONDS,
            "connection_timeout": _CONNECT_TIMEOUT_SECONDS,
            "read_timeout": _READ_TIMEOUT_SECONDS,
        }
        if self.ca_bundle:
            options["connection_verify"] = self.ca_bundle
        return options

    @property
    def arm_options(self) -> dict[str, Any]:
        """Keyword arguments that point a management client at another cloud; none for the public one."""
        if self.arm_url == _PUBLIC_ARM_URL:
            return {}
        # The scope stays the public one: it names an audience, not a place.
        return {"base_url": self.arm_url, "credential_scopes": [f"{_PUBLIC_ARM_URL}/.default"]}


_ARM_FIELDS = ("subscription_id", "resource_group", "account_name")


def parse_connection(connection: Connection) -> BatchConnection:
    """Read an Airflow connection of type ``azure_batchext`` or ``azure_batch``.

    :raises ConnectionFieldsError: if a field cannot be used; the text never quotes a secret.
    """
    conn_id = connection.conn_id
    extra = _extra(conn_id, connection.extra)
    login, password = connection.login or "", connection.password or ""

    def text(name: str) -> str:
        value = extra.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise ConnectionFieldsError(f"Connection {conn_id!r}: extra field {name!r} must be text.")
        return value.strip()

    if connection.conn_type == OFFICIAL_CONN_TYPE:
        # Older forms of the official provider stored the field under a long name.
        url = text("account_url") or text("extra__azure_batch__account_url")
        return BatchConnection(
            conn_id=conn_id,
            account_name=login,
            account_key=password,
            account_url=_url(conn_id, "account_url", url),
        )
    return BatchConnection(
        conn_id=conn_id,
        client_id=login,
        client_secret=password,
        tenant_id=text("tenant_id"),
        subscription_id=text("subscription_id"),
        resource_group=text("resource_group"),
        account_name=text("account_name"),
        account_url=_url(conn_id, "account_url", text("account_url")),
        account_key=text("account_key"),
        arm_url=_url(conn_id, "arm_url", text("arm_url")) or _PUBLIC_ARM_URL,
        authority=_url(conn_id, "authority", text("authority")),
        ca_bundle=text("ca_bundle"),
    )


def account_endpoint_url(endpoint: str) -> str:
    """The URL of an ``accountEndpoint`` as the management plane gives it: without a scheme."""
    return endpoint.rstrip("/") if "://" in endpoint else f"https://{endpoint.rstrip('/')}"


def _extra(conn_id: str, text: str | None) -> Mapping[str, object]:
    try:
        extra = json.loads(text or "{}")
    except ValueError:
        # The decoder's own error carries the whole text, which holds secrets.
        extra = None
    if not isinstance(extra, dict):
        raise ConnectionFieldsError(f"Connection {conn_id!r}: its extra is not a JSON object.") from None
    return extra


def _url(conn_id: str, name: str, value: str) -> str:
    if not value:
        return ""
    url = account_endpoint_url(value)
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ConnectionFieldsError(f"Connection {conn_id!r}: {name} is not an https URL.")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ConnectionFieldsError(
            f"Connection {conn_id!r}: {name} is plain http, which is allowed to this machine's "
            "loopback address alone. Use https."
        )
    return url
