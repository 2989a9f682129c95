"""One real Airflow, and one emulator whose clock stands still, for all the tests in this folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from airflow_batchext.emulator import Emulator
from tests.airflow.harness import Airflow
from tests.conftest import document, official_connection, own_connection

#: Looked for everywhere after the DAG "secrets" has run; CONTROL stands in a place that is no secret.
SECRET = f"SENTINEL{token_hex(8)}"
CONTROL = f"CONTROL{token_hex(8)}"

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "dags"


def secret_document(secret: str) -> dict:
    extension = {
        "name": "monitor",
        "publisher": "Microsoft.EnterpriseCloud.Monitoring",
        "type": "OmsAgentForLinux",
        "protectedSettings": {"key": secret},
    }
    return {"name": "s-file", **document(1, [extension])}


def data_plane(service: Emulator) -> dict[str, str]:
    return {"account_url": service.info.http_endpoint, "account_key": service.info.key}


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
    # The secrets of dags/secrets.py: see test_secrets.
    (dags / "secret_pool.json").write_text(json.dumps(secret_document(f"file-{SECRET}")))
    connections = {
        "vault": {"conn_type": "generic", "password": f"connection-{SECRET}"},
        "azure_batchext_default": own_connection(service),
        "official": official_connection(service),
        # As an account in the public cloud has it: the data plane is the emulator's, the portal Azure's.
        "portal": own_connection(service, extra={"arm_url": "", **data_plane(service)}),
        "azure_batch_west": own_connection(service),
        "azure_batch_north": own_connection(service),
    }
    running = Airflow(home, dags, connections)
    running.environment |= {
        # Shorter waits meet a race of Airflow 3.3.2: see dags/gate_scenarios.py.
        "AIRFLOW__BATCHEXT__POLL_INTERVAL": "5",
        "AIRFLOW_VAR_FROM_VARIABLE": f"variable-{SECRET}",
        "TEST_SECRET": SECRET,
        "TEST_CONTROL": CONTROL,
    }
    try:
        yield running.start()
    finally:
        running.stop()
