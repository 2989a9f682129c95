"""Tables of figures and of defaults on users' pages: each has somebody who makes or checks it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from airflow_batchext.operators.node import AzureBatchRepairNodesOperator
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from benchmarks import __main__ as bench
from benchmarks import gate
from tests.distributed import figures as distributed

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md")) + sorted(DOCS.parent.glob("*.md"))
_TABLE = re.compile(r"(?:^\|.*\|\n)+", re.MULTILINE)
_FIGURE = re.compile(r"[\d,.]+( of [\d,]+)?( ?(s|ms|MB|%))?")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables_of_figures() -> Iterator[tuple[Path, str, str]]:
    """The tables in which three cells of a line, or more, are figures: page, table, what stands before."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for table in _TABLE.finditer(text):
            lines = table[0].splitlines()[2:]
            if any(sum(bool(_FIGURE.fullmatch(cell)) for cell in cells(line)) >= 3 for line in lines):
                yield page, table[0], text[: table.start()]


TABLES = list(tables_of_figures())


@pytest.mark.parametrize(
    ("page", "table", "before"), TABLES, ids=[f"{p.name}:{b.count(chr(10))}" for p, _, b in TABLES]
)
def test_whoever_makes_a_table_of_figures_makes_it_so(page: Path, table: str, before: str):
    """It stands between marks, and its head is one that the program writes which replaces it.

    One of round figures says just before where the exact ones are.
    """
    marks = re.findall(r"<!-- (/?[\w ]+)(?::[^>]*)? -->", before)
    if not marks or marks[-1].startswith(("/", "end of")):
        assert "](bench.md#" in before[-300:], "nobody makes these figures"
        return
    mark = marks[-1]
    module = distributed if mark == "figures" else inspect.getmodule(bench.PARTS[mark])
    assert module
    source = inspect.getsource(module)
    for name in filter(None, cells(table.splitlines()[0])):
        words = re.findall(r"[^\W\d]{3,}", name)
        assert all(word in source for word in words), f"{name} is no column that {module.__name__} writes"


def test_the_tables_are_found():
    assert {page.name for page, *_ in TABLES} >= {"bench.md", "distributed.md"}


def test_what_a_gate_costs_in_reads_is_what_the_page_says():
    """In simulated time it comes out alike everywhere, so the small pools are played again here."""
    text = (DOCS / "bench.md").read_text()
    for row in gate.rows((10, 100)):
        figures = row.history, row.nodes, row.reads, row.naive, row.floor
        told = [
            f"{row.reads / row.floor:.2f}",
            f"{row.naive / row.reads:.1f}",
            f"{row.delay:.0f}",
            f"{row.notice:.0f}",
        ]
        line = " | ".join([f"{each:,}" if isinstance(each, int) else each for each in figures] + told)
        assert f"| {line} |" in text


UNITS = {"minute": 60, "minutes": 60, "hour": 3600, "hours": 3600, "seconds": 1}


def meant(told: str) -> Any:
    """A default as it is written on a page."""
    if found := re.fullmatch(r"(\d+) (\w+)", told):
        return float(found[1]) * UNITS[found[2]]
    if told == "none" or told.startswith("the pool's own"):
        return None
    value = ast.literal_eval(told.strip("`"))
    return tuple(value) if isinstance(value, list) else value


def rows(page: str, heading: str) -> dict[str, str]:
    """The first two columns of the table below a heading."""
    part = (DOCS / page).read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = [cells(line) for table in _TABLE.findall(part) for line in table.splitlines()[2:]]
    return {row[0]: row[1] for row in found}


def test_the_policys_defaults_are_those_of_the_page():
    told = {name.strip("`"): meant(default) for name, default in rows("repair.md", "The policy").items()}
    assert told == {item.name: item.default for item in fields(RepairPolicy)}


def test_the_timeouts_are_those_of_the_page():
    told = list(rows("repair.md", "How long it takes").values())
    made: list[Any] = [
        RepairPolicy(),
        AzureBatchRepairNodesOperator(task_id="t", pool_id="p"),
        AzureBatchExtensionSensor(task_id="t", pool_id="p"),
    ]
    assert [meant(each) for each in told] == [made[0].step_timeout, made[1].timeout, made[2].timeout]
