"""The SDKs for Node see both planes as the others do. They are left out where there is no npm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients import environments
from tests.clients.test_data_plane import SETTINGS

if TYPE_CHECKING:
    from tests.clients.conftest import Info, Story

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not environments.has_npm(), reason="there is no npm on this machine"),
]


def test_both_planes(tell: Story, service: Info) -> None:
    seen = tell("node", "batch.mjs", NODE_EXTRA_CA_CERTS=service["ca_bundle"])
    assert seen["data"] == {
        "young": ["active", "resizing"],
        "exists": True,
        "steady": [2, True],
        "poolSettings": SETTINGS,
        "nodes": 2,
        "idle": 2,
        "extensions": ["batchNodeExtension", "secretext"],
        "extension": ["ProvisioningState/succeeded", 0],
        "settings": SETTINGS,
        "rebooted": True,
        "refusals": {
            "again": [409, "PoolExists"],
            "pool": [404, "PoolNotFound"],
            "node": [404, "NodeNotFound"],
            "extension": [404, "ResourceNotFound"],
            "key": [403, "AuthenticationFailed"],
        },
    }
    assert seen["management"] == {
        "account": ["batchext", "Succeeded"],
        "key": True,
        "young": ["STANDARD_D2_V2", "Succeeded", "Resizing"],
        "settings": SETTINGS,
        "listed": True,
        "refusals": {"exists": [412, "ConditionNotMet"], "pool": [404, "PoolNotFound"]},
        "gone": [404, "PoolNotFound"],
    }
