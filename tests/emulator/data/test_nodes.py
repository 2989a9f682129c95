"""What can be done to nodes, through azure-batch: what is allowed when, and which way they go."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any

import pytest
from azure.batch import BatchClient, models
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from airflow_batchext.emulator import Emulator, ExtensionScenario, Scenario
from airflow_batchext.emulator.scenario import Answers, StartTaskScenario
from tests.emulator.pool_documents import data_pool, extension, raw_data

if TYPE_CHECKING:
    from collections.abc import Callable

Ready = "Callable[..., str]"
LATER: dict[str, Any] = {"polling_interval": 3600}


def code_of(error: HttpResponseError) -> str:
    return error.model.code  # type: ignore[no-any-return, attr-defined]


def ids(batch: BatchClient, pool: str) -> list[str]:
    return [node.id for node in batch.list_nodes(pool)]


def states(batch: BatchClient, pool: str) -> Counter[str]:
    return Counter(str(node["state"]) for node in batch.list_nodes(pool))


# --- removing ----------------------------------------------------------------------------------------------


def test_removed_nodes_leave_and_the_target_is_so_much_less(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(3)
    before = batch.get_pool(name)
    first, second, third = ids(batch, name)
    batch.begin_remove_nodes(name, {"nodeList": [first, third]}, **LATER)  # type: ignore[arg-type]
    pool = batch.get_pool(name)
    assert pool.etag != before.etag
    assert (pool.allocation_state, pool.target_dedicated_nodes) == ("resizing", 1)
    assert states(batch, name) == {"leavingpool": 2, "idle": 1}
    with pytest.raises(ResourceExistsError) as resizing:
        batch.begin_remove_nodes(name, {"nodeList": [second]}, **LATER)  # type: ignore[arg-type]
    assert code_of(resizing.value) == "PoolBeingResized"
    emulator.clock.advance(8)
    assert ids(batch, name) == [second]
    assert batch.get_pool(name).allocation_state == "steady"
    with pytest.raises(ResourceNotFoundError) as gone:
        batch.begin_remove_nodes(name, {"nodeList": [first]}, **LATER)  # type: ignore[arg-type]
    assert code_of(gone.value) == "NodeNotFound"


@pytest.mark.parametrize(
    "body",
    [{"nodeList": []}, {"nodeList": ["n"] * 3 + [f"n{i}" for i in range(101)]}, {}, {"nodes": []}],
)
def test_a_senseless_removal_is_refused(
    emulator: Emulator, ready_pool: Callable[..., str], body: dict[str, Any]
) -> None:
    answer = raw_data(emulator, "POST", f"/pools/{ready_pool(1)}/removenodes", json=body)
    assert answer.status_code == 400


def test_a_timeout_that_is_too_short_is_refused(emulator: Emulator, ready_pool: Callable[..., str]) -> None:
    body = {"nodeList": ["n"], "resizeTimeout": "PT1M"}
    answer = raw_data(emulator, "POST", f"/pools/{ready_pool(1)}/removenodes", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidPropertyValue")


# --- reimaging, deallocating, starting ---------------------------------------------------------------------


def test_reimaging_is_refused_as_recorded(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    emulator.scenario = Scenario(answers=Answers(reimage="refused"))
    name = ready_pool(1)
    with pytest.raises(ResourceExistsError) as caught:
        batch.begin_reimage_node(name, ids(batch, name)[0], {"nodeReimageOption": "terminate"}, **LATER)  # type: ignore[arg-type]
    assert code_of(caught.value) == "OperationNotValidOnNode"
    (reason,) = caught.value.model.error_values  # type: ignore[attr-defined]
    assert (
        reason.value
        == "Operation reimage can be invoked only on pools created with cloudServiceConfiguration"
    )


def test_reimaging_works_and_leaves_the_marks_of_the_boot_before(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(1, startTask={"commandLine": "true", "waitForSuccess": True})
    (node,) = ids(batch, name)
    before = batch.get_node(name, node)
    batch.begin_reimage_node(name, node, {"nodeReimageOption": "requeue"}, **LATER)  # type: ignore[arg-type]
    seen = []
    for length in (455, 5, 60):
        shown = batch.get_node(name, node)
        seen.append(shown.state)
        assert shown.last_boot_time == before.last_boot_time
        assert shown.start_task_info is not None
        assert shown.start_task_info.start_time == before.start_task_info.start_time  # type: ignore[union-attr]
        emulator.clock.advance(length)
    assert seen == ["reimaging", "starting", "starting"]
    after = batch.get_node(name, node)
    assert (after.state, after.start_task_info.result) == ("idle", "success")  # type: ignore[union-attr]
    assert after.last_boot_time > before.last_boot_time  # type: ignore[operator]
    assert after.start_task_info.start_time > before.start_task_info.start_time  # type: ignore[union-attr, operator]


def test_a_node_is_deallocated_and_started_again(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(2, extension())
    node, other = ids(batch, name)
    before = batch.get_node(name, node)
    batch.begin_deallocate_node(name, node, {"nodeDeallocateOption": "requeue"}, **LATER)  # type: ignore[arg-type]
    assert batch.get_node(name, node).state == "deallocating"
    for operation in ("deallocate", "reboot", "start"):
        answer = raw_data(emulator, "POST", f"/pools/{name}/nodes/{node}/{operation}")
        assert (answer.status_code, answer.json()["code"]) == (409, "OperationInvalidForCurrentState")
    emulator.clock.advance(30)
    assert batch.get_node(name, node).state == "deallocated"
    (counts,) = [item for item in batch.list_pool_node_counts() if item.pool_id == name]
    assert (counts.dedicated.deallocated, counts.dedicated.idle, counts.dedicated.total) == (1, 1, 2)
    with pytest.raises(ResourceExistsError):
        list(batch.list_node_extensions(name, node))
    with pytest.raises(ResourceExistsError):
        batch.begin_start_node(name, other, **LATER)
    batch.begin_start_node(name, node, **LATER)
    assert batch.get_node(name, node).state == "starting"
    emulator.clock.advance(60)
    again = batch.get_node(name, node)
    assert (again.state, again.allocation_time) == ("idle", before.allocation_time)
    assert again.last_boot_time > before.last_boot_time
    assert len(list(batch.list_node_extensions(name, node))) == 2


# --- scheduling --------------------------------------------------------------------------------------------


def test_a_node_is_spared_and_takes_tasks_again(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(1)
    (node,) = ids(batch, name)
    with pytest.raises(ResourceExistsError) as enabled:
        batch.enable_node_scheduling(name, node)
    assert code_of(enabled.value) == "NodeAlreadyInTargetSchedulingState"
    batch.disable_node_scheduling(name, node, {"nodeDisableSchedulingOption": "requeue"})  # type: ignore[arg-type]
    spared = batch.get_node(name, node)
    assert (spared.state, spared.scheduling_state) == ("offline", "disabled")
    with pytest.raises(ResourceExistsError) as disabled:
        batch.disable_node_scheduling(name, node, {"nodeDisableSchedulingOption": "requeue"})  # type: ignore[arg-type]
    assert code_of(disabled.value) == "NodeAlreadyInTargetSchedulingState"
    emulator.clock.advance(10)
    batch.enable_node_scheduling(name, node)
    back = batch.get_node(name, node)
    assert (back.state, back.scheduling_state) == ("idle", "enabled")
    assert back.state_transition_time > spared.state_transition_time


# --- what a node tells -------------------------------------------------------------------------------------


def test_the_logs_of_a_node(emulator: Emulator, ready_pool: Callable[..., str], batch: BatchClient) -> None:
    name = ready_pool(1)
    (node,) = ids(batch, name)
    path = f"/pools/{name}/nodes/{node}/uploadbatchservicelogs"
    body = {"containerUrl": "https://x.invalid/?sig=SENTINEL", "startTime": "2026-01-01T00:00:00Z"}
    answer = raw_data(emulator, "POST", path, json=body)
    assert answer.status_code == 200
    assert answer.json()["odata.metadata"].endswith("Protocol.Entities.UploadBatchServiceLogsResult")
    folder = answer.json()["virtualDirectoryName"].split("/")
    assert folder[1:] == [name, node, answer.headers["request-id"]]
    assert answer.json()["numberOfFilesUploaded"] == 4
    assert "SENTINEL" not in answer.text
    assert raw_data(emulator, "POST", path, json={"containerUrl": "x"}).status_code == 400


def test_the_address_to_log_in_at(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(2)
    nodes = raw_data(emulator, "GET", f"/pools/{name}/nodes", "2023-05-01.17.0").json()["value"]
    assert len(nodes) == 2
    for node in nodes:  # in this version they still list the endpoint to log in at
        settings = batch.get_node_remote_login_settings(name, node["id"])
        (endpoint,) = node["endpointConfiguration"]["inboundEndpoints"]
        assert settings.remote_login_ip_address == endpoint["publicIPAddress"]
        assert settings.remote_login_port == endpoint["frontendPort"]
        assert settings.ipv6_remote_login_ip_address is None
        assert "ipv6Address" not in node


def test_a_pool_of_both_families_has_both_addresses(
    emulator: Emulator, batch: BatchClient, name: str
) -> None:
    families = {"publicIPAddressConfiguration": {"ipFamilies": ["IPv4", "IPv6"]}}
    body = {**data_pool(name, 12), "networkConfiguration": families}
    assert raw_data(emulator, "POST", "/pools", json=body).status_code == 201
    emulator.clock.advance(400)
    nodes = raw_data(emulator, "GET", f"/pools/{name}/nodes").json()["value"]
    assert len({IPv6Address(node["ipv6Address"]) for node in nodes}) == 12
    one = raw_data(emulator, "GET", f"/pools/{name}/nodes/{nodes[0]['id']}").json()
    assert one["ipv6Address"] == nodes[0]["ipv6Address"]
    settings = batch.get_node_remote_login_settings(name, nodes[0]["id"])
    assert IPv6Address(settings.ipv6_remote_login_ip_address)
    assert settings.ipv6_remote_login_port == settings.remote_login_port


@pytest.mark.parametrize(
    ("method", "operation", "status"),
    [
        ("POST", "disablescheduling", 200),
        ("POST", "reboot", 202),
        ("POST", "deallocate", 202),
    ],
)
def test_the_headers_of_what_is_done_to_a_node(
    emulator: Emulator,
    batch: BatchClient,
    ready_pool: Callable[..., str],
    method: str,
    operation: str,
    status: int,
) -> None:
    name = ready_pool(1)
    path = f"/pools/{name}/nodes/{ids(batch, name)[0]}/{operation}"
    answer = raw_data(emulator, method, path)
    assert (answer.status_code, answer.content) == (status, b"")
    assert answer.headers["DataServiceId"] == f"{emulator.info.http_endpoint}{path}"
    assert "ETag" not in answer.headers
    assert answer.headers["Transfer-Encoding"] == "chunked"


@pytest.mark.parametrize("operation", ["reboot", "deallocate", "disablescheduling", "reimage"])
def test_a_senseless_option_is_refused(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], operation: str
) -> None:
    name = ready_pool(1)
    body = {f"node{word}Option": "kick" for word in ("Reboot", "Deallocate", "DisableScheduling", "Reimage")}
    path = f"/pools/{name}/nodes/{ids(batch, name)[0]}/{operation}"
    answer = raw_data(emulator, "POST", path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidPropertyValue")


# --- start tasks -------------------------------------------------------------------------------------------

START_TASK = {"commandLine": "/bin/true", "maxTaskRetryCount": 1, "waitForSuccess": True}


def test_a_node_waits_for_its_start_task(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    emulator.scenario = Scenario(start_tasks=[StartTaskScenario(after=100)])
    name = ready_pool(1, startTask=START_TASK)
    node = next(iter(batch.list_nodes(name)))
    assert node.state == models.BatchNodeState.WAITING_FOR_START_TASK
    assert (node.start_task_info.state, node.start_task_info.exit_code) == ("running", None)
    emulator.clock.advance(100)
    node = batch.get_node(name, node.id)
    assert node.state == models.BatchNodeState.IDLE
    info = node.start_task_info
    assert (info.state, info.result, info.exit_code, info.retry_count) == ("completed", "success", 0, 0)
    assert node.start_task.command_line == "/bin/true"
    assert node.state_transition_time == info.end_time


def test_a_start_task_that_fails_is_tried_again_and_given_up(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    rule = StartTaskScenario(exit_code=3, after=20, boots="first", node=0)
    emulator.scenario = Scenario(start_tasks=[rule])
    name = ready_pool(2, startTask=START_TASK)
    failed = list(batch.list_nodes(name, filter="startTaskInfo/exitCode ne 0"))
    assert [node.state for node in failed] == [models.BatchNodeState.START_TASK_FAILED]
    info = failed[0].start_task_info
    assert (info.result, info.exit_code, info.retry_count) == ("failure", 3, 1)
    assert info.failure_info.code == "FailureExitCode"
    assert (info.end_time - info.start_time).total_seconds() == 20
    assert len(list(batch.list_nodes(name, filter="startTaskInfo/result eq 'success'"))) == 1
    emulator.account.reboot_node(name, failed[0].id)
    emulator.clock.advance(60)
    assert batch.get_node(name, failed[0].id).state == "idle"


def test_a_node_need_not_wait_for_its_start_task(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    emulator.scenario = Scenario(start_tasks=[StartTaskScenario(exit_code=None)])
    name = ready_pool(1, startTask={**START_TASK, "waitForSuccess": False})
    (node,) = batch.list_nodes(name)
    assert (node.state, node.start_task_info.state) == ("idle", "running")


def test_a_start_task_fails_before_its_command_runs(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    failure = {"code": "BlobNotFound", "message": "It is not found", "values": {"FilePath": "/wd/a"}}
    rule = StartTaskScenario.model_validate({"failure": failure, "after": 20, "boots": "first"})
    emulator.scenario = Scenario(start_tasks=[rule])
    name = ready_pool(1, startTask=START_TASK)
    (node,) = batch.list_nodes(name, filter="startTaskInfo/result eq 'failure'")
    assert node.state == models.BatchNodeState.START_TASK_FAILED
    info = node.start_task_info
    assert (info.state, info.exit_code, info.retry_count) == ("completed", None, 1)
    assert (info.failure_info.code, info.failure_info.message) == ("BlobNotFound", "It is not found")
    assert [(pair.name, pair.value) for pair in info.failure_info.details] == [("FilePath", "/wd/a")]
    emulator.account.reboot_node(name, node.id)
    emulator.clock.advance(60)
    assert batch.get_node(name, node.id).state == "idle"


# --- upgrades of extensions --------------------------------------------------------------------------------


def test_an_automatic_upgrade_sends_an_extension_back_to_updating(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    rule = ExtensionScenario(extension="secretext", upgrade_after=1000, upgrade_seconds=30)
    emulator.scenario = Scenario(extensions=[rule])
    name = ready_pool(1, extension())
    (node,) = ids(batch, name)

    def shown() -> tuple[str, str]:
        found = batch.get_node_extension(name, node, "secretext")
        return found.provisioning_state, found.instance_view.statuses[0].code

    good = ("Succeeded", "ProvisioningState/succeeded")
    assert shown() == good
    emulator.clock.advance(930)
    assert shown() == ("Updating", "ProvisioningState/updating")
    emulator.clock.advance(30)
    assert shown() == good
    emulator.account.upgrade_extension(name, node, "SecretExt", 10)
    assert shown()[0] == "Updating"
    emulator.clock.advance(10)
    assert shown() == good
