"""The check of a pool's network: subnet and addresses, inbound NAT pools and their rules."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from airflow_batchext.loose_json.documents import at, quote
from airflow_batchext.loose_json.values import whole_number
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    Findings,
    error,
    object_at,
    objects,
    text_of,
    warning,
    words_of,
)

_NETWORK = "properties.networkConfiguration"
_NAT = f"{_NETWORK}.endpointConfiguration.inboundNatPools"
_ADDRESSES = f"{_NETWORK}.publicIPAddressConfiguration"
_NETWORK_PAGE = "https://learn.microsoft.com/azure/batch/batch-virtual-network"
_ADDRESS_PAGE = "https://learn.microsoft.com/azure/batch/create-pool-public-ip"
_PRIVATE_PAGE = "https://learn.microsoft.com/azure/batch/simplified-node-communication-pool-no-public-ip"
_PORTS_PAGE = "https://learn.microsoft.com/azure/batch/pool-endpoint-configuration"
_GROUP = r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers"
_SUBNET = re.compile(
    rf"{_GROUP}/Microsoft\.(?:Classic)?Network/virtualNetworks/[^/]+/subnets/[^/]+", re.IGNORECASE
)
_ADDRESS = re.compile(rf"{_GROUP}/Microsoft\.Network/publicIPAddresses/[^/]+", re.IGNORECASE)
_NAT_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,75}[A-Za-z0-9_])?")
_TAG = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z0-9]+)*")
_PORTS = re.compile(r"\*|(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?", re.ASCII)
_RESERVED_PORTS = (29876, 29877)
_MOST_NAT_POOLS, _MOST_RULES = 5, 25
_NODES_OF_AN_ADDRESS = 100


def check_network(properties: Mapping[str, Any]) -> Findings:
    """Find what is wrong with ``networkConfiguration``."""
    network = object_at(properties, "networkConfiguration")
    yield from _check_subnet(network)
    yield from _check_addresses(network, properties)
    provision = text_of(object_at(network, "publicIPAddressConfiguration"), "provision").casefold()
    pools = object_at(network, "endpointConfiguration").get("inboundNatPools")
    if pools and provision == "nopublicipaddresses":
        what = "nodes without public addresses cannot have inbound NAT pools"
        yield error(_NAT, what, "Take them out", _PORTS_PAGE)
    yield from _check_nat_pools(pools)


def _check_subnet(network: Mapping[str, Any]) -> Findings:
    subnet = network.get("subnetId")
    if isinstance(subnet, str) and not _SUBNET.fullmatch(subnet):
        what = "this is not the resource id of a subnet"
        fix = (
            "Write /subscriptions/…/resourceGroups/…/providers/Microsoft.Network/virtualNetworks/…/subnets/…"
        )
        yield error(f"{_NETWORK}.subnetId", what, fix, _NETWORK_PAGE)
    elif isinstance(subnet, str) and "/microsoft.classicnetwork/" in subnet.casefold():
        what = "a classic virtual network cannot hold nodes any more"
        yield error(f"{_NETWORK}.subnetId", what, "Name a subnet of Microsoft.Network", _NETWORK_PAGE)


def _check_addresses(network: Mapping[str, Any], properties: Mapping[str, Any]) -> Findings:
    addresses = object_at(network, "publicIPAddressConfiguration")
    provision = text_of(addresses, "provision").casefold()
    own, subnet = addresses.get("ipAddressIds"), network.get("subnetId")
    if provision == "usermanaged" and not own:
        what = "the addresses are UserManaged, but none is named"
        yield error(f"{_ADDRESSES}.ipAddressIds", what, "Name their resource ids", _NETWORK_PAGE)
    elif own and provision in ("batchmanaged", "nopublicipaddresses"):
        what = f"addresses are named, and provision is {text_of(addresses, 'provision')}"
        yield error(f"{_ADDRESSES}.ipAddressIds", what, "Write UserManaged, or take them out", _NETWORK_PAGE)
    elif own and not provision:
        what = "addresses are named, and provision does not say UserManaged"
        yield warning(f"{_ADDRESSES}.provision", what, "Write UserManaged", _ADDRESS_PAGE)
    listed = own if isinstance(own, (list, tuple)) else ()
    wrong = False
    for index, address in enumerate(listed):
        if isinstance(address, str) and not _ADDRESS.fullmatch(address):
            wrong = True
            fix = "Write /subscriptions/…/resourceGroups/…/providers/Microsoft.Network/publicIPAddresses/…"
            what = "this is not the resource id of a public IP address"
            yield error(at(f"{_ADDRESSES}.ipAddressIds", index), what, fix, _NETWORK_PAGE)
    if not subnet and provision == "nopublicipaddresses":
        what = "nodes without public addresses need a subnet"
        yield error(_NETWORK, what, "Give a subnetId", _PRIVATE_PAGE)
    elif not subnet and listed and provision in ("usermanaged", ""):
        what = "public addresses of one's own need a subnet"
        yield error(_NETWORK, what, "Give a subnetId", _ADDRESS_PAGE)
    if listed and not wrong and provision in ("usermanaged", ""):
        yield from _check_count(len(listed), properties)
    families = words_of(addresses, "ipFamilies")
    if "ipv6" in families and "ipv4" not in families:
        what = "IPv6 is asked for alone"
        yield error(f"{_ADDRESSES}.ipFamilies", what, "Write IPv4, or IPv4 and IPv6", ARM_PAGE)


def _check_count(addresses: int, properties: Mapping[str, Any]) -> Findings:
    """Find more nodes than the addresses serve: 100 dedicated or 100 low-priority nodes each."""
    fixed = object_at(properties, "scaleSettings", "fixedScale")
    counts = [whole_number(fixed.get(f"target{kind}Nodes")) or 0 for kind in ("Dedicated", "LowPriority")]
    needed = sum(-(-max(0, count) // _NODES_OF_AN_ADDRESS) for count in counts)
    if needed > addresses:
        what = (
            f"a public address serves {_NODES_OF_AN_ADDRESS} nodes, and {max(counts)} nodes are asked for "
            f"with {addresses}"
        )
        fix = f"Name {needed} addresses, or ask for fewer nodes"
        yield error(f"{_ADDRESSES}.ipAddressIds", what, fix, _ADDRESS_PAGE)


def _check_nat_pools(pools: object) -> Findings:
    entries = list(objects(pools))
    if len(entries) > _MOST_NAT_POOLS:
        yield error(_NAT, f"there are more than {_MOST_NAT_POOLS} NAT pools", "Take some out", _PORTS_PAGE)
    yield from _check_twice(entries, "name", _NAT)
    yield from _check_twice(entries, "backendPort", _NAT)
    for index, entry in entries:
        name = entry.get("name")
        if isinstance(name, str) and not _NAT_NAME.fullmatch(name):
            what = f"{quote(name)} is no name for a NAT pool"
            fix = (
                "Use up to 77 letters, digits, '_', '.' and '-', the first a letter or digit, "
                "the last one of these or '_'"
            )
            yield error(f"{at(_NAT, index)}.name", what, fix, _PORTS_PAGE)
    yield from _check_rules(entries)
    yield from _check_ports(entries)


def _check_rules(entries: list[tuple[int, Mapping[str, Any]]]) -> Findings:
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
        prefix = rule.get("sourceAddressPrefix")
        if isinstance(prefix, str) and not _is_prefix(prefix.strip()):
            what = f"{quote(prefix)} is no address, subnet or tag"
            fix = "Write an address, a subnet such as 10.0.0.0/24, a service tag such as Internet, or *"
            yield error(f"{path}.sourceAddressPrefix", what, fix, _PORTS_PAGE)
        yield from _check_sources(rule.get("sourcePortRanges"), f"{path}.sourcePortRanges")


def _is_prefix(prefix: str) -> bool:
    if prefix == "*" or _TAG.fullmatch(prefix):
        return True
    try:
        ipaddress.ip_network(prefix, strict=False)
    except ValueError:
        return False
    return "/" not in prefix or prefix.rpartition("/")[2].isdecimal()


def _check_sources(ranges: object, path: str) -> Findings:
    taken: list[tuple[int, int]] = []
    for index, entry in enumerate(ranges if isinstance(ranges, (list, tuple)) else ()):
        if not isinstance(entry, str):
            continue
        match = _PORTS.fullmatch(entry.strip())
        first, last = _bounds(match) if match is not None else (1, 0)
        if not 0 <= first <= last <= 65535:
            what = f"{quote(entry)} is neither a port nor a range of ports"
            fix = "Write *, a port such as 22, or a range such as 100-200, all from 0 to 65535"
            yield error(at(path, index), what, fix, _PORTS_PAGE)
        elif any(first <= end and last >= start for start, end in taken):
            what = f"{quote(entry)} overlaps another entry"
            yield error(at(path, index), what, "Give each its own ports", _PORTS_PAGE)
        else:
            taken.append((first, last))


def _bounds(match: re.Match[str]) -> tuple[int, int]:
    if match["first"] is None:
        return 0, 65535
    return int(match["first"]), int(match["last"] or match["first"])


def _check_ports(entries: list[tuple[int, Mapping[str, Any]]]) -> Findings:
    taken: list[tuple[int, int, int]] = []
    for index, entry in entries:
        path = at(_NAT, index)
        port = whole_number(entry.get("backendPort"))
        if port is not None and (not 1 <= port <= 65535 or port in _RESERVED_PORTS):
            fix = (
                f"Give 1 to 65535, but not {' or '.join(map(str, _RESERVED_PORTS))}, which Batch itself needs"
            )
            yield error(f"{path}.backendPort", f"port {port} cannot be used", fix, _PORTS_PAGE)
        first, last = (whole_number(entry.get(f"frontendPortRange{end}")) for end in ("Start", "End"))
        if first is None or last is None:
            continue
        place = f"{path}.frontendPortRangeStart"
        if first > last:
            yield error(place, "the range of ports ends before it starts", "Swap the two", _PORTS_PAGE)
        elif first < 1 or last > 65534 or (first <= 55000 and last >= 50000):
            fix = "Stay within 1 to 65534, and out of 50000 to 55000, which are reserved"
            yield error(place, "the range of ports cannot be used", fix, _PORTS_PAGE)
        elif last - first + 1 < 40:
            yield error(place, "the range has fewer than 40 ports", "Widen it", _PORTS_PAGE)
        else:
            other = next((other for start, end, other in taken if first <= end and last >= start), None)
            if other is not None:
                what = f"the range of ports overlaps that of inboundNatPools[{other}]"
                yield error(place, what, "Give each its own ports", _PORTS_PAGE)
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
