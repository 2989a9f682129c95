"""The check of the settings of extensions that cannot do without them, and of what they need of the nodes.

Azure passes settings on unread, so a mistake in them shows only on the nodes. Its version decides
what an extension reads, so everything found here is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from airflow_batchext.loose_json.documents import at, kind_of, quote
from airflow_batchext.loose_json.values import as_text, whole_number
from airflow_batchext.pool_spec._finding import Findings, object_at, text_of, warning
from airflow_batchext.pool_spec._members import MACHINE

if TYPE_CHECKING:
    from airflow_batchext.batch.extension_catalog import KnownExtension, OperatingSystem

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SECRET_URL = re.compile(
    r"https://[^/\s]+/secrets/(?P<name>[^/\s?]+)(?P<version>/[^/\s?]*)?/?", re.IGNORECASE
)
_AGENT_KEYS = ("identifier-name", "identifier-value")
_VAULT_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "": ("secretsManagementSettings", "authenticationSettings", "loggingSettings", "diagnosticSettings"),
    "secretsManagementSettings": (
        *("observedCertificates", "pollingIntervalInS", "certificateStoreName", "certificateStoreLocation"),
        *("linkOnRenewal", "requireInitialSync", "aclEnabled"),
    ),
    "authenticationSettings": ("msiEndpoint", "msiClientId", "msiObjectId"),
}
_FEW = 2
"""By so many letters a misspelt name is longer or shorter; more make another name."""
_PROTOCOLS = ("http", "https", "tcp")
_GPU_PAGE = "https://learn.microsoft.com/azure/virtual-machines/extensions/hpccompute-gpu-linux"
_HEALTH_PAGE = (
    "https://learn.microsoft.com/azure/virtual-machine-scale-sets/virtual-machine-scale-sets-health-extension"
)


@dataclass(frozen=True, slots=True)
class Nodes:
    """What is known of a pool's nodes that extensions depend on.

    :param system: what they run, if that is known.
    :param identities: how many identities the pool has that an extension can sign in with.
    :param gpu: whose GPU they have, ``""`` for none; None if that is not known.
    :param has_secure_boot: whether they boot what is signed only.
    :param has_security_type: whether they are machines of trusted launch, or confidential ones.
    """

    system: OperatingSystem | None
    identities: int
    gpu: str | None = None
    has_secure_boot: bool = False
    has_security_type: bool = True


def check_settings(entry: Mapping[str, Any], path: str, known: KnownExtension, nodes: Nodes) -> Findings:
    """Find what is odd in the settings of a known extension, or beside it.

    :param entry: the extension; settings of a wrong kind are told elsewhere.
    """
    settings = entry.get("settings")
    if settings is not None and not isinstance(settings, Mapping):
        return
    given: Mapping[str, Any] = settings or {}
    place = f"{path}.settings"
    if known.type.startswith("KeyVaultFor"):
        yield from _check_vault(given, place, known, nodes.identities, text_of(entry, "typeHandlerVersion"))
    elif known.type.startswith("AzureMonitor"):
        yield from _check_agent(given, place, known, nodes.identities)
    elif known.type.startswith("ApplicationHealth"):
        yield from _check_health(given, place)
    elif known.type in ("OmsAgentForLinux", "MicrosoftMonitoringAgent"):
        yield from _check_workspace(given, entry, path, known)
    elif "GpuDriver" in known.type:
        yield from _check_gpu(known, nodes)
    elif known.type == "IaaSAntimalware" and given.get("AntimalwareEnabled") is None:
        what = "AntimalwareEnabled is missing, without which the extension does nothing"
        yield warning(f"{place}.AntimalwareEnabled", what, "Write true", known.link)
    elif known.type == "GuestAttestation" and not nodes.has_security_type:
        what = "Guest Attestation is for machines of trusted launch and for confidential ones"
        yield warning(path, what, "Write securityProfile.securityType: trustedLaunch", known.link)


def _check_vault(
    settings: Mapping[str, Any], path: str, known: KnownExtension, identities: int, version: str
) -> Findings:
    misspelt: dict[str, tuple[str, str]] = {}
    for member, members in _VAULT_MEMBERS.items():
        parent = settings if not member else object_at(settings, member)
        misspelt |= _misspelt(parent, members, f"{path}.{member}" if member else path)
    for place, (key, name) in misspelt.items():
        yield warning(place, f"nobody reads {quote(key)}", f"It is spelt {name}", known.link)
    meant = {place.rpartition(".")[0] + "." + name for place, (_, name) in misspelt.items()}
    place = f"{path}.secretsManagementSettings"
    secrets = settings.get("secretsManagementSettings")
    if not isinstance(secrets, Mapping):
        what = "secretsManagementSettings is missing" if secrets is None else "this is not an object"
        fix = "Say in it which certificates the extension observes"
        if place not in meant:
            yield warning(place, what, fix, known.link)
        return
    if f"{place}.observedCertificates" not in meant:
        yield from _check_certificates(secrets, place, known, version)
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
        fix = "Write the client id (a GUID) of the identity, not its name or resource id"
        yield warning(f"{path}.authenticationSettings.msiClientId", what, fix, known.link)
    elif not client and not sign_in.get("msiObjectId") and identities and not meant:
        what = "no identity is named to sign in with, and those of a pool are all user-assigned"
        fix = "Write msiClientId: the client id of the identity"
        yield warning(f"{path}.authenticationSettings", what, fix, known.link)


def _misspelt(parent: Mapping[str, Any], members: tuple[str, ...], path: str) -> dict[str, tuple[str, str]]:
    """The places of members that are nearly one that is read and not given, with both names."""
    found = {}
    wanted = {name.casefold(): name for name in members if name not in parent}
    for key in parent:
        if isinstance(key, str) and key not in members:
            near = get_close_matches(key.casefold()[:64], wanted, n=1, cutoff=0.85)
            if near and abs(len(near[0]) - len(key)) <= _FEW:
                found[at(path, key)] = (key, wanted[near[0]])
    return found


def _check_certificates(
    secrets: Mapping[str, Any], place: str, known: KnownExtension, version: str
) -> Findings:
    certificates = secrets.get("observedCertificates")
    place = f"{place}.observedCertificates"
    if not isinstance(certificates, (list, tuple)) or not certificates:
        what = "no observedCertificates are named" if not certificates else f"this is {kind_of(certificates)}"
        fix = "Write a list of the URLs of the certificates' secrets"
        yield warning(place, what, fix, known.link)
        return
    for index, certificate in enumerate(certificates):
        yield from _check_certificate(certificate, at(place, index), known)
    major = version.partition(".")[0]
    if major.isdecimal() and int(major) < 3 and any(isinstance(item, Mapping) for item in certificates):
        what = f"version {version} of the extension reads URLs only, no objects"
        yield warning(place, what, 'Write typeHandlerVersion "3.0", or the URLs themselves', known.link)


def _check_certificate(certificate: object, path: str, known: KnownExtension) -> Findings:
    """Check one entry: a URL, or (from version 3 on) an object with a url."""
    if isinstance(certificate, Mapping):
        url, path = text_of(certificate, "url"), f"{path}.url"
    else:
        url = as_text(certificate)
    match = _SECRET_URL.fullmatch(url.strip())
    if match is None:
        what = "this is not the URL of a secret in a key vault"
        fix = "Write https://VAULT.vault.azure.net/secrets/NAME, with /secrets/ for certificates too"
        yield warning(path, what, fix, known.link)
    elif (match["version"] or "/") != "/":
        what = "the URL names one version, which is never renewed on the nodes"
        yield warning(path, what, "Leave the version out", known.link)


def _check_agent(settings: Mapping[str, Any], path: str, known: KnownExtension, identities: int) -> Findings:
    identity = object_at(settings, "authentication", "managedIdentity")
    if identities and not all(text_of(identity, key) for key in _AGENT_KEYS):
        what = "no identity is named to sign in with, and those of a pool are all user-assigned"
        fix = (
            'Write {"authentication": {"managedIdentity": {"identifier-name": "mi_res_id", '
            '"identifier-value": "/subscriptions/…"}}}'
        )
        yield warning(f"{path}.authentication.managedIdentity", what, fix, known.link)


def _check_health(settings: Mapping[str, Any], path: str) -> Findings:
    protocol = text_of(settings, "protocol").casefold()
    if not protocol:
        what = "the extension is not told what to ask: protocol is missing"
        fix = 'Write {"protocol": "http", "port": 80, "requestPath": "/health"}, or "tcp" and a port'
        yield warning(f"{path}.protocol", what, fix, _HEALTH_PAGE)
    elif protocol not in _PROTOCOLS:
        what = f"{quote(settings.get('protocol'))} is no protocol that the extension speaks"
        yield warning(f"{path}.protocol", what, f"Write {', '.join(_PROTOCOLS)}", _HEALTH_PAGE)
    elif protocol == "tcp":
        if settings.get("port") is None:
            yield warning(f"{path}.port", "tcp needs a port", "Write it like 8080", _HEALTH_PAGE)
        if settings.get("requestPath") is not None:
            what = "requestPath is for http and https"
            yield warning(f"{path}.requestPath", what, "Take it out", _HEALTH_PAGE)
    elif not text_of(settings, "requestPath"):
        what = f"{protocol} needs a requestPath"
        yield warning(f"{path}.requestPath", what, 'Write it like "/health"', _HEALTH_PAGE)
    port = settings.get("port")
    number = whole_number(port)
    if port is not None and (number is None or not 1 <= number <= 65535):
        yield warning(f"{path}.port", "this is no port", "Give 1 to 65535", _HEALTH_PAGE)


def _check_workspace(
    settings: Mapping[str, Any], entry: Mapping[str, Any], path: str, known: KnownExtension
) -> Findings:
    workspace = settings.get("workspaceId")
    if workspace is None:
        yield warning(f"{path}.settings.workspaceId", "no workspace is named", "Write its id", known.link)
    elif isinstance(workspace, str) and not _GUID.fullmatch(workspace.strip()):
        what, fix = "workspaceId is no GUID", "Write the workspace's own id, not its name or resource id"
        yield warning(f"{path}.settings.workspaceId", what, fix, known.link)
    secret = entry.get("protectedSettings")
    if secret is None or (isinstance(secret, Mapping) and secret.get("workspaceKey") is None):
        what = "the key of the workspace is missing"
        yield warning(f"{path}.protectedSettings", what, "Write workspaceKey into it", known.link)


def _check_gpu(known: KnownExtension, nodes: Nodes) -> Findings:
    maker = "amd" if known.type.startswith("Amd") else "nvidia"
    names = {"amd": "AMD", "nvidia": "NVIDIA"}
    if nodes.gpu == "":
        what = f"{known.type} is given, and machines of this size have no GPU"
        yield warning("properties.vmSize", what, "Take a size of the N series, or the driver out", _GPU_PAGE)
    elif nodes.gpu is not None and nodes.gpu != maker:
        what = f"{known.type} is for GPUs of {names[maker]}, and this size has one of {names[nodes.gpu]}"
        yield warning("properties.vmSize", what, f"Take the driver of {names[nodes.gpu]}", _GPU_PAGE)
    if nodes.has_secure_boot and known.operating_system == "linux":
        what = f"{known.type} does not work with secure boot"
        fix = "Write false, or take an image that brings the driver"
        yield warning(f"{MACHINE}.securityProfile.uefiSettings.secureBootEnabled", what, fix, _GPU_PAGE)
