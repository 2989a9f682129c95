"""Secrets by reference are looked up at the last moment, shown as references, and never lost or leaked."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from unittest import mock

import pytest
from airflow.sdk import DAG
from airflow.sdk._shared.secrets_masker import redact
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.concealment import conceal, literal_secrets, reveal
from airflow_batchext.exceptions import ParameterError, PoolDocumentError
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator
from airflow_batchext.pool_spec._sdk_schema import check_pool
from airflow_batchext.secret_references import (
    from_connection,
    from_environment,
    from_variable,
    look_up_secrets,
)
from tests.airflow_names import DagSerialization
from tests.conftest import document

SECRET = "pa55word-SENTINEL"


@pytest.fixture(autouse=True)
def _places(monkeypatch):
    vault = {"conn_type": "generic", "password": f"c-{SECRET}", "extra": {"workspace": f"x-{SECRET}"}}
    monkeypatch.setenv("AIRFLOW_CONN_VAULT", json.dumps(vault))
    monkeypatch.setenv("AIRFLOW_VAR_FROM_VARIABLE", f"v-{SECRET}\nsecond-SENTINEL-line")
    monkeypatch.setenv("FROM_ENVIRONMENT", f"e-{SECRET}")


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        (from_connection("vault"), f"c-{SECRET}"),
        (from_connection("vault", "extra.workspace"), f"x-{SECRET}"),
        (from_variable("from_variable"), f"v-{SECRET}\nsecond-SENTINEL-line"),
        (from_environment("FROM_ENVIRONMENT"), f"e-{SECRET}"),
    ],
)
def test_each_place_is_looked_up_and_masked(reference, value):
    json.dumps(reference)
    kept = {"protectedSettings": {"key": reference, "other": [1, reference]}, "settings": {"a": None}}
    found = look_up_secrets(kept)
    assert found == {"protectedSettings": {"key": value, "other": [1, value]}, "settings": {"a": None}}
    assert kept["protectedSettings"]["key"] is reference, "the user's own document is left alone"
    for line in value.splitlines():
        assert redact(f"the {line}") == "the ***"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({"$secret": {"connection": "nowhere"}}, "field 'password' of connection 'nowhere' is not there"),
        (from_connection("vault", "login"), "field 'login' of connection 'vault' is not there or empty"),
        (from_connection("vault", "extra.none"), "field 'extra.none' of connection 'vault'"),
        (from_variable("none"), "Airflow Variable 'none' is not there"),
        (from_environment("NOWHERE"), "environment variable 'NOWHERE' of the worker is not there"),
    ],
)
def test_what_leads_nowhere_is_told_with_its_path(reference, said):
    with pytest.raises(
        ParameterError, match=rf"^extensions\[0\]\.protectedSettings\.key: .*{said}"
    ) as caught:
        look_up_secrets({"extensions": [{"protectedSettings": {"key": reference}}]})
    assert "SENTINEL" not in str(caught.value)


#: References that are written wrongly, and what is said of them.
MALFORMED = [
    ({"$secret": {"vault": "x"}}, r"\$secret is none of \{"),
    ({"$secret": {"conection": "x"}}, r"\$secret is none of \{"),
    ({"$secret": {"variable": "a", "connection": "b"}}, r"\$secret is none of"),
    ({"$secret": {"variable": "a", "field": "login"}}, r"\$secret is none of"),
    ({"$secret": {"variable": ["a"]}}, r"\$secret is none of"),
    ({"$secret": SECRET}, r"\$secret is none of"),
    ({"$secret": None}, r"\$secret is none of"),
    ({"$secret": {"variable": " "}}, r"\$secret names nothing"),
    ({"$secret": {"connection": "vault", "field": "schema"}}, "'schema' is no field of a connection"),
    ({"$secret": {"connection": "vault", "field": "extra."}}, r"'extra\.' is no field of a connection"),
    ({"$secret": {"connection": "vault", "field": 5}}, "'5' is no field of a connection"),
    ({"$secret": {"variable": "a"}, "default": SECRET}, r"beside \$secret stands 'default'"),
    ({"note": "", "$secret": {"variable": "a"}}, r"beside \$secret stands 'note'"),
    *(
        ({name: {"variable": "a"}}, "is no reference to a secret")
        for name in ("$Secret", "$SECRET", "$secrets")
    ),
    *(
        ({name: {"variable": "a"}}, "is no reference to a secret")
        for name in ("$Secret", "$SECRET", "$secrets", "$$secret", "$secret_ref")
    ),
    ({"$secret": SECRET, "x": 1}, r"beside \$secret stands 'x'"),
]


@pytest.mark.parametrize(("reference", "said"), MALFORMED)
def test_what_is_written_wrongly_is_told_when_the_dag_is_parsed_when_it_is_checked_and_when_it_is_sent(
    azure, reference, said
):
    body = with_secret({"key": reference})
    where = r".*extensions\[0\]\.protectedSettings\.key"
    for ways in (
        lambda: look_up_secrets(body),
        lambda: AzureBatchCreatePoolOperator(task_id="t", pool_id="p", pool_document=body),
    ):
        with pytest.raises(ParameterError, match=rf"{where}: .*{said}") as caught:
            ways()
        assert "SENTINEL" not in str(caught.value)
    findings = [f for f in check_pool(body) if f.severity == "error"]
    assert [re.search(said, str(finding)) for finding in findings if re.search(where, finding.path)]
    # A text may be a template: it is known only on the worker.
    late = AzureBatchCreatePoolOperator(task_id="t", pool_id=azure.pool_id, pool_document=json.dumps(body))
    with pytest.raises(PoolDocumentError, match=said) as caught:
        late.execute({})
    assert "SENTINEL" not in str(caught.value)
    assert not azure.reads(azure.pool_id)


@pytest.mark.parametrize(
    "make",
    [
        lambda: from_connection("vault", "schema"),
        lambda: from_connection("", "login"),
        lambda: from_variable(""),
        lambda: from_environment(" "),
        lambda: from_variable(5),
    ],
)
def test_a_reference_that_cannot_be_is_none(make):
    with pytest.raises(ParameterError, match=r"give|none of|has to be a text"):
        make()


@pytest.mark.parametrize(
    "reference",
    [from_connection("{{ var.value.vault }}", "{{ params.field }}"), from_variable("{{ params.name }}")],
)
def test_templates_in_a_reference_are_not_known_yet(reference):
    AzureBatchCreatePoolOperator(task_id="t", pool_id="p", pool_document=with_secret({"key": reference}))


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(min_size=1),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ).filter(lambda value: value is not None)
)
@settings(max_examples=20)  # Airflow takes its time to find a connection
def test_what_is_no_text_in_an_extra_is_passed_on_as_its_json(value):
    extra = json.dumps({"conn_type": "generic", "extra": {"given": value}})
    with mock.patch.dict("os.environ", {"AIRFLOW_CONN_JSON": extra}):
        found = look_up_secrets(from_connection("json", "extra.given"), "k")
    assert (found if isinstance(value, str) else json.loads(found)) == value


@pytest.mark.parametrize(
    ("broken", "reference", "what"),
    [
        ("airflow.sdk.BaseHook.get_connection", from_connection("vault"), "connection 'vault'"),
        ("airflow.sdk.Variable.get", from_variable("key"), "Airflow Variable 'key'"),
    ],
)
def test_what_cannot_be_read_is_told_apart_from_what_is_not_there(broken, reference, what, monkeypatch):
    def fails(*_, **__):
        raise ConnectionError("SENTINEL")  # Airflow's API server is away; it cannot be had away here

    monkeypatch.setattr(broken, fails)
    with pytest.raises(
        ParameterError, match=rf"^key: {what}.* could not be read \(ConnectionError\)"
    ) as caught:
        look_up_secrets({"key": reference})
    assert "SENTINEL" not in str(caught.value)


def with_secret(value):
    body = document(1)
    machine = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine["extensions"][0]["protectedSettings"] = value
    return body


def test_a_reference_is_shown_as_such_and_a_secret_beside_it_is_not():
    shown = conceal(with_secret({"key": from_connection("vault")}))
    assert "vault" in repr(shown)
    mixed = conceal(with_secret({"key": from_connection("vault"), "literal": SECRET}))
    assert "vault" not in repr(mixed)
    assert "SENTINEL" not in repr(mixed)
    assert reveal(mixed) == with_secret({"key": from_connection("vault"), "literal": SECRET})


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ({"key": SECRET}, True),
        ({"key": ["{{ conn.vault.password }}", SECRET]}, True),
        ({"key": "{{ conn.vault.password }}"}, False),
        ({"key": from_connection("vault")}, False),
    ],
)
def test_a_literal_is_told_from_a_template_and_a_reference(value, literal):
    path = "properties.deploymentConfiguration.virtualMachineConfiguration.extensions[0].protectedSettings"
    assert list(literal_secrets(conceal(with_secret(value)))) == ([path] if literal else [])


def test_the_operator_sends_the_value_and_the_dag_has_the_reference(azure, capsys, monkeypatch):
    body = with_secret({"key": from_connection("vault"), "other": from_environment("FROM_ENVIRONMENT")})
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        task = AzureBatchCreatePoolOperator(task_id="t", pool_id=azure.pool_id, pool_document=body)
    serialized = json.dumps(DagSerialization.serialize_dag(dag), default=str)
    assert "SENTINEL" not in serialized
    assert "FROM_ENVIRONMENT" in serialized
    bodies, put = [], AzureBatchPoolHook.create_pool

    def seen(self, pool_id, body, **options):
        bodies.append((body, options["secrets"]))
        return put(self, pool_id, body, **options)

    monkeypatch.setattr(AzureBatchPoolHook, "create_pool", seen)
    task.execute({})
    ((sent, secrets),) = bodies
    machine = sent["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    values = {"key": f"c-{SECRET}", "other": f"e-{SECRET}"}
    assert machine["extensions"][0]["protectedSettings"] == values
    assert set(values.values()) <= set(secrets), "an answer that echoes them is blotted"
    out = capsys.readouterr().out
    assert "SENTINEL" not in out
    assert "secrets stand in the DAG itself" not in out


def test_a_literal_is_warned_about_with_its_path(azure, capsys):
    body = with_secret({"key": SECRET})
    AzureBatchCreatePoolOperator(task_id="t", pool_id=azure.pool_id, pool_document=body).execute({})
    out = capsys.readouterr().out
    assert "secrets stand in the DAG itself (properties.deploymentConfiguration" in out
    assert "SENTINEL" not in out


def test_the_preflight_takes_a_reference_for_the_text_that_will_be_there():
    body = with_secret({"key": from_connection("vault")})
    plain = with_secret({"key": "text"})
    for document_, password in ((body, from_variable("x")), (plain, "text")):
        document_["properties"]["userAccounts"] = [{"name": "u", "password": password}]
    assert [str(finding) for finding in check_pool(body, pool_id="p")] == [
        str(finding) for finding in check_pool(plain, pool_id="p")
    ]
    assert not [finding for finding in check_pool(body, pool_id="p") if finding.severity == "error"]
