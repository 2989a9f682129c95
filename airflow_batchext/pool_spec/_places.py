"""Where something stood before its form was turned into ARM's: from the new path to the old one."""

from __future__ import annotations

from collections.abc import Container, Mapping


def known_part(path: str, known: Container[str]) -> str:
    """The longest part of a path, from its start, that is known; "" if none is."""
    for end in range(len(path), 0, -1):
        if (end == len(path) or path[end] in ".[") and path[:end] in known:
            return path[:end]
    return ""


def old_place(path: str, places: Mapping[str, str]) -> str:
    """Where something stood before it, or what is around it, was moved or renamed.

    :param path: where it stands now.
    :param places: the new paths of what was moved, with the old ones.
    """
    known = known_part(path, places)
    return f"{places[known]}{path[len(known) :]}".lstrip(".") if known else path
