"""What users import: by its documented name it is there, says that name of itself, and is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_batchext.provider_info import get_provider_info

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
DAGS = sorted((ROOT / "dags").glob("*.py"))
_DOORS = (
    "assets|concealment|diagnosis|ephemeral|health|links|node_checks|pool_builder|secret_references|testing"
)
#: Names as users' pages have them: whole, or without the package's name.
_DOTTED = re.compile(
    r"(?<![\w./])(?:airflow_batchext(?:\.[A-Za-z]\w*)+"
    r"|(?:operators|sensors|triggers|hooks|notifications)(?:\.[A-Za-z]\w*){2,}"
    rf"|(?<=`)(?:{_DOORS})\.[A-Za-z]\w*)"
)
_IMPORT = re.compile(
    r"^ *(?:from airflow_batchext\S* import (?:\([^)]*\)|.*)|import airflow_batchext.*)", re.MULTILINE
)
_FILE = re.compile(r"\.(py|md|json|yaml|html)$")
#: The page for those who change the code names insides.
_INSIDE = {"architecture.md"}


def imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_in_pages() -> set[str]:
    """What the code on the pages imports; a block that is no Python by itself still imports what it says."""
    found: set[str] = set()
    for page in PAGES:
        for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
            for line in _IMPORT.findall(block):
                found |= set(imports(line.strip()))
    return found


def named_in_pages() -> set[str]:
    found: set[str] = set()
    for page in PAGES:
        if page.name not in _INSIDE:
            names = (match[0] for match in _DOTTED.finditer(page.read_text()))
            found |= {
                name if name.startswith("airflow_batchext.") else f"airflow_batchext.{name}"
                for name in names
                if not _FILE.search(name)
            }
    return found


def told_to_airflow() -> set[str]:
    """Every class and function that Airflow, and through it users, find by ``provider_info``."""
    found: set[str] = set()

    def collect(told: Any) -> None:
        if isinstance(told, dict):
            for value in told.values():
                collect(value)
        elif isinstance(told, list):
            for value in told:
                collect(value)
        elif isinstance(told, str) and re.fullmatch(r"airflow_batchext(\.\w+)+", told):
            found.add(told)

    collect(get_provider_info())
    for name in [*found]:
        module = thing(name)
        if inspect.ismodule(module):
            found |= {
                f"{name}.{member}"
                for member, value in vars(module).items()
                if member.startswith("AzureBatch") and inspect.isclass(value) and value.__module__ == name
            }
    return found


def thing(name: str) -> Any:
    """What has that dotted name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        home, _, member = name.rpartition(".")
        return getattr(importlib.import_module(home), member)


def exported(names: set[str]) -> set[str]:
    """What the packages among them say that they have for everybody."""
    return {
        f"{name}.{member}"
        for name in names
        if inspect.ismodule(thing(name))
        for member in getattr(thing(name), "__all__", ())
    }


IN_DAGS = {name for dag in DAGS for name in imports(dag.read_text())}
SAID = {
    name
    for name in imported_in_pages() | named_in_pages() | told_to_airflow() | IN_DAGS
    if name.startswith("airflow_batchext.")
}
NAMES = sorted(SAID | exported(SAID))


def test_the_names_are_found():
    """Of each kind one, so that none is passed over because it is looked for wrongly."""
    assert "airflow_batchext.testing.airflow_connection" in imported_in_pages()
    assert "airflow_batchext.operators.pool.AzureBatchUpdatePoolOperator" in named_in_pages()
    assert "airflow_batchext.triggers.extension.AzureBatchExtensionTrigger" in told_to_airflow()
    assert "airflow_batchext.sensors.extension.AzureBatchExtensionSensor" in IN_DAGS
    assert "airflow_batchext.repair.RepairPolicy" in exported(SAID)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_there_says_its_name_and_is_documented(name):
    found = thing(name)
    assert inspect.getdoc(found), f"{name} has no docstring"
    if inspect.isclass(found) or inspect.isfunction(found):
        assert f"{found.__module__}.{found.__qualname__}" == name


@pytest.mark.parametrize("name", [n for n in NAMES if inspect.isclass(thing(n)) and n in told_to_airflow()])
def test_what_it_does_is_documented_too(name):
    """Its public methods, and those of our own classes above it."""
    methods = [
        value
        for kind in thing(name).__mro__
        if kind.__module__.startswith("airflow_batchext.")
        for member, value in vars(kind).items()
        if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
    ]
    assert [method for method in methods if not inspect.getdoc(method)] == []
