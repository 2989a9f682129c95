"""``batchext convert`` and ``batchext export``: what they write is a document again."""

from __future__ import annotations

import copy
import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_batchext.cli.convert import converted
from airflow_batchext.cli.main import main
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.pool_spec import PoolDocument, parse_pools
from airflow_batchext.pool_spec._sdk_schema import check_pool
from tests.conftest import document
from tests.examples import examples
from tests.pool_spec.bodies import BODIES, WHOLE_BODIES
from tests.pool_spec.documents import GOOD, with_change

BODY = {key: item for key, item in GOOD.items() if key != "type"}
TYPE = "Microsoft.Batch/batchAccounts/pools"


@pytest.fixture
def convert(tmp_path, capsys):
    def run(body, *arguments):
        file = tmp_path / "pool.json"
        file.write_text(body if isinstance(body, str) else json.dumps(body))
        status = main(["convert", str(file), *arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.mark.parametrize("form", ["arm", "yaml", "template"])
def test_a_document_is_the_same_pool_in_each_form(convert, form):
    body = with_change("properties.metadata", [{"name": "a", "value": "[x('y')]"}], BODY)
    status, out, err = convert(body, "--to", form)
    assert (status, err) == (0, "")
    (pool,) = parse_pools(out, source="x")
    assert pool.body == (body | {"type": TYPE} if form == "template" else body)


BRACKETS = st.sampled_from(
    ["[x]", "[[x]", "[concat('a', 'b')]", "[[[x]]", "[x", "[[x", "x]", "[]", "[", "[1]"]
)


@given(WHOLE_BODIES | BODIES, BRACKETS, BRACKETS)
@settings(deadline=None, max_examples=examples(100), suppress_health_check=list(HealthCheck))
def test_a_document_comes_back_from_a_template(body, name, value):
    body = {**body, "name": "p", "tags": {name: value, "a": [value]}}
    text, lost = converted([PoolDocument(body)], "template")
    assert lost == []
    (pool,) = parse_pools(text, source="x.json")
    assert pool.body == body | {"type": TYPE}


@pytest.mark.parametrize("form", ["arm", "yaml", "template", "data-plane", "builder"])
def test_what_cannot_be_written_in_utf_8_is_refused(convert, form):
    status, out, err = convert('{"name": "p", "properties": {"vmSize": "\\ud800"}}', "--to", form)
    assert status in (0, 1)
    assert "Traceback" not in err
    (out + err).encode()


def test_what_azure_said_of_a_pool_is_left_out(convert):
    answer = {
        **BODY,
        "id": "/x",
        "etag": "y",
        "properties": BODY["properties"] | {"allocationState": "Steady"},
    }
    assert json.loads(convert(answer)[1]) == BODY


@pytest.mark.parametrize("body", [{}, {"name": "p"}, {"tags": {}}, {"propertis": {"vmSize": "x"}}])
@pytest.mark.parametrize("form", ["arm", "yaml", "template", "data-plane", "builder"])
def test_what_is_no_pool_as_yet_is_not_converted(convert, body, form):
    status, out, err = convert(body, "--to", form)
    assert (status, out) == (1, "")
    assert "properties is missing" in err


def test_the_other_plane_and_back(convert):
    plain = {key: item for key, item in BODY.items() if key != "identity"}
    status, there, err = convert(plain, "--to", "data-plane")
    assert (status, err) == (0, "")
    assert json.loads(there)["id"] == "pool1"
    status, back, err = convert(there, "--to", "arm")
    assert (status, err) == (0, "")
    assert json.loads(back) == plain


def test_what_is_not_carried_is_said_and_the_rest_is_written(convert):
    status, out, err = convert(BODY, "--to", "data-plane")
    assert status == 1
    assert "not carried: identity: pools of the data plane cannot be given an identity" in err
    assert json.loads(out)["vmSize"] == BODY["properties"]["vmSize"]


def test_names_in_another_case_are_written_as_azure_does(convert):
    body = copy.deepcopy({key: item for key, item in BODY.items() if key != "identity"})
    body["properties"]["VMSIZE"] = body["properties"].pop("vmSize")
    assert json.loads(convert(body, "--to", "data-plane")[1])["vmSize"] == "STANDARD_NC4AS_T4_V3"


def test_of_several_pools_one_can_be_chosen(convert, tmp_path):
    pools = [BODY, {**BODY, "name": "other"}]
    assert [pool["name"] for pool in json.loads(convert(pools)[1])] == ["pool1", "other"]
    target = tmp_path / "out.yaml"
    assert convert(pools, "--pool", "other", "--to", "yaml", "-o", str(target))[:2] == (0, "")
    assert yaml.safe_load(target.read_text())["name"] == "other"
    assert convert(pools, "--pool", "nobody")[0] == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "not valid JSON"),
        ({"id": "t", "commandLine": "true"}, "this is a task"),
        ("[]", "is an empty list"),
    ],
)
def test_what_is_no_pool_is_refused(convert, body, said):
    status, out, err = convert(body)
    assert (status, out) == (1, "")
    assert said in err


