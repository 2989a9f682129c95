"""What a repair asks somebody else to read or to do, and how that is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from airflow_batchext.repair.symptoms import Machine


@dataclass(frozen=True, slots=True)
class ReadWholePool:
    """Asks for the pool's body (``Pools_GetPool``), its metadata and ETag among it."""


@dataclass(frozen=True, slots=True)
class ReadMachines:
    """Asks for the pool's whole node list; answered by a sequence of ``Machine``."""


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


class TroubleKind(str, Enum):
    """Why something was not read or done, as far as a repair tells the cases apart."""

    REFUSED = "refused"
    """Sign-in or permission."""
    MISSING = "missing"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    PASSING = "passing"
    """It may have been done all the same."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that was not read or not done. ``retry_after`` is what the service asked for, in seconds."""

    kind: TroubleKind
    text: str
    code: str = ""
    retry_after: float | None = None


RepairAsk = ReadWholePool | ReadMachines | WriteMetadata | Restart | Remove | Resize
RepairAnswer = Mapping[str, Any] | Sequence[Machine] | str | None | Trouble
