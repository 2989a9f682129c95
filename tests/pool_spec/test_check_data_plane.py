"""What is wrong within a body of the data plane is told at its own places, in the data plane's names."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_batchext.pool_spec._check_data_plane import check_data_plane
from airflow_batchext.pool_spec._sdk_schema import check_pool, data_plane_schema, pool_schema
from tests.pool_spec.documents import IDENTITY

GOOD: dict[str, Any] = {
    "id": "p",
    "vmSize": "STANDARD_D2S_V5",
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
        "nodeAgentSKUId": "batch.node.ubuntu 24.04",
    },
    "targetDedicatedNodes": 1,
}
TASK = {"commandLine": "/bin/sh -c true"}


def told(**change: Any) -> dict[str, tuple[str, str]]:
    body = {name: item for name, item in {**GOOD, **change}.items() if item is not None}
    found = check_data_plane(
        body, pool_schema(), data_plane_schema(), lambda other: check_pool(other, pool_id="p")
    )
    return {finding.path: (finding.problem, finding.fix) for finding in found}


def test_a_right_body_has_no_finding():
    assert told() == {}


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        ({"maxTasksPerNode": 2}, "maxTasksPerNode", "Write taskSlotsPerNode"),
        ({"certificateReferences": [{}]}, "certificateReferences", "Key Vault extension"),
        ({"taskSlotPerNode": 2}, "taskSlotPerNode", "Did you mean taskSlotsPerNode?"),
        ({"applicationPackages": []}, "applicationPackages", "applicationPackageReferences"),
        ({"targetNodeCommunicationMode": "simplified"}, "targetNodeCommunicationMode", "Take it out"),
        (
            {"startTask": {**TASK, "resourceFiles": [{"blobSource": "https://x/y", "filePath": "y"}]}},
            "startTask.resourceFiles[0].blobSource",
            "Write httpUrl",
        ),
        ({"startTask": {**TASK, "runElevated": True}}, "startTask.runElevated", "elevationLevel"),
        (
            {"virtualMachineConfiguration": {**GOOD["virtualMachineConfiguration"], "nodeAgentId": "x"}},
            "virtualMachineConfiguration.nodeAgentId",
            "nodeAgentSKUId",
        ),
        ({"autoScaleFormula": "$a=1;"}, "autoScaleFormula", ""),
        ({"enableAutoScale": True, "autoScaleFormula": "$a=1;"}, "targetDedicatedNodes", ""),
        ({"vmSize": "Standard D2s v5"}, "vmSize", "STANDARD_D2S_V5"),
    ],
)
def test_each_mistake_is_told_at_its_place(change, path, said):
    assert said in told(**change)[path][1]


def test_what_the_service_says_of_a_pool_is_no_mistake():
    said = {"url": "https://x/pools/p", "state": "active", "certificateReferences": [], "eTag": "x"}
    assert told(**said, enableAutoScale=True, autoScaleFormula="$TargetDedicatedNodes=1;") == {}


def test_the_identities_of_an_answer_are_the_pools():
    registry = {"registryServer": "r", "identityReference": {"resourceId": IDENTITY}}
    machine = {
        **GOOD["virtualMachineConfiguration"],
        "containerConfiguration": {"type": "dockerCompatible", "containerRegistries": [registry]},
    }
    listed = {"type": "UserAssigned", "userAssignedIdentities": [{"resourceId": IDENTITY}]}
    assert told(virtualMachineConfiguration=machine, identity=listed) == {}
    (problem, _) = next(iter(told(virtualMachineConfiguration=machine).values()))
    assert "does not have the identity" in problem
