"""ISO 8601 durations, as far as Azure takes them: weeks, days, hours, minutes and seconds."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(
    r"P(?=.)(?:(?P<weeks>\d{1,6})W)?(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?(?:(?P<seconds>\d{1,9}(?:\.\d+)?)S)?)?",
    re.ASCII,
)


def parse_duration(value: object) -> timedelta | None:
    """Return how long a text such as ``PT15M`` means, None for anything else."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    return timedelta(**{unit: float(number) for unit, number in match.groupdict("0").items()})
