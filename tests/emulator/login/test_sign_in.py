"""Sign-in with the real credential classes, and what a refused client is told."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests
from azure.batch import BatchClient
from azure.batch.aio import BatchClient as AsyncBatchClient
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from azure.mgmt.batch import BatchManagementClient
from azure.mgmt.batch.aio import BatchManagementClient as AsyncBatchManagementClient

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.login.tokens import BATCH, MANAGEMENT
from airflow_batchext.emulator.scenario import Answers
from tests.emulator.conftest import MANAGEMENT_SCOPE, credential_for

if TYPE_CHECKING:
    from azure.identity import ClientSecretCredential

BATCH_SCOPE = "https://batch.core.windows.net//.default"


class FixedToken:
    """A credential that gives whatever token a test wants to try."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(self._token, 2**31)


def batch_client(emulator: Emulator, token: str) -> BatchClient:
    info = emulator.info
    return BatchClient(info.batch_endpoint, FixedToken(token), connection_verify=info.ca_bundle)


def management_client(emulator: Emulator, token: str) -> BatchManagementClient:
    info = emulator.info
    return BatchManagementClient(
        FixedToken(token), info.subscription_id, base_url=info.arm_endpoint, connection_verify=info.ca_bundle
    )


def ask(emulator: Emulator, tenant: str | None = None, auth: str | None = None, **form: str) -> Any:
    info = emulator.info
    whole = {
        "grant_type": "client_credentials",
        "client_id": info.client_id,
        "client_secret": info.client_secret,
        "scope": BATCH_SCOPE,
        **form,
    }
    return requests.post(
        f"{info.authority}/{tenant or info.tenant_id}/oauth2/v2.0/token",
        data={key: value for key, value in whole.items() if value},
        headers={"Authorization": auth} if auth else {},
        verify=info.ca_bundle,
        timeout=10,
    )


@pytest.mark.parametrize(
    ("scope", "audience"),
    [(BATCH_SCOPE, "https://batch.core.windows.net/"), (MANAGEMENT_SCOPE, "https://management.azure.com")],
)
def test_a_client_secret_gives_a_signed_token_for_one_audience(
    emulator: Emulator, scope: str, audience: str
) -> None:
    token = credential_for(emulator).get_token(scope).token
    info = emulator.info
    discovery = requests.get(
        f"{info.authority}/{info.tenant_id}/.well-known/openid-configuration",
        verify=info.ca_bundle,
        timeout=10,
    ).json()
    keys = requests.get(discovery["jwks_uri"], verify=info.ca_bundle, timeout=10).json()["keys"]
    key = jwt.PyJWK(next(key for key in keys if key["kid"] == jwt.get_unverified_header(token)["kid"]))
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=audience)
    assert claims["tid"] == info.tenant_id
    assert claims["appid"] == info.client_id
    assert claims["exp"] - claims["iat"] == 3600


async def test_the_async_clients_sign_in_too(emulator: Emulator) -> None:
    info = emulator.info
    verify: dict[str, Any] = {"connection_verify": info.ca_bundle}
    async with (
        AsyncClientSecretCredential(
            info.tenant_id, info.client_id, info.client_secret, authority=info.authority, **verify
        ) as credential,
        AsyncBatchClient(info.batch_endpoint, credential, **verify) as batch,
        AsyncBatchManagementClient(
            credential,
            info.subscription_id,
            info.arm_endpoint,
            credential_scopes=[MANAGEMENT_SCOPE],
            **verify,
        ) as management,
    ):
        assert [pool async for pool in batch.list_pools()] == []
        account = await management.batch_account.get(info.resource_group, info.account)
        assert account.name == info.account


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_secret": "SENTINEL-wrong"}, "AADSTS7000215"),
        ({"client_id": "11111111-1111-1111-1111-111111111111"}, "AADSTS700016"),
    ],
)
def test_a_wrong_secret_or_client_is_refused_with_the_real_code(
    emulator: Emulator, changes: dict[str, str], code: str
) -> None:
    with pytest.raises(ClientAuthenticationError, match=code) as caught:
        credential_for(emulator, **changes).get_token(BATCH_SCOPE)
    assert "SENTINEL" not in str(caught.value)


def test_an_unknown_tenant_is_refused(emulator: Emulator) -> None:
    tenant = "22222222-2222-2222-2222-222222222222"
    with pytest.raises(ClientAuthenticationError, match=tenant):
        credential_for(emulator, tenant_id=tenant).get_token(BATCH_SCOPE)
    answer = ask(emulator, tenant)
    assert (answer.status_code, answer.json()["error_codes"]) == (400, [90002])


