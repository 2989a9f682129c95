"""A pool asked for again by the document that made it is the same: nothing is updated, nothing replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.pool_spec import find_differences, parse_pools, request_body
from tests.conftest import document

ROOT = Path(__file__).parents[2]
CASES = Path(os.environ.get("BATCHEXT_DOCUMENTS", ROOT.parent / "shared" / "cases" / "documents"))
FILES = [
    path
    for folder in (ROOT / "dags" / "pools", CASES)
    for path in sorted(folder.glob("*"))
    if path.suffix in (".json", ".yaml")
]
MACHINE = ("deploymentConfiguration", "virtualMachineConfiguration")
HEALTH = {"name": "health", "publisher": "Microsoft.ManagedServices", "type": "ApplicationHealthLinux"}
NAT = {
    "name": "a",
    "protocol": "TCP",
    "backendPort": 80,
    "frontendPortRangeStart": 1,
    "frontendPortRangeEnd": 99,
}
RULE = {"priority": 150, "access": "Allow", "sourceAddressPrefix": "*"}


def made(azure, body):
    with AzureBatchPoolHook() as hook:
        hook.create_pool(azure.pool_id, body)
        return hook.get_pool(azure.pool_id)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_of_every_document_that_azure_takes(azure, path):
    text = path.read_text("utf-8").replace("{{ params.nodes | default(1) }}", "1")
    try:
        body = request_body(parse_pools(text, source=path.name)[0].body)
        existing = made(azure, body)
    except (BatchextError, ValueError, LookupError, TypeError):
        pytest.skip("this one is not taken")
    assert [str(found) for found in find_differences(existing, body) if found.counts] == []


def in_network(**members):
    return lambda properties: properties.setdefault("networkConfiguration", {}).update(members)


def in_machine(**members):
    def change(properties):
        properties[MACHINE[0]][MACHINE[1]].update(members)

    return change


def in_rule(rule):
    return in_network(
        endpointConfiguration={"inboundNatPools": [{**NAT, "networkSecurityGroupRules": [rule]}]}
    )


SAME = {
    "the network's defaults": (
        lambda properties: None,
        in_network(
            publicIPAddressConfiguration={"provision": "BatchManaged"},
            dynamicVnetAssignmentScope="none",
            enableAcceleratedNetworking=False,
        ),
    ),
    "the placement": (
        lambda properties: None,
        in_machine(nodePlacementConfiguration={"policy": "Regional"}),
    ),
    "no settings": (
        in_machine(extensions=[HEALTH]),
        in_machine(extensions=[{**HEALTH, "settings": {}}]),
    ),
    "settings as an empty text": (
        in_machine(extensions=[HEALTH]),
        in_machine(extensions=[{**HEALTH, "settings": "{}"}]),
    ),
    "source ports": (in_rule(RULE), in_rule({**RULE, "sourcePortRanges": ["*"]})),
    "the order of jobs": (
        lambda properties: None,
        lambda properties: properties.update(taskSchedulingPolicy={"jobDefaultOrder": "None"}),
    ),
    "automatic updates": (
        in_machine(windowsConfiguration={}),
        in_machine(windowsConfiguration={"enableAutomaticUpdates": True}),
    ),
}


@pytest.mark.parametrize("which", SAME)
@pytest.mark.parametrize("turned", [False, True], ids=["spelt out later", "spelt out at first"])
def test_the_services_own_defaults_spelt_out_or_not_are_no_difference(azure, which, turned):
    first, second = document(1), document(1)
    for body, change in zip((first, second), SAME[which][:: -1 if turned else 1], strict=True):
        change(body["properties"])
    existing = made(azure, first)
    assert [str(found) for found in find_differences(existing, second)] == []


@pytest.mark.parametrize(
    "change",
    [
        in_network(dynamicVnetAssignmentScope="job"),
        in_network(enableAcceleratedNetworking=True),
        in_network(publicIPAddressConfiguration={"provision": "NoPublicIPAddresses"}),
        in_machine(nodePlacementConfiguration={"policy": "Zonal"}),
        in_machine(extensions=[{**HEALTH, "settings": {"port": 80}}]),
    ],
)
def test_another_value_is_one(azure, change):
    first, second = document(1), document(1)
    if "settings" in str(change.__closure__[0].cell_contents):
        in_machine(extensions=[HEALTH])(first["properties"])
    change(second["properties"])
    existing = made(azure, first)
    assert len(find_differences(existing, second)) == 1
