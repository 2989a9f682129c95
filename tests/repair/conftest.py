"""A repair on the emulator, as a process runs it: looks and pauses, in which the emulator's time passes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_batchext.emulator import ExtensionScenario, Scenario
from airflow_batchext.hooks._drivers.gate import drive
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.journal import ITEM
from airflow_batchext.repair.status import Progress, Stage


@dataclass
class Books:
    """What was done to the emulated account, and what the nodes were like just before."""

    account: Any
    done: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    allowed_running: bool = False
    busy_since_read: set[str] = field(default_factory=set)

    def note(self, step: str, pool: str, nodes: tuple[str, ...], option: str) -> None:
        self.done.append((step, nodes))
        for node_id in nodes:
            visible = self.account.node(pool, node_id)
            state = visible.now.state.value
            shown = self.account.extensions_of(self.account.pool(pool), visible)
            named = {item["name"] for item in self.account.pool(pool).definition.extensions}
            outcomes = {shown[name].outcome for name in named if name in shown}
            if outcomes == {"succeed"} and state in ("idle", "running", "offline", "creating", "starting"):
                self.wrong.append(f"{step} of node {node_id}, which is {state} and ready")
            is_excused = node_id in self.busy_since_read and option == "taskcompletion"
            if state == "running" and not self.allowed_running and not is_excused:
                self.wrong.append(f"{step} of node {node_id}, which runs tasks")

    def count(self, step: str) -> int:
        return sum(len(nodes) for done, nodes in self.done if done == step)


@pytest.fixture
def books(azure: Any, monkeypatch: pytest.MonkeyPatch) -> Books:
    """Everything that clients do to nodes from now on."""
    return keep_books(azure.emulator.account, monkeypatch.setattr)


def keep_books(account: Any, patch: Callable[..., None]) -> Books:
    found = Books(account)

    def watched(name: str, step: str) -> None:
        original = getattr(account, name)

        def noting(pool: str, nodes: Any, option: str = "requeue") -> Any:
            found.note(step, pool, tuple(nodes) if isinstance(nodes, list) else (nodes,), option)
            return original(pool, nodes, option)

        patch(account, name, noting)

    watched("reboot_node", "reboot")
    watched("reimage_node", "reimage")
    watched("remove_nodes", "replace")
    return found


@pytest.fixture
def repair(azure: Any) -> Callable[..., Progress]:
    """Run a repair until it ends, or for so many looks, with pauses of the emulator's time in between."""

    def run(
        *,
        owner: str = "me",
        looks: int = 150,
        policy: dict[str, Any] | None = None,
        pause: float = 60,
        **options: Any,
    ) -> Progress:
        repair = Repair(azure.pool_id, RepairPolicy.from_json(policy or {}), owner=owner, **options)
        with AzureBatchNodeHook("official", retries=0) as hook:
            for _ in range(looks):
                progress = drive(hook, azure.pool_id, repair.look(hook.service_time))
                if progress.stage is not Stage.WORKING:
                    break
                azure.pass_time(0.1 if progress.soon else pause)
        return progress

    return run


def fails(*rules: dict[str, Any], **more: Any) -> Scenario:
    """A scenario in which the extension fails as these rules say."""
    every = [{"extension": "secretext", "outcome": "fail", "code": "7", **rule} for rule in rules]
    return Scenario(extensions=[ExtensionScenario(**rule) for rule in every], **more)


def journal(azure: Any) -> dict[str, Any] | None:
    """The pool's journal as it stands in its metadata, asked of the account itself."""
    items = azure.emulator.account.pool(azure.pool_id).definition.properties.get("metadata", [])
    return next((json.loads(item["value"]) for item in items if item["name"] == ITEM), None)


def targets(azure: Any) -> tuple[int, int]:
    scale = azure.emulator.account.pool(azure.pool_id).definition.scale
    return scale.dedicated, scale.low_priority


async def run_until(trigger: Any, done: Callable[[], bool]) -> None:
    """Let a trigger run until that is so, then cancel it, as a triggerer does."""
    running = asyncio.create_task(anext(aiter(trigger.run())))
    for _ in range(200):
        await asyncio.sleep(0.05)
        if done():
            break
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def node_ids(azure: Any) -> list[str]:
    return [visible.node.id for visible in azure.emulator.account.nodes(azure.pool_id)]
