"""Give a pool another number of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_batchext.operators._base import PoolOperator

if TYPE_CHECKING:
    from airflow_batchext.operators._steps.resize_pool import ResizePool


class AzureBatchResizePoolOperator(PoolOperator):
    """Gives a pool of fixed size other targets (``Pool_Update``), and waits until it has its nodes.

    It needs the management plane alone. A resize that is under way is waited for first if Azure wants that.
    A pool that scales itself by a formula is refused: the formula would undo it.

    Its XCom: ``pool_id, resized`` (False if the targets were these already), ``target_dedicated_nodes,
    target_low_priority_nodes, current_dedicated_nodes, current_low_priority_nodes``.

    :param pool_id: the pool (templated).
    :param target_dedicated_nodes: how many dedicated nodes it is to have; by default as many as before
        (templated).
    :param target_low_priority_nodes: the same for low-priority (Spot) nodes (templated).
    :param resize_timeout: seconds (or a timedelta) for which Azure tries to find machines, at least five
        minutes; by default as before.
    :param node_deallocation_option: what becomes of tasks on nodes that go: "Requeue" (Azure's default),
        "Terminate", "TaskCompletion" or "RetainedData".
    :param wait_for_nodes: wait until the pool is steady and has all its nodes.
    :param stop_resize_on_kill: if somebody ends this task while it waits, stop the resize.
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param poll_interval: seconds between two looks; by default the option ``[batchext] poll_interval``.
    :param timeout: seconds (or a timedelta) until it gives up waiting; by default half an hour.
    :param deferrable: wait in the triggerer; by default the option ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = (
        "pool_id",
        "target_dedicated_nodes",
        "target_low_priority_nodes",
        "azure_batchext_conn_id",
    )

    def __init__(
        self,
        *,
        pool_id: str,
        target_dedicated_nodes: int | str | None = None,
        target_low_priority_nodes: int | str | None = None,
        resize_timeout: float | timedelta | None = None,
        node_deallocation_option: Literal["Requeue", "Terminate", "TaskCompletion", "RetainedData"]
        | None = None,
        wait_for_nodes: bool = True,
        stop_resize_on_kill: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_id=pool_id, **kwargs)
        self.target_dedicated_nodes = target_dedicated_nodes
        self.target_low_priority_nodes = target_low_priority_nodes
        self.resize_timeout = resize_timeout
        self.node_deallocation_option = node_deallocation_option
        self.wait_for_nodes = wait_for_nodes
        self.stop_resize_on_kill = stop_resize_on_kill

    def _new_steps(self) -> ResizePool:
        from airflow_batchext.operators._steps.resize_pool import ResizePool

        return ResizePool(self)
