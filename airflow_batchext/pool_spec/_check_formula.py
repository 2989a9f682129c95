"""The check of an autoscale formula: can it be read, and does the service know what is named in it?"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from airflow_batchext.loose_json.documents import quote
from airflow_batchext.pool_spec._finding import Findings, error, warning
from airflow_batchext.pool_spec._formula import Formula, FormulaError, Place, read_formula

PAGE: Final = "https://learn.microsoft.com/azure/batch/batch-automatic-scaling"
_LONGEST = 8192
_MOST_STATEMENTS = 100
_TARGETS = (
    "$TargetDedicatedNodes",
    "$TargetLowPriorityNodes",
    "$TargetDedicated",
    "$TargetLowPriority",
)
_SETTABLE: Final = frozenset({*_TARGETS, "$NodeDeallocationOption"})
READ_ONLY: Final = frozenset(
    {
        *("$CPUPercent", "$WallClockSeconds", "$MemoryBytes", "$DiskBytes", "$DiskReadBytes"),
        *("$DiskWriteBytes", "$DiskReadOps", "$DiskWriteOps", "$NetworkInBytes", "$NetworkOutBytes"),
        *("$SampleNodeCount", "$ActiveTasks", "$RunningTasks", "$PendingTasks", "$SucceededTasks"),
        *("$FailedTasks", "$CurrentDedicatedNodes", "$CurrentLowPriorityNodes", "$PreemptedNodeCount"),
        *("$UsableNodeCount", "$TaskSlotsPerNode", "$MaxTasksPerNode", "$CurrentDedicated"),
        "$CurrentLowPriority",
    }
)
"""Variables that the service sets; the last ones are older names."""
FUNCTIONS: Final[dict[str, tuple[int, int]]] = {
    **dict.fromkeys(("avg", "len", "max", "min", "norm", "range", "std", "sum"), (0, 10_000)),
    **dict.fromkeys(("ceil", "floor", "lg", "ln", "log", "round", "abs"), (1, 10_000)),
    "percentile": (2, 2),
    "rand": (0, 0),
    "stop": (0, 0),
    "time": (0, 1),
    "val": (2, 2),
    "vec": (1, 10_000),
}
"""Functions, how few and how many arguments each takes. ``abs`` and ``vec`` are in no table of the page."""
METHODS: Final = frozenset({"GetSample", "GetSamplePeriod", "Count", "HistoryBeginTime", "GetSamplePercent"})
MEMBERS: Final = frozenset({"year", "month", "day", "weekday", "hour", "minute", "second"})
INTERVALS: Final = frozenset(
    f"TimeInterval_{unit}"
    for unit in (
        *("Zero", "100ns", "Microsecond", "Millisecond", "Second", "Minute", "Hour", "Day", "Week", "Year"),
    )
)
_WORDS: Final = frozenset(
    {"requeue", "terminate", "taskcompletion", "retaineddata", "true", "false", *INTERVALS}
)
_EXAMPLE = "Write a formula, such as $TargetDedicatedNodes=1"


def check_formula(formula: str, path: str) -> Findings:
    """Find what is wrong with a formula.

    :param path: the place of the formula.
    """
    if not formula.strip():
        yield error(path, "formula is empty", _EXAMPLE, PAGE)
        return
    if len(formula) > _LONGEST:
        what = f"formula is longer than {_LONGEST} characters"
        yield error(path, what, "Shorten it", PAGE)
        return
    try:
        found = read_formula(formula)
    except FormulaError as flaw:
        what = f"the formula breaks off in {flaw.place}: {flaw.problem}"
        yield error(path, what, "Fix it there: Azure refuses a pool whose formula it cannot read", PAGE)
        return
    if found.statements > _MOST_STATEMENTS:
        what = f"the formula has {found.statements} statements"
        yield error(path, what, f"Write {_MOST_STATEMENTS} or fewer", PAGE)
    # One finding for each place: the first thing that is wrong with a formula is enough to go on.
    first = next(_unknown(found), None)
    if first is not None:
        is_error, what, fix = first
        yield (error if is_error else warning)(path, what, fix, PAGE)
    elif not any(name.casefold() in _LOWER_TARGETS for name, _ in found.assigns):
        what = "formula sets no target: the pool keeps as many nodes as it has"
        fix = "Assign $TargetDedicatedNodes or $TargetLowPriorityNodes in it"
        yield warning(path, what, fix, PAGE)


_LOWER_TARGETS = frozenset(name.casefold() for name in _TARGETS)


def _unknown(found: Formula) -> Iterator[tuple[bool, str, str]]:
    """Yield what the service does not know: whether it refuses it, what it is, and the fix."""
    for name, count, place in found.calls:
        bounds = FUNCTIONS.get(name)
        if bounds is None:
            # Whether the service reads names in any case is not known.
            certain = name.casefold() not in FUNCTIONS
            yield certain, _there_is_no("function", f"{name}()", place), _did_you_mean(name, FUNCTIONS, "()")
        elif not bounds[0] <= count <= bounds[1]:
            what = f"{name}() in {place} is given {count} argument{'' if count == 1 else 's'}"
            yield True, what, f"Give it {_count(*bounds)}"
    for name, _, place in found.methods:
        if name not in METHODS:
            certain = all(name.casefold() != method.casefold() for method in METHODS)
            yield certain, _there_is_no("method", name, place), _did_you_mean(name, METHODS)
    for name, place in found.members:
        if name not in MEMBERS:
            yield False, _there_is_no("part of a time", name, place), _did_you_mean(name, MEMBERS)
    for name, place in found.assigns:
        if name in READ_ONLY or name in _WORDS:
            what = f"{name} in {place} cannot be assigned"
            yield False, what, "Choose another name for a variable of your own"
    for name, assigned, place in found.reads:
        if not assigned and name not in READ_ONLY | _SETTABLE | _WORDS:
            known = {*READ_ONLY, *_SETTABLE, *_WORDS, *(own for own, _ in found.assigns)}
            what = f"nothing sets the variable {quote(name)} before it is read in {place}"
            yield False, what, _did_you_mean(name, known)


def _there_is_no(kind: str, name: str, place: Place) -> str:
    return f"there is no {kind} {quote(name)} for formulas ({place})"


def _did_you_mean(name: str, known: object, end: str = "") -> str:
    names = {entry.casefold(): entry for entry in sorted(known)}  # type: ignore[call-overload]
    near = get_close_matches(name.casefold()[:64], names, n=1, cutoff=0.6)
    if near and names[near[0]] != name:
        return f"Did you mean {names[near[0]]}{end}?"
    start = [
        entry for entry in names.values() if len(entry) > 2 and name.casefold().startswith(entry.casefold())
    ]
    return f"Did you mean {start[0]}{end}?" if start else "Assign it first, or take one that the page lists"


def _count(least: int, most: int) -> str:
    if least == most:
        return str(least) if least else "none"
    return f"{least} to {most}" if most < 100 else f"{least} or more"
