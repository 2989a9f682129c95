"""Both connection types are read, what is missing is named, and no secret is ever shown."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow_batchext.connection import account_endpoint_url, parse_connection
from airflow_batchext.exceptions import ConnectionFieldsError

SECRET = "s3cr3t-SENTINEL"
KEY = "a2V5LVNFTlRJTkVM"


def given(conn_type="azure_batchext", login=None, password=None, extra=None):
    text = extra if isinstance(extra, str) else json.dumps(extra or {})
    return SimpleNamespace(conn_id="c1", conn_type=conn_type, login=login, password=password, extra=text)


FULL = {
    "tenant_id": "t",
    "subscription_id": "s",
    "resource_group": "g",
    "account_name": "acct",
    "account_key": KEY,
    "account_url": "acct.region.batch.azure.com/",
}


def test_own_type():
    connection = parse_connection(given(login="app", password=SECRET, extra=FULL))
    assert connection.account_url == "https://acct.region.batch.azure.com"
    assert connection.arm_url == "https://management.azure.com"
    assert connection.arm_options == {}
    connection.require_management_plane()
    assert connection.secrets == (SECRET, KEY)
    assert SECRET not in repr(connection)
    assert KEY not in repr(connection)


@pytest.mark.parametrize("field", ["account_url", "extra__azure_batch__account_url"])
def test_official_type_serves_the_data_plane_and_says_what_the_management_plane_lacks(field):
    connection = parse_connection(
        given("azure_batch", login="acct", password=KEY, extra={field: "https://acct.r.batch.azure.com"})
    )
    connection.require_data_plane_url()
    credential = connection.data_plane_credential()
    assert credential.named_key.name == "acct"
    with pytest.raises(
        ConnectionFieldsError, match="lacks subscription_id, resource_group, needed for the man"
    ):
        connection.require_management_plane()


def test_data_plane_without_a_url_needs_the_fields_to_look_it_up():
    with pytest.raises(ConnectionFieldsError, match=r"lacks subscription_id, resource_group.*account_url"):
        parse_connection(given(extra={"account_name": "acct"})).require_data_plane_url()
    parse_connection(given(extra={**FULL, "account_url": None})).require_data_plane_url()


@pytest.mark.parametrize(
    ("login", "password", "extra", "missing"),
    [
        ("app", None, FULL, "client_secret"),
        (None, SECRET, FULL, "client_id"),
        ("app", SECRET, {**FULL, "tenant_id": ""}, "tenant_id"),
    ],
)
def test_half_a_service_principal_is_an_error_not_a_fallback(login, password, extra, missing):
    connection = parse_connection(given(login=login, password=password, extra=extra))
    for make in (connection.token_credential, connection.async_token_credential):
        with pytest.raises(ConnectionFieldsError, match=f"lacks {missing}, needed for signing in") as caught:
            make()
        assert SECRET not in str(caught.value)


async def test_credentials_by_what_is_given():
    from azure.core.credentials import AzureNamedKeyCredential
    from azure.identity import ClientSecretCredential, DefaultAzureCredential
    from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
    from azure.identity.aio import DefaultAzureCredential as AsyncDefaultAzureCredential

    with_key = parse_connection(given(extra=FULL))
    assert isinstance(with_key.data_plane_credential(), AzureNamedKeyCredential)
    assert isinstance(with_key.async_data_plane_credential(), AzureNamedKeyCredential)
    assert isinstance(with_key.token_credential(), DefaultAzureCredential)
    async with with_key.async_token_credential() as credential:
        assert isinstance(credential, AsyncDefaultAzureCredential)

    without = parse_connection(given(login="app", password=SECRET, extra={**FULL, "account_key": ""}))
    assert isinstance(without.data_plane_credential(), ClientSecretCredential)
    async with without.async_data_plane_credential() as credential:
        assert isinstance(credential, AsyncClientSecretCredential)


def test_a_key_needs_the_name_it_signs_for():
    connection = parse_connection(given(extra={"account_key": KEY, "account_url": "https://a.b"}))
    with pytest.raises(ConnectionFieldsError, match="lacks account_name"):
        connection.data_plane_credential()


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ('{"account_key": "' + SECRET, "not a JSON object"),
        (json.dumps([SECRET]), "not a JSON object"),
        ({"account_name": 7}, "'account_name' must be text"),
        ({"account_url": "http://acct.region.batch.azure.com"}, "plain http"),
        ({"authority": "http://10.0.0.1"}, "plain http"),
        ({"arm_url": "ftp://x"}, "arm_url is not an https URL"),
        ({"arm_url": "https://"}, "arm_url is not an https URL"),
    ],
)
def test_unusable_fields_are_named_and_secrets_are_not_quoted(extra, said):
    with pytest.raises(ConnectionFieldsError, match="c1") as caught:
        parse_connection(given(extra=extra))
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"])
def test_plain_http_is_for_loopback(url):
    assert parse_connection(given(extra={"account_url": url})).account_url == url


def test_the_endpoint_that_the_account_tells_has_no_scheme():
    assert account_endpoint_url("acct.region.batch.azure.com") == "https://acct.region.batch.azure.com"
