"""Changes of the data plane, through the SDK's client, sync and async."""

from __future__ import annotations

import pytest

from airflow_batchext.exceptions import AccessRefusedError, ConflictError, NotFoundError, ServiceError
from airflow_batchext.hooks import _node_requests as _requests
from airflow_batchext.hooks.node import AzureBatchNodeHook


def states(azure):
    return [visible.now.state.value for visible in azure.emulator.account.nodes(azure.pool_id)]


@pytest.mark.parametrize("conn_id", ["official", "azure_batchext_default"])
def test_nodes_are_rebooted_and_removed_and_pools_resized(azure, conn_id):
    azure.create(3)
    first, second, _ = (visible.node.id for visible in azure.emulator.account.nodes(azure.pool_id))
    with AzureBatchNodeHook(conn_id) as hook:
        assert hook.change(_requests.reboot_node(azure.pool_id, first)) == ""
        assert states(azure)[0] == "rebooting"
        etag = hook.change(_requests.remove_nodes(azure.pool_id, [second], on_tasks="taskcompletion"))
        assert etag == hook.get_pool(azure.pool_id)["eTag"]
        azure.pass_time(60)
        hook.change(_requests.resize_pool(azure.pool_id, 4, 0, etag=etag))
        assert hook.get_pool(azure.pool_id)["targetDedicatedNodes"] == 4
    paths = [request.path for request in azure.emulator.requests if request.method == "GET"]
    assert not [path for path in paths if "/nodes/" in path], "nothing polls behind our back"


def test_metadata_are_replaced_only_in_the_pool_that_was_read(azure):
    azure.create(1)
    with AzureBatchNodeHook("official") as hook:
        etag = hook.get_pool(azure.pool_id)["eTag"]
        new = hook.change(_requests.replace_metadata(azure.pool_id, [("a", "1")], etag=etag))
        assert hook.get_pool(azure.pool_id)["metadata"] == [{"name": "a", "value": "1"}]
        assert hook.get_pool(azure.pool_id)["eTag"] == new
        for change in (
            _requests.replace_metadata(azure.pool_id, [], etag=etag),
            _requests.remove_nodes(azure.pool_id, ["n"], etag=etag),
            _requests.resize_pool(azure.pool_id, 0, 0, etag=etag),
        ):
            with pytest.raises(ConflictError) as caught:
                hook.change(change)
            assert caught.value.status == 412


async def test_the_async_client_does_the_same(azure):
    azure.create(1)
    node_id = azure.emulator.account.nodes(azure.pool_id)[0].node.id
    async with AzureBatchNodeHook("official") as hook:
        await hook.achange(_requests.reboot_node(azure.pool_id, node_id))
        assert states(azure) == ["rebooting"]
        with pytest.raises(ConflictError, match=f"Could not reimage node {node_id} of pool {azure.pool_id}"):
            await hook.achange(_requests.reimage_node(azure.pool_id, node_id))


def test_what_azure_refuses_is_one_of_our_errors(azure):
    azure.create(1)
    with AzureBatchNodeHook("official") as hook:
        with pytest.raises(NotFoundError, match="reboot node a/b"):
            hook.change(_requests.reboot_node(azure.pool_id, "a/b"))
        with pytest.raises(ServiceError, match="nodeList"):
            hook.change(_requests.remove_nodes(azure.pool_id, []))
    azure.connect("wrong", {**OFFICIAL, "extra": {"account_url": azure.emulator.info.http_endpoint}})
    with AzureBatchNodeHook("wrong") as hook, pytest.raises(AccessRefusedError):
        hook.change(_requests.resize_pool(azure.pool_id, 1, 0))


OFFICIAL = {"conn_type": "azure_batch", "login": "batchaccount", "password": "d3Jvbmc="}
