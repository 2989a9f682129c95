"""Every generation of the SDK of the data plane sees the same life of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.clients.conftest import Story

pytestmark = pytest.mark.clients

CLIENTS = [
    pytest.param(None, "batch15.py", ["sync", "key", "life"], id="azure-batch 15, sync, key"),
    pytest.param(None, "batch15.py", ["async", "key", "life"], id="azure-batch 15, async, key"),
    pytest.param(None, "batch15.py", ["sync", "token", "life"], id="azure-batch 15, sync, token"),
    pytest.param(None, "batch15.py", ["async", "token", "life"], id="azure-batch 15, async, token"),
    pytest.param("batch14", "batch14.py", ["life"], id="azure-batch 14, key"),
]
SETTINGS = {"secretsManagementSettings": {"pollingIntervalInS": "300", "nested": {"deep": [1, True]}}}
LIFE: dict[str, Any] = {
    "exists": True,
    "young": ["active", "resizing", 0],
    "young_nodes": 0,
    "steady": [2, 2, "standard_d2_v2"],
    "same_etag": True,
    "pool_settings": SETTINGS,
    "pool_protected": False,
    "listed": True,
    "sorted": True,
    "paged": True,
    "filtered": [2, 0],
    "selected": ["id", "state"],
    "node": [True, "enabled", "standard_d2_v2"],
    "extensions": ["batchNodeExtension", "secretext"],
    "extension": ["Succeeded", "ProvisioningState/succeeded"],
    "settings": SETTINGS,
    "protected": False,
    "rebooted": True,
    "refusals": {
        "again": [409, "PoolExists"],
        "pool": [404, "PoolNotFound"],
        "node": [404, "NodeNotFound"],
        "extension": [404, "ResourceNotFound"],
        "filter": [400, "InvalidQueryParameterValue"],
        "key": [403, "AuthenticationFailed"],
    },
}
TROUBLES = {
    "codes": ["ProvisioningState/failed/7", "ProvisioningState/succeeded", "ProvisioningState/transitioning"],
    "quota": [1, 3],
    "resize_errors": [["AccountCoreQuotaReached", "The specified account has reached core quota"]],
}

WORKERS = [
    pytest.param(None, "batch15.py", ["sync", "key", "work"], id="azure-batch 15, sync"),
    pytest.param(None, "batch15.py", ["async", "key", "work"], id="azure-batch 15, async"),
    pytest.param("batch14", "batch14.py", ["work"], id="azure-batch 14"),
]
OPERATIONS: dict[str, Any] = {
    "while_resizing": [409, "PoolBeingResized"],
    "patched": [[{"name": "what", "value": "patched"}], True],
    "replaced": [],
    "spared": ["offline", "disabled"],
    "taken_back": "enabled",
    "taken_back_again": [409, "NodeAlreadyInTargetSchedulingState"],
    "reimage": [None, None],
    "login": ["remoteLoginIPAddress", "remoteLoginPort"],
    "logs": ["numberOfFilesUploaded", "virtualDirectoryName"],
    "stopped": ["ResizeStopped"],
    "counts": [2, 2],
    "scaled": [True, 2],
    "evaluated": "$TargetDedicatedNodes=7;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue",
    "by_hand": False,
    "images": True,
}
WORK: dict[str, Any] = {
    "added": ["success"] * 5,
    "done": [0, "success"],
    "succeeded": 5,
    "failed": [3, "failure", "FailureExitCode"],
    "jobs": [True, True],
    "refusals": {
        "job": [409, "JobExists"],
        "task": [404, "TaskNotFound"],
        "no job": [404, "JobNotFound"],
    },
    "ended": "completed",
}


@pytest.mark.parametrize(("environment", "script", "arguments"), CLIENTS)
def test_the_life_of_a_pool(tell: Story, environment: str | None, script: str, arguments: list[str]) -> None:
    seen = tell(environment, script, *arguments)
    assert seen["life"] == LIFE
    assert seen["troubles"] == TROUBLES


@pytest.mark.parametrize(("environment", "script", "arguments"), WORKERS)
def test_operations_and_work(tell: Story, environment: str | None, script: str, arguments: list[str]) -> None:
    seen = tell(environment, script, *arguments)
    assert seen["operations"] == OPERATIONS
    assert seen["work"] == WORK
