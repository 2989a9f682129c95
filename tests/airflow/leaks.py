"""Looks for secrets, whatever they have been turned into on their way."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

_SHORTEST_LINE = 24


def forms(secret: str) -> set[str]:
    """A secret as it is and as it may be written elsewhere; of a text with lines, each line too."""
    found: set[str] = set()
    for part in {secret, *(line for line in secret.splitlines() if len(line) >= _SHORTEST_LINE)}:
        if part.startswith("-----"):
            continue
        found |= {part, quote(part, safe=""), quote_plus(part), html.escape(part), repr(part)[1:-1]}
        found |= {json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1], part.encode().hex()}
        found |= {json.dumps(json.dumps(part))[3:-3], *_as_base64(part)}
    return found


def _as_base64(text: str) -> Iterator[str]:
    """The base64 of a text, also when other bytes stand before it; without what they have changed."""
    data = text.encode()
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(b"\0" * before + data).decode().rstrip("=")
            start = -(-8 * before // 6)
            end = len(whole) if (before + len(data)) % 3 == 0 else -1
            yield whole[start:end]


def leaks(secrets: Mapping[str, str], places: Iterable[tuple[str, bytes]]) -> list[str]:
    """``name of the secret in place`` for each secret that is found in a place."""
    needles = {
        name: [form.encode() for form in forms(secret) if len(form) >= 8] for name, secret in secrets.items()
    }
    return [
        f"{name} in {where}"
        for where, content in places
        for name, written in needles.items()
        if any(needle in content for needle in written)
    ]


def files(home: Path, *, but: Path) -> Iterator[tuple[str, bytes]]:
    """The bytes of every file below a folder, with its name; but for one folder in it."""
    for path in home.rglob("*"):
        if path.is_file() and but not in path.parents:
            yield str(path.relative_to(home)), path.read_bytes()
