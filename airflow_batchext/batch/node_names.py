"""Ids of nodes as people read them: as short as tells each from the others of its pool.

Azure's have 72 characters (``tvmps_``, 64 digits, ``_d`` or ``_p``). Reports and XComs keep them whole.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence

_LONGEST = 20
# "tvmps_" and eight digits.
_LEAST = 14
_END = 2
_LONG_WORD = re.compile(rf"[\w-]{{{_LONGEST + 1},}}")


def short_id(node_id: str, others: Iterable[str] = ()) -> str:
    """A node's id as far as one needs it to tell it from the others.

    :param others: the ids of the pool's nodes; that id may be among them.
    """
    return _short(node_id, sorted(others))


def shortened(text: str, ids: Iterable[str]) -> str:
    """A text in which long ids of nodes are short; the same one reads the same each time.

    :param ids: the ids of the pool's nodes.
    """
    long = {word for word in _LONG_WORD.findall(text) if len(word) > _LONGEST}
    if not long:
        return text
    known = sorted(ids)
    short = {word: _short(word, known) for word in long if _is_among(word, known)}
    return _LONG_WORD.sub(lambda found: short.get(found[0], found[0]), text) if short else text


def _is_among(word: str, known: Sequence[str]) -> bool:
    at = bisect_left(known, word)
    return at < len(known) and known[at] == word


def _short(node_id: str, known: Sequence[str]) -> str:
    if len(node_id) <= _LONGEST:
        return node_id
    at = bisect_left(known, node_id)
    beside = [other for other in known[max(0, at - 1) : at + 2] if other != node_id]
    needed = max([_LEAST, *(_common(node_id, other) + 1 for other in beside)])
    # What it would not make much shorter stays whole.
    return node_id if needed + _END >= len(node_id) - 1 else f"{node_id[:needed]}…{node_id[-_END:]}"


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
