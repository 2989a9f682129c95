"""Documents without a mistake, made by Hypothesis of parts that people use."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers"
NAME = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=10)
IDENTITY_IDS = st.lists(
    NAME.map(lambda name: f"{SUBSCRIPTION}/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"),
    min_size=1,
    max_size=3,
    unique_by=str.casefold,
)
LINUX = [
    ({"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"}, "batch.node.ubuntu 24.04"),
    (
        {"publisher": "Canonical", "offer": "0001-com-ubuntu-server-jammy", "sku": "22_04-lts"},
        "batch.node.ubuntu 22.04",
    ),
    ({"publisher": "almalinux", "offer": "almalinux", "sku": "9-gen1"}, "batch.node.el 9"),
    ({"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2204"}, "batch.node.ubuntu 22.04"),
    (
        {"id": f"{SUBSCRIPTION}/Microsoft.Compute/galleries/g/images/i/versions/1.0.0"},
        "batch.node.ubuntu 24.04",
    ),
]
WINDOWS = [
    (
        {"publisher": "MicrosoftWindowsServer", "offer": "WindowsServer", "sku": "2022-datacenter"},
        "batch.node.windows amd64",
    ),
    ({"id": f"{SUBSCRIPTION}/Microsoft.Compute/galleries/g/images/w"}, "batch.node.windows amd64"),
]
SIZES = st.sampled_from(["STANDARD_D2S_V5", "Standard_D4s_v3", "standard_e8ds_v5", "STANDARD_F4S_V2"])
MINUTES = st.integers(5, 600)
_FORMS_OF_DURATIONS = [
    lambda m: f"PT{m}M",
    lambda m: f"PT{m * 60}S",
    lambda m: f"PT{m // 60}H{m % 60}M",
    lambda m: f"P0DT{m}M",
    lambda m: f"P0Y0M0DT0H{m}M0S",
    lambda m: f"PT{m * 60}.0S",
]
DURATIONS = st.builds(lambda form, minutes: form(minutes), st.sampled_from(_FORMS_OF_DURATIONS), MINUTES)
FORMULAS = st.sampled_from(
    [
        "$TargetDedicatedNodes = 1;",
        "// nothing\n$TargetLowPriorityNodes=max(0,min($PendingTasks.GetSample(1),9));",
        'a = time("2026-01-01T00:00:00Z");\n$TargetDedicatedNodes = time() > a ? 1 : 0;',
        "$NodeDeallocationOption=taskcompletion;$TargetDedicatedNodes=avg($CPUPercent.GetSample(1))>0.5?2:1;",
    ]
)
FIXED = st.fixed_dictionaries(
    {"targetDedicatedNodes": st.integers(0, 100)},
    optional={
        "targetLowPriorityNodes": st.just(0),
        "resizeTimeout": DURATIONS,
        "nodeDeallocationOption": st.sampled_from(["Requeue", "Terminate", "TaskCompletion", "RetainedData"]),
    },
)
SCALE = FIXED.map(lambda fixed: {"fixedScale": fixed}) | st.fixed_dictionaries(
    {"formula": FORMULAS}, optional={"evaluationInterval": DURATIONS}
).map(lambda auto: {"autoScale": auto})
COMMANDS = {
    "linux": st.sampled_from(
        ["/bin/sh -c 'true && false'", "/usr/bin/env bash -c 'ls | wc'", "true", 'sudo bash -c "x > y"']
    ),
    "windows": st.sampled_from(['cmd /c "ver & dir"', "cmd.exe /c echo x", "powershell -Command Get-Date"]),
}
ADMIN = {"autoUser": {"scope": "Pool", "elevationLevel": "Admin"}}
SETTINGS = st.dictionaries(
    NAME, st.integers() | st.booleans() | NAME | st.lists(NAME, max_size=2), max_size=3
)


@st.composite
def start_tasks(draw: st.DrawFn, system: str, identities: list[str]) -> dict[str, Any]:
    task: dict[str, Any] = {"commandLine": draw(COMMANDS[system]), "userIdentity": ADMIN}
    if draw(st.booleans()):
        task["waitForSuccess"] = draw(st.booleans())
        task["maxTaskRetryCount"] = draw(st.integers(-1, 9))
    if draw(st.booleans()):
        names = draw(st.lists(NAME, max_size=3, unique=True))
        task["environmentSettings"] = [{"name": name, "value": draw(NAME)} for name in names]
    if draw(st.booleans()):
        task["resourceFiles"] = [
            {"httpUrl": f"https://a.blob.core.windows.net/c/{draw(NAME)}", "filePath": draw(NAME)},
            {"autoStorageContainerName": "container", "blobPrefix": draw(NAME)},
        ]
        if identities:
            task["resourceFiles"][0]["identityReference"] = {"resourceId": draw(st.sampled_from(identities))}
    return task


@st.composite
def networks(draw: st.DrawFn, nodes: int) -> dict[str, Any]:
    subnet = f"{SUBSCRIPTION}/Microsoft.Network/virtualNetworks/v/subnets/{draw(NAME)}"
    network: dict[str, Any] = {"subnetId": subnet}
    kind = draw(st.sampled_from(["none", "BatchManaged", "UserManaged", "NoPublicIPAddresses"]))
    if kind != "none":
        network["publicIPAddressConfiguration"] = {"provision": kind}
    if kind == "UserManaged":
        addresses = [
            f"{SUBSCRIPTION}/Microsoft.Network/publicIPAddresses/ip{index}"
            for index in range(nodes // 100 + 1)
        ]
        network["publicIPAddressConfiguration"]["ipAddressIds"] = addresses
    if draw(st.booleans()):
        network["enableAcceleratedNetworking"] = draw(st.booleans())
    if kind not in ("NoPublicIPAddresses",) and draw(st.booleans()):
        start = draw(st.integers(1000, 40000))
        rule = {
            "access": draw(st.sampled_from(["Allow", "Deny"])),
            "priority": draw(st.integers(150, 3500)),
            "sourceAddressPrefix": draw(
                st.sampled_from(["*", "10.0.0.0/8", "192.168.1.1", "VirtualNetwork"])
            ),
            "sourcePortRanges": draw(st.sampled_from([["*"], ["22"], ["100-200", "7"]])),
        }
        network["endpointConfiguration"] = {
            "inboundNatPools": [
                {
                    "name": draw(NAME),
                    "protocol": draw(st.sampled_from(["TCP", "UDP"])),
                    "backendPort": draw(st.integers(1000, 20000)),
                    "frontendPortRangeStart": start,
                    "frontendPortRangeEnd": start + 1000,
                    "networkSecurityGroupRules": [rule],
                }
            ]
        }
    return network


@st.composite
def machines(draw: st.DrawFn, system: str, identities: list[str]) -> dict[str, Any]:
    reference, agent = draw(st.sampled_from(LINUX if system == "linux" else WINDOWS))
    machine: dict[str, Any] = {"imageReference": dict(reference), "nodeAgentSkuId": agent}
    if "offer" in reference and draw(st.booleans()):
        machine["imageReference"]["version"] = "latest"
    if draw(st.booleans()):
        machine["nodePlacementConfiguration"] = {"policy": draw(st.sampled_from(["Regional", "Zonal"]))}
    if draw(st.booleans()):
        machine["dataDisks"] = [
            {
                "lun": lun,
                "diskSizeGB": draw(st.integers(1, 1000)),
                "managedDisk": {"storageAccountType": "Premium_LRS"},
            }
            for lun in range(draw(st.integers(1, 3)))
        ]
    if draw(st.booleans()):
        machine["osDisk"] = draw(
            st.sampled_from(
                [
                    {"caching": "ReadWrite", "diskSizeGB": 128},
                    {"managedDisk": {"storageAccountType": "StandardSSD_LRS"}},
                ]
            )
        )
    if draw(st.booleans()):
        machine["securityProfile"] = {
            "securityType": "trustedLaunch",
            "uefiSettings": {"secureBootEnabled": True, "vTpmEnabled": True},
        }
    if system == "windows" and draw(st.booleans()):
        machine["windowsConfiguration"] = {"enableAutomaticUpdates": draw(st.booleans())}
        machine["licenseType"] = "Windows_Server"
    if system == "linux" and draw(st.booleans()):
        registry: dict[str, Any] = {"registryServer": "r.azurecr.io"}
        if identities:
            registry["identityReference"] = {"resourceId": draw(st.sampled_from(identities))}
        else:
            registry |= {"username": draw(NAME), "password": draw(NAME)}
        machine["containerConfiguration"] = {
            "type": "DockerCompatible",
            "containerImageNames": [f"r.azurecr.io/{draw(NAME)}:latest"],
            "containerRegistries": [registry],
        }
    if draw(st.booleans()):
        machine["extensions"] = draw(extensions(system, identities))
    return machine


@st.composite
def extensions(draw: st.DrawFn, system: str, identities: list[str]) -> list[dict[str, Any]]:
    title = "Linux" if system == "linux" else "Windows"
    found: list[dict[str, Any]] = [
        {
            "name": "own",
            "publisher": "Contoso.Tools",
            "type": "Agent",
            "typeHandlerVersion": "1.0",
            "autoUpgradeMinorVersion": draw(st.booleans()),
            "settings": draw(SETTINGS),
            "protectedSettings": draw(SETTINGS),
        }
    ]
    if identities:
        secrets: dict[str, Any] = {
            "pollingIntervalInS": "3600",
            "requireInitialSync": draw(st.booleans()),
            "observedCertificates": [f"https://v.vault.azure.net/secrets/{draw(NAME)}"],
            "certificateStoreLocation": "/var/lib/x" if system == "linux" else "LocalMachine",
        }
        if system == "windows":
            secrets["certificateStoreName"] = "MY"
        found.append(
            {
                "name": "vault",
                "publisher": "Microsoft.Azure.KeyVault",
                "type": f"KeyVaultFor{title}",
                "typeHandlerVersion": "2.0" if system == "linux" else "1.0",
                "autoUpgradeMinorVersion": True,
                "settings": {
                    "secretsManagementSettings": secrets,
                    "authenticationSettings": {
                        "msiEndpoint": "http://169.254.169.254/metadata/identity",
                        "msiClientId": "885b1a3d-f13c-4030-afcf-9f05044d78dc",
                    },
                },
                "provisionAfterExtensions": draw(st.sampled_from([[], ["own"]])),
            }
        )
    return found


@st.composite
def valid_documents(draw: st.DrawFn) -> dict[str, Any]:
    system = draw(st.sampled_from(["linux", "windows"]))
    identities = draw(IDENTITY_IDS) if draw(st.booleans()) else []
    scale = draw(SCALE)
    properties: dict[str, Any] = {
        "vmSize": draw(SIZES),
        "deploymentConfiguration": {"virtualMachineConfiguration": draw(machines(system, identities))},
        "scaleSettings": scale,
    }
    if draw(st.booleans()):
        properties["startTask"] = draw(start_tasks(system, identities))
    if draw(st.booleans()):
        nodes = scale.get("fixedScale", {}).get("targetDedicatedNodes", 100)
        properties["networkConfiguration"] = draw(networks(nodes))
    if draw(st.booleans()):
        properties |= {
            "displayName": draw(NAME),
            "interNodeCommunication": "Disabled",
            "taskSlotsPerNode": draw(st.integers(1, 8)),
            "taskSchedulingPolicy": {"nodeFillType": draw(st.sampled_from(["Pack", "Spread"]))},
            "metadata": [
                {"name": name, "value": draw(NAME)} for name in draw(st.lists(NAME, max_size=2, unique=True))
            ],
        }
    if draw(st.booleans()):
        properties["userAccounts"] = [
            {
                "name": "worker",
                "password": "S3cret-of-mine",
                "elevationLevel": draw(st.sampled_from(["Admin", "NonAdmin"])),
            }
        ]
    if system == "linux" and draw(st.booleans()):
        properties["mountConfiguration"] = [
            {"nfsMountConfiguration": {"source": "s.file.core.windows.net:/s/x", "relativeMountPath": "nfs"}},
            {
                "azureFileShareConfiguration": {
                    "accountName": "account",
                    "accountKey": "a2V5",
                    "azureFileUrl": "https://account.file.core.windows.net/share",
                    "relativeMountPath": "share",
                }
            },
        ]
    body: dict[str, Any] = {"name": draw(NAME), "properties": properties}
    if identities:
        body["identity"] = {
            "type": "UserAssigned",
            "userAssignedIdentities": {each: {} for each in identities},
        }
    if draw(st.booleans()):
        body["tags"] = draw(st.dictionaries(NAME, NAME, max_size=2))
    return body


VALID = valid_documents()
