"""Pool documents in the spelling of each plane, and small readers of answers, for the tests."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import requests

from airflow_batchext.emulator.login.tokens import BATCH, MANAGEMENT

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError

    from airflow_batchext.emulator import Emulator


def machine(extensions: list[dict[str, Any]] | None = None, sku: str = "nodeAgentSkuId") -> dict[str, Any]:
    configuration: dict[str, Any] = {
        "imageReference": {"publisher": "canonical", "offer": "ubuntuserver", "sku": "18.04-lts"},
        sku: "batch.node.ubuntu 18.04",
    }
    if extensions is not None:
        configuration["extensions"] = extensions
    return configuration


def extension(name: str = "secretext", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "type": "KeyVaultForLinux",
        "publisher": "Microsoft.Azure.KeyVault",
        "typeHandlerVersion": "1.0",
        "autoUpgradeMinorVersion": True,
        **more,
    }


def management_pool(nodes: int = 1, *extensions: dict[str, Any], **properties: Any) -> dict[str, Any]:
    scale = {"fixedScale": {"targetDedicatedNodes": nodes}}
    document = {
        "properties": {
            "vmSize": "Standard_D2_v2",
            "deploymentConfiguration": {"virtualMachineConfiguration": machine(list(extensions) or None)},
            "scaleSettings": scale,
            **properties,
        }
    }
    return copy.deepcopy(document)


def data_pool(name: str, nodes: int = 1, *extensions: dict[str, Any], **more: Any) -> dict[str, Any]:
    document = {
        "id": name,
        "vmSize": "Standard_D2_v2",
        "virtualMachineConfiguration": machine(list(extensions) or None, "nodeAgentSKUId"),
        "targetDedicatedNodes": nodes,
        **more,
    }
    return copy.deepcopy(document)


def code_of(error: HttpResponseError) -> str | None:
    assert error.error is not None
    return error.error.code


def raw(
    emulator: Emulator, method: str, path: str, version: str | None = "2025-06-01", **options: Any
) -> Any:
    """Send a request to the management plane as it is, with a good token."""
    headers = {"Authorization": f"Bearer {emulator.tokens.issue(MANAGEMENT)}", **options.pop("headers", {})}
    return requests.request(
        method,
        f"{emulator.info.arm_endpoint}{path}",
        params={"api-version": version} if version else {},
        headers=headers,
        verify=emulator.info.ca_bundle,
        timeout=10,
        **options,
    )


def account_path(emulator: Emulator) -> str:
    info = emulator.info
    return (
        f"/subscriptions/{info.subscription_id}/resourceGroups/{info.resource_group}"
        f"/providers/Microsoft.Batch/batchAccounts/{info.account}"
    )


def raw_data(
    emulator: Emulator, method: str, path: str, version: str | None = "2025-06-01", **options: Any
) -> Any:
    """Send a request to the data plane as it is, with a good token."""
    headers = {"Authorization": f"Bearer {emulator.tokens.issue(f'{BATCH}/')}", **options.pop("headers", {})}
    return requests.request(
        method,
        f"{emulator.info.http_endpoint}{path}",
        params={"api-version": version} if version else {},
        headers=headers,
        timeout=10,
        **options,
    )
