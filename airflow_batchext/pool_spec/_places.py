"""Where something stood before its form was turned into ARM's: from the new path to the old one."""

from __future__ import annotations

from collections.abc import Mapping


def old_place(path: str, places: Mapping[str, str]) -> str:
    """Where something stood before it, or what is around it, was moved or renamed.

    :param path: where it stands now.
    :param places: the new paths of what was moved, with the old ones.
    """
    for end in range(len(path), 0, -1):
        if (end == len(path) or path[end] in ".[") and path[:end] in places:
            return f"{places[path[:end]]}{path[end:]}".lstrip(".")
    return path
