"""The site, built as ``make docs`` does: strictly, complete, and no page wider than a telephone."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

import hatch_build
from tests.test_public_names import thing
from tools import pages

pytestmark = [pytest.mark.docs, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        told = dict(attributes)
        self.ids.add(told.get("id") or "")
        if tag in ("a", "img", "link", "script"):
            self.links += [told.get("href") or told.get("src") or ""]


def test_every_link_and_picture_is_there(html: Path):
    found = {page: _Page(page.read_text("utf-8")) for page in html.rglob("*.html")}
    dead = []
    for page, read in found.items():
        for link in read.links:
            if not link or link.startswith(("http:", "https:", "data:", "mailto:")):
                continue
            path, _, part = link.partition("#")
            there = (page.parent / path.partition("?")[0]).resolve() if path else page
            if not there.exists() or (part and there in found and part not in found[there].ids):
                dead.append(f"{page.name}: {link}")
    assert len(found) > 40
    assert dead == []


def test_nothing_is_loaded_from_elsewhere(html: Path):
    """A page asks no other host for anything, so that it can be read anywhere."""
    loads = re.compile(r"""<(?:script|img|link)\b[^>]*?(?:src|href)=["'](https?:)?//[^"']*["']""")
    assert [page.name for page in html.rglob("*.html") if loads.search(page.read_text("utf-8"))] == []


def test_every_name_is_there_and_can_be_searched_for(html: Path):
    index = json.loads(
        re.search(r"Search\.setIndex\((.*)\)", (html / "searchindex.js").read_text("utf-8"), re.DOTALL)[1]
    )
    known = {
        f"{prefix}.{entry[4]}" if prefix else entry[4]
        for prefix, entries in index["objects"].items()
        for entry in entries
    }
    for names in pages.rooms().values():
        for name in names:
            assert name in known or not callable(thing(name)), name
    assert "throttl" in index["terms"]


def test_what_an_operator_hands_on_stands_in_its_signature(html: Path):
    text = (html / "api" / "operators.html").read_text("utf-8").replace("<wbr>", "")
    start = text.index('id="airflow_batchext.operators.pool.AzureBatchDeletePoolOperator"')
    signature = text[start : text.index("</dt>", start)]
    for name in (
        "wait_for_deletion",
        "azure_batchext_conn_id",
        "timeout",
        "poll_interval",
        "deferrable",
        "kwargs",
    ):
        assert f'<span class="pre">{name}</span>' in signature, name


def test_the_readme_of_the_index_leads_to_what_was_built(html: Path):
    text = hatch_build.readme((ROOT / "README.md").read_text(), "https://site.example", "", "v1")
    found = re.findall(r"\(https://site\.example/([^)#]+)", text)
    assert len(found) > 15
    assert [path for path in found if not (html / path).exists()] == []


@pytest.mark.filterwarnings("ignore")  # of Sphinx to those who extend it
@pytest.mark.parametrize(
    "mistake",
    ["[x](nope.md)", "[x](gate.md#nope)", "![x](nope.png)", "```{nope}\n```"],
    ids=lambda text: text[:16],
)
def test_a_mistake_ends_the_build(mistake: str, tmp_path: Path):
    """One page is enough, with the settings of the site."""
    (tmp_path / "pages").mkdir()
    shutil.copy(ROOT / "docs" / "metrics.md", tmp_path / "pages" / "gate.md")
    (tmp_path / "pages" / "index.md").write_text(f"# T\n\n```{{toctree}}\ngate\n```\n\n{mistake}\n")
    assert pages.strictly(tmp_path / "pages", tmp_path / "html") != 0
    (tmp_path / "pages" / "index.md").write_text("# T\n\n```{toctree}\ngate\n```\n\n[x](gate.md)\n")
    assert pages.strictly(tmp_path / "pages", tmp_path / "html") == 0


def test_every_command_is_there_with_lines_that_can_be_read(html: Path):
    text = (html / "commands.html").read_text("utf-8")
    for command in ("demo", "validate", "orphans", "selftest"):
        assert f'id="batchext-{command}"' in text
    assert [line for line in pages.commands().splitlines() if len(line) > 115] == []
