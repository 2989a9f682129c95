"""Whoever writes into what a document is rendered from reads none of the worker's secrets by it."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime

import pytest
import yaml
from airflow.sdk import DAG
from airflow.sdk._shared.secrets_masker import redact

from airflow_batchext.concealment import conceal
from airflow_batchext.exceptions import ParameterError, PoolDocumentError
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators.diagnose import AzureBatchDiagnosePoolOperator
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator, AzureBatchUpdatePoolOperator
from airflow_batchext.secret_references import from_connection, from_environment, from_variable
from tests.conftest import document

pytestmark = pytest.mark.usefixtures("signed_in")

SECRET = "pa55word-SENTINEL"
_numbers = itertools.count()
REFERENCES = [from_environment("OF_THE_WORKER"), from_connection("vault"), from_variable("token_of_ours")]


@pytest.fixture(autouse=True)
def _places(monkeypatch):
    vault = {"conn_type": "generic", "login": "me", "password": SECRET, "extra": {"api_key": f"x-{SECRET}"}}
    monkeypatch.setenv("AIRFLOW_CONN_VAULT", json.dumps(vault))
    monkeypatch.setenv("AIRFLOW_VAR_TOKEN_OF_OURS", SECRET)
    monkeypatch.setenv("AIRFLOW_VAR_NODES", "3")
    monkeypatch.setenv("OF_THE_WORKER", SECRET)


@pytest.fixture
def sent(monkeypatch):
    """The bodies of the pools that were created."""
    bodies, put = [], AzureBatchPoolHook.create_pool

    def seen(self, pool_id, body, **options):
        bodies.append(body)
        return put(self, pool_id, body, **options)

    monkeypatch.setattr(AzureBatchPoolHook, "create_pool", seen)
    return bodies


def protecting(value):
    body = document(1)
    machine = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine["extensions"][0]["protectedSettings"] = value
    return body


def protected(body):
    machine = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    return machine["extensions"][0]["protectedSettings"]


def run(operator, conf=None, **context):
    context = {"params": conf or {}, "dag_run": {"conf": conf or {}}, **context}
    operator.render_template_fields(context)
    return operator.execute(context)


def creating(azure, given, **options):
    name = f"{azure.pool_id}-{next(_numbers)}"
    return AzureBatchCreatePoolOperator(task_id="t", pool_id=name, pool_document=given, **options)


class FromElsewhere:
    """The ways in which somebody else's text, or value, becomes the document or a part of it."""

    @staticmethod
    def whole_text(azure, body, **options):
        return creating(azure, "{{ dag_run.conf.body }}", **options), {"body": json.dumps(body)}

    @staticmethod
    def yaml_text(azure, body, **options):
        return creating(azure, "{{ params.body }}", **options), {"body": yaml.safe_dump(body)}

    @staticmethod
    def native_value(azure, body, **options):
        with DAG("d", start_date=datetime(2026, 1, 1, tzinfo=UTC), render_template_as_native_obj=True):
            return creating(azure, "{{ dag_run.conf.body }}", **options), {"body": body}

    @staticmethod
    def native_part(azure, body, **options):
        with DAG("d", start_date=datetime(2026, 1, 1, tzinfo=UTC), render_template_as_native_obj=True):
            given = {**document(1), "properties": "{{ params.part }}"}
            return creating(azure, given, **options), {"part": body["properties"]}

    @staticmethod
    def injected(azure, body, **options):
        text = "name: {{ params.name }}\ntags: {a: b}\n"
        rest = "".join(f"\n{member}: {json.dumps(value)}" for member, value in body.items())
        return creating(azure, text, **options), {"name": azure.pool_id + rest}

    @staticmethod
    def name_in_reference(azure, body, **options):
        text = json.dumps(body)
        for named in ("OF_THE_WORKER", "vault", "token_of_ours"):
            text = text.replace(f'"{named}"', '"{{ params.named }}"')
            if "params" in text:
                return creating(azure, json.loads(text), **options), {"named": named}
        raise AssertionError(text)


