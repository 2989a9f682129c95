"""Kinds of mistakes in networks, systems, sizes and extensions, over the whole kind: what goes with what."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.pool_spec._sdk_schema import check_pool
from tests.pool_spec.documents import (
    FIXED,
    GOOD,
    MACHINE,
    SUBNET,
    TODAY,
    changed,
    told,
    value_at,
    with_change,
)

WINDOWS = {
    "imageReference": {
        "publisher": "microsoftwindowsserver",
        "offer": "windowsserver",
        "sku": "2022-datacenter",
    },
    "nodeAgentSkuId": "batch.node.windows amd64",
}
ADDRESS = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/publicIPAddresses/a"
NAT = {
    "name": "ssh",
    "protocol": "TCP",
    "backendPort": 22,
    "frontendPortRangeStart": 15000,
    "frontendPortRangeEnd": 15100,
}
NETWORK = "properties.networkConfiguration"


def on_windows(**members: Any) -> Any:
    document = copy.deepcopy(GOOD)
    machine = document["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine |= {**WINDOWS, "extensions": []}
    document["properties"] |= members
    return document


# --- users ---


@pytest.mark.parametrize("other", ["worker", "Worker", "WORKER", "worker2"])
@pytest.mark.parametrize("windows", [True, False])
def test_users_have_names_that_the_system_tells_apart(other, windows):
    users = [{"name": name, "password": "***"} for name in ("worker", other)]
    document = on_windows() if windows else copy.deepcopy(GOOD)
    document["properties"]["userAccounts"] = users
    is_one = other.casefold() == "worker" if windows else other == "worker"
    assert told(document) == (["properties.userAccounts[1].name"] if is_one else [])


# --- network ---


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(1, 30))
@settings(deadline=None, max_examples=60)
def test_an_address_serves_a_hundred_nodes_of_a_kind(dedicated, low, addresses):
    document = with_change(f"{FIXED}.targetDedicatedNodes", dedicated)
    document = with_change(f"{FIXED}.targetLowPriorityNodes", low, document)
    own = {"provision": "UserManaged", "ipAddressIds": [f"{ADDRESS}{i}" for i in range(addresses)]}
    document = with_change(NETWORK, {"subnetId": SUBNET, "publicIPAddressConfiguration": own}, document)
    enough = -(-dedicated // 100) + -(-low // 100) <= addresses
    assert told(document) == ([] if enough else [f"{NETWORK}.publicIPAddressConfiguration.ipAddressIds"])


PREFIXES = st.ip_addresses().map(str) | st.sampled_from(
    ["*", "Internet", "VirtualNetwork", "Storage.WestEurope", "10.0.0.0/8", "10.1.2.3/24", "fd00::/8"]
)
WRONG_PREFIXES = st.sampled_from(
    ["10.0.0.0/33", "10.0.0", "300.1.1.1", "", "10.0.0.0/x", "a b", "10.0.0.1-10.0.0.9"]
)


@given(PREFIXES, WRONG_PREFIXES)
@settings(deadline=None, max_examples=40)
def test_prefixes(right, wrong):
    def of(prefix):
        rule = {"priority": 150, "access": "Allow", "sourceAddressPrefix": prefix}
        pools = [{**NAT, "networkSecurityGroupRules": [rule]}]
        return changed(NETWORK, {"endpointConfiguration": {"inboundNatPools": pools}})

    assert of(right) == []
    (path,) = of(wrong)
    assert path.endswith("networkSecurityGroupRules[0].sourceAddressPrefix")


PORT = st.integers(0, 65535)


@given(
    st.just(["*"])
    | PORT.map(lambda port: [str(port)])
    | st.tuples(PORT, PORT).map(lambda p: [f"{min(p)}-{max(p)}"]),
    st.sampled_from(["http", "70000", "9-1", "1,2", "-1", "", "1-70000"]).filter(lambda text: text != "* "),
)
@settings(deadline=None, max_examples=40)
def test_source_ports(right, wrong):
    def of(ranges):
        rule = {"priority": 150, "access": "Allow", "sourceAddressPrefix": "*", "sourcePortRanges": ranges}
        pools = [{**NAT, "networkSecurityGroupRules": [rule]}]
        return changed(NETWORK, {"endpointConfiguration": {"inboundNatPools": pools}})

    assert of(right) == []
    assert [path.rpartition(".")[2] for path in of([wrong])] == ["sourcePortRanges[0]"]


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,75}[A-Za-z0-9_])?", fullmatch=True))
@settings(deadline=None, max_examples=30)
def test_names_of_nat_pools(name):
    def of(name):
        return changed(NETWORK, {"endpointConfiguration": {"inboundNatPools": [{**NAT, "name": name}]}})

    assert of(name) == []
    for wrong in (f"-{name}", f"{name}.", f"{name} x", name + "x" * 78):
        assert of(wrong) == [f"{NETWORK}.endpointConfiguration.inboundNatPools[0].name"]


# --- systems ---

MOUNTS = {
    "azureBlobFileSystemConfiguration": {"accountName": "a", "containerName": "c", "sasKey": "x"},
    "nfsMountConfiguration": {"source": "h:/p"},
    "cifsMountConfiguration": {"userName": "u", "source": "//h/p", "password": "x"},
    "azureFileShareConfiguration": {
        "accountName": "a",
        "accountKey": "x",
        "azureFileUrl": "https://a.file.core.windows.net/s",
    },
}


@pytest.mark.parametrize("kind", MOUNTS)
def test_windows_mounts_shares_only(kind):
    mounts = [{kind: {**MOUNTS[kind], "relativeMountPath": "m"}}]
    wrong = [] if kind == "azureFileShareConfiguration" else [f"properties.mountConfiguration[0].{kind}"]
    assert told(on_windows(mountConfiguration=mounts)) == wrong
    assert changed("properties.mountConfiguration", mounts) == []


@pytest.mark.parametrize("kind", ["Windows_Server", "Windows_Client"])
def test_licences(kind):
    path = f"{MACHINE}.licenseType"
    assert told(with_change(path, kind, on_windows())) == []
    assert told(with_change(path, kind)) == [path]
    for wrong in (kind.replace("_", " "), kind.replace("_", ""), "Linux", ""):
        assert told(with_change(path, wrong, on_windows())) == [path]
    assert told(with_change(path, "None", on_windows()), "error") == []


@pytest.mark.parametrize("percent", [-1, 0, 4, 5, 20, 100, 101])
def test_percentages_of_an_upgrade(percent):
    policy = {"mode": "rolling", "rollingUpgradePolicy": {"maxBatchInstancePercent": percent}}
    path = "properties.upgradePolicy.rollingUpgradePolicy.maxBatchInstancePercent"
    assert changed("properties.upgradePolicy", policy) == ([] if 5 <= percent <= 100 else [path])


@pytest.mark.parametrize("placement", ["Zonal", "Regional", None])
@pytest.mark.parametrize("value", [True, False, None])
def test_upgrades_across_zones_are_for_zonal_pools(placement, value):
    rolling = {"maxBatchInstancePercent": 20, "enableCrossZoneUpgrade": value}
    document = with_change("properties.upgradePolicy", {"mode": "rolling", "rollingUpgradePolicy": rolling})
    if placement:
        document = with_change(f"{MACHINE}.nodePlacementConfiguration", {"policy": placement}, document)
    path = "properties.upgradePolicy.rollingUpgradePolicy.enableCrossZoneUpgrade"
    assert told(document) == ([path] if value is not None and placement != "Zonal" else [])


@pytest.mark.parametrize(
    ("size", "has_infiniband"),
    [
        *[(size, True) for size in ("STANDARD_HB120RS_V3", "Standard_HB120-16rs_v3", "standard_hc44rs")],
        *[(size, True) for size in ("STANDARD_HX176RS", "Standard_ND96asr_v4", "STANDARD_ND96ISR_H100_V5")],
        *[(size, False) for size in ("STANDARD_D2S_V5", "STANDARD_NC24ADS_A100_V4", "STANDARD_DC4S_V3")],
        ("STANDARD_E104IDS_V5", False),
    ],
)
@pytest.mark.parametrize("placement", ["Zonal", "zonal", "Regional"])
@pytest.mark.parametrize("talks", ["Enabled", "Disabled"])
def test_infiniband_is_within_one_zone(size, has_infiniband, placement, talks):
    document = with_change("properties.vmSize", size)
    document = with_change(f"{MACHINE}.extensions", [], document)
    document = with_change("properties.interNodeCommunication", talks, document)
    document = with_change(f"{MACHINE}.nodePlacementConfiguration", {"policy": placement}, document)
    is_wrong = has_infiniband and placement.casefold() == "zonal" and talks == "Enabled"
    assert told(document, "error") == ([f"{MACHINE}.nodePlacementConfiguration.policy"] if is_wrong else [])


GALLERY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/g/images/i"


@pytest.mark.parametrize(
    ("image", "member", "severity"),
    [
        ({"version": "22.04.202501010"}, "version", "error"),
        ({"version": "latest"}, "", ""),
        ({"version": "Latest"}, "", ""),
        ({}, "", ""),
        ({"id": GALLERY}, "", ""),
        ({"id": f"{GALLERY}/versions/latest"}, "", ""),
        ({"id": f"{GALLERY}/versions/1.0.0"}, "id", "warning"),
    ],
)
@pytest.mark.parametrize("upgrades", [True, False])
def test_what_is_upgraded_is_not_of_one_version(image, member, severity, upgrades):
    reference = image if "id" in image else {**value_at(GOOD, f"{MACHINE}.imageReference"), **image}
    if "version" not in image:
        reference.pop("version", None)
    policy = {"mode": "automatic", "automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": upgrades}}
    document = with_change("properties.upgradePolicy", policy)
    document = with_change(f"{MACHINE}.imageReference", reference, document)
    found = {(f.path, f.severity) for f in check_pool(document, today=TODAY)}
    assert found == ({(f"{MACHINE}.imageReference.{member}", severity)} if upgrades and member else set())


MANAGED = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/i"


@pytest.mark.parametrize(
    ("image", "is_managed"), [(MANAGED, True), (MANAGED.lower(), True), (GALLERY, False)]
)
@pytest.mark.parametrize(
    ("member", "most"), [("targetDedicatedNodes", 2000), ("targetLowPriorityNodes", 1000)]
)
def test_only_a_managed_image_bounds_how_many_nodes_there_are(image, is_managed, member, most):
    document = with_change(f"{MACHINE}.imageReference", {"id": image})
    assert told(with_change(f"{FIXED}.{member}", most, document)) == []
    more = told(with_change(f"{FIXED}.{member}", most + 1, document))
    assert more == ([f"{FIXED}.{member}"] if is_managed else [])


@pytest.mark.parametrize("targets", [["TemporaryDisk"], ["OsDisk"], ["OsDisk", "TemporaryDisk"]])
def test_which_disks_are_encrypted_depends_on_the_system(targets):
    path = f"{MACHINE}.diskEncryptionConfiguration"
    linux = [f"{path}.targets"] if "OsDisk" in targets else []
    assert told(with_change(path, {"targets": targets})) == linux
    windows = [f"{path}.targets"] if targets == ["OsDisk"] else []
    assert told(with_change(path, {"targets": targets}, on_windows())) == windows


# --- sizes and extensions ---


@given(
    st.sampled_from(
        ["Standard_D4s_v5", "STANDARD_E8ADS_V5", "Standard_FX4mds", "Standard_NP10s", "Standard_HB120rs_v3"]
    )
)
@settings(deadline=None)
def test_a_gpu_driver_needs_a_gpu(size):
    assert changed("properties.vmSize", size) == ["properties.vmSize"]


@pytest.mark.parametrize(
    "size",
    ["Standard_NC4as_T4_v3", "STANDARD_NV36ADS_A10_V5", "Standard_ND96asr_v4", "standard_nc24ads_a100_v4"],
)
def test_a_gpu_driver_is_right_on_these(size):
    assert changed("properties.vmSize", size) == []


@pytest.mark.parametrize("size", ["Standard_NV4as_v4", "Standard_NG8ads_V620_v1"])
def test_a_driver_of_nvidia_is_not_for_amd(size):
    assert changed("properties.vmSize", size) == ["properties.vmSize"]


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"protocol": "http", "requestPath": "/health", "port": 80}, []),
        ({"protocol": "HTTPS", "requestPath": "/h"}, []),
        ({"protocol": "tcp", "port": 22}, []),
        ({}, ["protocol"]),
        ({"protocol": "udp"}, ["protocol"]),
        ({"protocol": "tcp"}, ["port"]),
        ({"protocol": "http", "port": 80}, ["requestPath"]),
        ({"protocol": "tcp", "port": 0}, ["port"]),
        ({"protocol": "tcp", "port": 22, "requestPath": "/"}, ["requestPath"]),
    ],
)
def test_what_the_health_extension_has_to_know(settings, wrong):
    entry = {
        "name": "health",
        "publisher": "Microsoft.ManagedServices",
        "type": "ApplicationHealthLinux",
        "settings": settings,
    }
    path = f"{MACHINE}.extensions[2]"
    assert changed(path, entry) == [f"{path}.settings.{member}" for member in wrong]


@pytest.mark.parametrize(
    ("publisher", "kind"),
    [
        ("Microsoft.Azure.Security.Monitoring", "AzureSecurityLinuxAgent"),
        ("Microsoft.Azure.Monitoring.DependencyAgent", "DependencyAgentLinux"),
        ("Microsoft.HpcCompute", "InfiniBandDriverLinux"),
        ("Contoso.Monitoring", "MonitorLinuxAgent"),
        ("Datadog.Agent", "DatadogLinuxAgent"),
    ],
)
def test_extensions_that_are_not_listed_are_not_taken_for_others(publisher, kind):
    entry = {"name": "x", "publisher": publisher, "type": kind}
    (finding,) = check_pool(with_change(f"{MACHINE}.extensions[2]", entry), today=TODAY)
    assert finding.severity == "warning"
    assert "Did you mean" not in finding.fix
