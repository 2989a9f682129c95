"""On which Airflow a worker writes: where several threads may use its channel at once."""

from __future__ import annotations

import socket

from airflow_batchext.live._worker import takes_threads
from airflow_batchext.live.form import Snapshot
from airflow_batchext.live.writer import on_worker
from tests.airflow_names import airflow_is
from tests.live.conftest import INSTANCE


def test_a_worker_writes_where_airflows_own_channel_has_a_lock_for_threads(monkeypatch):
    """Airflow 3.1 has none: docs/live-page.md."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import CommsDecoder

    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = CommsDecoder(socket=ours)
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", channel, raising=False)
        assert takes_threads() == airflow_is("3.3")
        live = on_worker(INSTANCE, lambda: Snapshot("gate", "p"))
        assert (live._way is not None) == airflow_is("3.3")


def test_where_no_worker_runs_the_task_nothing_is_written(monkeypatch):
    from airflow.sdk.execution_time import task_runner

    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)
    assert not takes_threads()
