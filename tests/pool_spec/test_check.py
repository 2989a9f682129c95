"""What is found wrong with a pool as a whole, and where."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.pool_spec import check_document
from tests.pool_spec.documents import (
    ABSENT,
    ARM_EXAMPLE,
    DOCUMENTS,
    EXTENSION,
    FIXED,
    GOOD,
    MACHINE,
    SENTINEL,
    with_change,
)

# Path to change, what to put there, path of the one finding expected, a word of its problem.
ERRORS: list[tuple[str, object, str, str]] = [
    ("properties", ABSENT, "properties", "missing"),
    ("properties", [], "properties", "a list"),
    ("properties", "vmSize", "properties", "a string"),
    ("name", ABSENT, "name", "no name"),
    ("name", "", "name", "no name for a pool"),
    ("name", "my pool", "name", "'my pool'"),
    ("name", "account/pool", "name", "no name for a pool"),
    ("name", "pool\n", "name", r"'pool\n'"),
    ("name", "a" * 65, "name", "no name for a pool"),
    ("name", 7, "name", "a number"),
    ("type", "Microsoft.Batch/batchAccounts", "type", "not the type"),
    ("type", 3, "type", "not the type"),
    ("vmSize", "STANDARD_D2", "", "data plane"),
    ("targetDedicatedNodes", 2, "", "data plane"),
    ("identity", "UserAssigned", "identity", "a string"),
    ("identity.type", "SystemAssigned", "identity.type", "SystemAssigned"),
    ("identity.type", 3, "identity.type", "a number"),
    ("identity.type", ABSENT, "identity.type", "missing"),
    ("identity.userAssignedIdentities", {}, "identity.userAssignedIdentities", "no identity is named"),
    ("identity.userAssignedIdentities", ABSENT, "identity.userAssignedIdentities", "missing"),
    ("identity.userAssignedIdentities", ["/id"], "identity.userAssignedIdentities", "a list"),
    ("properties.vmSize", ABSENT, "properties.vmSize", "missing"),
    ("properties.vmSize", None, "properties.vmSize", "missing"),
    ("properties.vmSize", " ", "properties.vmSize", "empty"),
    ("properties.vmSize", 4, "properties.vmSize", "a number"),
    ("properties.deploymentConfiguration", ABSENT, "properties.deploymentConfiguration", "missing"),
    ("properties.deploymentConfiguration", {}, MACHINE, "missing"),
    ("properties.deploymentConfiguration", True, "properties.deploymentConfiguration", "a boolean"),
    (MACHINE, [], MACHINE, "a list"),
    (
        "properties.deploymentConfiguration",
        {"cloudServiceConfiguration": {"osFamily": "6"}},
        "properties.deploymentConfiguration.cloudServiceConfiguration",
        "retired",
    ),
    (f"{MACHINE}.imageReference", ABSENT, f"{MACHINE}.imageReference", "missing"),
    (f"{MACHINE}.imageReference", "ubuntu", f"{MACHINE}.imageReference", "a string"),
    (f"{MACHINE}.nodeAgentSkuId", ABSENT, f"{MACHINE}.nodeAgentSkuId", "missing"),
    ("properties.scaleSettings", 3, "properties.scaleSettings", "a number"),
    ("properties.scaleSettings.autoScale", {"formula": "$T=1"}, "properties.scaleSettings", "both"),
    (FIXED, 3, FIXED, "a number"),
    (f"{FIXED}.targetDedicatedNodes", -1, f"{FIXED}.targetDedicatedNodes", "negative"),
    (f"{FIXED}.targetDedicatedNodes", "-1", f"{FIXED}.targetDedicatedNodes", "negative"),
    (f"{FIXED}.targetDedicatedNodes", 1.5, f"{FIXED}.targetDedicatedNodes", "whole number"),
    (f"{FIXED}.targetDedicatedNodes", True, f"{FIXED}.targetDedicatedNodes", "whole number"),
    (f"{FIXED}.targetLowPriorityNodes", "two", f"{FIXED}.targetLowPriorityNodes", "whole number"),
    (f"{FIXED}.resizeTimeout", "PT4M59S", f"{FIXED}.resizeTimeout", "shorter"),
    (f"{FIXED}.resizeTimeout", "15 minutes", f"{FIXED}.resizeTimeout", "ISO 8601"),
    (f"{FIXED}.resizeTimeout", "P", f"{FIXED}.resizeTimeout", "ISO 8601"),
    (f"{FIXED}.resizeTimeout", "PT", f"{FIXED}.resizeTimeout", "ISO 8601"),
    (f"{FIXED}.resizeTimeout", "P0D", f"{FIXED}.resizeTimeout", "shorter"),
    (f"{FIXED}.resizeTimeout", 900, f"{FIXED}.resizeTimeout", "ISO 8601"),
]


@pytest.mark.parametrize(("changed", "value", "path", "word"), ERRORS)
def test_one_mistake_gives_one_error_at_its_place(changed, value, path, word):
    (finding,) = [f for f in check_document(with_change(changed, value)) if f.severity == "error"]
    assert (finding.severity, finding.path) == ("error", path)
    assert word in finding.problem
    assert finding.fix


@pytest.mark.parametrize("document", [None, "text", 3, [], [GOOD], True, 1.5, b"x", {1, 2}, object()])
def test_what_is_no_object_is_told_so(document):
    (finding,) = check_document(document, pool_id="p")
    assert (finding.severity, finding.path) == ("error", "")
    assert "not an object" in finding.problem
    assert str(finding).startswith("error at the document: the document is ")


@pytest.mark.parametrize(
    "document",
    [
        {"id": "pool1", "vmSize": "standard_d2", "virtualMachineConfiguration": {"nodeAgentSKUId": "x"}},
        {"id": "pool1"},
        {"vmSize": "STANDARD_D2"},
        {"virtualMachineConfiguration": {}},
        {"targetDedicatedNodes": 1, "name": "pool1"},
    ],
)
def test_the_data_planes_shape_is_told_once(document):
    (finding,) = check_document(document)
    assert (finding.severity, finding.path) == ("error", "")
    assert "data plane" in finding.problem
    assert "properties" in finding.fix


def test_a_document_read_from_azure_may_keep_its_id():
    assert check_document({**GOOD, "id": "/subscriptions/0/pools/pool1", "etag": 'W/"0x8D"'}) == []


def test_the_name_that_is_asked_for_wins():
    assert check_document(GOOD, pool_id="Other") == []
    assert check_document(with_change("name", "not a name"), pool_id="other") == []
    for pool_id in ("not a name", ""):
        (finding,) = check_document(GOOD, pool_id=pool_id)
        assert (finding.severity, finding.path) == ("error", "name")
        assert repr(pool_id) in finding.problem


def test_errors_come_first():
    document = with_change("properties.vmSize", ABSENT, with_change("identity", ABSENT))
    document["properties"]["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] = -1
    severities = [finding.severity for finding in check_document(document)]
    assert severities == sorted(severities)
    assert severities.count("error") == 2
    assert severities.count("warning") == 2


def test_a_member_in_the_data_planes_spelling_is_recognised():
    document = with_change(f"{MACHINE}.nodeAgentSkuId", ABSENT)
    document = with_change(f"{MACHINE}.nodeAgentSKUId", "batch.node.el 9", document)
    (finding,) = check_document(document)
    assert finding.path == f"{MACHINE}.nodeAgentSkuId"
    assert finding.fix == "It is spelt 'nodeAgentSKUId' here: write nodeAgentSkuId"


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("name", "a" * 64),
        ("name", "-_9"),
        ("type", "microsoft.batch/batchaccounts/POOLS"),
        ("type", ABSENT),
        ("identity.type", "userassigned"),
        ("tags", {"team": "a"}),
        ("properties.scaleSettings", {"autoScale": {"formula": "$TargetDedicatedNodes=1"}}),
        (f"{FIXED}.targetDedicatedNodes", "12"),
        (f"{FIXED}.targetDedicatedNodes", None),
        (f"{FIXED}.resizeTimeout", "PT5M"),
        (f"{FIXED}.resizeTimeout", "PT300S"),
        (f"{FIXED}.resizeTimeout", "PT4M60.5S"),
        (f"{FIXED}.resizeTimeout", "P1DT1H"),
        (f"{FIXED}.resizeTimeout", "P1W"),
    ],
)
def test_what_azure_takes_gives_no_finding(changed, value):
    assert check_document(with_change(changed, value)) == []


def test_a_null_is_not_called_a_misspelling():
    (finding,) = check_document(with_change("properties.vmSize", None))
    assert finding.fix == "Name a size, such as STANDARD_D2S_V5"


def test_azures_own_example_gives_no_error():
    findings = check_document(ARM_EXAMPLE, pool_id="testpool")
    secrets = f"{EXTENSION}.settings.secretsManagementSettings"
    agent = f"{MACHINE}.nodeAgentSkuId"
    assert [(finding.severity, finding.path) for finding in findings] == [
        ("error", agent),  # Azure has retired it since
        ("warning", EXTENSION),
        ("warning", secrets),
    ]
    with_identity = {**ARM_EXAMPLE, "identity": GOOD["identity"]}
    assert [finding.path for finding in check_document(with_identity, pool_id="testpool")] == [
        agent,
        secrets,
    ]


@pytest.mark.parametrize("scale", [ABSENT, None, {}])
def test_a_pool_that_is_to_have_no_nodes_is_a_warning(scale):
    (finding,) = check_document(with_change("properties.scaleSettings", scale))
    assert (finding.severity, finding.path) == ("warning", "properties.scaleSettings")
    assert "no nodes" in finding.problem


def test_a_node_agent_of_an_unknown_name_is_a_warning():
    (finding,) = check_document(with_change(f"{MACHINE}.nodeAgentSkuId", "an agent of one's own"))
    assert (finding.severity, finding.path) == ("warning", f"{MACHINE}.nodeAgentSkuId")


TEMPLATE = "{{ params.nodes }}"


@pytest.mark.parametrize(
    "path",
    [
        "name",
        "type",
        "identity.type",
        "identity.userAssignedIdentities",
        "properties.vmSize",
        "properties.scaleSettings",
        "properties.metadata",
        f"{FIXED}.targetDedicatedNodes",
        f"{FIXED}.resizeTimeout",
        f"{MACHINE}.nodeAgentSkuId",
        f"{EXTENSION}.settings",
        f"{EXTENSION}.protectedSettings",
        f"{EXTENSION}.settings.secretsManagementSettings.observedCertificates",
        f"{EXTENSION}.provisionAfterExtensions",
    ],
)
@pytest.mark.parametrize("template", [TEMPLATE, " {{ a }}{{ b }}\n", "{% if a %}\n1\n{% endif %}"])
def test_a_template_that_nobody_rendered_is_one_error_that_says_so(path, template):
    (finding,) = check_document(with_change(path, template))
    assert (finding.severity, finding.path) == ("error", path)
    assert "unrendered template" in finding.problem
    assert "rendered" in finding.fix


def test_templates_in_lists_and_in_names_are_found_too():
    document = {**GOOD, "tags": {"a": ["x", TEMPLATE], TEMPLATE: "x"}}
    findings = check_document(document)
    assert [finding.path for finding in findings] == [f"tags['{TEMPLATE}']", "tags.a[1]"]
    assert all("unrendered template" in finding.problem for finding in findings)


def test_a_template_inside_a_longer_text_is_a_warning():
    document = with_change("properties.startTask.commandLine", "docker ps --format {{.Names}} -a")
    (finding,) = check_document(document)
    assert (finding.severity, finding.path) == ("warning", "properties.startTask.commandLine")
    assert "unrendered template" in finding.problem


@pytest.mark.parametrize("text", ["{", "}} {{", "{{", "a }}", "%} {%", '{"a": {"b": {}}}', "{0}", "100%"])
def test_what_only_resembles_a_template_is_none(text):
    assert check_document(with_change("properties.metadata", [{"name": "a", "value": text}])) == []


def test_a_pool_id_that_nobody_rendered_is_told_and_the_name_it_replaces_is_not():
    assert check_document(with_change("name", TEMPLATE), pool_id="pool1") == []
    (finding,) = check_document(GOOD, pool_id=TEMPLATE)
    assert (finding.severity, finding.path) == ("error", "name")
    assert "unrendered template" in finding.problem


def test_of_templates_below_a_secret_member_only_the_member_is_named():
    secret = {SENTINEL: [f"a {TEMPLATE}", TEMPLATE], f"{{{{ {SENTINEL} }}}}": 1}
    (finding,) = check_document(with_change(f"{EXTENSION}.protectedSettings", secret))
    assert (finding.severity, finding.path) == ("error", f"{EXTENSION}.protectedSettings")
    assert "unrendered template" in finding.problem
    assert SENTINEL not in repr(finding)


def test_values_without_end_do_not_take_for_ever():
    circle: dict[str, Any] = {}
    circle["all"] = [circle, circle]
    deep: Any = TEMPLATE
    for _ in range(1500):  # more than Python's stack takes
        deep = [deep]
    findings = check_document({**GOOD, "circle": circle, "deep": deep})
    assert [finding.path for finding in findings] == ["deep" + "[0]" * 1500]


@given(DOCUMENTS, st.none() | st.text(max_size=5))
def test_nothing_makes_the_check_raise_or_change_its_input(document, pool_id):
    before = repr(document)
    findings = check_document(document, pool_id=pool_id)
    assert repr(document) == before
    for finding in findings:
        assert len(str(finding).splitlines()) == 1
        assert finding.problem
        assert finding.fix
