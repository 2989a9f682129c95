"""ISO 8601 durations in every form that the standard or the service's own reader takes.

Azure's services are written in .NET, whose reader (``XmlConvert.ToTimeSpan``) counts a year as 365 days and
the months beyond whole years as 30, and knows neither weeks nor fractions of anything but seconds. Whether
Batch itself reads those is not known, so they are sent in a form that every reader knows: ``plain_duration``.

Source: https://github.com/dotnet/runtime, ``System/Xml/Schema/XsdDuration.cs``
"""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

_NUMBER = r"[0-9]+(?:[.,][0-9]+)?"
_DURATION = re.compile(
    rf"P(?=.)(?:(?P<years>{_NUMBER})Y)?(?:(?P<months>{_NUMBER})M)?(?:(?P<weeks>{_NUMBER})W)?"
    rf"(?:(?P<days>{_NUMBER})D)?"
    rf"(?:T(?=.)(?:(?P<hours>{_NUMBER})H)?(?:(?P<minutes>{_NUMBER})M)?(?:(?P<seconds>{_NUMBER})S)?)?"
)
_SECONDS = {"weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
_LONGEST = 100
_DOT_NET = re.compile(
    r"P(?:[0-9]+Y)?(?:[0-9]+M)?(?:[0-9]+D)?(?:T(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9]+(?:\.[0-9]+)?S)?)?"
)


def parse_duration(value: object) -> timedelta | None:
    """How long a text such as ``PT15M`` means, exact to the microsecond; None for anything else.

    ``P1W``, ``P7D`` and ``PT168H`` are one duration. A fraction may have a dot or a comma, in the last number
    only. Nothing takes a negative one.
    """
    match = _DURATION.fullmatch(value.strip()[: _LONGEST + 1]) if isinstance(value, str) else None
    if match is None or len(match[0]) > _LONGEST:
        return None
    given = {unit: number.replace(",", ".") for unit, number in match.groupdict().items() if number}
    if any("." in number for number in list(given.values())[:-1]):
        return None
    numbers = {unit: Fraction(number) for unit, number in given.items()}
    years, months = divmod(numbers.get("months", Fraction(0)), 12)
    days = (numbers.get("years", 0) + years) * 365 + months * 30
    seconds = days * 86_400 + sum(numbers.get(unit, 0) * length for unit, length in _SECONDS.items())
    try:
        return timedelta(microseconds=round(seconds * 1_000_000))
    except OverflowError:
        return None


def plain_duration(value: object) -> str | None:
    """A duration in a form that .NET reads, where it is in none; None where nothing is to be changed."""
    duration = parse_duration(value)
    if duration is None or _DOT_NET.fullmatch(str(value)):
        return None
    seconds, fraction = divmod(duration, timedelta(seconds=1))
    days, seconds = divmod(seconds, 86_400)
    part = f".{fraction.microseconds:06d}".rstrip("0") if fraction else ""
    clock = f"T{seconds}{part}S" if seconds or part or not days else ""
    return f"P{days}D{clock}" if days else f"P{clock}"
