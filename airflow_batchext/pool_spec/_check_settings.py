"""The check of the settings of the two extensions that Batch's own pages show: Key Vault and Azure Monitor.

Azure passes settings on unread, so a mistake in them shows only on the nodes. Its version decides
what an extension reads, so everything found here is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch.documents import at, kind_of
from airflow_batchext.pool_spec._finding import Findings, object_at, text_of, warning

if TYPE_CHECKING:
    from airflow_batchext.batch.extension_catalog import KnownExtension

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SECRET_URL = re.compile(
    r"https://[^/\s]+/secrets/(?P<name>[^/\s?]+)(?P<version>/[^/\s?]*)?/?", re.IGNORECASE
)
_AGENT_KEYS = ("identifier-name", "identifier-value")


def check_settings(settings: object, path: str, known: KnownExtension, *, identities: int) -> Findings:
    """Find what is odd in the settings of a known extension.

    :param settings: the value of the member, whatever it is; one of a wrong kind is told elsewhere.
    :param identities: how many identities the pool has that the extension can sign in with.
    """
    if settings is not None and not isinstance(settings, Mapping):
        return
    given: Mapping[str, Any] = settings or {}
    if known.type.startswith("KeyVaultFor"):
        yield from _check_vault(given, path, known, identities)
    elif known.type.startswith("AzureMonitor"):
        yield from _check_agent(given, path, known, identities)


def _check_vault(settings: Mapping[str, Any], path: str, known: KnownExtension, identities: int) -> Findings:
    place = f"{path}.secretsManagementSettings"
    secrets = settings.get("secretsManagementSettings")
    if not isinstance(secrets, Mapping):
        what = "secretsManagementSettings is missing" if secrets is None else "this is not an object"
        mend = "Say in it which certificates the extension observes"
        yield warning(place, what, mend, known.link)
        return
    certificates = secrets.get("observedCertificates")
    if not isinstance(certificates, (list, tuple)) or not certificates:
        what = "no observedCertificates are named" if not certificates else f"this is {kind_of(certificates)}"
        mend = "Write a list of the URLs of the certificates' secrets"
        yield warning(f"{place}.observedCertificates", what, mend, known.link)
    else:
        for index, certificate in enumerate(certificates):
            yield from _check_certificate(certificate, at(f"{place}.observedCertificates", index), known)
    interval = secrets.get("pollingIntervalInS")
    if interval is not None and not re.fullmatch(r"\d{1,9}", str(interval).strip()):
        what = "pollingIntervalInS is not a number of seconds"
        yield warning(f"{place}.pollingIntervalInS", what, 'Write it like "3600"', known.link)
    if secrets.get("authenticationSettings") is not None:
        what = "authenticationSettings stands in secretsManagementSettings, where nobody reads it"
        yield warning(f"{place}.authenticationSettings", what, "Move it up, into settings", known.link)
        return
    sign_in = object_at(settings, "authenticationSettings")
    client = sign_in.get("msiClientId")
    if isinstance(client, str) and client and not _GUID.fullmatch(client.strip()):
        what = "msiClientId is not a client id"
        mend = "Write the client id (a GUID) of the identity, not its name or resource id"
        yield warning(f"{path}.authenticationSettings.msiClientId", what, mend, known.link)
    elif not client and not sign_in.get("msiObjectId") and identities:
        what = "no identity is named to sign in with, and those of a pool are all user-assigned"
        mend = "Write msiClientId: the client id of the identity"
        yield warning(f"{path}.authenticationSettings", what, mend, known.link)


def _check_certificate(certificate: object, path: str, known: KnownExtension) -> Findings:
    """Check one entry: a URL, or (from version 3 on) an object with a url."""
    if isinstance(certificate, Mapping):
        url, path = text_of(certificate, "url"), f"{path}.url"
    else:
        url = certificate if isinstance(certificate, str) else ""
    match = _SECRET_URL.fullmatch(url.strip())
    if match is None:
        what = "this is not the URL of a secret in a key vault"
        mend = "Write https://VAULT.vault.azure.net/secrets/NAME, with /secrets/ for certificates too"
        yield warning(path, what, mend, known.link)
    elif (match["version"] or "/") != "/":
        what = "the URL names one version, which is never renewed on the nodes"
        yield warning(path, what, "Leave the version out", known.link)


def _check_agent(settings: Mapping[str, Any], path: str, known: KnownExtension, identities: int) -> Findings:
    identity = object_at(settings, "authentication", "managedIdentity")
    if identities and not all(text_of(identity, key) for key in _AGENT_KEYS):
        what = "no identity is named to sign in with, and those of a pool are all user-assigned"
        mend = (
            'Write {"authentication": {"managedIdentity": {"identifier-name": "mi_res_id", '
            '"identifier-value": "/subscriptions/…"}}}'
        )
        yield warning(f"{path}.authentication.managedIdentity", what, mend, known.link)
