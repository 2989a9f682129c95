"""What is built for the index: what is in it, what it says of itself; nothing names a page of a checkout."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import hatch_build
from airflow_batchext import documentation
from airflow_batchext.hooks import _refusals
from tools import distributions

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = (ROOT / "README.md").read_text()
README_OF_EMULATOR = (ROOT / "deploy" / "emulator" / "README.md").read_text()
SITE, SOURCE = "https://docs.example/batchext", "https://code.example/batchext"


def build(folder: Path, to: Path) -> tuple[list[str], Message]:
    """The names of the files in the wheel of a tree, and what it says of itself."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(to)]
    subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=120)
    with zipfile.ZipFile(next(to.glob("*.whl"))) as wheel:
        names = wheel.namelist()
        told = next(name for name in names if name.endswith("/METADATA"))
        return names, Parser().parsestr(wheel.read(told).decode())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Message]:
    return build(ROOT, tmp_path_factory.mktemp("dist"))


def test_it_holds_the_package_the_examples_and_the_pages_and_nothing_else(built):
    names = {name for name in built[0] if ".dist-info/" not in name}

    def tree(folder: str, inside: str, *kinds: str) -> set[str]:
        files = (path for kind in kinds for path in (ROOT / folder).rglob(kind) if path.is_file())
        return {
            f"{inside}/{path.relative_to(ROOT / folder).as_posix()}"
            for path in files
            if "__pycache__" not in path.parts
        }

    assert names == (
        tree("airflow_batchext", "airflow_batchext", "*")
        | tree("dags", "airflow_batchext/example_dags", "*")
        | tree("docs", "airflow_batchext/docs", "*.md", "*.json")
        | {f"airflow_batchext/docs/{page}" for page in hatch_build.ROOT_PAGES}
    )
    assert {f"airflow_batchext/docs/{page.name}.md" for page in documentation.pages()} <= names
    assert "airflow_batchext/py.typed" in names


def test_the_classifiers_claim_what_the_page_says_was_run(built):
    page = (ROOT / "docs" / "compatibility.md").read_text()
    head, *rows = [
        line.strip("|").split("|") for line in page.splitlines() if line.startswith(("| |", "| Airflow"))
    ]
    ran = {
        cell.split()[1]
        for row in rows
        for cell, how in zip(head[1:], row[1:], strict=True)
        if how.strip() != "not run"
    }
    classifiers = built[1].get_all("Classifier")
    assert ran == {text.split(" :: ")[-1] for text in classifiers if re.search(r":: 3\.\d+$", text)}
    for file, row in (("constraints.txt", rows[0]), ("constraints-oldest.txt", rows[1])):
        pins = (ROOT / file).read_text()
        assert f"apache-airflow=={row[0].split()[1]}\n" in pins
        for name, version in re.findall(r"(azure-[a-z-]+) (\d+\.\d+\.\d+)", page):
            assert f"{name}=={version}\n" in pins


def test_each_page_has_a_title_and_a_text():
    for page in documentation.pages():
        assert re.match(r"# \w.*\n\n(?s:.{400})", documentation.text(page.name)), page.name


def test_no_address_is_made_up(built):
    settings = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]
    told = dict(url.split(", ") for url in built[1].get_all("Project-URL", []))
    assert told == hatch_build.urls(settings["documentation"], settings["source"])
    assert set(settings) == {"documentation", "source"}
    assert hatch_build.urls("", "") == {}


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)]*)\)", text)


def test_the_readme_on_the_index_leads_nowhere_into_the_tree(built):
    assert [link for link in links(README) if not link.startswith("http")], "there are some to be changed"
    text = built[1].get_payload()
    assert built[1]["Description-Content-Type"] == "text/markdown"
    for shown in (
        text,
        hatch_build.readme(README, SITE, SOURCE, "v1"),
        hatch_build.readme(README, "", "", ""),
    ):
        assert [link for link in links(shown) if not link.startswith(("https://", "#"))] == []
        assert "## A DAG" in shown
    assert "![" not in hatch_build.readme(README, "", SOURCE, "v1"), "a picture is nowhere but on the site"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[g](docs/gate.md)", f"[g]({SITE}/gate.html)"),
        ("[g](docs/gate.md#rules)", f"[g]({SITE}/gate.html#rules)"),
        ("[all](docs/README.md)", f"[all]({SITE}/index.html)"),
        ("[s](SECURITY.md)", f"[s]({SITE}/SECURITY.html)"),
        ("[l](LICENSE)", f"[l]({SOURCE}/blob/v1/LICENSE)"),
        ("[d](dags/pools)", f"[d]({SOURCE}/blob/v1/dags/pools)"),
        ("[docs/gate.md](docs/gate.md)", f"[The gate]({SITE}/gate.html)"),
        ("![p](docs/demo.svg)", f"![p]({SITE}/_images/demo.svg)"),
        ("[x](https://x.example/a.md) [here](#part)", "[x](https://x.example/a.md) [here](#part)"),
    ],
)
def test_a_link_of_the_readme_goes_to_the_site_or_the_source(written: str, shown: str):
    assert hatch_build.readme(written, SITE, f"{SOURCE}/", "v1") == shown


