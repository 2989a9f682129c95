"""One pool as both planes show it at one moment, and what must be true of it whatever has happened.

Each check is an ``assert`` that speaks of documents of the wire, as the SDKs of both planes read them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from airflow_batchext.emulator.account.lifecycle import NodeState

Json = dict[str, Any]

STATES = {state.value for state in NodeState}
BEFORE_THE_AGENT = {"creating"}
WITHOUT_MACHINE = {"preempted", "deallocated"}
CODES = ("ProvisioningState/succeeded", "ProvisioningState/failed", "ProvisioningState/transitioning")


@dataclass(frozen=True)
class View:
    """A pool, as the data plane and the management plane show it, and its nodes."""

    data: Json
    management: Json
    nodes: list[Json]

    @property
    def properties(self) -> Json:
        """What the management plane says of the pool itself."""
        found: Json = self.management["properties"]
        return found

    @property
    def is_deleting(self) -> bool:
        """Whether the pool has been deleted and is not gone yet."""
        return bool(self.data["state"] == "deleting")

    @property
    def is_steady(self) -> bool:
        """Whether no resize is running."""
        return bool(self.data["allocationState"] == "steady")

    @property
    def is_automatic(self) -> bool:
        """Whether a formula scales the pool."""
        return bool(self.data["enableAutoScale"])


def planes_agree(view: View) -> None:
    """What one plane says the other says, each in its own spelling."""
    data, properties = view.data, view.properties
    assert view.management["name"] == data["id"]
    assert view.management["etag"] == f'W/"{data["eTag"]}"'
    assert properties["provisioningState"] == ("Deleting" if view.is_deleting else "Succeeded")
    assert properties["allocationState"].lower() == data["allocationState"]
    assert properties["vmSize"].lower() == data["vmSize"]
    assert (properties["interNodeCommunication"] == "Enabled") == data["enableInterNodeCommunication"]
    pairs = {
        "provisioningStateTransitionTime": "stateTransitionTime",
        **{
            name: name
            for name in (
                "lastModified",
                "creationTime",
                "allocationStateTransitionTime",
                "currentDedicatedNodes",
                "currentLowPriorityNodes",
                "taskSlotsPerNode",
            )
        },
    }
    for here, there in pairs.items():
        assert properties[here] == data[there], here
    machine = properties["deploymentConfiguration"]["virtualMachineConfiguration"]
    assert machine["extensions"] == data["virtualMachineConfiguration"]["extensions"]
    _scales_agree(view)


def _scales_agree(view: View) -> None:
    data, properties = view.data, view.properties
    if view.is_deleting:  # the data plane tells of no nodes that are wanted any more, as was recorded there
        assert (data["targetDedicatedNodes"], data["targetLowPriorityNodes"]) == (0, 0)
        return
    if view.is_automatic:
        automatic = properties["scaleSettings"]["autoScale"]
        assert automatic["formula"] == data["autoScaleFormula"]
        assert automatic["evaluationInterval"] == data["autoScaleEvaluationInterval"]
        assert "fixedScale" not in properties["scaleSettings"]
        return
    fixed = properties["scaleSettings"]["fixedScale"]
    for name in ("targetDedicatedNodes", "targetLowPriorityNodes", "resizeTimeout"):
        assert fixed[name] == data[name], name
    here = properties.get("resizeOperationStatus", {}).get("errors", [])
    there = data.get("resizeErrors", [])
    assert [error["code"] for error in here] == [error["code"] for error in there]


def numbers_add_up(view: View, counts: Json) -> None:
    """Every node is counted once, everywhere; and a settled pool has what was asked for."""
    by_kind = Counter(node["isDedicated"] for node in view.nodes)
    data = view.data
    assert data["currentDedicatedNodes"] == by_kind[True]
    assert data["currentLowPriorityNodes"] == by_kind[False]
    for is_dedicated, kind in ((True, "dedicated"), (False, "lowPriority")):
        told = dict(counts[kind])
        assert told.pop("total") == by_kind[is_dedicated]
        states = Counter(node["state"] for node in view.nodes if node["isDedicated"] is is_dedicated)
        assert {name.lower(): number for name, number in told.items() if number} == dict(states)
    if view.is_steady and not view.is_deleting and not data.get("resizeErrors"):
        assert data["currentDedicatedNodes"] == data["targetDedicatedNodes"]
        assert data["currentLowPriorityNodes"] == data["targetLowPriorityNodes"]
    if not view.is_steady:
        assert "resizeErrors" not in data


def nodes_are_sound(view: View) -> None:
    """Each node is there once, in one known state, with times in their order."""
    ids = [node["id"] for node in view.nodes]
    assert ids == sorted(set(ids))
    for node in view.nodes:
        assert node["state"] in STATES
        assert node["allocationTime"] <= node["stateTransitionTime"]
        assert node["id"].endswith("_d" if node["isDedicated"] else "_p")
        if node["state"] in BEFORE_THE_AGENT:
            assert "lastBootTime" not in node
            assert "nodeAgentInfo" not in node
        if node["state"] in {"idle", "running", "offline"}:
            assert node["allocationTime"] <= node["lastBootTime"]


def times_go_on(before: View, after: View) -> None:
    """Of the same pool at two moments: what was created stays created, and no time goes back."""
    assert after.data["creationTime"] == before.data["creationTime"]
    for name in ("lastModified", "stateTransitionTime", "allocationStateTransitionTime"):
        assert after.data[name] >= before.data[name], name
    assert (after.data["eTag"] == before.data["eTag"]) == (
        after.data["lastModified"] == before.data["lastModified"]
    )
    old = {node["id"]: node for node in before.nodes}
    for node in after.nodes:
        earlier = old.get(node["id"], node)
        assert node["allocationTime"] == earlier["allocationTime"]
        assert node["stateTransitionTime"] >= earlier["stateTransitionTime"]
        if "lastBootTime" in node and "lastBootTime" in earlier:
            assert node["lastBootTime"] >= earlier["lastBootTime"]


def extensions_are_sound(extensions: list[Json], wanted: set[str]) -> None:
    """Every extension that was asked for is there, beside Batch's own, in a known state; waiting is kept."""
    found = {item["vmExtension"]["name"]: item for item in extensions}
    assert set(found) == wanted
    for item in found.values():
        statuses = item["instanceView"].get("statuses")
        if statuses is None:  # a fresh node says nothing yet, as was recorded
            assert item["provisioningState"] == "Creating"
            continue
        (status,) = statuses
        assert status["code"].startswith(CODES)
    succeeded = {name for name, item in found.items() if item["provisioningState"] == "Succeeded"}
    for name, item in found.items():
        if name in succeeded:
            assert set(item["vmExtension"].get("provisionAfterExtensions", [])) <= succeeded
