"""Gates in Airflow's own database, as its processes would have left them, and what they know."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import re
import time
from datetime import datetime, timedelta
from typing import Any

from airflow.jobs.job import Job
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from airflow.providers.common.compat.sdk import timezone
from sqlalchemy import delete, insert, select

from airflow_batchext.live.form import (
    Change,
    Counts,
    ExtensionSaid,
    Field,
    Link,
    NodeSaid,
    Picture,
    Point,
    RepairSaid,
    RepairStep,
    Snapshot,
)
from airflow_batchext.live.snapshot import XCOM_KEY, to_text
from airflow_batchext.live.watched import AssetStateStoreModel, AssetWatcherModel

EXTENSIONS = ("secretext", "monitor", "mount")
#: Of rows; those of another process are others.
_numbers = itertools.count(os.getpid() % 100_000 * 10_000)


def clear(session: Any) -> None:
    assets = (AssetEvent, AssetStateStoreModel, AssetWatcherModel, AssetModel)
    for table in filter(None, (XComModel, TaskInstance, DagRun, DagModel, *assets, Trigger, Job)):
        session.execute(delete(table))


def add_dag(session: Any, dag_id: str) -> None:
    if session.scalar(select(DagBundleModel.name).where(DagBundleModel.name == "planted")) is None:
        session.execute(insert(DagBundleModel).values(name="planted", active=True))
    session.execute(
        insert(DagModel).values(
            dag_id=dag_id,
            bundle_name="planted",
            fileloc="planted.py",
            is_stale=False,
            is_paused=False,
            max_active_tasks=16,
            max_consecutive_failed_dag_runs=0,
            has_task_concurrency_limits=False,
        )
    )


def add_run(session: Any, dag_id: str, run_id: str, *, at: datetime | None = None) -> int:
    at = at or timezone.utcnow()
    session.execute(
        insert(DagRun).values(
            dag_id=dag_id, run_id=run_id, run_type="manual", run_after=at, state="running", clear_number=0
        )
    )
    return session.scalar(select(DagRun.id).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))


def add_triggerer(session: Any, *, silent_for: float = 0, state: str = "running") -> int:
    number = next(_numbers) + 1000
    heard = timezone.utcnow() - timedelta(seconds=silent_for)
    session.execute(
        insert(Job).values(id=number, job_type="TriggererJob", state=state, latest_heartbeat=heard)
    )
    return number


def add_trigger(
    session: Any,
    triggerer: int | None,
    *,
    age: float = 60,
    classpath: str = "a.B",
    number: int | None = None,
) -> int:
    number = number or next(_numbers) + 1000
    made = timezone.utcnow() - timedelta(seconds=age)
    row = {"id": number, "classpath": classpath, "encrypted_kwargs": "", "created_date": made}
    session.execute(insert(Trigger.__table__).values(**_columns(Trigger, row), triggerer_id=triggerer))
    return number


def add_watcher(
    session: Any,
    asset_id: int,
    uri: str,
    trigger: int,
    *,
    value: Any = None,
    key: str = f"{XCOM_KEY}/0123456789abcdef",
    at: datetime | None = None,
) -> None:
    """An asset, if it is not there yet, and its watcher; and what that has written."""
    if session.get(AssetModel, asset_id) is None:
        session.execute(insert(AssetModel).values(id=asset_id, name=uri, uri=uri, group="", extra={}))
    session.execute(insert(AssetWatcherModel).values(name="w", asset_id=asset_id, trigger_id=trigger))
    if value is not None:
        row = {"asset_id": asset_id, "key": key, "value": json.dumps(value)}
        session.execute(insert(AssetStateStoreModel).values(**row, updated_at=at or timezone.utcnow()))


def add_event(session: Any, asset_id: int, extra: Any, *, source: str | None = None, age: float = 0) -> None:
    at = timezone.utcnow() - timedelta(seconds=age)
    row = {"asset_id": asset_id, "extra": extra, "source_dag_id": source, "timestamp": at}
    session.execute(insert(AssetEvent).values(**row))


def fired(kind: str, reason: str = "", nodes: int = 0, pool: str = "p") -> dict[str, Any]:
    """What Airflow keeps of an event of a watcher."""
    said = {"reasons": [reason] if reason else [], "nodes_concerned": nodes}
    payload = {"event": kind, "pool_id": pool, **said}
    return {"from_trigger": True, "payload": payload}


def _columns(model: Any, values: dict[str, Any]) -> dict[str, Any]:
    """By the names of the table's columns, where a model calls them otherwise."""
    return {model.__mapper__.attrs[name].columns[0].name: value for name, value in values.items()}


def add_gate(
    session: Any,
    dag_id: str,
    run_id: str,
    task_id: str = "gate",
    *,
    run: int,
    map_index: int = -1,
    state: str | None = "deferred",
    value: Any = None,
    trigger: int | None = None,
    at: datetime | None = None,
    key: str = XCOM_KEY,
    heartbeat: datetime | None = None,
) -> None:
    at = at or timezone.utcnow()
    session.execute(
        insert(TaskInstance).values(
            dag_id=dag_id,
            run_id=run_id,
            task_id=task_id,
            map_index=map_index,
            state=state,
            pool="default_pool",
            pool_slots=1,
            try_number=1,
            trigger_id=trigger,
            start_date=at,
            end_date=at,
            last_heartbeat_at=heartbeat,
        )
    )
    session.execute(
        insert(XComModel).values(
            dag_run_id=run,
            dag_id=dag_id,
            run_id=run_id,
            task_id=task_id,
            map_index=map_index,
            key=key,
            value=value,
            timestamp=at,
        )
    )


