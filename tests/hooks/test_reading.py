"""Reads past the SDK's models: in the SDK's version of the API, over all pages, nonsense told as such."""

from __future__ import annotations

import pytest

from airflow_batchext.emulator import Scenario
from airflow_batchext.exceptions import NotFoundError
from airflow_batchext.hooks._requests import API_VERSION
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook


def test_the_version_of_the_api_is_the_sdks(azure):
    for plane in (AzureBatchNodeHook, AzureBatchPoolHook):
        with plane() as hook:
            assert hook.get_conn()._config.api_version == API_VERSION


def test_what_the_sdks_models_give_is_what_is_read(azure):
    pool = azure.create(nodes=2)
    with AzureBatchNodeHook() as hook:
        nodes = hook.list_nodes(pool)
        client = hook.get_conn()
        assert nodes == [node.as_dict() for node in client.list_nodes(pool)]
        assert hook.get_pool(pool) == client.get_pool(pool).as_dict()
        assert hook.list_node_extensions(pool, nodes[0]["id"]) == [
            item.as_dict() for item in client.list_node_extensions(pool, nodes[0]["id"])
        ]


async def test_a_list_is_read_over_all_its_pages(azure):
    azure.emulator.scenario = Scenario(account={"dedicated_core_quota": 10_000})
    pool = azure.create(nodes=1001)
    azure.emulator.requests.clear()
    with AzureBatchNodeHook() as hook:
        nodes = hook.list_nodes(pool, select=["id"])
    async with AzureBatchNodeHook() as hook:
        assert await hook.alist_nodes(pool, select=["id"]) == nodes
    assert len({node["id"] for node in nodes}) == 1001
    assert len(azure.reads("/nodes")) == 4, "two pages each time"


def test_a_segment_of_the_path_stays_one(azure):
    pool = azure.create()
    with AzureBatchNodeHook() as hook, pytest.raises(NotFoundError):
        hook.list_node_extensions(pool, "../../pools")
    assert any("..%2F..%2Fpools" in path for path in azure.reads("extensions"))