@pytest.mark.parametrize(
    ("form", "status", "error", "number"),
    [
        ({"client_secret": "nope"}, 401, "invalid_client", 7000215),
        ({"client_secret": ""}, 401, "invalid_client", 7000218),
        ({"client_id": "nobody"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": ""}, 400, "invalid_scope", 70011),
        ({"scope": "https://vault.azure.net/.default"}, 400, "invalid_resource", 500011),
    ],
)
def test_refusals_of_the_token_endpoint(
    emulator: Emulator, form: dict[str, str], status: int, error: str, number: int
) -> None:
    answer = ask(emulator, **form)
    body = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert emulator.info.client_secret not in answer.text
    assert "access_token" not in body


def test_the_secret_may_come_in_a_basic_header(emulator: Emulator) -> None:
    info = emulator.info
    good = base64.b64encode(f"{info.client_id}:{info.client_secret}".encode()).decode()
    bad = base64.b64encode(f"{info.client_id}:wrong".encode()).decode()
    assert ask(emulator, auth=f"Basic {good}", client_id="", client_secret="").status_code == 200
    assert ask(emulator, auth=f"Basic {bad}", client_id="", client_secret="").status_code == 401
    assert ask(emulator, auth="Basic %%%", client_id="", client_secret="").status_code == 400


@pytest.mark.parametrize(("method", "path"), [("GET", "authorize"), ("POST", "devicecode")])
def test_other_ways_to_sign_in_are_not_modelled(emulator: Emulator, method: str, path: str) -> None:
    info = emulator.info
    url = f"{info.authority}/{info.tenant_id}/oauth2/v2.0/{path}"
    answer = requests.request(method, url, verify=info.ca_bundle, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (501, "server_error")


def test_the_lifetime_of_a_token_is_a_setting(emulator: Emulator) -> None:
    emulator.scenario = Scenario(answers=Answers(token_lifetime=77))
    assert ask(emulator).json()["expires_in"] == 77


def test_a_token_of_one_plane_is_refused_on_the_other(emulator: Emulator) -> None:
    with pytest.raises(ClientAuthenticationError) as data:
        list(batch_client(emulator, emulator.tokens.issue(MANAGEMENT)).list_pools())
    assert data.value.status_code == 401
    assert data.value.model.code == "AuthenticationFailed"
    info = emulator.info
    with pytest.raises(ClientAuthenticationError, match="InvalidAuthenticationTokenAudience"):
        management_client(emulator, emulator.tokens.issue(f"{BATCH}/")).batch_account.get(
            info.resource_group, info.account
        )


def _with_another_key(token: str) -> str:
    header, payload, signature = token.split(".")
    return f"{header}.{payload}.{signature[::-1]}"


@pytest.mark.parametrize("kind", ["expired", "forged", "unsigned", "nonsense"])
def test_a_bad_token_is_refused_on_both_planes(emulator: Emulator, kind: str) -> None:
    def token(audience: str) -> str:
        good = emulator.tokens.issue(audience)
        return {
            "expired": emulator.tokens.issue(audience, lifetime=-1),
            "forged": _with_another_key(good),
            "unsigned": jwt.encode({"aud": audience, "exp": 2**31}, "", algorithm="none"),
            "nonsense": "nonsense",
        }[kind]

    with pytest.raises(ClientAuthenticationError) as data:
        list(batch_client(emulator, token(BATCH)).list_pools())
    assert data.value.status_code == 401
    assert data.value.response is not None
    assert "authorization_uri=" in data.value.response.headers["WWW-Authenticate"]
    info = emulator.info
    with pytest.raises(ClientAuthenticationError) as management:
        management_client(emulator, token(MANAGEMENT)).pool.list_by_batch_account(
            info.resource_group, info.account
        ).next()
    code = "ExpiredAuthenticationToken" if kind == "expired" else "InvalidAuthenticationToken"
    assert management.value.status_code == 401
    assert management.value.error is not None
    assert management.value.error.code == code
    assert management.value.response is not None
    assert f"{info.authority}/{info.tenant_id}" in management.value.response.headers["WWW-Authenticate"]


def test_a_missing_token_is_refused_on_both_planes(emulator: Emulator) -> None:
    info = emulator.info
    arm = requests.get(f"{info.arm_endpoint}/subscriptions/x", verify=info.ca_bundle, timeout=10)
    assert (arm.status_code, arm.json()["error"]["code"]) == (401, "AuthenticationFailed")
    data = requests.get(f"{info.http_endpoint}/pools?api-version=2025-06-01", timeout=10)
    assert (data.status_code, data.json()["code"]) == (401, "AuthenticationFailed")
    assert data.headers["WWW-Authenticate"].startswith("Bearer ")


def test_a_token_expires_by_the_wall_clock_and_not_by_the_simulated_one(
    emulator: Emulator, credential: ClientSecretCredential
) -> None:
    client = batch_client(emulator, credential.get_token(BATCH_SCOPE).token)
    emulator.clock.advance(10 * 24 * 3600)
    try:
        assert list(client.list_pools()) == []
    except HttpResponseError:
        pytest.fail("the simulated time must not age a token")
