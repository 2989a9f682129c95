"""What the live page asks of Airflow's database, asked of Postgres: the tests of tests/live that read one."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributed.environment import AIRFLOW, ROOT
from tests.distributed.reaper import Reaper
from tests.distributed.services import Postgres

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(900)]

FILES = ("test_fired.py", "test_watched.py", "test_stored.py", "test_routes.py")


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """With a database of its own, which these tests empty, and whose tables Airflow has made."""
    home, reaper = Path(tempfile.mkdtemp(prefix="batchext-queries-")), Reaper()
    reaper.watch("folder", home)
    home.chmod(0o755)  # Postgres runs as another user
    postgres = Postgres(home, reaper)
    try:
        postgres.create()
        url = f"postgresql+psycopg2://{postgres.url}"
        made = os.environ | {"AIRFLOW_HOME": str(home), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}
        done = subprocess.run(
            [AIRFLOW, "db", "migrate"], env=made, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        yield os.environ | {"BATCHEXT_TEST_DATABASE": url}
    finally:
        postgres.stop()
        reaper.close()


@pytest.mark.parametrize("file", FILES)
def test_what_is_read_of_sqlite_is_read_of_postgres(environment: dict[str, str], file: str):
    command = [
        AIRFLOW.with_name("python"),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"tests/live/{file}",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:]
