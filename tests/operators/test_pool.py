"""Creating pools as tasks, on the emulator; test_create_existing has those that exist already."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from airflow.sdk import DAG

from airflow_batchext.emulator import Scenario
from airflow_batchext.exceptions import ParameterError, PoolDocumentError, ServiceError
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator
from tests.conftest import document, own_connection

pytestmark = pytest.mark.usefixtures("signed_in")

EXAMPLES = Path(__file__).parent.parent.parent / "dags"


def create(azure, pool_document, context=None, **kwargs):
    kwargs.setdefault("pool_id", azure.pool_id)
    task = AzureBatchCreatePoolOperator(task_id="create", pool_document=pool_document, **kwargs)
    return task.execute(context or {})


def exists(pool_id):
    with AzureBatchPoolHook() as hook:
        return hook.get_pool(pool_id)["properties"]


class TestCreate:
    def test_creates_and_tells_what_is_there(self, azure):
        result = create(azure, document(2))
        assert result.pop("pool_created").startswith("20")
        assert result.pop("etag").startswith("W/")
        assert result == {
            "pool_id": azure.pool_id,
            "action": "created",
            "created": True,
            "differences": [],
            "provisioning_state": "Succeeded",
            "allocation_state": "Resizing",
            "extensions": ["secretext"],
        }

    def test_the_pool_gets_its_identity(self, azure):
        create(azure, document(1))
        with AzureBatchPoolHook() as hook:
            identity = hook.get_pool(azure.pool_id)["identity"]
        assert identity["type"] == "UserAssigned"
        assert set(identity["userAssignedIdentities"]) == set(
            document()["identity"]["userAssignedIdentities"]
        )

    @pytest.mark.parametrize("answer", ["ConditionNotMet", "PoolExists"])
    def test_an_existing_pool_is_adopted_and_a_retry_too(self, azure, answer, capsys):
        azure.emulator.scenario = Scenario(answers={"existing_pool": answer})
        first = create(azure, document(1))
        again = create(azure, document(1))
        assert again == {**first, "action": "adopted", "created": False}
        assert "exists already" in capsys.readouterr().out

    def test_a_worker_lost_after_the_put_is_made_good_by_the_retry(self, azure, monkeypatch):
        put = AzureBatchPoolHook.create_pool

        def put_and_die(*args, **kwargs):
            put(*args, **kwargs)
            raise KeyboardInterrupt

        monkeypatch.setattr(AzureBatchPoolHook, "create_pool", put_and_die)
        with pytest.raises(KeyboardInterrupt):
            create(azure, document(1))
        monkeypatch.undo()
        azure.connect("azure_batchext_default", own_connection(azure.emulator))
        assert create(azure, document(1))["created"] is False

    def test_errors_are_told_together_and_nothing_is_sent(self, azure):
        body = document(1)
        (extension,) = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"][
            "extensions"
        ]
        extension |= {"type": "CustomScript", "settings": "{}"}
        azure.emulator.requests.clear()
        with pytest.raises(PoolDocumentError) as caught:
            create(azure, body)
        assert not azure.emulator.requests
        text = str(caught.value)
        assert text.startswith("pool_document: 2 errors; nothing was sent to Azure.")
        base = "properties.deploymentConfiguration.virtualMachineConfiguration.extensions[0]"
        assert f"error at {base}.type:" in text
        assert f"error at {base}.settings:" in text

    def test_warnings_are_logged_and_the_pool_is_made(self, azure, capsys):
        body = document(1)
        del body["identity"]
        assert create(azure, body)["created"]
        assert "warning at " in capsys.readouterr().out

    def test_numbers_that_jinja_made_texts_are_numbers_again(self, azure):
        body = document()
        body["properties"]["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] = "3"
        create(azure, body)
        assert exists(azure.pool_id)["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] == 3

    def test_what_azure_refuses_is_an_error_with_its_words(self, azure):
        body = document(1)
        body["properties"]["interNodeCommunication"] = "Sometimes"
        with pytest.raises(ServiceError, match="interNodeCommunication"):
            create(azure, body)

    def test_the_documents_name_serves_where_no_pool_id_is_given(self, azure):
        assert create(azure, {**document(1), "name": azure.pool_id}, pool_id=None)["pool_id"] == azure.pool_id


class TestDocumentFile:
    @pytest.fixture
    def dag(self, tmp_path):
        return DAG(
            "d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC),
            template_searchpath=[str(tmp_path)],
        )  # fmt: skip

    @pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
    def test_json_and_yaml_are_rendered_and_read(self, azure, dag, tmp_path, suffix):
        body = document()
        body["properties"]["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] = "{{ params.nodes }}"
        dump = json.dumps if suffix == ".json" else yaml.safe_dump
        (tmp_path / f"pool{suffix}").write_text(dump(body))
        with dag:
            create(azure, f"pool{suffix}", {"params": {"nodes": 4}})
        assert exists(azure.pool_id)["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] == 4

    def test_an_absolute_path_needs_no_dag(self, azure):
        path = EXAMPLES / "pools" / "keyvault_almalinux.json"
        create(azure, str(path), {"params": {}})
        machine = exists(azure.pool_id)["deploymentConfiguration"]["virtualMachineConfiguration"]
        assert machine["imageReference"]["publisher"] == "almalinux"

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            ("pool.txt", "{}", "ends in .json, .yaml, .yml"),
            ("missing.json", None, "cannot be read"),
            ("bad.json", '{"a": SENTINEL}', "bad.json"),
            ("list.yaml", "- SENTINEL", "list.yaml"),
            ("template.json", "{{ SENTINEL", "template.json"),
            ("undefined.json", "{{ nothing.at.all }}", "undefined.json"),
            ("latin.json", b'{"a": "\xe4SENTINEL"}', "latin.json"),
        ],
    )
    def test_a_file_that_cannot_be_used_is_named_and_not_quoted(self, azure, dag, tmp_path, name, text, said):
        if text is not None:
            (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        azure.emulator.requests.clear()
        with dag, pytest.raises(ParameterError, match=said) as caught:
            create(azure, name)
        assert "SENTINEL" not in str(caught.value)
        assert not azure.emulator.requests

    @pytest.mark.parametrize("name", ["keyvault_ubuntu.json", "keyvault_almalinux.json"])
    def test_the_shipped_documents_make_pools_without_a_warning(self, azure, capsys, name):
        create(azure, str(EXAMPLES / "pools" / name), {"params": {"nodes": 2}})
        assert "warning at" not in capsys.readouterr().out
        assert exists(azure.pool_id)["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] == 2


def test_the_pools_id_is_an_xcom_of_its_own(azure):
    pushed = {}
    ti = SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        task = AzureBatchCreatePoolOperator(task_id="c", pool_id=azure.pool_id, pool_document=document(1))
    argument = task.output["pool_id"]
    assert task.execute({"ti": ti})["pool_id"] == pushed[argument.key] == azure.pool_id
