"""Every block of code on users' pages is run, or checked, in the way in which it stands there.

What a block is follows from its language and its words. A block, a command or a shape that nobody here knows
fails, so that nothing comes onto a page that no test looks at.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import re
import shlex
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from airflow.sdk import DAG, BaseNotifier, BaseOperator

from airflow_batchext import cli
from airflow_batchext.cli import main
from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.pool_spec import find_differences
from airflow_batchext.secrets.references import malformed_references
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from tests.conftest import document
from tests.test_public_names import NAMES, thing

ROOT = Path(__file__).parents[1]
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
DAG_IDS = set(
    re.findall(r'DAG\(\s*(?:dag_id=)?"(\w+)"', "".join(p.read_text() for p in (ROOT / "dags").glob("*.py")))
)


def blocks() -> Iterator[Any]:
    for page in PAGES:
        text = page.read_text("utf-8")
        for found in re.finditer(r"^( *)```(\w*)\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE):
            line = text[: found.start()].count("\n") + 1
            name = f"{page.relative_to(ROOT)}:{line}"
            yield pytest.param(page.name, found[2], textwrap.dedent(found[3]), id=name)


BLOCKS = list(blocks())


@pytest.mark.parametrize(("page", "language", "text"), BLOCKS)
def test_it_does_what_the_page_says(
    page: str, language: str, text: str, azure: Any, monkeypatch: Any
) -> None:
    checker = CHECKERS.get(language)
    assert checker, f"nobody knows what to do with a block of {language}"
    for name in [*os.environ]:  # what a block sets is gone afterwards
        monkeypatch.setenv(name, os.environ[name])
    monkeypatch.setenv(
        "AIRFLOW_CONN_AZURE_BATCHEXT_DEFAULT", os.environ["AIRFLOW_CONN_AZURE_BATCHEXT_DEFAULT"]
    )
    checker(text, azure, monkeypatch)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("sh", "batchext validat p1.yaml\n"),
        ("sh", "batchext status p1 --interval=-1 --watch\n"),
        ("sh", "make everything-good\n"),
        ("sh", "frobnicate\n"),
        ("sh", "airflow dags trigger batch_pool_of_nobody\n"),
        ("python", "AzureBatchRepairNodesOperator(task_id='t', pool_id='p', node_ids='n1')\n"),
        ("python", "AzureBatchNoOperator()\n"),
        ("yaml", "faults:\n- {action: explode}\n"),
        ("yaml", "extensions:\n- {pool: p, outcome: bloom}\n"),
        ("yaml", "a: 1\n"),
        ("json", "{}\n"),
        ("", "no command at all\n"),
    ],
)
def test_what_is_wrong_on_a_page_is_found(language: str, text: str, azure: Any, monkeypatch: Any) -> None:
    with pytest.raises((Exception, SystemExit)):
        CHECKERS[language](text, azure, monkeypatch)


def test_the_blocks_are_found():
    assert len(BLOCKS) > 35
    fences = sum(len(re.findall(r"^ *```", page.read_text("utf-8"), re.MULTILINE)) for page in PAGES)
    assert len(BLOCKS) * 2 == fences, "none is passed over"


# --- Python -------------------------------------------------------------------------------------------------


class SlackNotifier(BaseNotifier):
    """Stands for another provider's."""

    template_fields = ("text",)

    def __init__(self, *, text: str) -> None:
        super().__init__()
        self.text = text

    def notify(self, context: Any) -> None: ...


AGENT = {"publisher": "P", "type": "T", "typeHandlerVersion": "1.0"}


def task(name: str) -> Callable[..., BaseOperator]:
    return lambda *_: BaseOperator(task_id=name)


