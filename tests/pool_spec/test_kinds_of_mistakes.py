"""Each kind of mistake over the whole kind, with values that nobody wrote down: told at its place alone."""

from __future__ import annotations

import copy
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.pool_spec._sdk_schema import check_pool
from tests.pool_spec.documents import (
    EXTENSION,
    FIXED,
    GOOD,
    IDENTITY,
    MACHINE,
    SUBNET,
    TODAY,
    changed,
    paths_of,
    told,
    value_at,
    with_change,
)

NETWORK = "properties.networkConfiguration"
WORD = st.text(string.ascii_letters, min_size=1, max_size=12)

# --- nobody filled it in ---

TEXTS = [
    path
    for path in paths_of(GOOD)
    if not path.endswith(("name", "identity.type")) and isinstance(value_at(GOOD, path), str)
]
SHAPES = st.sampled_from(["[parameters('{}')]", "[variables('{}')]", "[concat('{}', 'x')]"])


@given(st.sampled_from(TEXTS), WORD, SHAPES)
@settings(deadline=None, max_examples=60)
def test_an_expression_of_arm_is_an_error_wherever_a_text_is(path, word, shape):
    secret = ".protectedSettings"
    place = path.partition(secret)[0] + secret if secret in path else path
    assert place in told(with_change(path, shape.format(word)), "error")


@given(WORD, st.sampled_from(["${{{}}}", "${{var.{}}}", "$({})", "%{}%", "#{{{}}}#"]))
@settings(deadline=None, max_examples=40)
def test_a_variable_is_an_error_at_a_size_and_at_a_number(word, shape):
    assert told(with_change("properties.vmSize", shape.format(word)), "error") == ["properties.vmSize"]
    where = f"{FIXED}.targetDedicatedNodes"
    assert told(with_change(where, shape.format(word)), "error") == [where]


@given(WORD)
@settings(deadline=None, max_examples=20)
def test_a_placeholder_is_told_in_ids_and_urls(word):
    subnet = SUBNET.replace("/s/", f"/<{word}-id>/", 1)
    assert changed(NETWORK, {"subnetId": subnet}) == [f"{NETWORK}.subnetId"]
    url = f"https://<{word}>.vault.azure.net/secrets/c"
    place = f"{EXTENSION}.settings.secretsManagementSettings.observedCertificates"
    assert changed(place, [url]) == [f"{place}[0]"]


@pytest.mark.parametrize(
    "command",
    [
        "/bin/bash -c 'echo ${HOME} && [ 1 -lt 2 ] < in > out'",
        "/bin/sh -c 'if [ -z $X ]; then echo \"<none>\"; fi'",
        "/usr/bin/env bash -c 'set -e; ls | wc'",
        "/usr/bin/env FOO=1 bash -c 'a && b'",
        "sudo bash -c 'a && b'",
        "sudo -E bash -c 'apt-get update && apt-get install -y jq'",
        '"/bin/bash" -c "a && b"',
        "'/bin/sh' -c 'a; b'",
        "nohup bash -c 'a | b'",
        "timeout 60 bash -c 'a && b'",
        "/opt/tool --filter 'a && b' --set \"x > y\"",
        "python3 run.py --pattern 'a|b'",
    ],
)
def test_a_command_line_that_is_right_is_left_alone(command):
    assert changed("properties.startTask", {"commandLine": command}) == []


@pytest.mark.parametrize(
    "command",
    ["echo $A && b", "ls | wc", "a > b", "python3 x.py; ls", 'run "$HOME"', "copy %A% b", "a\nb"],
)
def test_a_command_line_that_needs_a_shell_is_told(command):
    assert changed("properties.startTask", {"commandLine": command}) == ["properties.startTask.commandLine"]


@given(
    st.sampled_from(["apt-get", "apt", "yum", "dnf", "tdnf", "zypper"]),
    st.sampled_from(["install -y x", "update"]),
)
@settings(deadline=None, max_examples=20)
def test_packages_need_an_administrator(tool, rest):
    task: dict[str, Any] = {"commandLine": f"/bin/sh -c 'cd /tmp && {tool} {rest}'"}
    assert changed("properties.startTask", task) == ["properties.startTask.commandLine"]
    task["userIdentity"] = {"autoUser": {"elevationLevel": "admin"}}
    assert changed("properties.startTask", task) == []


@pytest.mark.parametrize(
    "value",
    [
        "false",
        "true",
        "0",
        "off",
        "https://v.vault.azure.net/secrets/pw/1",
        "@Microsoft.KeyVault(SecretUri=https://v)",
    ],
)
@pytest.mark.parametrize("name", ["USE_PASSWORD", "DB_PASSWORD", "SECRET"])
def test_a_switch_or_the_place_of_a_secret_is_no_secret(name, value):
    task = {"commandLine": "true", "environmentSettings": [{"name": name, "value": value}]}
    assert changed("properties.startTask", task) == []
    task["environmentSettings"][0]["value"] = "hunter2hunter2"
    assert changed("properties.startTask", task) == ["properties.startTask.environmentSettings[0].value"]


# --- identities ---

USERS_OF_IDENTITIES = {
    f"{MACHINE}.containerConfiguration": lambda reference: {
        "type": "DockerCompatible",
        "containerRegistries": [{"registryServer": "r", "identityReference": reference}],
    },
    "properties.mountConfiguration": lambda reference: [
        {
            "azureBlobFileSystemConfiguration": {
                "accountName": "a",
                "containerName": "c",
                "relativeMountPath": "m",
                "identityReference": reference,
            }
        }
    ],
    "properties.startTask": lambda reference: {
        "commandLine": "true",
        "resourceFiles": [{"storageContainerUrl": "https://a.example/c", "identityReference": reference}],
    },
}


@given(st.sampled_from(sorted(USERS_OF_IDENTITIES)), WORD)
@settings(deadline=None, max_examples=40)
def test_every_reference_is_held_against_the_identities_of_the_pool(place, name):
    other = IDENTITY[:-1] + f"x{name}"
    made = USERS_OF_IDENTITIES[place]
    (path,) = changed(place, made({"resourceId": other}))
    assert path.startswith(place)
    assert path.endswith("identityReference.resourceId")
    assert changed(place, made({"resourceId": IDENTITY.upper()})) == []


def test_identities_that_cannot_be_read_are_not_held_against_anything():
    document = with_change(
        "properties.mountConfiguration",
        USERS_OF_IDENTITIES["properties.mountConfiguration"]({"resourceId": IDENTITY}),
        with_change("identity.userAssignedIdentities", {"nonsense": {}}),
    )
    assert told(document) == ["identity.userAssignedIdentities.nonsense"]


# --- names ---


@given(st.sampled_from(paths_of(GOOD)), st.sampled_from([str.upper, str.lower, str.capitalize]))
@settings(deadline=None, max_examples=80)
def test_names_in_another_case_are_one_warning_each_and_hide_nothing(path, case):
    parent, _, name = path.rpartition(".")
    written = case(name)
    document = copy.deepcopy(GOOD)
    node = value_at(document, parent) if parent else document
    if not isinstance(node, dict) or "settings" in path.lower() or path.endswith("]") or written == name:
        return
    node[written] = node.pop(name)
    if path in ("name", "type"):
        return
    findings = check_pool(document, today=TODAY)
    assert [(f.severity, f.fix) for f in findings] == [("warning", f"It is spelt {name}")]
