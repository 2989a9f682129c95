"""The management plane through azure-mgmt-batch, and raw requests for what the SDK cannot send."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.identity import ClientSecretCredential
from azure.mgmt.batch import BatchManagementClient, models

from airflow_batchext.emulator import Emulator, PoolScenario, Scenario
from airflow_batchext.emulator.scenario import Answers, ResizeError
from tests.emulator.conftest import MANAGEMENT_SCOPE
from tests.emulator.pool_documents import account_path, code_of, extension, machine, management_pool, raw

Put = Callable[..., Any]


def get(emulator: Emulator, management: BatchManagementClient, name: str) -> models.Pool:
    return management.pool.get(emulator.info.resource_group, emulator.info.account, name)


# --- account -----------------------------------------------------------------------------------------------


def test_the_account_says_its_endpoint_without_a_scheme(
    emulator: Emulator, management: BatchManagementClient
) -> None:
    info = emulator.info
    account = management.batch_account.get(info.resource_group, info.account)
    assert f"https://{account.account_endpoint}" == info.batch_endpoint
    assert account.provisioning_state == models.ProvisioningState.SUCCEEDED
    assert account.pool_allocation_mode == models.PoolAllocationMode.BATCH_SERVICE


def test_the_keys_of_the_account(emulator: Emulator, management: BatchManagementClient) -> None:
    keys = management.batch_account.get_keys(emulator.info.resource_group, emulator.info.account)
    assert keys.primary == emulator.info.key
    assert keys.secondary == emulator.account.keys["secondary"]
    assert keys.account_name == emulator.info.account


# --- create ------------------------------------------------------------------------------------------------


def test_a_pool_is_there_at_once_and_its_nodes_later(
    emulator: Emulator, management: BatchManagementClient, put_pool: Put, name: str
) -> None:
    pool = put_pool(name, management_pool(2))
    assert (pool.provisioning_state, pool.allocation_state) == ("Succeeded", "Resizing")
    emulator.clock.advance(124.5)
    assert get(emulator, management, name).current_dedicated_nodes == 2
    assert get(emulator, management, name).allocation_state == "Resizing"
    emulator.clock.advance(0.5)
    steady = get(emulator, management, name)
    assert steady.allocation_state == "Steady"
    assert steady.etag == pool.etag


def test_a_pool_without_nodes_becomes_steady_too(
    emulator: Emulator, management: BatchManagementClient, put_pool: Put, name: str
) -> None:
    put_pool(name, management_pool(0))
    emulator.clock.advance(1.2)
    assert get(emulator, management, name).allocation_state == "Resizing"
    emulator.clock.advance(0.8)
    assert get(emulator, management, name).allocation_state == "Steady"


def test_names_keep_their_case_and_are_found_in_any(
    emulator: Emulator, management: BatchManagementClient, put_pool: Put, name: str
) -> None:
    put_pool(f"Mixed-{name}", management_pool(0))
    assert get(emulator, management, f"mIXED-{name.upper()}").name == f"Mixed-{name}"


def test_pools_are_listed_by_name(
    emulator: Emulator, management: BatchManagementClient, put_pool: Put
) -> None:
    for pool in ("b", "C", "a"):
        put_pool(pool, management_pool(0))
    listed = list(management.pool.list_by_batch_account(emulator.info.resource_group, emulator.info.account))
    assert [pool.name for pool in listed] == ["a", "b", "C"]
    assert all(pool.etag for pool in listed)


# --- conditions and updates --------------------------------------------------------------------------------


def test_if_none_match_leaves_an_existing_pool_alone(put_pool: Put, name: str) -> None:
    made = put_pool(name, management_pool(1), match_condition=MatchConditions.IfMissing)
    with pytest.raises(ResourceExistsError) as caught:
        put_pool(name, management_pool(5), match_condition=MatchConditions.IfMissing)
    assert caught.value.status_code == 412
    assert code_of(caught.value) == "ConditionNotMet"
    assert put_pool(name, management_pool(1)).scale_settings == made.scale_settings


def test_the_answer_to_a_put_on_an_existing_pool_is_a_setting(
    emulator: Emulator, put_pool: Put, name: str
) -> None:
    put_pool(name, management_pool(0))
    emulator.scenario = Scenario(answers=Answers(existing_pool="PoolExists"))
    with pytest.raises(ResourceExistsError) as caught:
        put_pool(name, management_pool(0), match_condition=MatchConditions.IfMissing)
    assert (caught.value.status_code, code_of(caught.value)) == (409, "PoolExists")


def test_if_match_guards_an_update(put_pool: Put, name: str) -> None:
    with pytest.raises(ResourceNotFoundError):
        put_pool(name, management_pool(0), match_condition=MatchConditions.IfPresent)
    old = put_pool(name, management_pool(0)).etag
    condition = {"match_condition": MatchConditions.IfNotModified}
    new = put_pool(name, management_pool(0, metadata=[{"name": "a", "value": "b"}]), etag=old, **condition)
    assert new.etag != old
    assert new.metadata[0].value == "b"
    with pytest.raises(ResourceModifiedError):
        put_pool(name, management_pool(0), etag=old, **condition)


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"vmSize": "STANDARD_D4"}, "vmSize"),
        ({"taskSlotsPerNode": 4}, "taskSlotsPerNode"),
        (
            {"deploymentConfiguration": {"virtualMachineConfiguration": machine([extension("another")])}},
            "deploymentConfiguration",
        ),
    ],
)
def test_what_cannot_be_changed_on_a_pool(
    put_pool: Put, name: str, change: dict[str, Any], member: str
) -> None:
    put_pool(name, management_pool(1, extension()))
    document = management_pool(1, extension())
    document["properties"].update(copy.deepcopy(change))
    with pytest.raises(HttpResponseError) as caught:
        put_pool(name, document)
    assert (caught.value.status_code, code_of(caught.value)) == (400, "PropertyCannotBeUpdated")
    assert caught.value.error is not None
    details = {detail.code: detail.message for detail in caught.value.error.details}
    assert details["PropertyPath"] == f"properties.{member}"


def test_new_targets_start_a_resize(
    emulator: Emulator, management: BatchManagementClient, put_pool: Put, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(1)
    assert put_pool(name, management_pool(3)).allocation_state == "Resizing"
    emulator.clock.advance(200)
    assert get(emulator, management, name).current_dedicated_nodes == 3
    put_pool(name, management_pool(1))
    emulator.clock.advance(200)
    smaller = get(emulator, management, name)
    assert (smaller.current_dedicated_nodes, smaller.allocation_state) == (1, "Steady")
    assert put_pool(name, management_pool(1)).allocation_state == "Steady"


# --- resize errors -----------------------------------------------------------------------------------------


def test_a_failed_resize_shows_its_error_once_steady(
    emulator: Emulator, management: BatchManagementClient, put_pool: Put, name: str
) -> None:
    error = ResizeError(code="AccountCoreQuotaReached", message="quota", values={"Limit": "4"})
    emulator.scenario = Scenario(pools=[PoolScenario(pool=name, resize_error=error, nodes_allocated=1)])
    made = put_pool(name, management_pool(3))
    assert made.resize_operation_status.errors is None
    emulator.clock.advance(125)
    pool = get(emulator, management, name)
    assert (pool.allocation_state, pool.current_dedicated_nodes) == ("Steady", 1)
    (shown,) = pool.resize_operation_status.errors
    assert (shown.code, shown.message) == ("AccountCoreQuotaReached", "quota")
    assert [(detail.code, detail.message) for detail in shown.details] == [("Limit", "4")]


def test_settings_as_text_are_accepted_and_then_no_node_comes(
    emulator: Emulator, management: BatchManagementClient, put_pool: Put, name: str
) -> None:
    put_pool(name, management_pool(1, extension(settings='{"a": 1}')))
    emulator.clock.advance(1000)
    pool = get(emulator, management, name)
    assert pool.current_dedicated_nodes == 0
    assert [error.code for error in pool.resize_operation_status.errors] == ["AllocationFailed"]


# --- autoscale ---------------------------------------------------------------------------------------------


def auto(formula: str) -> dict[str, Any]:
    document = management_pool(0)
    document["properties"]["scaleSettings"] = {"autoScale": {"formula": formula}}
    return document


def test_a_constant_formula_is_evaluated(
    emulator: Emulator, management: BatchManagementClient, put_pool: Put, name: str
) -> None:
    pool = put_pool(name, auto("$TargetDedicatedNodes = 2; $TargetLowPriorityNodes=1;"))
    assert pool.as_dict()["properties"]["scaleSettings"]["autoScale"]["evaluationInterval"] == "PT15M"
    assert pool.auto_scale_run.results.startswith("$TargetDedicatedNodes=2;$TargetLowPriorityNodes=1;")
    assert pool.resize_operation_status is None
    emulator.clock.advance(200)
    shown = get(emulator, management, name)
    assert (shown.current_dedicated_nodes, shown.current_low_priority_nodes) == (2, 1)


@pytest.mark.parametrize(
    ("formula", "status", "code"),
    [
        ("$TargetDedicatedNodes=avg($CPUPercent.GetSample(1))", 501, "NotImplemented"),
        ("$TargetDedicatedNodes=", 400, "AutoScalingFormulaSyntaxError"),
    ],
)
def test_a_formula_that_cannot_be_evaluated_makes_no_pool(
    emulator: Emulator, put_pool: Put, name: str, formula: str, status: int, code: str
) -> None:
    with pytest.raises(HttpResponseError) as caught:
        put_pool(name, auto(formula))
    assert (caught.value.status_code, code_of(caught.value)) == (status, code)
    assert emulator.account.find(name) is None


# --- delete ------------------------------------------------------------------------------------------------


def test_a_deletion_takes_its_time(
    emulator: Emulator,
    management: BatchManagementClient,
    put_pool: Put,
    ready_pool: Callable[..., str],
) -> None:
    name, info = ready_pool(1), emulator.info
    poller = management.pool.begin_delete(info.resource_group, info.account, name, polling=False)
    assert poller is not None
    deleting = get(emulator, management, name)
    assert deleting.provisioning_state == "Deleting"
    for options in ({}, {"match_condition": MatchConditions.IfMissing}):
        with pytest.raises(ResourceExistsError, match="PoolBeingDeleted"):
            put_pool(name, management_pool(1), **options)
    with pytest.raises(ResourceExistsError, match="PoolBeingDeleted"):
        management.pool.begin_delete(info.resource_group, info.account, name)
    emulator.clock.advance(60)
    with pytest.raises(ResourceNotFoundError) as caught:
        get(emulator, management, name)
    assert code_of(caught.value) == "PoolNotFound"


def test_the_operation_result_answers_202_and_then_200_without_a_body(
    emulator: Emulator, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(0)
    started = raw(emulator, "DELETE", f"{account_path(emulator)}/pools/{name}")
    assert (started.status_code, started.content) == (202, b"")
    location = started.headers["Location"]
    assert re.search(rf"/poolOperationResults/delete-{name}-8D[0-9A-F]+\?api-version=2025-06-01$", location)
    assert started.headers["Retry-After"] == "1"
    path = location.removeprefix(emulator.info.arm_endpoint).partition("?")[0]
    assert raw(emulator, "GET", path).status_code == 202
    emulator.clock.advance(60)
    for known in (path, path.rpartition("-")[0]):
        done = raw(emulator, "GET", known)
        assert (done.status_code, done.content) == (200, b"")
    assert raw(emulator, "GET", f"{path}0").status_code == 404
    assert raw(emulator, "DELETE", f"{account_path(emulator)}/pools/{name}").status_code == 204


def test_the_poller_of_the_sdk_sees_the_deletion_through() -> None:
    with Emulator(time_scale=1000) as fast:
        info = fast.info
        with (
            ClientSecretCredential(
                info.tenant_id,
                info.client_id,
                info.client_secret,
                authority=info.authority,
                disable_instance_discovery=True,
                connection_verify=info.ca_bundle,
            ) as credential,
            BatchManagementClient(
                credential,
                info.subscription_id,
                info.arm_endpoint,
                credential_scopes=[MANAGEMENT_SCOPE],
                connection_verify=info.ca_bundle,
            ) as management,
        ):
            where = (info.resource_group, info.account)
            management.pool.create(*where, "p", management_pool(1))
            management.pool.begin_delete(*where, "p").result()
            assert list(management.pool.list_by_batch_account(*where)) == []


@pytest.mark.parametrize(("scale", "pause"), [(1.0, "15"), (2.0, "8"), (60.0, "1"), (0.0, "1")])
def test_the_pause_between_polls_is_in_seconds_of_the_wall(scale: float, pause: str) -> None:
    with Emulator(time_scale=scale) as emulator:
        path = f"{account_path(emulator)}/pools/p"
        raw(emulator, "PUT", path, json=management_pool(0))
        assert raw(emulator, "DELETE", path).headers["Retry-After"] == pause


# --- the front door ----------------------------------------------------------------------------------------


def test_wrong_scopes_are_refused_by_the_front_door(emulator: Emulator) -> None:
    good, info = account_path(emulator), emulator.info
    for path, code in (
        (good.replace(info.subscription_id, "0000"), "SubscriptionNotFound"),
        (good.replace(info.resource_group, "nowhere"), "ResourceGroupNotFound"),
        (good.replace(f"batchAccounts/{info.account}", "batchAccounts/nobody"), "ResourceNotFound"),
    ):
        answer = raw(emulator, "GET", f"{path}/pools")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)


def test_the_api_version_is_required_and_must_be_one(emulator: Emulator) -> None:
    for version, code in ((None, "MissingApiVersionParameter"), ("nonsense", "InvalidApiVersionParameter")):
        answer = raw(emulator, "GET", account_path(emulator), version)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    for version in ("2021-01-01", "2022-01-01", "2024-07-01", "2026-08-01", "2025-06-01-preview"):
        assert raw(emulator, "GET", account_path(emulator), version).status_code == 200


def test_paths_are_found_in_any_case(emulator: Emulator) -> None:
    path = (
        account_path(emulator)
        .replace("resourceGroups", "resourcegroups")
        .replace("Microsoft.B", "microsoft.b")
    )
    assert raw(emulator, "GET", f"{path}/POOLS").status_code == 200


def test_the_headers_of_the_resource_manager(emulator: Emulator, name: str) -> None:
    path = f"{account_path(emulator)}/pools/{name}"
    made = raw(emulator, "PUT", path, json=management_pool(0), headers={"x-ms-client-request-id": "me"})
    assert made.headers["ETag"] == made.json()["etag"]
    assert re.fullmatch(r'W/"0x8D[0-9A-F]{13}"', made.headers["ETag"])
    for header in (
        "Last-Modified",
        "x-ms-request-id",
        "x-ms-correlation-request-id",
        "x-ms-routing-request-id",
    ):
        assert made.headers[header]
    assert made.headers["x-ms-client-request-id"] == "me"
    assert made.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "Server" not in made.headers, "as recorded in 2026"
    assert made.headers["X-Cache"] == "CONFIG_NOCACHE"
    assert made.headers["X-MSEdge-Ref"]
    assert re.fullmatch(r"tenantId=.+,objectId=.+/.+/.+", made.headers["x-ms-operation-identifier"])
    kind = "x-ms-ratelimit-remaining-subscription-"
    assert int(made.headers[f"{kind}writes"]) > 0
    for counted in ("reads", "global-reads"):
        left = [int(raw(emulator, "GET", path).headers[f"{kind}{counted}"]) for _ in range(2)]
        assert left[1] == left[0] - 1


def test_the_account_as_it_was_recorded_in_2026(emulator: Emulator) -> None:
    answer = raw(emulator, "GET", account_path(emulator))
    assert answer.headers["ETag"]
    assert answer.headers["Last-Modified"]
    account = answer.json()
    assert set(account) == {"id", "name", "type", "location", "identity", "properties"}, "no tags"
    assert account["identity"] == {"type": "None"}
    told = account["properties"]
    assert told["nodeManagementEndpoint"]
    assert told["encryption"] == {"keySource": "Microsoft.Batch"}
    assert told["privateEndpointConnections"] == []
    assert told["activeJobAndJobScheduleQuota"] == 300
    assert told["allowedAuthenticationModes"] == ["SharedKey", "AAD", "TaskAuthenticationToken"]
    assert told["dedicatedCoreQuotaPerVMFamilyEnforced"] is True
    families = told["dedicatedCoreQuotaPerVMFamily"]
    assert {"name", "coreQuota"} == set().union(*families)


def test_the_answers_to_a_formula_and_to_its_end_are_the_recorded_ones(emulator: Emulator, name: str) -> None:
    path = f"{account_path(emulator)}/pools/{name}"
    raw(emulator, "PUT", path, json=management_pool(1))
    emulator.clock.advance(300)
    formula = {"formula": "$TargetDedicatedNodes = 3;", "evaluationInterval": "PT5M"}
    scaled = raw(emulator, "PATCH", path, json={"properties": {"scaleSettings": {"autoScale": formula}}})
    told = scaled.json()["properties"]
    assert told["scaleSettings"] == {"autoScale": formula}
    assert told["resizeOperationStatus"]["targetDedicatedNodes"] == 3
    assert "autoScaleRun" not in told
    assert "autoScaleRun" in raw(emulator, "GET", path).json()["properties"]
    emulator.clock.advance(300)
    before = raw(emulator, "GET", path).json()
    ended = raw(emulator, "POST", f"{path}/disableAutoScale").json()
    assert "resizeOperationStatus" not in ended["properties"]
    assert ended["properties"]["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] == 3
    assert ended["etag"] != before["etag"]


def test_the_code_of_a_missing_pool_is_a_setting(
    emulator: Emulator, management: BatchManagementClient, name: str
) -> None:
    emulator.scenario = Scenario(answers=Answers(missing_pool="ResourceNotFound"))
    with pytest.raises(ResourceNotFoundError) as caught:
        get(emulator, management, name)
    assert code_of(caught.value) == "ResourceNotFound"
