"""Delete a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_batchext.operators._base import PoolOperator

if TYPE_CHECKING:
    from airflow_batchext.operators._steps.delete_pool import DeletePool


class AzureBatchDeletePoolOperator(PoolOperator):
    """Deletes a pool and waits until it is gone; a pool that is not there is a success.

    Its XCom: ``pool_id`` and ``deleted`` (False if there was nothing to delete).

    :param pool_id: the pool (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param wait_for_deletion: whether to wait; the name is free only when the pool is gone.
    :param poll_interval: seconds between two looks; by default the option ``[batchext] poll_interval``.
    :param timeout: seconds (or a timedelta) until it gives up waiting; by default half an hour.
    :param deferrable: wait in the triggerer; by default the option ``[operators] default_deferrable``.
    """

    def __init__(self, *, pool_id: str, wait_for_deletion: bool = True, **kwargs: Any) -> None:
        super().__init__(pool_id=pool_id, **kwargs)
        self.wait_for_deletion = wait_for_deletion

    def _new_steps(self) -> DeletePool:
        from airflow_batchext.operators._steps.delete_pool import DeletePool

        return DeletePool(self)
