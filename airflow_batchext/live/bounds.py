"""How much of a snapshot is kept: of which member so many, of which text so many characters.

Pure: no I/O, no clock, no Airflow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from airflow_batchext.batch.data_plane import one_line

MOST_CELLS, MOST_FIELDS = 5_000, 20
MOST_NODES, MOST_SAID = 100, 5
MOST_REASONS, MOST_CHANGES, MOST_POINTS, MOST_STEPS, MOST_CAUSES, MOST_LINKS = 20, 50, 200, 50, 4, 5
MOST_JOBS: Final = 5
LONGEST_NAME, LONGEST_TEXT, LONGEST_URL = 200, 500, 2_000
#: So many characters, at most, are said of all nodes together, but for the first of them.
MOST_DETAIL: Final = 60_000

#: What is left out of one that is too long, first what is the least of a loss.
_LEFT_OUT: Final = (
    *("nodes", "history", "repair", "reasons", "causes"),
    *("links", "fields", "extensions", "points", "work"),
)

#: So many characters of JSON it has at most.
LARGEST: Final = 250_000
#: And so many in Airflow's database, where it is a text in JSON; what is longer is none of ours.
LONGEST: Final = 2 * LARGEST + 2
#: The same of what a watcher keeps in the state of its asset: Airflow warns beyond 64 KiB (``[state_store]
#: max_value_storage_bytes``).
LARGEST_STATE: Final = 60_000
LONGEST_STATE: Final = 2 * LARGEST_STATE + 2

T = TypeVar("T")


def name(text: str) -> str:
    """A name, as it is kept."""
    return _shown(text, LONGEST_NAME)


def moment(seconds: float | None) -> float | None:
    """A time, or a length of time, as it is kept: milliseconds are enough, and infinity is no JSON."""
    return None if seconds is None or not math.isfinite(seconds) else round(seconds, 3)


def is_link(url: str) -> bool:
    """Whether it may become a link on a page: over HTTP, without a secret, of a sensible length."""
    if len(url) > LONGEST_URL or not url.isprintable() or any(c in url for c in " \"'<>\\`"):
        return False
    try:
        parts = urlsplit(url)
        is_plain = parts.username is None and parts.password is None
    except ValueError:
        return False
    return (
        parts.scheme in ("https", "http") and bool(parts.hostname) and is_plain and _shown(url, 9**9) == url
    )


def thinned(points: Sequence[T], most: int) -> Sequence[T]:
    """At most so many of the points: the last one, and of the others each second, fourth, … one."""
    step = 1
    while math.ceil(len(points) / step) > most:
        step *= 2
    return [*points[: len(points) - 1 : step], points[-1]][-most:] if step > 1 else points


def fitting(body: dict[str, Any], most: int) -> dict[str, Any]:
    """A snapshot as JSON without what makes it too long: texts whose every character takes many bytes.

    :param most: so many characters of JSON it has at most, those beyond ASCII as escapes.
    """
    left_out: list[str] = []
    for member in _LEFT_OUT:
        if len(json.dumps(body)) <= most:
            return body
        left_out.append(f"{member}: all of it")
        body |= {member: None if member in ("repair", "work") else []}
        body |= {"capped": [*body["capped"], left_out[-1]][-MOST_FIELDS:]}
        if member == "fields":
            body["ages"] = []
    return body if len(json.dumps(body)) <= most else body | {"capped": left_out}


def note_cut(capped: list[str], what: str, kept: int, count: int) -> None:
    """Note that of so many only so many are kept, if that is so."""
    if count > kept:
        capped.append(f"{what}: {kept:,} of {count:,}")


def lines(texts: Iterable[str], most: int) -> list[str]:
    """The first ones of some texts, each as it is kept."""
    return [line(text) for _, text in zip(range(most), texts, strict=False)]


def line(text: str) -> str:
    """A text, as it is kept."""
    return _shown(text, LONGEST_TEXT)


@lru_cache(maxsize=4096)
def _shown(text: str, limit: int) -> str:
    """Text from elsewhere as it is kept; the same ones come again and again."""
    return one_line(text, limit)
