"""Checks of what operators and sensors are given, after Airflow has rendered it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

from airflow_batchext.batch.data_plane import MACHINE_STATES
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.repair.policy import RepairPolicy

_POOL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def check_pool_id(pool_id: object, name: str = "pool_id") -> str:
    """A pool id as Azure Batch allows it: 1 to 64 letters, digits, hyphens and underscores.

    :param name: what the user who gives it knows it as.
    :raises ParameterError: if it is anything else.
    """
    if isinstance(pool_id, str) and _POOL_ID.fullmatch(pool_id):
        return pool_id
    shown = repr(pool_id) if isinstance(pool_id, str) else f"a {type(pool_id).__name__}"
    raise ParameterError(
        f"{name} is {shown[:80]}, but a pool's id has 1 to 64 characters: letters, digits, '-' and '_'."
    )


def check_extension_names(names: object) -> tuple[str, ...] | None:
    """Names of extensions, or None where none are given.

    :raises ParameterError: if it is not a list of names; a single text is not taken for a list of letters.
    """
    if names is None:
        return None
    if isinstance(names, Sequence) and not isinstance(names, str):
        checked = tuple(name for name in names if isinstance(name, str) and name)
        if checked and len(checked) == len(names):
            return checked
    shown = repr(names)[:80] if isinstance(names, (str, list, tuple)) else f"a {type(names).__name__}"
    raise ParameterError(
        f'extension_names is {shown}, but it has to be a list of names, as in ["secretext"].'
    )


def check_node_states(states: object) -> frozenset[str] | None:
    """States of nodes, in lower case, or None where none are given.

    :raises ParameterError: if it is not a list of states in which Azure Batch has a machine for the node.
    """
    if states is None:
        return None
    if isinstance(states, (Sequence, frozenset, set)) and not isinstance(states, str):
        checked = frozenset(state.lower() for state in states if isinstance(state, str))
        if checked and len(checked) == len(states) and checked <= MACHINE_STATES:
            return checked
    raise ParameterError(
        f"node_states has to be a list of states, of: {', '.join(sorted(MACHINE_STATES))}. "
        "In any other a node has no machine, so nobody could say how its extensions are."
    )


def check_count(name: str, value: object) -> int:
    """A whole number of nodes, zero or more; a text of digits (a rendered template) is one.

    :raises ParameterError: if it is anything else.
    """
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ParameterError(f"{name} is {str(value)[:40]!r}, but it has to be a whole number, zero or more.")


def check_seconds(name: str, value: object) -> float:
    """A duration in seconds, zero or more.

    :raises ParameterError: if it is neither a number nor a timedelta, or is negative.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds >= 0:
        return float(seconds)
    raise ParameterError(
        f"{name} is {str(value)[:40]!r}, but it has to be seconds or a timedelta, zero or more."
    )


def check_repair_policy(name: str, value: object) -> RepairPolicy:
    """What a repair may do: a ``RepairPolicy``, a mapping with members of one, or None for the default.

    :raises ParameterError: if it is anything else, or a member cannot be used.
    """
    if isinstance(value, RepairPolicy):
        return value
    if value is not None and not isinstance(value, Mapping):
        raise ParameterError(f"{name} is {str(value)[:40]!r}; it is a RepairPolicy or a dict of its members.")
    try:
        return RepairPolicy.from_json(value or {})
    except ValueError as error:
        raise ParameterError(f"{name}: {error}") from None
