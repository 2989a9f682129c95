"""The facts about pools and nodes, from which everything that they show is computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_batchext.emulator.lifecycle import History, NodeNow, Override, Resize, ResizeFault
from airflow_batchext.emulator.wire import etag_of

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_batchext.emulator.pool_document import PoolDefinition
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


@dataclass
class Pool:
    """A pool: what was asked for, and what has become of it."""

    name: str
    definition: PoolDefinition
    created: datetime
    modified: datetime
    resize: Resize
    scaled: datetime
    """When the scale settings were last given."""
    nodes: dict[str, Node] = field(default_factory=dict)
    """By id, in the order of allocation."""
    next_index: int = 0
    generation: int = 1
    """How many pools of this name there have been; a new one has other nodes."""
    deleted: datetime | None = None
    gone: datetime | None = None

    @property
    def etag(self) -> str:
        """The ETag without any quotes, as the data plane writes it."""
        return etag_of(self.modified)


@dataclass(frozen=True)
class VisibleNode:
    """A node together with its state at one time."""

    node: Node
    now: NodeNow


def waits_for_certificates(extension: dict[str, object]) -> bool:
    """Say whether this is a Key Vault extension that must have its certificates before it succeeds."""
    settings = extension.get("settings")
    management = settings.get("secretsManagementSettings") if isinstance(settings, dict) else None
    return (
        str(extension.get("publisher", "")).casefold() == "microsoft.azure.keyvault"
        and isinstance(management, dict)
        and management.get("requireInitialSync") in (True, "true", "True")
    )


def resize_faults(pool: Pool, rule: PoolScenario | None) -> tuple[ResizeFault, ...]:
    """Return the errors with which a resize that starts now will end."""
    if rule is not None and rule.resize_error is not None:
        error = rule.resize_error
        return (ResizeFault(error.code, error.message, tuple(error.values.items())),)
    if pool.definition.has_settings_as_text:
        reason = ("Reason", "The server encountered an internal error")
        message = "Desired number of dedicated nodes could not be allocated"
        return (ResizeFault("AllocationFailed", message, (reason,)),)
    return ()
