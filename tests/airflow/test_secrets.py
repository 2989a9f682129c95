"""A secret in protectedSettings is found nowhere after real runs: logs, database, web answers, emulator."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.airflow.conftest import CONTROL, SECRET

if TYPE_CHECKING:
    from airflow_batchext.emulator import Emulator
    from tests.airflow.harness import Airflow

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

ENDINGS = {
    "literal": "success",
    "gate": "success",
    "read": "success",
    "connection": "success",
    "variable": "success",
    "file": "success",
    "text": "success",
    "mapped": "success",
    "broken": "failed",
    "refused": "failed",
}


@pytest.fixture
def run(secret_runs: dict[str, str]) -> str:
    return secret_runs["secrets"]


def found_in(home: Path, words: list[str]) -> list[str]:
    """Files under AIRFLOW_HOME, DAG files aside, that have one of the words in their bytes."""
    needles = [word.encode() for word in words]
    return [
        str(path.relative_to(home))
        for path in home.rglob("*")
        if path.is_file() and home / "dags" not in path.parents
        if any(needle in path.read_bytes() for needle in needles)
    ]


def test_the_tasks_did_what_they_should(airflow: Airflow, run: str, service: Emulator):
    assert airflow.states("secrets", run) == ENDINGS
    made = {pool.name for pool in service.account.pools()}
    assert {"s-literal", "s-connection", "s-variable", "s-file", "s-text", "s-mapped"} <= made
    assert made.isdisjoint({"s-broken", "s-refused"})
    assert "InvalidPropertyValue" in airflow.log("secrets", run, "refused")
    assert "the name 'monitor' is taken by extensions[0]" in airflow.log("secrets", run, "broken")


def test_no_file_of_airflow_has_the_secret(airflow: Airflow, run: str, service: Emulator):
    account_secrets = [service.info.client_secret, service.info.key]
    encoded = base64.b64encode(SECRET.encode()).decode().rstrip("=")[:-1]
    assert found_in(airflow.home, [SECRET, encoded, *account_secrets]) == []


def test_the_search_finds_what_is_no_secret(airflow: Airflow, run: str):
    """The same search, for a value in ``settings``: it is in the database, so the search can fail."""
    assert "airflow.db" in {name.removesuffix("-wal") for name in found_in(airflow.home, [CONTROL])}


def test_no_web_answer_has_the_secret(airflow: Airflow, run: str):
    seen = ""
    for task_id in ENDINGS:
        path = f"/api/v2/dags/secrets/dagRuns/{run}/taskInstances/{task_id}"
        seen += airflow.text(path if task_id != "mapped" else f"{path}/0")
        seen += airflow.text(f"{path}/logs/1?full_content=true")
        seen += airflow.text(f"{path}/xcomEntries/return_value")
    seen += airflow.text("/api/v2/dags/secrets/details") + airflow.text("/api/v2/dags/secrets/tasks")
    assert SECRET not in seen
    assert CONTROL in seen, "the rendered document is shown, its secrets are not"
    assert re.search(r"protectedSettings\W+\*\*\*", seen)


def test_no_answer_of_the_emulator_has_the_secret(service: Emulator, run: str):
    from azure.batch import BatchClient
    from azure.core.credentials import AzureNamedKeyCredential

    info = service.info
    with BatchClient(info.http_endpoint, AzureNamedKeyCredential(info.account, info.key)) as client:
        bodies = [repr(pool.as_dict()) for pool in client.list_pools()]
        bodies += [
            repr(item.as_dict())
            for node in client.list_nodes("s-literal")
            for item in client.list_node_extensions("s-literal", node.id)
        ]
    assert CONTROL in "".join(bodies)
    assert SECRET not in "".join(bodies)
