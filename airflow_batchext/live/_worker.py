"""Writes snapshots from a worker: in a thread of its own, the latest alone, so that no look waits for it."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_batchext.live.form import Picture
from airflow_batchext.live.pace import Pace
from airflow_batchext.live.snapshot import XCOM_KEY, read_snapshot, to_json, to_text
from airflow_batchext.live.story import continued
from airflow_batchext.loose_json.values import as_mapping

if TYPE_CHECKING:
    from airflow_batchext.live.form import Snapshot

log = logging.getLogger(__name__)

#: What a task writes last is waited for so long: its process ends then.
LAST_SECONDS = 1.0


def store(instance: Any, value: str) -> None:
    """Write an XCom of the task that this process runs."""
    instance.xcom_push(key=XCOM_KEY, value=value)


def stored(instance: Any) -> object:
    """What an earlier process of the task has written; None if there is nothing."""
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_one(
        key=XCOM_KEY,
        dag_id=instance.dag_id,
        task_id=instance.task_id,
        run_id=instance.run_id,
        map_index=instance.map_index,
    )


class WorkerWay:
    """How one task on a worker writes.

    :param instance: the task instance.
    :param goes_on: whether an earlier process of this try has written already.
    :param memory: Airflow's store for the state of the task, where XComs do not outlive this process.
    """

    def __init__(self, instance: Any, *, goes_on: bool = False, memory: Any = None) -> None:
        self._instance, self._memory = instance, memory
        self._pace = Pace()
        self._lock = threading.Lock()
        self._next: Snapshot | None = None
        self._thread: threading.Thread | None = None
        self._earlier: Snapshot | None = None
        self._knows_earlier = not goes_on and memory is None

    def offer(self, make: Callable[[], Snapshot], *, changed: bool, is_last: bool = False) -> None:
        """Write a snapshot, if it is time; what is last is waited for, ``LAST_SECONDS`` at most.

        :param make: makes it.
        :param changed: whether it says anything new.
        :param is_last: whether this process writes nothing after it.
        """
        now = time.monotonic()
        due = self._pace.due(now, changed=changed)
        # What is not due yet is written after the next look.
        if not is_last and (due is None or due > now):
            return
        self._pace.wrote(now)
        snapshot = make()
        with self._lock:
            self._next = snapshot
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="batchext-live", daemon=True)
                self._thread.start()
            thread = self._thread
        if is_last:
            thread.join(LAST_SECONDS)

    def close(self) -> None:
        """Write nothing more than has begun."""
        with self._lock:
            self._next = None

    def _run(self) -> None:
        while True:
            with self._lock:
                snapshot, self._next = self._next, None
                if snapshot is None:
                    self._thread = None
                    return
            self._write(snapshot)

    def _write(self, snapshot: Snapshot) -> None:
        try:
            if not self._knows_earlier:
                self._earlier = read_snapshot(self._recalled())
                self._knows_earlier = True
            told = continued(snapshot, self._earlier, at=time.time(), is_same=True)
            store(self._instance, to_text(told))
            if self._memory is not None:
                # The next look has a picture of its own.
                value = to_json(replace(told, picture=Picture(), reasons=()))
                self._memory.set(XCOM_KEY, {"try_number": self._instance.try_number, "value": value})
        # Whatever Airflow, or a backend for XComs of the user's own, makes of it: no gate fails.
        except Exception as error:
            self._pace.failed(time.monotonic())
            log.debug("The live page was not written: %s", type(error).__name__)

    def _recalled(self) -> object:
        """What an earlier process of this try has told; Airflow's store outlives the try."""
        if self._memory is None:
            return stored(self._instance)
        kept = as_mapping(self._memory.get(XCOM_KEY))
        return kept.get("value") if kept.get("try_number") == self._instance.try_number else None


def takes_threads() -> bool:
    """Whether several threads may use the channel to Airflow at once: it has a lock for that.

    Not in Airflow 3.1, nor in ``dag.test()``: nothing is written there.
    """
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")  # of who is not run by it, not there
    return hasattr(getattr(runner, "SUPERVISOR_COMMS", None), "_thread_lock")
