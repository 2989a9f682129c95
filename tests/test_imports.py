"""What imports what: downwards, never in a circle, and little when a DAG file is parsed (over and over)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import import_graph

MODULES = [
    "airflow_batchext.operators.pool",
    "airflow_batchext.operators.extension",
    "airflow_batchext.operators.diagnose",
    "airflow_batchext.notifications.diagnosis",
    "airflow_batchext.operators.job",
    "airflow_batchext.operators.node",
    "airflow_batchext.operators.orphans",
    "airflow_batchext.operators.task",
    "airflow_batchext.repair",
    "airflow_batchext.sensors.extension",
    "airflow_batchext.triggers.extension",
    "airflow_batchext.triggers.repair",
    "airflow_batchext.triggers.pool",
    "airflow_batchext.triggers.events",
    "airflow_batchext.triggers.task",
    "airflow_batchext.assets",
    "airflow_batchext.hooks.pool",
    "airflow_batchext.hooks.node",
    "airflow_batchext.hooks.job",
    "airflow_batchext.hooks.health",
    "airflow_batchext.hooks.node_logs",
    "airflow_batchext.diagnosis",
    "airflow_batchext.concealment",
    "airflow_batchext.links",
    "airflow_batchext.node_checks",
    "airflow_batchext.pool_builder",
    "airflow_batchext.pool_spec._sdk_schema",
]

PARSED = [
    "operators.pool",
    "operators.extension",
    "operators.diagnose",
    "notifications.diagnosis",
    "operators.job",
    "operators.node",
    "operators.orphans",
    "operators.task",
    "repair",
    "sensors.extension",
    "ephemeral",
    "concealment",
    "links",
    "node_checks",
    "secret_references",
]
#: What of us a DAG file may load: parameters, and what keeps secrets out of sight; nothing that works.
LIGHT = {
    "airflow_batchext.loose_json",
    "airflow_batchext.secrets",
    "airflow_batchext.concealment",
    "airflow_batchext.defaults",
    "airflow_batchext.ephemeral",
    "airflow_batchext.exceptions",
    "airflow_batchext.links",
    "airflow_batchext.notifications",
    "airflow_batchext.notifications.diagnosis",
    "airflow_batchext.operators",
    "airflow_batchext.operators._base",
    "airflow_batchext.operators.diagnose",
    "airflow_batchext.operators.extension",
    "airflow_batchext.operators.job",
    "airflow_batchext.operators.node",
    "airflow_batchext.operators.orphans",
    "airflow_batchext.operators.pool",
    "airflow_batchext.operators.task",
    "airflow_batchext.origin",
    "airflow_batchext.origin.deployment",
    "airflow_batchext.node_checks",
    "airflow_batchext.parameters",
    "airflow_batchext.parameters.work",
    "airflow_batchext.secrets.references",
    "airflow_batchext.repair",
    "airflow_batchext.repair.policy",
    "airflow_batchext.loose_json.documents",
    "airflow_batchext.loose_json.sdk_models",
    "airflow_batchext.secrets._plain",
    "airflow_batchext.secrets.names",
    "airflow_batchext.secret_references",
    "airflow_batchext.templating",
    "airflow_batchext.sensors",
    "airflow_batchext.sensors.extension",
}
IMPORTS = "\n".join(f"import airflow_batchext.{module}" for module in PARSED)
#: A DAG of Airflow's own operators first, so that only what is ours is counted.
DAG_FILES = """
import json, os, sys
from airflow.sdk import DAG, BaseNotifier, BaseOperator, BaseOperatorLink, BaseSensorOperator
from airflow.providers.common.compat.sdk import conf
conf.getboolean("operators", "default_deferrable")
class Sensor(BaseSensorOperator):
    pass
with DAG("before"):
    BaseOperator(task_id="one") >> Sensor(task_id="two")
