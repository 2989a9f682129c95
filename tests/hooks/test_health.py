"""A snapshot is read from an account through the real SDKs, sync and async, at a known cost."""

from __future__ import annotations

import asyncio
import json

import pytest

from airflow_batchext.batch.data_plane import Phase
from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.data import queries
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.health import to_json
from airflow_batchext.hooks.health import aread_health, read_health
from airflow_batchext.hooks.node import AzureBatchNodeHook

SECRET = "S3NTINEL"


def read(azure, **kwargs):
    with AzureBatchNodeHook(retries=0) as hook:
        return read_health(hook, azure.pool_id, **kwargs)


def aread(azure, **kwargs):
    async def inside():
        async with AzureBatchNodeHook(retries=0) as hook:
            return await aread_health(hook, azure.pool_id, **kwargs)

    return asyncio.run(inside())


@pytest.mark.parametrize("way", [read, aread])
@pytest.mark.parametrize("settings", ["string", "object"])
def test_a_healthy_pool(azure, way, settings):
    azure.emulator.scenario = Scenario(answers={"node_settings": settings, "pool_settings": settings})
    azure.create(nodes=3)
    health = way(azure)
    assert (health.outcome, health.summary) == ("open", "3 of 3 nodes ready")
    assert (health.vm_size, health.allocation_state) == ("standard_ds2_v2", "steady")
    assert health.node_agent == "batch.node.ubuntu 24.04"
    assert health.image["sku"] == "server"
    assert len(health.identities) == 1
    assert [e.name for e in health.extensions] == ["secretext"]
    for node in health.nodes:
        assert (node.phase, node.dedicated, node.scheduling) == (Phase.SUCCEEDED, True, "enabled")
        assert {e.name: e.expected for e in node.extensions} == {
            "secretext": True,
            "batchNodeExtension": False,
        }
        assert node.extensions[0].publisher
    assert health.taken_at == pytest.approx(azure.emulator.clock.now().timestamp(), abs=5)


IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/a"


@pytest.mark.parametrize("way", [read, aread])
@pytest.mark.parametrize(
    "shown",
    [
        [{"resourceId": IDENTITY, "clientId": "c-1"}],  # as the data plane writes them
        {IDENTITY: {"clientId": "c-1", "principalId": "p"}},  # and the management plane
    ],
)
def test_identities_are_understood_in_either_planes_form(azure, way, shown):
    azure.create(nodes=1)
    rule = {"action": "edit", "at": "identity/userAssignedIdentities", "value": shown, "method": "GET"}
    azure.emulator.faults.add(read_fault({**rule, "path": f"/pools/{azure.pool_id}"}))
    assert way(azure).identities == {IDENTITY: "c-1"}


@pytest.mark.parametrize("way", [read, aread])
def test_each_node_that_has_a_machine_is_read_once(azure, way):
    azure.create(nodes=5)
    azure.emulator.account.preempt_node(azure.pool_id, 0)
    azure.emulator.account.remove_node(azure.pool_id, 1)
    azure.emulator.requests.clear()
    health = way(azure)
    assert len(azure.reads("/extensions")) == 3
    assert len(azure.reads("/pools")) == 5
    states = {node.state for node in health.nodes}
    assert {"preempted", "leavingpool"} < states
    assert not any(node.unread for node in health.nodes)


def test_a_pool_of_many_nodes_costs_a_read_of_each_and_its_pages(azure, monkeypatch):
    """With pages of a hundred where Azure has a thousand."""
    monkeypatch.setattr(queries, "_LARGEST_PAGE", 100)
    azure.create(nodes=201)
    azure.emulator.requests.clear()
    health = read(azure)
    assert len(health.nodes) == 201
    assert len(azure.reads("/pools")) == 201 + 3 + 1


@pytest.mark.parametrize("way", [read, aread])
def test_what_could_not_be_read_is_said_to_be_unread(azure, way):
    azure.create(nodes=3)
    azure.emulator.faults.add(action="error", status=500, path="*/extensions", code="InternalError")
    health = way(azure)
    (unread,) = [node for node in health.nodes if node.unread]
    assert "500 InternalError" in unread.unread
    assert unread.phase is Phase.PENDING
    assert health.totals.unread == 1
    azure.emulator.faults.clear()
    azure.emulator.faults.add(action="error", status=500, path="*/nodes")
    health = way(azure)
    assert health.unread
    assert not health.nodes
    assert health.vm_size  # what could be read is there
    azure.emulator.faults.clear()
    azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
    assert "does not exist" in way(azure).summary


def test_only_the_nodes_that_are_asked_for_are_read(azure):
    azure.create(nodes=3)
    first = read(azure).nodes[0].id
    azure.emulator.requests.clear()
    health = read(azure, only={first})
    assert len(azure.reads("/extensions")) == 1
    assert sorted(node.unread for node in health.nodes) == ["", *["nobody has read them"] * 2]


def test_no_secret_of_a_pool_gets_into_its_snapshot(azure):
    extension = {
        "name": "e",
        "publisher": "Microsoft.Azure.Monitor",
        "type": "AzureMonitorLinuxAgent",
        "settings": {"storageAccountKey": SECRET, "fileUri": f"https://a/b?sig={SECRET}"},
        "protectedSettings": {"key": SECRET},
    }
    azure.emulator.scenario = Scenario.model_validate(
        {
            "extensions": [
                {"extension": "e", "outcome": "fail", "message": f"GET https://a/b?se=1&sig={SECRET} failed"}
            ]
        }
    )
    azure.create(nodes=1, extensions=[extension])
    health = read(azure)
    assert health.outcome == "fail"
    assert SECRET not in json.dumps(to_json(health))
