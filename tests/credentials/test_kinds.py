"""Every way of signing in that a connection can name opens both planes, sync and async."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from airflow_batchext.credentials import forget_tokens
from airflow_batchext.emulator import Scenario
from airflow_batchext.exceptions import AccessRefusedError, ConnectionFieldsError
from tests.conftest import own_connection

from .conftest import sign_ins

PASSWORD = "p4ssphrase"


def as_pkcs12(pem: str, folder: Path) -> str:
    data = Path(pem).read_bytes()
    key = serialization.load_pem_private_key(data, None)
    bundle = pkcs12.serialize_key_and_certificates(
        b"c",
        key,
        x509.load_pem_x509_certificate(data),
        None,
        serialization.BestAvailableEncryption(PASSWORD.encode()),
    )
    (folder / "client.pfx").write_bytes(bundle)
    return str(folder / "client.pfx")


def fake_az(folder: Path, token: str) -> None:
    """The Azure CLI, as far as azure-identity asks it: prints a token."""
    answer = {"accessToken": token, "expires_on": 4_000_000_000, "tokenType": "Bearer"}
    script = folder / "az"
    script.write_text(f"#!{sys.executable}\nprint('''{json.dumps(answer)}''')\n")
    script.chmod(0o755)


@pytest.fixture(
    params=[
        "client_secret",
        "certificate_path",
        "certificate_text",
        "certificate_pkcs12",
        "workload_identity",
        "workload_identity_from_environment",
        "managed_identity_of_the_system",
        "managed_identity_of_the_user",
        "default_by_environment",
        "default_by_managed_identity",
    ]
)
def conn_id(request, azure, monkeypatch, tmp_path):
    """A connection that signs in one way, and nothing around that could help another."""
    info, kind = azure.emulator.info, request.param
    no_login = {"login": None, "password": None}
    extra, login = {}, {"password": None}
    if kind == "client_secret":
        login = {}
    elif kind == "certificate_path":
        extra = {"certificate_secret": info.client_certificate}
    elif kind == "certificate_text":
        extra = {"certificate_secret": Path(info.client_certificate).read_text().replace("\n", "")}
    elif kind == "certificate_pkcs12":
        path = as_pkcs12(info.client_certificate, tmp_path)
        extra = {"certificate_secret": path, "certificate_password": PASSWORD}
    elif kind == "workload_identity":
        extra = {"auth": "workload_identity", "token_file": info.federated_token_file}
    elif kind == "workload_identity_from_environment":
        extra = {"auth": "workload_identity"}
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", info.federated_token_file)
    elif kind == "default_by_environment":
        login, extra = no_login, {"auth": "default", "exclude": "managed_identity, cli"}
        for name in ("tenant_id", "client_id", "client_secret"):
            monkeypatch.setenv(f"AZURE_{name.upper()}", getattr(info, name))
    else:
        machine = azure.emulator.tokens.identities.machine_id
        login = no_login
        extra = {"auth": kind.partition("_by_")[0] if "_by_" in kind else "managed_identity"}
        if kind.endswith("_user"):
            extra["managed_identity_client_id"] = machine
        monkeypatch.setenv("IDENTITY_ENDPOINT", info.identity_endpoint)
        monkeypatch.setenv("IDENTITY_HEADER", info.identity_header)
    return azure.connect(kind, own_connection(azure.emulator, extra=extra, **login))


def test_it_opens_both_planes(read, azure, conn_id):
    pool = azure.create()
    forget_tokens()
    azure.emulator.requests.clear()
    assert len(read("data", conn_id, pool)) == 2
    assert read("management", conn_id, pool)["name"] == pool
    assert sign_ins(azure) == 2, "one for each plane: the same identity signs in once"


def test_the_azure_cli(read, azure, monkeypatch, tmp_path):
    fake_az(tmp_path, azure.emulator.tokens.issue("https://batch.core.windows.net/", client_id=None))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    info = azure.emulator.info
    extra = {"auth": "azure_cli", "account_url": info.batch_endpoint}
    azure.connect("cli", own_connection(azure.emulator, login=None, password=None, extra=extra))
    assert len(read("data", "cli", azure.create())) == 2
    fake_az(tmp_path, "none")
    assert len(read("data", "cli", azure.pool_id)) == 2, "the token is kept, the command is not run again"


def test_a_key_that_is_given(read, azure):
    extra = {"auth": "account_key", "account_key_secret": azure.emulator.info.key}
    extra["account_url"] = azure.emulator.info.http_endpoint
    azure.connect("key", own_connection(azure.emulator, login=None, password=None, extra=extra))
    pool = azure.create()
    azure.emulator.requests.clear()
    assert len(read("data", "key", pool)) == 2
    assert sign_ins(azure) == 0
    with pytest.raises(ConnectionFieldsError, match="takes no keys"):
        read("management", "key", pool)


def test_a_key_that_is_looked_up(read, azure):
    azure.connect("keys", own_connection(azure.emulator, extra={"list_keys": True}))
    pool = azure.create()
    azure.emulator.requests.clear()
    for _ in range(3):
        assert len(read("data", "keys", pool)) == 2
    assert len(azure.reads("/listKeys")) == 1
    azure.emulator.account.keys["primary"] = base64.b64encode(os.urandom(64)).decode()
    assert len(read("data", "keys", pool)) == 2, "a regenerated key is looked up again"
    assert len(azure.reads("/listKeys")) == 2


def test_no_keys_are_looked_up_where_the_account_has_none(read, azure):
    for answers in ({}, {"keys_not_allowed": "AuthorizationFailure"}):
        azure.emulator.scenario = Scenario.load({"account": {"shared_key": False}, "answers": answers})
        azure.connect("keys", own_connection(azure.emulator, extra={"list_keys": "true"}))
        with pytest.raises(AccessRefusedError, match="takes no shared keys"):
            read("data", "keys", "p")


def test_a_ready_credential_or_a_callable_that_makes_one(azure):
    from azure.identity import ClientSecretCredential

    info, made = azure.emulator.info, []

    def make():
        made.append(
            ClientSecretCredential(
                info.tenant_id,
                info.client_id,
                info.client_secret,
                authority=info.authority,
                disable_instance_discovery=True,
                connection_verify=info.ca_bundle,
            )
        )
        return made[-1]

    from airflow_batchext.hooks.node import AzureBatchNodeHook

    azure.connect("bare", own_connection(azure.emulator, login=None, password=None))
    pool = azure.create()
    for given in (make, make()):
        with AzureBatchNodeHook("bare", credential=given) as hook:
            assert len(hook.list_nodes(pool)) == 2
    assert made[-1].get_token("https://batch.core.windows.net//.default"), "it is not closed here"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"certificate_secret": "/no/such/file.pem"}, "auth 'certificate' cannot be used"),
        (
            {"certificate_secret": "-----BEGIN PRIVATE KEY-----\nU0VOVElORUw=\n-----END PRIVATE KEY-----"},
            "PEM text",
        ),
        ({"tenant_id": "not a tenant!"}, "auth 'client_secret' cannot be used"),
        ({"token_file": "/no/such/file"}, "auth 'workload_identity' cannot be used"),
    ],
)
def test_what_cannot_be_used_is_told_without_its_content(read, azure, extra, said):
    azure.connect("broken", own_connection(azure.emulator, extra=extra))
    with pytest.raises(ConnectionFieldsError, match=said) as caught:
        read("data", "broken", "p")
    assert "U0VOVElORUw" not in str(caught.value)
    assert caught.value.__suppress_context__
