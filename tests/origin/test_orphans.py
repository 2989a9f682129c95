"""Which marked pools are left over."""

from __future__ import annotations

import pytest

from airflow_batchext.origin.mark import Maker, marked
from airflow_batchext.origin.orphans import Run, Verdict, is_ours, judge, read_marked_pool

OURS = "production"


def pool(deployment=OURS, *, state="Succeeded", nodes=(2, 1), created="2026-01-01T00:00:00Z", maker=True):
    properties = {
        "vmSize": "STANDARD_D2S_V3",
        "creationTime": created,
        "provisioningState": state,
        "currentDedicatedNodes": nodes[0],
        "currentLowPriorityNodes": nodes[1],
        "metadata": [{"name": "batchext-run", "value": "{"}],
    }
    body = {"name": "p", "properties": properties}
    return read_marked_pool(marked(body, Maker(deployment, "d", "r", "t", 4)) if maker else body)


@pytest.mark.parametrize(
    ("found", "run", "verdict", "word"),
    [
        (pool(), Run.ENDED, Verdict.ORPHAN, "has ended"),
        (pool(), Run.GONE, Verdict.ORPHAN, "was deleted"),
        (pool(), Run.LIVES, Verdict.USED, "goes on"),
        (pool(), Run.STRANGE, Verdict.UNCLEAR, "no such DAG"),
        (pool(), None, Verdict.UNCLEAR, "did not say"),
        *((pool("staging"), run, Verdict.FOREIGN, "staging") for run in (*Run, None)),
        *((pool(""), run, Verdict.FOREIGN, "without a name") for run in (*Run, None)),
        *((pool(maker=False), run, Verdict.UNCLEAR, "cannot be understood") for run in (*Run, None)),
        *((pool(state="Deleting"), run, Verdict.GOING, "being deleted") for run in (*Run, None)),
    ],
)
def test_only_a_pool_of_ours_whose_run_has_ended_is_left_over(found, run, verdict, word):
    judged, why = judge(found, OURS, run)
    assert (judged, word in why) == (verdict, True), why


@pytest.mark.parametrize("run", [*Run, None])
def test_an_airflow_without_a_name_has_made_none(run):
    assert not is_ours(pool(""), "")
    assert judge(pool(""), "", run)[0] is Verdict.FOREIGN


def test_what_it_costs_is_told_in_node_hours():
    told = pool().to_json(1767225600 + 2.5 * 3600)
    assert (told["hours"], told["node_hours"], told["vm_size"]) == (2.5, 7.5, "STANDARD_D2S_V3")
    assert (told["dedicated_nodes"], told["low_priority_nodes"]) == (2, 1)
    unknown = pool(created="nonsense").to_json(0)
    assert (unknown["hours"], unknown["node_hours"]) == (None, None)


def test_a_pool_without_a_mark_is_none():
    assert read_marked_pool({"name": "p", "properties": {"metadata": [{"name": "a", "value": "b"}]}}) is None


def test_a_mark_says_nothing_that_a_terminal_obeys():
    made = read_marked_pool(marked({"name": "p"}, Maker(OURS, "d\x1b[2J", "r\nx", "t")))
    why = judge(made, OURS, Run.ENDED)[1]
    assert why.isprintable()
