"""### Every hour: delete the pools that ended runs have left

Airflow runs no teardown for a run that took longer than its `dagrun_timeout`, was deleted, or whose setup
failed; its pool stays then, and costs. This finds such pools of this Airflow, and asks for their deletion.
Never touched are pools of other Airflows, of runs that go on, without the mark of a run, and those on which
tasks run. One task for each connection.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG
from airflow.timetables.trigger import CronTriggerTimetable

from airflow_batchext.operators.orphans import AzureBatchDeleteOrphansOperator

with DAG(
    "batch_orphans",
    description="Delete the pools that ended runs have left, every hour",
    # The first run is the next hour's: not the moment in which it is switched on.
    schedule=CronTriggerTimetable("0 * * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    doc_md=__doc__,
    tags=["azure batch", "scheduled", "clean up"],
) as dag:
    AzureBatchDeleteOrphansOperator(task_id="delete_orphans")
