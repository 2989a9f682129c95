"""Only with ``-m package``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    wanted = str(config.getoption("markexpr"))
    return True if collection_path.name.startswith("test_") and wanted != "package" else None
