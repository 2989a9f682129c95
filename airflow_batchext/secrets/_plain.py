"""A text as somebody reads it: without what nobody sees, and wide letters as narrow ones.

Pure, and light: DAG files need it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

# Controls but tab and line ends, terminal sequences, and Unicode's default ignorable characters; each of them
# also as JSON and Python write it.
_UNSEEN: Final = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)"
    "|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
    r"|\\{1,8}(?i:(?:x|u00)(?:0[0-8bcef]|1[\da-f]|7f|8[0-46-9a-f]|9[\da-f]|ad)|U000e0[\da-f]{3}"
    r"|u(?:034f|061c|115f|1160|17b[45]|180[b-f]|200[b-f]|202[a-e]|206[\da-f]|3164|fe0[\da-f]|feff|ffa0|fff[\da-b]))"
)


class _Narrow(dict[int, str]):
    """Of each character the one that it looks like, if Unicode knows one (NFKC); else itself."""

    def __missing__(self, code: int) -> str:
        narrow = unicodedata.normalize("NFKC", chr(code))
        self[code] = narrow if len(narrow) == 1 else chr(code)
        return self[code]


_NARROW: Final = _Narrow()


def plain(text: str) -> str:
    """The text as it is read."""
    return seen(text)[0]


def seen(text: str) -> tuple[str, Sequence[int]]:
    """The text as it is read, and where each of its characters stands in the text as it is."""
    if text.isascii():
        if text.isprintable() and "\\" not in text:
            return text, range(len(text))
    else:
        text = text.translate(_NARROW)
    parts: list[str] = []
    places: list[int] = []
    done = 0
    for unseen in _UNSEEN.finditer(text):
        parts.append(text[done : unseen.start()])
        places += range(done, unseen.start())
        done = unseen.end()
    if not done:
        return text, range(len(text))
    return "".join([*parts, text[done:]]), [*places, *range(done, len(text))]
