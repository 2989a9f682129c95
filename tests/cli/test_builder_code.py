"""``batchext convert --to builder``: its Python builds the very document, or it says what it cannot."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_batchext.cli.builder_code import builder_code
from airflow_batchext.concealment import reveal
from airflow_batchext.pool_builder import (
    UBUNTU_24_04,
    WINDOWS_SERVER_2022,
    AzureMonitorAgentExtension,
    GpuDriverExtension,
    KeyVaultExtension,
    pool_document,
)
from tests.examples import examples
from tests.pool_spec.bodies import BODIES, WHOLE_BODIES
from tests.pool_spec.documents import GOOD, IDENTITY, with_change

NODES = "properties.scaleSettings"
TASK = {
    "commandLine": "/bin/sh -c 'true'",
    "userIdentity": {"autoUser": {"scope": "Pool", "elevationLevel": "Admin"}},
    "waitForSuccess": True,
}
CLIENT = "885b1a3d-f13c-4030-afcf-9f05044d78dc"


def built(text: str) -> Any:
    names: dict[str, Any] = {}
    exec(compile(text, "pool.py", "exec"), names)
    return reveal(names["document"]) if "document" in names else [reveal(each) for each in names["documents"]]


def check(body: dict[str, Any]) -> None:
    text, lost = builder_code([body])
    expected = {name: item for name, item in copy.deepcopy(body).items() if name != "type"}
    for path, _ in lost:
        if path == NODES:
            expected["properties"]["scaleSettings"] = {"fixedScale": {"targetDedicatedNodes": 0}}
        else:
            del expected[path]
    if not expected.get("tags", True):
        del expected["tags"]
    assert built(text) == expected
    assert {path for path, _ in lost} <= {"identity", NODES}


@given(BODIES | WHOLE_BODIES, st.none() | st.text(max_size=8))
@settings(deadline=None, max_examples=examples(200), suppress_health_check=list(HealthCheck))
def test_any_document_is_built_again(body, name):
    check(body if name is None else body | {"name": name})


TEXTS = st.text(max_size=12) | st.sampled_from(
    ['a"b', "a\\nb", "\ud800", "a\nb\n", "\n", "\r\n", "\u2028", "{{ x }}", "é🙂"]
)


@given(TEXTS, TEXTS)
@settings(deadline=None, max_examples=examples(200))
def test_any_text_is_written_as_it_is(line, value):
    body = with_change("properties.startTask", {"commandLine": line})
    body["properties"]["metadata"] = [{"name": "a", "value": value}]
    check(body)


@pytest.mark.parametrize(
    "change",
    [
        ("properties.scaleSettings", {"fixedScale": {"resizeTimeout": "PT10M"}}),
        ("properties.scaleSettings", {"autoScale": {"formula": "$a=1;", "evaluationInterval": "PT5M"}}),
        (
            "properties.scaleSettings",
            {"fixedScale": {"targetDedicatedNodes": 1, "nodeDeallocationOption": "x"}},
        ),
        ("properties.scaleSettings", {}),
        ("properties.startTask", TASK),
        ("properties.startTask", TASK | {"waitForSuccess": False}),
        ("properties.networkConfiguration", {"subnetId": "/x"}),
        ("properties.networkConfiguration", {"subnetId": "/x", "enableAcceleratedNetworking": True}),
        ("properties.metadata", []),
        ("properties.metadata", [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]),
        ("properties.taskSlotsPerNode", 4),
        ("properties.deploymentConfiguration.virtualMachineConfiguration.imageReference", {"id": "/x"}),
        ("properties.deploymentConfiguration.virtualMachineConfiguration.imageReference", {"offer": "x"}),
        ("properties.deploymentConfiguration.virtualMachineConfiguration.extensions", []),
        ("properties.deploymentConfiguration.virtualMachineConfiguration.extensions", [{"name": "x"}]),
        ("properties.deploymentConfiguration.virtualMachineConfiguration.osDisk", {"caching": "None"}),
    ],
)
def test_each_way_to_say_something_builds_the_same(change):
    check(with_change(*change))


def test_what_was_built_comes_back_as_it_was_written():
    vault = KeyVaultExtension(certificates=["https://v.vault.azure.net/secrets/c"], client_id=CLIENT)
    made = {
        "image": UBUNTU_24_04,
        "extensions": [vault, AzureMonitorAgentExtension(identity=IDENTITY), GpuDriverExtension(after=["x"])],
    }
    body = reveal(pool_document(name="p", size="STANDARD_D2S_V5", dedicated=2, identities=[IDENTITY], **made))
    text, lost = builder_code([body])
    assert lost == []
    for said in (
        "image=UBUNTU_24_04",
        f'certificates=["{vault.certificates[0]}"],\n            client_id="{CLIENT}",\n        )',
        "AzureMonitorAgentExtension(",
        'GpuDriverExtension(after=["x"])',
    ):
        assert said in text
    assert built(text) == body


def test_several_pools_are_a_list():
    image = {"image": WINDOWS_SERVER_2022, "size": "STANDARD_D2S_V5"}
    bodies = [reveal(pool_document(name=name, dedicated=1, **image)) for name in ("a", "b")]
    assert built(builder_code(bodies)[0]) == bodies


@pytest.mark.parametrize(
    "path",
    [
        "properties.vmSize",
        "properties.deploymentConfiguration",
        "properties.deploymentConfiguration.virtualMachineConfiguration.nodeAgentSkuId",
        "properties.deploymentConfiguration.virtualMachineConfiguration.imageReference",
    ],
)
def test_what_the_builder_cannot_do_without_is_named(path):
    with pytest.raises(ValueError, match="is missing, and the builder cannot do without it"):
        builder_code([with_change(path, None)])


def test_what_the_builder_cannot_say_is_told():
    body = {**GOOD, "identity": {"type": "None"}, "madeUp": 1}
    body["properties"] = {name: item for name, item in body["properties"].items() if name != "scaleSettings"}
    _, lost = builder_code([body])
    assert {path for path, _ in lost} == {"identity", "madeUp", NODES}
