"""The journal is read as what anybody may have written."""

from __future__ import annotations

import json

import pytest

from airflow_batchext.pool_spec._sdk_schema import check_pool
from airflow_batchext.repair.journal import ITEM, read_journal
from tests.conftest import document


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
def test_no_document_brings_a_journal(name):
    body = document(1)
    body["properties"]["metadata"] = [{"name": "a", "value": "b"}, {"name": name, "value": "{}"}]
    (found,) = [f for f in check_pool(body, pool_id="p") if "journal" in f.problem]
    assert (found.severity, found.path) == ("error", "properties.metadata[1]")
