"""Pool documents for the tests: good ones, changed ones, and any that Hypothesis thinks of."""

from __future__ import annotations

import copy
from datetime import date
from typing import Any

from hypothesis import strategies as st

from airflow_batchext.pool_spec._sdk_schema import check_pool

SENTINEL = "s3nt1nel-Zx9"
MACHINE = "properties.deploymentConfiguration.virtualMachineConfiguration"
EXTENSION = f"{MACHINE}.extensions[0]"
FIXED = "properties.scaleSettings.fixedScale"
ABSENT = object()
TODAY = date(2026, 6, 1)

SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
IDENTITY = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/"
    "Microsoft.ManagedIdentity/userAssignedIdentities/i"
)

GOOD: dict[str, Any] = {
    "name": "pool1",
    "type": "Microsoft.Batch/batchAccounts/pools",
    "identity": {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
    "properties": {
        "vmSize": "STANDARD_NC4AS_T4_V3",
        "deploymentConfiguration": {
            "virtualMachineConfiguration": {
                "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
                "nodeAgentSkuId": "batch.node.ubuntu 24.04",
                "extensions": [
                    {
                        "name": "vault",
                        "publisher": "Microsoft.Azure.KeyVault",
                        "type": "KeyVaultForLinux",
                        "typeHandlerVersion": "3.0",
                        "autoUpgradeMinorVersion": True,
                        "settings": {
                            "secretsManagementSettings": {
                                "pollingIntervalInS": "300",
                                "requireInitialSync": True,
                                "observedCertificates": ["https://v.vault.azure.net/secrets/c"],
                            },
                            "authenticationSettings": {"msiClientId": "00000000-0000-0000-0000-000000000001"},
                        },
                        "protectedSettings": {},
                    },
                    {
                        "name": "monitor",
                        "publisher": "Microsoft.Azure.Monitor",
                        "type": "AzureMonitorLinuxAgent",
                        "settings": {
                            "authentication": {
                                "managedIdentity": {
                                    "identifier-name": "mi_res_id",
                                    "identifier-value": IDENTITY,
                                }
                            }
                        },
                        "provisionAfterExtensions": ["vault"],
                    },
                    {
                        "name": "gpu",
                        "publisher": "Microsoft.HpcCompute",
                        "type": "NvidiaGpuDriverLinux",
                        "provisionAfterExtensions": ["monitor", "VAULT"],
                    },
                ],
            }
        },
        "scaleSettings": {
            "fixedScale": {
                "targetDedicatedNodes": 1,
                "targetLowPriorityNodes": 0,
                "resizeTimeout": "PT15M",
            }
        },
    },
}

# "PoolCreate_VirtualMachineConfiguration_Extensions" of Azure's REST examples, 2025-06-01.
ARM_EXAMPLE: dict[str, Any] = {
    "properties": {
        "deploymentConfiguration": {
            "virtualMachineConfiguration": {
                "imageReference": {
                    "offer": "0001-com-ubuntu-server-focal",
                    "publisher": "Canonical",
                    "sku": "20_04-lts",
                },
                "nodeAgentSkuId": "batch.node.ubuntu 20.04",
                "extensions": [
                    {
                        "name": "batchextension1",
                        "type": "KeyVaultForLinux",
                        "autoUpgradeMinorVersion": True,
                        "enableAutomaticUpgrade": True,
                        "publisher": "Microsoft.Azure.KeyVault",
                        "settings": {
                            "authenticationSettingsKey": "authenticationSettingsValue",
                            "secretsManagementSettingsKey": "secretsManagementSettingsValue",
                        },
                        "typeHandlerVersion": "2.0",
                    }
                ],
            }
        },
        "scaleSettings": {"autoScale": {"evaluationInterval": "PT5M", "formula": "$TargetDedicatedNodes=1"}},
        "vmSize": "STANDARD_D4",
    }
}


def steps(path: str) -> list[str | int]:
    flat = path.replace("[", ".[").split(".")
    return [int(step[1:-1]) if step.startswith("[") else step for step in flat]


def with_change(path: str, value: object, base: object = GOOD) -> Any:
    """A copy of a document with one value put in, or taken out, at a path."""
    document = copy.deepcopy(base)
    *way, last = steps(path)
    node: Any = document
    for step in way:
        node = node[step] if isinstance(step, int) else node.setdefault(step, {})
    if value is ABSENT:
        del node[last]
    else:
        node[last] = value
    return document


SECRET_PLACES = [
    f"{EXTENSION}.protectedSettings",
    f"{EXTENSION}.protectedSettings.deep.deeper",
    f"{EXTENSION}.protected_settings",
    f"{EXTENSION}.PROTECTEDSETTINGS",
    f"{EXTENSION}.protectedSetting",
    f"{EXTENSION}.protectdSettings.key",
    f"{EXTENSION}.settings.storageAccountKey",
    "properties.userAccounts.password",
    "properties.userAccounts.linuxUserConfiguration.sshPrivateKey",
    f"{MACHINE}.containerConfiguration.containerRegistries.password",
    "properties.mountConfiguration.azureBlobFileSystemConfiguration.accountKey",
    "properties.mountConfiguration.azureBlobFileSystemConfiguration.sasKey",
    "properties.mountConfiguration.azureFileShareConfiguration.account_key",
    "properties.mountConfiguration.cifsMountConfiguration.Password",
]

KEYS = st.sampled_from(
    sorted(
        {step for path in SECRET_PLACES for step in path.replace("[0]", "").split(".")}
        | {"name", "type", "id", "identity", "scaleSettings", "fixedScale", "provisionAfterExtensions", "a b"}
    )
) | st.text(max_size=6)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["{{ x }}", "a {% b %}"])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def paths_of(node: object, path: str = "") -> list[str]:
    """The path of everything in a document (no key in GOOD's identities is a path of ours)."""
    if isinstance(node, dict):
        below = [(f"{path}.{key}" if path else key, item) for key, item in node.items() if "/" not in key]
    else:
        below = [(f"{path}[{i}]", item) for i, item in enumerate(node)] if isinstance(node, list) else []
    return [p for p, _ in below] + [p for where, item in below for p in paths_of(item, where)]


DOCUMENTS = ANYTHING | st.builds(with_change, st.sampled_from(paths_of(GOOD)), ANYTHING)


def value_at(document: Any, path: str) -> Any:
    """What stands at a path."""
    for step in steps(path):
        document = document[step]
    return document


def told(document: Any, severity: str | None = None) -> list[str]:
    """The places of what the whole check tells."""
    found = check_pool(document, today=TODAY)
    return [finding.path for finding in found if severity is None or finding.severity == severity]


def changed(path: str, value: Any) -> list[str]:
    """The same of the good document with a value at a path."""
    return told(with_change(path, value))
