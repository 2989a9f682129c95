"""The extensions of nodes through azure-batch: outcomes, order, reboots, and the shapes that can be set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from azure.batch import models
from azure.core.exceptions import ResourceExistsError

from airflow_batchext.emulator import Emulator, ExtensionScenario, Scenario, Timings
from airflow_batchext.emulator.scenario import Answers
from tests.emulator.pool_documents import data_pool, extension

if TYPE_CHECKING:
    from azure.batch import BatchClient
    from azure.mgmt.batch import BatchManagementClient

Ready = Callable[..., str]
REBOOT: dict[str, Any] = {"polling_interval": 3600, "options": {"nodeRebootOption": "requeue"}}


def statuses(batch: BatchClient, pool: str, node: str) -> dict[str, str]:
    return {
        item.vm_extension.name: item.instance_view.statuses[0].code
        for item in batch.list_node_extensions(pool, node)
    }


def test_extensions_have_succeeded_while_the_node_is_still_creating(
    emulator: Emulator, batch: BatchClient, name: str
) -> None:
    batch.create_pool(data_pool(name, 1, extension()))
    emulator.clock.advance(124 + 8)
    (node,) = batch.list_nodes(name)
    assert node.state == "creating"
    assert set(statuses(batch, name, node.id).values()) == {"ProvisioningState/succeeded"}


def test_extensions_pass_through_transitioning(emulator: Emulator, batch: BatchClient, name: str) -> None:
    emulator.scenario = Scenario(timings=Timings(extension=60))
    batch.create_pool(data_pool(name, 1, extension()))
    emulator.clock.advance(135)
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


@pytest.mark.parametrize(("outcome", "message"), [("fail", "Enable failed"), ("hang", "Enable in progress")])
def test_batchs_own_extension_can_go_wrong_too(
    emulator: Emulator, batch: BatchClient, ready_pool: Ready, outcome: Any, message: str
) -> None:
    emulator.scenario = Scenario(
        extensions=[ExtensionScenario(extension="batchNodeExtension", outcome=outcome)]
    )
    name = ready_pool(1, extension())
    node = emulator.account.node(name, 0).node.id
    own = batch.get_node_extension(name, node, "batchNodeExtension")
    assert own.instance_view.statuses[0].message == message
    assert statuses(batch, name, node)["secretext"] == "ProvisioningState/succeeded"


def test_a_reboot_fixes_what_failed_on_the_first_boot(
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
    assert orders == [["secretext", "batchNodeExtension"], ["batchNodeExtension", "secretext"]]
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
    assert caught.value.model.code == "OperationInvalidForCurrentState"
    emulator.scenario = Scenario(answers=Answers(extensions_without_machine="last"))
    assert statuses(batch, name, node)["secretext"] == "ProvisioningState/succeeded"
    emulator.clock.advance(60)
    assert batch.get_node(name, node).state == "creating"
