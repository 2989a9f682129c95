"""The forms in which pools come, and the choice among several."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import yaml
from azure.batch.models import BatchPoolCreateOptions
from azure.mgmt.batch import models

from airflow_batchext.loose_json.sdk_models import plain
from airflow_batchext.pool_spec import (
    DocumentChoiceError,
    DocumentSyntaxError,
    choose_pool,
    parse_pools,
    pools_in,
)
from airflow_batchext.pool_spec._sdk_schema import check_pool
from tests.pool_spec.documents import GOOD

OTHER = {**GOOD, "name": "other"}
TWO = f"{yaml.safe_dump(GOOD)}---\n{yaml.safe_dump(OTHER)}"


def model() -> models.Pool:
    """The same pool as GOOD, nearly, as the SDK has it."""
    return models.Pool(
        identity=models.BatchPoolIdentity(
            type="UserAssigned",
            user_assigned_identities={
                name: models.UserAssignedIdentities() for name in GOOD["identity"]["userAssignedIdentities"]
            },
        ),
        vm_size="STANDARD_NC4AS_T4_V3",
        deployment_configuration=models.DeploymentConfiguration(
            virtual_machine_configuration=models.VirtualMachineConfiguration(
                image_reference=models.ImageReference(
                    publisher="canonical", offer="ubuntu-24_04-lts", sku="server"
                ),
                node_agent_sku_id="batch.node.ubuntu 24.04",
                extensions=[
                    models.VMExtension(
                        name="x",
                        publisher="Microsoft.HpcCompute",
                        type="NvidiaGpuDriverLinux",
                        settings={"deep": {"deeper": [1, True, None]}},
                        protected_settings={"key": "hidden"},
                    )
                ],
            )
        ),
        scale_settings=models.ScaleSettings(
            fixed_scale=models.FixedScaleSettings(
                resize_timeout=timedelta(minutes=10), target_dedicated_nodes=1
            )
        ),
    )


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (json.dumps(GOOD), "pool.json"),
        (json.dumps([GOOD]), "pool.json"),
        (yaml.safe_dump(GOOD), "pool.yaml"),
        (yaml.safe_dump([GOOD]), "pool.yaml"),
        (f"---\n{yaml.safe_dump(GOOD)}---\n", "pool.yaml"),
        (json.dumps({"parameters": {"poolName": "pool1", "api-version": "1", "parameters": GOOD}}), "x.json"),
    ],
)
def test_one_pool_in_any_form_is_the_same_body(text, source):
    (pool,) = parse_pools(text, source=source)
    assert pool.body == GOOD
    assert pool.name == "pool1"
    assert choose_pool([pool], "any name", source=source) is pool


def test_of_several_pools_one_is_chosen_by_its_name():
    for text, source in ((TWO, "pools.yaml"), (json.dumps([GOOD, OTHER]), "pools.json")):
        pools = parse_pools(text, source=source)
        assert [pool.name for pool in pools] == ["pool1", "other"]
        assert choose_pool(pools, "OTHER", source=source).body == OTHER


@pytest.mark.parametrize("name", [None, "", "nobody"])
def test_a_choice_that_is_not_clear_lists_the_names(name):
    with pytest.raises(DocumentChoiceError, match="pool1, other") as caught:
        choose_pool(parse_pools(TWO, source="pools.yaml"), name, source="pools.yaml")
    assert str(caught.value).startswith("pools.yaml holds ")


def test_two_pools_of_one_name_are_no_choice():
    pools = pools_in([GOOD, {**GOOD, "name": "POOL1"}, {}])
    with pytest.raises(DocumentChoiceError, match=r"2 pools of the name 'pool1'.*\(no name\)"):
        choose_pool(pools, "pool1", source="x")
    with pytest.raises(DocumentChoiceError, match="holds no pool"):
        choose_pool(pools_in([]), "pool1", source="x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("---\n---\n", "is empty"),
        ("[]", "empty list"),
        ("[1]", "entry 1"),
        ("x", "a string"),
    ],
)
def test_a_text_without_a_pool_is_refused(text, said):
    with pytest.raises(DocumentSyntaxError, match=said):
        parse_pools(text, source="x.yaml")


def test_the_place_of_a_pool_in_its_text_is_kept():
    wrapped = {"parameters": {"poolName": "p", "parameters": GOOD}}
    assert [(pool.part, pool.path) for pool in pools_in([wrapped, GOOD])] == [
        (0, "[0].parameters.parameters"),
        (0, "[1]"),
    ]
    assert [(pool.part, pool.path) for pool in parse_pools(TWO, source="x")] == [(0, ""), (1, "")]


def test_a_model_of_the_sdk_gives_its_body_unharmed():
    pool = model()
    body = plain(pool)
    machine = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    assert machine["extensions"][0]["settings"] == {"deep": {"deeper": [1, True, None]}}
    assert machine["extensions"][0]["protectedSettings"] == {"key": "hidden"}
    assert body["properties"]["scaleSettings"]["fixedScale"] == {
        "resizeTimeout": "PT10M00S",  # the same duration, as the SDK writes it
        "targetDedicatedNodes": 1,
    }
    assert type(machine) is dict
    assert check_pool(body, pool_id="p") == []
    assert pools_in([pool, GOOD])[0].body == body
    assert plain(pool) == body


def test_a_pool_that_was_read_from_azure_keeps_its_name_and_nothing_else_that_only_azure_sets():
    read = models.Pool({**GOOD, "id": "/x", "etag": "y"})
    read.properties["allocationState"] = "Steady"
    body = plain(read)
    assert body["name"] == "pool1"
    assert "etag" not in body
    assert "allocationState" not in body["properties"]


def test_a_model_of_the_data_plane_is_told_to_be_of_the_other_plane():
    options = BatchPoolCreateOptions(id="pool1", vm_size="standard_d2s_v5")
    (finding,) = check_pool(plain(options))
    assert "data plane" in finding.problem


@pytest.mark.parametrize("value", [None, 3, "text", models.Pool, [3], {"parameters": 1}])
def test_what_is_no_pool_is_passed_on_as_it_is(value):
    (pool,) = pools_in(value)
    assert pool.body == (value[0] if isinstance(value, list) else value)


NO_POOLS = {
    "an event of Batch's log": {"id": "p", "vmSize": "x", "isAutoPool": False},
    "a JSON schema": {"$schema": "http://json-schema.org/draft-07/schema#", "title": "x", "type": "object"},
    "a job": {"job": {"id": "j"}},
    "nothing in this document is of a pool": {"version": 1, "interactions": [{"request": {}}]},
}


@pytest.mark.parametrize("what", NO_POOLS)
def test_what_is_no_pool_is_named_once(what):
    (finding,) = check_pool(NO_POOLS[what], pool_id="p")
    assert what in finding.problem
    assert finding.path == ""


@pytest.mark.parametrize("document", [{"propertes": {}}, {"vmsizes": "x"}, {"name": "p"}, {"Properties": {}}])
def test_what_has_something_of_a_pool_is_looked_at(document):
    assert [f for f in check_pool(document, pool_id="p") if "nothing in this document" in f.problem] == []


@pytest.mark.parametrize("inner", [{"id": "p", "vmSize": "x"}, GOOD])
def test_the_body_in_an_article_is_the_member_pool(inner):
    (pool,) = pools_in({"pool": inner})
    assert (pool.body, pool.path) == (inner, "pool")


def test_nulls_of_a_template_say_nothing():
    resource = {"type": "Microsoft.Batch/batchAccounts/pools", "apiVersion": "1", "scale": None}
    (pool,) = pools_in({"resources": [{**resource, "name": "a/p", "properties": GOOD["properties"]}]})
    assert check_pool(pool.body) == check_pool({"name": "p", "properties": GOOD["properties"]})
