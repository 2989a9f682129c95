"""What somebody sees of the examples in a list of DAGs tells them apart."""

from __future__ import annotations

import ast
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from airflow import sdk
from jinja2 import meta, nodes

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


#: What a run that is asked for without a logical date has not; its templates would fail.
OF_A_DATE = {"logical_date", "ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"} | {
    "data_interval_start", "data_interval_end", "task_instance_key_str",
}  # fmt: skip


@pytest.mark.parametrize("file", sorted((ROOT / "dags").glob("*.py")), ids=lambda file: file.stem)
def test_what_its_templates_name_is_there_in_a_run_on_demand(file: Path):
    env = sdk.DAG("d").get_template_env()
    written = list(ast.walk(ast.parse(file.read_text())))
    texts = [node.value for node in written if isinstance(node, ast.Constant)]
    templates = [text for text in texts if isinstance(text, str) and ("{{" in text or "{%" in text)]
    assert templates or "{{" not in file.read_text()
    for template in map(env.parse, templates):
        members = {node.attr for node in template.find_all(nodes.Getattr)}
        assert not (meta.find_undeclared_variables(template) | members) & OF_A_DATE, template
    # What a function of a task asks Airflow for.
    assert not {node.arg for node in written if isinstance(node, ast.arg)} & OF_A_DATE
