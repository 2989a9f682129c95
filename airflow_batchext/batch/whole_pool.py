"""What the data plane says of a pool (``Pools_GetPool``), with what it takes to change it."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_batchext.batch.data_plane import Pool, read_pool
from airflow_batchext.batch.node_counts import Nodes, nodes
from airflow_batchext.loose_json.values import as_name, as_sequence, as_text, below


@dataclass(frozen=True, slots=True)
class WholePool:
    """A pool as a gate sees it, and what it takes to change it.

    :param targets: how many nodes it is to have.
    :param nodes: how many it has.
    :param metadata: names and values, in order.
    """

    pool: Pool
    targets: Nodes
    nodes: Nodes
    metadata: tuple[tuple[str, str], ...]
    etag: str

    @property
    def is_steady(self) -> bool:
        """Whether nodes may be taken away and added."""
        return self.pool.allocation_state == "steady"


def read_whole_pool(body: object) -> WholePool:
    """Read the body of ``GET /pools/{id}`` of the data plane."""
    metadata = as_sequence(below(body, "metadata"))
    return WholePool(
        pool=read_pool(body),
        targets=nodes(body, "target"),
        nodes=nodes(body, "current"),
        metadata=tuple((as_text(below(item, "name")), as_text(below(item, "value"))) for item in metadata),
        etag=as_name(below(body, "eTag")),
    )
