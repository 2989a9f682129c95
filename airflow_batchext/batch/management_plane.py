"""What the management plane says of a pool (``Pool_Get``); nothing is judged here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.batch.node_counts import Nodes, nodes
from airflow_batchext.batch.resize_errors import resize_errors
from airflow_batchext.loose_json.values import as_mapping, as_name, below

if TYPE_CHECKING:
    from airflow_batchext.batch.data_plane import ResizeError


@dataclass(frozen=True, slots=True)
class ManagedPool:
    """A pool as the management plane shows it, its words as the service spells them.

    :param created: its ``creationTime``, which tells it from another pool of its name.
    :param target: the targets of a pool of fixed size; those of a formula are not known here.
    :param resize_timeout: of a pool of fixed size, as an ISO 8601 duration.
    :param formula_evaluated: whether the autoscale formula was evaluated, with whatever result.
    :param formula_error: code and message, if it could not be evaluated.
    """

    created: str
    etag: str
    provisioning_state: str
    allocation_state: str
    autoscaled: bool
    target: Nodes
    current: Nodes
    resize_timeout: str
    resize_errors: tuple[ResizeError, ...]
    formula_evaluated: bool
    formula_error: str

    @property
    def is_deleting(self) -> bool:
        """Whether it is on its way out."""
        return self.provisioning_state.lower() == "deleting"

    @property
    def is_steady(self) -> bool:
        """Whether it is not being resized."""
        return self.allocation_state.lower() == "steady"

    @property
    def is_resizing(self) -> bool:
        """Whether nodes are being added or taken away."""
        return self.allocation_state.lower() == "resizing"

    @property
    def is_empty(self) -> bool:
        """Whether it is steady, has no nodes, and wants none."""
        return self.is_steady and self.current == self.target == (0, 0)


def read_managed_pool(body: object) -> ManagedPool:
    """Read the body of ``Pool_Get``, ``Pool_Create`` or ``Pool_Update``."""
    properties = as_mapping(below(body, "properties"))
    fixed = below(properties, "scaleSettings", "fixedScale")
    error = as_mapping(below(properties, "autoScaleRun", "error"))
    return ManagedPool(
        created=as_name(properties.get("creationTime")),
        etag=as_name(below(body, "etag")),
        provisioning_state=as_name(properties.get("provisioningState")),
        allocation_state=as_name(properties.get("allocationState")),
        autoscaled=bool(below(properties, "scaleSettings", "autoScale")),
        target=nodes(fixed, "target"),
        current=nodes(properties, "current"),
        resize_timeout=as_name(below(fixed, "resizeTimeout")),
        resize_errors=resize_errors(body),
        formula_evaluated=bool(as_mapping(properties.get("autoScaleRun"))),
        formula_error=one_line(f"{error.get('code')}: {error.get('message')}") if error else "",
    )
