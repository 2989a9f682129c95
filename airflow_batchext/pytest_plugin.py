"""Fixtures for tests of one's own DAGs: an emulated Azure Batch account, and Airflow's connection to it.

pytest loads it by itself where the package is installed. It imports Airflow nowhere, and the emulator only
when a test asks for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_batchext.testing import airflow_connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_batchext.emulator import Emulator

CONNECTION_ID = "azure_batchext_default"
_OPTIONS = ("time_scale", "scenario", "seed")
_MARKER = (
    "azure_batch(time_scale=0, scenario=None, seed=0): how the fixture azure_batch is to be. The scenario is "
    "an airflow_batchext.emulator.Scenario, the same as a dict, or the path of a file."
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def azure_batch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """A running emulator of Azure Batch, new for each test; ``azure_batchext_default`` is a connection to it.

    Its clock stands still until ``azure_batch.clock.advance(seconds)``. ``azure_batch.faults.add(…)`` makes
    requests fail, ``azure_batch.account`` lets things happen to pools and nodes, and ``azure_batch.requests``
    tells what was asked. The marker ``azure_batch`` gives it a clock that runs, a scenario and a seed.
    """
    from airflow_batchext.emulator import Emulator, Scenario

    options: dict[str, Any] = {"time_scale": 0}
    for marker in reversed(list(request.node.iter_markers("azure_batch"))):
        options |= marker.kwargs
        unknown = [*marker.args, *(name for name in marker.kwargs if name not in _OPTIONS)]
        if unknown:
            known = ", ".join(_OPTIONS)
            pytest.fail(f"the marker azure_batch takes {known}, not {unknown[0]!r}", pytrace=False)
    scenario = options.get("scenario")
    if scenario is not None and not isinstance(scenario, Scenario):
        options["scenario"] = Scenario.load(scenario)
    with Emulator(**options) as emulator:
        name = f"AIRFLOW_CONN_{CONNECTION_ID.upper()}"
        monkeypatch.setenv(name, json.dumps(airflow_connection(emulator.info)))
        yield emulator
