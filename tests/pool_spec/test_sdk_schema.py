"""The members of a pool as the installed SDK has them, and the check that is made with them."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator

import pytest

from airflow_batchext.pool_spec import Schema, Shape, _sdk_schema
from airflow_batchext.pool_spec._request import BOOLEAN_MEMBERS, DURATION_MEMBERS, INTEGER_MEMBERS
from airflow_batchext.pool_spec._sdk_schema import check_pool, pool_schema
from tests.pool_spec.documents import ABSENT, EXTENSION, GOOD, MACHINE, with_change


@pytest.fixture(scope="module")
def schema() -> Schema:
    schema = pool_schema()
    assert schema is not None
    return schema


def test_the_models_of_the_installed_sdk_are_read(schema):
    members = schema.types["VMExtension"]
    assert set(members) >= {"name", "publisher", "type", "typeHandlerVersion", "provisionAfterExtensions"}
    assert members["name"].required
    assert not members["settings"].required
    assert members["settings"].shape.kind == "any"
    assert members["provisionAfterExtensions"].shape == Shape("list", of=Shape("text"))
    properties = schema.types["PoolProperties"]
    assert properties["allocationState"].read_only
    assert not properties["vmSize"].read_only
    assert properties["interNodeCommunication"].shape.values == ("Enabled", "Disabled")
    assert schema.types["FixedScaleSettings"]["resizeTimeout"].shape.kind == "duration"
    identities = schema.types["BatchPoolIdentity"]["userAssignedIdentities"].shape
    assert (identities.kind, identities.of and identities.of.type_name) == ("map", "UserAssignedIdentities")


def test_every_member_that_is_read_is_described(schema):
    kinds = {shape.kind for shape in shapes(schema)}
    assert kinds == {"text", "integer", "boolean", "duration", "object", "list", "map", "any"}
    named = {shape.type_name for shape in shapes(schema)} - {""}
    assert named < set(schema.types)


def shapes(schema: Schema) -> Iterator[Shape]:
    for members in schema.types.values():
        for member in members.values():
            shape = member.shape
            while shape.of is not None:
                yield shape
                shape = shape.of
            yield shape


def paths(schema: Schema, kind: str, type_name: str, path: str = "") -> Iterator[str]:
    """The paths of all members of a kind that can be set."""
    for name, member in schema.types[type_name].items():
        if member.read_only:
            continue
        shape, place = member.shape, f"{path}.{name}" if path else name
        while shape.of is not None:
            shape, place = shape.of, f"{place}.[]"
        if shape.kind == kind:
            yield place
        if shape.type_name:
            yield from paths(schema, kind, shape.type_name, place)


def test_the_request_converts_every_number_and_boolean_that_the_sdk_knows(schema):
    assert sorted(paths(schema, "integer", schema.root)) == sorted(INTEGER_MEMBERS)
    assert sorted(paths(schema, "boolean", schema.root)) == sorted(BOOLEAN_MEMBERS)
    as_text = "properties.upgradePolicy.rollingUpgradePolicy.pauseTimeBetweenBatches"
    assert sorted([*paths(schema, "duration", schema.root), as_text]) == sorted(DURATION_MEMBERS)


def test_a_good_document_has_no_findings():
    assert check_pool(GOOD) == []
    assert check_pool(copy.deepcopy(GOOD), pool_id="other") == []


WRONG: list[tuple[str, object, str, str, str]] = [
    ("properties.vmsize", "x", "error", "properties.vmsize", "It is spelt vmSize"),
    ("properties.vm_size", "x", "error", "properties.vm_size", "It is spelt vmSize"),
    ("properties.metadat", [], "error", "properties.metadat", "Did you mean metadata?"),
    ("properties.extensions", [], "error", "properties.extensions", f"It belongs at {MACHINE}.extensions"),
    ("properties.identity", {}, "error", "properties.identity", "It belongs at the top"),
    ("location", "westeurope", "error", "location", "Take it out"),
    ("properties.certificates", [], "error", "properties.certificates", "Key Vault extension"),
    (f"{EXTENSION}.extra", 1, "error", f"{EXTENSION}.extra", "Take it out"),
    ("properties.allocationState", "Steady", "warning", "properties.allocationState", "Take it out"),
    (
        "properties.interNodeCommunication",
        "Enable",
        "warning",
        "properties.interNodeCommunication",
        "Enabled?",
    ),
    ("properties.interNodeCommunication", True, "error", "properties.interNodeCommunication", "or Disabled"),
    ("properties.taskSlotsPerNode", "four", "error", "properties.taskSlotsPerNode", "whole number"),
    ("properties.metadata", {"a": "b"}, "error", "properties.metadata", '[{"name": "…", "value": "…"}]'),
    ("properties.metadata", [{"name": "a"}], "error", "properties.metadata[0].value", "Give it"),
    ("properties.metadata", [None], "error", "properties.metadata[0]", "Take it out"),
    ("tags", {"a": 1}, "error", "tags.a", "in quotes"),
]


@pytest.mark.parametrize(("changed", "value", "severity", "path", "fix"), WRONG)
def test_a_wrong_member_is_one_finding_at_its_place(changed, value, severity, path, fix):
    (finding,) = check_pool(with_change(changed, value))
    assert (finding.severity, finding.path) == (severity, path)
    assert fix in finding.fix


def test_a_misspelt_required_member_is_told_once():
    document = with_change(
        "properties.vmSize", ABSENT, with_change("properties.vmsize", "STANDARD_NC4AS_T4_V3")
    )
    (finding,) = check_pool(document)
    assert (finding.path, finding.fix) == ("properties.vmsize", "It is spelt vmSize")


def test_a_misplaced_required_member_is_told_once():
    machine = GOOD["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    document = with_change("properties.deploymentConfiguration", ABSENT)
    document["properties"]["virtualMachineConfiguration"] = machine
    (finding,) = check_pool(document)
    assert finding.path == "properties.virtualMachineConfiguration"
    assert finding.fix == f"It belongs at {MACHINE}"


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("properties.interNodeCommunication", "disabled"),
        ("properties.startTask", {"commandLine": "true", "waitForSuccess": "True"}),
        ("properties.taskSlotsPerNode", " 4 "),
        ("properties.displayName", None),
        ("properties.taskSchedulingPolicy", {"nodeFillType": "Pack"}),
        ("systemData", {"createdBy": "somebody"}),
    ],
)
def test_what_the_sdk_knows_gives_no_finding(changed, value):
    assert check_pool(with_change(changed, value)) == []


def test_an_sdk_that_is_built_in_another_way_is_told_of(monkeypatch):
    monkeypatch.setattr(_sdk_schema, "pool_schema", lambda: None)
    (finding,) = check_pool(with_change("properties.nonsense", 1))
    assert (finding.severity, finding.path) == ("warning", "")
    assert "not compared" in finding.problem


def test_no_more_findings_are_told_than_anybody_reads():
    findings = check_pool(with_change("properties.metadata", [{} for _ in range(5000)]))
    assert len(findings) == 101
    assert findings[-1].problem == "there are more than 100 findings"


def test_the_sdk_is_not_imported_before_the_first_check():
    code = (
        "import sys, airflow_batchext.pool_spec._sdk_schema as p\n"
        "print('azure.mgmt.batch' in sys.modules); p.pool_schema(); print('azure.mgmt.batch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]
