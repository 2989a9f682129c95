"""Managed identity in the four shapes that Azure has for it, with azure-identity, sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential, ManagedIdentityCredential
from azure.identity.aio import ManagedIdentityCredential as AsyncManagedIdentityCredential

from airflow_batchext.emulator.login.tokens import BATCH
from tests.emulator.login.test_assertions import BATCH_SCOPE, lists_pools, lists_pools_async

if TYPE_CHECKING:
    from airflow_batchext.emulator import Emulator

NAMES = (
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
)


def shape(emulator: Emulator, name: str) -> dict[str, str]:
    """The environment that a program finds where it runs."""
    info = emulator.info
    return {
        "app service": {"IDENTITY_ENDPOINT": info.identity_endpoint, "IDENTITY_HEADER": info.identity_header},
        "azure ml": {"MSI_ENDPOINT": info.identity_endpoint, "MSI_SECRET": info.identity_header},
        "cloud shell": {"MSI_ENDPOINT": info.identity_endpoint},
        "virtual machine": {"AZURE_POD_IDENTITY_AUTHORITY_HOST": info.http_endpoint},
    }[name]


@pytest.fixture
def at(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend to run somewhere."""

    def pretend(name: str, **changes: str) -> None:
        for variable in NAMES:
            monkeypatch.delenv(variable, raising=False)
        for variable, value in {**shape(emulator, name), **changes}.items():
            monkeypatch.setenv(variable, value)

    return pretend


SHAPES = ("app service", "azure ml", "cloud shell", "virtual machine")


@pytest.mark.parametrize("name", SHAPES)
def test_a_managed_identity(emulator: Emulator, at: Any, name: str) -> None:
    at(name)
    credential = ManagedIdentityCredential()
    assert lists_pools(emulator, credential)
    claims = jwt.decode(credential.get_token(BATCH_SCOPE).token, options={"verify_signature": False})
    assert claims["appid"] == emulator.tokens.identities.machine_id
    assert claims["aud"].rstrip("/") == BATCH


@pytest.mark.parametrize("name", SHAPES)
async def test_a_managed_identity_async(emulator: Emulator, at: Any, name: str) -> None:
    at(name)
    assert await lists_pools_async(emulator, AsyncManagedIdentityCredential())


def test_the_default_credential_finds_it(
    emulator: Emulator, at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    at("app service")
    monkeypatch.setenv("AZURE_CLIENT_ID", emulator.info.client_id)
    assert lists_pools(emulator, DefaultAzureCredential())


@pytest.mark.parametrize(
    ("name", "changes"),
    [("app service", {"IDENTITY_HEADER": "wrong"}), ("azure ml", {"MSI_SECRET": "wrong"})],
)
def test_a_program_that_is_not_of_the_service_is_refused(
    emulator: Emulator, at: Any, name: str, changes: dict[str, str]
) -> None:
    at(name, **changes)
    with pytest.raises((ClientAuthenticationError, CredentialUnavailableError)):
        ManagedIdentityCredential().get_token(BATCH_SCOPE)


def test_an_identity_that_the_machine_does_not_have(emulator: Emulator, at: Any) -> None:
    at("virtual machine")
    credential = ManagedIdentityCredential(client_id="11111111-1111-1111-1111-111111111111")
    with pytest.raises((ClientAuthenticationError, CredentialUnavailableError), match="Identity not found"):
        credential.get_token(BATCH_SCOPE)


@pytest.mark.parametrize(
    ("query", "headers", "says"),
    [
        ("api-version=2018-02-01&resource=x", {}, "Required metadata header not specified"),
        ("resource=x", {"Metadata": "true"}, "'api-version' is missing"),
        ("api-version=2018-02-01", {"Metadata": "true"}, "'resource' is missing"),
        ("api-version=2018-02-01&resource=https://vault.azure.net", {"Metadata": "true"}, "AADSTS500011"),
    ],
)
def test_refusals_of_the_virtual_machine(
    emulator: Emulator, query: str, headers: dict[str, str], says: str
) -> None:
    url = f"{emulator.info.http_endpoint}/metadata/identity/oauth2/token?{query}"
    answer = requests.get(url, headers=headers, timeout=5)
    assert answer.status_code == 400
    assert says in answer.json()["error_description"]


def test_refusals_of_the_services(emulator: Emulator) -> None:
    url = emulator.info.identity_endpoint
    assert requests.get(url, timeout=5).status_code == 400
    assert requests.get(f"{url}?api-version=2019-08-01&resource={BATCH}", timeout=5).status_code == 401
    assert requests.post(url, data={"resource": BATCH}, timeout=5).status_code == 400
