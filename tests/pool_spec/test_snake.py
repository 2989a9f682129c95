"""What ``as_dict()`` of older SDKs' models gives is read like the body that it stands for."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import azure.batch.models
import azure.mgmt.batch.models
import pytest
from hypothesis import HealthCheck, given, settings

from airflow_batchext.cli.main import main
from airflow_batchext.loose_json.sdk_models import plain
from airflow_batchext.pool_spec import parse_pools, pools_in
from airflow_batchext.pool_spec._planes import to_data_plane
from airflow_batchext.pool_spec._sdk_schema import check_pool, data_plane_schema, pool_schema
from tests.examples import examples
from tests.pool_spec.bodies import WHOLE_BODIES
from tests.pool_spec.documents import GOOD, IDENTITY

if TYPE_CHECKING:
    import types

    from airflow_batchext.pool_spec._schema import Schema, Shape

ARM, DATA = pool_schema(), data_plane_schema()
SLOW = settings(deadline=None, max_examples=examples(60), suppress_health_check=list(HealthCheck))


def snake(value: Any, shape: Shape, schema: Schema, models: types.ModuleType) -> Any:
    """A body with the names that the models of an SDK have in Python."""
    if shape.kind == "list" and isinstance(value, list):
        return [snake(item, shape.of, schema, models) for item in value]
    if shape.kind == "map" and shape.of.type_name:
        return {name: {} for name in value}
    if shape.kind != "object" or not isinstance(value, dict):
        return value
    model: Any = getattr(models, shape.type_name)
    fields = model.__new__(model)._attr_to_rest_field
    named = {field._rest_name: attribute for attribute, field in fields.items()}
    members = schema.types[shape.type_name]
    return {named[key]: snake(item, members[key].shape, schema, models) for key, item in value.items()}


def root(schema: Schema) -> Shape:
    from airflow_batchext.pool_spec import Shape

    return Shape("object", type_name=schema.root)


def as_dict(body: dict[str, Any]) -> dict[str, Any]:
    """A body of the management plane as azure-mgmt-batch 17 and 18 give it: ``properties`` are at the top."""
    found = snake(body, root(ARM), ARM, azure.mgmt.batch.models)
    inner = found.pop("properties")
    return {**found, **inner}


def without_client_ids(body: dict[str, Any]) -> dict[str, Any]:
    body = copy.deepcopy(body)
    owned = body["identity"]["userAssignedIdentities"]
    body["identity"]["userAssignedIdentities"] = {name: {} for name in owned}
    return body


@given(WHOLE_BODIES)
@SLOW
def test_every_member_of_the_management_plane_is_read(body):
    (pool,) = pools_in(as_dict(body))
    assert pool.body == without_client_ids(body)


@given(WHOLE_BODIES)
@SLOW
def test_every_member_of_the_data_plane_is_read(body):
    there = to_data_plane(body, ARM, DATA).body
    (pool,) = pools_in(snake(there, root(DATA), DATA, azure.batch.models))
    assert pool.body == there


#: As azure-mgmt-batch 17.3 and azure-batch 14.2 print them.
OLD_ARM = {
    "identity": {"type": "UserAssigned", "user_assigned_identities": {IDENTITY: {"client_id": "c"}}},
    "name": "p",
    "vm_size": "STANDARD_D2S_V5",
    "deployment_configuration": {
        "virtual_machine_configuration": {
            "image_reference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
            "node_agent_sku_id": "batch.node.ubuntu 24.04",
            "extensions": [
                {
                    "name": "x",
                    "publisher": "Microsoft.HpcCompute",
                    "type": "Other",
                    "type_handler_version": "1.0",
                    "settings": {"aB": {"c_d": 1}},
                    "protected_settings": {"k_v": "v"},
                }
            ],
            "os_disk": {"ephemeral_os_disk_settings": {"placement": "CacheDisk"}},
        }
    },
    "scale_settings": {"fixed_scale": {"resize_timeout": "PT10M", "target_dedicated_nodes": 1}},
    "tags": {"cost_centre": "a_b"},
}
OLD_DATA = {
    "id": "p",
    "vm_size": "STANDARD_D2S_V5",
    "virtual_machine_configuration": {
        "image_reference": {"virtual_machine_image_id": "/x"},
        "node_agent_sku_id": "batch.node.ubuntu 24.04",
    },
    "enable_auto_scale": False,
    "target_dedicated_nodes": 2,
    "application_package_references": [{"application_id": "a", "version": "1"}],
    "start_task": {"command_line": "true", "user_identity": {"user_name": "u"}},
}


def test_what_is_the_users_is_not_renamed():
    (pool,) = pools_in(OLD_ARM)
    (extension,) = pool.body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"][
        "extensions"
    ]
    assert extension["settings"] == {"aB": {"c_d": 1}}
    assert extension["protectedSettings"] == {"k_v": "v"}
    assert pool.body["tags"] == {"cost_centre": "a_b"}
    assert pool.body["identity"]["userAssignedIdentities"] == {IDENTITY: {}}
    assert [finding for finding in check_pool(pool.body) if finding.severity == "error"] == []


def test_a_body_of_the_data_plane_has_its_own_spelling():
    (pool,) = pools_in([OLD_DATA])
    assert pool.body["virtualMachineConfiguration"]["nodeAgentSKUId"] == "batch.node.ubuntu 24.04"
    assert pool.body["startTask"]["userIdentity"] == {"username": "u"}
    assert pool.body["applicationPackageReferences"] == [{"applicationId": "a", "version": "1"}]


@pytest.mark.parametrize(
    ("body", "path", "key"),
    [
        (OLD_ARM | {"vm_size": "Standard D2"}, "vm_size", "vm_size"),
        (
            OLD_ARM | {"scale_settings": {"fixed_scale": {"resize_timeout": "PT1M"}}},
            "scale_settings.fixed_scale.resize_timeout",
            "resize_timeout",
        ),
        (OLD_ARM | {"made_up": 1}, "made_up", "made_up"),
        (OLD_ARM | {"metadata": [{"name": "a"}]}, "metadata[0].value", "{"),
        (OLD_DATA | {"target_dedicated_nodes": -1}, "target_dedicated_nodes", "target_dedicated_nodes"),
        ({"value": [OLD_ARM | {"vm_size": "Standard D2"}]}, "vm_size", "vm_size"),
    ],
)
def test_findings_are_told_at_the_members_of_the_text(body, path, key, tmp_path, capsys):
    file = tmp_path / "pool.json"
    file.write_text(json.dumps(body, indent=1))
    main(["validate", "--json", str(file)])
    (pool,) = json.loads(capsys.readouterr().out)["pools"]
    (finding,) = [found for found in pool["findings"] if found["path"] == path]
    assert file.read_text().splitlines()[finding["line"] - 1].strip().startswith((f'"{key}"', key))


def test_it_can_be_converted(tmp_path, capsys):
    file = tmp_path / "pool.yaml"
    file.write_text(json.dumps(OLD_ARM))
    assert main(["convert", str(file), "--to", "arm"]) == 0
    (pool,) = parse_pools(capsys.readouterr().out, source="x")
    assert pool.body == pools_in(OLD_ARM)[0].body


@pytest.mark.parametrize("value", [{"properties": {"vm_size": "x"}}, {"vm_size": "x", "vmSize": "y"}, GOOD])
def test_what_is_of_the_rest_api_is_left_as_it_is(value):
    assert pools_in(value)[0].body == value


def test_a_model_of_an_older_generation_gives_what_may_be_asked_for():
    class Model:
        _attribute_map: dict[str, Any] = {}
        name = "p"

        def as_dict(self, keep_readonly: bool = True, **kwargs: Any) -> dict[str, Any]:
            return {**OLD_ARM, **({"allocation_state": "Steady"} if keep_readonly else {})}

    assert "allocation_state" not in plain(Model())
    assert pools_in(Model())[0].body == pools_in(OLD_ARM)[0].body


def test_a_document_without_a_bottom_ends():
    endless: dict[str, Any] = {"vm_size": "x"}
    endless["start_task"] = endless
    (pool,) = pools_in(endless)
    assert errors_of(pool.body)


def errors_of(body: Any) -> list[str]:
    return [finding.problem for finding in check_pool(body, pool_id="p") if finding.severity == "error"]
