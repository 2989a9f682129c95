"""How the builder checks what it is given: members of its parts, and arguments of a document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from airflow_batchext.parameters import (
    Check,
    check_count,
    check_mapping,
    check_names,
    check_resize_timeout,
    check_seconds,
    check_text,
    optional,
    refused,
    settle,
)

_ISO_DURATION = re.compile(r"P(?=.)[0-9YMWD.]*(T[0-9HMS.]+)?")

names = partial(check_names, least=0)
"""Names, perhaps none."""
mapping = optional(check_mapping)
"""A dict with texts as keys, or nothing."""


class Checked:
    """Something whose members are checked when it is constructed; they may be templates."""

    checks: ClassVar[Mapping[str, Check]]

    def __post_init__(self) -> None:
        several = {
            name: check for name, check in self.checks.items() if check in (names, check_names, mapping)
        }
        # What is written into the document member by member cannot be one template.
        settle(self, several)
        settle(self, self.checks, templated=self.checks, keeps=False)


def whole_seconds(name: str, value: object) -> int:
    """A duration of a second or more, in whole seconds."""
    seconds = check_seconds(name, value)
    if seconds < 1:
        raise refused(name, value, ", but it has to be a second or more.")
    return round(seconds)


def any_text(name: str, value: object) -> str:
    """A text, perhaps an empty one."""
    return value if value == "" and isinstance(value, str) else check_text(name, value)


def duration(name: str, value: object) -> str | None:
    """A duration as the REST API writes it, or nothing."""
    if value is None or (isinstance(value, str) and _ISO_DURATION.fullmatch(value)):
        return value
    if isinstance(value, str):
        raise refused(name, value, ", but it has to be seconds, a timedelta, or as ISO 8601 has it: PT15M.")
    check = check_resize_timeout if name == "resize_timeout" else whole_seconds
    return f"PT{round(check(name, value))}S"


def count(name: str, value: object, least: int = 0) -> object:
    """A whole number; one that was given as a text stays one, as a template would."""
    number = check_count(name, value, least)
    return value if isinstance(value, str) else number


def task(name: str, value: object) -> object:
    """A command line, or a whole start task, or nothing."""
    return value if value is None or isinstance(value, Mapping) else check_text(name, value)
