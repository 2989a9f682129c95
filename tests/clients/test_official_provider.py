"""Airflow's own provider runs unmodified: its hook, its operator, and its operator deferring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients.conftest import Info, Story

pytestmark = pytest.mark.clients


@pytest.fixture
def official(tell: Story, service: Info, tmp_path: Path) -> Story:
    def official(mode: str, label: str, command: str = "echo hello") -> dict[str, Any]:
        variables = {
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "REQUESTS_CA_BUNDLE": service["ca_bundle"],
            # What DefaultAzureCredential finds where the app runs in an App Service.
            "IDENTITY_ENDPOINT": service["identity_endpoint"],
            "IDENTITY_HEADER": service["identity_header"],
        }
        return tell("airflow", "official.py", mode, label, command, **variables)

    return official


def test_the_hook(official: Story) -> None:
    seen = official("hook", "hook")
    assert seen["connections"] == {"azure_batch_default": True, "wrong": False, "no_key": True}
    assert seen["agent"] == "batch.node.ubuntu 22.04"


def test_the_operator_waits_for_its_task(official: Story) -> None:
    seen = official("operator", "waits")
    assert seen == {"outcome": "success", "task": ["completed", 0, "success"], "pools": []}


def test_the_operator_fails_with_its_task(official: Story) -> None:
    seen = official("operator", "fails")
    assert seen["outcome"].startswith("Job fail")
    assert seen["task"] == ["completed", 3, "failure"]


def test_the_operator_defers_to_its_trigger(official: Story) -> None:
    seen = official("deferrable", "defers")
    assert seen == {"event": "success", "task": ["completed", 0, "success"], "outcome": "success"}


def test_the_trigger_tells_a_failure(official: Story) -> None:
    seen = official("deferrable", "fails-later")
    assert seen["event"] == "error"
    assert seen["task"] == ["completed", 3, "failure"]
    assert seen["outcome"] == "Azure Batch job job-fails-later failed."
