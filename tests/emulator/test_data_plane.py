"""Pools, nodes and extensions through azure-batch, sync and aio, and raw requests for the rest."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.batch import models
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)

from airflow_batchext.emulator import Emulator, ExtensionScenario, PoolScenario, Scenario, Timings
from airflow_batchext.emulator.scenario import Answers, ResizeError

from .documents import data_pool, extension, raw_data

if TYPE_CHECKING:
    from azure.batch import BatchClient
    from azure.batch.aio import BatchClient as AsyncBatchClient
    from azure.mgmt.batch import BatchManagementClient

Ready = Callable[..., str]
LATER: dict[str, Any] = {"polling_interval": 3600}
"""The pollers of the SDK ask at once and then from a thread; that thread is not to disturb other tests."""
REBOOT: dict[str, Any] = {**LATER, "options": {"nodeRebootOption": "requeue"}}
"""Without options the SDK (15.1.0) sends nothing at all: it fails for want of a content type."""


def code_of(error: HttpResponseError) -> str:
    return error.model.code  # type: ignore[no-any-return, attr-defined]


def statuses(batch: BatchClient, pool: str, node: str) -> dict[str, str]:
    return {
        item.vm_extension.name: item.instance_view.statuses[0].code
        for item in batch.list_node_extensions(pool, node)
    }


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
    assert pool["taskSchedulingPolicy"] == {"nodeFillType": "Pack"}
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
    assert starting.state == "starting"
    assert starting.last_boot_time > before
    emulator.clock.advance(8)
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


# --- extensions --------------------------------------------------------------------------------------------


def test_extensions_have_succeeded_while_the_node_is_still_creating(
    emulator: Emulator, batch: BatchClient, name: str
) -> None:
    batch.create_pool(data_pool(name, 1, extension()))
    emulator.clock.advance(125)
    (node,) = batch.list_nodes(name)
    assert node.state == "creating"
    assert set(statuses(batch, name, node.id).values()) == {"ProvisioningState/succeeded"}


def test_extensions_pass_through_transitioning(emulator: Emulator, batch: BatchClient, name: str) -> None:
    emulator.scenario = Scenario(timings=Timings(extension=60))
    batch.create_pool(data_pool(name, 1, extension()))
    emulator.clock.advance(125)
    (node,) = batch.list_nodes(name)
    one = batch.get_node_extension(name, node.id, "SECRETEXT")
    assert one.instance_view.statuses[0].code == "ProvisioningState/transitioning"
    assert one.instance_view.statuses[0].level == 0
    assert one.provisioning_state == "Creating"
    emulator.clock.advance(60)
    assert statuses(batch, name, node.id)["secretext"] == "ProvisioningState/succeeded"


def test_one_extension_fails_on_one_node(emulator: Emulator, batch: BatchClient, ready_pool: Ready) -> None:
    emulator.scenario = Scenario(
        extensions=[
            ExtensionScenario(node=1, extension="secret*", outcome="fail", code="Boom", message="it broke")
        ]
    )
    name = ready_pool(2, extension())
    good, bad = (emulator.account.node(name, index).node.id for index in (0, 1))
    assert statuses(batch, name, good)["secretext"] == "ProvisioningState/succeeded"
    failed = batch.get_node_extension(name, bad, "secretext")
    status = failed.instance_view.statuses[0]
    assert failed.provisioning_state == "Failed"
    assert (status.code, status.message) == ("ProvisioningState/failed/Boom", "it broke")
    assert (status.level, status.display_status) == (2, "Provisioning failed")
    assert batch.get_node(name, bad).state == "idle"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, "ProvisioningState/failed"),
        ("0", "ProvisioningState/failed/0"),
        ("provisioningState/FAILED/x", "provisioningState/FAILED/x"),
    ],
)
def test_the_code_of_a_failure(
    emulator: Emulator, batch: BatchClient, ready_pool: Ready, given: str | None, code: str
) -> None:
    emulator.scenario = Scenario(extensions=[ExtensionScenario(outcome="fail", code=given)])
    name = ready_pool(1, extension())
    node = emulator.account.node(name, 0).node.id
    assert statuses(batch, name, node) == {
        "secretext": code, "batchNodeExtension": "ProvisioningState/succeeded",
    }  # fmt: skip


def test_a_reboot_mends_what_failed_on_the_first_boot(
    emulator: Emulator, batch: BatchClient, ready_pool: Ready
) -> None:
    emulator.scenario = Scenario(extensions=[ExtensionScenario(outcome="fail", boots="first")])
    name = ready_pool(1, extension())
    node = emulator.account.node(name, 0).node.id
    batch.begin_reboot_node(name, node, **REBOOT)
    assert statuses(batch, name, node)["secretext"] == "ProvisioningState/failed"
    emulator.clock.advance(60)
    assert statuses(batch, name, node)["secretext"] == "ProvisioningState/succeeded"


def test_an_extension_waits_for_those_it_comes_after(
    emulator: Emulator, batch: BatchClient, name: str
) -> None:
    emulator.scenario = Scenario(extensions=[ExtensionScenario(extension="first", after=60)])
    second = extension("second", provisionAfterExtensions=["first"])
    batch.create_pool(data_pool(name, 1, second, extension("first")))
    emulator.clock.advance(160)
    (node,) = batch.list_nodes(name)
    waiting = batch.get_node_extension(name, node.id, "second")
    assert waiting.instance_view.statuses[0].code == "ProvisioningState/transitioning"
    assert waiting.instance_view.statuses[0].message == "Waiting for first"
    emulator.clock.advance(60)
    assert set(statuses(batch, name, node.id).values()) == {"ProvisioningState/succeeded"}


def test_behind_a_failed_extension_the_next_waits_for_ever(
    emulator: Emulator, batch: BatchClient, ready_pool: Ready
) -> None:
    emulator.scenario = Scenario(extensions=[ExtensionScenario(extension="first", outcome="fail")])
    name = ready_pool(1, extension("first"), extension("second", provisionAfterExtensions=["first"]))
    emulator.clock.advance(10**6)
    shown = statuses(batch, name, emulator.account.node(name, 0).node.id)
    assert shown["second"] == "ProvisioningState/transitioning"


def test_a_key_vault_extension_waits_for_certificates_it_cannot_get(
    emulator: Emulator, batch: BatchClient, management: BatchManagementClient, ready_pool: Ready
) -> None:
    emulator.scenario = Scenario(answers=Answers(key_vault_without_identity="waits"))
    sync = extension(settings={"secretsManagementSettings": {"requireInitialSync": True}})
    name = ready_pool(1, sync, extension("other"))
    node = emulator.account.node(name, 0).node.id
    emulator.clock.advance(10**6)
    shown = statuses(batch, name, node)
    assert (shown["secretext"], shown["other"]) == (
        "ProvisioningState/transitioning", "ProvisioningState/succeeded",
    )  # fmt: skip


def test_batchs_own_extension_is_listed_first_or_last(
    emulator: Emulator, batch: BatchClient, ready_pool: Ready
) -> None:
    name = ready_pool(2, extension())
    orders = [
        [item.vm_extension.name for item in batch.list_node_extensions(name, visible.node.id)]
        for visible in emulator.account.nodes(name)
    ]
    assert orders == [["batchNodeExtension", "secretext"], ["secretext", "batchNodeExtension"]]
    own = batch.get_node_extension(name, emulator.account.node(name, 0).node.id, "batchNodeExtension")
    assert len(own.instance_view.statuses[0].message) > 3000
    assert own.vm_extension.type == "CustomScript"


def test_extensions_are_paged_and_selected(emulator: Emulator, batch: BatchClient, ready_pool: Ready) -> None:
    name = ready_pool(1, *(extension(f"e{number}") for number in range(4)))
    node = emulator.account.node(name, 0).node.id
    pages = [list(page) for page in batch.list_node_extensions(name, node, max_results=2).by_page()]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert len({item.vm_extension.name for page in pages for item in page}) == 5
    selected = next(iter(batch.list_node_extensions(name, node, select=["provisioningState"])))
    assert dict(selected) == {"provisioningState": "Succeeded"}


def test_the_shape_of_settings_and_level_is_a_setting(
    emulator: Emulator, batch: BatchClient, ready_pool: Ready
) -> None:
    name = ready_pool(1, extension(settings={"a": {"b": [1, "ü"]}}))
    node = emulator.account.node(name, 0).node.id
    shown = batch.get_node_extension(name, node, "secretext")
    assert shown["vmExtension"]["settings"] == (
        '{\r\n  "a": {\r\n    "b": [\r\n      1,\r\n      "ü"\r\n    ]\r\n  }\r\n}'
    )
    answers = Answers(level="word", node_settings="object", pool_settings="string")
    emulator.scenario = Scenario(answers=answers)
    shown = batch.get_node_extension(name, node, "secretext")
    assert shown["vmExtension"]["settings"] == {"a": {"b": [1, "ü"]}}
    assert shown.instance_view.statuses[0].level == models.StatusLevelTypes.INFO
    pool = batch.get_pool(name)
    assert isinstance(pool["virtualMachineConfiguration"]["extensions"][0]["settings"], str)


def test_extensions_of_a_preempted_node(emulator: Emulator, batch: BatchClient, ready_pool: Ready) -> None:
    name = ready_pool(1, extension())
    node = emulator.account.node(name, 0).node.id
    emulator.account.preempt_node(name, 0, back_after=60)
    with pytest.raises(ResourceExistsError) as caught:
        list(batch.list_node_extensions(name, node))
    assert code_of(caught.value) == "OperationInvalidForCurrentState"
    emulator.scenario = Scenario(answers=Answers(extensions_without_machine="last"))
    assert statuses(batch, name, node)["secretext"] == "ProvisioningState/succeeded"
    emulator.clock.advance(60)
    assert batch.get_node(name, node).state == "creating"


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
        ("maxresults=0", "OutOfRangeQueryParameterValue"),
        ("maxresults=1001", "OutOfRangeQueryParameterValue"),
        ("maxresults=many", "InvalidQueryParameterValue"),
        ("$skiptoken=made-up", "InvalidQueryParameterValue"),
        ("$skiptoken=WATV2:%2B%2B%2B:1$1", "InvalidQueryParameterValue"),
        ("$select=id,nonsense", "InvalidQueryParameterValue"),
        ("$filter=state eq 'nonsense'", "InvalidQueryParameterValue"),
        ("$filter=startswith(id,'a')", "NotImplemented"),
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
        ("GET", "/jobs"),
        ("POST", "/pools/p/resize"),
        ("GET", "/nodecounts"),
        ("GET", "/"),
        ("PUT", "/pools/p"),
        ("GET", "/pools?$filter=state eq 'active'"),
        ("POST", "/pools/p/nodes/n/reimage"),
    ],
)
def test_what_is_not_modelled_says_so(emulator: Emulator, method: str, path: str) -> None:
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
