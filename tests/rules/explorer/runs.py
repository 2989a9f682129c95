"""Which runs there are: every change alone, every two, and threes, before each of the first reads.

They are numbered: first every single change, then every pair, then triples in a fixed order that is spread
over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_batchext.rules.gate import Rules
from tests.rules.explorer.world import BAD, BUSY, CHANGES

#: Before so many reads something may change.
READS = 10
_NAMES = tuple(CHANGES)


@dataclass(frozen=True)
class Setup:
    """What a gate asks for, what the nodes are like at first, and who else looks."""

    name: str
    rules: Rules = field(default_factory=Rules)
    nodes: tuple[dict[str, Any], ...] = ({}, {"phase": BUSY})
    targets: tuple[int, int] = (2, 0)
    gates: int = 1
    repairs: bool = False
    forgets: bool = False
    deadline: float = 1200.0
    succeeds_at: float = 50.0
    """When the extensions that are pending at first succeed, if nothing else has become of them."""


SETUPS = (
    Setup("plain"),
    Setup("two gates", gates=2),
    Setup("two gates, ready", gates=2, nodes=({}, {})),
    Setup("late", nodes=({}, {}), deadline=2.2),
    Setup("tolerant", Rules(max_failed_nodes=1, node_grace=0.0)),
    Setup("tolerant of all", Rules(max_failed_nodes=2, min_nodes=1, node_grace=0.0)),
    Setup("of each kind", nodes=({}, {"dedicated": False}), targets=(1, 1)),
    Setup("waits", Rules(on_failure="wait", max_age=60.0)),
    Setup("reads all", Rules(max_age=0.0), gates=2),
    Setup("grace", Rules(node_grace=100.0)),
    Setup("forgets", forgets=True),
    Setup("mends", repairs=True),
    Setup("states without a machine", Rules(node_states=frozenset({"idle", "preempted"}))),
    Setup("of the wrong kind", nodes=({}, {}), targets=(1, 1)),
    Setup("mends, late", repairs=True, deadline=4.0),
    Setup("mends, tolerant", Rules(max_failed_nodes=1), nodes=({}, {"phase": BAD}), repairs=True),
    Setup("comes late", nodes=({}, {}), deadline=-5.0),
)


@dataclass(frozen=True)
class Run:
    """One set-up, and what changes before which read."""

    setup: Setup
    changes: tuple[tuple[int, str], ...]


_SITES = len(_NAMES) * READS
SINGLES = _SITES * len(SETUPS)
_PAIRS = _SITES * (_SITES + 1) // 2 * len(SETUPS)
#: Prime, so that a walk in such steps comes everywhere.
_STRIDE = 1_000_000_007


def number_of(setup: str, *changes: tuple[int, str]) -> int:
    """The number of the run with this set-up and one or two changes."""
    sites = sorted((at * len(_NAMES) + _NAMES.index(what) for at, what in changes), reverse=True)
    row = [item.name for item in SETUPS].index(setup)
    if len(sites) == 1:
        return row * _SITES + sites[0]
    index = (sites[0] * (sites[0] + 1) // 2 + sites[1]) * len(SETUPS) + row
    return SINGLES + index * pow(_STRIDE, -1, _PAIRS) % _PAIRS


def run_of(number: int) -> Run:
    """The run of that number."""
    if number < SINGLES:
        setup, site = divmod(number, _SITES)
        sites = [site]
    elif number < SINGLES + _PAIRS:
        index = (number - SINGLES) * _STRIDE % _PAIRS
        index, setup = divmod(index, len(SETUPS))
        first = int(((8 * index + 1) ** 0.5 - 1) / 2)
        first -= first * (first + 1) // 2 > index
        first += (first + 1) * (first + 2) // 2 <= index
        sites = [first, index - first * (first + 1) // 2]
    else:
        index = (number - SINGLES - _PAIRS) * _STRIDE % (_SITES**3 * len(SETUPS))
        index, setup = divmod(index, len(SETUPS))
        sites = [index % _SITES, index // _SITES % _SITES, index // _SITES**2]
    changes = tuple((site // len(_NAMES), _NAMES[site % len(_NAMES)]) for site in sites)
    return Run(SETUPS[setup], changes)
