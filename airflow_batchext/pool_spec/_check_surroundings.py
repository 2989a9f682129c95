"""The check of what surrounds a pool's nodes: network, mounted file systems, packages, labels, upgrades."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_batchext.batch.documents import at, quote
from airflow_batchext.pool_spec._durations import parse_duration
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    Findings,
    error,
    object_at,
    objects,
    text_of,
)
from airflow_batchext.pool_spec._request import whole_number

_NETWORK = "properties.networkConfiguration"
_NAT = f"{_NETWORK}.endpointConfiguration.inboundNatPools"
_ADDRESSES = f"{_NETWORK}.publicIPAddressConfiguration"
_ROLLING = "properties.upgradePolicy.rollingUpgradePolicy"
_NETWORK_PAGE = "https://learn.microsoft.com/azure/batch/batch-virtual-network"
_PORTS_PAGE = "https://learn.microsoft.com/azure/batch/pool-endpoint-configuration"
_MOUNT_PAGE = "https://learn.microsoft.com/azure/batch/virtual-file-mount"
_PACKAGES_PAGE = "https://learn.microsoft.com/azure/batch/batch-application-packages"
_GROUP = r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers"
_SUBNET = re.compile(
    rf"{_GROUP}/Microsoft\.(?:Classic)?Network/virtualNetworks/[^/]+/subnets/[^/]+", re.IGNORECASE
)
_ADDRESS = re.compile(rf"{_GROUP}/Microsoft\.Network/publicIPAddresses/[^/]+", re.IGNORECASE)
_APPLICATION = re.compile(
    rf"{_GROUP}/Microsoft\.Batch/batchAccounts/[^/]+/(?:pools/[^/]+/)?applications/[^/]+(?:/versions/[^/]+)?",
    re.IGNORECASE,
)
_RESERVED_PORTS = (29876, 29877)
_MOST_NAT_POOLS, _MOST_RULES, _MOST_PACKAGES, _MOST_MOUNTS = 5, 25, 10, 10
_BLOB = "azureBlobFileSystemConfiguration"
_MOUNTS = (_BLOB, "nfsMountConfiguration", "cifsMountConfiguration", "azureFileShareConfiguration")
_BLOB_KEYS = ("accountKey", "sasKey", "identityReference")
_PERCENTAGES = {
    "maxBatchInstancePercent": 5,
    "maxUnhealthyInstancePercent": 5,
    "maxUnhealthyUpgradedInstancePercent": 0,
}


def check_surroundings(properties: Mapping[str, Any]) -> Findings:
    """Find what is wrong with the members of a pool that are not about its machines."""
    yield from _check_network(object_at(properties, "networkConfiguration"))
    yield from _check_mounts(properties.get("mountConfiguration"))
    yield from _check_packages(properties.get("applicationPackages"))
    yield from _check_upgrades(object_at(properties, "upgradePolicy", "rollingUpgradePolicy"))
    if len(text_of(properties, "displayName")) > 1024:
        what = "displayName is longer than 1024 characters"
        yield error("properties.displayName", what, "Shorten it", ARM_PAGE)


def _check_network(network: Mapping[str, Any]) -> Findings:
    subnet = network.get("subnetId")
    if isinstance(subnet, str) and not _SUBNET.fullmatch(subnet):
        what = "this is not the resource id of a subnet"
        mend = (
            "Write /subscriptions/…/resourceGroups/…/providers/Microsoft.Network/virtualNetworks/…/subnets/…"
        )
        yield error(f"{_NETWORK}.subnetId", what, mend, _NETWORK_PAGE)
    addresses = object_at(network, "publicIPAddressConfiguration")
    provision = text_of(addresses, "provision").casefold()
    own = addresses.get("ipAddressIds")
    if provision == "usermanaged" and not own:
        what = "the addresses are UserManaged, but none is named"
        yield error(f"{_ADDRESSES}.ipAddressIds", what, "Name their resource ids", _NETWORK_PAGE)
    elif own and provision in ("batchmanaged", "nopublicipaddresses"):
        what = f"addresses are named, and provision is {text_of(addresses, 'provision')}"
        yield error(f"{_ADDRESSES}.ipAddressIds", what, "Write UserManaged, or take them out", _NETWORK_PAGE)
    for index, address in enumerate(own if isinstance(own, (list, tuple)) else ()):
        if isinstance(address, str) and not _ADDRESS.fullmatch(address):
            mend = "Write /subscriptions/…/resourceGroups/…/providers/Microsoft.Network/publicIPAddresses/…"
            what = "this is not the resource id of a public IP address"
            yield error(at(f"{_ADDRESSES}.ipAddressIds", index), what, mend, _NETWORK_PAGE)
    pools = object_at(network, "endpointConfiguration").get("inboundNatPools")
    if pools and provision == "nopublicipaddresses":
        what = "nodes without public addresses cannot have inbound NAT pools"
        yield error(_NAT, what, "Take them out", _PORTS_PAGE)
    yield from _check_nat_pools(pools)


def _check_nat_pools(pools: object) -> Findings:
    entries = list(objects(pools))
    if len(entries) > _MOST_NAT_POOLS:
        yield error(_NAT, f"there are more than {_MOST_NAT_POOLS} NAT pools", "Take some out", _PORTS_PAGE)
    yield from _check_twice(entries, "name", _NAT)
    yield from _check_twice(entries, "backendPort", _NAT)
    rules = [
        (f"{at(_NAT, index)}.networkSecurityGroupRules[{position}]", rule)
        for index, entry in entries
        for position, rule in objects(entry.get("networkSecurityGroupRules"))
    ]
    if len(rules) > _MOST_RULES:
        yield error(_NAT, f"there are more than {_MOST_RULES} rules in all", "Take some out", _PORTS_PAGE)
    first_of: dict[int, str] = {}
    for path, rule in rules:
        priority = whole_number(rule.get("priority"))
        if priority is not None and not 150 <= priority <= 4096:
            what = f"priority {priority} is out of range"
            yield error(f"{path}.priority", what, "Give 150 to 4096", _PORTS_PAGE)
        elif priority is not None and first_of.setdefault(priority, path) != path:
            what = f"priority {priority} is taken by another rule of the pool"
            yield error(f"{path}.priority", what, "Give each rule another priority", _PORTS_PAGE)
    taken: list[tuple[int, int, int]] = []
    for index, entry in entries:
        path = at(_NAT, index)
        port = whole_number(entry.get("backendPort"))
        if port is not None and (not 1 <= port <= 65535 or port in _RESERVED_PORTS):
            mend = (
                f"Give 1 to 65535, but not {' or '.join(map(str, _RESERVED_PORTS))}, which Batch itself needs"
            )
            yield error(f"{path}.backendPort", f"port {port} cannot be used", mend, _PORTS_PAGE)
        first, last = (whole_number(entry.get(f"frontendPortRange{end}")) for end in ("Start", "End"))
        if first is None or last is None:
            continue
        place = f"{path}.frontendPortRangeStart"
        if first > last:
            yield error(place, "the range of ports ends before it starts", "Swap the two", _PORTS_PAGE)
        elif first < 1 or last > 65534 or (first <= 55000 and last >= 50000):
            mend = "Stay within 1 to 65534, and out of 50000 to 55000, which are reserved"
            yield error(place, "the range of ports cannot be used", mend, _PORTS_PAGE)
        elif last - first + 1 < 40:
            yield error(place, "the range has fewer than 40 ports", "Widen it", _PORTS_PAGE)
        else:
            for start, end, other in taken:
                if first <= end and last >= start:
                    what = f"the range of ports overlaps that of inboundNatPools[{other}]"
                    yield error(place, what, "Give each its own ports", _PORTS_PAGE)
                    break
            taken.append((first, last, index))


def _check_twice(entries: list[tuple[int, Mapping[str, Any]]], member: str, base: str) -> Findings:
    first_of: dict[object, int] = {}
    for index, entry in entries:
        value = entry.get(member)
        key = value.casefold() if isinstance(value, str) else whole_number(value)
        if key is not None and first_of.setdefault(key, index) != index:
            shown = quote(value) if isinstance(value, str) else value
            what = f"{member} {shown} is taken by {base.rpartition('.')[2]}[{first_of[key]}]"
            yield error(f"{at(base, index)}.{member}", what, "Give each another one", ARM_PAGE)


def _check_mounts(mounts: object) -> Findings:
    base = "properties.mountConfiguration"
    entries = list(objects(mounts))
    if len(entries) > _MOST_MOUNTS:
        yield error(base, f"there are more than {_MOST_MOUNTS} mounts", "Take some out", _MOUNT_PAGE)
    first_of: dict[str, int] = {}
    for index, mount in entries:
        path = at(base, index)
        kinds = [kind for kind in _MOUNTS if mount.get(kind) is not None]
        if not kinds:
            yield error(path, "nothing is mounted", f"Give one of {', '.join(_MOUNTS)}", _MOUNT_PAGE)
        elif len(kinds) > 1:
            what = f"{' and '.join(kinds)} exclude each other"
            yield error(path, what, "Write one entry for each", _MOUNT_PAGE)
        for kind in kinds:
            relative = text_of(object_at(mount, kind), "relativeMountPath")
            if relative and first_of.setdefault(relative, index) != index:
                what = f"{quote(relative)} is taken by mountConfiguration[{first_of[relative]}]"
                yield error(f"{path}.{kind}.relativeMountPath", what, "Choose another path", _MOUNT_PAGE)
        if isinstance(mount.get(_BLOB), Mapping):
            yield from _check_blob_mount(mount[_BLOB], f"{path}.{_BLOB}")


def _check_blob_mount(blob: Mapping[str, Any], path: str) -> Findings:
    given = [key for key in _BLOB_KEYS if blob.get(key) is not None]
    if len(given) != 1:
        what = f"{' and '.join(given)} exclude each other" if given else "nothing says how to sign in"
        yield error(path, what, f"Give one of {', '.join(_BLOB_KEYS)}", _MOUNT_PAGE)


def _check_packages(packages: object) -> Findings:
    base = "properties.applicationPackages"
    entries = list(objects(packages))
    if len(entries) > _MOST_PACKAGES:
        yield error(base, f"there are more than {_MOST_PACKAGES} packages", "Take some out", _PACKAGES_PAGE)
    for index, package in entries:
        resource = package.get("id")
        if isinstance(resource, str) and not _APPLICATION.fullmatch(resource):
            what = "this is not the resource id of an application of a Batch account"
            mend = (
                "Write /subscriptions/…/resourceGroups/…/providers/Microsoft.Batch/batchAccounts/…"
                "/applications/…, and the version as version"
            )
            yield error(f"{at(base, index)}.id", what, mend, _PACKAGES_PAGE)


def _check_upgrades(rolling: Mapping[str, Any]) -> Findings:
    for member, least in _PERCENTAGES.items():
        value = whole_number(rolling.get(member))
        if value is not None and not least <= value <= 100:
            what = f"{member} is {value}"
            yield error(f"{_ROLLING}.{member}", what, f"Give {least} to 100 percent", ARM_PAGE)
    batch, unhealthy = (whole_number(rolling.get(f"max{w}InstancePercent")) for w in ("Batch", "Unhealthy"))
    if batch is not None and unhealthy is not None and 5 <= unhealthy < batch <= 100:
        what = "maxBatchInstancePercent is more than maxUnhealthyInstancePercent"
        yield error(f"{_ROLLING}.maxBatchInstancePercent", what, "Lower it, or raise the other", ARM_PAGE)
    pause = rolling.get("pauseTimeBetweenBatches")
    if isinstance(pause, str) and parse_duration(pause) is None:
        what = "pauseTimeBetweenBatches is not an ISO 8601 duration"
        yield error(f"{_ROLLING}.pauseTimeBetweenBatches", what, "Write it like PT30S", ARM_PAGE)
