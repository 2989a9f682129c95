"""Lay out the pages of the site from ``docs/``, and build it strictly; ``make docs`` calls it.

    python -m tools.pages [FOLDER]

Links between pages stay links, those to examples go to the page of examples, those to other files of the
source to the repository where its address is known (see pyproject.toml), and are plain text where it is not.
"""

from __future__ import annotations

import inspect
import io
import re
import shutil
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from airflow_batchext import __version__, documentation
from hatch_build import ROOT_PAGES

ROOT = Path(__file__).resolve().parent.parent

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)")
_SECTION = "\n```{{toctree}}\n:caption: {caption}\n:hidden:\n:titlesonly:\n\n{pages}\n```\n"
_API = """# Classes and functions

What users import, with every parameter, those too that a class hands on to one above it. What Airflow's own
base classes take, Airflow's documentation tells.

```{{toctree}}
:maxdepth: 2

{pages}
```
"""
#: Modules of which everything is for users, and functions for them that no page of ours names.
_WHOLE = ("airflow_batchext.exceptions", "airflow_batchext.pool_builder")
_MORE = {f"airflow_batchext.secret_references.from_{name}" for name in ("connection", "environment")}
_COMMANDS = (
    "demo",
    "up",
    "docs",
    "emulator",
    "validate",
    "convert",
    "export",
    "status",
    "diagnose",
    "selftest",
)
#: What Airflow's own classes have is in Airflow's documentation.
_AIRFLOWS = ",".join(
    (
        *("BaseOperator", "BaseSensorOperator", "BaseTrigger", "BaseEventTrigger", "BaseHook"),
        *("BaseNotifier", "BaseOperatorLink", "BaseModel"),
    )
)


