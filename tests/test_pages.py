"""The site as it is laid out: every page is in it, no link leads nowhere, every parameter is told.

That it builds without a warning is in tests/site, as it takes longer and needs Sphinx.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import hatch_build
from airflow_batchext import documentation
from tests.test_public_names import NAMES, thing
from tools import pages

ROOT = Path(__file__).parents[1]


def config() -> ModuleType:
    """The settings of the site, which also say what a signature is."""
    found = importlib.util.spec_from_file_location("site_conf", ROOT / "docs" / "site" / "conf.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


CONF = config()


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    pages.lay_out(folder)
    return folder


def anchors(text: str) -> set[str]:
    """The ends of links that a page's headings give, as GitHub and the site make them."""
    heads = re.findall(
        r"^#{1,4} +(.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head).replace("`", "") for head in heads)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in plain}


def dead_links(folder: Path) -> list[str]:
    """What pages lead to that is not there."""
    texts = {page: page.read_text("utf-8") for page in folder.rglob("*.md")}
    found = []
    for page, text in texts.items():
        for target, part in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
            there = (page.parent / target).resolve() if target else page
            if not there.exists() or (part and there in texts and part not in anchors(texts[there])):
                found.append(f"{page.name}: {target}#{part}")
    return found


def test_no_link_leads_nowhere(laid_out: Path):
    assert dead_links(laid_out) == []


@pytest.mark.parametrize("link", ["nope.md", "gate.md#nope", "#nope", "roles/nope.json", "nope.png"])
def test_a_link_that_leads_nowhere_is_found(link: str, tmp_path: Path):
    (tmp_path / "gate.md").write_text("# Gate\n")
    (tmp_path / "a.md").write_text(f"# A\n\n[x]({link}) [good](gate.md#gate) [good](#a)\n")
    assert len(dead_links(tmp_path)) == 1


def test_every_page_is_in_one_place_of_the_contents(laid_out: Path):
    trees = "".join(re.findall(r"```\{toctree\}\n(.*?)```", (laid_out / "index.md").read_text(), re.DOTALL))
    listed = [line for line in trees.splitlines() if line and not line.startswith(":")]
    files = {page.relative_to(laid_out).with_suffix("").as_posix() for page in laid_out.rglob("*.md")}
    assert sorted(listed) == sorted(
        {file for file in files if not file.startswith("api/")} - {"index"} | {"api/index"}
    )
    assert {page.name for page in documentation.pages()} <= set(listed)
    assert re.findall(r":caption: (.+)", trees) == [
        "Start here", "How to", "Reference", "Explanation", "To change it"
    ]  # fmt: skip


def test_the_readme_of_the_index_leads_to_pages_of_the_site(laid_out: Path):
    text = hatch_build.readme((ROOT / "README.md").read_text(), "https://site.example", "", "v1")
    for path, part in re.findall(r"\(https://site\.example/([^)#]+)(?:#([^)]+))?\)", text):
        if path.startswith("_images/"):  # where the site puts what a page shows
            assert f"]({path.removeprefix('_images/')})" in (laid_out / "index.md").read_text()
            continue
        page = laid_out / path.replace(".html", ".md")
        assert page.exists(), path
        assert not part or part in anchors(page.read_text())


@pytest.mark.parametrize("source", ["", "https://code.example/it"])
def test_what_is_in_the_source_alone_is_linked_where_that_has_an_address(
    source: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pages, "source_address", lambda: source)
    text = pages.rewritten(ROOT / "docs" / "deployment.md")
    assert ("](../" in text) is False
    assert (f"]({source}/deploy/Dockerfile)" in text) == bool(source)
    assert "Dockerfile" in text


def test_every_public_name_is_in_the_reference():
    listed = {name for names in pages.rooms().values() for name in names}
    assert {name for name in NAMES if not inspect.ismodule(thing(name))} <= listed


CLASSES = [name for names in pages.rooms().values() for name in names if inspect.isclass(thing(name))]
FUNCTIONS = [name for names in pages.rooms().values() for name in names if inspect.isfunction(thing(name))]


def told(lines: list[str]) -> set[str]:
    return set(re.findall(r"^ *:param (?:\w+ )?(\w+):", "\n".join(lines), re.MULTILINE))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_of_a_function_is_told(name: str):
    lines = (inspect.getdoc(thing(name)) or "").splitlines()
    assert set(inspect.signature(thing(name)).parameters) - told(lines) == set()


@pytest.mark.parametrize("name", [name for name in CLASSES if not issubclass(thing(name), BaseException)])
def test_every_parameter_of_a_class_is_told_those_too_that_it_hands_on(name: str):
    kind = thing(name)
    lines = inspect.cleandoc(kind.__doc__ or "").splitlines()
    CONF._inherited_parameters(None, "class", name, kind, None, lines)
    wanted = set(CONF.parameters(kind)) or set(inspect.signature(kind).parameters)
    assert wanted - told(lines) == set()


METHODS = [
    (name, member)
    for name in CLASSES
    if not pages.is_called_by_airflow(thing(name)) and not issubclass(thing(name), BaseException)
    for member in dir(thing(name))
    if not member.startswith("_") and member != "checks"
    if getattr(getattr(thing(name), member), "__module__", "").startswith("airflow_batchext")
    if inspect.isroutine(getattr(thing(name), member))
]


@pytest.mark.parametrize(("name", "member"), METHODS)
def test_every_parameter_of_a_method_is_told(name: str, member: str):
    method = getattr(thing(name), member)
    wanted = set(inspect.signature(method).parameters) - {"self"}
    assert wanted - told((inspect.getdoc(method) or "").splitlines()) == set()


def test_what_passes_through_is_found():
    """As operators hand most of what all of them take to a base class."""
    create = thing("airflow_batchext.operators.pool.AzureBatchCreatePoolOperator")
    own = inspect.signature(create).parameters
    assert {"timeout", "rendered_references", "azure_batchext_conn_id"} <= CONF.parameters(
        create
    ).keys() - own.keys()


def test_what_builds_it_is_pinned():
    lines = (ROOT / "docs" / "site" / "requirements.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in lines if not line.startswith("#"))
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"] == [
        "version",
        "urls",
        "readme",
    ]
