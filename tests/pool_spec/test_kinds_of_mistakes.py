"""Each kind of mistake over the whole kind, with values that nobody wrote down: told at its place alone."""

from __future__ import annotations

import copy
import string
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.pool_spec._sdk_schema import check_pool
from tests.pool_spec.documents import EXTENSION, FIXED, GOOD, IDENTITY, MACHINE, paths_of, steps, with_change

TODAY = date(2026, 6, 1)
WINDOWS = {
    "imageReference": {
        "publisher": "microsoftwindowsserver",
        "offer": "windowsserver",
        "sku": "2022-datacenter",
    },
    "nodeAgentSkuId": "batch.node.windows amd64",
}
SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
ADDRESS = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/publicIPAddresses/a"
NAT = {
    "name": "ssh",
    "protocol": "TCP",
    "backendPort": 22,
    "frontendPortRangeStart": 15000,
    "frontendPortRangeEnd": 15100,
}
NETWORK = "properties.networkConfiguration"
WORD = st.text(string.ascii_letters, min_size=1, max_size=12)


def told(document: Any, severity: str | None = None) -> list[str]:
    found = check_pool(document, today=TODAY)
    return [finding.path for finding in found if severity is None or finding.severity == severity]


def value_at(document: Any, path: str) -> Any:
    for step in steps(path):
        document = document[step]
    return document