def test_a_file_that_is_not_there(capsys):
    assert main(["convert", "/nowhere/pool.json"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_pool_that_exists_becomes_a_document(azure, capsys):
    body = document(0)
    body["properties"]["userAccounts"] = [{"name": "worker", "password": "S3cret-of-a-user"}]
    with AzureBatchPoolHook("azure_batchext_default") as hook:
        hook.create_pool(azure.pool_id, body)
    capsys.readouterr()
    status = main(["export", azure.pool_id])
    out, err = capsys.readouterr()
    assert status == 1  # its extension may have had protected settings
    assert "protected settings" in err
    found = yaml.safe_load(out)
    assert found["name"] == azure.pool_id
    variable = f"{azure.pool_id}_worker_password"
    assert found["properties"]["userAccounts"][0]["password"] == {"$secret": {"variable": variable}}
    assert "S3cret" not in out + err
    assert [f for f in check_pool(found) if f.severity == "error" or "said by Azure" in f.problem] == []


def test_a_pool_that_is_not_there_is_not_exported(azure, capsys):
    assert main(["export", "nobody"]) == 2
    assert "batchext export: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (("vmSize", "Standard D2s v5"), "vmSize"),
        (("targetDedicatedNodes", -1), "targetDedicatedNodes"),
        (("resizeTimeout", "PT1M"), "resizeTimeout"),
        (
            ("virtualMachineConfiguration", {"nodeAgentSKUId": "batch.node.ubuntu-24.04"}),
            "virtualMachineConfiguration.nodeAgentSKUId",
        ),
        (("metadata", {"a": "b"}), "metadata"),
    ],
)
def test_what_is_wrong_in_a_body_of_the_data_plane_is_told_at_its_own_place(
    change, path, tmp_path, capsys, convert
):
    plain = {key: item for key, item in BODY.items() if key != "identity"}
    body = json.loads(convert(plain, "--to", "data-plane")[1])
    body["virtualMachineConfiguration"].pop("extensions")
    member, value = change
    body[member] = {**body[member], **value} if member == "virtualMachineConfiguration" else value
    file = tmp_path / "data.json"
    file.write_text(json.dumps(body, indent=1))
    assert main(["validate", "--json", str(file)]) == 1
    (pool,) = json.loads(capsys.readouterr().out)["pools"]
    shape, finding = sorted(pool["findings"], key=lambda entry: entry["path"])
    assert "data plane" in shape["problem"]
    assert finding["path"] == path
    assert f'"{path.rpartition(".")[2]}"' in file.read_text().splitlines()[finding["line"] - 1]


def test_a_body_of_the_data_plane_that_is_right_is_told_of_its_shape_alone(tmp_path, capsys, convert):
    plain = {key: item for key, item in BODY.items() if key != "identity"}
    body = json.loads(convert(plain, "--to", "data-plane")[1])
    body["virtualMachineConfiguration"].pop("extensions")
    file = tmp_path / "data.json"
    file.write_text(json.dumps(body))
    assert main(["validate", "--json", str(file)]) == 1
    (pool,) = json.loads(capsys.readouterr().out)["pools"]
    (shape,) = pool["findings"]
    assert "data plane" in shape["problem"]
