"""One bed for all the tests in this folder. Only with ``-m distributed`` (``make test-distributed``)."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_batchext.emulator import Emulator, Scenario
from tests.conftest import own_connection
from tests.distributed.bed import Bed
from tests.distributed.dags.work import TASKS
from tests.distributed.environment import AIRFLOW, ROOT, MissingProgramError, postgres_programs, redis_server
from tests.distributed.figures import Figures
from tests.distributed.plan import GATES, POOLS
from tests.distributed.reaper import Reaper

#: Seconds of what nodes do until they take tasks.
QUICK = {"allocation": 1, "creating": 1, "starting": 1, "settling": 1, "agent": 1, "reporting": 1}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    wanted = str(config.getoption("markexpr"))
    return True if collection_path.name.startswith("test_") and wanted != "distributed" else None


def keep_logs(bed: Bed) -> None:
    """Leave what the processes and the tasks have said where it can be read after the run."""
    kept = ROOT / ".test-logs" / "distributed"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(bed.home / "logs", kept / "tasks", ignore=shutil.ignore_patterns("dag_processor"))
    for log in (*bed.home.glob("*.log"), *bed.home.parent.glob("*.log")):
        shutil.copy(log, kept)


@pytest.fixture(scope="session")
def service() -> Iterator[Emulator]:
    """An emulated account by the wall clock."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def working_folder() -> Iterator[Path]:
    """Where tasks are really run; what all nodes share."""
    with tempfile.TemporaryDirectory(prefix="batchext-work-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def working(working_folder: Path) -> Iterator[Emulator]:
    """Another account, by the wall clock, too; on Linux it really runs tasks."""
    folder = working_folder if sys.platform == "linux" else None
    with Emulator(run_tasks=folder, scenario=Scenario.load({"timings": QUICK})) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def bed(service: Emulator, working: Emulator) -> Iterator[Bed]:
    """The bed, healthy."""
    try:
        postgres_programs(), redis_server()
    except MissingProgramError as problem:
        pytest.fail(str(problem))
    assert AIRFLOW.exists(), "run `make test-distributed`, which makes .venv-distributed first"
    # Whoever ends the tests by a signal ends the bed in good order, too.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Not pytest's own folder: its parents are closed to the user of Postgres.
    home, reaper = Path(tempfile.mkdtemp(prefix="batchext-bed-")), Reaper()
    reaper.watch("folder", home)
    connections: dict[str, dict[str, Any]] = {
        "azure_batchext_default": own_connection(service),
        "azure_batchext_work": own_connection(working),
    }
    running = Bed(home, connections, reaper)
    try:
        yield running.start()
    finally:
        running.stop()
        keep_logs(running)
        reaper.close()
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """What the runs count and measure; where all is well at full size it goes into the docs."""
    kept = Figures()
    yield kept
    print(f"\n{kept.text()}\n{kept.work_text()}")
    if not request.session.testsfailed:
        kept.publish(main=POOLS * GATES == 200, work=TASKS == 300)
