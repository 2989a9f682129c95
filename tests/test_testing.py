"""The pytest plugin, as users' tests see it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_batchext.emulator import Emulator
from airflow_batchext.testing import airflow_connection

PAGE = Path(__file__).parent.parent / "docs" / "testing.md"


def run_pytest(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "airflow_batchext.testing",
            "-p",
            "no:cacheprovider",
            *arguments,
        ],
        cwd=folder,
        env={**plain, **environment},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


def test_a_connection_signs_in_as_the_service_principal() -> None:
    with Emulator() as emulator:
        connection = airflow_connection(emulator.info)
        assert connection["conn_type"] == "azure_batchext"
        assert connection["login"] == emulator.info.client_id
        assert connection["extra"]["arm_url"] == emulator.info.arm_endpoint


OF_THE_FIXTURE = """
import json, os
import pytest
from airflow_batchext.emulator import Scenario

NAME = "AIRFLOW_CONN_AZURE_BATCHEXT_DEFAULT"
pytestmark = pytest.mark.azure_batch(seed=3)

def test_the_clock_stands_still_and_the_connection_is_there(azure_batch):
    before = azure_batch.clock.now()
    assert azure_batch.clock.now() == before
    connection = json.loads(os.environ[NAME])
    assert connection["extra"]["account_name"] == azure_batch.info.account

def test_the_connection_is_gone_without_the_fixture():
    assert NAME not in os.environ

@pytest.mark.azure_batch(time_scale=9, scenario={"answers": {"level": "word"}})
def test_the_marker_of_the_test_goes_before(azure_batch):
    assert azure_batch.clock.scale == 9
    assert azure_batch.scenario.answers.level == "word"

@pytest.mark.azure_batch(scenario=Scenario(answers={"level": "word"}))
def test_a_scenario_may_be_an_object(azure_batch):
    assert azure_batch.scenario.answers.level == "word"

@pytest.mark.azure_batch(scenario="scenario.yaml")
def test_a_scenario_may_be_a_file(azure_batch):
    assert azure_batch.scenario.timings.allocation == 1

@pytest.mark.azure_batch(speed=5)
def test_a_word_that_the_marker_does_not_have(azure_batch):
    pass

@pytest.mark.azure_batch(scenario={"nonsense": 1})
def test_a_bad_scenario(azure_batch):
    pass
"""


def test_the_fixture_and_its_marker(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(OF_THE_FIXTURE)
    (tmp_path / "scenario.yaml").write_text("timings: {allocation: 1}\n")
    ran = run_pytest(tmp_path, "--strict-markers", "-q")
    assert "5 passed, 2 errors" in ran.stdout, ran.stdout
    assert "the marker azure_batch takes time_scale, scenario, seed, not 'speed'" in ran.stdout
    assert "the scenario is not valid: nonsense" in ran.stdout


def test_without_the_fixture_nothing_of_airflow_or_the_emulator_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    heavy = ('airflow', 'azure', 'airflow_batchext.emulator')\n"
        "    assert [name for name in heavy if name in sys.modules] == []\n"
    )
    ran = run_pytest(tmp_path, "-q")
    assert ran.returncode == 0, ran.stdout


def test_the_plugin_may_be_named_twice(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["airflow_batchext.testing"]\n')
    (tmp_path / "test_it.py").write_text("def test_it(azure_batch):\n    assert azure_batch.info.account\n")
    ran = run_pytest(tmp_path, "-q", "-p", "airflow_batchext.pytest_plugin")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.airflow
@pytest.mark.slow  # dag.test() runs in the demo, too
def test_the_test_of_a_dag_in_the_docs(tmp_path: Path) -> None:
    dag, test = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)[:2]
    code = [line for line in test.splitlines() if line.strip()]
    assert len(code) <= 20
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "agents.py").write_text(dag)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_agents.py").write_text(test)
    environment = {
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    airflow = Path(sys.executable).parent / "airflow"
    subprocess.run(
        [str(airflow), "db", "migrate"], env={**os.environ, **environment}, check=True, capture_output=True
    )
    ran = run_pytest(tmp_path, "-q", "-o", "pythonpath=dags", "tests", **environment)
    assert "3 passed" in ran.stdout, ran.stdout[-3000:]
