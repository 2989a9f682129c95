"""A real Airflow with its web page, a real Chromium, and an emulated account. Only with ``-m browser``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_batchext.emulator import Emulator
from tests.airflow.harness import Airflow
from tests.browser.programs import NEEDS, chromium
from tests.conftest import official_connection, own_connection

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EXAMPLES = Path(__file__).parents[2] / "dags"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    wanted = str(config.getoption("markexpr"))
    return True if collection_path.name.startswith("test_") and wanted != "browser" else None


@pytest.fixture(scope="session")
def service() -> Iterator[Emulator]:
    with Emulator(time_scale=0) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def airflow(service: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    home = tmp_path_factory.mktemp("airflow-home")
    shutil.copytree(EXAMPLES, home / "dags")
    shutil.copytree(Path(__file__).parent / "dags", home / "dags", dirs_exist_ok=True)
    connections = {
        "azure_batchext_default": own_connection(service),
        "azure_batch_default": official_connection(service),
    }
    running = Airflow(home, home / "dags", connections)
    running.environment |= {
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__BATCHEXT__TEST_HOSTS": "127.0.0.1",
        "AIRFLOW__BATCHEXT__POLL_INTERVAL": "5",
    }
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def browser() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.fail(NEEDS)
    program = chromium()
    if program is None:
        pytest.fail(NEEDS)
    # Chromium's own sandbox does not work for root, as CI runs; the only pages are Airflow's and ours.
    options: dict[str, Any] = {"args": ["--no-sandbox", "--disable-gpu"]}
    with sync_playwright() as play, play.chromium.launch(executable_path=program, **options) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, airflow: Airflow) -> Page:
    """A page of a signed-in browser."""
    page = browser.new_page(viewport={"width": 1100, "height": 1250})
    page.goto(f"{airflow.url}/auth/login/")
    return page
