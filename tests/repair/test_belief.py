"""The journal is read as what anybody may have written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.data_plane import epoch_seconds, read_node, read_pool
from airflow_batchext.batch.whole_pool import read_whole_pool
from airflow_batchext.emulator import Scenario
from airflow_batchext.exceptions import PoolDocumentError
from airflow_batchext.hooks._node_requests import replace_metadata
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.operators.pool import AzureBatchUpdatePoolOperator
from airflow_batchext.pool_spec._sdk_schema import check_pool
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.repair.belief import bound
from airflow_batchext.repair.journal import (
    ITEM,
    Journal,
    JournalError,
    Record,
    node_key,
    read_journal,
    with_journal,
)
from tests.conftest import document
from tests.repair.conftest import fails, targets
from tests.repair.test_journal import JOURNALS


def forged(**members):
    return read_journal([(ITEM, json.dumps({"v": 1, **members}))])


def test_nobody_keeps_a_pool_for_ever():
    assert forged(by="x", until=1_000_900).is_others("me", 1_000_000)
    assert not forged(by="x", until=10**12).is_others("me", 1_000_000)


def test_texts_of_a_journal_are_cut_and_on_one_line():
    journal = forged(by="x", **{"for": "a\r\n\x1b[31m" * 100}, notes=["b\r\n" * 1000] * 500)
    assert len(journal.by_name) <= 60 + len("… (1,000,000 characters in all)")
    assert len(journal.notes) == 20
    assert all(text.isprintable() for text in (journal.by_name, *journal.notes))


@pytest.mark.parametrize("name", [ITEM, ITEM.upper(), f" {ITEM} "])
@pytest.mark.parametrize("spelt", [str, str.title, str.upper])
def test_no_document_brings_a_journal(azure, name, spelt):
    """To no operator: neither where a pool is created, nor where one without a journal is updated."""
    items = [{"name": "a", "value": "b"}, {spelt("name"): name, "value": "{}"}]
    body = document(1)
    body["properties"][spelt("metadata")] = items
    found = {(f.severity, f.path) for f in check_pool(body, pool_id="p") if "journal" in f.problem}
    assert found == {("error", "properties.metadata[1]")}
    change = {spelt("properties"): {spelt("metadata"): tuple(items)}}
    azure.create(0)
    for document_given in (change, json.dumps(change)):
        update = AzureBatchUpdatePoolOperator(
            task_id="update", pool_id=azure.pool_id, pool_document=document_given
        )
        with pytest.raises(PoolDocumentError, match="journal"):
            update.execute({})
    assert azure.emulator.account.pool(azure.pool_id).definition.properties.get("metadata") in (None, [])


RECORD = ["0123456789", 0, 0, 1, 1, 0, 1, 0, 0]
TOLD = {"failures": ["f"], "owners": ["0123456789ab"]}
ODD_MEMBERS = [
    *((0, odd) for odd in ("../../etc", "\x1b[31m", "0" * 9, "0" * 11, 5, None)),
    *((1, odd) for odd in (-1, 3, "x", None)),
    *((2, odd) for odd in (-1, 1, "x")),
    *((place, odd) for place in (3, 4, 5) for odd in (-9, 10**16, 1e400, "x", None)),
    *((7, odd) for odd in (-1, 1, "x")),
    *((8, odd) for odd in (-1, 7, "x")),
]


@pytest.mark.parametrize(
    "members",
    [
        *({"targets": [n, 0]} for n in (-1, 10**7, 1e308, "x", None, [1])),
        *({"targets": value} for value in ([1], [1, 2, 3], {}, 5, "ab")),
        {"lowered": [[0, -1]]},
        {"rounds": -5},
        {"until": -1},
        {"until": 10**400},
        *({**TOLD, "records": [[*RECORD[:i], odd, *RECORD[i + 1 :]]]} for i, odd in ODD_MEMBERS),
    ],
    ids=lambda members: json.dumps(members)[:60],
)
def test_what_no_repair_would_write_is_not_read(members):
    assert forged(**TOLD, records=[RECORD]).records, "the control"
    with pytest.raises(JournalError):
        forged(**members)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"v":' * 50_000, '{"v":1,"notes":' + "[" * 5000 + "]" * 5000 + "}"]
)
def test_a_bottomless_journal_ends_nothing(text):
    with pytest.raises(JournalError):
        read_journal([(ITEM, text)])
    body = {"metadata": [{"name": ITEM, "value": text}], "targetDedicatedNodes": 1}
    assert read_pool(body).repair_target is None


KEYS = [f"{number:010x}" for number in range(1_000)]
STEPS = ("reboot", "reimage", "replace")


def pool_of(targets, metadata=(), **more):
    body = {
        "id": "p",
        "state": "active",
        "allocationState": "steady",
        "eTag": "0x1",
        "targetDedicatedNodes": targets[0],
        "targetLowPriorityNodes": targets[1],
        "currentDedicatedNodes": targets[0],
        "currentLowPriorityNodes": targets[1],
        "metadata": [{"name": name, "value": value} for name, value in metadata],
        **more,
    }
    return read_whole_pool(body)


POLICIES = st.builds(
    lambda at_once, order: RepairPolicy(at_once=at_once, order=tuple(order)),
    st.one_of(st.floats(0.01, 0.99), st.integers(1, 200)),
    st.lists(st.sampled_from(STEPS), min_size=1, max_size=3, unique=True),
)


@given(
    journal=JOURNALS,
    targets=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    policy=POLICIES,
    away=st.integers(0, 150),
    is_ours=st.booleans(),
    now=st.floats(1_000, 2_000_000_000),
)
def test_targets_are_put_back_as_far_as_nodes_were_taken_away(journal, targets, policy, away, is_ours, now):
    """Whatever a journal says: none fewer than there are, and no more than a repair takes away at once."""
    taken = [Record(key, "replace", "f", 1, 1, 0, is_dedicated=key < KEYS[50]) for key in KEYS[:away]]
    journal.records += taken
    journal.lowered, told = (*journal.lowered, targets) if is_ours else journal.lowered, journal.targets
    before = [r.is_dedicated for r in journal.records if r.step == "replace" and r.state in ("open", "gone")]
    bound(journal, pool_of(targets), policy, now, own_targets=None)
    assert all(max(record.at, record.asked, record.booted) <= now for record in journal.records)
    if targets not in journal.lowered:
        assert journal.targets == told
        return
    back = [after - is_now for after, is_now in zip(journal.targets, targets, strict=True)]
    assert 0 <= back[0] <= max(0, min(told[0] - targets[0], before.count(True)))
    assert 0 <= back[1] <= max(0, min(told[1] - targets[1], before.count(False)))
    assert sum(back) <= 100
    assert not any(back) or sum(back) <= policy.most_at_once(sum(targets) + sum(back))
    assert (journal.targets == told) is not any("borne out" in note for note in journal.notes)


@given(
    nodes=st.tuples(st.integers(0, 60), st.integers(0, 60)).filter(any),
    policy=POLICIES.filter(lambda policy: "replace" in policy.order),
    data=st.data(),
)
def test_what_a_repair_itself_has_written_is_believed(nodes, policy, data):
    """Also by another process: the targets before, whichever nodes were taken."""
    count = data.draw(st.integers(1, min(sum(nodes), policy.most_at_once(sum(nodes)), policy.max_actions)))
    dedicated = data.draw(st.integers(max(0, count - nodes[1]), min(count, nodes[0])))
    lowered = nodes[0] - dedicated, nodes[1] - (count - dedicated)
    records = [
        Record(key, "replace", "f", 1, 1, 0, index < dedicated) for index, key in enumerate(KEYS[:count])
    ]
    journal = Journal("me", "", 0, nodes, (lowered,), records)
    bound(journal, pool_of(lowered), policy, 100, own_targets=None)
    assert (journal.targets, journal.notes) == (nodes, [])


def test_what_this_process_has_written_is_believed_whatever_the_pool_is_like():
    """A pool that never came to its targets may count down from the nodes that it has."""
    records = [Record(KEYS[0], "replace", "f", 1, 1, 0)]
    journal = Journal("me", "", 0, (10, 0), ((5, 0),), records)
    bound(journal, pool_of((5, 0)), RepairPolicy(), 100, own_targets=(10, 0))
    assert (journal.targets, journal.notes) == ((10, 0), [])


def set_journal(azure, journal):
    with AzureBatchNodeHook("official") as hook:
        hook.change(replace_metadata(azure.pool_id, with_journal((), journal)))


@pytest.mark.parametrize("records", [0, 1, 60])
@pytest.mark.parametrize("told", [(5000, 0), (0, 0), (1, 5000), (0, 5000), (10**6, 10**6)])
def test_a_forged_journal_resizes_no_pool(azure, repair, told, records):
    """A real pool, a healthy node: whatever its metadata says, it has one node more at most in the end."""
    azure.create(1)
    taken = [
        Record(key, "replace", "f", 1, 1, 0, state=("open", "gone")[index % 2])
        for index, key in enumerate(KEYS[:records])
    ]
    set_journal(azure, Journal(targets=told, lowered=((1, 0),), records=taken))
    repair(looks=12)
    assert targets(azure) == (2 if records and told[0] > 1 else 1, 0)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("option", ["healthy", "not picked", "not in order", "not named"])
def test_a_forged_journal_has_nothing_done_to_a_node(azure, repair, books, step, option):
    """Not to one that nobody would pick, and not by a step that is not allowed."""
    azure.emulator.scenario = fails({}) if option != "healthy" else Scenario()
    azure.create(2)
    with AzureBatchNodeHook("official") as hook:
        nodes, now = hook.list_nodes(azure.pool_id), int(hook.service_time())
    first, second = (read_node(node) for node in nodes)
    booted = int(epoch_seconds(first.last_boot_time))
    record = Record(node_key(first.id), step, "f", now - 100, now - 100, booted)
    set_journal(azure, Journal(targets=(2, 0), records=[record]))
    others = [other for other in STEPS if other != step]
    policies = {"not picked": {"pick": ["unusable"]}, "not in order": {"order": others, "settle": 10**6}}
    options = {"node_ids": [second.id]} if option == "not named" else {}
    repair(looks=4, policy=policies.get(option), **options)
    assert (step, (first.id,)) not in books.done
    if option == "not picked":  # the control: what the policy picks is asked for again
        repair(looks=4)
        assert (step, (first.id,)) in books.done
