"""A body goes to the other plane and comes back: what both planes know is the same, the rest is said."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings

from airflow_batchext.pool_spec._planes import as_asked_for, is_data_plane, to_data_plane, to_management_plane
from airflow_batchext.pool_spec._sdk_schema import check_pool, data_plane_schema, pool_schema
from tests.pool_spec.bodies import BODIES, read_back
from tests.pool_spec.documents import GOOD, IDENTITY

ARM, DATA = pool_schema(), data_plane_schema()
SLOW = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))


def without(body: dict[str, Any], lost: list[tuple[str, str]]) -> dict[str, Any]:
    from tests.pool_spec.documents import steps

    body = copy.deepcopy(body)
    for path, _ in lost:
        *way, last = steps(path)
        node: Any = body
        for step in way:
            node = node[step]
        node.pop(last, None)
    return body


def fold(value: Any) -> Any:
    """A value in which words in another case are the same, and empty objects nothing."""
    if isinstance(value, dict):
        return {key: fold(item) for key, item in value.items() if fold(item) not in ({}, None)}
    if isinstance(value, list):
        return [fold(item) for item in value]
    return value.casefold() if isinstance(value, str) else value


@given(BODIES)
@SLOW
def test_a_body_of_the_management_plane_comes_back(body):
    body = {"name": "p", **body}
    there = to_data_plane(body, ARM, DATA)
    assert is_data_plane(there.body)
    back = to_management_plane(there.body, ARM, DATA)
    assert back.lost == []
    assert fold(back.body) == fold(without(body, there.lost))


@given(BODIES)
@SLOW
def test_a_body_of_the_data_plane_comes_back(body):
    there = to_data_plane({"name": "p", **body}, ARM, DATA).body
    back = to_management_plane(there, ARM, DATA)
    assert to_data_plane(back.body, ARM, DATA).body == there


def test_each_plane_has_its_own_words():
    body = copy.deepcopy(GOOD)
    machine = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine["nodePlacementConfiguration"] = {"policy": "Zonal"}
    there = to_data_plane(body, ARM, DATA)
    assert there.body["id"] == "pool1"
    assert there.body["virtualMachineConfiguration"]["nodeAgentSKUId"] == "batch.node.ubuntu 24.04"
    assert there.body["virtualMachineConfiguration"]["nodePlacementConfiguration"] == {"policy": "zonal"}
    assert [path for path, _ in there.lost] == ["identity"]
    back = to_management_plane(there.body, ARM, DATA).body
    assert check_pool(back | {"identity": body["identity"]}) == []
    assert back["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"] == machine


def test_what_no_plane_takes_is_named():
    body = copy.deepcopy(GOOD)
    body["tags"] = {"a": "b"}
    body["properties"]["scaleSettings"]["fixedScale"]["nodeDeallocationOption"] = "Requeue"
    body["properties"]["madeUp"] = 1
    lost = dict(to_data_plane(body, ARM, DATA).lost)
    assert set(lost) == {
        "identity",
        "tags",
        "properties.scaleSettings.fixedScale.nodeDeallocationOption",
        "properties.madeUp",
    }
    assert [
        path for path, _ in to_management_plane({"id": "p", "vmSize": "x", "odd": 1}, ARM, DATA).lost
    ] == ["odd"]


@given(BODIES)
@SLOW
def test_an_answer_of_the_service_becomes_a_document_without_its_own_values(body):
    found = as_asked_for({"name": "p", **read_back(body)}, ARM).body
    assert found["name"] == "p"
    told = [finding for finding in check_pool(found) if "is said by Azure" in finding.problem]
    assert told == []
    assert "provisioningState" not in found["properties"]
    for user in found["properties"].get("userAccounts", []):
        assert set(user["password"]) == {"$secret"}


def test_identities_lose_what_only_azure_knows_of_them():
    answer = copy.deepcopy(GOOD) | {"etag": 'W/"1"'}
    answer["identity"]["userAssignedIdentities"][IDENTITY] = {"clientId": "x", "principalId": "y"}
    found = as_asked_for(answer, ARM).body
    assert found["identity"]["userAssignedIdentities"] == {IDENTITY: {}}
    assert "etag" not in found