before = set(sys.modules)
for body in sys.argv[1:]:
    sys.stdout.flush()
    if not (child := os.fork()):  # what Airflow itself loads takes a second, and is the same for all
        exec(body)
        print(json.dumps(sorted(set(sys.modules) - before)), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(1)
"""
TASKS = """
from airflow_batchext.notifications.diagnosis import AzureBatchDiagnosisNotifier
from airflow_batchext.operators.diagnose import AzureBatchDiagnosePoolOperator
from airflow_batchext.operators.extension import AzureBatchGetExtensionOperator
from airflow_batchext.operators.node import AzureBatchRepairNodesOperator
from airflow_batchext.operators.pool import *
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
with DAG("ours"):
    AzureBatchCreatePoolOperator(task_id="create", pool_id="p", pool_document=DOCUMENT)
    AzureBatchUpdatePoolOperator(task_id="update", pool_id="p", pool_document=DOCUMENT)
    AzureBatchResizePoolOperator(task_id="resize", pool_id="p", target_dedicated_nodes=2)
    AzureBatchDeletePoolOperator(task_id="delete", pool_id="p", deferrable=True)
    AzureBatchGetExtensionOperator(task_id="read", pool_id="p")
    AzureBatchTaskOperator(task_id="work", pool_id="p", command_line="/bin/true")
    AzureBatchDiagnosePoolOperator(
        task_id="why", pool_id="p", output_uri="file:///r", on_failure_callback=AzureBatchDiagnosisNotifier()
    )
    AzureBatchRepairNodesOperator(task_id="repair", pool_id="p", policy=RepairPolicy(at_once=2))
    AzureBatchExtensionSensor(
        task_id="gate", pool_id="p", repair={}, deferrable=True, extension_names=["a"]
    )
"""
DOCUMENT = {
    "properties": {
        "vmSize": "STANDARD_DS2_V2",
        "scaleSettings": {"fixedScale": {"targetDedicatedNodes": 1}},
        "deploymentConfiguration": {
            "virtualMachineConfiguration": {
                "extensions": [{"name": "a", "protectedSettings": {"key": "a secret"}, "settings": {}}]
            }
        },
    }
}


def added(bodies: Mapping[str, str]) -> dict[str, set[str]]:
    """By name, the modules that a DAG file with a body loads."""
    program = [sys.executable, "-c", DAG_FILES, *bodies.values()]
    ended = subprocess.run(program, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()[-len(bodies) :]
    # The package itself: Airflow 3.2 and later load it before any DAG, for its options.
    return {
        name: set(json.loads(line)) - {"airflow_batchext"} for name, line in zip(bodies, lines, strict=True)
    }


IN_THE_TRIGGERER = "import airflow.triggers.base\nbefore |= set(sys.modules)\n"
OF_A_GATE = TASKS.replace("deferrable=True, extension_names", "start_from_trigger=True, extension_names")
BODIES = {
    "nothing": IMPORTS,
    "tasks with the path of a document": f"{IMPORTS}\nDOCUMENT = 'pools/p1.yaml'{TASKS}",
    "tasks with a document": f"{IMPORTS}\nDOCUMENT = {DOCUMENT!r}{TASKS}",
    "what starts in the triggerer": (
        f"{IN_THE_TRIGGERER}{OF_A_GATE.replace('DOCUMENT', repr('p.json'))}\n{IMPORTS}"
    ),
    "a watched pool": (
        f"{IN_THE_TRIGGERER}from airflow_batchext.assets import watched_pool_asset\n"
        "with DAG('ours', schedule=watched_pool_asset('acc', 'p1')): BaseOperator(task_id='one')"
    ),
    "modules without Azure": "\n".join([IN_THE_TRIGGERER, *(f"import {module}" for module in MODULES)]),
    "what the test must find": "import azure.batch",
}


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    return added(BODIES)


def test_importing_operators_and_sensors_loads_no_azure_module(loaded):
    # What Airflow itself loads is not ours (3.1: aiohttp).
    found = loaded["modules without Azure"]
    assert found.issuperset(MODULES)
    heavy = ("azure", "msal", "aiohttp")
    assert [m for m in found if m.split(".")[0] in heavy or m.startswith("airflow_batchext.emulator")] == []


def test_the_test_can_fail(loaded):
    assert "azure.batch" in loaded["what the test must find"]


@pytest.mark.parametrize("body", list(BODIES)[:3])
def test_a_dag_file_loads_parameters_alone(loaded, body):
    assert loaded[body] == LIGHT


def test_what_starts_in_the_triggerer_needs_its_rules_and_no_more(loaded):
    assert loaded["what starts in the triggerer"] == LIGHT | {
        "airflow_batchext.rules",
        "airflow_batchext.parameters",
        "airflow_batchext.batch",
        "airflow_batchext.batch.data_plane",
        "airflow_batchext.batch.node_counts",
        "airflow_batchext.batch.node_names",
        "airflow_batchext.batch.provider_errors",
        "airflow_batchext.batch.resize_codes",
        "airflow_batchext.loose_json.values",
        "airflow_batchext.sensors._rules",
        "airflow_batchext.sensors._start_from_trigger",
        "airflow_batchext.secrets._commands",
        "airflow_batchext.secrets.redact",
        "airflow_batchext.rules.deadline",
        "airflow_batchext.rules.gate",
    }


def test_watching_pools_needs_the_watchers_parameters_and_no_more(loaded):
    # With the first asset Airflow loads what providers say of themselves, and the handlers of all schemes.
    ours = {module for module in loaded["a watched pool"] if module.startswith("airflow_batchext.")}
    assert ours - {"airflow_batchext.provider_info"} == {
        "airflow_batchext.assets",
        "airflow_batchext.defaults",
        "airflow_batchext.exceptions",
        "airflow_batchext.parameters",
        "airflow_batchext.triggers",
        "airflow_batchext.triggers._base",
        "airflow_batchext.triggers.events",
    }


REDACT = (
    *("secrets", "secrets.redact", "secrets.names", "secrets.references"),
    *("secrets._commands", "secrets._plain"),
    *("loose_json", "loose_json.documents", "loose_json.sdk_models"),
)
FACTS = ("extension_catalog", "node_agents", "retirements")
SAID = (
    *("batch", "batch.data_plane", "batch.node_counts", "batch.provider_errors", "batch.resize_codes"),
    *("loose_json.values", *REDACT),
)
RULES = ("rules", "rules.gate", "batch.node_names", "defaults", *SAID)
LOOKS = (*("rules.watch", "rules.pace", "rules.unread"), *("rules.memory", "rules.nodes", "rules.reads"))
HEALTH = ("health", *LOOKS, "batch.resize_errors", *RULES)


@pytest.mark.parametrize(
    ("room", "may_know"),
    [
        ("emulator", ("emulator",)),
        ("secrets.redact", REDACT),
        ("batch.data_plane", SAID),
        ("rules.gate", RULES),
        ("rules.watch", (*LOOKS, *RULES)),
        ("rules.sharing", ("rules.sharing", *RULES)),
        ("rules.deadline", ("rules", "rules.deadline")),
        ("rules.events", ("rules.events", *RULES)),
        ("batch.resize_errors", ("batch.resize_errors", *SAID)),
        ("rules.pool_wait", ("rules", "rules.pool_wait", *SAID)),
        ("health", HEALTH),
        ("diagnosis", ("diagnosis", "batch.extension_catalog", "rules.cells", *HEALTH)),
        ("repair.gate", ("repair", "parameters", *LOOKS, *RULES)),
        (
            "live.snapshot",
            ("live", "live.snapshot", "live.bounds", "live.form", "rules", "rules.cells", *SAID),
        ),
        (
            "pool_spec",
            ("pool_spec", *(f"batch.{facts}" for facts in FACTS), *SAID),
        ),
    ],
)
def test_pure_rooms_and_the_emulator_know_nothing_of_the_rest(room, may_know):
    code = f"import sys, airflow_batchext.{room}; print('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    known = run.stdout.splitlines()
    assert f"airflow_batchext.{room}" in known
    assert not [m for m in known if m.split(".")[0] in ("airflow", "azure")]
    # A room is named whole, or module by module where another of it may not be known.
    whole = tuple(
        f"airflow_batchext.{name}."
        for name in may_know
        if name in ("emulator", "health", "diagnosis", "repair", "pool_spec")
    )
    allowed = {"airflow_batchext", *(f"airflow_batchext.{name}" for name in may_know)}
    assert not [
        m for m in known if m.startswith("airflow_batchext.") and m not in allowed and not m.startswith(whole)
    ]


#: The rooms, and the loose modules that are doors to them, from top to bottom: each imports what is below it.
ROOMS = (
    "cli",
    "ephemeral",
    "operators",
    "sensors",
    "notifications",
    "assets",
    "triggers",
    "live",
    "hooks",
    "links",
    "metrics",
    "credentials",
    "transport",
    "connection",
    "diagnosis",
    "health",
    "repair",
    "rules",
    "origin",
    "pool_builder",
    "concealment",
    "secret_references",
    "templating",
    "node_checks",
    "parameters",
    "exceptions",
    "pool_spec",
    "batch",
    "secrets",
    "loose_json",
    "provider_info",
    "documentation",
    "defaults",
    # The emulator is a house of its own; what users' tests import of it stands above it.
    "pytest_plugin",
    "testing",
    "emulator",
    # The package itself: its version.
    "",
)
LOOSE = {
    *("assets", "concealment", "ephemeral", "exceptions", "links", "node_checks", "secret_references"),
    *("testing", "pytest_plugin", "defaults", "documentation", "metrics"),
    *("provider_info", "templating"),
}
#: What a room may import beside itself, where less than all that is below it.
MAY_IMPORT = {
    "defaults": set(),
    "documentation": set(),
    "loose_json": set(),
    "secrets": {"loose_json"},
    "batch": {"secrets", "loose_json"},
    "rules": {"batch", "loose_json", "defaults"},
    "repair": {"rules", "batch", "parameters", "loose_json"},
    "health": {"rules", "batch", "secrets", "loose_json"},
    "diagnosis": {"health", "rules", "batch", "loose_json", ""},
    "origin": {"parameters", "batch", "loose_json"},
    "pool_spec": {"batch", "secrets", "loose_json"},
    "emulator": set(),
    "templating": {"parameters"},
    "testing": {"emulator"},
    "pytest_plugin": {"testing", "emulator"},
}
#: What may know the emulator; nothing else of the package does.
KNOW_THE_EMULATOR = ("cli.main", "cli.demo.", "cli.selftest.", "testing", "pytest_plugin")


def complaints(sources: Mapping[Path, str]) -> list[str]:
    """What is wrong with the directions of the imports in sources of the package."""
    arrows = import_graph.graph(sources)
    found = [f"{' <-> '.join(circle)}: a circle" for circle in import_graph.circles(arrows)]
    rooms = import_graph.rooms(arrows)
    found += [f"{' <-> '.join(circle)}: rooms in a circle" for circle in import_graph.circles(rooms)]
    for module, imported in arrows.items():
        here = import_graph.room(module)
        if here not in ROOMS:
            found.append(f"{module} is in no room")
            continue
        for other in imported:
            there = import_graph.room(other)
            if here == there or there not in ROOMS:
                continue
            runs_up = ROOMS.index(there) < ROOMS.index(here) or there not in MAY_IMPORT.get(here, ROOMS)
            is_foreign = there == "emulator" and not f"{module}.".startswith(KNOW_THE_EMULATOR)
            # Only its drivers carry out a repair; a hook itself judges nothing.
            judges = (here, there) == ("hooks", "repair") and not module.startswith("hooks._drivers.")
            if runs_up or is_foreign or judges:
                found.append(f"{module} imports {other}")
    return sorted(found)


def test_imports_run_downwards_and_never_in_a_circle():
    assert complaints(import_graph.sources()) == []


def test_a_loose_file_in_the_root_is_one_of_the_named():
    package = import_graph.ROOT / import_graph.PACKAGE
    files = {path.name for path in package.iterdir() if path.is_file()}
    assert files == {f"{name}.py" for name in LOOSE} | {"__init__.py", "py.typed"}
    assert {path.name for path in package.iterdir() if (path / "__init__.py").exists()} == set(
        ROOMS
    ) - LOOSE - {""}


UNDER_TYPE_CHECKING = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {}\n"
IN_A_FUNCTION = "def planted():\n    {}\n"


@pytest.mark.parametrize("form", ["{}\n", UNDER_TYPE_CHECKING, IN_A_FUNCTION])
@pytest.mark.parametrize(
    ("file", "planted", "complaint"),
    [
        (
            "diagnosis/_page.py",
            "from airflow_batchext.diagnosis._report import Report",
            "diagnosis._page <-> diagnosis._report: a circle",
        ),
        (
            "emulator/account/job_records.py",
            "import airflow_batchext.emulator.account.scheduling",
            (
                "emulator.account.candidates <-> emulator.account.inventory <-> "
                "emulator.account.job_records <-> emulator.account.preparing <-> "
                "emulator.account.runs <-> emulator.account.scheduling: a circle"
            ),
        ),
        (
            "secrets/names.py",
            "from . import redact",
            "secrets.names <-> secrets.redact <-> secrets.references: a circle",
        ),
        (
            "operators/_steps/create_pool.py",
            "from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator",
            "operators._steps.create_pool <-> operators.pool: a circle",
        ),
        (
            "rules/gate.py",
            "from airflow_batchext.hooks.node import AzureBatchNodeHook",
            "rules.gate imports hooks.node",
        ),
        ("batch/clouds.py", "from airflow_batchext.rules import gate", "batch.clouds imports rules.gate"),
        ("hooks/node.py", "from airflow_batchext.repair import RepairPolicy", "hooks.node imports repair"),
        (
            "loose_json/values.py",
            "from airflow_batchext.batch.clouds import CLOUDS",
            "loose_json.values imports batch.clouds",
        ),
        (
            "loose_json/documents.py",
            "from airflow_batchext.secrets.names import sounds_secret",
            "loose_json.documents imports secrets.names",
        ),
        (
            "secrets/names.py",
            "from airflow_batchext.batch.clouds import CLOUDS",
            "batch <-> secrets: rooms in a circle",
        ),
        (
            "emulator/documents/job_schema.py",
            "from airflow_batchext.emulator.account import quotas",
            "emulator.account <-> emulator.documents: rooms in a circle",
        ),
        ("emulator/faults.py", "from .. import defaults", "emulator.faults imports defaults"),
        (
            "operators/pool.py",
            "from airflow_batchext.emulator import Scenario",
            "operators.pool imports emulator",
        ),
        ("lost.py", "import airflow_batchext.defaults", "lost is in no room"),
    ],
)
def test_what_is_planted_is_found(file, planted, complaint, form):
    sources, path = import_graph.sources(), Path(file)
    text = sources.get(path, "") + form.format(planted)
    assert complaint in complaints({**sources, path: text})
