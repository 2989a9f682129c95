"""What a build adds to pyproject.toml: this project's addresses, the README as the index shows it, the pages.

The addresses stand in one place, ``[tool.hatch.metadata.hooks.custom]`` of pyproject.toml; one that is empty
is not there yet, and nothing is made up in its stead.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

#: Pages of the root that the site and the wheel have, too.
ROOT_PAGES = ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)")


class Addresses(MetadataHookInterface):
    """Fills ``urls`` and ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Take the addresses from the settings, and the README from its file."""
        documentation, source = (self.config.get(name, "") for name in ("documentation", "source"))
        metadata["urls"] = urls(documentation, source)
        text = Path(self.root, "README.md").read_text("utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": readme(text, documentation, source, f"v{metadata['version']}"),
        }


class Pages(BuildHookInterface):
    """Puts the pages of ``docs/`` into the wheel, but for the pictures, which a terminal cannot show."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files; a checkout that is installed as it stands has them already."""
        if self.target_name == "wheel" and version == "standard":
            root = Path(self.root)
            files = [*(root / "docs").glob("*.md"), *(root / "docs").rglob("*.json")]
            for file in (*files, *(root / name for name in ROOT_PAGES)):
                inside = file.relative_to(root).as_posix().removeprefix("docs/")
                build_data["force_include"][str(file)] = f"airflow_batchext/docs/{inside}"


def urls(documentation: str, source: str) -> dict[str, str]:
    """The addresses for ``[project.urls]``, under the names that the index knows."""
    found = {}
    if documentation:
        found["Documentation"] = documentation
        found["Changelog"] = f"{documentation.rstrip('/')}/CHANGELOG.html"
    if source:
        found["Source"] = source
        found["Issues"] = f"{source.rstrip('/')}/issues"
    return found


def readme(text: str, documentation: str, source: str, tag: str) -> str:
    """The README with no link into the tree: to the site and the source, or without one where there is none.

    :param tag: of the release, for links to the source.
    """

    def whole(link: re.Match[str]) -> str:
        picture, words, path, part = link[1], link[2], link[3], link[4] or ""
        page = re.fullmatch(r"(?:docs/)?([\w-]+)\.md", path)
        if picture:
            address = f"{documentation.rstrip('/')}/_images/{Path(path).name}" if documentation else ""
        elif page and documentation:
            name = "index" if path == "docs/README.md" else page[1]
            address = f"{documentation.rstrip('/')}/{name}.html{part}"
        else:
            address = f"{source.rstrip('/')}/blob/{tag}/{path}{part}" if source else ""
        if page and words == path:  # a file's name says nothing on the index
            name = "" if page[1] == "README" else f" {page[1]}"
            words = title(path) if address else f"`batchext docs{name}`"
        if address:
            return f"{picture}[{words}]({address})"
        return "" if picture else words

    return re.sub(r"\n{3,}", "\n\n", _LINK.sub(whole, text))


def title(path: str) -> str:
    """What a page calls itself."""
    return (Path(__file__).parent / path).read_text("utf-8").partition("\n")[0].removeprefix("# ")
