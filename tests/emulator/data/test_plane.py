"""Pools, nodes and extensions through azure-batch, sync and aio, and raw requests for the rest."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.batch import BatchClient, models
from azure.core import MatchConditions
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)

from airflow_batchext.emulator import Emulator, PoolScenario, Scenario
from airflow_batchext.emulator.account.lifecycle import NodeState
from airflow_batchext.emulator.scenario import Answers, ResizeError
from tests.emulator.pool_documents import data_pool, extension, management_pool, raw_data

if TYPE_CHECKING:
    from azure.batch.aio import BatchClient as AsyncBatchClient
    from azure.mgmt.batch import BatchManagementClient

Ready = Callable[..., str]
LATER: dict[str, Any] = {"polling_interval": 3600}
"""The pollers of the SDK ask at once and then from a thread; that thread is not to disturb other tests."""
REBOOT: dict[str, Any] = {**LATER, "options": {"nodeRebootOption": "requeue"}}
"""Without options the SDK (15.1.0) sends nothing at all: it fails for want of a content type."""


def code_of(error: HttpResponseError) -> str:
    return error.model.code  # type: ignore[no-any-return, attr-defined]


# --- pools -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["shared key", "token"])
def test_the_life_of_a_pool(
    emulator: Emulator, batch: BatchClient, batch_with_token: BatchClient, name: str, how: str
) -> None:
    client = batch if how == "shared key" else batch_with_token
    client.create_pool(data_pool(name, 2, targetLowPriorityNodes=1))
    pool = client.get_pool(name)
    assert (pool.state, pool.allocation_state) == ("active", "resizing")
    assert (pool.current_dedicated_nodes, pool.target_dedicated_nodes) == (0, 2)
    assert list(client.list_nodes(name)) == []
    emulator.clock.advance(124.2)
    assert {node.state for node in client.list_nodes(name)} == {models.BatchNodeState.CREATING}
    assert client.get_pool(name).allocation_state == "resizing"
    emulator.clock.advance(1)
    steady = client.get_pool(name)
    assert (steady.allocation_state, steady.etag) == ("steady", pool.etag)
    assert (steady.current_dedicated_nodes, steady.current_low_priority_nodes) == (2, 1)
    emulator.clock.advance(20)
    assert {node.state for node in client.list_nodes(name)} == {models.BatchNodeState.STARTING}
    emulator.clock.advance(8)
    nodes = list(client.list_nodes(name))
    assert {node.state for node in nodes} == {models.BatchNodeState.IDLE}
    assert sorted(re.sub(r"[0-9a-f]{64}", "#", node.id) for node in nodes) == [
        "tvmps_#_d", "tvmps_#_d", "tvmps_#_p",
    ]  # fmt: skip
    assert all(node.is_dedicated is node.id.endswith("_d") for node in nodes)
    assert client.pool_exists(name)
    client.begin_delete_pool(name, **LATER)
    assert client.get_pool(name).state == "deleting"
    assert {node.state for node in client.list_nodes(name)} == {models.BatchNodeState.LEAVING_POOL}
    emulator.clock.advance(8)
    assert list(client.list_nodes(name)) == []
    emulator.clock.advance(8)
    for gone in (client.get_pool, client.pool_exists, lambda pool: list(client.list_nodes(pool))):
        with pytest.raises(ResourceNotFoundError):
            gone(name)


async def test_the_async_client_sees_the_same(
    emulator: Emulator, async_batch: AsyncBatchClient, name: str
) -> None:
    await async_batch.create_pool(data_pool(name, 1, extension(settings={"a": 1})))  # type: ignore[arg-type]
    assert [node async for node in async_batch.list_nodes(name)] == []
    emulator.clock.advance(200)
    (node,) = [node async for node in async_batch.list_nodes(name, max_results=1)]
    assert (await async_batch.get_node(name, node.id)).state == "idle"
    names = [item.vm_extension.name async for item in async_batch.list_node_extensions(name, node.id)]
    assert sorted(names) == ["batchNodeExtension", "secretext"]
    one = await async_batch.get_node_extension(name, node.id, "secretext")
    assert one.provisioning_state == "Succeeded"
    await async_batch.begin_reboot_node(name, node.id, **REBOOT)
    assert (await async_batch.get_node(name, node.id)).state == "rebooting"
    await async_batch.begin_delete_pool(name, **LATER)
    emulator.clock.advance(60)
    with pytest.raises(ResourceNotFoundError, match="PoolNotFound"):
        await async_batch.get_pool(name)


def test_the_typed_models_of_the_sdk_are_understood(
    emulator: Emulator, batch: BatchClient, name: str
) -> None:
    machine = models.VirtualMachineConfiguration(
        image_reference=models.BatchVmImageReference(publisher="c", offer="u", sku="1"),
        node_agent_sku_id="batch.node.ubuntu 24.04",
        extensions=[models.VMExtension(name="e", publisher="p", type="t", settings={"a": {"b": 1}})],  # type: ignore[dict-item]
    )
    batch.create_pool(
        models.BatchPoolCreateOptions(
            id=name,
            vm_size="Standard_D2_v2",
            virtual_machine_configuration=machine,
            target_dedicated_nodes=1,
            resize_timeout=timedelta(minutes=6),
            task_scheduling_policy=models.BatchTaskSchedulingPolicy(node_fill_type="pack"),
            enable_inter_node_communication=True,
        )
    )
    pool = batch.get_pool(name)
    assert pool.vm_size == "standard_d2_v2"
    assert pool.resize_timeout == timedelta(minutes=6)
    assert pool.enable_inter_node_communication is True
    assert pool["taskSchedulingPolicy"] == {"nodeFillType": "Pack", "jobDefaultOrder": "none"}
    assert pool["virtualMachineConfiguration"]["extensions"][0]["settings"] == {"a": {"b": 1}}


def test_one_pool_seen_from_both_planes(
    emulator: Emulator, batch: BatchClient, management: BatchManagementClient, ready_pool: Ready
) -> None:
    name = ready_pool(2, extension(settings={"a": 1}))
    here = batch.get_pool(name)
    there = management.pool.get(emulator.info.resource_group, emulator.info.account, name)
    assert there.etag == f'W/"{here.etag}"'
    assert here.creation_time == there.creation_time
    assert here.allocation_state_transition_time == there.allocation_state_transition_time
    assert here.current_dedicated_nodes == there.current_dedicated_nodes == 2
    assert here["virtualMachineConfiguration"]["nodeAgentSKUId"] == "batch.node.ubuntu 18.04"
    batch.begin_delete_pool(name, **LATER)
    deleting = management.pool.get(emulator.info.resource_group, emulator.info.account, name)
    assert deleting.provisioning_state == "Deleting"


def test_a_pool_exists_only_once(emulator: Emulator, batch: BatchClient, name: str) -> None:
    batch.create_pool(data_pool(name))
    with pytest.raises(ResourceExistsError) as twice:
        batch.create_pool(data_pool(name.upper()))
    assert code_of(twice.value) == "PoolExists"
    batch.begin_delete_pool(name, **LATER)
    with pytest.raises(ResourceExistsError) as deleting:
        batch.create_pool(data_pool(name))
    assert code_of(deleting.value) == "PoolBeingDeleted"
    emulator.clock.advance(60)
    batch.create_pool(data_pool(name))


def test_a_bad_pool_is_refused(batch: BatchClient, name: str) -> None:
    with pytest.raises(HttpResponseError) as caught:
        batch.create_pool(data_pool(name, 1, extension(type="CustomScript")))
    error = caught.value.model
    assert (caught.value.status_code, error.code) == (400, "InvalidPropertyValue")
    values = {item.key: item.value for item in error.error_values}
    assert values["PropertyName"] == "type"
    assert values["PropertyValue"] == "CustomScript"


def test_resize_errors_show_once_the_pool_is_steady(
    emulator: Emulator, batch: BatchClient, name: str
) -> None:
    error = ResizeError(code="AllocationTimedout", message="too late", values={"Reason": "none left"})
    emulator.scenario = Scenario(
        pools=[PoolScenario(pool=name, resize_error=error, nodes_allocated=1, steady_after=900)]
    )
    batch.create_pool(data_pool(name, 3))
    emulator.clock.advance(898)
    assert batch.get_pool(name).resize_errors is None
    assert list(batch.list_nodes(name)) == []
    emulator.clock.advance(2)
    pool = batch.get_pool(name)
    assert (pool.allocation_state, pool.current_dedicated_nodes) == ("steady", 1)
    assert [(e.code, e.message) for e in pool.resize_errors] == [("AllocationTimedout", "too late")]
    assert [(v.name, v.value) for v in pool.resize_errors[0].error_values] == [("Reason", "none left")]


def test_an_autoscale_pool(emulator: Emulator, batch: BatchClient, name: str) -> None:
    document = data_pool(name, enableAutoScale=True, autoScaleFormula="$TargetDedicatedNodes=2")
    del document["targetDedicatedNodes"]
    batch.create_pool(document)
    emulator.clock.advance(200)
    pool = batch.get_pool(name)
    assert (pool.enable_auto_scale, pool.auto_scale_formula) == (True, "$TargetDedicatedNodes=2")
    assert pool.auto_scale_run.results.startswith("$TargetDedicatedNodes=2;")
    assert pool.current_dedicated_nodes == 2


def test_conditional_headers(batch: BatchClient, name: str) -> None:
    batch.create_pool(data_pool(name))
    etag = batch.get_pool(name).etag
    with pytest.raises(ResourceModifiedError) as unchanged:
        batch.get_pool(name, etag=etag, match_condition=MatchConditions.IfModified)
    assert unchanged.value.status_code == 304
    with pytest.raises(ResourceModifiedError) as other:
        batch.begin_delete_pool(name, etag="0x1", match_condition=MatchConditions.IfNotModified)
    assert other.value.status_code == 412
    modified = batch.get_pool(name).last_modified
    with pytest.raises(ResourceModifiedError):
        batch.get_pool(name, if_modified_since=modified)
    with pytest.raises(HttpResponseError) as since:
        batch.begin_delete_pool(name, if_unmodified_since=modified - timedelta(hours=1))
    assert since.value.status_code == 412
    batch.begin_delete_pool(name, etag=etag, match_condition=MatchConditions.IfNotModified, **LATER)


def test_lists_are_paged_and_in_order(
    emulator: Emulator, batch: BatchClient, batch_with_token: BatchClient
) -> None:
    for pool in ("c", "a", "b"):
        batch.create_pool(data_pool(pool, 0))
    for client in (batch, batch_with_token):
        pages = [[pool.id for pool in page] for page in client.list_pools(max_results=1).by_page()]
        assert pages == [["a"], ["b"], ["c"]]


def test_the_pollers_of_the_sdk_see_a_reboot_and_a_deletion_through(name: str) -> None:
    with Emulator(time_scale=1000) as fast:
        info = fast.info
        credential = AzureNamedKeyCredential(info.account, info.key)
        with BatchClient(info.http_endpoint, credential) as client:
            client.create_pool(data_pool(name))  # type: ignore[arg-type]
            fast.clock.advance(200)
            node = fast.account.node(name, 0).node.id
            options: Any = {"nodeRebootOption": "requeue"}
            client.begin_reboot_node(name, node, options, polling_interval=1).result()
            assert client.get_node(name, node).state != "rebooting"
            client.begin_delete_pool(name, polling_interval=1).result()
            assert list(client.list_pools()) == []


# --- nodes -------------------------------------------------------------------------------------------------


def test_nodes_are_paged_filtered_and_selected(
    emulator: Emulator, batch: BatchClient, ready_pool: Ready
) -> None:
    name = ready_pool(7)
    emulator.account.mark_node(name, 2, "unusable")
    pages = [list(page) for page in batch.list_nodes(name, max_results=3, select=["id", "state"]).by_page()]
    assert [len(page) for page in pages] == [3, 3, 1]
    ids = [node.id for page in pages for node in page]
    assert ids == sorted(set(ids))
    assert set(pages[0][0]) == {"id", "state"}
    idle = list(batch.list_nodes(name, max_results=2, filter="state eq 'idle'"))
    assert len(idle) == 6
    broken = [node.id for node in batch.list_nodes(name, filter="state ne 'idle'")]
    assert broken == [emulator.account.node(name, 2).node.id]
    both = batch.list_nodes(name, filter="state eq 'idle' or state eq 'unusable'")
    assert len(list(both)) == 7


def test_a_list_shows_each_node_as_it_is_shown_alone(emulator: Emulator, name: str) -> None:
    # The list is written from templates; per cent signs and braces are the client's own.
    start = {"commandLine": "date +%s %(id)s {}", "environmentSettings": [{"name": "n", "value": "100%"}]}
    network = {
        "endpointConfiguration": {
            "inboundNATPools": [
                {
                    "name": f"web{front}",
                    "protocol": "tcp",
                    "backendPort": 80,
                    "frontendPortRangeStart": front,
                    "frontendPortRangeEnd": front + 99,
                }
                for front in (1000, 10000)
            ]
        }
    }
    pool = data_pool(name, 3, targetLowPriorityNodes=2, startTask=start, networkConfiguration=network)
    assert raw_data(emulator, "POST", "/pools", json=pool).status_code == 201
    emulator.clock.advance(200)
    emulator.account.preempt_node(name, 4)
    emulator.account.reboot_node(name, 1)
    emulator.account.mark_node(name, 2, NodeState.UNUSABLE)
    listed = raw_data(emulator, "GET", f"/pools/{name}/nodes")
    assert listed.headers["Content-Type"] == "application/json; odata=minimalmetadata"
    assert list(listed.json()) == ["odata.metadata", "value"]
    nodes = listed.json()["value"]
    assert len(nodes) == 5
    for node in nodes:
        alone = raw_data(emulator, "GET", f"/pools/{name}/nodes/{node['id']}").json()
        assert list(alone.items())[1:] == list(node.items())


async def test_the_async_client_follows_the_pages(
    emulator: Emulator, async_batch: AsyncBatchClient, ready_pool: Ready
) -> None:
    name = ready_pool(5)
    nodes = [
        node.id
        async for node in async_batch.list_nodes(name, max_results=2, filter="state eq 'idle'", select=["id"])
    ]
    assert len(set(nodes)) == 5


def test_node_ids_depend_on_seed_and_pool_alone(emulator: Emulator, batch: BatchClient, name: str) -> None:
    batch.create_pool(data_pool(name, 3))
    emulator.clock.advance(200)
    before = {node.id for node in batch.list_nodes(name)}
    emulator.account.recreate_pool(name)
    emulator.clock.advance(200)
    assert before.isdisjoint(node.id for node in batch.list_nodes(name))


@pytest.mark.parametrize("option", [None, "terminate", "requeue", "taskcompletion", "retaineddata"])
def test_a_reboot(emulator: Emulator, batch: BatchClient, ready_pool: Ready, option: str | None) -> None:
    name = ready_pool(1)
    node = emulator.account.node(name, 0).node.id
    before = batch.get_node(name, node).last_boot_time
    if option is None:
        assert raw_data(emulator, "POST", f"/pools/{name}/nodes/{node}/reboot").status_code == 202
    else:
        batch.begin_reboot_node(name, node, {"nodeRebootOption": option}, **LATER)  # type: ignore[arg-type]
    assert batch.get_node(name, node).state == "rebooting"
    emulator.clock.advance(30)
    starting = batch.get_node(name, node)
    assert (starting.state, starting.last_boot_time) == ("starting", before)
    emulator.clock.advance(14)
    starting = batch.get_node(name, node)
    assert starting.state == "starting"
    assert starting.last_boot_time > before
    emulator.clock.advance(4)
    assert batch.get_node(name, node).state == "idle"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("creating", "NodeBeingCreated"),
        ("starting", "NodeBeingStarted"),
        ("rebooting", "NodeBeingRebooted"),
        ("unusable", "NodeStateUnusable"),
        ("preempted", "OperationInvalidForCurrentState"),
    ],
)
def test_only_an_idle_or_running_node_is_rebooted(
    emulator: Emulator, batch: BatchClient, ready_pool: Ready, state: str, code: str
) -> None:
    name = ready_pool(1)
    emulator.account.mark_node(name, 0, state)
    with pytest.raises(ResourceExistsError) as caught:
        batch.begin_reboot_node(name, emulator.account.node(name, 0).node.id, **REBOOT)
    assert code_of(caught.value) == code


def test_a_senseless_reboot_option_is_refused(emulator: Emulator, ready_pool: Ready) -> None:
    name = ready_pool(1)
    node = emulator.account.node(name, 0).node.id
    answer = raw_data(
        emulator, "POST", f"/pools/{name}/nodes/{node}/reboot", json={"nodeRebootOption": "kick"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidPropertyValue")


def test_what_does_not_exist(emulator: Emulator, batch: BatchClient, ready_pool: Ready) -> None:
    name = ready_pool(1)
    node = emulator.account.node(name, 0).node.id
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: batch.get_pool("nope"), "PoolNotFound"),
        (lambda: batch.begin_delete_pool("nope"), "PoolNotFound"),
        (lambda: batch.get_node("nope", node), "PoolNotFound"),
        (lambda: batch.get_node(name, "nope"), "NodeNotFound"),
        (lambda: batch.get_node_extension(name, "nope", "secretext"), "NodeNotFound"),
        (lambda: batch.get_node_extension(name, node, "nope"), "ResourceNotFound"),
    ]
    for ask, code in calls:
        with pytest.raises(ResourceNotFoundError) as caught:
            ask()
        assert code_of(caught.value) == code
        if code.endswith("NotFound"):
            assert caught.value.model.error_values is None
    emulator.scenario = Scenario(answers=Answers(missing_extension="NodeNotFound"))
    with pytest.raises(ResourceNotFoundError) as caught:
        batch.get_node_extension(name, node, "nope")
    assert code_of(caught.value) == "NodeNotFound"


# --- versions, parameters, what is not modelled ------------------------------------------------------------


@pytest.mark.parametrize(
    "version",
    ["2010-01-01", "2021-01-01", "2022-10-01.16.0", "2024-02-01.19.0", "2024-07-01.20.0", "2026-10-01"],
)
def test_any_version_is_served(emulator: Emulator, version: str) -> None:
    assert raw_data(emulator, "GET", "/pools", version).status_code == 200


@pytest.mark.parametrize(
    ("version", "code"),
    [(None, "MissingRequiredQueryParameter"), ("latest", "UnsupportedRequestVersion")],
)
def test_a_missing_or_senseless_version_is_refused(
    emulator: Emulator, version: str | None, code: str
) -> None:
    answer = raw_data(emulator, "GET", "/pools", version)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("maxresults=0", "InvalidQueryParameterValue"),
        ("maxResults=-5", "InvalidQueryParameterValue"),
        ("maxresults=1001", "OutOfRangeQueryParameterValue"),
        ("maxresults=many", "InvalidQueryParameterValue"),
        ("$skiptoken=made-up", "InvalidQueryParameterValue"),
        ("$skiptoken=WATV2:%2B%2B%2B:1$1", "InvalidQueryParameterValue"),
        ("$select=id,nonsense", "InvalidQueryParameterValue"),
        ("$filter=state eq 'nonsense'", "InvalidQueryParameterValue"),
        ("$filter=startswith(id,'a')", "InvalidQueryParameterValue"),
        ("$filter=substringof('a',state)", "NotImplemented"),
        ("timeOut=soon", "InvalidQueryParameterValue"),
    ],
)
def test_senseless_parameters_are_refused(
    emulator: Emulator, ready_pool: Ready, query: str, code: str
) -> None:
    answer = raw_data(emulator, "GET", f"/pools/{ready_pool(1)}/nodes?{query}")
    assert (answer.status_code, answer.json()["code"]) == (501 if code == "NotImplemented" else 400, code)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("PUT", "/pools/p"),
        ("GET", "/pools?$expand=nodes"),
    ],
)
def test_what_is_no_operation_says_so(emulator: Emulator, method: str, path: str) -> None:
    answer = raw_data(emulator, method, path)
    assert (answer.status_code, answer.json()["code"]) == (501, "NotImplemented")
    assert path.partition("?")[0] in answer.json()["message"]["value"]


def test_the_client_request_id_is_returned_when_asked_for(emulator: Emulator) -> None:
    headers = {"client-request-id": "me", "return-client-request-id": "true"}
    assert raw_data(emulator, "GET", "/pools", headers=headers).headers["client-request-id"] == "me"
    assert (
        "client-request-id"
        not in raw_data(emulator, "GET", "/pools", headers={"client-request-id": "me"}).headers
    )


def test_the_identity_of_a_pool_is_seen_from_the_data_plane(
    emulator: Emulator, batch: BatchClient, put_pool: Callable[..., Any], name: str
) -> None:
    identity = {"type": "UserAssigned", "userAssignedIdentities": {"/subscriptions/s/id": {}}}
    made = put_pool(name, {**management_pool(0, displayName="shown"), "identity": identity})
    pool = batch.get_pool(name)
    (known,) = pool.identity.user_assigned_identities
    assert known.resource_id == "/subscriptions/s/id"
    assert known.client_id == made.identity.user_assigned_identities["/subscriptions/s/id"].client_id
    assert pool.display_name == "shown"


def test_the_errors_of_a_node(emulator: Emulator, batch: BatchClient, ready_pool: Ready) -> None:
    name = ready_pool(1)
    emulator.account.mark_node(name, 0, "unusable", code="DiskFull", message="no room")
    (node,) = batch.list_nodes(name)
    assert (node.state, node.errors[0].code, node.errors[0].message) == ("unusable", "DiskFull", "no room")


def test_a_pool_from_an_image_of_ones_own(emulator: Emulator, batch: BatchClient, name: str) -> None:
    document = data_pool(name)
    image_id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/i"
    image = {"virtualMachineImageId": image_id}
    document["virtualMachineConfiguration"]["imageReference"] = image
    batch.create_pool(document)  # type: ignore[arg-type]
    emulator.clock.advance(200)
    assert batch.get_pool(name)["virtualMachineConfiguration"]["imageReference"] == image
    (node,) = batch.list_nodes(name)
    assert (
        node["virtualMachineInfo"]["imageReference"]["virtualMachineImageId"]
        == image["virtualMachineImageId"]
    )


@pytest.mark.parametrize("header", ["If-Modified-Since", "If-Unmodified-Since"])
def test_a_senseless_date_in_a_condition_is_refused(
    emulator: Emulator, ready_pool: Ready, header: str
) -> None:
    answer = raw_data(emulator, "GET", f"/pools/{ready_pool(0)}", headers={header: "soon"})
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidHeaderValue")
