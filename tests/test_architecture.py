"""The pages for those who change the code name files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "airflow_batchext"
#: Where a path on the pages may begin, as told by what it is about.
FOLDERS = (
    *(
        ROOT,
        PACKAGE,
        PACKAGE / "emulator",
        PACKAGE / "operators",
        PACKAGE / "diagnosis",
        PACKAGE / "pool_spec",
    ),
    *(PACKAGE / "emulator" / "data", PACKAGE / "emulator" / "management", PACKAGE / "triggers"),
    ROOT / "docs",
)
PAGES = ("docs/architecture.md", "CONTRIBUTING.md")
#: What one is told to make.
MADE = {"operators/NAME.py", "operators/_steps/NAME.py"}


def paths(text: str) -> set[str]:
    """What is written as code and looks like a file or a folder, with ``*`` for any."""
    found = set(re.findall(r"`([\w.*/-]+(?:\.(?:py|md|yaml|json|txt)|/))`", text))
    return found | set(re.findall(r"\]\(([\w./-]+\.md)", text))


def is_there(path: str) -> bool:
    return path in MADE or any(list(folder.glob(path.removeprefix("../"))) for folder in FOLDERS)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page):
    named = paths((ROOT / page).read_text())
    assert len(named) > 5
    assert not sorted(path for path in named if not is_there(path))


def test_the_test_can_fail():
    assert paths("see `rules/verdict.py` and `veil/`") == {"rules/verdict.py", "veil/"}
    assert not is_there("rules/verdict.py")


def test_the_tree_on_the_page_is_that_of_the_package():
    tree = (ROOT / PAGES[0]).read_text().split("```\n", 2)[1]
    told = set(re.findall(r"^  (\w+)/", tree, re.MULTILINE)) | set(re.findall(r"; (\w+)/:", tree))
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert told == rooms
