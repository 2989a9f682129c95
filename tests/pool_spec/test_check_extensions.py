"""What is found wrong with a pool's extensions, and where."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_batchext.pool_spec import Finding, check_document
from tests.pool_spec.documents import ABSENT, EXTENSION, MACHINE, with_change

# Path to change, what to put there, path of the one finding expected, a word of its problem.
WINDOWS: dict[str, Any] = {
    "nodeAgentSkuId": "batch.node.windows amd64",
    "imageReference": {
        "publisher": "microsoftwindowsserver",
        "offer": "windowsserver",
        "sku": "2022-datacenter",
    },
}

ERRORS: list[tuple[str, object, str, str]] = [
    (
        f"{MACHINE}.extensions[2].type",
        "NvidiaGpuDriverWindows",
        f"{MACHINE}.extensions[2].type",
        "for Windows",
    ),
    (f"{EXTENSION}.type", "KeyVaultForWindows", f"{EXTENSION}.type", "for Windows, the nodes run Linux"),
    (f"{MACHINE}.extensions", {"name": "vault"}, f"{MACHINE}.extensions", "an object"),
    (f"{MACHINE}.extensions[2]", "KeyVaultForLinux", f"{MACHINE}.extensions[2]", "a string"),
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
    (
        f"{EXTENSION}.protectedSettingsFromKeyVault",
        {},
        f"{EXTENSION}.protectedSettingsFromKeyVault",
        "no member",
    ),
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
]


@pytest.mark.parametrize(("changed", "value", "path", "word"), ERRORS)
def test_one_mistake_gives_one_error_at_its_place(changed, value, path, word):
    (finding,) = check_document(with_change(changed, value))
    assert (finding.severity, finding.path) == ("error", path)
    assert word in finding.problem
    assert finding.fix


WARNINGS: list[tuple[str, object, str, str]] = [
    (f"{EXTENSION}.type", "KeyVaultForLinx", f"{EXTENSION}.type", "does not list"),
    (f"{EXTENSION}.publisher", "Example.Publisher", f"{EXTENSION}.type", "Example.Publisher"),
]


@pytest.mark.parametrize(("changed", "value", "path", "word"), WARNINGS)
def test_one_doubt_gives_one_warning_at_its_place(changed, value, path, word):
    (finding,) = check_document(with_change(changed, value))
    assert (finding.severity, finding.path) == ("warning", path)
    assert word in finding.problem


@pytest.mark.parametrize("system", ["KeyVaultForLinux", "KeyVaultForWindows"])
@pytest.mark.parametrize("identity", [ABSENT, None, {"type": "None"}])
def test_a_key_vault_extension_without_an_identity_is_a_warning(system, identity):
    document = with_change("identity", identity)
    machine = document["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine["extensions"] = machine["extensions"][:1]
    machine["extensions"][0]["type"] = system
    if system == "KeyVaultForWindows":
        machine |= WINDOWS
    (finding,) = check_document(document)
    assert (finding.severity, finding.path) == ("warning", EXTENSION)
    assert "identity" in finding.problem
    assert finding.link.endswith("managed-identity-pools")


def test_linux_extensions_on_windows_nodes_are_errors_that_name_the_right_one():
    document = with_change(f"{MACHINE}.nodeAgentSkuId", WINDOWS["nodeAgentSkuId"])
    findings = check_document(with_change(f"{MACHINE}.imageReference", WINDOWS["imageReference"], document))
    assert [finding.severity for finding in findings] == ["error"] * 3
    assert findings[0].fix == "Use Microsoft.Azure.KeyVault/KeyVaultForWindows"


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("protectedSetting", "Did you mean protectedSettings?"),
        ("type_handler_version", "Did you mean typeHandlerVersion?"),
        ("Settings", "Did you mean settings?"),
        ("tags", "Take it out: Azure refuses unknown members"),
    ],
)
def test_a_misspelt_member_gets_a_suggestion(key, fix):
    (finding,) = check_document(with_change(f"{EXTENSION}.{key}", {}))
    assert finding.fix == fix


def test_a_near_miss_of_a_listed_extension_gets_a_suggestion():
    (finding,) = check_document(with_change(f"{EXTENSION}.type", "KeyVaultLinux"))
    assert finding.fix.startswith("Did you mean Microsoft.Azure.KeyVault/KeyVaultForLinux? ")
    (finding,) = check_document(with_change(f"{EXTENSION}.type", "Nothing"))
    assert finding.fix == "Others must be enabled by a support request"


def test_what_waits_for_an_extension_that_is_none_is_told_too():
    findings = check_document(with_change(EXTENSION, "KeyVaultForLinux"))
    assert [finding.path for finding in findings] == [
        EXTENSION,
        f"{MACHINE}.extensions[1].provisionAfterExtensions[0]",
        f"{MACHINE}.extensions[2].provisionAfterExtensions[1]",
    ]


def extensions_waiting(**after: list[str]) -> dict[str, Any]:
    template = {"publisher": "Microsoft.Powershell", "type": "DSC"}
    entries = [{**template, "name": name, "provisionAfterExtensions": names} for name, names in after.items()]
    document = with_change(f"{MACHINE}.extensions", entries)
    document["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"] |= WINDOWS
    return document


def errors(document: dict[str, Any]) -> list[Finding]:
    """What is told but for the one that all of them are of one publisher and type."""
    one, *others = sorted(check_document(document), key=lambda finding: "takes one" not in finding.problem)
    assert "takes one of them" in one.problem
    return others


def test_each_circle_is_named_in_order_from_its_first_member():
    document = extensions_waiting(a=["c"], b=["a"], c=["b"], d=["e"], e=["d"], f=["a"])
    first, second = errors(document)
    assert first.path == f"{EXTENSION}.provisionAfterExtensions"
    assert first.problem.endswith("circle: 'a' after 'c' after 'b' after 'a'")
    assert second.problem.endswith("circle: 'd' after 'e' after 'd'")


def test_waiting_without_a_circle_is_fine():
    assert errors(extensions_waiting(a=[], b=["a"], c=["a", "b"], d=["c", "b"])) == []


def test_many_circles_do_not_take_for_ever():
    names = [f"e{index}" for index in range(2000)]
    pairs = {name: [names[index ^ 1]] for index, name in enumerate(names)}
    assert len(errors(extensions_waiting(**pairs))) == 10


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        (f"{MACHINE}.extensions", []),
        (f"{MACHINE}.extensions", None),
        (f"{MACHINE}.extensions", ABSENT),
        (f"{EXTENSION}.type", "KEYVAULTFORLINUX"),
        (f"{EXTENSION}.publisher", "microsoft.azure.keyvault"),
        (f"{MACHINE}.extensions[2].settings", None),
        (f"{EXTENSION}.protectedSettings", {"certificate": "x"}),
        (f"{EXTENSION}.autoUpgradeMinorVersion", "true"),
        (f"{EXTENSION}.settings.secretsManagementSettings.requireInitialSync", False),
    ],
)
def test_what_azure_takes_gives_no_finding(changed, value):
    assert check_document(with_change(changed, value)) == []
