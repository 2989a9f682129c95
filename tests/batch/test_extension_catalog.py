"""The facts about extensions: looked up whatever their case, near misses found, systems told apart."""

from __future__ import annotations

import dataclasses

import pytest

from airflow_batchext.batch.extension_catalog import (
    EXTENSION_MEMBERS,
    KNOWN_EXTENSIONS,
    RESERVED_TYPES,
    counterpart,
    lookup,
    nearest,
    nearest_member,
    node_operating_system,
)


@pytest.mark.parametrize("known", KNOWN_EXTENSIONS, ids=str)
def test_every_entry_is_found_in_any_case_and_is_nearest_to_itself(known):
    assert lookup(known.publisher, known.type) is known
    assert lookup(known.publisher.upper(), known.type.lower()) is known
    assert nearest(known.publisher, known.type) is known


def test_entries_are_plain_facts():
    assert len({str(known).casefold() for known in KNOWN_EXTENSIONS}) == len(KNOWN_EXTENSIONS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        KNOWN_EXTENSIONS[0].type = "Other"
    for known in KNOWN_EXTENSIONS:
        assert known.link.startswith("https://learn.microsoft.com/")
        assert known.type.casefold() not in RESERVED_TYPES


def test_what_batch_documentation_prints_is_told_from_what_is_only_known_of_virtual_machines():
    printed = {known.type for known in KNOWN_EXTENSIONS if known.certainty == "batch"}
    assert printed == {
        "KeyVaultForLinux",
        "KeyVaultForWindows",
        "AzureMonitorLinuxAgent",
        "AzureMonitorWindowsAgent",
    }


def test_the_extensions_that_sign_in_need_an_identity():
    needing = {known.title for known in KNOWN_EXTENSIONS if known.needs_identity}
    assert needing == {"Azure Key Vault", "Azure Monitor agent"}


@pytest.mark.parametrize(
    ("publisher", "kind"),
    [
        ("Microsoft.Azure.Extensions", "CustomScript"),
        ("Microsoft.Azure.Keyvault", "KeyVaultForMac"),
        ("", ""),
        ("KeyVaultForLinux", "Microsoft.Azure.KeyVault"),
    ],
)
def test_others_are_not_found(publisher, kind):
    assert lookup(publisher, kind) is None


@pytest.mark.parametrize(
    ("publisher", "kind", "meant"),
    [
        ("Microsoft.Azure.KeyVault", "KeyVaultForLinx", "Microsoft.Azure.KeyVault/KeyVaultForLinux"),
        ("Microsoft.KeyVault", "KeyVaultForLinux", "Microsoft.Azure.KeyVault/KeyVaultForLinux"),
        (
            "Microsoft.Azure.Monitor",
            "AzureMonitorAgentLinux",
            "Microsoft.Azure.Monitor/AzureMonitorLinuxAgent",
        ),
        ("Microsoft.Compute", "NvidiaGpuDriversLinux", "Microsoft.HpcCompute/NvidiaGpuDriverLinux"),
        (
            "Microsoft.Security.WindowsAttestation",
            "GuestAttestation",
            "Microsoft.Azure.Security.WindowsAttestation/GuestAttestation",
        ),
        ("Microsoft.Azure.Diagnostics", "LinuxDiagnostic", "None"),
        ("Example", "Nothing", "None"),
        ("", "x" * 100_000, "None"),
    ],
)
def test_near_misses(publisher, kind, meant):
    assert str(nearest(publisher, kind)) == meant


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("protectedSetting", "protectedSettings"),
        ("protected_settings", "protectedSettings"),
        ("typeHandlerVersions", "typeHandlerVersion"),
        ("autoUpgradeMinor", "autoUpgradeMinorVersion"),
        ("Publisher", "publisher"),
        ("tags", None),
    ],
)
def test_misspelt_members(key, meant):
    assert nearest_member(key) == meant
    assert meant is None or meant in EXTENSION_MEMBERS


def test_the_same_product_for_the_other_system():
    vault = lookup("Microsoft.Azure.KeyVault", "KeyVaultForWindows")
    dsc = lookup("Microsoft.Powershell", "DSC")
    assert vault is not None
    assert dsc is not None
    assert counterpart(vault, "linux") is lookup("Microsoft.Azure.KeyVault", "KeyVaultForLinux")
    assert counterpart(dsc, "linux") is None


@pytest.mark.parametrize(
    ("agent", "system"),
    [
        ("batch.node.ubuntu 24.04", "linux"),
        ("batch.node.el 9", "linux"),
        ("Batch.Node.Windows amd64", "windows"),
        ("something else", None),
        ("", None),
    ],
)
def test_the_system_of_a_node_agent(agent, system):
    assert node_operating_system(agent) == system
