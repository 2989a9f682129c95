"""What can be done to pools on the data plane, through azure-batch, and which changes give a new ETag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from azure.batch import BatchClient, models
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.scenario import Answers
from tests.emulator.pool_documents import data_pool, extension, raw_data

if TYPE_CHECKING:
    from collections.abc import Callable

LATER: dict[str, Any] = {"polling_interval": 3600}


def code_of(error: HttpResponseError) -> str:
    return error.model.code  # type: ignore[no-any-return, attr-defined]


def resize(batch: BatchClient, name: str, dedicated: int, low_priority: int = 0, **more: Any) -> None:
    options = {"targetDedicatedNodes": dedicated, "targetLowPriorityNodes": low_priority, **more}
    batch.begin_resize_pool(name, options, **LATER)  # type: ignore[arg-type]


# --- changing ----------------------------------------------------------------------------------------------


def test_a_patch_changes_what_it_gives_and_leaves_the_rest(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(1, extension(), metadata=[{"name": "a", "value": "1"}])
    before = batch.get_pool(name)
    batch.update_pool(name, models.BatchPoolUpdateOptions(start_task=models.BatchStartTask(command_line="x")))
    after = batch.get_pool(name)
    assert after.etag != before.etag
    assert after.last_modified > before.last_modified
    assert (after.allocation_state, after.creation_time) == ("steady", before.creation_time)
    assert (after.start_task.command_line, after.start_task.wait_for_success) == ("x", True)
    assert [(item.name, item.value) for item in after.metadata] == [("a", "1")]
    assert after["virtualMachineConfiguration"] == before["virtualMachineConfiguration"]


def test_most_of_a_pool_can_be_patched_only_while_it_is_empty(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], name: str
) -> None:
    with pytest.raises(HttpResponseError) as caught:
        batch.update_pool(ready_pool(1), {"taskSlotsPerNode": 4})  # type: ignore[arg-type]
    assert (caught.value.status_code, code_of(caught.value)) == (400, "PropertyCannotBeUpdated")
    batch.create_pool(data_pool(f"{name}-empty", 0))  # type: ignore[arg-type]
    batch.update_pool(f"{name}-empty", {"taskSlotsPerNode": 4, "displayName": "d"})  # type: ignore[arg-type]
    pool = batch.get_pool(f"{name}-empty")
    assert (pool.task_slots_per_node, pool.display_name) == (4, "d")


@pytest.mark.parametrize("member", ["id", "targetDedicatedNodes", "enableAutoScale", "nonsense"])
def test_what_a_patch_cannot_hold_is_refused(
    emulator: Emulator, ready_pool: Callable[..., str], member: str
) -> None:
    answer = raw_data(emulator, "PATCH", f"/pools/{ready_pool(0)}", json={member: "x"})
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidRequestBody")
    (reason,) = answer.json()["values"]
    assert reason == {
        "key": "Reason",
        "value": f"The property '{member}' does not exist on type "
        "'Microsoft.Azure.Batch.Protocol.Entities.PoolPatchParameter'. "
        "Make sure to only use property names that are defined by the type.",
    }


def test_replacing_properties_takes_away_what_is_not_given(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(
        1,
        startTask={"commandLine": "x"},
        metadata=[{"name": "a", "value": "1"}],
        applicationPackages=[{"id": "p"}],
    )
    etag = batch.get_pool(name).etag
    batch.replace_pool_properties(
        name,
        models.BatchPoolReplaceOptions(
            application_package_references=[], metadata=[models.BatchMetadataItem(name="b", value="2")]
        ),
    )
    pool = batch.get_pool(name)
    assert pool.etag != etag
    assert [(item.name, item.value) for item in pool.metadata] == [("b", "2")]
    assert (pool.start_task, pool.application_package_references) == (None, None)
    body = {"certificateReferences": [], "applicationPackageReferences": [], "metadata": []}
    answer = raw_data(emulator, "POST", f"/pools/{name}/updateproperties", "2023-05-01.17.0", json=body)
    assert (answer.status_code, answer.headers["Content-Length"]) == (204, "0")
    assert answer.headers["DataServiceId"].endswith(f"/pools/{name}/updateproperties")
    assert answer.headers["ETag"] == batch.get_pool(name).etag
    assert raw_data(emulator, "POST", f"/pools/{name}/updateproperties", json={}).status_code == 400


# --- resizing ----------------------------------------------------------------------------------------------


def test_a_pool_grows_and_shrinks(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(1)
    etags = [batch.get_pool(name).etag]
    for dedicated, low_priority in ((3, 1), (0, 1), (0, 0)):
        resize(batch, name, dedicated, low_priority)
        pool = batch.get_pool(name)
        etags.append(pool.etag)
        assert (pool.allocation_state, pool.target_dedicated_nodes) == ("resizing", dedicated)
        with pytest.raises(ResourceExistsError) as caught:
            resize(batch, name, 9)
        assert code_of(caught.value) == "PoolBeingResized"
        emulator.clock.advance(200)
        pool = batch.get_pool(name)
        assert (pool.allocation_state, pool.etag) == ("steady", etags[-1])
        assert (pool.current_dedicated_nodes, pool.current_low_priority_nodes) == (dedicated, low_priority)
    assert len(set(etags)) == 4


def test_a_resize_that_is_stopped_keeps_the_nodes_and_says_so(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(1)
    resize(batch, name, 1, 2)
    before = batch.get_pool(name)
    emulator.clock.advance(1)
    batch.begin_stop_pool_resize(name, **LATER)
    stopping = batch.get_pool(name)
    assert (stopping.allocation_state, stopping.etag) == ("stopping", before.etag)
    assert stopping.allocation_state_transition_time > before.allocation_state_transition_time
    assert stopping.resize_errors is None
    emulator.clock.advance(5)
    pool = batch.get_pool(name)
    assert (pool.allocation_state, pool.etag, pool.target_low_priority_nodes) == ("steady", before.etag, 2)
    assert pool["resizeErrors"] == [
        {
            "code": "ResizeStopped",
            "message": "Desired number of low priority nodes could not be allocated "
            "due to a stop resize operation",
        }
    ]
    emulator.clock.advance(500)
    assert len(list(batch.list_nodes(name))) == 1
    resize(batch, name, 1, 0)
    assert batch.get_pool(name).resize_errors is None
    batch.begin_stop_pool_resize(name, **LATER)
    emulator.clock.advance(5)
    batch.begin_stop_pool_resize(name, **LATER)
    assert batch.get_pool(name).allocation_state == "steady"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "MissingRequiredProperty"),
        ({"targetDedicatedNodes": -1}, "InvalidPropertyValue"),
        ({"targetDedicatedNodes": 1, "resizeTimeout": "PT4M59S"}, "InvalidPropertyValue"),
        ({"targetDedicatedNodes": 1, "nodeDeallocationOption": "kick"}, "InvalidPropertyValue"),
        ({"targetDedicated": 1}, "InvalidRequestBody"),
    ],
)
def test_a_senseless_resize_is_refused(
    emulator: Emulator, ready_pool: Callable[..., str], body: dict[str, Any], code: str
) -> None:
    answer = raw_data(emulator, "POST", f"/pools/{ready_pool(0)}/resize", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_no_operation_changes_a_pool_that_is_being_deleted(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(1)
    batch.begin_delete_pool(name, **LATER)
    for method, path, body in (
        ("PATCH", "", {"metadata": []}),
        ("DELETE", "", None),
        ("POST", "/resize", {"targetDedicatedNodes": 3}),
        ("POST", "/stopresize", None),
        ("POST", "/enableautoscale", {"autoScaleFormula": "$TargetDedicatedNodes=1"}),
        ("POST", "/disableautoscale", None),
        ("POST", "/removenodes", {"nodeList": ["n"]}),
        ("POST", "/updateproperties", {"metadata": [], "applicationPackageReferences": []}),
    ):
        answer = raw_data(emulator, method, f"/pools/{name}{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "PoolBeingDeleted")


@pytest.mark.parametrize("path", ["", "/resize", "/stopresize", "/removenodes", "/enableautoscale"])
def test_conditional_headers_guard_every_change(
    emulator: Emulator, ready_pool: Callable[..., str], path: str
) -> None:
    name = ready_pool(1)
    method = "POST" if path else "PATCH"
    body = {"targetDedicatedNodes": 1} if path == "/resize" else {}  # it checks its body first
    answer = raw_data(emulator, method, f"/pools/{name}{path}", headers={"If-Match": "0x1"}, json=body)
    assert (answer.status_code, answer.json()["code"]) == (412, "ConditionNotMet")


def test_a_pool_is_changed_only_in_the_version_that_is_known(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(0)
    etag = batch.get_pool(name).etag
    options = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    batch.update_pool(name, {"metadata": [{"name": "a", "value": "b"}]}, **options)  # type: ignore[arg-type]
    with pytest.raises(ResourceModifiedError):
        batch.update_pool(name, {"metadata": []}, **options)  # type: ignore[arg-type]


# --- autoscale ---------------------------------------------------------------------------------------------


def test_autoscale_is_enabled_evaluated_and_disabled(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(0)
    before = batch.get_pool(name)
    options: Any = {"autoScaleFormula": "$TargetDedicatedNodes=2", "autoScaleEvaluationInterval": "PT06M00S"}
    batch.enable_pool_auto_scale(name, options)
    pool = batch.get_pool(name)
    assert pool.etag != before.etag
    assert (pool.enable_auto_scale, pool.allocation_state, pool.target_dedicated_nodes) == (
        True,
        "resizing",
        2,
    )
    assert pool["autoScaleEvaluationInterval"] == "PT6M"
    assert pool.auto_scale_run.timestamp == pool.last_modified
    run = batch.evaluate_pool_auto_scale(name, {"autoScaleFormula": "$TargetDedicatedNodes=3"})  # type: ignore[arg-type]
    assert run.results == "$TargetDedicatedNodes=3;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue"
    assert batch.get_pool(name).target_dedicated_nodes == 2
    emulator.clock.advance(200)
    with pytest.raises(ResourceExistsError) as caught:
        resize(batch, name, 5)
    assert code_of(caught.value) == "OperationNotValidOnPool"
    batch.disable_pool_auto_scale(name)
    after = batch.get_pool(name)
    assert (after.enable_auto_scale, after.auto_scale_formula, after.auto_scale_run) == (False, None, None)
    assert (after.target_dedicated_nodes, after.allocation_state) == (2, "resizing")
    assert after.etag != pool.etag


def test_disabling_autoscale_during_a_resize_changes_no_etag(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(0)
    batch.enable_pool_auto_scale(name, {"autoScaleFormula": "$TargetDedicatedNodes=2"})  # type: ignore[arg-type]
    etag = batch.get_pool(name).etag
    batch.disable_pool_auto_scale(name)
    pool = batch.get_pool(name)
    assert (pool.etag, pool.enable_auto_scale, pool.target_dedicated_nodes) == (etag, False, 2)


def test_a_formula_is_evaluated_again_and_again(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(0)
    formula = "$TargetDedicatedNodes = $CurrentDedicatedNodes.GetSample(1) + 1;"
    options: Any = {"autoScaleFormula": formula, "autoScaleEvaluationInterval": "PT5M"}
    batch.enable_pool_auto_scale(name, options)
    sizes, etags = [], set()
    for _ in range(4):
        pool = batch.get_pool(name)
        sizes.append(pool.target_dedicated_nodes)
        etags.add(pool.etag)
        emulator.clock.advance(300)
    assert (sizes, len(etags)) == ([1, 2, 3, 4], 4)
    emulator.clock.advance(900)
    pool = batch.get_pool(name)
    assert pool.target_dedicated_nodes == 8
    assert pool.current_dedicated_nodes == 7


def test_an_evaluation_error_keeps_the_size_and_is_shown(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(2)
    batch.enable_pool_auto_scale(name, {"autoScaleFormula": "$TargetDedicatedNodes=2"})  # type: ignore[arg-type]
    run = batch.evaluate_pool_auto_scale(name, {"autoScaleFormula": "$something_useless"})  # type: ignore[arg-type]
    assert run.results.startswith("$TargetDedicatedNodes=2;")
    assert run.error.code == "AutoScalingFormulaEvaluationError"
    (value,) = run.error.error_values
    assert (value.name, value.value) == ("Message", "Line 1, Col 1: Undefined symbol: $something_useless")


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("enableautoscale", {}, 400, "MissingRequiredProperty"),
        ("enableautoscale", {"autoScaleFormula": "$x = ("}, 400, "AutoScalingFormulaSyntaxError"),
        ("enableautoscale", {"autoScaleFormula": "x=1;" * 2100}, 400, "AutoScalingFormulaTooLong"),
        ("enableautoscale", {"autoScaleFormula": "$x = rand();"}, 501, "NotImplemented"),
        (
            "enableautoscale",
            {"autoScaleFormula": "$TargetDedicatedNodes=1", "autoScaleEvaluationInterval": "PT1M"},
            400,
            "InvalidPropertyValue",
        ),
        ("evaluateautoscale", {"autoScaleFormula": "x=1"}, 409, "OperationNotValidOnPool"),
        ("evaluateautoscale", {}, 400, "MissingRequiredProperty"),
    ],
)
def test_what_autoscale_refuses(
    emulator: Emulator,
    ready_pool: Callable[..., str],
    path: str,
    body: dict[str, Any],
    status: int,
    code: str,
) -> None:
    answer = raw_data(emulator, "POST", f"/pools/{ready_pool(0)}/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_autoscale_is_not_enabled_twice_in_half_a_minute(
    emulator: Emulator, ready_pool: Callable[..., str]
) -> None:
    path, body = f"/pools/{ready_pool(0)}/enableautoscale", {"autoScaleFormula": "$TargetDedicatedNodes=0"}
    answers = []
    for _ in range(3):
        answers.append(raw_data(emulator, "POST", path, json=body))
        emulator.clock.advance(25)
    assert [answer.status_code for answer in answers] == [200, 503, 200]
    assert answers[1].json()["code"] == "TooManyEnableAutoScaleRequests"


def test_autoscale_on_a_pool_that_is_being_resized(emulator: Emulator, batch: BatchClient, name: str) -> None:
    batch.create_pool(data_pool(name, 0))  # type: ignore[arg-type]
    options: Any = {"autoScaleFormula": "$TargetDedicatedNodes=2"}
    emulator.scenario = Scenario(answers=Answers(autoscale_while_resizing="refused"))
    with pytest.raises(ResourceExistsError) as caught:
        batch.enable_pool_auto_scale(name, options)
    assert code_of(caught.value) == "PoolBeingResized"
    emulator.scenario = Scenario()
    etag = batch.get_pool(name).etag
    batch.enable_pool_auto_scale(name, options)
    pool = batch.get_pool(name)
    assert (pool.etag, pool.enable_auto_scale, pool.auto_scale_run) == (etag, True, None)
    emulator.clock.advance(60)
    assert batch.get_pool(name).target_dedicated_nodes == 2


# --- lists -------------------------------------------------------------------------------------------------


def test_pools_are_filtered_and_selected(emulator: Emulator, batch: BatchClient, name: str) -> None:
    for suffix, nodes in (("a", 0), ("b", 1), ("c", 0)):
        batch.create_pool(data_pool(f"{name}{suffix}", nodes))  # type: ignore[arg-type]
    emulator.clock.advance(60)
    steady = f"startswith(id,'{name}') and allocationState eq 'steady'"
    pools = list(batch.list_pools(filter=steady, select=["id", "state"], expand=["stats"]))
    assert pools == [{"id": f"{name}a", "state": "active"}, {"id": f"{name}c", "state": "active"}]
    created = batch.get_pool(f"{name}b")["creationTime"]
    later = batch.list_pools(filter=f"creationTime ge datetime'{created}' and startswith(id,'{name}')")
    assert [pool.id for pool in later] == [f"{name}b", f"{name}c"]
    pages = list(batch.list_pools(filter=f"startswith(id,'{name}')", max_results=2).by_page())
    assert [[pool.id for pool in page] for page in pages] == [[f"{name}a", f"{name}b"], [f"{name}c"]]


def test_node_counts_add_up(emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]) -> None:
    name = ready_pool(4)
    emulator.account.mark_node(name, 0, "unusable")
    emulator.account.reboot_node(name, 1)
    (counts,) = batch.list_pool_node_counts(filter=f"poolId eq '{name}'")
    assert (counts.dedicated.idle, counts.dedicated.unusable, counts.dedicated.rebooting) == (2, 1, 1)
    assert (counts.dedicated.total, counts.low_priority.total) == (4, 0)
    old = raw_data(emulator, "GET", "/nodecounts", "2023-05-01.17.0").json()
    assert old["odata.metadata"].endswith("#poolnodecounts")
    assert list(old["value"][0]["dedicated"])[-3:] == ["unknown", "waitingForStartTask", "total"]


def test_the_supported_images(emulator: Emulator, batch: BatchClient) -> None:
    images = list(batch.list_supported_images())
    assert len(images) > 5
    windows = list(batch.list_supported_images(filter="osType eq 'windows'"))
    assert {image.node_agent_sku_id for image in windows} == {"batch.node.windows amd64"}
    assert len(list(batch.list_supported_images(max_results=1).by_page())) == len(images)
