"""A pool as a repair sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_batchext.batch.data_plane import Pool, read_pool
from airflow_batchext.batch.values import as_number, as_text
from airflow_batchext.repair.journal import Targets, read_metadata


@dataclass(frozen=True, slots=True)
class PoolSeen:
    """A pool as a repair sees it: as the gate does, and its targets, metadata and ETag."""

    pool: Pool
    targets: Targets
    nodes: Targets
    metadata: tuple[tuple[str, str], ...]
    etag: str

    @property
    def is_steady(self) -> bool:
        """Whether nodes may be taken away and added."""
        return self.pool.allocation_state == "steady"


def read_pool_seen(body: Mapping[str, Any]) -> PoolSeen:
    """Read the body of ``GET /pools/{id}`` of the data plane."""
    return PoolSeen(
        pool=read_pool(body),
        targets=(_number(body, "targetDedicatedNodes"), _number(body, "targetLowPriorityNodes")),
        nodes=(_number(body, "currentDedicatedNodes"), _number(body, "currentLowPriorityNodes")),
        metadata=read_metadata(body),
        etag=as_text(body.get("eTag")),
    )


def _number(body: Mapping[str, Any], name: str) -> int:
    return as_number(body.get(name)) or 0
