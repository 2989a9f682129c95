"""How a row of Airflow's database is read for the page: what a value holds, and whether anybody looks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from airflow.providers.common.compat.sdk import conf
from airflow.utils.state import TaskInstanceState

from airflow_batchext.live.snapshot import read_snapshot, to_json

#: What only who opens a gate is shown: most of a value, and none of it is kept in memory.
DETAIL: Final = ("fields", "ages", "nodes", "history", "points")


def json_in(text: str | None) -> Mapping[str, Any]:
    """The object that a value is; an empty one where it is none."""
    try:
        value = json.loads(text) if text else None
        # An XCom is text that is JSON; what comes with a trigger's last event Airflow makes text once more.
        for _ in range(2):
            value = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, Mapping) else {}


def shown(value: Mapping[str, Any], without: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """The snapshot that a value holds, as the page gets it; None where it is none of ours.

    :param without: members to be left out.
    """
    snapshot = read_snapshot({name: member for name, member in value.items() if name not in without})
    if snapshot is None:
        return None
    return {name: member for name, member in to_json(snapshot).items() if name not in without}


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long Airflow bears that nobody hears of a process, asked once for a reading.

    :param now: when it is read.
    """

    now: datetime
    worker: timedelta
    triggerer: timedelta

    @classmethod
    def at(cls, now: datetime) -> Patience:
        """As Airflow is configured."""
        worker = conf.getint("scheduler", "task_instance_heartbeat_timeout", fallback=300)
        triggerer = conf.getfloat("triggerer", "triggerer_health_check_threshold", fallback=30.0)
        return cls(now, timedelta(seconds=worker), timedelta(seconds=triggerer))


def nobody(row: Any, patience: Patience) -> str:
    """Why nobody looks for a task; "" while somebody does, or nobody has to.

    :param row: with the columns of ``nobody_runs``, and the task's ``state`` and ``last_heartbeat_at``.
    """
    if row.state == TaskInstanceState.RUNNING.value:
        heard = row.last_heartbeat_at
        dead = heard is not None and patience.now - heard > patience.worker
        return "Its worker has not been heard of" if dead else ""
    return nobody_runs(row, patience) if row.state == TaskInstanceState.DEFERRED.value else ""


def nobody_runs(row: Any, patience: Patience) -> str:
    """Why nobody runs a trigger; "" where somebody does.

    :param row: ``triggerer_id`` and ``deferred_at`` of the trigger, ``job_state`` and ``latest_heartbeat`` of
        its triggerer.
    """
    if row.triggerer_id is None:
        late = row.deferred_at is None or patience.now - row.deferred_at > patience.triggerer
        return "No triggerer has taken it" if late else ""
    heard = row.latest_heartbeat
    alive = row.job_state == "running" and heard and patience.now - heard <= patience.triggerer
    return "" if alive else "Its triggerer is dead"
