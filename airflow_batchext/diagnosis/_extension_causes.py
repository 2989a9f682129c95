"""Known causes that show at an extension: what it says, and what the pool's document has against it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from airflow_batchext.batch.data_plane import Phase, one_line
from airflow_batchext.batch.extension_catalog import lookup, node_operating_system
from airflow_batchext.diagnosis._cause import (
    Hit,
    Matcher,
    extension_says,
    hit,
    is_stuck,
    pending_for,
    said_by,
    stuck,
    type_of,
    unready,
)
from airflow_batchext.loose_json.values import as_mapping

if TYPE_CHECKING:
    from airflow_batchext.health import ExtensionHealth, PoolHealth

VAULT: Final = ("keyvaultforlinux", "keyvaultforwindows")
MONITOR: Final = ("azuremonitorlinuxagent", "azuremonitorwindowsagent")
GPU: Final = ("nvidiagpudriverlinux", "nvidiagpudriverwindows", "amdgpudriverwindows")

_NO_RIGHT: Final = (
    r"does not have [a-z ]*permission"
    r"|not authorized to perform action|accessdenied|forbiddenbyrbac|insufficient permissions"
)
_FIREWALL: Final = r"client address is not authorized|forbiddenbyfirewall|public network access is disabled"
_NOT_FOUND: Final = (
    r"secretnotfound|certificatenotfound|a (secret|certificate) with \(?name/id\)? .{0,200}not found"
)
_NO_IDENTITY: Final = r"identity not found"
_NO_NAME: Final = (
    r"temporary failure in name resolution|no such host|could not resolve host|could not be resolved"
    r"|name or service not known|nameresolutionfailure"
)
_NO_WAY: Final = (
    r"unable to connect to the remote server|connection (timed out|refused)|i/o timeout|no route to host"
    r"|network is unreachable|failed to connect to .{0,80}port|connection was closed unexpectedly"
)
_PROXY: Final = r"\b407\b.{0,40}proxy|proxy authentication required|unable to connect to proxy|proxyconnect"
_UNSUPPORTED_SYSTEM: Final = r"unsupported operating system|failed,51,"
_WITH_GPU: Final = re.compile(r"standard_n[cdgv]\d*", re.IGNORECASE)


def _without_identity(*types: str) -> Any:
    def matcher(health: PoolHealth) -> Iterator[Hit]:
        if not health.identities:
            for node, extension in stuck(health, *types):
                if not node.id or re.search(_UNSUPPORTED_SYSTEM, said_by(extension), re.IGNORECASE):
                    continue  # the provider, or the agent itself, says what it is
                yield hit(node, extension, "the pool has no managed identity")

    return matcher


def _wrong_client_id(health: PoolHealth) -> Iterator[Hit]:
    known = {client.lower() for client in health.identities.values() if client}
    told = extension_says(*VAULT, *MONITOR, saying=_NO_IDENTITY)
    for node, extension in stuck(health, *VAULT):
        given = _client_id(_settings(health, extension))
        if not given or not health.identities:
            continue
        if given.startswith("/"):
            yield hit(node, extension, "msiClientId is a resource id, not a client id")
        elif known and given.lower() not in known:
            yield hit(node, extension, f"msiClientId {one_line(given, 60)} is none of the pool's identities")
    if health.identities:
        yield from told(health)


def _no_client_id(health: PoolHealth) -> Iterator[Hit]:
    for node, extension in stuck(health, *VAULT):
        said = re.search(r"non-existent authconfig", said_by(extension), re.IGNORECASE)
        several = len(health.identities) > 1
        if said or (several and not _client_id(_settings(health, extension))):
            why = f"the pool has {len(health.identities)} identities, and the settings name none"
            yield hit(node, extension, why if several else "the settings name no identity")


def _initial_sync(health: PoolHealth) -> Iterator[Hit]:
    for node, extension in stuck(health, *VAULT):
        management = as_mapping(_settings(health, extension).get("secretsManagementSettings"))
        wants = management.get("requireInitialSync") in (True, "true", "True")
        if wants and extension.phase is Phase.PENDING and not _waits_for(health, extension):
            minutes = pending_for(health, node, extension) / 60
            yield hit(node, extension, f"it waits for the first download for {minutes:.0f} minutes")


def _secure_boot(health: PoolHealth) -> Iterator[Hit]:
    for node, extension in stuck(health, *GPU):
        if health.secure_boot or re.search(r"secure ?boot|mok\b", said_by(extension), re.IGNORECASE):
            yield hit(node, extension, "" if not health.secure_boot else "the pool asks for secure boot")


def _no_gpu(health: PoolHealth) -> Iterator[Hit]:
    if health.vm_size and not _WITH_GPU.match(health.vm_size):
        for node, extension in stuck(health, *GPU):
            yield hit(node, extension, f"{one_line(health.vm_size, 60)} has no GPU")


def _other_system(health: PoolHealth) -> Iterator[Hit]:
    system = node_operating_system(health.node_agent)
    for node, extension in unready(health):
        asked = health.asked(extension.name)
        publisher = extension.publisher or (asked.publisher if asked else "")
        known = lookup(publisher, type_of(health, extension))
        if known and system and known.operating_system != system:
            why = f"{known.type} is for {known.operating_system.title()}, the node runs {system.title()}"
            yield hit(node, extension, why)


def _waits_for(health: PoolHealth, extension: ExtensionHealth) -> tuple[str, ...]:
    asked = health.asked(extension.name)
    return asked.after if asked else ()


def _behind_another(health: PoolHealth) -> Iterator[Hit]:
    """Those that wait for one that failed, or that waits itself for one."""
    for node, extension in unready(health):
        if extension.phase is not Phase.PENDING:
            continue
        others = {other.name.lower(): other for other in node.extensions}
        for name in _waits_for(health, extension):
            other = others.get(name.lower())
            if other is not None and other.phase is Phase.FAILED:
                yield hit(node, extension, f"it waits for {one_line(other.name)}, which failed")
            elif other is not None and other.phase is Phase.PENDING and is_stuck(health, node, other):
                yield hit(node, extension, f"it waits for {one_line(other.name)}, which is not done either")


def _never_comes(health: PoolHealth) -> Iterator[Hit]:
    names = {extension.name.lower() for extension in health.extensions}
    for node, extension in unready(health):
        if extension.phase is Phase.PENDING:
            lacking = [name for name in _waits_for(health, extension) if name.lower() not in names]
            circle = _in_circle(health, extension.name)
            if lacking:
                why = f"it waits for {one_line(lacking[0])}, which the pool does not have"
                yield hit(node, extension, why)
            elif circle:
                yield hit(node, extension, f"it waits in a circle: {' after '.join(map(one_line, circle))}")


def _in_circle(health: PoolHealth, name: str) -> list[str]:
    """The way from an extension back to itself along what it waits for; empty if there is none."""
    way, todo = {name.lower(): [name]}, [name]
    while todo:
        current = todo.pop()
        asked = health.asked(current)
        for after in asked.after if asked else ():
            if after.lower() == name.lower():
                return [*way[current.lower()], name]
            if after.lower() not in way:
                way[after.lower()] = [*way[current.lower()], after]
                todo.append(after)
    return []


def _settings(health: PoolHealth, extension: ExtensionHealth) -> Any:
    asked = health.asked(extension.name)
    own = as_mapping(extension.settings)
    return own or as_mapping(asked.settings if asked else None)


def _client_id(settings: Any) -> str:
    """The client id in the settings, wherever people write it."""
    places = (settings, as_mapping(settings.get("secretsManagementSettings")))
    found = (as_mapping(place.get("authenticationSettings")).get("msiClientId") for place in places)
    return next((value for value in found if isinstance(value, str) and value), "")


EXTENSION_MATCHERS: Final[Mapping[str, Matcher]] = {
    "extension-other-system": _other_system,
    "key-vault-without-identity": _without_identity(*VAULT),
    "key-vault-client-id": _wrong_client_id,
    "key-vault-no-role": extension_says(*VAULT, saying=_NO_RIGHT),
    "key-vault-firewall": extension_says(*VAULT, saying=_FIREWALL),
    "key-vault-certificate-missing": extension_says(*VAULT, saying=_NOT_FOUND),
    "key-vault-no-client-id": _no_client_id,
    "key-vault-endpoint": extension_says(*VAULT, saying="uri must contain a hostname"),
    "key-vault-initial-sync": _initial_sync,
    "gpu-secure-boot": _secure_boot,
    "gpu-none": _no_gpu,
    "package-lock": extension_says(
        saying="could not get lock|dpkg.{0,40}lock|lock.{0,40}/var/lib/(dpkg|apt)"
    ),
    "monitor-without-identity": _without_identity(*MONITOR),
    "monitor-unsupported-system": extension_says(*MONITOR, saying=_UNSUPPORTED_SYSTEM),
    "extension-dns": extension_says(saying=_NO_NAME),
    "extension-proxy": extension_says(saying=_PROXY),
    "extension-network": extension_says(saying=_NO_WAY),
    "machine-agent": extension_says(
        saying="provisioningstate/unavailable|vm ?agent is (unresponsive|not ready)"
    ),
    "extension-timed-out": extension_says(
        saying="VMExtensionProvisioningTimeout|provisioning of vm extension .{0,120}timed out",
        phases=(Phase.FAILED,),
    ),
    "extension-behind-another": _behind_another,
    "extension-order": _never_comes,
}
