"""Shared-key signatures made by the real client, and refused ones."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.login.shared_key import sign, text_to_sign
from airflow_batchext.emulator.scenario import Answers
from airflow_batchext.emulator.wire.http import http_time
from tests.emulator.pool_documents import data_pool
from tests.emulator.wire.test_http import call


def client(emulator: Emulator, key: str, account: str | None = None) -> BatchClient:
    info = emulator.info
    return BatchClient(info.http_endpoint, AzureNamedKeyCredential(account or info.account, key))


def wrong_key() -> str:
    return base64.b64encode(b"k" * 64).decode()


@pytest.mark.parametrize("kind", ["primary", "secondary"])
def test_both_keys_of_the_account_sign(emulator: Emulator, kind: str, name: str) -> None:
    batch = client(emulator, emulator.account.keys[kind])
    batch.create_pool(data_pool(name))  # type: ignore[arg-type]
    assert batch.get_pool(name, select=["id", "state"]).id == name
    assert batch.pool_exists(name)


def test_a_wrong_key_is_refused_with_the_text_that_was_to_be_signed(emulator: Emulator) -> None:
    with pytest.raises(HttpResponseError) as caught:
        list(client(emulator, wrong_key()).list_pools())
    assert caught.value.status_code == 403
    assert caught.value.model.code == "AuthenticationFailed"
    detail = caught.value.model.error_values[0]
    assert detail.key == "AuthenticationErrorDetail"
    assert "string to sign: 'GET\\n" in detail.value
    assert emulator.info.key not in str(caught.value)


def test_the_status_of_the_refusal_is_a_setting(emulator: Emulator) -> None:
    emulator.scenario = Scenario(answers=Answers(refused_shared_key=401))
    with pytest.raises(ClientAuthenticationError):
        list(client(emulator, wrong_key()).list_pools())


def test_another_accounts_name_is_refused(emulator: Emulator) -> None:
    with pytest.raises(HttpResponseError, match="AuthenticationFailed"):
        list(client(emulator, emulator.info.key, "another").list_pools())


@pytest.mark.parametrize("skew", [-16, 16])
def test_a_date_far_from_the_wall_clock_is_refused(emulator: Emulator, skew: int) -> None:
    date = datetime.now(UTC) + timedelta(minutes=skew)
    with pytest.raises(HttpResponseError, match="AuthenticationFailed") as caught:
        list(client(emulator, emulator.info.key).list_pools(ocp_date=date))
    assert "15 minutes" in caught.value.model.error_values[0].value


def test_the_simulated_time_does_not_age_a_signature(emulator: Emulator) -> None:
    emulator.clock.advance(24 * 3600)
    assert list(client(emulator, emulator.info.key).list_pools()) == []


def signed_get(emulator: Emulator, query: str, *, lower: bool = False, **headers: str) -> Any:
    info = emulator.info
    sent = {"ocp-date": http_time(datetime.now(UTC)), **headers}
    request = call(query, raw_path="/pools", headers={key.lower(): value for key, value in sent.items()})
    text = text_to_sign(request, info.account, lower=lower)
    signature = base64.b64encode(sign(base64.b64decode(info.key), text)).decode()
    sent["Authorization"] = f"SharedKey {info.account}:{signature}"
    return requests.get(f"{info.http_endpoint}/pools?{query}", headers=sent, timeout=10)


@pytest.mark.parametrize("lower", [False, True])
def test_keys_of_the_query_are_signed_as_sent_or_in_lower_case(emulator: Emulator, lower: bool) -> None:
    assert signed_get(emulator, "api-version=2025-06-01&timeOut=30", lower=lower).status_code == 200


@pytest.mark.parametrize("date", ["yesterday", "Wed, 99 Foo 2025 00:00:00 GMT"])
def test_a_senseless_date_is_refused(emulator: Emulator, date: str) -> None:
    answer = signed_get(emulator, "api-version=2025-06-01", **{"ocp-date": date})
    assert answer.status_code == 403
    assert "RFC 1123" in answer.text


@pytest.mark.parametrize("credentials", ["", "batchext", "batchext:", "batchext:###", "x:YQ=="])
def test_senseless_credentials_are_refused(emulator: Emulator, credentials: str) -> None:
    answer = requests.get(
        f"{emulator.info.http_endpoint}/pools?api-version=2025-06-01",
        headers={
            "Authorization": f"SharedKey {credentials}",
            "ocp-date": http_time(datetime.now(UTC)),
        },
        timeout=10,
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "AuthenticationFailed")


def test_a_request_without_any_date_is_refused(emulator: Emulator) -> None:
    answer = requests.get(
        f"{emulator.info.http_endpoint}/pools?api-version=2025-06-01",
        headers={"Authorization": f"SharedKey {emulator.info.account}:YQ=="},
        timeout=10,
    )
    assert answer.status_code == 403
    assert "date" in answer.text
