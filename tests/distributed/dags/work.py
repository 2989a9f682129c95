"""Work of which every start counts: 300 mapped tasks, some of which fail at first; see test_work."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_batchext.operators.task import AzureBatchTaskOperator

TASKS = int(os.environ.get("BATCHEXT_BED_TASKS", "300"))
#: One of so many fails at its first start.
FAILS_EVERY = 15
#: Notes each start and each end in a file of the pool's node, which all of them share; see test_work.
SCRIPT = f"""
notes=$AZ_BATCH_NODE_ROOT_DIR/../notes me=$AIRFLOW_CTX_MAP_INDEX
echo "start $me $AZ_BATCH_TASK_ID" >> $notes
sleep 1
if [ $((me % {FAILS_EVERY})) = 0 ] && mkdir $notes-$me; then exit 3; fi
echo "end $me $AZ_BATCH_TASK_ID" >> $notes
echo "frame $me"
"""

with DAG(
    "work",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    is_paused_upon_creation=False,
    max_active_tasks=64,
):
    AzureBatchTaskOperator.partial(
        task_id="frame",
        pool_id="work",
        azure_batchext_conn_id="azure_batchext_work",
        command_line=f"/bin/sh -c '{SCRIPT}'",
        result="last_line",
        deferrable=True,
        poll_interval=5,
        logs="end",
        retries=6,
        retry_delay=timedelta(seconds=3),
        timeout=1800,
    ).expand(environment=[{"FRAME": str(number)} for number in range(TASKS)])
