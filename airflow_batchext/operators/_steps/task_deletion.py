"""Delete Batch tasks that have ended, when it is known how: that changes no outcome any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.transport import within

if TYPE_CHECKING:
    from airflow_batchext.hooks._requests import Call
    from airflow_batchext.operators._steps.task_parameters import TaskParameters

#: For so long are they deleted, at the least, and at the most: also ten thousand.
_LEAST_SECONDS, _MOST_SECONDS = 60.0, 600.0


def delete_softly(operator: TaskParameters, deletion: Callable[[], Call[int]], left: float) -> None:
    """Delete them; what keeps us from it is told, no more: a refusal, an outage, Airflow's own alarm.

    :param deletion: deletes them, and says how many there were.
    :param left: seconds that the task has left.
    """
    bound = max(_LEAST_SECONDS, min(_MOST_SECONDS, left))
    try:
        with AzureBatchJobHook(operator.azure_batchext_conn_id) as hook, within(bound):
            if count := hook.run(deletion()):
                operator.log.info("%d Batch tasks were deleted, with their files", count)
    except (BatchextError, AirflowTaskTimeout) as error:
        operator.log.warning("Of the Batch tasks that were to be deleted some are kept: %s", error)
