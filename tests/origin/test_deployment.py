"""What tells one Airflow from another."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import conf
from cryptography.fernet import Fernet

from airflow_batchext.exceptions import ParameterError
from airflow_batchext.origin.deployment import LONGEST_NAME, deployment

URL, NAME, KEY = "AIRFLOW__API__BASE_URL", "AIRFLOW__BATCHEXT__DEPLOYMENT", "AIRFLOW__CORE__FERNET_KEY"
EXECUTOR = "AIRFLOW__CORE__EXECUTOR"


def test_a_name_that_is_configured_comes_first(monkeypatch):
    monkeypatch.setenv(URL, "https://airflow.example")
    monkeypatch.setenv(NAME, " production ")
    assert deployment() == "production"


@pytest.mark.parametrize("name", ["x" * (LONGEST_NAME + 1), "a\nb", "a\x1b[1m"])
def test_a_name_that_cannot_be_one_is_refused(monkeypatch, name):
    monkeypatch.setenv(NAME, name)
    with pytest.raises(ParameterError, match="deployment"):
        deployment()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://airflow.example", "airflow.example"),
        ("http://Airflow.Example/", "airflow.example"),
        ("https://me:secret@airflow.example:8443/team/?x=1#y", "airflow.example:8443/team"),
        ("http://10.0.0.7:8080", "10.0.0.7:8080"),
    ],
)
def test_else_it_is_the_address_of_its_page_without_what_may_be_secret(monkeypatch, url, name):
    monkeypatch.setenv(URL, url)
    assert deployment() == name


LOCAL = ["", "http://localhost:8080", "http://127.0.0.1:1", "http://[::1]/", "http://0.0.0.0", "nonsense"]
LOCAL += ["http://[", "http://x:99999999", "http://a.localhost"]


@pytest.mark.parametrize("url", LOCAL)
def test_else_it_stands_for_the_key_and_does_not_tell_it(monkeypatch, url):
    monkeypatch.setenv(URL, url)
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    names = []
    for keys in (old, f"{new}, {old}", new):
        monkeypatch.setenv(KEY, keys)
        names.append(deployment())
    assert names[0] == names[1] != names[2], "it stays while keys are rotated"
    assert all(name.startswith("key-") for name in names)
    assert not any(key in name for key in (old, new) for name in names)


def test_without_any_of_these_it_has_no_name(monkeypatch):
    monkeypatch.setenv(KEY, "")
    assert deployment() == ""


def test_a_key_that_each_worker_may_have_made_up_itself_is_none(monkeypatch):
    if conf.get("core", "fernet_key"):  # Airflow 3.1 makes up one only where it writes its configuration
        assert deployment().startswith("key-"), "one machine has one key"
    monkeypatch.setenv(EXECUTOR, "CeleryExecutor")
    assert deployment() == ""
    monkeypatch.setenv(KEY, Fernet.generate_key().decode())
    assert deployment().startswith("key-"), "it was given to all"
