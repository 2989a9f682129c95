"""What an autoscale formula says: a pure function of the formula, the time and the pool's samples.

A documented subset of the language: numbers, booleans, time intervals and timestamps, vectors of samples,
arithmetic and comparisons, ``min``, ``max``, ``avg``, ``sum``, ``len``, ``round``, ``floor``, ``ceil``,
``abs``, ``std`` and ``time()``, and the samples of task and node counts. The rest (CPU, memory, network,
disk, ``rand``, …) is not modelled and is refused as such, rather than evaluated to something made up.
"""

from __future__ import annotations

import math
import operator
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow_batchext.emulator.account.autoscale_syntax import Node, Place, parse

PERIOD = timedelta(seconds=30)
"""The service takes a sample of every variable about this often."""
LONGEST_FORMULA = 8192
_MOST_SAMPLES = 20_000
_OPTIONS = ("requeue", "terminate", "taskcompletion", "retaineddata")
_DEDICATED, _LOW_PRIORITY = "$TargetDedicatedNodes", "$TargetLowPriorityNodes"
_OPTION = "$NodeDeallocationOption"
_OLD_NAMES = {"$TargetDedicated": _DEDICATED, "$CurrentDedicated": "$CurrentDedicatedNodes"}
SAMPLED = (
    *("$ActiveTasks", "$RunningTasks", "$PendingTasks", "$SucceededTasks", "$FailedTasks"),
    *("$CurrentDedicatedNodes", "$CurrentLowPriorityNodes", "$PreemptedNodeCount", "$UsableNodeCount"),
)
"""The variables of which there are samples."""
_UNSUPPORTED = (
    *("$CPUPercent", "$WallClockSeconds", "$MemoryBytes", "$DiskBytes", "$DiskReadBytes", "$DiskWriteBytes"),
    *("$DiskReadOps", "$DiskWriteOps", "$NetworkInBytes", "$NetworkOutBytes", "$SampleNodeCount"),
)
_INTERVALS = {
    "TimeInterval_Zero": timedelta(),
    "TimeInterval_100ns": timedelta(microseconds=0.1),
    "TimeInterval_Microsecond": timedelta(microseconds=1),
    "TimeInterval_Millisecond": timedelta(milliseconds=1),
    "TimeInterval_Second": timedelta(seconds=1),
    "TimeInterval_Minute": timedelta(minutes=1),
    "TimeInterval_Hour": timedelta(hours=1),
    "TimeInterval_Day": timedelta(days=1),
    "TimeInterval_Week": timedelta(weeks=1),
    "TimeInterval_Year": timedelta(days=365),
}

Value = float | timedelta | datetime | str | list[float]


class NotModelledError(Exception):
    """The formula uses a part of the language that is not modelled here. Its text names it."""


class EvaluationError(Exception):
    """The formula cannot be evaluated. Its text is what the service shows."""


@dataclass(frozen=True)
class Outlook:
    """What a formula can see of its pool."""

    now: datetime
    created: datetime
    targets: tuple[int, int]
    slots_per_node: int
    sample: Callable[[str, datetime], float]
    """The value of a sampled variable at a time."""


@dataclass(frozen=True)
class Evaluation:
    """What a formula came to. With an ``error`` the targets are those from before."""

    at: datetime
    dedicated: int
    low_priority: int
    option: str = "requeue"
    variables: tuple[tuple[str, str], ...] = ()
    error: str | None = None

    @property
    def results(self) -> str:
        """The values of all variables, as the service writes them."""
        own = "".join(f";{name}={value}" for name, value in self.variables)
        targets = f"{_DEDICATED}={self.dedicated};{_LOW_PRIORITY}={self.low_priority}"
        return f"{targets};{_OPTION}={self.option}{own}"


def evaluate(formula: str, outlook: Outlook) -> Evaluation:
    """Evaluate a formula. FormulaSyntaxError if it cannot be read, NotModelledError if we cannot tell."""
    run = _Run(outlook)
    dedicated, low_priority = outlook.targets
    try:
        for statement in parse(formula):
            run.do(statement)
        return run.outcome()
    except EvaluationError as problem:
        said = str(problem)
    except (ArithmeticError, ValueError, RecursionError):  # of numbers, or of sums, beyond all measure
        said = "Overflow: a value is too large, or the formula has too many parts"
    return Evaluation(outlook.now, dedicated, low_priority, error=said)


