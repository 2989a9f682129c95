"""What a repair asks somebody else to read or to do, and how that is answered."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_batchext.batch.whole_pool import WholePool
from airflow_batchext.rules.reads import Answer, Problem, Read


@dataclass(frozen=True, slots=True)
class ReadWholePool:
    """Asks for the pool with its metadata and ETag (``Pools_GetPool``); answered by a ``WholePool``."""


@dataclass(frozen=True, slots=True)
class WriteMetadata:
    """Asks to replace the pool's metadata (``Pools_UpdatePool``); answered by the new ETag."""

    items: tuple[tuple[str, str], ...]
    etag: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Asks to reboot or to reimage a node (``Nodes_RebootNode``, ``Nodes_ReimageNode``)."""

    step: str
    node_id: str
    on_tasks: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Asks to take nodes out of the pool (``Pools_RemoveNodes``)."""

    node_ids: tuple[str, ...]
    on_tasks: str
    etag: str


@dataclass(frozen=True, slots=True)
class Resize:
    """Asks for other targets (``Pools_ResizePool``)."""

    dedicated: int
    low_priority: int
    etag: str


RepairRequest = Read | ReadWholePool | WriteMetadata | Restart | Remove | Resize
RepairAnswer = Answer | WholePool | str | Problem
