"""The page's picture is the report's: of the same pool both show the same of each node and extension."""

from __future__ import annotations

import time
import weakref
from dataclasses import replace

import pytest

from airflow_batchext.diagnosis import _picture
from airflow_batchext.hooks._drivers.gate import look
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.live.form import LETTERS
from airflow_batchext.live.picture import draw, look_of
from airflow_batchext.rules.gate import NodeReport, Outcome, Verdict
from airflow_batchext.rules.watch import Watch
from tests.diagnosis.faults import FAULTS, produce

pytestmark = pytest.mark.usefixtures("signed_in")

NAME_OF = {letter: kind for kind, letter in LETTERS.items()}


def watched(pool_id):
    """A whole look at a pool, and what is remembered of it."""
    watch = Watch(pool_id, notice_seconds=0.0)
    with AzureBatchNodeHook() as hook:
        return watch, look(hook, watch, whole=True)


@pytest.mark.parametrize("cause", FAULTS)
def test_of_each_known_trouble_both_show_the_same(azure, cause):
    health = produce(azure, FAULTS[cause], 3)
    watch, verdict = watched(health.id)
    picture = draw(verdict, watch.seen(), time.time())
    report = _picture.fields(health) if not health.unread else []
    if not picture.fields:
        # A gate that fails for the pool itself has read no nodes.
        assert not verdict.nodes
        return
    page = {
        field.name or "nodes": {kind: field.cells.count(letter) for letter, kind in NAME_OF.items()}
        for field in picture.fields
    }
    assert page == {field.name: dict.fromkeys(NAME_OF.values(), 0) | dict(field.counts) for field in report}
    # And node by node, of those that are told in detail.
    for node in picture.nodes:
        there = health.node(node.id)
        assert there is not None
        assert node.kind == _picture._of_node(there).kind
        assert {each.name: each.kind for each in node.extensions} == {
            field.name: _picture._of_extension(health, there, field.name).kind for field in report[1:]
        }


def test_the_fields_have_the_worst_first_and_the_details_in_their_order(azure):
    azure.create(6)
    account = azure.emulator.account
    account.set_extension(azure.pool_id, 4, "secretext", outcome="fail", code="7", message="no vault")
    account.preempt_node(azure.pool_id, 2)
    watch, verdict = watched(azure.pool_id)
    at = time.time()
    picture = draw(verdict, watch.seen(), at)
    assert picture.fields[0].cells == "fvrrrr"
    assert next(field.cells for field in picture.fields if field.name == "secretext") == "fvrrrr"
    assert [node.kind for node in picture.nodes] == ["failed", "void"]
    assert (picture.counts.ready, picture.counts.pending, picture.counts.failed) == (4, 1, 1)
    failed, void = picture.nodes
    assert (failed.extensions[0].code, failed.extensions[0].message) == (
        "ProvisioningState/failed/7",
        "no vault",
    )
    assert picture.ages[1] is None
    later = draw(verdict, watch.seen(), at + 3_600)
    assert later.ages == picture.ages, "however the clocks differ"
    assert void.read is None
    assert at - 60 < failed.read <= at
    assert failed.since <= at + 1


def test_one_look_is_drawn_once_for_all_that_share_it(azure):
    azure.create(2)
    watch, verdict = watched(azure.pool_id)
    first = look_of(verdict, watch, 1.0)
    assert look_of(verdict, watch, 2.0).picture() is first.picture()
    assert look_of(replace(verdict), watch, 1.0).picture() is not first.picture()


def test_what_nobody_is_told_any_more_is_not_kept(azure):
    azure.create(2)
    watch, verdict = watched(azure.pool_id)
    look = look_of(verdict, watch, 1.0)
    look.picture()
    gone = [weakref.ref(each) for each in (watch, look)]
    del watch, verdict, look
    assert [each() for each in gone] == [None, None]


def test_a_look_was_made_when_the_first_one_was_told(azure):
    azure.create(2)
    watch, verdict = watched(azure.pool_id)
    looks = [look_of(verdict, watch, now) for now in (5.0, 30.0)]
    assert [look.at for look in looks] == [5.0, 5.0]
    assert look_of(replace(verdict), watch, 40.0).at == 40.0, "another one"


def test_who_has_read_no_nodes_counts_none():
    watch = Watch("p")
    nodes = {
        "up": NodeReport("idle", {}),
        "bad": NodeReport("idle", {}, failed=("agent failed",)),
        "late": NodeReport("starting", {}, missing=("agent is transitioning",)),
        "later": NodeReport("starting", {}, missing=("agent is transitioning",)),
    }
    for verdict, counts in (
        (Verdict(Outcome.WAIT, ("the pool could not be read",), unread=True), None),
        (Verdict(Outcome.WAIT, ("2 of 2 nodes are not there yet",), needed=2), (0, 0)),
        (Verdict(Outcome.WAIT, ("1 node failed",), nodes=nodes), (1, 1)),
    ):
        look = look_of(verdict, watch, 1.0)
        assert (look.knows_nodes, look.counts) == (counts is not None, counts)


def test_of_what_is_not_known_there_is_no_picture(azure):
    watch, verdict = watched("no-such-pool")
    picture = look_of(verdict, watch, 1.0).picture()
    assert picture.fields == picture.nodes == picture.ages == ()