WAYS = [getattr(FromElsewhere, name) for name in vars(FromElsewhere) if not name.startswith("__")]


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: next(iter(reference["$secret"])))
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_was_rendered_refers_to_nothing_unless_the_author_says_so(azure, sent, way, reference, capsys):
    operator, conf = way(azure, protecting({"key": reference}))
    with pytest.raises(ParameterError) as caught:
        run(operator, conf)
    assert "came out of a template" in str(caught.value)
    assert "rendered_references=True" in str(caught.value)
    assert "SENTINEL" not in str(caught.value) + capsys.readouterr().out
    assert not sent
    operator, conf = way(azure, protecting({"key": reference}), rendered_references=True)
    run(operator, conf)
    assert protected(sent[0]) == {"key": SECRET}
    assert redact(f"said {SECRET}") == "said ***"


@pytest.mark.parametrize("trusting", [False, True])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("place", ["metadata", "environment", "displayName", "settings"])
def test_nothing_is_looked_up_for_where_azure_shows_it(azure, sent, way, place, trusting):
    body, reference = document(1), from_environment("OF_THE_WORKER")
    properties = body["properties"]
    if place == "metadata":
        properties["metadata"] = [{"name": "password", "value": reference}]
    elif place == "environment":
        start = {"commandLine": "true", "environmentSettings": [{"name": "A", "value": reference}]}
        properties["startTask"] = start
    elif place == "displayName":
        properties["displayName"] = reference
    else:
        machine = properties["deploymentConfiguration"]["virtualMachineConfiguration"]
        machine["extensions"][0]["settings"] = {"workspaceKey": reference}
    operator, conf = way(azure, body, rendered_references=trusting)
    with pytest.raises(PoolDocumentError, match="a secret is referred to where everybody") as caught:
        run(operator, conf)
    assert "SENTINEL" not in str(caught.value)
    assert not sent
    existing = creating(azure, document(1))
    existing.execute({})
    part = AzureBatchUpdatePoolOperator(task_id="u", pool_id=existing.pool_id, pool_document=body)
    with pytest.raises(PoolDocumentError, match="a secret is referred to where everybody"):
        run(part)


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: next(iter(reference["$secret"])))
def test_what_the_author_wrote_is_looked_up(azure, sent, reference, tmp_path):
    body = protecting({"key": reference, "other": "{{ params.x }}"})
    run(creating(azure, body), {"x": "1"})
    run(creating(azure, [{**body, "name": azure.pool_id}]), {"x": "1"})
    mixed = protecting({"key": reference, "literal": "something secret"})
    run(creating(azure, conceal(mixed)))
    run(creating(azure, json.dumps(protecting({"key": reference}))))
    file = tmp_path / "pool.yaml"
    file.write_text(yaml.safe_dump(protecting({"key": reference})))
    run(creating(azure, str(file)))
    assert [protected(body)["key"] for body in sent] == [SECRET] * 5


def test_a_file_with_templates_or_one_that_was_chosen_elsewhere_needs_the_authors_word(azure, sent, tmp_path):
    plain, rendered = tmp_path / "plain.yaml", tmp_path / "rendered.yaml"
    plain.write_text(yaml.safe_dump(protecting({"key": REFERENCES[0]})))
    rendered.write_text(yaml.safe_dump({**protecting({"key": REFERENCES[0]}), "name": "{{ params.name }}"}))
    cases = [(str(rendered), {"name": azure.pool_id}), ("{{ params.path }}", {"path": str(plain)})]
    for given, conf in cases:
        with pytest.raises(ParameterError, match="came out of a template"):
            run(creating(azure, given), conf)
        run(creating(azure, given, rendered_references=True), conf)
    assert len(sent) == 2


SECRETS_IN_TEMPLATES = [
    "{{ conn.vault.password }}",
    '{{ conn.get("vault").password }}',
    "{{ conn.vault.extra_dejson.api_key }}",
    "{{ conn.vault.extra | tojson | b64 }}",
    "{{ var.value.token_of_ours }}",
    '{{ var.value.get("token_of_ours") }}',
    "before {{ conn.vault.password }} behind",
    "{% set it = conn.vault %}{{ it.password }}",
]


