"""What may be changed on a pool that exists, and how a change of some members is laid over the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_batchext.emulator.documents.codec import write
from airflow_batchext.emulator.documents.pool import ALWAYS_UPDATABLE, PoolDefinition, read_management
from airflow_batchext.emulator.documents.pool_schema import MANAGEMENT
from airflow_batchext.emulator.wire.errors import refusal
from airflow_batchext.emulator.wire.http import Json, write_duration

if TYPE_CHECKING:
    from airflow_batchext.emulator.documents.pool import Scale
    from airflow_batchext.emulator.scenario import Answers

_EMPTY_SINCE = "2024-07-01"
"""From this version on the management plane lets most members of a pool without nodes be changed."""


def overlaid(existing: PoolDefinition, patch: Json, text: str) -> PoolDefinition:
    """Read a PATCH of the management plane: what it gives is replaced, what it does not give stays."""
    given = patch.get("properties")
    scale = scale_settings(existing.scale)
    if "fixedScale" in scale and existing.scale.deallocation is not None:
        scale["fixedScale"]["nodeDeallocationOption"] = existing.scale.deallocation
    before = {**write(MANAGEMENT, existing.properties, "management"), "scaleSettings": scale}
    whole: Json = {"properties": before, "tags": existing.tags}
    if existing.identity is not None:
        whole["identity"] = existing.identity
    whole |= {name: value for name, value in patch.items() if name != "properties" and value is not None}
    if isinstance(given, dict):
        whole["properties"] = {**before, **{name: item for name, item in given.items() if item is not None}}
    elif given is not None:
        whole["properties"] = given
    return read_management(whole, text)


def check_change(
    existing: PoolDefinition, definition: PoolDefinition, *, is_empty: bool, version: str, answers: Answers
) -> None:
    """Refuse to change what cannot be changed: nearly everything, unless the pool has no nodes."""
    allowed = answers.empty_pool if is_empty and version[:10] >= _EMPTY_SINCE else "as any other"
    if allowed == "changes":
        return
    before, after = existing.properties, definition.properties
    for name in dict.fromkeys((*after, *before)):
        if name in ALWAYS_UPDATABLE or before.get(name) == after.get(name):
            continue
        keeps_extensions = name != "deploymentConfiguration" or existing.extensions == definition.extensions
        if allowed == "changes but for extensions" and keeps_extensions:
            continue
        raise refusal(
            "PropertyCannotBeUpdated",
            Reason="A property that cannot be updated was specified as part of the request.",
            PropertyName=name,
            PropertyPath=f"properties.{name}",
        )


def scale_settings(scale: Scale) -> Json:
    """Write how many nodes a pool is to have, as the management plane does."""
    if scale.formula is not None:
        automatic = {"formula": scale.formula, "evaluationInterval": write_duration(scale.interval)}
        return {"autoScale": automatic}
    fixed = {
        "targetDedicatedNodes": scale.dedicated,
        "targetLowPriorityNodes": scale.low_priority,
        "resizeTimeout": write_duration(scale.timeout),
    }
    return {"fixedScale": fixed}
