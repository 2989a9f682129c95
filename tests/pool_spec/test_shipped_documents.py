"""The documents of the example DAG: rendered as the DAG renders them, nothing is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest

from airflow_batchext.pool_spec import (
    check_document,
    expected_extensions,
    find_secrets,
    parse_document,
    request_body,
)
from tests.pool_spec.documents import FIXED

SHIPPED = Path(__file__).parents[2] / "dags" / "pools"
VARIANTS = ["ubuntu", "almalinux"]


def shipped(variant: str, params: dict[str, Any] | None) -> dict[str, Any]:
    """A document, rendered with params, or as it lies in its file for None."""
    path = SHIPPED / f"keyvault_{variant}.json"
    text = path.read_text(encoding="utf-8")
    if params is not None:
        text = jinja2.Environment(autoescape=False).from_string(text).render(params=params)
    return parse_document(text, source=path.name)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("params", "nodes"), [({"nodes": 3}, 3), ({"nodes": "12"}, 12), ({}, 1)])
def test_a_rendered_document_is_right_and_asks_for_that_many_nodes(variant, params, nodes):
    document = shipped(variant, params)
    assert check_document(document) == []
    fixed = request_body(document)["properties"]["scaleSettings"]["fixedScale"]
    assert fixed == {"targetDedicatedNodes": nodes, "targetLowPriorityNodes": 0, "resizeTimeout": "PT15M"}
    assert type(fixed["targetDedicatedNodes"]) is int


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_file_itself_is_one_template_short_of_right(variant):
    (finding,) = check_document(shipped(variant, None))
    assert (finding.severity, finding.path) == ("error", f"{FIXED}.targetDedicatedNodes")
    assert "unrendered template" in finding.problem


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_rest_of_a_document_is_what_the_how_to_has(variant):
    document = shipped(variant, {})
    assert expected_extensions(document) == ("secretext",)
    assert list(find_secrets(document)) == []
    (identity,) = document["identity"]["userAssignedIdentities"]
    assert identity.startswith("/subscriptions/00000000-0000-0000-0000-000000000000/")
    machine = document["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    image = {"ubuntu": ("canonical", "server"), "almalinux": ("almalinux", "9-gen1")}[variant]
    assert (machine["imageReference"]["publisher"], machine["imageReference"]["sku"]) == image
    (extension,) = machine["extensions"]
    settings = extension["settings"]
    assert settings["secretsManagementSettings"]["observedCertificates"] == [
        "https://testkvwestus2.vault.azure.net/secrets/authsecreat"
    ]
    assert settings["authenticationSettings"] == {
        "msiEndpoint": "http://169.254.169.254/metadata/identity",
        "msiClientId": "885b1a3d-f13c-4030-afcf-9f05044d78dc",
    }
    assert extension.get("protectedSettings") == ({} if variant == "ubuntu" else None)