def run_python(text: str, azure: Any, monkeypatch: Any) -> None:
    """As a whole module; the names of the package are there, and stand-ins for what is the reader's own."""
    from airflow_batchext.testing import airflow_connection

    for pool, name in (("p1", "secretext"), ("agents", "agent")):
        azure.pool_id = pool
        azure.create(2, extensions=[{**AGENT, "name": name}])
    enter = Emulator.__enter__

    def with_a_pool(self: Emulator) -> Emulator:
        entered = enter(self)
        monkeypatch.setenv(
            "AIRFLOW_CONN_AZURE_BATCHEXT_DEFAULT", json.dumps(airflow_connection(entered.info))
        )
        azure.__class__(entered, monkeypatch, "p1").create(2, ready=False)
        return entered

    monkeypatch.setattr(Emulator, "__enter__", with_a_pool)
    names = {name.rpartition(".")[2]: thing(name) for name in NAMES if not inspect.ismodule(thing(name))}
    names |= {"DAG": DAG, "pytest": pytest, "json": json, "os": os, "SlackNotifier": SlackNotifier}
    names |= {"use_pool": task("use"), "run_my_tasks": task("work"), "azure_batch": azure.emulator}
    if text.rstrip().splitlines()[-1].startswith("@"):
        text += "def test_it(azure_batch): ...\n"  # what is marked is the reader's
    if "from agents import dag" in text:
        names["dag"] = SimpleNamespace(test=None)  # both blocks are run together in tests/test_testing
        text = text.replace("from agents import dag\n", "")
    with DAG("page"):
        if "import DAG" not in text and "with DAG" not in text:
            names |= {"create": task("create")(), "delete": task("delete")()}
        exec(compile(text, "page.py", "exec"), names)
    for value in [v for v in names.values() if inspect.isfunction(v) and v.__name__.startswith("test_")]:
        for mark in getattr(value, "pytestmark", ()):
            given = mark.kwargs.get("scenario")
            if isinstance(given, dict):
                faults = given.pop("faults", ())
                Scenario.model_validate(given)
                assert all(read_fault(fault) for fault in faults)


# --- commands -----------------------------------------------------------------------------------------------


def commands(text: str) -> Iterator[list[str]]:
    for line in re.sub(r"\\\n", " ", text).splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words:
            yield words


def run_commands(text: str, azure: Any, monkeypatch: Any) -> None:
    if re.search(r"^batchext .*\[--", text):  # a synopsis: every option is one
        text = re.sub(r"[\[\]]|\n(?= )", " ", text)
    # An argument that goes over several lines is one command with the line before.
    for words in commands(re.sub(r"'(\{[^']*\})'", lambda m: "'" + m[1].replace("\n", " ") + "'", text)):
        parse = COMMANDS.get(Path(words[0]).name)
        assert parse, f"nobody knows the command {words[0]}"
        parse(words[1:], monkeypatch)


def batchext(words: list[str], monkeypatch: Any) -> None:
    """Its arguments are understood; what each command does with them is tested with the command."""
    ran: list[Any] = []

    def take(arguments: Any) -> int:
        ran.append(arguments)
        return 0

    names = [name for _, name, _ in pkgutil.walk_packages(cli.__path__, "airflow_batchext.cli.")]
    for module in map(importlib.import_module, (*names, "airflow_batchext.emulator.command")):
        if hasattr(module, "add_arguments") and hasattr(module, "run"):
            monkeypatch.setattr(module, "run", take)
    for sign in {"|", ">"} & set(words):
        words = words[: words.index(sign)]
    assert main.main(words) == 0
    assert len(ran) == 1


def make(words: list[str], _: Any) -> None:
    assert {word for word in words if "=" not in word} <= TARGETS


def airflow(words: list[str], _: Any) -> None:
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(words)
    if getattr(arguments, "conn_extra", None):
        assert json.loads(arguments.conn_extra)
    if getattr(arguments, "dag_id", None):
        assert arguments.dag_id in DAG_IDS
        assert json.loads(arguments.conf)


def az(words: list[str], _: Any) -> None:
    for word in words:
        if word.startswith("@"):
            assert json.loads((ROOT / "docs/roles" / word[1:]).read_text())["Name"]


def curl(words: list[str], _: Any) -> None:
    body = json.loads(words[words.index("-d") + 1])
    assert body.keys() == {"logical_date", "conf"}
    assert (
        next(re.findall(r"/api/v2/dags/(\w+)/dagRuns$", word) for word in words if "/api/" in word)[0]
        in DAG_IDS
    )


def python(words: list[str], monkeypatch: Any) -> None:
    assert words[:2] == ["-m", "pytest"]
    run_pytest(words[2:], monkeypatch)


