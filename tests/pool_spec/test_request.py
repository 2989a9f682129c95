"""What is sent for a document, and which extensions it asks for."""

from __future__ import annotations

import copy
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given

from airflow_batchext.pool_spec import expected_extensions, request_body
from tests.pool_spec.documents import ABSENT, DOCUMENTS, EXTENSION, FIXED, GOOD, MACHINE, steps, with_change


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


def test_a_document_that_cannot_be_pickled_is_copied_too():
    frozen = MappingProxyType({"name": "p", "properties": MappingProxyType({"ids": ("a", "b")})})
    assert request_body(frozen) == {"properties": {"ids": ["a", "b"]}}


@given(DOCUMENTS.filter(lambda document: isinstance(document, dict)))
def test_what_is_sent_is_stable(document):
    body = request_body(document)
    assert repr(request_body(body)) == repr(body)