class _Run:
    def __init__(self, outlook: Outlook) -> None:
        self._outlook = outlook
        dedicated, low_priority = outlook.targets
        self._values: dict[str, Value] = {
            _DEDICATED: float(dedicated),
            _LOW_PRIORITY: float(low_priority),
            _OPTION: "requeue",
            "$TaskSlotsPerNode": float(outlook.slots_per_node),
            "$MaxTasksPerNode": float(outlook.slots_per_node),
            "true": 1.0,
            "false": 0.0,
            **{option: option for option in _OPTIONS},
            **_INTERVALS,
        }
        self._given = set(self._values)

    def do(self, statement: Node) -> None:
        if statement.kind != "assign":
            self._value(statement)
            return
        name = _OLD_NAMES.get(statement.name, statement.name)
        if name in SAMPLED or name in _UNSUPPORTED:
            raise EvaluationError(f"{statement.place}: Cannot assign to the read-only variable: {name}")
        self._values[name] = self._value(statement.parts[0])

    def outcome(self) -> Evaluation:
        option = self._values[_OPTION]
        if option not in _OPTIONS:
            raise EvaluationError(f"Invalid value of {_OPTION}: {_written(option)}")
        own = {name: value for name, value in self._values.items() if name not in self._given}
        return Evaluation(
            self._outlook.now,
            self._target(_DEDICATED),
            self._target(_LOW_PRIORITY),
            str(option),
            tuple((name, _written(value)) for name, value in own.items()),
        )

    def _target(self, name: str) -> int:
        value = self._values[name]
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, float) or not math.isfinite(value):
            raise EvaluationError(f"Invalid value of {name}: {_written(value)}")
        return max(0, int(value))

    # --- values --------------------------------------------------------------------------------------------

    def _value(self, node: Node) -> Value:
        kind = node.kind
        if kind == "number":
            return node.number
        if kind == "text":
            return node.name
        if kind == "name":
            return self._named(node)
        if kind == "choose":
            return self._value(node.parts[1 if self._value(node.parts[0]) else 2])
        if kind == "unary":
            value = self._value(node.parts[0])
            if node.name == "!":
                return float(not value)
            return _each(operator.neg, value, node.place)
        if kind == "binary":
            return self._binary(node)
        if kind == "member":
            return _part_of_time(self._value(node.parts[0]), node)
        if kind == "method":
            return self._method(node)
        return self._call(node)

    def _named(self, node: Node) -> Value:
        name = _OLD_NAMES.get(node.name, node.name)
        if name in SAMPLED:
            return self._samples(name, self._outlook.created, self._outlook.now)
        if name in _UNSUPPORTED:
            raise NotModelledError(f"the variable {name}")
        if name not in self._values:
            raise EvaluationError(f"{node.place}: Undefined symbol: {name}")
        return self._values[name]

    def _binary(self, node: Node) -> Value:
        left = self._value(node.parts[0])
        if node.name in ("&&", "||"):
            if bool(left) is (node.name == "||"):
                return float(node.name == "||")
            return float(bool(self._value(node.parts[1])))
        return _calculate(node.name, left, self._value(node.parts[1]), node.place)

    def _call(self, node: Node) -> Value:
        if node.name == "time":
            if len(node.parts) > 1 or any(part.kind != "text" for part in node.parts):
                raise NotModelledError("time() of anything but now, or of a date in words")
            said = node.parts[0].name if node.parts else ""
            return _date(said, node.place) if said else self._outlook.now
        values = [self._value(part) for part in node.parts]
        if node.name == "val" and len(values) == 2 and isinstance(values[0], list):
            index = values[1]
            if isinstance(index, float) and 0 <= index < len(values[0]):
                return values[0][int(index)]
            raise EvaluationError(f"{node.place}: Index out of range")
        if node.name not in _FUNCTIONS:
            raise NotModelledError(f"the function {node.name}()")
        numbers: list[float] = []
        for value in values:
            if not isinstance(value, (float, list)):
                raise EvaluationError(f"{node.place}: Invalid argument of {node.name}: {_written(value)}")
            numbers += value if isinstance(value, list) else [value]
        if not numbers and node.name not in ("len", "sum"):
            raise EvaluationError(f"{node.place}: {node.name} of an empty vector")
        if node.name in _ELEMENTWISE and (len(values) > 1 or isinstance(values[0], list)):
            return [_FUNCTIONS[node.name]([number]) for number in numbers]
        return _FUNCTIONS[node.name](numbers)

    # --- samples -------------------------------------------------------------------------------------------

    def _method(self, node: Node) -> Value:
        subject = node.parts[0]
        name = _OLD_NAMES.get(subject.name, subject.name)
        if name in _UNSUPPORTED:
            raise NotModelledError(f"the variable {name}")
        if subject.kind != "name" or name not in SAMPLED:
            raise EvaluationError(f"{node.place}: There is no {node.name} of that")
        arguments = [self._value(part) for part in node.parts[1:]]
        if node.name == "GetSamplePeriod":
            return PERIOD
        if node.name == "Count":
            return float(len(self._samples(name, self._outlook.created, self._outlook.now)))
        if node.name not in ("GetSample", "GetSamplePercent"):
            raise NotModelledError(f"the method {node.name}()")
        if arguments and isinstance(arguments[0], float):
            return self._latest(name, int(arguments[0]), node.place)
        start, end, least = self._window(arguments, node.place)
        samples = self._samples(name, start, end)
        percent = min(100.0, 100 * len(samples) / max(1, math.floor((end - start) / PERIOD)))
        if node.name == "GetSamplePercent":
            return percent
        if percent < least:
            raise EvaluationError(f"{node.place}: Insufficient sample data: {percent:g} % of {name}")
        return samples

    def _latest(self, name: str, count: int, place: Place) -> list[float]:
        samples = self._samples(
            name, self._outlook.now - PERIOD * min(count, _MOST_SAMPLES), self._outlook.now
        )
        if not samples or count < 1:
            raise EvaluationError(f"{place}: Insufficient sample data: there are {len(samples)} of {name}")
        return samples[-count:]

    def _window(self, arguments: list[Value], place: Place) -> tuple[datetime, datetime, float]:
        now = self._outlook.now
        last = arguments[-1] if len(arguments) > 1 else None
        least = last if isinstance(last, float) else 0.0
        if isinstance(last, float):
            arguments = arguments[:-1]
        ends = [now - item if isinstance(item, timedelta) else item for item in arguments]
        start: Value | None = ends[0] if len(ends) in (1, 2) else None
        end = ends[1] if len(ends) == 2 else now
        if not isinstance(start, datetime) or not isinstance(end, datetime) or start > end:
            raise EvaluationError(f"{place}: Time intervals or timestamps are expected")
        return start, end, least

    def _samples(self, name: str, start: datetime, end: datetime) -> list[float]:
        """The samples after ``start`` up to ``end``. There is none of before the pool was."""
        created = self._outlook.created
        first = max(1, math.floor((start - created) / PERIOD) + 1)
        last = math.floor((min(end, self._outlook.now) - created) / PERIOD)
        first = max(first, last - _MOST_SAMPLES)
        return [self._outlook.sample(name, created + PERIOD * number) for number in range(first, last + 1)]


