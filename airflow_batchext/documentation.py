"""Where the documentation is: for our messages, for ``batchext docs``, and for Airflow's page of providers.

Its pages come with the package. A site has them, too, once a release names its address: under
``[tool.hatch.metadata.hooks.custom]`` of pyproject.toml, from where it comes into the package's metadata.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

_DISTRIBUTION = "airflow-batchext"
_ROW = re.compile(r"^\| (\[.*\))(?:.*?) \| (.+) \|$")
_LINK = re.compile(r"\[[^\]]*\]\(([\w./-]+)\.md\)")


@dataclass(frozen=True)
class Page:
    """A page, as the list of pages has it.

    :param name: what ``batchext docs`` takes, such as ``gate``.
    :param section: the heading under which it stands.
    :param about: what it and its neighbours in the row are about.
    """

    name: str
    section: str
    about: str


def folder() -> Path:
    """The folder of the pages: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "docs"
    return installed if installed.is_dir() else package.parent / "docs"


def pages() -> list[Page]:
    """Every page in the order of the list, which is ``README.md`` of the folder."""
    found: list[Page] = []
    section = ""
    for line in (folder() / "README.md").read_text("utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif row := _ROW.match(line):
            found += [Page(Path(path).name, section, row[2]) for path in _LINK.findall(row[1])]
    return found


def files() -> list[str]:
    """What the pages refer to: roles and schemas in JSON, by their names in the folder."""
    return sorted(file.relative_to(folder()).as_posix() for file in folder().rglob("*.json"))


def text(name: str) -> str:
    """The text of a page, in Markdown.

    :raises FileNotFoundError: if there is none of that name.
    """
    places = (folder() / f"{name}.md", folder().parent / f"{name}.md")  # a checkout has some in its root
    page = next((place for place in places if place.is_file()), places[0])
    return page.read_text("utf-8")


@cache
def address() -> str:
    """The address of the site; empty where the release names none."""
    try:
        told = metadata(_DISTRIBUTION).get_all("Project-URL") or []
    except PackageNotFoundError:  # the package was copied, not installed
        return ""
    named = dict(entry.split(", ", 1) for entry in told)
    return str(named.get("Documentation", "")).rstrip("/")


def see(name: str) -> str:
    """How one gets to a page, for a message: its address, or the command that shows it."""
    return f"{address()}/{name}.html" if address() else f"batchext docs {name}"
