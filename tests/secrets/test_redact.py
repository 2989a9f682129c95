"""What looks like a secret is hidden in texts and settings of others; what does not, stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.secrets.redact import veiled, veiled_text

SECRET = "S3NTINEL0value"
LEAKS = [
    f"GET https://a.blob.core.windows.net/c/f?sv=1&sig={SECRET}%3D&se=2 failed",
    f"https://a/b?SIG={SECRET}",
    f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={SECRET}==;EndpointSuffix=x",
    f"Endpoint=sb://x/;SharedAccessKey={SECRET}",
    f"Authorization: Bearer {SECRET}",
    f'{{"client_secret": "{SECRET}"}}',
    f"password: '{SECRET}'",
    f"PASSWORD={SECRET}",
    f"curl http://user:{SECRET}@proxy:8080/",
    f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
    f"token eyJhbGciOiJ{SECRET}.eyJpc3MiOi{SECRET}.{SECRET}",
    f"api_key={SECRET}",
    f"sas_token = {SECRET}",
]
PLAIN = [
    "SecretNotFound: A secret with (name/id) c1 was not found in this key vault.",
    "does not have secrets get permission on key vault 'kv1'",
    "https://kv1.vault.azure.net/secrets/cert1",
    "E: Could not get lock /var/lib/dpkg/lock-frontend",
    "Enable failed: exit status 5",
    "the token has expired",
    "Public key: ssh-rsa AAAA",
    "node tvmps_0a1b2c_d (idle): extension secretext reports ProvisioningState/failed/1",
]


@pytest.mark.parametrize("text", LEAKS)
def test_secrets_in_texts_are_hidden_and_their_names_stay(text):
    assert SECRET not in veiled_text(text)
    assert SECRET not in one_line(text)
    assert "***" in veiled_text(text)
    assert veiled_text(veiled_text(text)) == veiled_text(text)


@pytest.mark.parametrize("text", PLAIN)
def test_texts_without_secrets_stay_as_they_are(text):
    assert veiled_text(text) == text


@pytest.mark.parametrize(
    "name",
    ["storageAccountKey", "protectedSettings", "connection_string", "clientSecret", "Password", "sasUrl"],
)
def test_members_that_sound_secret_are_hidden_with_all_below_them(name):
    value = {name: {"a": [SECRET, 7], "b": None, "c": True}, "workspaceId": "1234", "publicKey": "k"}
    shown = veiled(value)
    assert shown == {
        name: {"a": ["***", "***"], "b": None, "c": True},
        "workspaceId": "1234",
        "publicKey": "k",
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_the_shape_of_any_value_stays(value):
    def shape(found):
        if isinstance(found, dict):
            return {key: shape(item) for key, item in found.items()}
        return [shape(item) for item in found] if isinstance(found, list) else None

    assert shape(veiled(value)) == shape(value)


def test_long_texts_take_no_long_time():
    import time

    for text in (
        "a" * 100_000,
        "password" * 20_000,
        "eyJ" * 30_000,
        "://" * 30_000,
        "-----BEGIN PRIVATE KEY-----" * 3000,
    ):
        start = time.process_time()
        veiled_text(text)
        assert time.process_time() - start < 2
