"""What an Airflow of our own is told: where it lives, which DAGs it loads, how it reaches the emulator.

The demo and ``batchext up`` share it. Nothing of an Airflow that the user has elsewhere gets in, and nothing
is written outside of the folder that is given.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_batchext.testing import airflow_connection

if TYPE_CHECKING:
    from airflow_batchext.emulator import Scenario
    from airflow_batchext.emulator.server import Info


def dags_folder() -> Path:
    """The folder of the example DAGs: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[2]
    installed = package / "example_dags"
    return installed if installed.is_dir() else package.parent / "dags"


def shown(path: Path) -> str:
    """A path as one would type it: from the current folder, if it is in there."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def connections(info: Info) -> dict[str, dict[str, Any]]:
    """The Airflow connections of the examples, by their ids; all of them lead to the one emulated account."""
    own = airflow_connection(info)
    official = {
        "conn_type": "azure_batch",
        "login": info.account,
        "password": info.key,
        "extra": {"account_url": info.http_endpoint},
    }
    return {
        "azure_batchext_default": own,
        "azure_batch_west": own,
        "azure_batch_north": own,
        "azure_batch_default": official,
    }


def airflow_environment(home: Path, dags: Path) -> dict[str, str]:
    """The variables that make an Airflow live in ``home`` and load ``dags``."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }


def connection_variables(info: Info) -> dict[str, str]:
    """The connections as variables, for an Airflow that lives no longer than they do; they hold secrets."""
    return {
        f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(connection)
        for conn_id, connection in connections(info).items()
    }


def module_command(name: str, *arguments: str) -> list[str]:
    """The command that runs a module as a program; no file in the current folder takes a module's place.

    ``-m`` alone looks for modules there first, where a ``statsd.py`` may be somebody's own.
    """
    return [sys.executable, "-P", "-m", name, *arguments]


def clean_environment() -> dict[str, str]:
    """This process's environment, without what would lead a child to another Airflow, or slow it down."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept


def one_after_the_other(fail: str | None = None, pool: str = "*") -> Scenario:
    """A scenario in which nodes become ready one after the other, as one likes to watch it.

    :param fail: an extension that fails on the first node; a pattern.
    :param pool: in which pools it does; a pattern.
    """
    from airflow_batchext.emulator import ExtensionScenario, Scenario, Timings

    rules = []
    if fail:
        rules.append(
            ExtensionScenario(
                pool=pool,
                extension=fail,
                node=0,
                outcome="fail",
                after=150,
                code="1",
                message="Could not get a token for the vault: no managed identity with that client id.",
            )
        )
    rules += [ExtensionScenario(node=index, after=50.0 + 45.0 * (index % 5)) for index in range(20)]
    return Scenario(timings=Timings(allocation=60), extensions=rules)
