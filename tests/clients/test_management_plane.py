"""Every generation of the SDK of the management plane sees the same account and the same life of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.clients.conftest import Story

pytestmark = pytest.mark.clients

GENERATIONS = {19: None, 18: "mgmt18", 17: "mgmt17"}
LIFE: dict[str, Any] = {
    "young": ["STANDARD_D2_V2", "Succeeded", "Resizing", 0],
    "defaults": ["Disabled", 1],
    "weak_etag": True,
    "timeout": "0:15:00",
    "settings": {"secretsManagementSettings": {"pollingIntervalInS": "300", "nested": {"deep": [1, True]}}},
    "protected": None,
    "steady": [2, True],
    "listed": True,
    "replaced": True,
    "refusals": {
        "exists": [412, "ConditionNotMet"],
        "modified": [412, "ConditionNotMet"],
        "immutable": [400, "PropertyCannotBeUpdated"],
        "unknown": [400, "InvalidRequestBody"],
        "name": [400, "InvalidPropertyValue"],
        "pool": [404, "PoolNotFound"],
        "group": [404, "ResourceGroupNotFound"],
        "account": [404, "ResourceNotFound"],
        "subscription": [404, "SubscriptionNotFound"],
        "audience": [401, "InvalidAuthenticationTokenAudience"],
        "secret": "ClientAuthenticationError",
    },
    "gone": [404, "PoolNotFound"],
}
CHANGES: dict[str, Any] = {
    "stopped": True,
    "patched": ["patched", True],
    "kept": "STANDARD_D2_V2",
    "stale": [412, "ConditionNotMet"],
    "errors": ["ResizeStopped"],
    "formula": "$TargetDedicatedNodes=1",
    "results": "$TargetDedicatedNodes=1;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue",
    "by_hand": True,
}
LISTS: dict[str, Any] = {
    "paged": True,
    "filtered": True,
    "selected": ["STANDARD_D2_V2", None],
    "accounts": [["batchext"], ["batchext"]],
    "quota": 3,
    "key": True,
}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("major", GENERATIONS)
def test_the_account_and_the_life_of_a_pool(tell: Story, major: int, mode: str) -> None:
    seen = tell(GENERATIONS[major], "management.py", mode, "life")
    assert seen["major"] == major
    state = ["Succeeded", "Microsoft.Batch/batchAccounts"]
    assert seen["account"] == {"endpoint": True, "state": state, "key": True}
    assert seen["life"] == LIFE


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("major", GENERATIONS)
def test_changes_and_lists(tell: Story, major: int, mode: str) -> None:
    seen = tell(GENERATIONS[major], "management.py", mode, "changes")
    assert seen["changes"] == CHANGES
    assert seen["lists"] == LISTS
