"""The rules of the gate, played through every change, every two and many threes, at every read.

``BATCHEXT_EXPLORER`` says how many runs (3,000 by default, spread over all of them); ``make explore`` plays a
million.
"""

from __future__ import annotations

import os

import pytest

from tests.rules.explorer.faults import FAULTS, planted
from tests.rules.explorer.playing import explore
from tests.rules.explorer.runs import SINGLES, run_of

COUNT = int(os.environ.get("BATCHEXT_EXPLORER", "3000"))
#: Where a fault is looked for: all single changes, and so many pairs.
_SEARCHED = 40_000


def test_the_explorer_finds_nothing():
    singles = min(COUNT // 3, SINGLES) if COUNT < 2 * SINGLES else SINGLES
    step = SINGLES // singles
    wrong = [found for number in range(0, SINGLES, step) for found in explore(number, 1)]
    wrong += explore(SINGLES, COUNT - singles)
    assert not wrong


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.module}: {fault.old[:40].strip()}")
def test_the_explorer_finds_a_planted_fault(fault):
    with planted(fault) as explore_it:
        found = explore_it(fault.found_at, 1) or explore_it(0, _SEARCHED, most=1)
    assert [said for _, said in found if "WrongError" in said], found or "nobody would notice"


def test_the_explorer_finds_nothing_where_nothing_is_planted():
    """So that what is found above is the fault."""
    assert not [found for fault in FAULTS for found in explore(fault.found_at, 1)]


def test_runs_are_all_different_and_come_in_ones_twos_and_threes():
    assert len({str(run_of(number)) for number in range(SINGLES)}) == SINGLES
    assert {len(run_of(number).changes) for number in (0, SINGLES - 1)} == {1}
    assert {len(run_of(SINGLES + number).changes) for number in range(1000)} == {2}
    assert len(run_of(10**7).changes) == 3