def add_gates(session: Any, *dag_ids: str) -> None:
    """A gate of each DAG; its pool's name ends with a colon, so that none is found in another's."""
    for dag_id in dag_ids:
        add_dag(session, dag_id)
        run = add_run(session, dag_id, "r")
        value = to_text(waiting(f"pool-of-{dag_id}:", time.time()))
        add_gate(session, dag_id, "r", run=run, value=value)


def storable(session: Any, value: Any) -> Any:
    """An XCom as the database holds it: Postgres takes no NUL, no half of a surrogate pair, no infinity."""
    if session.get_bind().dialect.name != "postgresql":
        return value
    if isinstance(value, str):
        return re.sub(r"[\x00\ud800-\udfff]", "", value)
    if isinstance(value, dict):
        return {storable(session, name): storable(session, member) for name, member in value.items()}
    if isinstance(value, list):
        return [storable(session, member) for member in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def node_id(index: int) -> str:
    """As the service makes them up: 64 digits."""
    return f"tvmps_{hashlib.sha256(bytes([index % 256, index // 256])).hexdigest()}_d"


def waiting(pool: str, now: float, *, nodes: int = 5, failed: int = 0, **more: Any) -> Snapshot:
    """What a gate knows while it waits: two nodes of five are ready, three are on their way."""
    ready = nodes * 2 // 5
    order = "f" * failed + "p" * (nodes - ready - failed) + "r" * ready
    fields = [Field("", order)]
    for number, name in enumerate(EXTENSIONS):
        late = "f" * failed + ("u" if failed == 0 and number == 2 else "p") * (nodes - ready - failed)
        fields.append(Field(name, (late if number else "r" * len(late)) + "r" * ready))
    named = tuple(
        NodeSaid(
            id=node_id(index),
            kind="failed" if index < failed else "pending",
            state="idle",
            since=now - 240,
            read=now - 7 - index,
            says=(f"{EXTENSIONS[1]}: {'failed' if index < failed else 'is transitioning'}",),
            extensions=(
                ExtensionSaid(EXTENSIONS[0], "ready", "ProvisioningState/succeeded", "Ready"),
                ExtensionSaid(
                    EXTENSIONS[1],
                    "failed" if index < failed else "pending",
                    "ProvisioningState/failed/1" if index < failed else "ProvisioningState/transitioning",
                    "Could not get a token for the vault: no managed identity with that client id."
                    if index < failed
                    else "Plugin enabling",
                ),
            ),
        )
        for index in range(min(nodes - ready, 100))
    )
    points = tuple(
        Point(now - 400 + step * 40, ready * step // 10, failed if step > 6 else 0) for step in range(11)
    )
    told: dict[str, Any] = {
        "kind": "gate",
        "pool": pool,
        "connection": "azure_batchext_default",
        "account": "renderfarm",
        "mode": "deferrable",
        "rules": "all extensions, as many nodes as the pool wants",
        "started": now - 420,
        "deadline": now + 1830,
        "interval": 30.0,
        "looked": now - 7,
        "next_look": now + 23,
        "stale_at": now + 120,
        "summary": f"{ready} of {nodes} nodes are ready",
        "reasons": (f"{nodes - ready} nodes are not ready: monitor is transitioning on them.",),
        "extensions": EXTENSIONS,
        "picture": Picture(
            Counts(nodes, ready, nodes - ready - failed, failed, 1),
            tuple(fields),
            tuple(7 for _ in order),
            named,
        ),
        "history": (
            Change(now - 400, "The pool is resizing."),
            Change(now - 200, f"{nodes} nodes are there."),
            Change(now - 40, f"{ready} of {nodes} nodes are ready."),
        ),
        "points": points,
        "links": (Link("Pool in the Azure portal", "https://portal.azure.com/#@t/resource/pools/p"),),
    }
    return Snapshot(**{**told, **more})


def failed(pool: str, now: float, *, nodes: int = 5, **more: Any) -> Snapshot:
    """What a gate knows that has failed."""
    told: dict[str, Any] = {
        "outcome": "failed",
        "next_look": None,
        "stale_at": None,
        "summary": f"1 of {nodes} nodes has failed",
        "reasons": (f"Extension monitor failed on node {node_id(0)[:14]}…: No token: no such identity.",),
        "causes": (
            "The extension's identity is not on the pool. What helps: assign it, and let it read the vault.",
        ),
        "more": f"batchext diagnose {pool}",
        "repair": RepairSaid(
            "1 node was rebooted, to no avail.",
            (RepairStep(node_id(0), "reboot", "monitor failed", "failed again"),),
        ),
    }
    return waiting(pool, now, nodes=nodes, failed=1, **{**told, **more})
