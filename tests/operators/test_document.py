"""The forms of pool_document, through the operator that creates pools, and what is shown of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import yaml
from airflow.sdk import DAG
from azure.mgmt.batch import models

from airflow_batchext.concealment import Concealed
from airflow_batchext.exceptions import ParameterError, PoolDocumentError
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator
from tests.conftest import document

SENTINEL = "s3nt1nel-Zx9"


def create(azure, given, context=None, **kwargs):
    operator = AzureBatchCreatePoolOperator(
        task_id="create", pool_document=given, **{"pool_id": azure.pool_id, **kwargs}
    )
    operator.render_template_fields(context or {})
    return operator, operator.execute(context or {})


def nodes(azure):
    pool = azure.emulator.account.find(azure.pool_id)
    return pool.definition.scale.dedicated


def with_secret(body):
    machine = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine["extensions"][0]["protectedSettings"] = {"key": SENTINEL}
    return body


@pytest.mark.parametrize(
    "write",
    [json.dumps, lambda body: json.dumps(body, indent=1), yaml.safe_dump],
    ids=["line", "json", "yaml"],
)
def test_the_text_of_a_document_is_taken_and_never_shown(azure, write):
    text = write(with_secret(document(3)))
    operator, result = create(azure, text)
    assert result["created"]
    assert nodes(azure) == 3
    assert isinstance(operator.pool_document, Concealed)
    assert SENTINEL not in repr(operator.pool_document)


def test_a_template_that_gives_a_text_is_taken(azure):
    operator, result = create(
        azure, "{{ params.text }}", {"params": {"text": json.dumps(with_secret(document(2)))}}
    )
    assert result["created"]
    assert isinstance(operator.pool_document, Concealed)


def test_templates_in_a_text_are_rendered_once(azure):
    body = document(1)
    body["properties"]["metadata"] = [{"name": "a", "value": "{{ params.x }}"}]
    body["properties"]["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] = "{{ params.n }}"
    with pytest.raises(PoolDocumentError, match=r"metadata\[0\]\.value: this looks like an unrendered"):
        create(azure, json.dumps(body), {"params": {"n": 2, "x": "{{ params.n }}"}})


def test_a_model_of_the_sdk_is_taken_and_its_secrets_are_not_shown(azure):
    pool = models.Pool(with_secret(document(2)))
    operator, result = create(azure, pool)
    assert result["extensions"] == ["secretext"]
    assert nodes(azure) == 2
    assert SENTINEL not in repr(operator.pool_document)
    assert "secretext" in repr(operator.pool_document)


def test_of_a_list_the_pool_of_that_name_is_taken(azure):
    pools = [{**document(1), "name": "another"}, {**document(4), "name": azure.pool_id}]
    create(azure, pools)
    assert nodes(azure) == 4


def test_a_pool_is_chosen_from_a_file_of_several(azure, tmp_path):
    path = tmp_path / "pools.yaml"
    pools = [{**document(1), "name": "another"}, {**document("{{ params.n }}"), "name": azure.pool_id}]
    path.write_text(yaml.safe_dump_all(pools))
    create(azure, str(path), {"params": {"n": 3}})
    assert nodes(azure) == 3


def test_a_choice_that_is_not_clear_is_told_before_anything_is_sent(azure):
    pools = [{**document(1), "name": "one"}, {**document(4), "name": "two"}]
    azure.emulator.requests.clear()
    for pool_id in (None, azure.pool_id):
        with pytest.raises(ParameterError, match="one, two") as caught:
            create(azure, pools, pool_id=pool_id)
        assert "pool_id" in str(caught.value)
    assert not azure.emulator.requests


def test_a_text_that_is_no_document_is_refused_and_not_quoted(azure):
    with pytest.raises(ParameterError, match="line 1, column") as caught:
        create(azure, f'{{"a": {SENTINEL}')
    assert SENTINEL not in str(caught.value)


def test_the_serialized_dag_holds_nothing_of_a_text(azure):
    from tests.airflow_names import DagSerialization

    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        for number, given in enumerate(
            [
                json.dumps(with_secret(document())),
                models.Pool(with_secret(document())),
                [with_secret(document())],
            ]
        ):
            AzureBatchCreatePoolOperator(task_id=f"t{number}", pool_document=given)
    serialized = str(DagSerialization.to_dict(dag))
    assert "t2" in serialized
    assert SENTINEL not in serialized
