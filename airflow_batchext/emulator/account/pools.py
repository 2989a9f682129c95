"""The facts about pools and nodes, from which everything that they show is computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.lifecycle import History, NodeNow, Resize, ResizeFault
from airflow_batchext.emulator.account.work import NO_WORK, Work
from airflow_batchext.emulator.wire.http import Versioned

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_batchext.emulator.account.autoscale import Evaluation
    from airflow_batchext.emulator.account.extensions import Override
    from airflow_batchext.emulator.documents.pool import PoolDefinition
    from airflow_batchext.emulator.scenario import PoolScenario


@dataclass
class Node:
    """A node of a pool, visible or not."""

    id: str
    index: int
    """Its place in the order of allocation."""
    is_dedicated: bool
    history: History
    overrides: dict[str, Override] = field(default_factory=dict)
    errors: tuple[tuple[str, str], ...] = ()
    work: Work = NO_WORK


@dataclass(frozen=True)
class Fate:
    """A pool will be deleted by somebody else at a time, and perhaps be created anew at once."""

    at: datetime
    comes_back: bool


@dataclass
class Pool(Versioned):
    """A pool: what was asked for, and what has become of it."""

    name: str
    definition: PoolDefinition
    created: datetime
    modified: datetime
    resize: Resize
    evaluation: Evaluation | None = None
    """What its autoscale formula came to last."""
    evaluates: datetime | None = None
    """When the formula is evaluated next."""
    autoscale_enabled: datetime | None = None
    """When autoscale was last enabled or its formula changed by a call of its own."""
    nodes: dict[str, Node] = field(default_factory=dict)
    """By id, in the order of allocation."""
    next_index: int = 0
    generation: int = 1
    """How many pools of this name there have been; a new one has other nodes."""
    deleted: datetime | None = None
    gone: datetime | None = None
    fate: Fate | None = None
    """What its scenario has in store for it."""

    _ordered: tuple[int, list[Node]] = (0, [])

    def order(self) -> list[Node]:
        """The nodes by id; they are sorted once, and again when others have come."""
        # Nodes come with new numbers, and go all in one new dictionary.
        key = hash((id(self.nodes), len(self.nodes), self.next_index))
        if self._ordered[0] != key:
            self._ordered = (key, sorted(self.nodes.values(), key=lambda node: node.id))
        return self._ordered[1]


@dataclass(frozen=True)
class VisibleNode:
    """A node together with its state at one time."""

    node: Node
    now: NodeNow


def waits_for_certificates(extension: dict[str, object]) -> bool:
    """Whether this is a Key Vault extension that must have its certificates before it succeeds."""
    settings = extension.get("settings")
    management = settings.get("secretsManagementSettings") if isinstance(settings, dict) else None
    return (
        str(extension.get("publisher", "")).casefold() == "microsoft.azure.keyvault"
        and isinstance(management, dict)
        and management.get("requireInitialSync") in (True, "true", "True")
    )


def resize_faults(pool: Pool, rule: PoolScenario | None) -> tuple[ResizeFault, ...]:
    """The errors with which a resize that starts now will end."""
    if rule is not None and rule.resize_error is not None:
        error = rule.resize_error
        return (ResizeFault(error.code, error.message, tuple(error.values.items())),)
    if pool.definition.has_settings_as_text:
        reason = ("Reason", "The server encountered an internal error")
        message = "Desired number of dedicated nodes could not be allocated"
        return (ResizeFault("AllocationFailed", message, (reason,)),)
    return ()
