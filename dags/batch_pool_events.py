"""### When something happens to a pool

Airflow's triggerer watches the pool, and starts a run of this DAG when an extension fails on one of its
nodes, or a node that was ready is so no more: once for each time, with what has happened in the asset event.

Put your account's name into `ACCOUNT`, and your pool into `POOL_ID`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, task

from airflow_batchext.assets import watched_pool_asset

ACCOUNT = "myaccount"
POOL_ID = "pipeline"
FAILED = watched_pool_asset(ACCOUNT, POOL_ID, event="failed")
LOST = watched_pool_asset(ACCOUNT, POOL_ID, event="lost")

with DAG(
    "batch_pool_events",
    schedule=(FAILED | LOST),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    description="Starts when an extension fails on a node of a pool, or a node is lost",
    doc_md=__doc__,
    tags=["azure batch", "started by events", "events"],
) as dag:

    @task
    def tell(triggering_asset_events: dict | None = None) -> list[dict]:
        """Show what has happened; this is where a message to somebody goes."""
        told = []
        for events in (triggering_asset_events or {}).values():
            for event in events:
                payload = event.extra["payload"]
                nodes = ", ".join(payload["nodes"])
                print(f"{payload['event']}: pool {payload['pool_id']}: {nodes}: {payload['reasons']}")
                told.append(payload)
        return told

    tell()
