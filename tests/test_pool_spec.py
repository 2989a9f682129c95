"""Pool documents: what is read, what is found wrong and where, what is sent, and that no secret shows."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.pool_spec import (
    SECRET_MEMBERS,
    DocumentSyntaxError,
    Finding,
    check_document,
    expected_extensions,
    find_secrets,
    is_secret_member,
    parse_document,
    request_body,
    without_secrets,
)

SHIPPED = Path(__file__).parent.parent / "dags" / "pools"
SENTINEL = "s3nt1nel-Zx9"
MACHINE = "properties.deploymentConfiguration.virtualMachineConfiguration"
EXTENSION = f"{MACHINE}.extensions[0]"
FIXED = "properties.scaleSettings.fixedScale"
ABSENT = object()

GOOD: dict[str, Any] = {
    "name": "pool1",
    "type": "Microsoft.Batch/batchAccounts/pools",
    "identity": {"type": "UserAssigned", "userAssignedIdentities": {"/subscriptions/0/id": {}}},
    "properties": {
        "vmSize": "STANDARD_D2S_V5",
        "deploymentConfiguration": {
            "virtualMachineConfiguration": {
                "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
                "nodeAgentSkuId": "batch.node.ubuntu 24.04",
                "extensions": [
                    {
                        "name": "vault",
                        "publisher": "Microsoft.Azure.KeyVault",
                        "type": "KeyVaultForLinux",
                        "typeHandlerVersion": "3.0",
                        "autoUpgradeMinorVersion": True,
                        "settings": {"secretsManagementSettings": {"requireInitialSync": True}},
                        "protectedSettings": {},
                    },
                    {
                        "name": "monitor",
                        "publisher": "Microsoft.Azure.Monitor",
                        "type": "AzureMonitorLinuxAgent",
                        "provisionAfterExtensions": ["vault"],
                    },
                    {
                        "name": "gpu",
                        "publisher": "Microsoft.HpcCompute",
                        "type": "NvidiaGpuDriverLinux",
                        "provisionAfterExtensions": ["monitor", "VAULT"],
                    },
                ],
            }
        },
        "scaleSettings": {
            "fixedScale": {
                "targetDedicatedNodes": 1,
                "targetLowPriorityNodes": 0,
                "resizeTimeout": "PT15M",
            }
        },
    },
}

# "PoolCreate_VirtualMachineConfiguration_Extensions" of Azure's REST examples, 2025-06-01.
ARM_EXAMPLE: dict[str, Any] = {
    "properties": {
        "deploymentConfiguration": {
            "virtualMachineConfiguration": {
                "imageReference": {
                    "offer": "0001-com-ubuntu-server-focal",
                    "publisher": "Canonical",
                    "sku": "20_04-lts",
                },
                "nodeAgentSkuId": "batch.node.ubuntu 20.04",
                "extensions": [
                    {
                        "name": "batchextension1",
                        "type": "KeyVaultForLinux",
                        "autoUpgradeMinorVersion": True,
                        "enableAutomaticUpgrade": True,
                        "publisher": "Microsoft.Azure.KeyVault",
                        "settings": {
                            "authenticationSettingsKey": "authenticationSettingsValue",
                            "secretsManagementSettingsKey": "secretsManagementSettingsValue",
                        },
                        "typeHandlerVersion": "2.0",
                    }
                ],
            }
        },
        "scaleSettings": {"autoScale": {"evaluationInterval": "PT5M", "formula": "$TargetDedicatedNodes=1"}},
        "vmSize": "STANDARD_D4",
    }
}


def steps(path: str) -> list[str | int]:
    flat = path.replace("[", ".[").split(".")
    return [int(step[1:-1]) if step.startswith("[") else step for step in flat]


def with_change(path: str, value: object, base: object = GOOD) -> Any:
    """Return a copy of a document with one value put in, or taken out, at a path."""
    document = copy.deepcopy(base)
    *way, last = steps(path)
    node: Any = document
    for step in way:
        node = node[step] if isinstance(step, int) else node.setdefault(step, {})
    if value is ABSENT:
        del node[last]
    else:
        node[last] = value
    return document


def found(document: object, **kwargs: Any) -> list[tuple[str, str]]:
    return [(finding.severity, finding.path) for finding in check_document(document, **kwargs)]


# --- What is wrong ----------------------------------------------------------------------------------

WITHOUT_IDENTITY = with_change("identity", ABSENT)

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
    ("identity.type", ABSENT, "identity.type", "missing"),
    ("identity.userAssignedIdentities", {}, "identity.userAssignedIdentities", "no identity is named"),
    ("identity.userAssignedIdentities", ABSENT, "identity.userAssignedIdentities", "missing"),
    ("identity.userAssignedIdentities", ["/id"], "identity.userAssignedIdentities", "a list"),
    ("properties.vmSize", ABSENT, "properties.vmSize", "missing"),
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
    (f"{MACHINE}.extensions", {"name": "vault"}, f"{MACHINE}.extensions", "an object"),
    (f"{EXTENSION}", "KeyVaultForLinux", EXTENSION, "a string"),
    (f"{MACHINE}.extensions[2].name", ABSENT, f"{MACHINE}.extensions[2].name", "missing"),
    (f"{MACHINE}.extensions[2].name", "", f"{MACHINE}.extensions[2].name", "empty"),
    (f"{MACHINE}.extensions[2].name", "Monitor", f"{MACHINE}.extensions[2].name", "taken by extensions[1]"),
    (f"{MACHINE}.extensions[2].name", "BatchNodeExtension", f"{MACHINE}.extensions[2].name", "itself"),
    (f"{EXTENSION}.publisher", ABSENT, f"{EXTENSION}.publisher", "missing"),
    (f"{EXTENSION}.publisher", 1, f"{EXTENSION}.publisher", "a number"),
    (f"{EXTENSION}.type", ABSENT, f"{EXTENSION}.type", "missing"),
    (f"{EXTENSION}.type", "CustomScript", f"{EXTENSION}.type", "reserved"),
    (f"{EXTENSION}.type", "customscript", f"{EXTENSION}.type", "reserved"),
    (f"{EXTENSION}.type", "CustomScriptExtension", f"{EXTENSION}.type", "reserved"),
    (f"{EXTENSION}.settings", '{"a": 1}', f"{EXTENSION}.settings", "a string"),
    (f"{EXTENSION}.settings", [1], f"{EXTENSION}.settings", "a list"),
    (f"{EXTENSION}.protectedSettings", '{"a": 1}', f"{EXTENSION}.protectedSettings", "a string"),
    (f"{EXTENSION}.protectedSettings", ["a"], f"{EXTENSION}.protectedSettings", "a list"),
    (f"{EXTENSION}.protectedSettingsFromKeyVault", {}, f"{EXTENSION}.protectedSettings", "both"),
    (f"{EXTENSION}.typeHandlerVersion", 1.0, f"{EXTENSION}.typeHandlerVersion", "a number"),
    (f"{EXTENSION}.protectedSetting", {}, f"{EXTENSION}.protectedSetting", "no member"),
    (f"{EXTENSION}.enabled automatic", 1, f"{EXTENSION}['enabled automatic']", "no member"),
    (
        f"{EXTENSION}.provisionAfterExtensions",
        "monitor",
        f"{EXTENSION}.provisionAfterExtensions",
        "a string",
    ),
    (f"{EXTENSION}.provisionAfterExtensions", [2], f"{EXTENSION}.provisionAfterExtensions[0]", "a number"),
    (
        f"{EXTENSION}.provisionAfterExtensions",
        ["nobody"],
        f"{EXTENSION}.provisionAfterExtensions[0]",
        "'nobody'",
    ),
    (
        f"{EXTENSION}.provisionAfterExtensions",
        ["Vault"],
        f"{EXTENSION}.provisionAfterExtensions[0]",
        "waits for itself",
    ),
    (
        f"{EXTENSION}.provisionAfterExtensions",
        ["gpu"],
        f"{EXTENSION}.provisionAfterExtensions",
        "circle: 'vault' after 'gpu' after",
    ),
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
    (f"{FIXED}.resizeTimeout", 900, f"{FIXED}.resizeTimeout", "ISO 8601"),
]

WARNINGS: list[tuple[str, object, str, str]] = [
    (f"{EXTENSION}.type", "KeyVaultForLinx", f"{EXTENSION}.type", "does not list"),
    (f"{EXTENSION}.publisher", "Example.Publisher", f"{EXTENSION}.type", "Example.Publisher"),
    (f"{EXTENSION}.type", "KeyVaultForWindows", f"{EXTENSION}.type", "for Windows, the nodes run Linux"),
    (
        f"{MACHINE}.extensions[2].type",
        "NvidiaGpuDriverWindows",
        f"{MACHINE}.extensions[2].type",
        "for Windows",
    ),
]


@pytest.mark.parametrize(("changed", "value", "path", "word"), ERRORS)
def test_one_mistake_gives_one_error_at_its_place(changed, value, path, word):
    document = with_change(changed, value)
    errors = [finding for finding in check_document(document) if finding.severity == "error"]
    if changed == EXTENSION or (changed.endswith("extensions[2].name") and word != "itself"):
        errors = errors[:1]  # what waited for this extension is told too
    assert [finding.path for finding in errors] == [path]
    assert word in errors[0].problem
    assert errors[0].mend


@pytest.mark.parametrize(("changed", "value", "path", "word"), WARNINGS)
def test_one_doubt_gives_one_warning_at_its_place(changed, value, path, word):
    (finding,) = check_document(with_change(changed, value))
    assert (finding.severity, finding.path) == ("warning", path)
    assert word in finding.problem


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
    assert "properties" in finding.mend


def test_a_document_read_from_azure_may_keep_its_id():
    assert check_document({**GOOD, "id": "/subscriptions/0/pools/pool1", "etag": 'W/"0x8D"'}) == []


def test_the_name_that_is_asked_for_wins():
    assert check_document(GOOD, pool_id="Other") == []
    assert check_document(with_change("name", "not a name"), pool_id="other") == []
    assert found(GOOD, pool_id="not a name") == [("error", "name")]
    assert found(GOOD, pool_id="") == [("error", "name")]


@pytest.mark.parametrize("system", ["KeyVaultForLinux", "KeyVaultForWindows"])
@pytest.mark.parametrize("identity", [ABSENT, None, {"type": "None"}])
def test_a_key_vault_extension_without_an_identity_is_a_warning(system, identity):
    document = with_change("identity", identity)
    machine = document["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine["extensions"] = [{"name": "v", "publisher": "Microsoft.Azure.KeyVault", "type": system}]
    if system == "KeyVaultForWindows":
        machine["nodeAgentSkuId"] = "batch.node.windows amd64"
    (finding,) = check_document(document)
    assert (finding.severity, finding.path) == ("warning", EXTENSION)
    assert "identity" in finding.problem
    assert finding.link.endswith("managed-identity-pools")


def test_linux_extensions_on_windows_nodes_are_warnings_that_name_the_right_one():
    findings = check_document(with_change(f"{MACHINE}.nodeAgentSkuId", "batch.node.windows amd64"))
    assert [finding.severity for finding in findings] == ["warning"] * 3
    assert findings[0].mend == "Use Microsoft.Azure.KeyVault/KeyVaultForWindows"


def test_errors_come_first():
    document = with_change("properties.vmSize", ABSENT, WITHOUT_IDENTITY)
    document["properties"]["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] = -1
    severities = [finding.severity for finding in check_document(document)]
    assert severities == sorted(severities)
    assert severities.count("error") == 2
    assert severities.count("warning") == 2


@pytest.mark.parametrize(
    ("key", "mend"),
    [
        ("protectedSetting", "Did you mean protectedSettings?"),
        ("type_handler_version", "Did you mean typeHandlerVersion?"),
        ("Settings", "Did you mean settings?"),
        ("tags", "Take it out: Azure refuses unknown members"),
    ],
)
def test_a_misspelt_member_gets_a_suggestion(key, mend):
    (finding,) = check_document(with_change(f"{EXTENSION}.{key}", {}))
    assert finding.mend == mend


def test_a_member_in_the_data_planes_spelling_is_recognised():
    document = with_change(f"{MACHINE}.nodeAgentSkuId", ABSENT)
    document = with_change(f"{MACHINE}.nodeAgentSKUId", "batch.node.el 9", document)
    (finding,) = check_document(document)
    assert finding.path == f"{MACHINE}.nodeAgentSkuId"
    assert finding.mend == "It is spelt 'nodeAgentSKUId' here: write nodeAgentSkuId"


def test_a_near_miss_of_a_listed_extension_gets_a_suggestion():
    (finding,) = check_document(with_change(f"{EXTENSION}.type", "KeyVaultLinux"))
    assert finding.mend.startswith("Did you mean Microsoft.Azure.KeyVault/KeyVaultForLinux? ")
    (finding,) = check_document(with_change(f"{EXTENSION}.type", "Nothing"))
    assert finding.mend == "Others must be enabled by a support request"


def extensions_waiting(**after: list[str]) -> dict[str, Any]:
    template = {"publisher": "Microsoft.Powershell", "type": "DSC"}
    entries = [{**template, "name": name, "provisionAfterExtensions": names} for name, names in after.items()]
    document = with_change(f"{MACHINE}.extensions", entries)
    return with_change(f"{MACHINE}.nodeAgentSkuId", "batch.node.windows amd64", document)


def test_each_circle_is_named_in_order_from_its_first_member():
    document = extensions_waiting(a=["c"], b=["a"], c=["b"], d=["e"], e=["d"], f=["a"])
    first, second = check_document(document)
    assert first.path == f"{EXTENSION}.provisionAfterExtensions"
    assert first.problem.endswith("circle: 'a' after 'c' after 'b' after 'a'")
    assert second.problem.endswith("circle: 'd' after 'e' after 'd'")


def test_waiting_without_a_circle_is_fine():
    assert check_document(extensions_waiting(a=[], b=["a"], c=["a", "b"], d=["c", "b"])) == []


def test_many_circles_do_not_take_for_ever():
    names = [f"e{index}" for index in range(2000)]
    pairs = {name: [names[index ^ 1]] for index, name in enumerate(names)}
    assert len(check_document(extensions_waiting(**pairs))) == 10


def test_a_finding_is_one_line():
    finding = Finding("error", "a.b", "it is wrong", "Mend it", "https://learn.microsoft.com/x")
    assert str(finding) == "error at a.b: it is wrong. Mend it. See https://learn.microsoft.com/x"
    assert (
        str(Finding("warning", "", "odd", "Did you mean c?"))
        == "warning at the document: odd. Did you mean c?"
    )
    document = with_change("name", "a\nb\u2028c" + "d" * 500)
    assert all(len(str(finding).splitlines()) == 1 for finding in check_document(document))
    assert len(str(check_document(document)[0])) < 400


# --- What is right ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("name", "a" * 64),
        ("name", "-_9"),
        ("type", "microsoft.batch/batchaccounts/POOLS"),
        ("type", ABSENT),
        ("identity.type", "userassigned"),
        ("tags", {"team": "a"}),
        (f"{MACHINE}.extensions", []),
        (f"{MACHINE}.extensions", None),
        (f"{MACHINE}.extensions", ABSENT),
        (f"{EXTENSION}.type", "KEYVAULTFORLINUX"),
        (f"{EXTENSION}.publisher", "microsoft.azure.keyvault"),
        (f"{EXTENSION}.settings", None),
        (f"{EXTENSION}.protectedSettings", {"certificate": "x"}),
        (f"{EXTENSION}.autoUpgradeMinorVersion", "true"),
        (f"{EXTENSION}.settings.secretsManagementSettings.requireInitialSync", False),
        (f"{MACHINE}.nodeAgentSkuId", "an agent of one's own"),
        ("properties.scaleSettings", ABSENT),
        ("properties.scaleSettings", {}),
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


def test_azures_own_example_gives_no_error():
    findings = check_document(ARM_EXAMPLE, pool_id="testpool")
    assert [(finding.severity, finding.path) for finding in findings] == [("warning", EXTENSION)]
    with_identity = {**ARM_EXAMPLE, "identity": GOOD["identity"]}
    assert check_document(with_identity, pool_id="testpool") == []


@pytest.mark.parametrize("variant", ["ubuntu", "almalinux"])
def test_the_shipped_documents_are_right(variant):
    text = (SHIPPED / f"keyvault_{variant}.json").read_text(encoding="utf-8")
    document = parse_document(text, source=f"keyvault_{variant}.json")
    assert check_document(document) == []
    assert expected_extensions(document) == ("secretext",)
    assert list(find_secrets(document)) == []
    (identity,) = document["identity"]["userAssignedIdentities"]
    assert identity.startswith("/subscriptions/00000000-0000-0000-0000-000000000000/")
    machine = document["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    image = {"ubuntu": ("canonical", "18.04-lts"), "almalinux": ("almalinux", "9-gen1")}[variant]
    assert (machine["imageReference"]["publisher"], machine["imageReference"]["sku"]) == image
    (extension,) = machine["extensions"]
    assert extension["settings"]["secretsManagementSettings"]["observedCertificates"] == [
        "https://testkvwestus2.vault.azure.net/secrets/authsecreat"
    ]
    assert extension.get("protectedSettings") == ({} if variant == "ubuntu" else None)


# --- Reading a text ---------------------------------------------------------------------------------


def test_json_and_yaml_give_the_same_document():
    as_json = parse_document(json.dumps(GOOD, indent=2), source="pool.json")
    as_yaml = parse_document(yaml.safe_dump(GOOD), source="pool.yaml")
    assert as_json == as_yaml == GOOD


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('\ufeff{"a": 1}', {"a": 1}),
        ('{"a": "b\\nc", "d": [1, -2.5e3, true, null]}', {"a": "b\nc", "d": [1, -2500.0, True, None]}),
        ('{a: 1, "b": [x,],}', {"a": 1, "b": ["x"]}),
        ("{}", {}),
        ("a: 2024-01-01", {"a": "2024-01-01"}),
        ("a: =\n<<: {b: 1}", {"a": "=", "<<": {"b": 1}}),
        ("a: !!str 1.0", {"a": "1.0"}),
        ("a:\nb: ~\nc: 1.0", {"a": None, "b": None, "c": 1.0}),
        ('{"a": [{"k": 1}, {"k": 2}], "k": {"k": 3}}', {"a": [{"k": 1}, {"k": 2}], "k": {"k": 3}}),
    ],
)
def test_texts_that_are_read(text, expected):
    assert parse_document(text, source="pool") == expected


@pytest.mark.parametrize(
    ("text", "source", "line", "column", "word"),
    [
        ("", "p.yaml", 1, 1, "empty"),
        ("# nothing\n", "p.yaml", 1, 1, "empty"),
        ("[1]", "p.json", 1, 1, "a list"),
        ("just words", "p.yaml", 1, 1, "a string"),
        ("null", "p.json", 1, 1, "empty"),
        ('{"a": 1,}', "p.json", 1, 9, "not valid JSON"),
        ("a: 1", "P.JSON", 1, 1, "not valid JSON"),
        ('{\n  "a": 1\n  "b": 2\n}', "p.json", 3, 3, "delimiter"),
        ("{a: [1}", "p.yaml", 1, 2, "not valid JSON"),
        ("a: [1", "p.yaml", 1, 6, "not valid YAML"),
        ("a:\n\tb: 1", "p.yaml", 2, 1, "not valid YAML"),
        ("a: \x01", "p.yaml", 1, 4, "character"),
        ('a: "\\U00110000"', "p.yaml", 1, 7, "not valid YAML"),
        ("a: 1\n---\nb: 2", "p.yaml", 2, 1, "more than one"),
        ('{"a": 1,\n "b": {"c": 1}, "a": 2}', "p.json", 2, 17, "the key 'a' is given twice"),
        ("x:\n  a: 1\n  b: 2\n  a: 3", "p.yaml", 4, 3, "the key 'a' is given twice"),
        ("a: &x 1\nb: *x", "p.yaml", 1, 4, "anchors"),
        ("b: *x", "p.yaml", 1, 4, "aliases"),
        ("a: !!python/object:os.system x", "p.yaml", 1, 4, "tags"),
        ("a: !!binary eHg=", "p.yaml", 1, 4, "tags"),
        ("1: a", "p.yaml", 1, 1, "key"),
        ("a: {{ ds }}", "p.yaml", 1, 5, "template"),
        ("? [a]\n: 1", "p.yaml", 1, 3, "key"),
        ("a: .inf", "p.yaml", 1, 4, "number"),
        ("a: 0b_", "p.yaml", 1, 4, "number"),
        ('{"a": NaN}', "p.json", 1, 7, "number"),
        ('{"a": -Infinity}', "p.yaml", 1, 7, "number"),
        ('{"a": 1e999}', "p.json", 1, 7, "number"),
        ('{"a": ' + "1" * 5000 + "}", "p.json", 1, 7, "number"),
        ('{"a": ' * 65 + "1" + "}" * 65, "p.json", 1, 385, "64 levels"),
        ("[" * 200_000, "p.json", 1, 65, "64 levels"),
        ("[" * 200_000, "p.yaml", 1, 65, "64 levels"),
        ("- " * 500, "p.yaml", 1, 129, "64 levels"),
        ("\n".join(f"k{index}: v" for index in range(15_000)), "p.yaml", 10_000, 0, "20000"),
        ("a: " + "x" * 1024 * 1024, "p.yaml", 1, 1, "1 MiB"),
    ],
)
def test_texts_that_are_refused(text, source, line, column, word):
    with pytest.raises(DocumentSyntaxError) as caught:
        parse_document(text, source=source)
    error = caught.value
    assert word in error.problem
    assert (error.source, error.line) == (source, line)
    assert column in (0, error.column)
    assert str(error) == f"{source}, line {line}, column {error.column}: {error.problem}"
    assert error.__context__ is None
    assert error.__cause__ is None


def test_a_bomb_of_aliases_is_refused_before_it_grows():
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    with pytest.raises(DocumentSyntaxError, match="anchors and aliases"):
        parse_document("\n".join(lines), source="bomb.yaml")


def test_a_syntax_error_survives_a_process_boundary():
    error = DocumentSyntaxError("p.json", "not valid JSON", 3, 4)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.line) == (DocumentSyntaxError, str(error), 3)


@pytest.mark.parametrize("source", ["p.json", "p.yaml"])
@pytest.mark.parametrize(
    "text",
    [
        f'{{"protectedSettings": {{"a": "{SENTINEL}" "b"}}}}',
        f'{{"protectedSettings": {{"a": "{SENTINEL}\\q"}}}}',
        f'{{"protectedSettings": {{"{SENTINEL}": 1, "{SENTINEL}": 2}}}}',
        f'{{"protectedSettings": [{{"{SENTINEL}": 1, "{SENTINEL}": 2}}]}}',
        f"protectedSettings:\n  a: {SENTINEL}: x",
        f"protectedSettings:\n  a: *{SENTINEL}",
        f"protectedSettings:\n  a: !{SENTINEL} x",
        f"protectedSettings:\n  a: !!{SENTINEL} x",
        f"protected_settings:\n  {SENTINEL}: 1\n  {SENTINEL}: 2",
        f"protectedSettings:\n  a: '{SENTINEL}",
        f"protectedSettings:\n  a: @{SENTINEL}",
        f"%{SENTINEL}\nprotectedSettings: [",
        f"password: {SENTINEL}\n\tx",
        SENTINEL,
    ],
)
def test_a_syntax_error_never_quotes_the_text(text, source):
    with pytest.raises(DocumentSyntaxError) as caught:
        parse_document(text, source=source)
    shown = f"{caught.value} {caught.value!r} {caught.value.args}"
    assert SENTINEL not in shown
    assert caught.value.__context__ is None


def test_a_key_given_twice_is_named_after_a_secret_has_ended():
    text = '{"list": [{"password": "x"}, {"k": 1, "k": 2}]}'
    with pytest.raises(DocumentSyntaxError, match="the key 'k' is given twice"):
        parse_document(text, source="p.json")


@given(st.text(max_size=80) | st.text(alphabet='{}[]:,"\\&*!-?|> \n\tab1.', max_size=40))
def test_any_text_is_read_or_refused(text):
    for source in ("p.json", "p.yaml"):
        try:
            document = parse_document(text, source=source)
        except DocumentSyntaxError:
            continue
        json.dumps(document, allow_nan=False)


# --- What is sent -----------------------------------------------------------------------------------


def test_the_body_leaves_out_what_is_read_only_and_keeps_the_rest():
    document = {**copy.deepcopy(GOOD), "id": "/x", "etag": "W/1", "tags": {"name": "kept", "id": "kept"}}
    body = request_body(document)
    assert set(body) == {"identity", "properties", "tags"}
    assert body["tags"] == {"name": "kept", "id": "kept"}
    assert body["properties"] == GOOD["properties"]
    (vault, *_) = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]["extensions"]
    assert vault["protectedSettings"] == {}
    vault["settings"]["changed"] = True
    assert "changed" not in str(document)


@pytest.mark.parametrize(
    ("path", "text", "sent"),
    [
        (f"{FIXED}.targetDedicatedNodes", "3", 3),
        (f"{FIXED}.targetLowPriorityNodes", " 0 ", 0),
        (f"{FIXED}.targetDedicatedNodes", "three", "three"),
        (f"{FIXED}.targetDedicatedNodes", "1.0", "1.0"),
        (f"{FIXED}.targetDedicatedNodes", "9" * 5000, "9" * 5000),
        (f"{FIXED}.targetDedicatedNodes", None, None),
        ("properties.taskSlotsPerNode", "4", 4),
        ("properties.startTask.maxTaskRetryCount", "-1", -1),
        (f"{MACHINE}.osDisk.diskSizeGB", "64", 64),
        (f"{EXTENSION}.autoUpgradeMinorVersion", "True", True),
        (f"{EXTENSION}.enableAutomaticUpgrade", "false", False),
        (f"{EXTENSION}.enableAutomaticUpgrade", "yes", "yes"),
        (f"{EXTENSION}.typeHandlerVersion", "1", "1"),
        (f"{EXTENSION}.settings.pollingIntervalInS", "300", "300"),
        (f"{EXTENSION}.settings.requireInitialSync", "true", "true"),
    ],
)
def test_texts_become_numbers_and_booleans_where_azure_wants_them(path, text, sent):
    document = with_change(path, text)
    node: Any = request_body(document)
    for step in steps(path):
        node = node[step]
    assert node == sent
    assert type(node) is type(sent)


def test_numbers_in_lists_are_converted_too():
    pools = [{"backendPort": "22", "frontendPortRangeStart": "15000", "frontendPortRangeEnd": 15100}]
    path = "properties.networkConfiguration.endpointConfiguration.inboundNatPools"
    body = request_body(with_change(path, pools))
    (pool,) = body["properties"]["networkConfiguration"]["endpointConfiguration"]["inboundNatPools"]
    assert pool == {"backendPort": 22, "frontendPortRangeStart": 15000, "frontendPortRangeEnd": 15100}


def test_expected_extensions_are_the_names_in_order():
    assert expected_extensions(GOOD) == ("vault", "monitor", "gpu")
    assert expected_extensions(with_change(f"{MACHINE}.extensions[1].name", 3)) == ("vault", "gpu")
    assert expected_extensions(with_change(f"{MACHINE}.extensions", ABSENT)) == ()
    assert expected_extensions({"properties": [1]}) == ()


# --- Secrets ----------------------------------------------------------------------------------------

SECRET_PLACES = [
    f"{EXTENSION}.protectedSettings",
    f"{EXTENSION}.protectedSettings.deep.deeper",
    f"{EXTENSION}.protected_settings",
    f"{EXTENSION}.PROTECTEDSETTINGS",
    f"{EXTENSION}.protectedSetting",
    f"{EXTENSION}.protectdSettings.key",
    f"{EXTENSION}.settings.storageAccountKey",
    "properties.userAccounts.password",
    "properties.userAccounts.linuxUserConfiguration.sshPrivateKey",
    f"{MACHINE}.containerConfiguration.containerRegistries.password",
    "properties.mountConfiguration.azureBlobFileSystemConfiguration.accountKey",
    "properties.mountConfiguration.azureBlobFileSystemConfiguration.sasKey",
    "properties.mountConfiguration.azureFileShareConfiguration.account_key",
    "properties.mountConfiguration.cifsMountConfiguration.Password",
]


@pytest.mark.parametrize("path", SECRET_PLACES)
@pytest.mark.parametrize("secret", [SENTINEL, [SENTINEL], {"key": SENTINEL}, [{"a": [{"b": SENTINEL}]}]])
def test_a_secret_shows_nowhere(path, secret):
    document = with_change(path, secret)
    assert SENTINEL not in f"{check_document(document)}{[str(f) for f in check_document(document)]}"
    for shown in (
        without_secrets(document),
        without_secrets([[document]]),
        without_secrets({"d": (document,)}),
    ):
        assert SENTINEL not in json.dumps(shown)
        assert "***" in json.dumps(shown)
    ((where, value),) = find_secrets(document)
    assert value == SENTINEL
    assert where.startswith(path)
    assert SENTINEL not in where
    assert SENTINEL in json.dumps(request_body(document))


def test_what_is_shown_keeps_names_and_everything_else():
    document = with_change(f"{EXTENSION}.protectedSettings", {"a": 1, "b": [True, None, "x"], "c": {}})
    shown = without_secrets(document)
    expected = {"a": "***", "b": ["***", None, "***"], "c": {}}
    assert shown == with_change(f"{EXTENSION}.protectedSettings", expected)
    assert without_secrets(GOOD) == GOOD


@pytest.mark.parametrize(
    "key",
    [
        "protectedSettingsFromKeyVault",
        "settings",
        "passwordless",
        "accountName",
        "environmentSettings",
        "",
        3,
    ],
)
def test_what_is_no_secret_member(key):
    assert not is_secret_member(key)


def test_secret_members_are_known_in_their_own_spelling():
    assert all(is_secret_member(member) for member in SECRET_MEMBERS)
    assert {"protectedSettings", "password", "sshPrivateKey", "accountKey", "sasKey"} <= SECRET_MEMBERS


def test_a_secret_text_that_is_json_is_found_whole_and_in_parts():
    text = json.dumps({"key": SENTINEL, "number": 7, "empty": "", "flag": True})
    document = {"protectedSettings": text, "password": "{not json"}
    assert list(find_secrets(document)) == [
        ("protectedSettings", text),
        ("protectedSettings.key", SENTINEL),
        ("protectedSettings.number", 7),
        ("password", "{not json"),
    ]


def test_the_signature_of_a_shared_access_url_is_a_secret():
    url = f"https://x.blob.core.windows.net/c/f?sv=2024&sig={SENTINEL}%3D&se=2030"
    document = {"properties": {"startTask": {"resourceFiles": [{"httpUrl": url}]}}}
    assert list(find_secrets(document)) == [
        ("properties.startTask.resourceFiles[0].httpUrl", f"{SENTINEL}%3D")
    ]
    shown = without_secrets(document)["properties"]["startTask"]["resourceFiles"][0]["httpUrl"]
    assert shown == "https://x.blob.core.windows.net/c/f?sv=2024&sig=***&se=2030"


# --- Anything at all --------------------------------------------------------------------------------

KEYS = st.sampled_from(
    sorted(
        {step for path in SECRET_PLACES for step in path.replace("[0]", "").split(".")}
        | {"name", "type", "id", "identity", "scaleSettings", "fixedScale", "provisionAfterExtensions", "a b"}
    )
) | st.text(max_size=6)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def paths_of(node: object, path: str = "") -> list[str]:
    """Return the path of everything in a document (no key in GOOD's identities is a path of ours)."""
    if isinstance(node, dict):
        below = [(f"{path}.{key}" if path else key, item) for key, item in node.items() if "/" not in key]
    else:
        below = [(f"{path}[{i}]", item) for i, item in enumerate(node)] if isinstance(node, list) else []
    return [p for p, _ in below] + [p for where, item in below for p in paths_of(item, where)]


DOCUMENTS = ANYTHING | st.builds(with_change, st.sampled_from(paths_of(GOOD)), ANYTHING)


def planted(node: Any, *, hidden: bool = False) -> Any:
    """Return a copy with the sentinel in place of every value below a secret member."""
    if isinstance(node, dict):
        return {key: planted(item, hidden=hidden or is_secret_member(key)) for key, item in node.items()}
    if isinstance(node, list):
        return [planted(item, hidden=hidden) for item in node]
    return SENTINEL if hidden else node


@given(DOCUMENTS, st.none() | st.text(max_size=5))
def test_nothing_makes_the_check_raise_or_change_its_input(document, pool_id):
    before = repr(document)
    findings = check_document(document, pool_id=pool_id)
    assert repr(document) == before
    for finding in findings:
        assert len(str(finding).splitlines()) == 1
        assert finding.problem
        assert finding.mend


@given(DOCUMENTS)
def test_nothing_makes_showing_or_sending_raise_or_change_its_input(document):
    before = repr(document)
    without_secrets(document)
    for _, value in find_secrets(document):
        assert isinstance(value, (str, int, float))
        assert not isinstance(value, bool)
        assert value != ""
    if isinstance(document, dict):
        assert not {"name", "type", "id", "etag"} & set(request_body(document))
        assert all(expected_extensions(document))
    assert repr(document) == before


@given(DOCUMENTS)
def test_no_secret_shows_wherever_it_was_planted(document):
    document = planted(document)
    findings = check_document(document)
    assert SENTINEL not in repr(findings)
    assert SENTINEL not in "".join(map(str, findings))
    assert SENTINEL not in repr(without_secrets(document))
    count = repr(document).count(SENTINEL)
    assert sum(value == SENTINEL for _, value in find_secrets(document)) == count


@given(DOCUMENTS.filter(lambda document: isinstance(document, dict)))
def test_what_is_sent_is_stable(document):
    body = request_body(document)
    assert repr(request_body(body)) == repr(body)
