"""The example ``batch_work`` on an emulator that really runs tasks: to the last line of output."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_batchext.emulator import Emulator
from tests.airflow.harness import Airflow
from tests.conftest import own_connection

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux runs tasks"),
]
EXAMPLES = Path(__file__).parents[2] / "dags"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Airflow, Emulator]]:
    home = tmp_path / "home"
    shutil.copytree(EXAMPLES / "pools", home / "dags" / "pools")
    shutil.copy(EXAMPLES / "batch_work.py", home / "dags")
    with Emulator(run_tasks=tmp_path / "tasks", time_scale=50) as emulator:
        airflow = Airflow(home, home / "dags", {"azure_batchext_default": own_connection(emulator)})
        airflow.environment["AIRFLOW__BATCHEXT__POLL_INTERVAL"] = "10"
        try:
            yield airflow.start(), emulator
        finally:
            airflow.stop()


def test_frames_are_rendered_on_a_pool_and_their_output_is_in_the_log(running: tuple[Airflow, Emulator]):
    airflow, emulator = running
    run_id = airflow.trigger("batch_work", {"nodes": 2, "frames": 3})
    assert airflow.finish("batch_work", run_id, 500) == "success"
    folder = airflow.home / "logs" / "dag_id=batch_work" / f"run_id={run_id}" / "task_id=pool.work.render"
    for number in range(3):
        told = "\n".join(path.read_text() for path in (folder / f"map_index={number}").glob("*.log*"))
        assert f"out| frame {number + 1} on tvmps_" in told
        assert told.count("out| 100 %") == 1
    assert airflow.xcom("batch_work", run_id, "film") == 3
    assert emulator.account.pools() == []
