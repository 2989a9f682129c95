"""DAG files are parsed over and over: what they import of us must load nothing of Azure."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODULES = [
    "airflow_batchext.operators.pool",
    "airflow_batchext.operators.extension",
    "airflow_batchext.sensors.extension",
    "airflow_batchext.triggers.extension",
    "airflow_batchext.triggers.pool",
    "airflow_batchext.hooks.pool",
    "airflow_batchext.hooks.node",
    "airflow_batchext.concealment",
    "airflow_batchext.links",
    "airflow_batchext.pool_builder",
    "airflow_batchext.preflight",
]


def test_importing_operators_and_sensors_loads_no_azure_module():
    code = (
        "import importlib, sys\n"
        f"for module in {MODULES!r}: importlib.import_module(module)\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('azure', 'msal', 'aiohttp')))\n"
        "print(sorted(m for m in sys.modules if m.startswith('airflow_batchext.emulator')))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["[]", "[]"]


def test_the_test_can_fail():
    code = (
        "import sys, azure.batch; print(sorted(m for m in sys.modules if m.split('.')[0] == 'azure') != [])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"


@pytest.mark.parametrize(
    ("room", "may_know"),
    [
        ("emulator", ("emulator",)),
        ("readiness", ("readiness",)),
        ("verdict", ("verdict", "readiness", "defaults")),
        ("watch", ("watch", "verdict", "readiness", "defaults")),
        ("resize_errors", ("resize_errors", "readiness")),
        ("pool_progress", ("pool_progress", "resize_errors", "readiness")),
        ("pool_spec", ("pool_spec", "extension_catalog", "secret_members", "sdk_models")),
    ],
)
def test_pure_rooms_and_the_emulator_know_nothing_of_the_rest(room, may_know):
    code = f"import sys, airflow_batchext.{room}; print('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    known = [module.split(".") for module in run.stdout.splitlines()]
    assert ["airflow_batchext", room] in known
    assert not [m for m in known if m[0] in ("airflow", "azure")]
    assert not [m for m in known if m[0] == "airflow_batchext" and len(m) > 1 and m[1] not in may_know]
