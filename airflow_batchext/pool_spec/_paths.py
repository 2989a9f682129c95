"""Names places and values of a pool document in messages, without ever showing a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

MACHINE: Final = "properties.deploymentConfiguration.virtualMachineConfiguration"
"""The place of what virtual machines and their extensions are to be like."""

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, "a string"),
    (bool, "a boolean"),  # before the numbers: a bool is an int too
    ((int, float), "a number"),
    ((list, tuple), "a list"),
    (Mapping, "an object"),
    (type(None), "null"),
)


def at(path: str, step: object) -> str:
    """Return the path of a member or of an entry of a list."""
    if isinstance(step, int) and not isinstance(step, bool):
        return f"{path}[{step}]"
    if isinstance(step, str) and re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$-]{0,63}", step):
        return f"{path}.{step}" if path else step
    return f"{path}[{quote(step)}]"


def quote(value: object) -> str:
    """Return a name as it is shown in a message: on one line, and not endless."""
    if not isinstance(value, str):
        return kind_of(value)
    return repr(value if len(value) <= 64 else f"{value[:63]}…")


def kind_of(value: object) -> str:
    """Say what a value is, without showing it."""
    names = (name for kind, name in _KINDS if isinstance(value, kind))
    return next(names, f"a {type(value).__name__}")
