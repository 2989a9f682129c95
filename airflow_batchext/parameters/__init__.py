"""The one place that checks arguments: of operators, sensors, watchers, the builder, policies and commands.

Each check takes the argument's name and its value, and returns the value as the rest of the package uses it:
a timedelta as seconds, a number of numpy as Python's, a list of names as a tuple. What cannot be used is
refused with one error that says what was given, under which name, and what it has to be. They run when the
object is constructed; templates are checked when they are rendered. Light: every DAG file loads this module.
"""

from __future__ import annotations

import ast
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_batchext.exceptions import ParameterError

Check = Callable[[str, Any], Any]
"""Takes an argument's name and value; returns the value as it is used, or raises ``ParameterError``."""

_POOL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_AMOUNTS = {0: "zero or more", 1: "one or more"}
#: About 30 years: what is longer fits into no date.
_LONGEST_SECONDS = 1e9
LEAST_RESIZE_TIMEOUT_SECONDS = 300.0
#: So long a removal and what comes after it take: no node is replaced with less time left.
REPLACEMENT_SECONDS = 300.0


def refused(name: str, value: object, wanted: str) -> ParameterError:
    """The error of an argument that cannot be used.

    :param wanted: how the sentence goes on after "NAME is VALUE".
    """
    return wrong(f"{name} is {shown(value)}{wanted}")


def wrong(text: str) -> ParameterError:
    """The error of arguments that cannot be used, in whole words."""
    from airflow_batchext.exceptions import ParameterError  # with Airflow, which the rules do not know

    return ParameterError(text)


def shown(value: object) -> str:
    """The value, as far as it is short and plain: what else is in it nobody knows."""
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(v, (str, int)) for v in value):
        return repr(value)[:80]
    if value is None or isinstance(value, (str, int, float, timedelta)):
        return repr(str(value)[:60])
    return f"a {type(value).__name__}"


