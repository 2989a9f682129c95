"""The jobs that were made one after the other under one id: ``BASE-1``, ``BASE-2``, …"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_batchext.batch.work import JOB_MEMBERS, JobSeen, read_job
from airflow_batchext.hooks import _job_requests as jobs
from airflow_batchext.rules.work_ids import job_number

if TYPE_CHECKING:
    from airflow_batchext.hooks._requests import Flow

#: What is read of each.
MEMBERS = (*JOB_MEMBERS, "poolInfo")


def numbered_jobs(base: str) -> Flow[dict[int, JobSeen]]:
    """Those of a base that are there, also such as have ended, by their numbers."""
    bodies = yield from jobs.list_jobs(f"{base}-", select=MEMBERS)
    return {number: job for job in map(read_job, bodies) if (number := job_number(base, job.id)) is not None}
