"""``batchext docs``: every page is in the list, is shown; no terminal gets a link that it cannot follow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console

from airflow_batchext import documentation
from airflow_batchext.cli import docs
from airflow_batchext.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = documentation.pages()


def test_every_page_is_in_the_list(capsys):
    assert main(["docs"]) == 0
    out = capsys.readouterr().out
    files = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"README"}
    assert files | {"SECURITY", "CONTRIBUTING", "CHANGELOG"} == {page.name for page in PAGES}
    assert len(PAGES) == len({page.name for page in PAGES})
    for page in PAGES:
        assert re.search(rf"\b{page.name}\b", out)
        assert page.section
        assert page.about.split()[0] in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("name", [page.name for page in PAGES])
def test_a_page_is_printed_as_it_is_and_readable_on_a_terminal(name: str, capsys):
    assert main(["docs", name]) == 0
    text = capsys.readouterr().out
    assert text == documentation.text(name)
    shown = docs._for_a_terminal(text)
    assert re.findall(r"!\[|\]\((?!https?:)[^)]*\)", shown) == []


@pytest.mark.parametrize("asked", ["gate", "gate.md", "docs/gate.md", "GATE"])
def test_a_page_has_many_names(asked: str, capsys):
    assert main(["docs", asked]) == 0
    assert capsys.readouterr().out.startswith("# The gate")


def test_on_a_terminal_it_is_laid_out(capsys, monkeypatch: pytest.MonkeyPatch):
    console = Console
    monkeypatch.setattr("rich.console.Console", lambda **_: console(force_terminal=True, width=140))
    monkeypatch.setattr("pydoc.pager", print)
    assert main(["docs", "permissions"]) == 0
    out = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert "──────" in out, "a table is one"
    assert "|---" not in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("name", documentation.files())
def test_a_file_is_printed_as_it_is(name: str, capsys):
    assert main(["docs", name]) == 0
    assert capsys.readouterr().out == (ROOT / "docs" / name).read_text()


@pytest.mark.parametrize("name", ["permision", "nope", "../pyproject.toml", "/etc/passwd", ""])
def test_what_is_not_there_is_one_line(name: str, capsys):
    assert main(["docs", name]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert ("Do you mean permissions?" in error) == (name == "permision")
    assert "batchext docs lists them." in error
