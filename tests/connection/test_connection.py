"""All connection types are read, what is missing is named, and no secret is ever shown."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow_batchext.batch.clouds import CLOUDS, PUBLIC
from airflow_batchext.connection import SignInKind, account_endpoint_url, parse_connection
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
    "account_key_secret": KEY,
    "account_url": "acct.region.batch.azure.com/",
}


def test_own_type():
    connection = parse_connection(given(login="app", password=SECRET, extra=FULL))
    assert connection.account_url == "https://acct.region.batch.azure.com"
    assert connection.cloud == PUBLIC
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
    connection.require_shared_key()
    assert connection.signs_with_key
    assert (connection.account_name, connection.account_key) == ("acct", KEY)
    with pytest.raises(
        ConnectionFieldsError, match="lacks subscription_id, resource_group, needed for the man"
    ):
        connection.require_management_plane()


def test_official_type_without_a_key_signs_in_with_an_identity():
    extra = {"managed_identity_client_id": "mi", "workload_identity_tenant_id": "wt", **FULL}
    connection = parse_connection(given("azure_batch", extra={**extra, "account_key_secret": ""}))
    assert not connection.signs_with_key
    assert connection.auth is SignInKind.DEFAULT
    assert connection.managed_identity_client_id == "mi"
    assert connection.workload_identity_tenant_id == "wt"


@pytest.mark.parametrize("prefix", ["", "extra__azure__"])
def test_the_general_azure_type_with_our_fields_added(prefix):
    theirs = {f"{prefix}tenantId": "t", f"{prefix}subscriptionId": "s"}
    extra = {**theirs, "resource_group": "g", "account_name": "acct"}
    connection = parse_connection(given("azure", login="app", password=SECRET, extra=extra))
    connection.require_management_plane()
    connection.require_sign_in()
    assert (connection.auth, connection.tenant_id) == (SignInKind.CLIENT_SECRET, "t")
    with pytest.raises(ConnectionFieldsError, match="lacks resource_group, account_name"):
        parse_connection(given("azure", extra=theirs)).require_management_plane()
    with pytest.raises(ConnectionFieldsError, match="key_path and key_json are not read"):
        parse_connection(given("azure", extra={**extra, "key_json": {"clientSecret": SECRET}}))


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
    with pytest.raises(ConnectionFieldsError, match=f"lacks {missing}.* needed for signing in") as caught:
        connection.require_sign_in()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("login", "extra", "kind"),
    [
        (None, {}, "default"),
        ("app", {}, "client_secret"),
        ("app", {"certificate_secret": "/c.pem"}, "certificate"),
        ("app", {"token_file": "/t"}, "workload_identity"),
        ("app", {"auth": "managed_identity"}, "managed_identity"),
        (None, {"auth": "Azure_CLI"}, "azure_cli"),
        (None, {"account_key_secret": KEY}, "default"),
        (None, {"account_key_secret": KEY, "auth": "account_key"}, "account_key"),
    ],
)
def test_how_to_sign_in_is_named_or_follows_from_the_fields(login, extra, kind):
    assert parse_connection(given(login=login, extra=extra)).auth.value == kind


@pytest.mark.parametrize(
    ("auth", "missing"),
    [
        ("client_secret", r"client_id \(login\), client_secret \(password\), tenant_id"),
        ("certificate", r"client_id \(login\), tenant_id, certificate_secret"),
        ("workload_identity", r"client_id \(login\), tenant_id, token_file.*AZURE_FEDERATED_TOKEN_FILE"),
    ],
)
def test_each_way_of_signing_in_says_what_it_lacks(auth, missing, monkeypatch):
    monkeypatch.delenv("AZURE_CLIENT_ID", raising=False)
    with pytest.raises(ConnectionFieldsError, match=f"lacks {missing}"):
        parse_connection(given(extra={"auth": auth})).require_sign_in()


def test_a_workload_identity_may_have_its_fields_in_the_environment(monkeypatch):
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.setenv(name, "x")
    parse_connection(given(extra={"auth": "workload_identity"})).require_sign_in()


def test_a_key_alone_does_not_open_the_management_plane():
    connection = parse_connection(given(extra={**FULL, "auth": "account_key"}))
    connection.require_shared_key()
    with pytest.raises(ConnectionFieldsError, match=r"account key alone.*takes no keys"):
        connection.require_sign_in()


def test_a_key_has_to_be_one():
    connection = parse_connection(given(extra={**FULL, "account_key_secret": SECRET}))
    with pytest.raises(ConnectionFieldsError, match="account_key_secret is not a key") as caught:
        connection.require_shared_key()
    assert SECRET not in str(caught.value)


PEM = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(["U0VOVElORUw" * 5] * 3) + "\n-----END PRIVATE KEY-----\n"


def test_a_certificate_as_text_keeps_its_lines_wherever_it_was_typed():
    """A password field of a web page makes one line of it."""
    for typed in (PEM, PEM.replace("\n", "\\n"), PEM.replace("\n", ""), PEM.replace("\n", " ")):
        connection = parse_connection(given(login="app", extra={**FULL, "certificate": typed}))
        assert connection.has_certificate_text
        assert "".join(connection.certificate.split()) == "".join(PEM.split())
        first, *body, last = connection.certificate.strip().splitlines()
        assert (first, last) == ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----")
        assert all(len(line) <= 64 for line in body)
        assert set(body) <= set(connection.secrets), "each line is masked: logs have lines"
        assert "U0VOVElORUw" not in repr(connection)
    assert not parse_connection(given(extra={"certificate_secret": "/etc/c.pem"})).has_certificate_text


def test_the_password_of_a_proxy_is_a_secret_wherever_it_stands():
    for extra in (
        {"proxy": "http://me:p%40ss-SENTINEL@proxy.example:8080"},
        {"proxy": "me@proxy.example:8080", "proxy_password": "p@ss-SENTINEL"},
    ):
        connection = parse_connection(given(extra=extra))
        assert (connection.proxy, connection.proxy_password) == (
            "http://me@proxy.example:8080",
            "p@ss-SENTINEL",
        )
        assert "SENTINEL" not in repr(connection)
        assert connection.secrets == ("p@ss-SENTINEL", "p%40ss-SENTINEL")
        proxies = connection.identity_options["proxies"]
        assert proxies == {"https": "http://me:p%40ss-SENTINEL@proxy.example:8080"}


def test_a_changed_secret_changes_the_fingerprint_and_nothing_shows_it():
    one = parse_connection(given(login="app", password=SECRET, extra=FULL))
    same = parse_connection(given(login="app", password=SECRET, extra={**FULL, "account_url": "https://x"}))
    other = parse_connection(given(login="app", password="other", extra=FULL))
    assert one.fingerprint == same.fingerprint != other.fingerprint


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS)
def test_the_clouds_are_those_of_the_sdk(cloud):
    from azure.core import AzureClouds
    from azure.identity import AzureAuthorityHosts
    from azure.mgmt.core.tools import get_arm_endpoints

    names = {"public": "PUBLIC_CLOUD", "usgovernment": "US_GOVERNMENT", "china": "CHINA_CLOUD"}
    sdk = get_arm_endpoints(AzureClouds[f"AZURE_{names[cloud.name]}"])
    assert f"{cloud.arm_url}/" == sdk["resource_manager"]
    assert [cloud.arm_scope] == sdk["credential_scopes"]
    hosts = {"public": "PUBLIC_CLOUD", "usgovernment": "GOVERNMENT", "china": "CHINA"}
    assert cloud.authority == f"https://{getattr(AzureAuthorityHosts, f'AZURE_{hosts[cloud.name]}')}"


def test_a_cloud_of_ones_own():
    own = {
        "arm_url": "https://arm.local",
        "authority": "https://login.local",
        "arm_scope": "https://arm.local",
        "batch_scope": "https://batch.local//.default",
        "batch_suffix": ".batch.local",
    }
    connection = parse_connection(given(extra=own))
    assert connection.cloud.arm_scope == "https://arm.local/.default"
    assert connection.cloud.batch_scope == "https://batch.local//.default"
    assert connection.identity_options["disable_instance_discovery"]
    connection.require_own_host("https://a.region.batch.local")
    assert "disable_instance_discovery" not in parse_connection(given()).identity_options


def test_no_token_is_sent_to_a_host_of_another_cloud():
    connection = parse_connection(given(extra={"cloud": "usgovernment"}))
    connection.require_own_host("https://a.r.batch.usgovcloudapi.net")
    for host in ("127.0.0.1:1", "a.r.batch.azure.com", "a.batch.usgovcloudapi.net.evil.example"):
        with pytest.raises(ConnectionFieldsError, match="no token is sent there"):
            connection.require_own_host(f"https://{host}")


def test_a_key_needs_the_name_it_signs_for():
    connection = parse_connection(given(extra={"account_key_secret": KEY, "account_url": "https://a.b"}))
    with pytest.raises(ConnectionFieldsError, match="lacks account_name"):
        connection.require_shared_key()


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ('{"account_key_secret": "' + SECRET, "not a JSON object"),
        (json.dumps([SECRET]), "not a JSON object"),
        ({"account_name": 7}, "'account_name' must be text"),
        ({"account_url": "http://acct.region.batch.azure.com"}, "plain http"),
        ({"authority": "http://10.0.0.1"}, "plain http"),
        ({"arm_url": "ftp://x"}, "arm_url is not an https URL"),
        ({"arm_url": "https://"}, "arm_url is not an https URL"),
        ({"arm_url": f"https://u:{SECRET}@x"}, "arm_url is not an https URL"),
        ({"auth": SECRET}, "auth is none of client_secret, certificate,"),
        ({"cloud": SECRET}, "cloud is none of public, usgovernment, china"),
        ({"exclude": f"cli,{SECRET}"}, "exclude is a list, separated by commas, of environment,"),
        ({"list_keys": SECRET}, "'list_keys' must be true or false"),
        ({"list_keys": True, "account_key_secret": KEY}, "set one of them"),
        ({"list_keys": "true", "auth": "account_key"}, "list_keys has to sign in first"),
        ({"read_timeout": SECRET}, "'read_timeout' must be a number from 0.1 to 600"),
        ({"retries": -1}, "'retries' must be a number from 0 to 100"),
        ({"proxy": f"ftp://u:{SECRET}@x"}, "proxy is not a URL such as"),
        ({"proxy": f"http://u:{SECRET}@x:nope"}, "proxy is not a URL such as"),
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
