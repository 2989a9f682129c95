"""The end of what a Batch task has written, in the log of the Airflow task; it never fails it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_batchext.batch.task_output import Lines
from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks._drivers.work import read_end
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.transport import within

if TYPE_CHECKING:
    from airflow_batchext.hooks._drivers.work import Placed

#: Bytes of each file, and seconds for both.
_MOST, _SECONDS = 64 * 1024, 60.0
_FILES = (("stdout.txt", "out"), ("stderr.txt", "err"))


def log_output(conn_id: str, placed: Placed, log: Any) -> None:
    """Write the end of both files line by line; what keeps us from it is told, no more."""
    try:
        with AzureBatchJobHook(conn_id) as hook, within(_SECONDS):
            for name, mark in _FILES:
                left_out, data = hook.run(read_end(placed.job_id, placed.task_id, name, _MOST))
                if left_out:
                    log.info("%s| … %d bytes before this are left out", mark, left_out)
                for line in Lines().feed(data, is_last=True):
                    log.info("%s| %s", mark, line)
    except BatchextError as error:
        log.warning("Its output could not be read: %s", error)
