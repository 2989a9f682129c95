"""``batchext docs``: the pages that come with the package, on a terminal."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
import textwrap
from itertools import groupby
from typing import Final

from airflow_batchext import documentation

#: A page that is shown on a terminal is no wider.
_WIDEST: Final = 100
_LINK: Final = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:)([^)]*)\)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Show a page of the documentation, or list the pages. Where the output is no terminal, a page is "
        "printed as it was written, in Markdown."
    )
    parser.add_argument(
        "page",
        metavar="PAGE",
        nargs="?",
        help="a page of the list, such as gate, or a file, such as roles/gate.json",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.page is None:
        _list()
        return 0
    if arguments.page in documentation.files():
        sys.stdout.write((documentation.folder() / arguments.page).read_text("utf-8"))
        return 0
    names = {page.name.lower(): page.name for page in documentation.pages()}
    asked = arguments.page.removeprefix("docs/").removesuffix(".md").lower()
    if asked not in names:
        near = difflib.get_close_matches(asked, names, n=3)
        hint = f"Do you mean {' or '.join(names[name] for name in near)}? " if near else ""
        sys.stderr.write(
            f"batchext docs: there is no page {arguments.page!r}. {hint}batchext docs lists them.\n"
        )
        return 2
    _show(documentation.text(names[asked]))
    return 0


def _list() -> None:
    for section, pages in groupby(documentation.pages(), key=lambda page: page.section):
        print(f"{section}\n")
        for about, row in groupby(pages, key=lambda page: page.about):
            names = ", ".join(page.name for page in row)
            lines = textwrap.wrap(about, _WIDEST - 32)
            print(f"  {names:<28}  {lines[0]}" if len(names) <= 28 else f"  {names}\n{'':32}{lines[0]}")
            print("".join(f"{'':32}{line}\n" for line in lines[1:]), end="")
        print()
    print(textwrap.fill(f"Files that pages name: {', '.join(documentation.files())}", _WIDEST))
    address = documentation.address()
    print("Show one: batchext docs PAGE" + (f", or read them at {address}" if address else ""))


def _show(text: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(highlight=False)
    if not console.is_terminal:
        sys.stdout.write(text)
        return
    console.width = min(console.width, _WIDEST)
    # Colours get through less only if it is asked for; what fits on the screen is not paged.
    os.environ.setdefault("LESS", "-RFX")
    with console.pager(styles=True):
        console.print(Markdown(_for_a_terminal(text), hyperlinks=False))


def _for_a_terminal(text: str) -> str:
    """Without links that only a browser could follow: the page that they lead to is named."""

    def words(link: re.Match[str]) -> str:
        picture, shown, target = link.groups()
        page = re.fullmatch(r"(?:\.\./|docs/)*([\w-]+)\.md(?:#.*)?", target)
        if picture:
            return f"*(picture: {shown})*"
        if page is None or page[1] in shown:
            return shown
        return f"{shown} (`batchext docs {page[1]}`)"

    return _LINK.sub(words, text)
