"""The data plane: jobs and their tasks."""

from __future__ import annotations

from airflow_batchext.hooks import _job_requests as requests
from airflow_batchext.hooks._base import both
from airflow_batchext.hooks.node import AzureBatchNodeHook


class AzureBatchJobHook(AzureBatchNodeHook):
    """Calls of the Batch data plane on jobs and tasks, sync and async, beside those on pools and nodes.

    Bodies go in and come out as plain dicts in the shape of the REST API. Every method raises
    ``ServiceError`` or one of its subclasses for what Azure refuses, and ``ConnectionFieldsError`` if the
    connection lacks what the call needs.
    """

    # Each is a function of ``_job_requests``, run.
    get_job, aget_job = both(requests.get_job)
    list_jobs, alist_jobs = both(requests.list_jobs)
    list_open_jobs, alist_open_jobs = both(requests.list_open_jobs)
    get_task_counts, aget_task_counts = both(requests.get_task_counts)
    create_job, acreate_job = both(requests.create_job)
    end_job_with_its_tasks, aend_job_with_its_tasks = both(requests.end_job_with_its_tasks)
    terminate_job, aterminate_job = both(requests.terminate_job)
    create_task, acreate_task = both(requests.create_task)
    create_tasks, acreate_tasks = both(requests.create_tasks)
    get_task, aget_task = both(requests.get_task)
    list_tasks, alist_tasks = both(requests.list_tasks)
    terminate_task, aterminate_task = both(requests.terminate_task)
    list_task_files, alist_task_files = both(requests.list_task_files)
    read_task_file, aread_task_file = both(requests.read_task_file)
    delete_task, adelete_task = both(requests.delete_task)