# --- calculating -------------------------------------------------------------------------------------------

_SIGNS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "==": lambda left, right: float(left == right),
    "!=": lambda left, right: float(left != right),
    "<": lambda left, right: float(left < right),
    "<=": lambda left, right: float(left <= right),
    ">": lambda left, right: float(left > right),
    ">=": lambda left, right: float(left >= right),
}
_FUNCTIONS: dict[str, Callable[[list[float]], float]] = {
    "min": min,
    "max": max,
    "avg": statistics.fmean,
    "sum": math.fsum,
    "len": lambda numbers: float(len(numbers)),
    "std": lambda numbers: statistics.stdev(numbers) if len(numbers) > 1 else 0.0,
    "round": lambda numbers: float(math.floor(numbers[0] + 0.5)),
    "floor": lambda numbers: float(math.floor(numbers[0])),
    "ceil": lambda numbers: float(math.ceil(numbers[0])),
    "abs": lambda numbers: abs(numbers[0]),
}
_ELEMENTWISE = ("round", "floor", "ceil", "abs")


def _calculate(sign: str, left: Value, right: Value, place: Place) -> Value:
    calculate = _SIGNS[sign]
    try:
        if isinstance(left, float) and isinstance(right, float):
            return calculate(left, right)
        if isinstance(left, list) or isinstance(right, list):
            return [calculate(a, b) for a, b in _pairs(left, right, place)]
        # Times and intervals obey the same signs; what makes no sense among them is a TypeError.
        found: Value = calculate(left, right)  # type: ignore[arg-type]
    except ZeroDivisionError:
        raise EvaluationError(f"{place}: Division by zero") from None
    except (TypeError, OverflowError):
        raise EvaluationError(f"{place}: Invalid operands of {sign}") from None
    return found


def _pairs(left: Value, right: Value, place: Place) -> list[tuple[float, float]]:
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return list(zip(left, right, strict=True))
    if isinstance(left, list) and isinstance(right, float):
        return [(item, right) for item in left]
    if isinstance(left, float) and isinstance(right, list):
        return [(left, item) for item in right]
    raise EvaluationError(f"{place}: Vectors of different lengths")


def _each(calculate: Callable[[float], float], value: Value, place: Place) -> Value:
    if isinstance(value, list):
        return [calculate(item) for item in value]
    if isinstance(value, float):
        return calculate(value)
    raise EvaluationError(f"{place}: A number is expected")


def _part_of_time(value: Value, node: Node) -> float:
    if isinstance(value, datetime):
        if node.name in ("year", "month", "day", "hour", "minute", "second"):
            return float(getattr(value, node.name))
        if node.name == "weekday":
            return float(value.isoweekday() % 7)
    raise EvaluationError(f"{node.place}: There is no {node.name} of that")


_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?(?P<fraction>\.\d{1,7})?(Z|[+-]\d\d:\d\d)?")


def _date(text: str, place: Place) -> datetime:
    """A point in time as formulas of workflow engines write it (ISO 8601; without a zone it is UTC)."""
    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise NotModelledError("a date that is not written as ISO 8601")
    fraction = found["fraction"] or ""
    plain = (
        text.strip().replace(fraction, fraction[:7].ljust(7, "0") if fraction else "").replace("Z", "+00:00")
    )
    try:
        at = datetime.fromisoformat(plain)
    except ValueError:
        raise EvaluationError(f"{place}: Invalid date") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _written(value: Value) -> str:
    if isinstance(value, float):
        return str(int(value)) if math.isfinite(value) and value == int(value) else str(value)
    if isinstance(value, list):
        return f"[{','.join(_written(item) for item in value)}]"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"
    return str(value)
