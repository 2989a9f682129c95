"""Reading what extensions return, in every shape that is on record."""

from __future__ import annotations

import json

import pytest

from airflow_batchext.emulator import Scenario
from airflow_batchext.exceptions import NotFoundError
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.operators._steps.extension import extension_data
from airflow_batchext.operators.extension import AzureBatchGetExtensionOperator
from tests import shapes

pytestmark = pytest.mark.usefixtures("signed_in")


def read(azure, **kwargs):
    task = AzureBatchGetExtensionOperator(task_id="read", pool_id=azure.pool_id, **kwargs)
    data = task.execute({})
    json.dumps(data)
    return data


@pytest.mark.parametrize("settings", ["string", "object"])
@pytest.mark.parametrize("conn_id", ["azure_batchext_default", "official"])
def test_all_extensions_of_all_nodes_with_settings_parsed(azure, settings, conn_id):
    azure.emulator.scenario = Scenario(answers={"node_settings": settings})
    azure.create(nodes=2)
    data = read(azure, azure_batchext_conn_id=conn_id)
    assert len(data) == 4
    assert {item["name"] for item in data} == {"secretext", "batchNodeExtension"}
    assert len({item["node_id"] for item in data}) == 2
    for item in data:
        assert item["pool_id"] == azure.pool_id
        assert item["statuses"][0]["code"] == "ProvisioningState/succeeded"
        if item["name"] == "secretext":
            assert item["settings"] == {"secretsManagementSettings": {"requireInitialSync": True}}
            assert item["publisher"] == "Microsoft.Azure.KeyVault"
            assert item["version"] == "1.0"


def test_one_extension_of_one_node(azure):
    azure.create(nodes=2)
    with AzureBatchNodeHook() as hook:
        node_id = hook.list_nodes(azure.pool_id)[0]["id"]
    (item,) = read(azure, compute_node_id=node_id, extension_name="secretext")
    assert (item["node_id"], item["name"]) == (node_id, "secretext")
    assert len(read(azure, compute_node_id=node_id)) == 2
    assert len(read(azure, extension_name="secretext")) == 2


def test_what_was_asked_for_by_name_must_be_there(azure):
    with pytest.raises(NotFoundError, match="PoolNotFound"):
        read(azure)
    azure.create(nodes=1)
    with pytest.raises(NotFoundError):
        read(azure, compute_node_id="tvmps_none_d")
    with AzureBatchNodeHook() as hook:
        node_id = hook.list_nodes(azure.pool_id)[0]["id"]
    with pytest.raises(NotFoundError, match="read extension other of node"):
        read(azure, compute_node_id=node_id, extension_name="other")


def test_nodes_that_have_nothing_to_say_are_passed_over(azure, capsys):
    azure.create(nodes=2)
    azure.emulator.account.preempt_node(azure.pool_id, 0)
    data = read(azure)
    assert len({item["node_id"] for item in data}) == 1
    assert "is passed over" in capsys.readouterr().out


@pytest.mark.parametrize("body", [shapes.recorded(), shapes.how_to(), shapes.specified(), {}])
def test_every_shape_becomes_the_same_plain_json(body):
    data = extension_data(body)
    assert list(data) == [
        "name", "instance_name", "publisher", "type", "version", "provisioning_state", "statuses",
        "sub_statuses", "settings",
    ]  # fmt: skip
    json.dumps(data)


def test_the_how_tos_text_of_settings_is_an_object_here():
    data = extension_data(shapes.how_to())
    assert data["settings"]["secretsManagementSettings"]["pollingIntervalInS"] == "300"
    assert (data["name"], data["instance_name"]) == ("KVExtensions", "secretext")
    for text in ("not json", "[" * 100_000):
        assert extension_data({"vmExtension": {"settings": text}})["settings"] == text


def test_protected_settings_are_left_out_should_they_ever_come():
    body = shapes.recorded()
    body["vmExtension"]["protectedSettings"] = {"key": "SENTINEL"}
    assert "SENTINEL" not in json.dumps(extension_data(body))
