"""Makes the credential of azure-identity that a connection asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch.clouds import CLOUDS
from airflow_batchext.connection import BatchConnection, SignInKind, account_endpoint_url, origin_of
from airflow_batchext.connection._fields import HTTP_LOG
from airflow_batchext.credentials._proxy import hidden_proxy
from airflow_batchext.exceptions import ConnectionFieldsError

if TYPE_CHECKING:
    from types import ModuleType


def make_credential(connection: BatchConnection, *, asynchronous: bool, retries: int | None = None) -> Any:
    """The credential of ``azure.identity``, or its twin of ``azure.identity.aio``.

    :param connection: whose ``auth`` says which.
    :param retries: how often a request for a token is repeated; None leaves it to the SDK.
    :raises ConnectionFieldsError: if a field is missing or cannot be used.
    """
    connection.require_sign_in()
    if asynchronous:
        import azure.identity.aio as identity
    else:
        import azure.identity as identity  # type: ignore[no-redef]
    with unusable_fields_told(connection):
        options = {**connection.identity_options, "transport": _transport(connection, asynchronous)}
        if retries is not None:
            options["retry_total"] = retries
        return _make(identity, connection, options)


_ASKING_MACHINE = (SignInKind.MANAGED_IDENTITY, SignInKind.DEFAULT, SignInKind.WORKLOAD_IDENTITY)
#: Where machines in Azure ask for tokens, and the variables that name other places.
_IMDS = "http://169.254.169.254"
_MACHINE_VARIABLES = (
    *("IDENTITY_ENDPOINT", "MSI_ENDPOINT", "IMDS_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST"),
    *("AZURE_AUTHORITY_HOST", "AZURE_KUBERNETES_TOKEN_PROXY"),
)


@contextmanager
def unusable_fields_told(connection: BatchConnection) -> Iterator[None]:
    """Run what reads a certificate or a token's file; what it cannot use leaves as our own error.

    :raises ConnectionFieldsError: which says what has to be there.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        # The SDK's own texts may carry what could not be read.
        raise ConnectionFieldsError(
            f"Connection {connection.conn_id!r}: auth {connection.auth.value!r} cannot be used "
            f"({type(error).__name__}). {_HINTS.get(connection.auth, 'Check tenant_id and the other ids.')}"
        ) from None


_HINTS = {
    SignInKind.CERTIFICATE: (
        "certificate_secret has to be PEM text with certificate and private key, or the path of such a file "
        "(or of a PKCS12 file) that the worker can read; certificate_password is its password, if it has one."
    ),
    SignInKind.WORKLOAD_IDENTITY: "Check tenant_id, and that the worker can read token_file.",
}


def _transport(connection: BatchConnection, asynchronous: bool) -> Any:
    """Sends the requests of the sign-in, to the authority, and where the machine says its identity is."""
    origins = {connection.cloud.authority}
    if not connection.is_own_authority:
        origins |= {cloud.authority for cloud in CLOUDS.values()}  # one knows of the others
    if connection.auth in _ASKING_MACHINE:
        origins |= {_IMDS, *(os.environ.get(name) or _IMDS for name in _MACHINE_VARIABLES)}
    where = set()
    for url in origins:
        with suppress(ValueError):  # whoever wants to go there is told
            where.add(origin_of(account_endpoint_url(url)))
    if asynchronous:
        from airflow_batchext.transport.loops import AsyncGuardedTransport

        return AsyncGuardedTransport(where, proxy=hidden_proxy(connection), **connection.transport_options)
    from airflow_batchext.transport.threads import GuardedTransport

    return GuardedTransport(where, **connection.transport_options)


def _make(identity: ModuleType, connection: BatchConnection, options: dict[str, Any]) -> Any:
    tenant, client = connection.tenant_id, connection.client_id
    match connection.auth:
        case SignInKind.CLIENT_SECRET:
            return identity.ClientSecretCredential(tenant, client, connection.client_secret, **options)
        case SignInKind.CERTIFICATE:
            shown = {"certificate_path": connection.certificate}
            if connection.has_certificate_text:
                shown = {"certificate_data": connection.certificate.encode()}  # type: ignore[dict-item]
            password = connection.certificate_password or None
            return identity.CertificateCredential(tenant, client, password=password, **shown, **options)
        case SignInKind.WORKLOAD_IDENTITY:
            return identity.WorkloadIdentityCredential(
                tenant_id=tenant or None,
                client_id=client or None,
                token_file_path=connection.token_file or None,
                **options,
            )
        case SignInKind.MANAGED_IDENTITY:
            # Its endpoint is on the machine: no authority, no proxy, no CA of one's own.
            user_assigned = connection.managed_identity_client_id or client or None
            transport = options["transport"]
            return identity.ManagedIdentityCredential(
                client_id=user_assigned, logger=HTTP_LOG, transport=transport
            )
        case SignInKind.AZURE_CLI:
            return identity.AzureCliCredential(tenant_id=tenant)
        case _:
            named = {
                "managed_identity_client_id": connection.managed_identity_client_id,
                "workload_identity_tenant_id": connection.workload_identity_tenant_id,
            }
            excluded = {f"exclude_{name}_credential": True for name in connection.exclude}
            named = {name: value for name, value in named.items() if value}
            return identity.DefaultAzureCredential(**named, **excluded, **options)
