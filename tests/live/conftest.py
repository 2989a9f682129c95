"""Stands for Airflow's XComs: what is written is kept, the last of each task, and every one in its order."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_batchext.live import _triggerer, _worker
from airflow_batchext.live.snapshot import read_snapshot

if TYPE_CHECKING:
    from airflow_batchext.live.form import Snapshot

INSTANCE = SimpleNamespace(
    dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=1, get_first_reschedule_date=lambda _: None
)


class XComs:
    """What tasks have written."""

    def __init__(self) -> None:
        self.values: list[dict[str, Any]] = []

    def push(self, value: dict[str, Any]) -> None:
        self.values.append(json.loads(json.dumps(value, allow_nan=False)))

    @property
    def snapshots(self) -> list[Snapshot]:
        found = [read_snapshot(value) for value in self.values]
        return [snapshot for snapshot in found if snapshot is not None]

    @property
    def last(self) -> Snapshot:
        return self.snapshots[-1]


@pytest.fixture
def xcoms(monkeypatch: pytest.MonkeyPatch) -> XComs:
    """Airflow's XComs, in whatever way they are written; without its pauses between two writes."""
    kept = XComs()

    async def store(instance: Any, value: dict[str, Any]) -> None:
        kept.push(value)

    async def stored(instance: Any) -> object:
        return kept.values[-1] if kept.values else None

    monkeypatch.setattr(_triggerer, "store", store)
    monkeypatch.setattr(_triggerer, "stored", stored)
    monkeypatch.setattr(_worker, "store", lambda instance, value: kept.push(value))
    monkeypatch.setattr(_worker, "stored", lambda instance: kept.values[-1] if kept.values else None)
    monkeypatch.setattr(_worker, "takes_threads", lambda: True)
    monkeypatch.setattr("airflow_batchext.live.writer.takes_threads", lambda: True)
    monkeypatch.setattr("airflow_batchext.live.pace.SHORTEST_SECONDS", 0.0)
    monkeypatch.setattr(_triggerer, "PER_SECOND", 10_000)
    return kept
