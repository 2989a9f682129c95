"""Ids of nodes as people read them: short, unambiguous, and the same each time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.node_names import short_id, shortened

DIGITS = "0123456789abcdef" * 4


def node(start: str, end: str = "d") -> str:
    return f"tvmps_{(start + DIGITS)[:64]}_{end}"


def test_azures_ids_are_cut_to_eight_digits():
    assert short_id(node("fedcba98")) == "tvmps_fedcba98…_d"
    assert short_id(node("fedcba98", "p")) == "tvmps_fedcba98…_p"


def test_those_that_begin_alike_are_cut_later():
    ids = [node("00000000a"), node("00000000b"), node("1")]
    text = " and ".join(ids)
    assert shortened(text, ids) == "tvmps_00000000a…_d and tvmps_00000000b…_d and tvmps_10123456…_d"


def test_short_ids_and_other_words_stay_as_they_are():
    text = f"node vm-1 says Microsoft_Azure_KeyVault_KeyVaultForLinux of {DIGITS}"
    assert shortened(text, ["vm-1", node("1")]) == text


names = st.text("ab_-0", min_size=1, max_size=60)


@given(st.sets(names | st.sampled_from([node(d) for d in "0a"] + [node("0", "p")]), min_size=1))
def test_no_two_nodes_of_a_pool_read_alike(ids):
    read = [shortened(node_id, ids) for node_id in ids]
    assert len(set(read)) == len(ids)
    assert read == [short_id(node_id, ids) for node_id in ids]
    for long, short in zip(ids, read, strict=True):
        begin, _, end = short.partition("…")
        assert long.startswith(begin)
        assert long.endswith(end)
        assert [other for other in ids if "…" in short and other.startswith(begin)] in ([], [long])
