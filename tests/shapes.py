"""Bodies of the Batch data plane in every shape that is on record, restated for the tests.

recorded: real traffic of 2023; how_to: Microsoft's how-to (settings as text, two names, no
provisioningState); specified: the REST specification's examples (level is a word, no provisioningState).
"""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]

SETTINGS_TEXT = (
    '{\r\n  "secretsManagementSettings": {\r\n    "pollingIntervalInS": "300",\r\n'
    '    "requireInitialSync": true,\r\n    "observedCertificates": [\r\n      "https://kv.vault/secrets/a"\r\n'
    "    ]\r\n  }\r\n}"
)


def recorded(name: str = "secretext", code: str = "ProvisioningState/succeeded", **change: Any) -> Body:
    state = code.partition("/")[2].partition("/")[0].capitalize()
    return {
        "provisioningState": state,
        "instanceView": {
            "name": name,
            "statuses": [
                {
                    "code": code,
                    "level": 0,
                    "displayStatus": f"Provisioning {state.lower()}",
                    "message": "Plugin enabled",
                }
            ],
        },
        "vmExtension": {
            "name": name,
            "publisher": "Microsoft.Azure.KeyVault",
            "type": "KeyVaultForLinux",
            "typeHandlerVersion": "1.0",
            "autoUpgradeMinorVersion": True,
        },
        **change,
    }


def how_to() -> Body:
    return {
        "odata.metadata": "https://acct.westus2.batch.azure.com/$metadata#extensions/@Element",
        "instanceView": {
            "name": "secretext",
            "statuses": [
                {
                    "code": "ProvisioningState/succeeded",
                    "level": 0,
                    "displayStatus": "Provisioning succeeded",
                    "message": "Successfully started Key Vault extension service. 2021-02-08T19:49:39Z",
                }
            ],
        },
        "vmExtension": {
            "name": "KVExtensions",
            "publisher": "Microsoft.Azure.KeyVault",
            "type": "KeyVaultForLinux",
            "typeHandlerVersion": "1.0",
            "autoUpgradeMinorVersion": True,
            "settings": SETTINGS_TEXT,
        },
    }


def fresh(name: str = "secretext", **change: Any) -> Body:
    """What a node lists seconds after it became visible (recorded in 2025)."""
    extension = recorded(name)["vmExtension"] | {"enableAutomaticUpgrade": False}
    return {"provisioningState": "Creating", "instanceView": {}, "vmExtension": extension, **change}


def agent(code: str = "ProvisioningState/succeeded", **change: Any) -> Body:
    """Batch's own extension, as recorded; with "" as fresh as ``fresh``."""
    own = {"publisher": "Microsoft.Azure.Extensions", "type": "CustomScript", "typeHandlerVersion": "2.0"}
    body = recorded("batchNodeExtension", code) if code else fresh("batchNodeExtension")
    return {**body, "vmExtension": body["vmExtension"] | own, **change}


def specified(name: str = "batchNodeExtension") -> Body:
    return {
        "instanceView": {
            "name": name,
            "statuses": [
                {
                    "code": "ProvisioningState/succeeded",
                    "level": "Info",
                    "displayStatus": "Provisioning succeeded",
                    "message": "Enable succeeded: Enabling and starting agent and controller",
                }
            ],
        },
        "vmExtension": {
            "name": name,
            "publisher": "Microsoft.Azure.Extensions",
            "type": "CustomScript",
            "typeHandlerVersion": "2.0",
            "autoUpgradeMinorVersion": True,
        },
    }


def status(code: str | None, message: str = "said so") -> Body:
    return {"code": code, "level": 0, "message": message}


def reporting(*statuses: Body, provisioning: str | None = None, name: str = "e") -> Body:
    body: Body = {"instanceView": {"name": name, "statuses": list(statuses)}, "vmExtension": {"name": name}}
    if provisioning is not None:
        body["provisioningState"] = provisioning
    return body


def pool(**change: Any) -> Body:
    return {
        "id": "p1",
        "state": "active",
        "creationTime": "2026-01-01T00:00:00.0000000Z",
        "allocationState": "steady",
        "allocationStateTransitionTime": "2026-01-01T00:02:05.0000000Z",
        "currentDedicatedNodes": 2,
        "targetDedicatedNodes": 2,
        "currentLowPriorityNodes": 0,
        "targetLowPriorityNodes": 0,
        "virtualMachineConfiguration": {"extensions": [{"name": "secretext"}]},
        **change,
    }


def node(name: str = "n1", state: str = "idle", boot: str | None = "b1", **change: Any) -> Body:
    body: Body = {"id": name, "state": state, "stateTransitionTime": "t1", **change}
    if boot is not None:
        body["lastBootTime"] = boot
    return body
