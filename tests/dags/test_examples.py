"""What somebody sees of the examples in a list of DAGs tells them apart."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from airflow import sdk

ROOT = Path(__file__).parents[2]
COMMON = "azure batch"


@pytest.fixture(scope="module")
def dags() -> list[Any]:
    """Every DAG that the files of examples make, whether they keep it in a variable or not."""
    made: list[Any] = []

    class Noted(sdk.DAG):
        def __enter__(self) -> Any:
            made.append(self)
            return super().__enter__()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sdk, "DAG", Noted)
        for file in sorted((ROOT / "dags").glob("*.py")):
            run_path(str(file))
    return made


def test_each_says_what_it_is(dags: list[Any]):
    assert len(dags) >= 9
    told = [dag.description or "" for dag in dags]
    assert all(10 < len(text) < 90 for text in told)
    assert len(set(told)) == len(told)
    assert all(dag.doc_md for dag in dags)


def test_tags_tell_them_apart(dags: list[Any]):
    for dag in dags:
        assert COMMON in dag.tags
        assert dag.tags & {"on demand", "scheduled", "started by events"}
    own = [frozenset(dag.tags) for dag in dags]
    assert len(set(own)) == len(own)


def test_the_one_to_try_first_has_no_schedule(dags: list[Any]):
    from airflow_batchext.cli.demo import up

    known = {dag.dag_id: dag for dag in dags}
    named = [word.rpartition("/")[2] for word in up._FIRST.split() if "/dags/" in word]
    assert named[0] == "batch_ephemeral_pool"
    assert "batch_pool_diagnosis" in named
    for name in named:
        assert known[name].schedule is None
