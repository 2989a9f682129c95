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
from hatch_build import ROOT_PAGES, title

ROOT = Path(__file__).resolve().parent.parent

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)")
_SECTION = "\n```{{toctree}}\n:caption: {caption}\n:hidden:\n:titlesonly:\n\n{pages}\n```\n"
_API = """# Classes and functions

What users import, with every parameter, those too that a class hands on to one above it. What Airflow's own
base classes take, and the methods that Airflow alone calls, are in Airflow's documentation. The fixture
`azure_batch` for pytest is described in [Test your DAGs](../testing.md).

```{{toctree}}
:maxdepth: 2

{pages}
```
"""
#: Modules of which everything is for users, and what is for them beside the names that our pages have.
_WHOLE = tuple(f"airflow_batchext.{name}" for name in ("diagnosis", "exceptions", "pool_builder"))
_MORE = {
    *(f"airflow_batchext.secret_references.from_{name}" for name in ("connection", "environment")),
    *(f"airflow_batchext.concealment.{name}" for name in ("Concealed", "conceal")),
    *(f"airflow_batchext.ephemeral.{name}" for name in ("EphemeralPool", "run_pool_id")),
    "airflow_batchext.hooks.health.aread_health",
}
#: Classes whose methods Airflow calls, and nobody else: their parameters are what a user has to know.
_CALLED_BY_AIRFLOW = ("BaseOperator", "BaseTrigger", "BaseNotifier", "BaseOperatorLink")
#: What comes from these has its own documentation.
_OF_OTHERS = "BaseHook,BaseModel"


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
    (to / "commands.md").write_text(commands(), "utf-8")
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
        if page.name == "README.md" and words == target == "docs/README.md":
            return "in the menu"
        if path in ("README.md", "docs/README.md"):
            return f"[{'the first page' if words == target else words}](index.md{part})"
        if path.endswith(".md"):
            return f"[{title(path) if words in (target, name, f'docs/{name}') else words}]({name}{part})"
        if path == "dags" or path.startswith("dags/"):
            dag = f"#{name.removesuffix('.py')}" if name.endswith(".py") else ""
            return f"[{words}](examples.md{dag})"
        address = source_address()
        if address:
            return f"[{words}]({address}/{path}{part})"
        return f"`{words}`" if path.endswith(words) else words

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


def commands() -> str:
    """What each command says of itself."""
    every = _help()
    parts = [f"# Commands\n\nWhat `batchext --help` says, and each command with it.\n\n```text\n{every}```\n"]
    names = re.findall(r"^    ([a-z]+) ", every, re.MULTILINE)
    parts += [f"\n## batchext {name}\n\n```text\n{_help(name)}```\n" for name in names]
    return "".join(parts)


def _help(*command: str) -> str:
    from airflow_batchext.cli.main import main

    said = io.StringIO()
    with redirect_stdout(said), suppress(SystemExit):
        main([*command, "--help"])
    return said.getvalue()


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
    """What a module names as for everybody, or the classes that it defines."""
    return getattr(module, "__all__", None) or [
        member
        for member, value in vars(module).items()
        if not member.startswith("_") and inspect.isclass(value) and value.__module__ == name
    ]


def _reference() -> dict[str, str]:
    from tests.test_public_names import thing

    written = {}
    for room, names in rooms().items():
        homes = {name.rpartition(".")[0] for name in names}
        parts = [f"# {room}\n"]
        if len(homes) == 1:
            parts.append(f"\nTo be imported from `{names[0].rpartition('.')[0]}`.\n")
        for name in names:
            value = thing(name)
            is_function = inspect.isfunction(inspect.unwrap(value)) if callable(value) else False
            kind = "autofunction" if is_function else "autodata"
            options = ""
            if inspect.isclass(value):
                kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
                options = f":members:\n:inherited-members: {_OF_OTHERS}\n"
                if fields := getattr(value, "model_fields", ()):  # they are its parameters
                    options += f":exclude-members: {','.join(fields)}\n"
                options = "" if is_called_by_airflow(value) else options
                options = ":show-inheritance:\n" if kind == "autoexception" else options
            home, _, member = name.rpartition(".")
            parts.append(f"\n## {member}\n\n")
            if len(homes) > 1:
                parts.append(f"```python\nfrom {home} import {member}\n```\n\n")
            parts.append("```{eval-rst}\n")
            parts.append(f".. {kind}:: {name}\n{_indented(options)}```\n")
        written[room] = "".join(parts)
    return written


def is_called_by_airflow(kind: type) -> bool:
    """Whether users only construct it."""
    return any(
        base.__name__ in _CALLED_BY_AIRFLOW and base.__module__.startswith("airflow.")
        for base in kind.__mro__
    )


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
