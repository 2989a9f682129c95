"""How cells look: the whole table of what can be known of a node and of an extension on it."""

from __future__ import annotations

from itertools import product

import pytest

from airflow_batchext.batch.data_plane import CARRYING_STATES, VOID_STATES, Phase
from airflow_batchext.rules.cells import KINDS, extension_kind, node_kind

STATES = sorted({*CARRYING_STATES, *VOID_STATES, "unusable", "starttaskfailed", "", "unheard of"})


@pytest.mark.parametrize("state", STATES)
def test_a_node_is_what_the_gate_makes_of_it(state):
    for is_unread in (False, True):
        assert node_kind(Phase.FAILED, state, is_unread=is_unread) == "failed"
        assert node_kind(Phase.SUCCEEDED, state, is_unread=is_unread) == "ready"
        otherwise = "unread" if is_unread else "pending"
        expected = "void" if state in VOID_STATES else otherwise
        assert node_kind(Phase.PENDING, state, is_unread=is_unread) == expected


@pytest.mark.parametrize("state", STATES)
def test_an_extension_counts_where_there_is_a_machine_that_was_read(state):
    for phase, is_unread, is_expected in product((None, *Phase), (False, True), (False, True)):
        kind = extension_kind(state, phase, is_unread=is_unread, is_expected=is_expected)
        if state in VOID_STATES:
            assert kind == "void"
        elif is_unread:
            assert kind == "unread"
        elif phase is None:
            assert kind == ("pending" if is_expected else "void")
        else:
            assert kind == {"failed": "failed", "pending": "pending", "succeeded": "ready"}[phase.value]


def test_the_worst_come_first():
    assert KINDS == ("failed", "pending", "unread", "void", "ready")


def test_each_kind_has_a_letter_of_its_own():
    assert len({kind[0] for kind in KINDS}) == len(KINDS)
