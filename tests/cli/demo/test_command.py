"""``batchext demo`` as a user runs it: both endings, on one screen, with a status that says which."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from airflow_batchext.cli.demo.airflow_home import dags_folder, shown
from tests.airflow_names import airflow_is
from tests.sockets import family, listeners, reachable_from_outside

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

BATCHEXT = Path(sys.executable).with_name("batchext")


def demo(*arguments: str) -> tuple[int, str, set[tuple[str, int, str]]]:
    """The status, what it printed, and who listened meanwhile."""
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as complaints:
        running = subprocess.Popen([BATCHEXT, "demo", *arguments], stdout=printed, stderr=complaints)
        listening: set[tuple[str, int, str]] = set()
        try:
            while running.poll() is None:
                listening |= listeners(family(running.pid))
                time.sleep(0.2)
        finally:
            running.kill()
        for file in (printed, complaints):
            file.seek(0)
        assert complaints.read() == ""
        return running.wait(), printed.read(), listening


def left() -> set[Path]:
    """What demos have left behind."""
    return set(Path(tempfile.gettempdir()).glob("batchext-demo-*"))


def test_the_gate_opens_and_downstream_gets_the_data():
    before = left()
    status, out, listening = demo("--nodes", "2")
    assert status == 0, out
    assert "secretext transitioning" in out
    assert not re.search(r"(secretext|batchNodeExtension) *$", out, re.MULTILINE), "a fresh one: Creating"
    assert out.count("secretext succeeded") == 2
    assert "The gate opened after" in out
    assert out.count("secretext  ProvisioningState/succeeded") == 2
    for task in ("create_pool", "gate", "read_extensions", "use_pool", "delete_pool"):
        assert re.search(rf"success +{task}", out)
    assert "airflow connections add azure_batchext_default" in out
    assert listening, "the emulator's"
    assert reachable_from_outside(listening) == []
    assert f"copy {shown(dags_folder())} into your DAGs folder" in out
    assert left() == before, "nothing is left in the temporary folder"


@pytest.mark.slow
def test_the_gate_closes_downstream_does_not_run_and_the_status_says_so():
    status, out, _ = demo("--fail", "secretext")
    assert status == 1, out
    assert not re.search(r"tvmps_\w{20}", out), "ids are as short as in the table"
    assert "The gate closed" in out
    assert re.search(r"failed +gate", out)
    assert re.search(r"upstream_failed +use_pool", out)
    assert re.search(r"success +delete_pool", out)
    reason = "extension secretext reports ProvisioningState/failed/1: Could not get a token"
    log = re.search(r"gate: see (\S+)", out)
    assert reason in (out if airflow_is("3.3") else Path(log[1]).read_text())
    assert "\\n" not in out, "what the reason says in lines is shown in lines"
