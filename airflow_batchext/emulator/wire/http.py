"""What both planes share of HTTP: a call, an answer, a router, and how the service writes times and ETags.

Handlers take a Call and return an Answer, and know nothing of sockets or of the web framework; so they can be
read, and driven, on their own.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote

from airflow_batchext.emulator.wire.errors import refusal

Json = dict[str, Any]

_DEEPEST = 64
_TOO_DEEP = "it nests too deep"

_DOT_NET_EPOCH = datetime(1, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """The time of the wall clock, by which tokens and signatures age."""
    return datetime.now(UTC)


def read_json(body: bytes) -> Any:
    """The JSON in a body.

    :raises ValueError: if it is none, or nests deeper than any body of the service.
    """
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if body.count(b"[") + body.count(b"{") > _DEEPEST:
        level = [value]
        for _ in range(_DEEPEST):
            level = [item for above in level for item in _below(above)]
        if level:
            raise ValueError(_TOO_DEEP)
    return value


def _below(value: Any) -> Iterable[Any]:
    """What lies in an object or a list, as far as it may have something below it itself."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (item for item in items if isinstance(item, (dict, list)))


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


@dataclass(frozen=True)
class Call:
    """A request, decoded."""

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str] = field(repr=False)
    """With lower-case names."""
    body: bytes = field(repr=False)
    scheme: str
    host: str
    request_id: str
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The address that the client used, for the links in the answer."""
        return f"{self.scheme}://{self.host}"

    @property
    def path(self) -> str:
        """The decoded path."""
        return unquote(self.raw_path)

    @cached_property
    def query(self) -> dict[str, str]:
        """The decoded query; of a key that is given twice, the first."""
        pairs = parse_qsl(self.raw_query, keep_blank_values=True)
        return dict(reversed(pairs))

    def json(self) -> Json:
        """The body as a JSON object; refused if it is none."""
        try:
            value = read_json(self.body)
        except ValueError as problem:
            reason = str(problem) if self.body else "The request body is empty."
            raise refusal("InvalidRequestBody", Reason=reason) from None
        if not isinstance(value, dict):
            raise refusal("InvalidRequestBody", Reason="The request body must be a JSON object.")
        return value


@dataclass(frozen=True)
class Answer:
    """A response. ``body`` None sends no body; ``chunked`` leaves the length out, as the service does."""

    status: int
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    chunked: bool = False
    text: str | None = None
    """Sent as it is, instead of a body."""
    data: bytes | None = None
    """The same, of a file."""

    def json(self) -> Json | None:
        """The object that is sent, read from the text if need be; None if none is sent."""
        if self.text is None:
            return self.body
        try:
            read = json.loads(self.text)
        except ValueError:
            return None
        return read if isinstance(read, dict) else None


Handler = Callable[[Call], Answer]
#: Method, path (``/pools/{pool}``) and what answers such a call.
Route = tuple[str, str, Handler]


class Router:
    """Finds the handler of a method and path. Paths are compared without regard to case, as Azure does."""

    def __init__(self, *tables: Iterable[Route]) -> None:
        """Know these routes; the first that fits counts."""
        self._routes = [
            (method, _pattern(template), handler) for table in tables for method, template, handler in table
        ]

    def find(self, call: Call) -> Callable[[], Answer] | None:
        """What answers a call, told the decoded parameters of its path."""
        for method, pattern, handler in self._routes:
            if method == call.method and (match := pattern.match(call.raw_path)):
                params = {name: unquote(value) for name, value in match.groupdict().items()}
                return partial(handler, replace(call, params=params))
        return None


def _pattern(template: str) -> re.Pattern[str]:
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template.replace(".", r"\."))
    return re.compile(f"^{pattern}/?$", re.IGNORECASE)


def new_id() -> str:
    """A request id."""
    return str(uuid.uuid4())


# --- times, ETags, durations -------------------------------------------------------------------------------


def ticks(time: datetime) -> int:
    """The time as .NET counts it, in tenths of a microsecond.

    The seventh decimal, which Python's clock does not have, is made of the others and is never 0 (the service
    drops zeros at the end), so that one time is always written in one way.
    """
    whole = (time - _DOT_NET_EPOCH) // timedelta(microseconds=1)
    return whole * 10 + 1 + whole % 9


@lru_cache(maxsize=4096)
def wire_time(time: datetime) -> str:
    """Write a time as the service does: seven decimals, in UTC."""
    time = time.astimezone(UTC)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond:06d}{ticks(time) % 10}Z"


def http_time(time: datetime) -> str:
    """Write a time for an HTTP header. The names are English whatever the locale."""
    return format_datetime(time.astimezone(UTC), usegmt=True)


def read_http_time(text: str) -> datetime:
    """Read a time of an HTTP header, in UTC where it does not say its zone; ValueError if it is none."""
    time = parsedate_to_datetime(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def etag_of(modified: datetime) -> str:
    """The ETag of something that was modified then: the service uses the time itself."""
    return f"0x{ticks(modified):X}"


class Versioned:
    """Something with an ETag."""

    modified: datetime

    @property
    def etag(self) -> str:
        """The ETag without any quotes, as the data plane writes it."""
        return etag_of(self.modified)


_PARTS = re.compile(r"([0-9]+(?:[.,][0-9]+)?)([A-Z])")
_DAYS = {"Y": 365, "M": 30, "W": 7, "D": 1}
_CLOCK = {"H": 3600, "M": 60, "S": 1}
_LONGEST_DURATION = 100


def read_duration(text: str) -> timedelta | None:
    """Read an ISO 8601 duration, or return None if it is none.

    As .NET counts, a year has 365 days, twelve months are a year, and a month beyond has 30. Weeks, and
    fractions of the last number, are taken too; whether Azure takes those is not known.
    """
    text = text.strip()
    if len(text) > _LONGEST_DURATION or not text.startswith("P"):
        return None
    date, has_clock, clock = text[1:].partition("T")
    parts = [(part, units) for part, units in ((date, _DAYS), (clock, _CLOCK)) if part]
    if not parts or (has_clock and not clock):
        return None
    total, numbers = Fraction(0), []
    for part, units in parts:
        found = _PARTS.findall(part)
        letters = [letter for _, letter in found]
        if "".join(map("".join, found)) != part or letters != [unit for unit in units if unit in letters]:
            return None
        for number, letter in found:
            numbers.append(number)
            value = Fraction(number.replace(",", "."))
            if units is _DAYS:
                days = value * units[letter]
                total += 86400 * (days + 5 * (value // 12) if letter == "M" else days)
            else:
                total += value * units[letter]
    if any(not number.isdigit() for number in numbers[:-1]):
        return None
    try:
        return timedelta(microseconds=round(total * 1_000_000))
    except OverflowError:
        return None


def write_duration(duration: timedelta) -> str:
    """Write a duration in its shortest form, as the service does (PT06M00S becomes PT6M)."""
    hours, rest = divmod(duration.seconds, 3600)
    minutes, secs = divmod(rest, 60)
    days = f"{duration.days}D" if duration.days else ""
    fraction = f".{duration.microseconds:06d}".rstrip("0") if duration.microseconds else ""
    clock = f"{hours}H" if hours else ""
    clock += f"{minutes}M" if minutes else ""
    clock += f"{secs}{fraction}S" if secs or fraction else ""
    if not days and not clock:
        return "PT0S"
    return f"P{days}T{clock}" if clock else f"P{days}"