def on_windows(**members: Any) -> Any:
    document = copy.deepcopy(GOOD)
    machine = document["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine |= {**WINDOWS, "extensions": []}
    document["properties"] |= members
    return document


def changed(path: str, value: Any) -> list[str]:
    return told(with_change(path, value))


# --- nobody filled it in ---

TEXTS = [
    path
    for path in paths_of(GOOD)
    if not path.endswith(("name", "identity.type")) and isinstance(value_at(GOOD, path), str)
]
SHAPES = st.sampled_from(["[parameters('{}')]", "[variables('{}')]", "[concat('{}', 'x')]"])


@given(st.sampled_from(TEXTS), WORD, SHAPES)
@settings(deadline=None, max_examples=60)
def test_an_expression_of_arm_is_an_error_wherever_a_text_is(path, word, shape):
    secret = ".protectedSettings"
    place = path.partition(secret)[0] + secret if secret in path else path
    assert place in told(with_change(path, shape.format(word)), "error")


@given(WORD, st.sampled_from(["${{{}}}", "${{var.{}}}", "$({})", "%{}%", "#{{{}}}#"]))
@settings(deadline=None, max_examples=40)
def test_a_variable_is_an_error_at_a_size_and_at_a_number(word, shape):
    assert told(with_change("properties.vmSize", shape.format(word)), "error") == ["properties.vmSize"]
    where = f"{FIXED}.targetDedicatedNodes"
    assert told(with_change(where, shape.format(word)), "error") == [where]


@given(WORD)
@settings(deadline=None, max_examples=20)
def test_a_placeholder_is_told_in_ids_and_urls(word):
    subnet = SUBNET.replace("/s/", f"/<{word}-id>/", 1)
    assert changed(NETWORK, {"subnetId": subnet}) == [f"{NETWORK}.subnetId"]
    url = f"https://<{word}>.vault.azure.net/secrets/c"
    place = f"{EXTENSION}.settings.secretsManagementSettings.observedCertificates"
    assert changed(place, [url]) == [f"{place}[0]"]


@pytest.mark.parametrize(
    "command",
    [
        "/bin/bash -c 'echo ${HOME} && [ 1 -lt 2 ] < in > out'",
        "/bin/sh -c 'if [ -z $X ]; then echo \"<none>\"; fi'",
        "/usr/bin/env bash -c 'set -e; ls | wc'",
        "/usr/bin/env FOO=1 bash -c 'a && b'",
        "sudo bash -c 'a && b'",
        "sudo -E bash -c 'apt-get update && apt-get install -y jq'",
        '"/bin/bash" -c "a && b"',
        "'/bin/sh' -c 'a; b'",
        "nohup bash -c 'a | b'",
        "timeout 60 bash -c 'a && b'",
        "/opt/tool --filter 'a && b' --set \"x > y\"",
        "python3 run.py --pattern 'a|b'",
    ],
)
def test_a_command_line_that_is_right_is_left_alone(command):
    assert changed("properties.startTask", {"commandLine": command}) == []


@pytest.mark.parametrize(
    "command",
    ["echo $A && b", "ls | wc", "a > b", "python3 x.py; ls", 'run "$HOME"', "copy %A% b", "a\nb"],
)
def test_a_command_line_that_needs_a_shell_is_told(command):
    assert changed("properties.startTask", {"commandLine": command}) == ["properties.startTask.commandLine"]


@given(
    st.sampled_from(["apt-get", "apt", "yum", "dnf", "tdnf", "zypper"]),
    st.sampled_from(["install -y x", "update"]),
)
@settings(deadline=None, max_examples=20)
def test_packages_need_an_administrator(tool, rest):
    task: dict[str, Any] = {"commandLine": f"/bin/sh -c 'cd /tmp && {tool} {rest}'"}
    assert changed("properties.startTask", task) == ["properties.startTask.commandLine"]
    task["userIdentity"] = {"autoUser": {"elevationLevel": "admin"}}
    assert changed("properties.startTask", task) == []


@pytest.mark.parametrize(
    "value",
    [
        "false",
        "true",
        "0",
        "off",
        "https://v.vault.azure.net/secrets/pw/1",
        "@Microsoft.KeyVault(SecretUri=https://v)",
    ],
)
@pytest.mark.parametrize("name", ["USE_PASSWORD", "DB_PASSWORD", "SECRET"])
def test_a_switch_or_the_place_of_a_secret_is_no_secret(name, value):
    task = {"commandLine": "true", "environmentSettings": [{"name": name, "value": value}]}
    assert changed("properties.startTask", task) == []
    task["environmentSettings"][0]["value"] = "hunter2hunter2"
    assert changed("properties.startTask", task) == ["properties.startTask.environmentSettings[0].value"]


# --- identities ---

USERS_OF_IDENTITIES = {
    f"{MACHINE}.containerConfiguration": lambda reference: {
        "type": "DockerCompatible",
        "containerRegistries": [{"registryServer": "r", "identityReference": reference}],
    },
    "properties.mountConfiguration": lambda reference: [
        {
            "azureBlobFileSystemConfiguration": {
                "accountName": "a",
                "containerName": "c",
                "relativeMountPath": "m",
                "identityReference": reference,
            }
        }
    ],
    "properties.startTask": lambda reference: {
        "commandLine": "true",
        "resourceFiles": [{"storageContainerUrl": "https://a.example/c", "identityReference": reference}],
    },
}


@given(st.sampled_from(sorted(USERS_OF_IDENTITIES)), WORD)
@settings(deadline=None, max_examples=40)
def test_every_reference_is_held_against_the_identities_of_the_pool(place, name):
    other = IDENTITY[:-1] + f"x{name}"
    made = USERS_OF_IDENTITIES[place]
    (path,) = changed(place, made({"resourceId": other}))
    assert path.startswith(place)
    assert path.endswith("identityReference.resourceId")
    assert changed(place, made({"resourceId": IDENTITY.upper()})) == []


def test_identities_that_cannot_be_read_are_not_held_against_anything():
    document = with_change(
        "properties.mountConfiguration",
        USERS_OF_IDENTITIES["properties.mountConfiguration"]({"resourceId": IDENTITY}),
        with_change("identity.userAssignedIdentities", {"nonsense": {}}),
    )
    assert told(document) == ["identity.userAssignedIdentities.nonsense"]


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


@given(st.sampled_from(paths_of(GOOD)), st.sampled_from([str.upper, str.lower, str.capitalize]))
@settings(deadline=None, max_examples=80)
def test_names_in_another_case_are_one_warning_each_and_hide_nothing(path, case):
    parent, _, name = path.rpartition(".")
    written = case(name)
    document = copy.deepcopy(GOOD)
    node = value_at(document, parent) if parent else document
    if not isinstance(node, dict) or "settings" in path.lower() or path.endswith("]") or written == name:
        return
    node[written] = node.pop(name)
    if path in ("name", "type"):
        return
    findings = check_pool(document, today=TODAY)
    assert [(f.severity, f.fix) for f in findings] == [("warning", f"It is spelt {name}")]
