"""What the success of an operator states (docs/outcomes.md) is true of the emulated account at that moment.

Random histories: while an operator waits, others resize the pool, take nodes away, reboot them, delete the
pool and create it anew; requests fail. However it goes, an operator that succeeds has told the truth; that of
a repair is in ``tests/repair``.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.emulator.wire.errors import RefusedError
from airflow_batchext.exceptions import BatchextError
from airflow_batchext.operators import extension, node
from airflow_batchext.operators import pool as pools
from airflow_batchext.operators.diagnose import AzureBatchDiagnosePoolOperator
from airflow_batchext.operators.extension import AzureBatchGetExtensionOperator
from airflow_batchext.operators.orphans import AzureBatchDeleteOrphansOperator
from airflow_batchext.operators.pool import (
    AzureBatchCreatePoolOperator,
    AzureBatchDeletePoolOperator,
    AzureBatchResizePoolOperator,
    AzureBatchUpdatePoolOperator,
)
from tests.conftest import document
from tests.operators.conftest import go_on

COUNT = int(os.environ.get("BATCHEXT_CLAIM_HISTORIES", "25"))
PAGE = Path(__file__).parents[2] / "docs" / "outcomes.md"
_numbers = itertools.count()

FAULTS = st.fixed_dictionaries(
    {
        "skip": st.integers(0, 6),
        "count": st.integers(1, 2),
        "method": st.sampled_from(["GET", "PUT", "PATCH", "DELETE"]),
    }
).flatmap(
    lambda place: st.sampled_from(
        [
            {"action": "throttle", "retry_after": 1},
            {"action": "error", "status": 503},
            {"action": "error", "status": 500, "performed": True},
            {"action": "drop"},
            {"action": "drop", "performed": True},
        ]
    ).map(lambda kind: {**place, **kind})
)
HAPPENINGS = st.tuples(
    st.integers(0, 6),
    st.sampled_from(
        ["resize", "resize back", "stop", "preempt", "remove", "reboot", "delete", "recreate", "tag"]
    ),
)
HISTORIES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["create", "update", "update", "resize", "resize", "delete", "get"]),
        "nodes": st.integers(0, 3),
        "asked": st.integers(0, 4),
        "low": st.sampled_from([None, 0, 1]),
        "is_there": st.sampled_from([True, True, True, False]),
        "is_ready": st.booleans(),
        "wait": st.booleans(),
        "on_existing": st.sampled_from(["adopt", "fail", "update", "replace"]),
        "faults": st.lists(FAULTS, max_size=2),
        "happenings": st.lists(HAPPENINGS, max_size=2),
    }
)


class World:
    """The account, and what others do to it while an operator pauses."""

    def __init__(self, azure: Any, history: dict[str, Any]) -> None:
        self.azure, self.history, self.pauses = azure, history, 0
        self.account = azure.emulator.account

    @property
    def pool(self) -> Any:
        """As the account knows it now; None if there is none."""
        try:
            return self.account.pool(self.azure.pool_id)
        except RefusedError:
            return None

    def pause(self, seconds: float) -> None:
        for at, what in self.history["happenings"]:
            if at == self.pauses:
                with suppress(RefusedError, IndexError):
                    self.let(what)
        self.pauses += 1
        self.azure.pass_time(45)

    def let(self, what: str) -> None:
        name, account = self.azure.pool_id, self.account
        if what in ("resize", "resize back"):
            account.resize_pool(
                name, self.history["asked"] + 1 if what == "resize" else self.history["nodes"], 0
            )
        elif what == "stop":
            account.stop_resize(name)
        elif what in ("delete", "recreate"):
            account.delete_pool(name, at_once=True)
            if what == "recreate":
                self.azure.create(self.history["nodes"], ready=False)
        elif what == "tag":
            with pools_hook() as hook:
                hook.update_pool(name, {"properties": {"metadata": [{"name": "team", "value": "others"}]}})
        else:
            first = account.nodes(name)[0].node.id
            {"preempt": account.preempt_node, "remove": account.remove_node, "reboot": account.reboot_node}[
                what
            ](name, first)


def pools_hook() -> Any:
    from airflow_batchext.hooks.pool import AzureBatchPoolHook

    return AzureBatchPoolHook()


@contextmanager
def clock(world: World, monkeypatch: Any) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr("airflow_batchext.operators._steps.pool.time.sleep", world.pause)
        yield


def has_its_nodes(world: World) -> bool:
    """As the service would answer now, and as its own books say."""
    with pools_hook() as hook:
        found = hook.get_pool(world.azure.pool_id)["properties"]
    wanted = found["scaleSettings"]["fixedScale"]
    targets = wanted.get("targetDedicatedNodes", 0), wanted.get("targetLowPriorityNodes", 0)
    has = found["currentDedicatedNodes"], found["currentLowPriorityNodes"]
    nodes = len(world.account.nodes(world.azure.pool_id))
    return (found["allocationState"], has, nodes) == ("Steady", targets, sum(targets))


def create(world: World, told: dict[str, Any]) -> None:
    assert world.pool is not None
    assert told["pool_id"] == world.azure.pool_id
    if world.history["wait"]:
        assert has_its_nodes(world)


def update(world: World, told: dict[str, Any]) -> None:
    metadata = world.pool.definition.properties["metadata"]
    assert metadata == [{"name": "team", "value": "ours"}]
    if world.history["wait"]:
        assert has_its_nodes(world)


def resize(world: World, told: dict[str, Any]) -> None:
    scale = world.pool.definition.scale
    asked = world.history["asked"], world.history["low"]
    for has, wanted in zip((scale.dedicated, scale.low_priority), asked, strict=True):
        assert wanted in (None, has)
    assert told["target_dedicated_nodes"] == scale.dedicated
    if world.history["wait"]:
        assert has_its_nodes(world)
        assert told["current_dedicated_nodes"] == scale.dedicated


def delete(world: World, told: dict[str, Any]) -> None:
    if world.history["wait"] and "recreate" not in [what for _, what in world.history["happenings"]]:
        assert world.pool is None
    else:
        assert told["deleted"] is (world.pool is not None or bool(world.history["is_there"]))


def get(world: World, told: list[dict[str, Any]]) -> None:
    """Every node that can say something is in it with every extension, and nothing else is."""
    read = {(item["node_id"], item["name"]) for item in told}
    wanted = set()
    for visible in world.account.nodes(world.azure.pool_id):
        if visible.now.state.value in ("idle", "running"):
            wanted.add((visible.node.id, "secretext"))
    assert wanted <= read
    assert {node_id for node_id, _ in read} <= {v.node.id for v in world.account.nodes(world.azure.pool_id)}


OWN = {"properties": {"metadata": [{"name": "team", "value": "ours"}]}}


def operator(world: World) -> Any:
    history = world.history
    common = {"task_id": "t", "pool_id": world.azure.pool_id, "poll_interval": 5, "timeout": 3600}
    match history["kind"]:
        case "create":
            wait_for = "steady" if history["wait"] else "created"
            how = {"on_existing": history["on_existing"], "wait_for": wait_for}
            return AzureBatchCreatePoolOperator(**common, pool_document=document(history["asked"]), **how)
        case "update":
            return AzureBatchUpdatePoolOperator(**common, pool_document=OWN, wait_for_nodes=history["wait"])
        case "resize":
            targets = {
                "target_dedicated_nodes": history["asked"],
                "target_low_priority_nodes": history["low"],
            }
            return AzureBatchResizePoolOperator(**common, **targets, wait_for_nodes=history["wait"])
        case "delete":
            return AzureBatchDeletePoolOperator(**common, wait_for_deletion=history["wait"])
        case _:
            return AzureBatchGetExtensionOperator(task_id="t", pool_id=world.azure.pool_id)


CLAIMS: dict[str, Callable[[World, Any], None]] = {
    "create": create,
    "update": update,
    "resize": resize,
    "delete": delete,
    "get": get,
}


@settings(
    max_examples=COUNT,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=HISTORIES)
def test_an_operator_that_succeeds_has_told_the_truth(azure: Any, monkeypatch: Any, history: Any) -> None:
    azure.emulator.faults.clear()
    azure.emulator.scenario = Scenario()
    azure.pool_id = f"claim-{next(_numbers)}"
    if history["is_there"]:
        azure.create(history["nodes"], ready=history["is_ready"])
    world = World(azure, history)
    azure.emulator.faults.add(*(read_fault(fault) for fault in history["faults"]))
    try:
        with clock(world, monkeypatch):
            told = operator(world).execute({"ti": SimpleNamespace(dag_id="d", task_id="t", run_id="r")})
    except BatchextError as error:
        event(f"{history['kind']} ended with {type(error).__name__}")
    else:
        event(f"{history['kind']} succeeded")
        azure.emulator.faults.clear()
        CLAIMS[history["kind"]](world, told)
    finally:
        azure.emulator.faults.clear()
        with suppress(RefusedError):
            azure.emulator.account.delete_pool(azure.pool_id, at_once=True)


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_targets_that_somebody_else_sets_meanwhile_are_no_success(azure, monkeypatch, nodes):
    azure.create(1)
    history = {"kind": "resize", "nodes": 7, "asked": nodes + 1, "low": 0, "wait": True}
    world = World(azure, {**history, "happenings": [(1, "resize back")]})
    with (
        clock(world, monkeypatch),
        pytest.raises(BatchextError, match=r"other targets meanwhile: 7 dedicated"),
    ):
        operator(world).execute({})


@pytest.mark.parametrize("name", ["other", "nobody", "x" * 64])
def test_an_extension_that_no_node_has_is_no_success(azure, name):
    azure.create(2)
    with pytest.raises(BatchextError, match="read extension"):
        AzureBatchGetExtensionOperator(task_id="t", pool_id=azure.pool_id, extension_name=name).execute({})


def test_the_page_has_every_operator_and_each_has_its_test():
    told = re.findall(r"^\| `(AzureBatch\w+)` \|", PAGE.read_text(), re.MULTILINE)
    found = {
        name
        for module in (pools, node, extension)
        for name in vars(module)
        if name.startswith("AzureBatch") and name.endswith("Operator")
    }
    found |= {AzureBatchDiagnosePoolOperator.__name__, AzureBatchDeleteOrphansOperator.__name__}
    # Those of work are in test_task and test_job.
    found |= {"AzureBatchExtensionSensor", "AzureBatchTaskOperator"}
    found |= {"AzureBatchCreateJobOperator", "AzureBatchEndJobOperator"}
    assert sorted(told) == sorted(found)


@pytest.mark.parametrize(
    ("kind", "meanwhile", "said"),
    [
        ("resize", "resize back", "other targets meanwhile: 7 dedicated and 0 low-priority"),
        ("update", "tag", r"has changed pool .* meanwhile: properties.metadata"),
    ],
)
def test_it_is_no_success_in_the_triggerer_either(azure, kind, meanwhile, said):
    azure.create(1)
    azure.emulator.account.resize_pool(azure.pool_id, 2, 0)
    azure.pass_time(1)
    history = {"kind": kind, "nodes": 7, "asked": 3, "low": 0, "wait": True, "happenings": []}
    world = World(azure, history)
    azure.pass_time(300)
    if kind == "update":  # under way while it waits
        azure.emulator.account.resize_pool(azure.pool_id, 3, 0)
    task = operator(world)
    task.deferrable = True
    with pytest.raises(TaskDeferred) as deferred:
        task.execute({})
    world.let(meanwhile)
    with pytest.raises(BatchextError, match=said):
        go_on(azure, task, deferred.value, None)