def plain(value: Any) -> Any:
    """A number, flag or text of numpy as Python's; anything else as it is."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind and kind in "biufU" and getattr(value, "shape", None) == ():
        return value.item()
    return value


def path_text(value: Any) -> Any:
    """A path as its text; anything else as it is."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def is_template(value: Any) -> bool:
    """Whether it is known only when the task runs: a text with a template, or the output of another task."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(map(is_template, value))
    if isinstance(value, Mapping):
        return any(map(is_template, value.values()))
    return hasattr(value, "resolve") and hasattr(value, "iter_references")


# --- one value ---------------------------------------------------------------------------------------------


def check_pool_id(pool_id: object, name: str = "pool_id", of: str = "pool") -> str:
    """An id as Azure Batch allows it: 1 to 64 letters, digits, hyphens and underscores.

    :param name: what the user who gives it knows it as.
    :param of: what it is the id of.
    :raises ParameterError: if it is anything else.
    """
    if isinstance(pool_id, str) and _POOL_ID.fullmatch(pool_id):
        return pool_id
    raise refused(name, pool_id, f", but a {of}'s id has 1 to 64 characters: letters, digits, '-' and '_'.")


def pool_id_of(name: str, value: object) -> str:
    """``check_pool_id`` as a check like the others."""
    return check_pool_id(value, name)


def check_text(name: str, value: object) -> str:
    """A text that is not blank.

    :raises ParameterError: if it is anything else.
    """
    value = plain(value)
    if isinstance(value, str) and value.strip():
        return value
    raise refused(name, value, ", but it has to be a text.")


def check_flag(name: str, value: object) -> bool:
    """True or False: ``"False"`` would be true otherwise.

    :raises ParameterError: if it is anything else.
    """
    value = plain(value)
    if isinstance(value, bool):
        return value
    raise refused(name, value, ", but it has to be True or False.")


def check_mapping(name: str, value: object) -> Mapping[str, Any]:
    """A dict with texts as keys; what is in it is shown nowhere.

    :raises ParameterError: if it is anything else.
    """
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return value
    what = "is a template" if is_template(value) else f"is a {type(value).__name__}"
    raise wrong(
        f"{name} {what}, but it has to be a dict with texts as keys; what stands in it may be templates."
    )


def check_count(name: str, value: object, least: int = 0) -> int:
    """A whole number; a text of digits (a rendered template) is one.

    :raises ParameterError: if it is anything else, or less than ``least``.
    """
    value = plain(value)
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise refused(
        name, value, f", but it has to be a whole number, {_AMOUNTS.get(least, f'{least} or more')}."
    )


def check_number(
    name: str, value: object, wanted: str = "a number, zero or more", least: float = 0.0
) -> float:
    """A finite number, ``least`` or more.

    :raises ParameterError: if it is anything else.
    """
    value = plain(value)
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and value >= least
        and math.isfinite(value)
    ):
        return value
    raise refused(name, value, f", but it has to be {wanted}.")


def check_seconds(name: str, value: object) -> float:
    """A duration in seconds, zero or more.

    :raises ParameterError: if it is neither a number nor a timedelta, is negative, or longer than a life.
    """
    wanted = "a number of seconds or a timedelta, zero or more"
    given = value.total_seconds() if isinstance(value, timedelta) else plain(value)
    if isinstance(given, (int, float)) and not 0 <= given <= _LONGEST_SECONDS:
        raise refused(name, value, f", but it has to be {wanted}, and less than thirty years.")
    return float(check_number(name, given, wanted))


def check_hours(name: str, value: object) -> float:
    """A duration in hours, zero or more.

    :raises ParameterError: if it is neither a number nor a timedelta, is negative, or longer than a life.
    """
    if isinstance(value, timedelta):
        return check_seconds(name, value) / 3600
    return check_seconds(name, check_number(name, value, "a number of hours or a timedelta, zero or more"))


def check_pause(name: str, value: object) -> float:
    """A duration in seconds that is more than none.

    :raises ParameterError: if it is anything else.
    """
    seconds = check_seconds(name, value)
    if seconds:
        return seconds
    raise refused(name, value, ", but it has to be more than zero seconds: nobody looks without a pause.")


def check_resize_timeout(name: str, value: object) -> float:
    """For how long Azure tries to find machines: five minutes or more.

    :raises ParameterError: if it is anything else.
    """
    seconds = check_seconds(name, value)
    if seconds >= LEAST_RESIZE_TIMEOUT_SECONDS:
        return seconds
    raise refused(name, value, ", but Azure takes five minutes or more.")


def check_timeout_of_repair(seconds: float, order: Sequence[str]) -> None:
    """That there is time enough for all that a repair may do.

    :param order: the steps that it may take.
    :raises ParameterError: if a node could never be replaced in that time.
    """
    if "replace" in order and seconds < REPLACEMENT_SECONDS:
        raise refused(
            "timeout",
            seconds,
            f", but replacing a node takes {REPLACEMENT_SECONDS:g} seconds at least: give it more, or "
            'leave "replace" out of the policy\'s order.',
        )


# --- one of several, and several ---------------------------------------------------------------------------


def one_of(*words: str) -> Check:
    """The check of a text that is one of these."""

    def check(name: str, value: object) -> str:
        value = plain(value)
        if isinstance(value, str) and value in words:
            return value
        raise refused(name, value, f"; it is one of: {', '.join(words)}.")

    return check


def listed(value: Any) -> Any:
    """A list that was written as a text, with commas, in JSON, or as Python shows it; else the value."""
    text = value.strip() if isinstance(value, str) else ""
    if text.startswith(("[", "(")):
        read = read_literal(text)
        return list(read) if isinstance(read, (list, tuple)) else value
    return [part.strip() for part in text.split(",") if part.strip()] if "," in text else value


def read_literal(text: str) -> Any:
    """The number, flag, list or dict that a text spells in JSON or Python; the text itself if it is none."""
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return read(text)
    return text


def check_names(name: str, value: object, least: int = 1) -> tuple[str, ...]:
    """Names, so many at least, or these in one text; a single one is not taken for a list of its letters.

    :raises ParameterError: if it is anything else.
    """
    value = listed(value)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        checked = tuple(item for item in map(plain, value) if isinstance(item, str) and item.strip())
        if len(checked) == len(value) >= least:
            return checked
    raise refused(name, value, ', but it has to be a list of names, as in ["secretext"].')


def check_extension_names(names: object) -> tuple[str, ...] | None:
    """Names of extensions, or None where none are given.

    :raises ParameterError: if it is not a list of names.
    """
    return optional(check_names)("extension_names", names)  # type: ignore[no-any-return]


def some_of(*words: str) -> Check:
    """The check of a list of one or more of these, none of them twice."""

    def check(name: str, value: object) -> tuple[str, ...]:
        value = listed(value)
        if not isinstance(value, (list, tuple)) or not value:
            raise refused(name, value, f", but it has to be a list of names, of: {', '.join(words)}.")
        for item in value:
            if not isinstance(item, str) or item not in words:
                raise wrong(f"{name} has {shown(item)}, but it can have: {', '.join(words)}.")
        if len(set(value)) != len(value):
            raise wrong(f"{name} names something twice.")
        return tuple(value)

    return check


def check_node_states(states: object) -> frozenset[str] | None:
    """States of nodes, in lower case, or None where none are given.

    :raises ParameterError: if it is not a list of states in which Azure Batch has a machine for the node.
    """
    if states is None:
        return None
    from airflow_batchext.batch.data_plane import MACHINE_STATES  # not for every DAG file

    if isinstance(states, (Sequence, frozenset, set)) and not isinstance(states, str):
        checked = frozenset(state.lower() for state in states if isinstance(state, str))
        if checked and len(checked) == len(states) and checked <= MACHINE_STATES:
            return checked
    raise wrong(
        f"node_states has to be a list of states, of: {', '.join(sorted(MACHINE_STATES))}. "
        "In any other a node has no machine, so nobody could say how its extensions are."
    )


def check_node_states_of(name: str, value: object) -> object:
    """``check_node_states`` as a check like the others; what was given stays as it is."""
    check_node_states(value)
    return value


def optional(check: Check) -> Check:
    """The check of an argument that may be None."""
    return lambda name, value: None if value is None else check(name, value)


# --- all of an object --------------------------------------------------------------------------------------


def settle(
    owner: Any, checks: Mapping[str, Check], *, templated: Iterable[str] = (), keeps: bool = True
) -> None:
    """Check attributes of an object, and have it hold what is used of them.

    :param checks: the checks, by the attributes' names.
        What it does not have (yet) is passed over.
    :param templated: those that may be templates.
    :param keeps: whether these stay as they were given, also where they are no templates.
    :raises ParameterError: if one of them cannot be used.
    """
    for name, check in checks.items():
        if not hasattr(owner, name):
            continue
        value = getattr(owner, name)
        if name in templated and is_template(value):
            continue
        checked = check(name, value)
        if not (keeps and name in templated) and checked is not value:
            # Also where the object is frozen.
            object.__setattr__(owner, name, checked)
