"""The words that all rules of a scenario share: strict models, durations in seconds, patterns of names."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, le=10 * 365 * 86400)]


class Model(BaseModel):
    """Data that a user writes: a member that is not known is a mistake, and is said to be one."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


def like(name: str, pattern: str) -> bool:
    """Whether a name matches a pattern (``*`` and ``?``), in any case."""
    return pattern == "*" or fnmatchcase(name.casefold(), pattern.casefold())


def in_one_line(problem: ValidationError) -> str:
    """Write what is wrong with a user's data so that it fits a line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in error['loc']) or 'the file'}: {error['msg']}"
        for error in problem.errors()
    )