def run_pytest(words: list[str], _: Any) -> None:
    for word in words:
        if word.startswith("tests/"):
            assert (ROOT / word.partition("::")[0]).exists()


def pip(words: list[str], _: Any) -> None:
    assert words in (["install", "."], ["install", "airflow-batchext"], ["install", "batchext-emulator"])
    assert 'name = "airflow-batchext"' in (ROOT / "pyproject.toml").read_text()


def emulator(words: list[str], _: Any) -> None:
    import argparse

    from airflow_batchext.emulator import command

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert parser.parse_args(words)


def nothing(words: list[str], _: Any) -> None: ...


COMMANDS: dict[str, Callable[[list[str], Any], None]] = {
    "batchext": batchext,
    "batchext-emulator": emulator,
    "make": make,
    "airflow": airflow,
    "az": az,
    "curl": curl,
    "python": python,
    "pytest": run_pytest,
    "pip": pip,
    "export": nothing,
}


# --- what is shown ------------------------------------------------------------------------------------------


def check_yaml(text: str, azure: Any, monkeypatch: Any) -> None:
    found = yaml.safe_load(text)
    match sorted(map(str, found)):
        case ["faults"]:
            assert all(read_fault(fault) for fault in found["faults"])
        case ["protectedSettings"]:
            assert list(malformed_references(found)) == []
        case ["name", "properties"]:
            assert (
                "vmSize" in text or "vmsize" in text
            )  # what is said of it is in cli/validate/test_documentation
        case ["repos"]:
            hooks = {hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
            assert {hook["id"] for repo in found["repos"] for hook in repo["hooks"]} <= hooks
        case ["True", "jobs"]:
            for job in found["jobs"].values():
                for step in job["steps"]:
                    run_commands(step.get("run", ""), azure, monkeypatch)
        case keys:
            assert {"extensions", "pools", "timings", "answers", "account"} >= set(keys), keys
            assert Scenario.model_validate(found)


def check_json(text: str, azure: Any, monkeypatch: Any) -> None:
    found = json.loads(text)
    if "conn_type" in found:
        module = importlib.import_module("airflow_batchext.hooks.node")
        azure.connect("shown", found)
        assert module.AzureBatchNodeHook("shown").connection
        return
    azure.create(1)
    gate = AzureBatchExtensionSensor(task_id="gate", pool_id=azure.pool_id, poke_interval=0, timeout=0)
    report = json.loads(json.dumps(gate.execute({})))
    assert report.keys() == found.keys()
    (node,), (shown,) = report["nodes"].values(), found["nodes"].values()
    assert (node.keys(), node["extensions"]) == (shown.keys(), shown["extensions"])
    assert report["outcome"] == found["outcome"]


def check_plain(text: str, azure: Any, monkeypatch: Any) -> None:
    lines = text.splitlines()
    if Path(lines[0].split()[0]).name in COMMANDS:
        # Beside a command stands, behind spaces, what it is for.
        told = [re.split(r" {2,}", line)[0] for line in lines]
        run_commands("\n".join(told), azure, monkeypatch)
    elif lines[0] == "airflow_batchext/":
        package = ROOT / "airflow_batchext"
        rooms = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
        assert {found for line in lines if (found := "".join(re.findall(r"^  (\w+)/", line)))} <= rooms
        assert rooms <= set(re.findall(r"\b(\w+)/", text))
    else:
        existing, asked = document(1), document(2)
        machine = asked["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
        machine["extensions"].append(
            {"name": "gpu", "publisher": "P", "type": "T", "typeHandlerVersion": "1.0"}
        )
        told = [str(difference) for difference in find_differences(existing, asked)]
        assert sorted(lines) == sorted(told)


def shown_elsewhere(text: str, azure: Any, monkeypatch: Any) -> None:
    """Compared with what is printed in tests/cli/validate/test_documentation."""
    from tests.cli.validate import test_documentation

    assert text in (test_documentation.block("console"), test_documentation.block("text"))


CHECKERS: dict[str, Callable[[str, Any, Any], None]] = {
    "python": run_python,
    "sh": run_commands,
    "yaml": check_yaml,
    "json": check_json,
    "": check_plain,
    "console": shown_elsewhere,
    "text": shown_elsewhere,
}