def source_address() -> str:
    """Where files of the source are, for a release; empty where no address is known."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    source = project["tool"]["hatch"]["metadata"]["hooks"]["custom"]["source"]
    return f"{source.rstrip('/')}/blob/v{__version__}" if source else ""


def lay_out(to: Path) -> None:
    """Write every page of the site, and what it shows, into an empty folder."""
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / name for name in ROOT_PAGES)]
    for page in pages:
        if page.name != "README.md":
            (to / page.name).write_text(rewritten(page), "utf-8")
    for file in (ROOT / "docs").rglob("*"):
        if file.suffix in (".png", ".svg", ".json"):
            target = to / file.relative_to(ROOT / "docs")
            target.parent.mkdir(exist_ok=True)
            shutil.copy(file, target)
    (to / "index.md").write_text(rewritten(ROOT / "README.md") + "".join(_contents()), "utf-8")
    (to / "examples.md").write_text(_examples(), "utf-8")
    (to / "commands.md").write_text(_commands(), "utf-8")
    (to / "api").mkdir()
    reference = _reference()
    for room, text in reference.items():
        (to / "api" / f"{room}.md").write_text(text, "utf-8")
    (to / "api" / "index.md").write_text(_API.format(pages="\n".join(reference)), "utf-8")


def rewritten(page: Path) -> str:
    """The text of a page with links that lead somewhere on the site."""

    def link(found: re.Match[str]) -> str:
        picture, words, target, part = found[1], found[2], found[3], found[4] or ""
        path = _below(page, target)
        name = path.rpartition("/")[2]
        if picture or (path.startswith("docs/") and path.endswith(".json")):
            return f"{picture}[{words}]({path.removeprefix('docs/')})"
        if path in ("README.md", "docs/README.md"):
            return f"[{words}](index.md{part})"
        if path.endswith(".md"):
            return f"[{words}]({name}{part})"
        if path == "dags" or path.startswith("dags/"):
            dag = f"#{name.removesuffix('.py')}" if name.endswith(".py") else ""
            return f"[{words}](examples.md{dag})"
        address = source_address()
        return f"[{words}]({address}/{path}{part})" if address else words

    return _LINK.sub(link, page.read_text("utf-8"))


def _below(page: Path, target: str) -> str:
    return (page.parent / target).resolve().relative_to(ROOT).as_posix()


def _contents() -> Iterator[str]:
    more = {"Start here": ["examples"], "Reference": ["commands", "api/index"]}
    for section, pages in groupby(documentation.pages(), key=lambda page: page.section):
        names = [page.name for page in pages]
        if section == "Reference":
            names = [*names[:2], *more[section], *names[2:]]
        else:
            names += more.get(section, [])
        yield _SECTION.format(caption=section, pages="\n".join(names))


def _examples() -> str:
    parts = [
        "# Examples\n\nThe DAGs that come with the package, as they are; `batchext up` loads them all.\n"
    ]
    for file in sorted((ROOT / "dags").glob("*.py")):
        text = file.read_text("utf-8")
        parts.append(f"\n## {file.stem}\n\n```python\n{text}```\n")
    parts.append("\n## Documents of pools\n\nThey are beside the DAGs, in the folder `pools`.\n")
    parts += [
        f"\n### {file.name}\n\n```json\n{file.read_text('utf-8')}```\n"
        for file in sorted((ROOT / "dags" / "pools").glob("*.json"))
    ]
    return "".join(parts)


def _commands() -> str:
    """What each command says of itself."""
    from airflow_batchext.cli.main import main

    parts = ["# Commands\n\nWhat `batchext COMMAND --help` says.\n"]
    for name in _COMMANDS:
        said = io.StringIO()
        with redirect_stdout(said), suppress(SystemExit):
            main([name, "--help"])
        parts.append(f"\n## batchext {name}\n\n```text\n{said.getvalue()}```\n")
    return "".join(parts)


def rooms() -> dict[str, list[str]]:
    """Every public name, by the first part of the name of its module."""
    from tests.test_public_names import NAMES, thing

    found: dict[str, list[str]] = defaultdict(list)
    names = _MORE | {name for name in NAMES if not inspect.ismodule(thing(name))}
    for module in _WHOLE:
        names |= {f"{module}.{member}" for member in _members(thing(module), module)}
    for name in sorted(names):
        found[name.split(".")[1]].append(name)
    order = ("operators", "sensors", "triggers", "hooks", "notifications")
    return {room: found[room] for room in (*order, *sorted(found.keys() - set(order)))}


def _members(module: Any, name: str) -> list[str]:
    """The classes and functions that a module defines, all of which are for users."""
    return [
        member
        for member, value in vars(module).items()
        if not member.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == name
    ]


def _reference() -> dict[str, str]:
    from tests.test_public_names import thing

    written = {}
    for room, names in rooms().items():
        parts = [f"# {room}\n\nOf `airflow_batchext.{room}`.\n"]
        for name in names:
            value = thing(name)
            kind = "autofunction" if inspect.isfunction(value) else "autodata"
            options = ""
            if inspect.isclass(value):
                kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
                options = f":members:\n:inherited-members: {_AIRFLOWS}\n"
                options = ":show-inheritance:\n" if kind == "autoexception" else options
            parts.append(f"\n## {name.rpartition('.')[2]}\n\n```{{eval-rst}}\n")
            parts.append(f".. {kind}:: {name}\n{_indented(options)}```\n")
        written[room] = "".join(parts)
    return written


def _indented(text: str) -> str:
    return "".join(f"   {line}\n" for line in text.splitlines())


def build(folder: Path) -> int:
    """Build the site anew; return how it ended."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = folder / "pages"
    pages.mkdir(parents=True)
    lay_out(pages)
    return strictly(pages, folder / "html")


def strictly(pages: Path, to: Path) -> int:
    """Build pages that are laid out; any warning is an error."""
    from sphinx.cmd.build import build_main

    settings = str(ROOT / "docs" / "site")
    status: int = build_main(["-W", "--keep-going", "-q", "-c", settings, "-b", "html", str(pages), str(to)])
    return status


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"
    status = build(place)
    if not status:
        print(f"built: {place / 'html' / 'index.html'}")
    sys.exit(status)
