"""Secrets of a document are wrapped where Airflow looks, and whole again where the request is made."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG
from airflow.sdk._shared.secrets_masker import redact
from airflow.serialization.helpers import serialize_template_field

from airflow_batchext.concealment import Concealed, conceal, reveal
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator
from tests.airflow_names import DagSerialization
from tests.conftest import document

SECRET = "pa55word-SENTINEL"


def secret_document(secret=None):
    body = document(1)
    machine = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine["extensions"][0]["protectedSettings"] = secret or {"key": SECRET, "list": [{"deep": SECRET}]}
    body["properties"]["userAccounts"] = [{"name": "u", "password": SECRET}]
    return body


def test_concealing_hides_and_revealing_restores():
    original = secret_document()
    kept = copy.deepcopy(original)
    hidden = conceal(original)
    assert original == kept, "the user's own document is left alone"
    assert SECRET not in repr(hidden)
    assert SECRET not in json.dumps(serialize_template_field(hidden, "pool_document"))
    assert reveal(hidden) == original
    assert reveal(conceal(hidden)) == original, "twice does no harm"


def test_what_is_no_document_is_left_as_it_is():
    template = "{{ ti.xcom_pull('other') }}"
    assert conceal(template) is template
    assert conceal(None) is None
    assert conceal({"protectedSettings": {}}) == {"protectedSettings": {}}


def test_every_leaf_is_masked_in_logs():
    Concealed({"a": [SECRET, {"b": 1234567}], "c": True})
    assert redact(f"the {SECRET} and 1234567") == "the *** and ***"


def test_a_rendered_value_is_masked_too():
    holder = Concealed("{{ template }}")
    holder.value = "rendered-SENTINEL"
    assert redact("the rendered-SENTINEL") == "the ***"
    assert (str(holder), repr(holder), holder.serialize()) == ("***",) * 3


@pytest.mark.parametrize("mapped", [False, True])
def test_the_serialized_dag_has_no_secret(mapped):
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        if mapped:
            hidden = conceal(secret_document())
            AzureBatchCreatePoolOperator.partial(task_id="t").expand(pool_document=[hidden])
            AzureBatchCreatePoolOperator.partial(task_id="u", pool_document=hidden).expand(pool_id=["a"])
        else:
            AzureBatchCreatePoolOperator(task_id="t", pool_document=secret_document())
    serialized = json.dumps(DagSerialization.serialize_dag(dag), default=str)
    assert "secretext" in serialized
    assert SECRET not in serialized


def test_a_document_from_an_upstream_task_keeps_its_dependency():
    from airflow.sdk import task

    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

        @task
        def make():
            return {}

        AzureBatchCreatePoolOperator(task_id="t", pool_document=make())
    assert dag.get_task("t").upstream_task_ids == {"make"}
