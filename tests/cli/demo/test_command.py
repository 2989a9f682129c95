"""``batchext demo`` as a user runs it: both endings, on one screen, with a status that says which."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.airflow_names import airflow_is

pytestmark = pytest.mark.airflow

BATCHEXT = Path(sys.executable).with_name("batchext")


def demo(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([BATCHEXT, "demo", *arguments], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_gate_opens_and_downstream_gets_the_data():
    status, out = demo("--nodes", "2")
    assert status == 0, out
    assert "secretext transitioning" in out
    assert out.count("secretext succeeded") == 2
    assert "The gate opened after" in out
    assert out.count("secretext  ProvisioningState/succeeded") == 2
    for task in ("create_pool", "gate", "read_extensions", "use_pool", "delete_pool"):
        assert re.search(rf"success +{task}", out)
    assert "airflow connections add azure_batchext_default" in out
    log = Path(re.search(r"Airflow's log +(\S+)", out)[1])
    assert log.stat().st_size > 1000, "the noise is there"
    assert not (log.parent / "airflow").exists(), "AIRFLOW_HOME is thrown away"


def test_the_gate_closes_downstream_does_not_run_and_the_status_says_so():
    status, out = demo("--fail", "secretext")
    assert status == 1, out
    assert "The gate closed" in out
    assert re.search(r"failed +gate", out)
    assert re.search(r"upstream_failed +use_pool", out)
    assert re.search(r"success +delete_pool", out)
    reason = "extension secretext reports ProvisioningState/failed/1: Could not get a token"
    log = re.search(r"Airflow's log +(\S+)", out)
    assert reason in (out if airflow_is("3.3") else Path(log[1]).read_text())
