"""``batchext emulator`` as a process, and a way to run a client's story against it in the client's own world.

A story is a script that is given, on its standard input, what the emulator says of itself, and that prints
what it saw as one JSON object. The environments take minutes to make (``make test-clients``), so the stories
are only collected with ``-m clients``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clients import environments

HERE = Path(__file__).parent
SCRIPTS = HERE / "scripts"
PATIENCE = 150
SCENARIO = {
    "timings": {"extension": 20},
    "extensions": [
        {
            "pool": "broken-*",
            "node": 1,
            "extension": "secretext",
            "outcome": "fail",
            "code": "7",
            "message": "no vault",
        },
        {"pool": "broken-*", "node": 2, "extension": "secretext", "outcome": "hang"},
    ],
    "tasks": [{"job": "job-fails*", "exit_code": 3}],
    "pools": [
        {
            "pool": "quota-*",
            "resize_error": {
                "code": "AccountCoreQuotaReached",
                "message": "The specified account has reached core quota",
            },
            "nodes_allocated": 1,
        }
    ],
}

Info = dict[str, str]
Story = Callable[..., dict[str, Any]]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    wanted = str(config.getoption("markexpr"))
    return True if collection_path.name.startswith("test_") and wanted != "clients" else None


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Info]:
    """A running ``batchext emulator``, 100 times as fast as Azure."""
    scenario = tmp_path_factory.mktemp("emulator") / "scenario.yaml"
    scenario.write_text(yaml.safe_dump(SCENARIO))
    program = Path(sys.executable).with_name("batchext")
    command = [str(program), "emulator", "--time-scale", "100", "--scenario", str(scenario)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def clean_environment(**more: str) -> dict[str, str]:
    """The environment variables of this process, without those that steer Azure's clients or Airflow."""
    steering = ("AZURE_", "IDENTITY_", "MSI_", "AIRFLOW", "REQUESTS_", "SSL_", "NODE_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(steering)} | more


def run(command: list[str], said: Any = None, **variables: str) -> str:
    """Run a command to its end and return what it printed; a failure says what it complained of."""
    done = subprocess.run(
        command,
        input=json.dumps(said),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=clean_environment(**variables),
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def eventually(check: Callable[[], Any]) -> None:
    """Ask until the answer is true."""
    end = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


@pytest.fixture
def tell(service: Info) -> Story:
    """Run a story in an environment (None: that of the tests) and return what it saw."""

    def tell(environment: str | None, script: str, *arguments: str, **variables: str) -> dict[str, Any]:
        seen = run([*environments.program(environment, SCRIPTS / script), *arguments], service, **variables)
        return dict(json.loads(seen.splitlines()[-1]))

    return tell
