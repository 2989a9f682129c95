"""A body goes to the other plane and comes back: what both planes know is the same, the rest is said."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, find, given, settings

from airflow_batchext.pool_spec._planes import (
    as_asked_for,
    data_plane_path,
    is_data_plane,
    to_data_plane,
    to_management_plane,
    without_read_only,
)
from airflow_batchext.pool_spec._sdk_schema import check_pool, data_plane_schema, pool_schema
from tests.examples import examples
from tests.pool_spec.bodies import BODIES, WHOLE_BODIES, read_back
from tests.pool_spec.documents import GOOD, IDENTITY

if TYPE_CHECKING:
    from airflow_batchext.pool_spec._schema import Schema

ARM, DATA = pool_schema(), data_plane_schema()
SLOW = settings(deadline=None, max_examples=examples(150), suppress_health_check=list(HealthCheck))


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
        return {key: found for key, item in value.items() if (found := fold(item)) not in ({}, None)}
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


#: What ARM alone knows, or has in another place: see `to_data_plane`.
MACHINE = "properties.deploymentConfiguration.virtualMachineConfiguration"
ONLY_ARM = {
    "identity",
    "tags",
    "properties.scaleSettings.fixedScale.nodeDeallocationOption",
    f"{MACHINE}.osDisk.managedDisk.securityProfile.diskEncryptionSet",
    f"{MACHINE}.dataDisks.managedDisk.securityProfile.diskEncryptionSet",
}


def members_of(schema: Schema) -> set[str]:
    """The paths of all members that may be set, as the models of the SDK have them; lists have no index."""
    found: set[str] = set()
    waiting = [("", schema.root)]
    for path, type_name in waiting:
        for name, member in schema.types[type_name].items():
            if member.read_only:
                continue
            place = f"{path}.{name}".lstrip(".")
            found.add(place)
            shape = member.shape
            while shape.kind == "list" and shape.of is not None:
                shape = shape.of
            if shape.kind == "object":
                waiting.append((place, shape.type_name))
    return found


def members_in(value: Any, path: str = "") -> set[str]:
    if isinstance(value, list):
        return {place for item in value for place in members_in(item, path)}
    if not isinstance(value, dict):
        return set()
    found = set()
    for name, item in value.items():
        place = f"{path}.{name}".lstrip(".")
        found |= {place} | members_in(item, place)
    return found


def below(paths: set[str], tops: set[str]) -> set[str]:
    return {path for path in paths for top in tops if path == top or path.startswith(f"{top}.")}


def both_scales() -> list[dict[str, Any]]:
    """One whole body with a fixed number of nodes, and one with a formula."""
    # Any will do: it is not made smaller.
    quick = settings(max_examples=50, database=None, derandomize=True, phases=[Phase.generate])
    return [
        find(
            WHOLE_BODIES, lambda body, kind=kind: kind in body["properties"]["scaleSettings"], settings=quick
        )
        for kind in ("fixedScale", "autoScale")
    ]


def test_the_bodies_that_go_round_have_every_member_that_the_sdk_knows():
    bodies = both_scales()
    made = {place for body in bodies for place in members_in(body)}
    assert members_of(ARM) - made == set()
    there = {place for body in bodies for place in members_in(to_data_plane(body, ARM, DATA).body)}
    assert members_of(DATA) - there == set()


def test_each_member_is_known_to_both_planes_or_listed():
    arm, data = members_of(ARM), {path.casefold() for path in members_of(DATA)}
    placed = {path: data_plane_path(path).casefold() for path in arm}
    placed["properties.applicationPackages.id"] = "applicationpackagereferences.applicationid"
    homeless = {path for path, there in placed.items() if there and there not in data}
    assert homeless == below(arm, ONLY_ARM)
    assert data - set(placed.values()) == {"id"}  # the name, which is in ARM's path, not in its body


@given(WHOLE_BODIES)
@SLOW
def test_a_body_with_every_member_comes_back_but_for_what_is_said(body):
    there = to_data_plane(body, ARM, DATA)
    said = {re.sub(r"\[\d+\]", "", path) for path, _ in there.lost}
    empty = set() if body["tags"] else {"tags"}
    assert said == {path for path in ONLY_ARM if path in members_in(body)} - empty
    back = to_management_plane(there.body, ARM, DATA)
    assert back.lost == []
    assert fold(back.body) == fold(without(body, there.lost))
    assert to_data_plane(back.body, ARM, DATA).body == there.body


@given(BODIES)
@SLOW
def test_what_only_azure_sets_is_left_out_and_nothing_else(body):
    answer = {"name": "p", **read_back(body)}
    found = without_read_only(answer, ARM)
    assert without_read_only(found, ARM) == found
    assert [f for f in check_pool(found) if "is said by Azure" in f.problem] == []
    assert without_read_only({"name": "p", **body}, ARM) == {"name": "p", **body}


def test_the_identities_of_an_answer_become_those_of_a_request():
    listed = [{"resourceId": IDENTITY, "clientId": "x", "principalId": "y"}]
    body = {"id": "p", "vmSize": "x", "identity": {"type": "UserAssigned", "userAssignedIdentities": listed}}
    found = to_management_plane(body, ARM, DATA)
    assert found.lost == []
    assert found.body["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}
    body["identity"]["userAssignedIdentities"] = {IDENTITY: {}}
    assert to_management_plane(body, ARM, DATA).body == found.body


def test_numbers_of_nodes_beside_a_formula_are_said_unless_the_service_wrote_them():
    body = {"id": "p", "vmSize": "x", "enableAutoScale": True, "autoScaleFormula": "$a=1;"}
    body |= {"targetDedicatedNodes": 0, "targetLowPriorityNodes": 2}
    assert [path for path, _ in to_management_plane(body, ARM, DATA).lost] == [
        "targetDedicatedNodes",
        "targetLowPriorityNodes",
    ]
    assert to_management_plane(body | {"allocationState": "steady"}, ARM, DATA).lost == []
