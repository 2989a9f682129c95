"""Secrets that programs take by short options: ``mysql -pX``, ``sshpass -p X``, ``curl -u user:X``.

What an option means is each program's own: ``-p`` is a port, too, or nothing of the kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple


class _Takes(NamedTuple):
    """How a program takes a secret: by which options, whether a blank may be between, after what."""

    options: str
    apart: bool = True
    after: str = ""


# Words with which a program's name begins. "login" is a subcommand: docker's, az's, helm's and others'.
_PROGRAMS: Final = {
    **dict.fromkeys(("mysql", "maria", "7z", "rar", "unrar"), _Takes("p", apart=False)),
    **dict.fromkeys(("sshpass", "login", "mongo", "psexec"), _Takes("p")),
    **dict.fromkeys(("zip", "unzip", "sqlcmd", "bcp", "osql"), _Takes("P")),
    "redis-cli": _Takes("a"),
    "ldap": _Takes("w"),
    "curl": _Takes("uU", after=":"),
    "smbclient": _Takes("U", after="%"),
    "lftp": _Takes("u", after=","),
}
_PARTS: Final = re.compile(
    rf"""
      (?P<end>[\n;|&])
    | (?<![\w.=-])(?P<program>{"|".join(_PROGRAMS)})\w{{0,20}}(?:\.exe)?(?=[\s"'\\])
    | (?<![^\s"',(\[`])-(?P<flags>[A-Za-z]{{0,5}}?)(?P<option>[pPawuU])
      (?P<apart>\\{{0,8}}["'],\s{{0,4}}|[\s=]{{1,4}})?(?P<value>\\{{0,8}}"[^"\n]*|\\{{0,8}}'[^'\n]*|[^\s"'\\-][^\s"'\\]*)
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


def command_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where in a text such secrets stand, in order."""
    takes: _Takes | None = None
    for part in _PARTS.finditer(text):
        if part["end"]:
            takes = None
        elif program := part["program"]:
            takes = _PROGRAMS[program.lower()]
        elif takes and part["option"] in takes.options and not (part["flags"] and takes.after != ":"):
            value = part["value"].lstrip("\\")
            start = part.end() - len(value) + value.startswith(("'", '"'))
            if part["apart"] and not takes.apart:
                continue
            if takes.after:
                start = text.find(takes.after, start, part.end()) + 1 or part.end()
            if start < part.end():
                yield start, part.end()
            takes = takes if takes.after else None
