"""Airflow's "Test" button: both planes by themselves, what is wrong, how to fix it, soon, and no secret."""

from __future__ import annotations

import socket

import pytest

from airflow_batchext.batch.clouds import CLOUDS
from airflow_batchext.credentials import forget_tokens
from airflow_batchext.emulator import Scenario
from airflow_batchext.hooks import _probe
from airflow_batchext.hooks.node import AzureBatchNodeHook
from tests.airflow_names import needs_airflow
from tests.conftest import own_connection

WORKS = "Data plane: works. Management plane: works."
SECRET = "wr0ng-SENTINEL"


@pytest.fixture(autouse=True)
def _signed_out(azure):
    forget_tokens()


def probe(conn_id: str) -> tuple[bool, str]:
    return AzureBatchNodeHook(conn_id).test_connection()


def test_what_works(azure):
    assert probe("azure_batchext_default") == (True, WORKS)
    azure.connect("keys", own_connection(azure.emulator, extra={"list_keys": True}))
    assert probe("keys") == (True, WORKS)


def test_what_is_for_the_data_plane_alone_is_not_blamed(azure):
    ok, text = probe("official")
    assert ok
    assert text == "Data plane: works. Management plane: not tried, the connection has no subscription."
    info = azure.emulator.info
    extra = {"auth": "account_key", "account_key_secret": info.key, "account_url": info.http_endpoint}
    azure.connect("key", own_connection(azure.emulator, login=None, password=None, extra=extra))
    ok, text = probe("key")
    assert ok
    assert "not tried, the connection signs in with an account key alone" in text


def test_each_plane_is_judged_by_itself(azure):
    info = azure.emulator.info
    extra = {"account_key_secret": info.key, "account_url": info.http_endpoint}
    azure.connect("half", own_connection(azure.emulator, password=SECRET, extra=extra))
    ok, text = probe("half")
    assert not ok
    assert text.startswith("Data plane: works. Management plane: Could not read Batch account batchext: ")
    assert "The client secret is wrong" in text
    azure.emulator.scenario = Scenario.load({"account": {"public_network_access": False}})
    ok, text = probe("azure_batchext_default")
    assert not ok
    assert text.startswith("Data plane: Could not list pools: 403")
    assert "private endpoint" in text
    assert text.endswith("Management plane: works.")


def test_a_missing_role_is_named_with_its_scope(azure):
    url = {"account_url": azure.emulator.info.batch_endpoint}
    azure.connect("bare", own_connection(azure.emulator, extra=url))
    azure.emulator.scenario = Scenario.load({"account": {"permissions": {}}})
    ok, text = probe("bare")
    assert not ok
    data, management = text.split(" Management plane: ")
    assert "The action that this needs is Microsoft.Batch/batchAccounts/pools/read" in data
    assert "lacks Microsoft.Batch/batchAccounts/read on /subscriptions/" in management
    assert "give it a role" in management


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        pytest.param(
            {"extra": '{"account_key_secret": "' + SECRET},
            "its extra is not a JSON object",
            marks=needs_airflow("3.2", "before, such a connection counted as one that is not there"),
        ),
        ({"extra": {"auth": SECRET}}, "auth is none of"),
        (
            {
                "extra": {
                    "account_key_secret": SECRET,
                    "account_name": "a",
                    "account_url": "https://a.batch.azure.com",
                }
            },
            "not a key",
        ),
        (
            {"extra": {"account_key_secret": "x"}},
            "lacks subscription_id, resource_group, account_name, needed for",
        ),
        (
            {"login": "app", "password": SECRET, "extra": {"account_url": "https://a.r.batch.azure.com"}},
            "lacks tenant_id",
        ),
    ],
)
def test_what_is_wrong_with_the_fields_is_told_without_a_secret(azure, connection, said):
    azure.connect("wrong", {"conn_type": "azure_batchext", **connection})
    ok, text = probe("wrong")
    assert not ok
    assert said in text
    assert "SENTINEL" not in text


def test_silence_is_told_after_a_while(azure, monkeypatch):
    # The call goes on for longer than this test may take: the answer comes without it.
    monkeypatch.setattr(_probe, "_CALL_SECONDS", 3600.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        info = azure.emulator.info
        extra = {"auth": "account_key", "account_key_secret": info.key, "account_url": url}
        azure.connect("silent", own_connection(azure.emulator, extra=extra))
        ok, text = _probe.probe(AzureBatchNodeHook("silent"), patience=0.5)
    assert not ok
    assert text.startswith("Data plane: no answer within 0.5 seconds; check the network")


def test_an_unexpected_failure_shows_its_kind_alone(azure, monkeypatch):
    def fail(hook):
        raise RuntimeError(SECRET)

    monkeypatch.setattr(_probe, "_try_data_plane", fail)
    ok, text = probe("azure_batchext_default")
    assert not ok
    assert text.startswith("Data plane: failed (RuntimeError); try it in a task")
    assert "SENTINEL" not in text


@pytest.mark.parametrize("field", ["authority", "arm_url", "account_url", "proxy"])
def test_a_stored_secret_is_not_tried_at_an_address_that_only_the_request_names(azure, field, monkeypatch):
    """Airflow compares host and port of the connection, and adds the stored secrets to any other field."""
    monkeypatch.setenv("AIRFLOW__BATCHEXT__TEST_HOSTS", "127.0.0.1, other.example:8443")
    with socket.socket() as listener:
        listener.bind(("127.0.0.2", 0))
        listener.listen(8)
        listener.settimeout(0.2)
        port = listener.getsockname()[1]
        scheme = "http" if field == "proxy" else "https"
        extra = {field: f"{scheme}://127.0.0.2:{port}", "proxy_password": SECRET}
        azure.connect("overridden", own_connection(azure.emulator, extra=extra))
        ok, text = probe("overridden")
        assert not ok
        assert text.startswith(f"Not tried: {field} ({scheme}://127.0.0.2:{port}) is outside of Azure.")
        assert "[batchext] test_hosts" in text
        assert "SENTINEL" not in text
        with pytest.raises(TimeoutError):
            listener.accept()
        monkeypatch.setenv("AIRFLOW__BATCHEXT__TEST_HOSTS", f"127.0.0.1,127.0.0.2:{port}")
        assert "Not tried" not in _probe._foreign_addresses(AzureBatchNodeHook("overridden").connection)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_is_in_azure_needs_no_list(azure, cloud, monkeypatch):
    monkeypatch.delenv("AIRFLOW__BATCHEXT__TEST_HOSTS")
    where = CLOUDS[cloud]
    extra = {"cloud": cloud, "account_url": f"https://a.r{where.batch_suffix}", "arm_url": where.arm_url}
    azure.connect("there", {"conn_type": "azure_batchext", "extra": {**extra, "authority": where.authority}})
    assert _probe._foreign_addresses(AzureBatchNodeHook("there").connection) == ""
