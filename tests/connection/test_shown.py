"""What Airflow shows of a connection that is stored in its database: no secret, whichever fields it has."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from airflow.api_fastapi.core_api.datamodels.connections import ConnectionResponse
from airflow.models import Connection
from airflow.sdk._shared.secrets_masker import redact

from airflow_batchext.connection import BatchConnection, parse_connection
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.provider_info import get_provider_info
from tests.airflow.leaks import leaks
from tests.connection.test_connection import FULL, KEY, PEM, given

TYPES = ("azure_batchext", "azure_batch", "azure")
FORM = get_provider_info()["connection-types"][0]["conn-fields"]
SECRET_FIELDS = [name for name, field in FORM.items() if field["schema"].get("format") == "password"]
SECRET = "SENTINEL-of-a-field+/="
EARLIER = {"account_key": KEY, "certificate": PEM}


def test_every_secret_of_a_connection_has_a_field_of_its_own():
    """Login's password aside, which has Airflow's own place."""
    held = {field.name for field in fields(BatchConnection) if not field.repr}
    assert {name.removesuffix("_secret") for name in SECRET_FIELDS} == held - {"client_secret"}


@pytest.mark.parametrize("conn_type", TYPES)
@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
@pytest.mark.parametrize("field", [*SECRET_FIELDS, "client_secret", "proxy"])
def test_the_api_hides_it_and_puts_it_back(conn_type, field, long):
    """An answer of the API; what a form sends back with stars keeps the secret."""
    name = f"extra__{conn_type}__{field}" if long else field
    extra = {**FULL, "account_key_secret": "", name: SECRET}
    stored = Connection(
        conn_id="c", conn_type=conn_type, login="me", password=SECRET, extra=json.dumps(extra)
    )
    shown = ConnectionResponse.model_validate(stored, from_attributes=True).model_dump_json()
    assert leaks({"secret": SECRET}, [("answer", shown.encode())]) == []
    assert redact(extra)[name] == "***"
    assert json.loads(json.loads(shown)["extra"])["subscription_id"] == "s", "the others are to be seen"


@pytest.mark.parametrize("conn_type", TYPES)
@pytest.mark.parametrize(("field", "value"), EARLIER.items())
@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
def test_a_name_that_airflow_does_not_know_is_read_and_warned_of(conn_type, field, value, long):
    name = f"extra__{conn_type}__{field}" if long else field
    connection = parse_connection(given(conn_type, extra={**FULL, "account_key_secret": "", name: value}))
    assert value.split()[0] in getattr(connection, field)
    assert f"Airflow shows the extra's field {field}" in connection.warning
    assert f"name it {field}_secret" in connection.warning
    assert value not in connection.warning


def test_what_is_no_secret_or_hidden_is_not_warned_of():
    for extra in (FULL, {"certificate_secret": PEM}, {"certificate": "/path/of/one.pem"}, {}):
        assert parse_connection(given(extra=extra)).warning == ""


def test_the_new_name_wins():
    extra = {**FULL, "account_key": "b2xk", "account_key_secret": KEY}
    assert parse_connection(given(extra=extra)).account_key == KEY


def test_the_task_and_the_test_button_are_told(azure, capsys):
    info = azure.emulator.info
    extra = {"account_url": info.http_endpoint, "account_name": info.account, "account_key": info.key}
    azure.connect("shown", {"conn_type": "azure_batchext", "extra": extra})
    ok, text = AzureBatchNodeHook("shown").test_connection()
    assert ok
    assert text.endswith("name it account_key_secret, and take another secret.")
    logged = capsys.readouterr().out
    assert "field account_key to everybody" in logged
    assert info.key not in text + logged
