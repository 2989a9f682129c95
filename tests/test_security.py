"""SECURITY.md says of each promise which place keeps it, and which test shows that: both are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "SECURITY.md").read_text("utf-8")
LINES = PAGE[PAGE.index("## Line by line") : PAGE.index("## How it is held")].splitlines()
ROWS = [
    tuple(cell.strip() for cell in line.strip("| ").split(" | "))
    for line in LINES
    if line.startswith("| ") and not line.startswith(("| promise", "| **"))
]
NAMED = re.compile(r"`([\w./{},-]+\.(?:py|html|toml|md|txt))(?:::(\w+))?`")


def is_there(place: str) -> bool:
    return any((above / place).is_file() for above in (ROOT, ROOT / "airflow_batchext"))


def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_")}


def test_the_table_is_read():
    assert len(ROWS) > 25
    assert not is_there("airflow_batchext/nowhere.py")
    assert "test_the_table_is_read" in names_in("tests/test_security.py")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_each_promise_has_a_place_and_a_test_that_are_there(row):
    promise, kept_by, shown_by = row
    places, tests = NAMED.findall(kept_by), NAMED.findall(shown_by)
    assert promise
    assert places
    assert tests
    for place, _ in places:
        assert (ROOT / "airflow_batchext" / place).is_file(), place
    for file, name in tests:
        assert name, "a test is named, not only its file"
        assert name in names_in(file), f"{file}::{name}"


def test_every_place_that_the_page_names_is_there():
    places = {place for place, _ in NAMED.findall(PAGE) if "{" not in place}
    assert len(places) > 30
    assert [place for place in sorted(places) if not is_there(place)] == []
