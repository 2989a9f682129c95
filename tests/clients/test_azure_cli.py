"""The Azure CLI: with a key on the data plane, and signed in to a cloud of its own on both planes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients import environments
from tests.clients.conftest import eventually, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients.conftest import Info

pytestmark = pytest.mark.clients

Az = Callable[..., Any]
EXTENSION = {
    "name": "secretext",
    "publisher": "Microsoft.Azure.KeyVault",
    "type": "KeyVaultForLinux",
    "typeHandlerVersion": "1.0",
    "settings": {"secretsManagementSettings": {"pollingIntervalInS": "300"}},
}
IMAGE = {"publisher": "canonical", "offer": "ubuntuserver", "sku": "18.04-lts"}


def machine(agent: str) -> dict[str, Any]:
    return {"imageReference": IMAGE, agent: "batch.node.ubuntu 18.04", "extensions": [EXTENSION]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("azure-cli")


def command(service: Info, config: Path, **variables: str) -> Az:
    """``az``, with a folder of its own for what it remembers; returns what it printed, read as JSON."""
    variables |= {
        "AZURE_CONFIG_DIR": str(config),
        "AZURE_CORE_INSTANCE_DISCOVERY": "false",
        "AZURE_CORE_COLLECT_TELEMETRY": "no",
        "AZURE_CORE_ONLY_SHOW_ERRORS": "true",
        "REQUESTS_CA_BUNDLE": service["ca_bundle"],
    }

    def az(*arguments: str) -> Any:
        said = run([*environments.module("cli", "azure.cli"), *arguments, "--output", "json"], **variables)
        return json.loads(said) if said.strip() else None

    return az


@pytest.fixture(scope="module")
def with_key(service: Info, folder: Path) -> Az:
    return command(
        service,
        folder / "with-key",
        AZURE_BATCH_ACCOUNT=service["account"],
        AZURE_BATCH_ACCESS_KEY=service["key"],
        AZURE_BATCH_ENDPOINT=service["http_endpoint"],
    )


@pytest.fixture(scope="module")
def signed_in(service: Info, folder: Path) -> Az:
    az = command(service, folder / "signed-in")
    az("cloud", "register", "-n", "local", "--endpoint-resource-manager", service["arm_endpoint"])
    az("cloud", "set", "-n", "local")
    identity = ("-u", service["client_id"], "-p", service["client_secret"], "--tenant", service["tenant_id"])
    az("login", "--service-principal", *identity)
    return az


def test_a_pool_and_its_nodes_with_a_key(with_key: Az, folder: Path) -> None:
    document = folder / "pool.json"
    pool = {
        "id": "az-key",
        "vmSize": "Standard_D2_v2",
        "virtualMachineConfiguration": machine("nodeAgentSKUId"),
        "targetDedicatedNodes": 1,
    }
    document.write_text(json.dumps(pool))
    with_key("batch", "pool", "create", "--json-file", str(document))
    eventually(
        lambda: with_key("batch", "pool", "show", "--pool-id", "az-key")["allocationState"] == "steady"
    )
    shown = with_key("batch", "pool", "show", "--pool-id", "az-key")
    assert shown["currentDedicatedNodes"] == 1
    extensions = shown["virtualMachineConfiguration"]["extensions"]
    assert [extension["name"] for extension in extensions] == ["secretext"]
    nodes = with_key("batch", "node", "list", "--pool-id", "az-key")
    assert [node["state"] for node in nodes] == ["idle"]
    with_key("batch", "pool", "delete", "--pool-id", "az-key", "--yes")
    eventually(lambda: with_key("batch", "pool", "list") == [])


def test_signed_in_to_a_cloud_of_its_own(signed_in: Az, service: Info, folder: Path) -> None:
    place = ("-g", service["resource_group"], "-n", service["account"])
    account = signed_in("batch", "account", "show", *place)
    assert account["accountEndpoint"] == service["batch_endpoint"].removeprefix("https://")
    assert [item["name"] for item in signed_in("batch", "account", "list")] == [service["account"]]
    assert signed_in("batch", "account", "keys", "list", *place)["primary"] == service["key"]
    assert [item["id"] for item in signed_in("account", "list")] == [service["subscription_id"]]

    document = folder / "arm-pool.json"
    scale = {"fixedScale": {"targetDedicatedNodes": 1}}
    configuration = {"virtualMachineConfiguration": machine("nodeAgentSkuId")}
    properties = {
        "vmSize": "Standard_D2_v2",
        "deploymentConfiguration": configuration,
        "scaleSettings": scale,
    }
    document.write_text(json.dumps({"properties": properties}))
    url = f"{account['id']}/pools/az-arm?api-version=2024-07-01"
    created = signed_in("rest", "--method", "put", "--url", url, "--body", f"@{document}")
    assert created["properties"]["vmSize"] == "STANDARD_D2_V2"
    eventually(
        lambda: (
            signed_in("rest", "--method", "get", "--url", url)["properties"]["allocationState"] == "Steady"
        )
    )

    signed_in("batch", "account", "login", *place)
    node = signed_in("batch", "node", "list", "--pool-id", "az-arm")[0]["id"]
    batch = f"{service['batch_endpoint']}/pools/az-arm/nodes/{node}/extensions?api-version=2024-07-01.20.0"
    resource = ("--resource", "https://batch.core.windows.net/")
    extensions = signed_in("rest", "--method", "get", "--url", batch, *resource)["value"]
    assert sorted(item["vmExtension"]["name"] for item in extensions) == ["batchNodeExtension", "secretext"]
    signed_in("rest", "--method", "delete", "--url", url)


def test_subscription_and_resource_group(signed_in: Az, service: Info) -> None:
    subscription = f"/subscriptions/{service['subscription_id']}"
    version = "api-version=2022-12-01"
    shown = signed_in("rest", "--method", "get", "--url", f"{subscription}?{version}")
    assert shown["subscriptionId"] == service["subscription_id"]
    groups = signed_in("group", "list")
    assert [group["name"] for group in groups] == [service["resource_group"]]
    group = signed_in("group", "show", "-n", service["resource_group"])
    assert group["properties"]["provisioningState"] == "Succeeded"
    assert signed_in("group", "exists", "-n", service["resource_group"]) is True
