"""Pools in what people have them in: templates, answers, pages, Terraform; and what holds no pool."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.cli.main import main
from airflow_batchext.pool_spec import Positions, parse_pools, pools_in
from airflow_batchext.pool_spec._sdk_schema import check_pool
from tests.pool_spec.documents import GOOD

BODY = {key: item for key, item in GOOD.items() if key not in ("name", "type")}
TYPE = "Microsoft.Batch/batchAccounts/pools"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def resource(name: str = "account/pool1", **members: Any) -> dict[str, Any]:
    around = {"type": TYPE, "apiVersion": "2025-06-01", "name": name, "dependsOn": ["x"]}
    return {**around, **copy.deepcopy(BODY), **members}


def template(*resources: Any, **members: Any) -> dict[str, Any]:
    return {"$schema": SCHEMA, "contentVersion": "1.0.0.0", **members, "resources": list(resources)}


ACCOUNT = {"type": "Microsoft.Batch/batchAccounts", "name": "account", "properties": {}}
STATE = {
    "terraform_version": "1.9.0",
    "values": {
        "root_module": {
            "resources": [
                {
                    "type": "azapi_resource",
                    "name": "it",
                    "values": {"type": f"{TYPE}@2025-06-01", "name": "pool1", "body": BODY},
                }
            ]
        }
    },
}
FORMS: dict[str, tuple[Any, str]] = {
    "template": (template(ACCOUNT, resource()), "resources[1]"),
    "nested under its account": (
        template({**ACCOUNT, "resources": [resource("pool1", type="pools")]}),
        "resources[0].resources[0]",
    ),
    "symbolic names": ({**template(), "resources": {"it": resource()}}, "resources.it"),
    "deployment within": (
        template(
            {"type": "Microsoft.Resources/deployments", "properties": {"template": template(resource())}}
        ),
        "resources[0].properties.template.resources[0]",
    ),
    "bicep": (
        template(
            resource("[format('{0}/{1}', parameters('account'), 'pool1')]"),
            parameters={"account": {"type": "string"}},
        ),
        "resources[0]",
    ),
    "resource": (resource(), ""),
    "page": ({"name": "pool1", "type": TYPE, "parameters": BODY}, "parameters"),
    "example": ({"parameters": {"poolName": "pool1", "parameters": BODY}}, "parameters.parameters"),
    "list": ({"value": [{"name": "pool1", **BODY}]}, "value[0]"),
    "az resource show": (
        {
            "name": "pool1",
            "type": TYPE,
            "kind": None,
            "location": None,
            "sku": None,
            "resourceGroup": "g",
            **BODY,
        },
        "",
    ),
    "tf.json": (
        {
            "resource": {
                "azapi_resource": {"it": {"type": f"{TYPE}@2025-06-01", "name": "pool1", "body": BODY}}
            }
        },
        "resource.azapi_resource.it.body",
    ),
    "terraform show": (STATE, "values.root_module.resources[0].values.body"),
}


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump], ids=["json", "yaml"])
@pytest.mark.parametrize("form", FORMS)
def test_a_pool_is_found_in_each_form_and_nothing_is_wrong_with_it(form, write):
    document, path = FORMS[form]
    (pool,) = parse_pools(write(document), source="x")
    assert (pool.path, pool.name) == (path, "pool1")
    assert check_pool(pool.body) == []


@pytest.mark.parametrize("form", FORMS)
def test_what_is_wrong_is_told_at_its_own_line(form, tmp_path, capsys):
    document, _ = copy.deepcopy(FORMS[form])
    text = json.dumps(document, indent=1).replace('"STANDARD_NC4AS_T4_V3"', '"Standard NC4as T4 v3"')
    file = tmp_path / "it.json"
    file.write_text(text)
    assert main(["validate", str(file), "--json"]) == 1
    (pool,) = json.loads(capsys.readouterr().out)["pools"]
    (finding,) = pool["findings"]
    assert finding["path"] == "properties.vmSize"
    assert '"vmSize"' in text.splitlines()[finding["line"] - 1]


def test_all_pools_of_a_template_are_found():
    document = template(
        resource("a/p1"), resource("a/p2"), {**ACCOUNT, "resources": [resource("p3", type="pools")]}
    )
    assert [pool.name for pool in pools_in(document)] == ["p1", "p2", "p3"]


def test_what_a_template_itself_says_is_evaluated():
    found = resource()
    found["properties"] |= {"vmSize": "[parameters('size')]", "displayName": "[concat('a-', variables('b'))]"}
    document = template(
        found,
        parameters={"size": {"type": "string", "defaultValue": "STANDARD_NC4AS_T4_V3"}},
        variables={"b": "[format('{0}!', 'c')]"},
    )
    (pool,) = pools_in(document)
    assert pool.body["properties"]["vmSize"] == "STANDARD_NC4AS_T4_V3"
    assert pool.body["properties"]["displayName"] == "a-c!"
    assert check_pool(pool.body) == []


@pytest.mark.parametrize(
    "expression",
    [
        "[parameters('missing')]",
        "[resourceId('x', 'y')]",
        "[variables('circle')]",
        "[concat('a'",
        "[if(true, 1, 2)]",
    ],
)
def test_what_cannot_be_evaluated_stays_and_is_told(expression):
    found = resource()
    found["properties"]["displayName"] = expression
    (pool,) = pools_in(template(found, variables={"circle": "[variables('circle')]"}))
    assert pool.body["properties"]["displayName"] == expression
    told = [finding.path for finding in check_pool(pool.body)]
    assert told == ([] if not expression.endswith("]") else ["properties.displayName"])


@given(
    st.recursive(
        st.none() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "resources",
                        "value",
                        "parameters",
                        "properties",
                        "resource",
                        "azapi_resource",
                        "type",
                        "body",
                    ]
                ),
                inner | st.just(TYPE),
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
@settings(deadline=None, max_examples=200)
def test_anything_that_looks_like_a_form_is_read_without_harm(value):
    for pool in pools_in(value):
        check_pool(pool.body)
        assert Positions(json.dumps(value)).place(pool.path)


def test_a_bomb_of_variables_is_not_evaluated():
    variables = {"v0": "x" * 100}
    for i in range(1, 40):
        variables[f"v{i}"] = f"[concat(variables('v{i - 1}'), variables('v{i - 1}'))]"
    found = resource()
    found["properties"]["displayName"] = "[variables('v39')]"
    (pool,) = pools_in(template(found, variables=variables))
    assert pool.body["properties"]["displayName"] == "[variables('v39')]"


FOREIGN = {
    "parameters of an ARM template": {"$schema": "https://x/deploymentParameters.json#", "parameters": {}},
    "no pool is among its resources": template(ACCOUNT),
    "a job brings along": {"autoPoolIdPrefix": "a", "poolLifetimeOption": "job", "pool": {"vmSize": "x"}},
    "Batch Explorer": {"parameters": {"n": {"type": "int"}}, "pool": {"id": "[parameters('n')]"}},
    "CLI's extension": {"templateMetadata": {}, "job": {}},
    "Terraform's JSON": {"resource": {"azurerm_batch_job": {"it": {"name": "x"}}}},
    "terraform show -json": {"terraform_version": "1", "values": {}},
    "an example of a REST call": {"parameters": {"poolName": "p"}, "responses": {"200": {}}},
    "a Batch account": {"type": "Microsoft.Batch/batchAccounts", "properties": {}},
    "a task": {"id": "t", "commandLine": "true"},
    "a job, not a pool": {"id": "j", "poolInfo": {"poolId": "p"}},
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_no_pool_is_called_by_its_name_once(what):
    (pool,) = pools_in(FOREIGN[what])
    (finding,) = check_pool(pool.body, pool_id="p")
    assert finding.severity == "error"
    assert what in finding.problem
    assert finding.fix


@pytest.mark.parametrize("name", ["pool.bicep", "pool.tf", "pool.bicepparam"])
def test_another_language_is_called_by_its_name(name, tmp_path, capsys):
    file = tmp_path / name
    file.write_text("resource pool 'Microsoft.Batch/batchAccounts/pools@2025-06-01' = {}")
    assert main(["validate", str(file)]) == 1
    out = capsys.readouterr().out
    assert "Bicep" in out or "Terraform" in out


def test_an_unreadable_file_does_not_hide_the_others(tmp_path, capsys):
    good = tmp_path / "good.json"
    good.write_text(json.dumps(GOOD))
    assert main(["validate", str(tmp_path / "missing.json"), str(good)]) == 2
    out, err = capsys.readouterr()
    assert "missing.json cannot be read" in err
    assert "1 pool in 1 file: nothing wrong" in out
