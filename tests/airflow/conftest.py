"""One real Airflow, and one emulator whose clock stands still, for all the tests in this folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_batchext.emulator import Emulator
from tests.airflow.harness import Airflow
from tests.conftest import official_connection, own_connection

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "dags"


@pytest.fixture(scope="session")
def service() -> Iterator[Emulator]:
    with Emulator(time_scale=0) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def airflow(service: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    home = tmp_path_factory.mktemp("airflow-home")
    dags = home / "dags"
    shutil.copytree(HERE / "dags", dags)
    shutil.copytree(EXAMPLES, dags, dirs_exist_ok=True)
    connections = {
        "azure_batchext_default": own_connection(service),
        "official": official_connection(service),
    }
    running = Airflow(home, dags, connections)
    running.environment["AIRFLOW__BATCHEXT__POLL_INTERVAL"] = "1"
    try:
        yield running.start()
    finally:
        running.stop()