@pytest.fixture
def accessors():
    from airflow.sdk.execution_time.context import ConnectionAccessor, VariableAccessor

    return {"conn": ConnectionAccessor(), "var": {"value": VariableAccessor(deserialize_json=False)}}


@pytest.mark.parametrize("template", [t for t in SECRETS_IN_TEMPLATES if "b64" not in t])
@pytest.mark.parametrize("place", ["displayName", "metadata"])
def test_a_file_cannot_put_a_secret_of_airflow_where_azure_shows_it(
    azure, sent, template, place, tmp_path, accessors
):
    file, body = tmp_path / "pool.yaml", document(1)
    body["properties"][place] = template if place == "displayName" else [{"name": "a", "value": template}]
    file.write_text(yaml.safe_dump(body, width=1000))
    with pytest.raises(PoolDocumentError, match="where everybody who may read the pool sees it") as caught:
        run(creating(azure, str(file)), **accessors)
    assert "SENTINEL" not in str(caught.value)
    assert "of connection 'vault'" in str(caught.value) or "Variable 'token_of_ours'" in str(caught.value)
    assert not sent
    file.write_text(yaml.safe_dump(protecting({"key": template}), width=1000))
    run(creating(azure, str(file)), **accessors)
    assert SECRET in protected(sent[0])["key"]


def test_what_is_no_secret_of_airflow_may_stand_anywhere(azure, sent, tmp_path, accessors):
    file, body = tmp_path / "pool.yaml", document("{{ var.value.nodes }}")
    body["properties"]["displayName"] = "for {{ conn.vault.login }}"
    file.write_text(yaml.safe_dump(body))
    run(creating(azure, str(file)), **accessors)
    assert sent[0]["properties"]["displayName"] == "for me"


def mapped(azure, conf, **how):
    """Run a mapped task in Airflow's own way, each of its instances."""
    with DAG("d", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None) as dag:
        partial = {name[2:]: value for name, value in how.items() if name.startswith("p_")}
        expand = {name: value for name, value in how.items() if not name.startswith("p_")}
        AzureBatchCreatePoolOperator.partial(task_id="t", **partial).expand(**expand)
    task = dag.get_task("t")
    for index in range(len(next(iter(expand.values())))):
        operator = task.unmap({name: values[index] for name, values in expand.items()})
        run(operator, conf)


def test_of_a_mapped_task_what_stands_in_partial_and_expand_is_the_authors(azure, sent):
    body = protecting({"key": REFERENCES[0]})
    mapped(azure, {}, p_pool_document=body, pool_id=[f"{azure.pool_id}-a"])
    mapped(azure, {}, p_pool_id=f"{azure.pool_id}-b", pool_document=[body])
    mapped(azure, {}, p_pool_id=f"{azure.pool_id}-c", pool_document=[conceal(body)])
    assert [protected(body)["key"] for body in sent] == [SECRET] * 3


def test_of_a_mapped_task_what_came_in_an_xcom_is_not(azure, sent):
    with DAG("d", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None) as dag:
        from airflow.sdk import task

        @task
        def made():
            return []

        AzureBatchCreatePoolOperator.partial(task_id="t", pool_id=azure.pool_id).expand(pool_document=made())
    operator = dag.get_task("t").unmap({"pool_document": protecting({"key": REFERENCES[0]})})
    with pytest.raises(ParameterError, match="a mapped value or an XCom"):
        run(operator)
    assert not sent


def test_a_container_for_logs_is_referred_to_by_the_author_alone(azure):
    existing = creating(azure, document(1))
    existing.execute({})
    with DAG("d", start_date=datetime(2026, 1, 1, tzinfo=UTC), render_template_as_native_obj=True):
        options = {"task_id": "t", "pool_id": existing.pool_id}
        whole = AzureBatchDiagnosePoolOperator(**options, logs_container="{{ params.it }}")
        named = {"$secret": {"variable": "{{ params.it }}"}}
        part = AzureBatchDiagnosePoolOperator(**{**options, "task_id": "u"}, logs_container=named)
    for operator, value in ((whole, REFERENCES[2]), (part, "token_of_ours")):
        with pytest.raises(ParameterError, match="logs_container: the reference to a secret came out of"):
            run(operator, {"it": value})