def test_without_a_site_the_readme_says_how_a_page_is_shown():
    text = "[docs/gate.md](docs/gate.md), [x](docs/gate.md), [docs/README.md](docs/README.md)"
    assert hatch_build.readme(text, "", "", "v1") == "`batchext docs gate`, x, `batchext docs`"


def test_a_release_that_names_its_addresses_has_them_everywhere(tmp_path: Path):
    tree = tmp_path / "tree"
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", *hatch_build.ROOT_PAGES):
        tree.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tree)
    for name in ("dags", "docs"):
        shutil.copytree(ROOT / name, tree / name)
    (tree / "airflow_batchext").mkdir()
    shutil.copy(ROOT / "airflow_batchext" / "__init__.py", tree / "airflow_batchext")
    settings = (tree / "pyproject.toml").read_text()
    settings = re.sub(r'^documentation = ""', f'documentation = "{SITE}"', settings, flags=re.MULTILINE)
    settings = re.sub(r'^source = "" ', f'source = "{SOURCE}" ', settings, flags=re.MULTILINE)
    (tree / "pyproject.toml").write_text(settings)
    _, told = build(tree, tmp_path / "dist")
    assert dict(url.split(", ") for url in told.get_all("Project-URL")) == {
        "Documentation": SITE,  # Airflow shows it on its page of providers
        "Changelog": f"{SITE}/CHANGELOG.html",
        "Source": SOURCE,
        "Issues": f"{SOURCE}/issues",
    }
    assert "![make demo" in told.get_payload()


def test_messages_name_a_page_that_their_reader_can_get_to(monkeypatch: pytest.MonkeyPatch):
    text = "does not have authorization to perform action 'A' over scope 'S'"
    documentation.address.cache_clear()
    for told, named in (
        ([], "batchext docs permissions"),
        ([f"Documentation, {SITE}/"], f"{SITE}/permissions.html"),
    ):
        message = Message()
        for url in told:
            message["Project-URL"] = url
        monkeypatch.setattr(documentation, "metadata", lambda _, message=message: message)
        documentation.address.cache_clear()
        assert f"({named})" in _refusals.advice(403, "AuthorizationFailed", text)
    documentation.address.cache_clear()


def test_no_message_names_a_file_of_the_checkout():
    """In the text of programs, that is; comments and docstrings are for those who have one."""
    import ast

    found = []
    for path in (ROOT / "airflow_batchext").rglob("*.py"):
        tree = ast.parse(path.read_text())
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        found += [
            f"{path.name}: {node.value}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
            and re.search(r"\bdocs/\w+\.md|(?<!/)\bdags/|README|SECURITY\.md", node.value)
        ]
    assert found == ["documentation.py: README.md"]


# --- the emulator by itself ---------------------------------------------------------------------------------


def test_the_emulator_alone_is_the_same_by_another_name_and_imports_what_it_asks_for(tmp_path: Path):
    distributions.lay_out(tmp_path / "it")
    package = tmp_path / "it" / "batchext_emulator"
    here = ROOT / "airflow_batchext" / "emulator"
    files = {path.relative_to(here) for path in here.rglob("*.py")}
    assert {path.relative_to(package) for path in package.rglob("*.py")} == files
    texts = "".join(path.read_text() for path in package.rglob("*.py"))
    assert "airflow_batchext" not in texts
    top = {
        name.partition(".")[0] for name in re.findall(r"^\s*(?:from|import) (\w[\w.]*)", texts, re.MULTILINE)
    }
    others = top - set(sys.stdlib_module_names) - {"batchext_emulator"}
    modules = {"jwt": "pyjwt", "yaml": "pyyaml"}
    assert sorted(modules.get(name, name) for name in others) == sorted(distributions.DEPENDENCIES)
    project = tomllib.loads((tmp_path / "it" / "pyproject.toml").read_text())["project"]
    assert set(project["dependencies"]) < set(PROJECT["project"]["dependencies"])
    assert len(project["dependencies"]) == len(distributions.DEPENDENCIES)
    assert not [name for name in project["classifiers"] if "Airflow" in name]
    assert links(README_OF_EMULATOR) == [
        link for link in links(README_OF_EMULATOR) if link.startswith("https:")
    ]


def test_it_serves_where_there_is_no_airflow_and_no_package_of_ours(tmp_path: Path):
    distributions.lay_out(tmp_path / "it")
    code = (
        "import sys\n"
        "class No:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] in ('airflow', 'azure', 'airflow_batchext'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, No())\n"
        "from batchext_emulator import Emulator\n"
        "with Emulator() as emulator: print(emulator.info.http_endpoint)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "it", capture_output=True, text=True, timeout=120
    )
    assert ended.stdout.startswith("http://127.0.0.1:"), ended.stderr
