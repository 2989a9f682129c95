"""What has to be so before a release; ``make release-check TAG=v1.2.3`` calls it.

    python -m tools.release TAG

The tag is the version, the changelog has the version with its date, the addresses are there, and no page
says that there is no release.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from airflow_batchext import __version__

ROOT = Path(__file__).resolve().parent.parent


def problems(tag: str, version: str, changelog: str, pyproject: str) -> Iterator[str]:
    """What is not so, one line each.

    :param tag: of git, such as ``v1.2.3``.
    :param version: the package's.
    :param changelog: the text of CHANGELOG.md.
    :param pyproject: the text of pyproject.toml.
    """
    if tag != f"v{version}":
        yield f"the tag is {tag!r}, but the package's version is {version}: the tag has to be v{version}"
    if not re.search(rf"^## {re.escape(version)}, \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        yield f"CHANGELOG.md has no heading '## {version}, YYYY-MM-DD'"
    for name, address in tomllib.loads(pyproject)["tool"]["hatch"]["metadata"]["hooks"]["custom"].items():
        if not re.fullmatch(r"https://[\w.-]+(/\S*)?", address):
            where = "[tool.hatch.metadata.hooks.custom] of pyproject.toml"
            yield f"{name} in {where} is {address!r}, but it has to be an address (docs/publishing.md)"


def outdated(page: str, text: str) -> Iterator[str]:
    """What a page says that a release makes untrue.

    :param page: its name.
    :param text: its text.
    """
    if re.search(r"not\s+on\s+PyPI\s+yet", text):
        yield f"{page} says that it is not on PyPI yet"


def main(tag: str) -> int:
    """Say what is not so; return 1 if anything is."""
    texts = ((ROOT / name).read_text("utf-8") for name in ("CHANGELOG.md", "pyproject.toml"))
    found = list(problems(tag, __version__, *texts))
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        found += outdated(page.relative_to(ROOT).as_posix(), page.read_text("utf-8"))
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
