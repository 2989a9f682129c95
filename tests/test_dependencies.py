"""What is imported is declared, what is declared is used, each exception of a security rule has a reason."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import metadata, packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "airflow_batchext").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DECLARED = {
    re.split(r"[\s<>=!~\[;]", line, maxsplit=1)[0].lower() for line in PROJECT["project"]["dependencies"]
}
# Of pytest's plugin, which only pytest itself loads; of Azure's common core, which every SDK brings; and of
# Airflow's database, without which there is nothing to ask.
NOT_OURS = {"pytest", "azure-core", "sqlalchemy"}
# Apache Airflow is the host, and brings the task SDK and the core.
SAME = {"apache-airflow-core": "apache-airflow", "apache-airflow-task-sdk": "apache-airflow"}
FREE = re.compile(r"apache|mit|bsd|psf|python software|mpl|isc", re.IGNORECASE)


def imported() -> set[str]:
    """The distributions that the package imports, wherever in a module."""
    modules: set[str] = set()
    for path in PACKAGE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module)
    return {_distribution(module) for module in modules} - {""}


def _distribution(module: str) -> str:
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == "airflow_batchext":
        return ""
    for prefix, name in (
        ("airflow.providers.common.compat", "apache-airflow-providers-common-compat"),
        ("airflow", "apache-airflow"),
        ("azure.mgmt.batch", "azure-mgmt-batch"),
        ("azure.batch", "azure-batch"),
        ("azure.identity", "azure-identity"),
        ("azure", "azure-core"),
        ("opentelemetry", "opentelemetry-api"),
    ):
        if module == prefix or module.startswith(f"{prefix}."):
            return name
    return SAME.get(name := _installed()[top][0].lower(), name)


@cache  # it reads what every distribution says of itself
def _installed() -> Mapping[str, list[str]]:
    return packages_distributions()


def test_what_is_imported_is_declared_and_the_other_way_round():
    assert imported() - NOT_OURS == DECLARED


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_each_dependency_has_a_free_licence(name):
    told = metadata(name)
    licences = [told.get("License-Expression"), told.get("License"), *told.get_all("Classifier", [])]
    assert any(FREE.search(text) for text in licences if text), name


def test_every_exception_of_a_security_rule_has_its_reason():
    without = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in PACKAGE
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"# noqa: [A-Z0-9, ]*\bS\d{3}", line) and not re.search(r"\bS\d{3}\b[^#]* - \w", line)
    ]
    assert without == []


def test_the_security_rules_are_on():
    lint = PROJECT["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert not any("S" in rules for path, rules in lint["per-file-ignores"].items() if path.startswith("air"))
