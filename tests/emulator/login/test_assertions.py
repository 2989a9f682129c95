"""Sign-in with a certificate, a federated token, at AD FS and at the older endpoint, with azure-identity."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from azure.batch import BatchClient
from azure.batch.aio import BatchClient as AsyncBatchClient
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    WorkloadIdentityCredential,
)
from azure.identity.aio import CertificateCredential as AsyncCertificateCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from azure.identity.aio import WorkloadIdentityCredential as AsyncWorkloadIdentityCredential
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_batchext.emulator import Emulator
from airflow_batchext.emulator.login.tokens import BATCH
from tests.emulator.login.test_sign_in import ask

BATCH_SCOPE = f"{BATCH}//.default"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def here(emulator: Emulator) -> dict[str, Any]:
    """What every credential is told so that it finds the emulator."""
    return {"authority": emulator.info.authority, "connection_verify": emulator.info.ca_bundle}


def here_alone(emulator: Emulator) -> dict[str, Any]:
    """The same for the synchronous ones, which else ask Microsoft whether the authority is genuine."""
    return {**here(emulator), "disable_instance_discovery": True}


def lists_pools(emulator: Emulator, credential: Any) -> bool:
    with BatchClient(
        emulator.info.batch_endpoint, credential, connection_verify=emulator.info.ca_bundle
    ) as client:
        return list(client.list_pools()) == []


async def lists_pools_async(emulator: Emulator, credential: Any) -> bool:
    async with (
        credential,
        AsyncBatchClient(
            emulator.info.batch_endpoint, credential, connection_verify=emulator.info.ca_bundle
        ) as client,
    ):
        return [pool async for pool in client.list_pools()] == []


# --- certificate --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tenant", ["", "adfs"])
def test_a_certificate(emulator: Emulator, tenant: str) -> None:
    info = emulator.info
    where = here_alone(emulator) if not tenant else here(emulator)
    credential = CertificateCredential(
        tenant or info.tenant_id, info.client_id, info.client_certificate, **where
    )
    assert lists_pools(emulator, credential)


@pytest.mark.parametrize("tenant", ["", "adfs"])
async def test_a_certificate_async(emulator: Emulator, tenant: str) -> None:
    info = emulator.info
    credential = AsyncCertificateCredential(
        tenant or info.tenant_id, info.client_id, info.client_certificate, **here(emulator)
    )
    assert await lists_pools_async(emulator, credential)


def test_a_certificate_that_is_not_registered_is_refused(emulator: Emulator) -> None:
    info = emulator.info
    with Emulator() as other:
        credential = CertificateCredential(
            info.tenant_id, info.client_id, other.info.client_certificate, **here_alone(emulator)
        )
        with pytest.raises(ClientAuthenticationError, match=r"AADSTS700027.*The key was not found"):
            credential.get_token(BATCH_SCOPE)


def own_assertion(emulator: Emulator, key: Any = None, **changes: Any) -> str:
    info = emulator.info
    key = key or serialization.load_pem_private_key(Path(info.client_certificate).read_bytes(), None)
    claims = {
        "aud": f"{info.authority}/{info.tenant_id}/oauth2/v2.0/token",
        "iss": info.client_id,
        "sub": info.client_id,
        "exp": int(time.time()) + 60,
        **changes,
    }
    thumbprint = emulator.tokens.registration._thumbprints["x5t#S256"]
    return jwt.encode(claims, key, algorithm="PS256", headers={"x5t#S256": thumbprint})


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({}, None),
        ({"exp": 1_000_000_000}, 700024),
        ({"nbf": 4_000_000_000}, 700024),
        ({"aud": "https://elsewhere.example/token"}, 700023),
        ({"sub": "someone"}, 700021),
    ],
)
def test_assertions_of_a_certificate(emulator: Emulator, changes: dict[str, Any], number: int | None) -> None:
    assertion = own_assertion(emulator, **changes)
    answer = ask(emulator, client_secret="", client_assertion=assertion, client_assertion_type=ASSERTION)
    if number is None:
        assert answer.status_code == 200
        return
    assert (answer.status_code, answer.json()["error_codes"]) == (401, [number])
    assert answer.json()["error"] == "invalid_client"


def test_a_signature_of_another_key_is_refused(emulator: Emulator) -> None:
    another = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = own_assertion(emulator, another)
    answer = ask(emulator, client_secret="", client_assertion=forged, client_assertion_type=ASSERTION)
    assert answer.json()["error_codes"] == [700027]


@pytest.mark.parametrize(
    ("form", "number"),
    [
        ({"client_assertion": "nonsense", "client_assertion_type": ASSERTION}, 50027),
        ({"client_assertion": "nonsense", "client_assertion_type": "other"}, 900144),
        ({"client_assertion": "nonsense"}, 900144),
    ],
)
def test_what_is_no_assertion(emulator: Emulator, form: dict[str, str], number: int) -> None:
    answer = ask(emulator, client_secret="", **form)
    assert (answer.status_code, answer.json()["error_codes"]) == (400, [number])


# --- federated token ----------------------------------------------------------------------------------------


def workload(emulator: Emulator, file: str | None = None) -> dict[str, Any]:
    info = emulator.info
    return {
        "tenant_id": info.tenant_id,
        "client_id": info.client_id,
        "token_file_path": file or info.federated_token_file,
    }


def test_a_federated_token(emulator: Emulator) -> None:
    credential = WorkloadIdentityCredential(**workload(emulator), **here_alone(emulator))
    assert lists_pools(emulator, credential)


async def test_a_federated_token_async(emulator: Emulator) -> None:
    credential = AsyncWorkloadIdentityCredential(**workload(emulator), **here(emulator))
    assert await lists_pools_async(emulator, credential)


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"iss": "https://other.example/"}, 700211),
        ({"sub": "system:serviceaccount:default:other"}, 700213),
        ({"aud": "api://other"}, 700212),
        ({"lifetime": timedelta(seconds=-1)}, 700024),
    ],
)
def test_a_federated_token_that_is_not_trusted(
    emulator: Emulator, changes: dict[str, Any], number: int
) -> None:
    info = emulator.info
    token = emulator.tokens.registration.vouch(**changes)
    credential = ClientAssertionCredential(
        info.tenant_id, info.client_id, lambda: token, **here_alone(emulator)
    )
    with pytest.raises(ClientAuthenticationError, match=f"AADSTS{number}"):
        credential.get_token(BATCH_SCOPE)


def test_a_federated_token_of_another_key_is_refused(emulator: Emulator) -> None:
    with Emulator() as other:
        credential = WorkloadIdentityCredential(
            **workload(emulator, other.info.federated_token_file), **here_alone(emulator)
        )
        with pytest.raises(ClientAuthenticationError, match="AADSTS700027"):
            credential.get_token(BATCH_SCOPE)


# --- AD FS and version 1 ------------------------------------------------------------------------------------


def test_a_secret_at_adfs_needs_no_discovery_elsewhere(emulator: Emulator) -> None:
    info = emulator.info
    credential = ClientSecretCredential("adfs", info.client_id, info.client_secret, **here(emulator))
    assert lists_pools(emulator, credential)
    asked = [request.path.partition("?")[0] for request in emulator.requests]
    assert asked == ["/adfs/.well-known/openid-configuration", "/adfs/oauth2/token", "/pools"]


async def test_a_secret_at_adfs_async(emulator: Emulator) -> None:
    info = emulator.info
    credential = AsyncClientSecretCredential("adfs", info.client_id, info.client_secret, **here(emulator))
    assert await lists_pools_async(emulator, credential)


def test_the_environment_alone_is_enough_with_adfs(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = emulator.info
    for name, value in {
        "AZURE_TENANT_ID": "adfs",
        "AZURE_CLIENT_ID": info.client_id,
        "AZURE_CLIENT_SECRET": info.client_secret,
        "AZURE_AUTHORITY_HOST": info.authority,
        "REQUESTS_CA_BUNDLE": info.ca_bundle,
    }.items():
        monkeypatch.setenv(name, value)
    assert lists_pools(emulator, DefaultAzureCredential())


def version_1(emulator: Emulator, **form: str) -> Any:
    info = emulator.info
    whole = {
        "grant_type": "client_credentials",
        "client_id": info.client_id,
        "client_secret": info.client_secret,
        "resource": f"{BATCH}/",
        **form,
    }
    url = f"{info.authority}/{info.tenant_id}/oauth2/token"
    return requests.post(url, data=whole, verify=info.ca_bundle, timeout=10)


def test_the_endpoint_of_version_1_speaks_of_resources(emulator: Emulator) -> None:
    answer = version_1(emulator).json()
    assert (answer["resource"], answer["expires_in"]) == (f"{BATCH}/", "3600")
    assert int(answer["expires_on"]) > time.time()
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    url = f"{emulator.info.http_endpoint}/pools?api-version=2025-06-01"
    assert requests.get(url, headers=headers, timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("form", "number"),
    [({"resource": "https://vault.azure.net"}, 500011), ({"client_secret": "SENTINEL"}, 7000215)],
)
def test_refusals_of_version_1(emulator: Emulator, form: dict[str, str], number: int) -> None:
    answer = version_1(emulator, **form)
    assert answer.json()["error_codes"] == [number]
    assert "SENTINEL" not in answer.text
