"""PATCH, LIST and the actions on pools of the management plane, through azure-mgmt-batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.scenario import Answers
from tests.emulator.pool_documents import account_path, code_of, extension, machine, management_pool, raw

if TYPE_CHECKING:
    from azure.mgmt.batch import BatchManagementClient

Put = Callable[..., Any]


@pytest.fixture
def patch(emulator: Emulator, management: BatchManagementClient) -> Callable[..., Any]:
    """PATCH a pool through the management plane."""

    def patch_it(name: str, properties: dict[str, Any], **options: Any) -> Any:
        info, more = emulator.info, options.pop("more", {})
        body: Any = {"properties": properties, **more}
        return management.pool.update(info.resource_group, info.account, name, body, **options)

    return patch_it


def listed(emulator: Emulator, management: BatchManagementClient, **options: Any) -> list[str | None]:
    where = (emulator.info.resource_group, emulator.info.account)
    return [pool.name for pool in management.pool.list_by_batch_account(*where, **options)]


# --- patch --------------------------------------------------------------------------------------------------


def test_a_patch_replaces_what_it_gives_and_leaves_the_rest(
    emulator: Emulator, put_pool: Put, patch: Callable[..., Any], name: str
) -> None:
    start_task = {"commandLine": "true", "waitForSuccess": True}
    before = put_pool(name, management_pool(1, extension(), startTask=start_task, displayName="d"))
    emulator.clock.advance(200)
    after = patch(name, {"metadata": [{"name": "a", "value": "b"}]})
    assert after.metadata[0].value == "b"
    assert after.etag != before.etag
    assert after.allocation_state == "Steady"
    assert after.start_task.command_line == "true"
    assert after.display_name == "d"
    assert after.scale_settings == before.scale_settings
    assert after.deployment_configuration == before.deployment_configuration


def test_a_patch_resizes_and_turns_to_autoscale(
    emulator: Emulator, put_pool: Put, patch: Callable[..., Any], name: str
) -> None:
    put_pool(name, management_pool(0))
    emulator.clock.advance(200)
    resized = patch(name, {"scaleSettings": {"fixedScale": {"targetDedicatedNodes": 2}}})
    assert resized.allocation_state == "Resizing"
    emulator.clock.advance(200)
    scaled = patch(name, {"scaleSettings": {"autoScale": {"formula": "$TargetDedicatedNodes=1"}}})
    assert scaled.scale_settings.fixed_scale is None
    assert scaled.resize_operation_status.target_dedicated_nodes == 1
    later = patch(name, {"metadata": []})
    assert later.auto_scale_run.results.startswith("$TargetDedicatedNodes=1;")
    assert later.scale_settings == scaled.scale_settings


def test_a_patch_sets_identity_and_tags(put_pool: Put, patch: Callable[..., Any], name: str) -> None:
    put_pool(name, management_pool(0))
    identity = {"type": "UserAssigned", "userAssignedIdentities": {"/subscriptions/s/id": {}}}
    patched = patch(name, {}, more={"identity": identity, "tags": {"a": "b"}})
    assert patched.identity.type == "UserAssigned"
    assert patched.tags == {"a": "b"}
    assert patch(name, {}).identity == patched.identity


def test_the_conditions_of_a_patch(put_pool: Put, patch: Callable[..., Any], name: str) -> None:
    old = put_pool(name, management_pool(0)).etag
    unchanged = {"match_condition": MatchConditions.IfNotModified}
    assert patch(name, {"metadata": []}, etag=old, **unchanged).etag != old
    with pytest.raises(ResourceModifiedError):
        patch(name, {"metadata": []}, etag=old, **unchanged)
    assert patch(name, {"metadata": []}, match_condition=MatchConditions.IfPresent).name == name
    with pytest.raises(ResourceNotFoundError):
        patch("missing", {"metadata": []})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"properties": {"metadat": []}}, "InvalidRequestBody"),
        ({"location": "x"}, "InvalidRequestBody"),
        (
            {"properties": {"scaleSettings": {"fixedScale": {"resizeTimeout": "PT1M"}}}},
            "InvalidPropertyValue",
        ),
        ({"properties": 5}, "InvalidPropertyValue"),
        ({"properties": {"vmSize": "STANDARD_D3"}}, "PropertyCannotBeUpdated"),
    ],
)
def test_a_bad_patch(emulator: Emulator, put_pool: Put, name: str, body: dict[str, Any], code: str) -> None:
    before = put_pool(name, management_pool(1))
    answer = raw(emulator, "PATCH", f"{account_path(emulator)}/pools/{name}", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert raw(emulator, "GET", f"{account_path(emulator)}/pools/{name}").json()["etag"] == before.etag


def test_a_pool_that_is_being_deleted_is_not_patched(
    emulator: Emulator, management: BatchManagementClient, put_pool: Put, patch: Callable[..., Any], name: str
) -> None:
    put_pool(name, management_pool(0))
    management.pool.begin_delete(emulator.info.resource_group, emulator.info.account, name, polling=False)
    with pytest.raises(HttpResponseError) as caught:
        patch(name, {"metadata": []})
    assert (caught.value.status_code, code_of(caught.value)) == (409, "PoolBeingDeleted")


# --- actions ------------------------------------------------------------------------------------------------


def test_a_resize_is_stopped(
    emulator: Emulator, management: BatchManagementClient, put_pool: Put, name: str
) -> None:
    where = (emulator.info.resource_group, emulator.info.account, name)
    etag = put_pool(name, management_pool(3)).etag
    stopping = management.pool.stop_resize(*where)
    assert (stopping.allocation_state, stopping.etag) == ("Stopping", etag)
    emulator.clock.advance(60)
    pool = management.pool.get(*where)
    assert (pool.allocation_state, pool.current_dedicated_nodes) == ("Steady", 0)
    assert pool.resize_operation_status is not None
    assert [error.code for error in pool.resize_operation_status.errors or []] == ["ResizeStopped"]
    assert management.pool.stop_resize(*where).allocation_state == "Steady"


def test_autoscale_is_disabled(
    emulator: Emulator, management: BatchManagementClient, put_pool: Put, name: str
) -> None:
    where = (emulator.info.resource_group, emulator.info.account, name)
    formula = {"autoScale": {"formula": "$TargetDedicatedNodes=2"}}
    put_pool(name, management_pool(scaleSettings=formula))
    emulator.clock.advance(300)
    pool = management.pool.disable_auto_scale(*where)
    assert pool.scale_settings is not None
    assert pool.scale_settings.auto_scale is None
    assert pool.scale_settings.fixed_scale is not None
    assert pool.scale_settings.fixed_scale.target_dedicated_nodes == 2
    assert pool.auto_scale_run is None


@pytest.mark.parametrize("action", ["stop_resize", "disable_auto_scale"])
def test_actions_on_a_pool_that_is_not_there_or_is_being_deleted(
    emulator: Emulator, management: BatchManagementClient, put_pool: Put, name: str, action: str
) -> None:
    where = (emulator.info.resource_group, emulator.info.account, name)
    with pytest.raises(ResourceNotFoundError):
        getattr(management.pool, action)(*where)
    put_pool(name, management_pool(0))
    management.pool.begin_delete(*where, polling=False)
    with pytest.raises(HttpResponseError) as caught:
        getattr(management.pool, action)(*where)
    assert code_of(caught.value) == "PoolBeingDeleted"


# --- what cannot be changed ---------------------------------------------------------------------------------

OTHER_MACHINE = {"deploymentConfiguration": {"virtualMachineConfiguration": machine([extension("other")])}}


@pytest.mark.parametrize(
    ("setting", "size", "machine_too"),
    [
        ("changes but for extensions", True, False),
        ("changes", True, True),
        ("as any other", False, False),
    ],
)
def test_what_a_pool_without_nodes_may_change_is_a_setting(
    emulator: Emulator,
    put_pool: Put,
    patch: Callable[..., Any],
    name: str,
    setting: Any,
    size: bool,
    machine_too: bool,
) -> None:
    emulator.scenario = Scenario(answers=Answers(empty_pool=setting))
    put_pool(name, management_pool(0, extension()))
    for change, may in (({"vmSize": "STANDARD_D3"}, size), (OTHER_MACHINE, machine_too)):
        if may:
            patch(name, change)
            continue
        with pytest.raises(HttpResponseError) as caught:
            patch(name, change)
        assert code_of(caught.value) == "PropertyCannotBeUpdated"


def test_older_versions_change_no_more_on_an_empty_pool(emulator: Emulator, put_pool: Put, name: str) -> None:
    put_pool(name, management_pool(0))
    path, body = f"{account_path(emulator)}/pools/{name}", {"properties": {"vmSize": "STANDARD_D3"}}
    assert raw(emulator, "PATCH", path, "2024-02-01", json=body).status_code == 400
    assert raw(emulator, "PATCH", path, "2024-07-01", json=body).status_code == 200


# --- list ---------------------------------------------------------------------------------------------------


@pytest.fixture
def five(emulator: Emulator, put_pool: Put) -> list[str]:
    names = ["a", "B", "c", "D", "e"]
    for index, pool in enumerate(names):
        put_pool(pool, management_pool(0, vmSize=f"Standard_D{index + 1}_v2"))
        emulator.clock.advance(100)
    return names


def test_pools_are_paged(emulator: Emulator, management: BatchManagementClient, five: list[str]) -> None:
    emulator.requests.clear()
    assert listed(emulator, management, maxresults=2) == five
    assert len(emulator.requests) == 3
    pages = management.pool.list_by_batch_account(
        emulator.info.resource_group, emulator.info.account, maxresults=2, filter="name gt 'a'"
    ).by_page()
    assert [[pool.name for pool in page] for page in pages] == [["B", "c"], ["D", "e"]]


def test_a_pool_that_comes_between_two_pages_is_not_skipped(
    emulator: Emulator, management: BatchManagementClient, put_pool: Put, five: list[str]
) -> None:
    pages = management.pool.list_by_batch_account(
        emulator.info.resource_group, emulator.info.account, maxresults=2
    ).by_page()
    assert [pool.name for pool in next(pages)] == ["a", "B"]
    put_pool("aa", management_pool(0))
    put_pool("bb", management_pool(0))
    assert [pool.name for page in pages for pool in page] == ["bb", "c", "D", "e"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name eq 'b'", ["B"]),
        ("startswith(name,'d') or name eq 'e'", ["D", "e"]),
        ("properties/vmSize eq 'standard_d1_v2'", ["a"]),
        ("properties/allocationState eq 'Steady' and name ne 'a'", ["B", "c", "D", "e"]),
        ("properties/scaleSettings/autoScale ne null", []),
        ("properties/provisioningState eq 'Succeeded'", ["a", "B", "c", "D", "e"]),
        ("properties/creationTime lt datetime'2000-01-01T00:00:00Z'", []),
    ],
)
def test_pools_are_filtered(
    emulator: Emulator, management: BatchManagementClient, five: list[str], text: str, expected: list[str]
) -> None:
    assert listed(emulator, management, filter=text) == expected


def test_properties_are_selected(
    emulator: Emulator, management: BatchManagementClient, five: list[str]
) -> None:
    path = f"{account_path(emulator)}/pools?maxresults=1&$select="
    (pool,) = raw(emulator, "GET", f"{path}name, properties/vmSize,properties/vmSize").json()["value"]
    assert (set(pool), pool["properties"]) == (
        {"id", "name", "type", "etag", "properties"},
        {"vmSize": "STANDARD_D1_V2"},
    )
    (bare,) = raw(emulator, "GET", f"{path}name").json()["value"]
    assert "properties" not in bare
    first = next(
        iter(
            management.pool.list_by_batch_account(
                emulator.info.resource_group, emulator.info.account, select="properties/provisioningState"
            )
        )
    )
    assert (first.provisioning_state, first.vm_size) == ("Succeeded", None)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("$filter=id eq 'x'", "InvalidQueryParameterValue"),
        ("$filter=name like 'x'", "InvalidQueryParameterValue"),
        ("$select=properties/nothing", "InvalidQueryParameterValue"),
        ("$select=name/first", "InvalidQueryParameterValue"),
        ("maxresults=0", "OutOfRangeQueryParameterValue"),
        ("maxresults=1001", "OutOfRangeQueryParameterValue"),
        ("maxresults=x", "InvalidQueryParameterValue"),
        ("$skiptoken=%25", "InvalidQueryParameterValue"),
    ],
)
def test_a_bad_list(emulator: Emulator, query: str, code: str) -> None:
    answer = raw(emulator, "GET", f"{account_path(emulator)}/pools?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
