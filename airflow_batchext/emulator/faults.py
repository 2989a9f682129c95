"""Faults of requests, as data: which requests they meet, how often, and what becomes of the answer.

A fault is given at the start (in a scenario) or while the emulator runs (``emulator.faults``). Whether it
fires depends on nothing but the fault itself, the seed, and which requests came before: the same seed and the
same requests give the same faults. This module decides; what a dropped connection is, the server knows.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from airflow_batchext.emulator.remembered import Remembered
from airflow_batchext.emulator.scenarios.rules import Model, Seconds, in_one_line, like

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PlaneName = Literal["management", "data", "sign-in"]
_REMEMBERED = 10_000
_MANY = 1000


class Fault(Model):
    """Which requests a fault meets, and when. Without further words: the next request, once."""

    plane: PlaneName | Literal["*"] = "*"
    method: str = "*"
    """Pattern (``*`` and ``?``) of the method."""
    path: str = "*"
    """Pattern of the path without the query, in any case: ``*/pools/p1/nodes``."""
    count: int | None = Field(default=None, ge=1, le=1_000_000)
    """How often it fires at most; without it once or, with ``until`` or a ``probability``, 1000 times."""
    skip: int = Field(default=0, ge=0)
    """How many requests that it could meet go by untouched before."""
    start: Seconds = 0.0
    """Seconds from the moment when the fault was given until it may fire."""
    until: Seconds | None = None
    """Seconds from the same moment after which it does not fire any more."""
    every: Seconds | None = None
    """Repeats the window from ``start`` to ``until`` each time so many seconds have passed."""
    clock: Literal["simulated", "wall"] = "simulated"
    """The clock by which these seconds pass."""
    probability: float = Field(default=1.0, ge=0, le=1)
    """Drawn from the seed for each request that it could meet."""

    @model_validator(mode="after")
    def _window_is_a_window(self) -> Fault:
        if self.until is not None and self.until <= self.start:
            raise ValueError("until must come after start")
        if self.every is not None and (self.until is None or self.every < self.until):
            raise ValueError("every needs an until that does not come after it")
        return self

    @property
    def limit(self) -> int:
        """How often it fires at most."""
        if self.count is not None:
            return self.count
        return _MANY if self.until is not None or self.probability < 1 else 1

    def meets(self, plane: str, method: str, path: str) -> bool:
        """Whether it is about such a request."""
        return self.plane in ("*", plane) and like(method, self.method) and like(path, self.path)

    def is_due(self, elapsed: float) -> bool:
        """Whether it may fire so many seconds after it was given."""
        if self.every is not None:
            elapsed %= self.every
        return elapsed >= self.start and (self.until is None or elapsed < self.until)


class Throttle(Fault):
    """429, with a ``Retry-After`` if one is given; the request is not carried out."""

    action: Literal["throttle"] = "throttle"
    retry_after: int | None = Field(default=None, ge=0, le=86400)
    as_date: bool = False
    """Write ``Retry-After`` as a date instead of seconds."""


class Error(Fault):
    """An error of the service or of what is in front of it, in the shape of the plane."""

    action: Literal["error"] = "error"
    status: int = Field(default=503, ge=400, le=599)
    code: str | None = None
    message: str | None = None
    retry_after: int | None = Field(default=None, ge=0, le=86400)
    performed: bool = False
    """The request was carried out all the same; only its answer is lost."""


class Slow(Fault):
    """An answer that comes late, by seconds of the wall clock. Other faults may meet it too."""

    action: Literal["slow"] = "slow"
    seconds: float = Field(default=1.0, gt=0, le=600)


class Drop(Fault):
    """The connection is cut without an answer."""

    action: Literal["drop"] = "drop"
    performed: bool = False
    """The request was carried out all the same."""


class Truncate(Fault):
    """The connection is cut in the middle of the body. The request is carried out."""

    action: Literal["truncate"] = "truncate"
    keep: float = Field(default=0.5, ge=0, lt=1)
    """The part of the body that is sent."""


class Garble(Fault):
    """A body that is not JSON, such as a proxy or a gateway sends. The request is not carried out."""

    action: Literal["garble"] = "garble"
    status: int = Field(default=200, ge=200, le=599)
    body: str = "<html><head><title>Gateway</title></head><body><h1>It works!</h1></body></html>"
    content_type: str = "text/html; charset=utf-8"


class Expire(Fault):
    """On the planes a token counts as expired (401); at the sign-in the token that is given has expired."""

    action: Literal["expire"] = "expire"


class Edit(Fault):
    """Changes the JSON of an answer, wherever ``at`` points to. Other faults may meet it too.

    ``at`` names members one inside the other: ``value/*/state``. ``*`` is any one member or item, ``**`` any
    number of them, so ``**/statuses`` is every ``statuses``.
    """

    action: Literal["edit"] = "edit"
    at: str = Field(min_length=1)
    where: dict[str, Any] = Field(default_factory=dict)
    """Only where these values are: ``{vmExtension/name: kv}``, in what ``at`` points to or around it."""
    to: Literal["value", "nothing", "upper", "lower", "swapped", "markup"] = "value"
    """``value`` puts in ``value`` (null unless given), ``nothing`` removes the member or the item; the next
    three change the case of text; ``markup`` is a long text with markup in it, ``length`` characters."""
    value: Any = None
    length: int = Field(default=4096, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _value_belongs_to_value(self) -> Edit:
        if self.value is not None and self.to != "value":
            raise ValueError("a value can be given only when 'to' is 'value'")
        return self


AnyFault = Annotated[
    Throttle | Error | Slow | Drop | Truncate | Garble | Expire | Edit, Field(discriminator="action")
]
_READER: TypeAdapter[Any] = TypeAdapter(AnyFault)


def read_fault(data: Any) -> Fault:
    """Read one fault from plain data; ValueError in one line if it is bad."""
    try:
        fault: Fault = _READER.validate_python(data)
    except ValidationError as problem:
        raise ValueError(f"the fault is not valid: {in_one_line(problem)}") from None
    return fault


def draw(seed: int, number: int, match: int) -> float:
    """A number from 0 to 1 for one request that a fault could meet: always the same one."""
    digest = hashlib.sha256(f"fault|{seed}|{number}|{match}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


class Fired(NamedTuple):
    """A fault that fired."""

    fault: Fault
    plane: str
    method: str
    path: str
    at: datetime
    """By the simulated clock."""


@dataclass
class _Known:
    """A fault that was given, and what has become of it so far."""

    fault: Fault
    number: int
    given: datetime
    given_by_wall: float
    matched: int = 0
    fired: int = 0


class Faults:
    """The faults of a running emulator: those of its scenario, and those added since."""

    def __init__(
        self,
        seed: int,
        now: Callable[[], datetime],
        wall: Callable[[], float],
        of_scenario: Callable[[], Iterable[Fault]],
    ) -> None:
        """``now`` is the simulated time, ``wall`` a number of seconds that only grows."""
        self.fired: Remembered[Fired] = Remembered(maxlen=_REMEMBERED)
        self._seed = seed
        self._now, self._wall = now, wall
        self._of_scenario = of_scenario
        self._added: list[Fault] = []
        self._known: dict[int, _Known] = {}
        self._given = 0
        self._lock = threading.RLock()
        self.notice()

    def add(self, *faults: Fault, **words: Any) -> None:
        """Give faults, or one in words: ``add(action="throttle", path="*/pools", count=3)``."""
        given = [*faults, read_fault(words)] if words else list(faults)
        with self._lock:
            self._added.extend(given)
            self.notice()

    def clear(self) -> None:
        """Take back all that were added. Those of the scenario stay."""
        with self._lock:
            self._added.clear()
            self.notice()

    def notice(self) -> None:
        """Look at what is given now: time and counts of a fault begin when it is first seen."""
        with self._lock:
            known = {}
            for fault in (*self._of_scenario(), *self._added):
                entry = self._known.get(id(fault))
                if entry is None:
                    entry = _Known(fault, self._given, self._now(), self._wall())
                    self._given += 1
                known[id(fault)] = entry
            self._known = known

    def meeting(self, plane: str, method: str, path: str) -> list[Fault]:
        """The faults that fire on a request: all that change its answer, and one that ends it."""
        with self._lock:
            self.notice()
            firing: list[Fault] = []
            for known in self._known.values():
                fault = known.fault
                if not fault.meets(plane, method, path) or not fault.is_due(self._elapsed(known)):
                    continue
                if not _is_change(fault) and not all(map(_is_change, firing)):
                    continue
                if self._fires(known):
                    firing.append(fault)
                    self.fired.append(Fired(fault, plane, method, path, self._now()))
            return firing

    def _fires(self, known: _Known) -> bool:
        fault, match = known.fault, known.matched
        if known.fired >= fault.limit:
            return False
        known.matched += 1
        if match < fault.skip or draw(self._seed, known.number, match) >= fault.probability:
            return False
        known.fired += 1
        return True

    def _elapsed(self, known: _Known) -> float:
        if known.fault.clock == "wall":
            return self._wall() - known.given_by_wall
        return (self._now() - known.given).total_seconds()


def _is_change(fault: Fault) -> bool:
    return isinstance(fault, (Slow, Edit))
