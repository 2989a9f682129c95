"""What looks like a secret is hidden in texts and settings of others; what does not, stays."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.secrets.redact import (
    LONGEST_TEXT,
    find_secrets,
    looks_secret,
    redact,
    redact_text,
    secrets_in,
)
from tests.secrets.kinds import ALTERED, SECRET, TEXTS, values

PLAIN = [
    "SecretNotFound: A secret with (name/id) c1 was not found in this key vault.",
    "does not have secrets get permission on key vault 'kv1'",
    "https://kv1.vault.azure.net/secrets/cert1",
    "E: Could not get lock /var/lib/dpkg/lock-frontend",
    "Enable failed: exit status 5",
    "the token has expired",
    "Public key: ssh-rsa AAAA",
    "node tvmps_0a1b2c_d (idle): extension secretext reports ProvisioningState/failed/1",
    *(
        "exit code=1",
        "code=ProvisioningState/failed",
        "error code: AllocationFailed",
        "a status;code=12345678",
    ),
    *("https://login.microsoftonline.com/error?code=7000215", "https://aka.ms/e?code=AllocationFailed&x=1"),
    *(
        "-p 8080",
        "docker run -p 8080:80 -u 1000:1000 i",
        "ssh -p 22 host",
        "mysql -P 3306 -h x",
        "mysql -p db",
    ),
    *(
        "mkdir -p /x",
        "mkdir -p '/a b'",
        "mkdir -p'/x'",
        "nmap -p'1-100'",
        "kubectl patch -p'{}'",
        "cp -pr a b",
    ),
    *(
        "sshpass: command not found",
        "gcc -pthread -pipe",
        "curl -u user x",
        "msbuild /p:Configuration=Release",
    ),
    *(
        "NAME\tTOKEN\tSTATUS",
        "Password\tExpires\tUser",
        "tests: pass: 3, fail: 1",
        "pass=12 fail=3",
        "PASS=12 FAIL=3",
    ),
    *("choose one of ['password', 'token', 'key']", "('name', 'password')", "the :password symbol"),
    *("<password/>", "<Password required='true'/>", "<password></password>", "a zero\u200bwidth space"),
    *(
        "AKIA and ASIA",
        "Using a password on the command line interface can be insecure",
        "\x1b[1mdone\x1b[0m",
    ),
    "C:\\password\\temp",
]


HARMLESS = [
    "USE_PASSWORD=false",
    "export PASSWORD=$VAULT_PASSWORD",
    "--password ${PASSWORD}",
    "PASSWORD=%PASSWORD%",
    "clientSecret: {{ params.secret }}",
    "basic authentication failed",
]


@pytest.mark.parametrize("kind", TEXTS)
def test_secrets_in_texts_are_hidden_and_their_names_stay(kind):
    text = TEXTS[kind](SECRET)
    spelt = {SECRET, base64.b64encode(b"user:" + SECRET.encode()).decode()}
    assert any(each in text for each in spelt) or kind in ALTERED
    for shown in (redact_text(text), one_line(text)):
        assert not [each for each in spelt if each[:9] in shown]
    assert any((part in text and SECRET[:9] in part) or part in "".join(spelt) for part in secrets_in(text))
    assert looks_secret(text)
    assert "***" in redact_text(text)
    assert redact_text(redact_text(text)) == redact_text(text)


@pytest.mark.parametrize("text", PLAIN)
def test_texts_without_secrets_stay_as_they_are(text):
    assert redact_text(text) == text


@pytest.mark.parametrize("text", [*PLAIN, *HARMLESS])
def test_what_stands_for_a_secret_is_not_taken_for_one(text):
    assert not looks_secret(text)


@pytest.mark.parametrize("kind", values(SECRET))
@pytest.mark.parametrize("wrapped", [lambda v: v, lambda v: ({"a": (v, 1)},), lambda v: {"b": [{"c": v}]}])
def test_secrets_in_values_are_hidden_and_found(kind, wrapped):
    value = wrapped(values(SECRET)[kind])
    assert SECRET[:9] not in repr(redact(value))
    found = [str(secret) for _, secret in find_secrets(value)]
    assert found
    blotted = repr(redact(value)) if kind.startswith("text") else repr(value)
    for secret in found:
        blotted = blotted.replace(secret, "***")
    assert SECRET[:9] not in blotted


def test_a_reference_is_shown():
    reference = {"$secret": {"connection": "vault", "field": "password"}}
    for value in (reference, {"password": reference}, {"clientSecret": [reference]}):
        assert redact(value) == value
    assert redact({"$secret": SECRET}) == {"$secret": "***"}


@pytest.mark.parametrize(
    "name",
    ["storageAccountKey", "protectedSettings", "connection_string", "clientSecret", "Password", "sasUrl"],
)
def test_members_that_sound_secret_are_hidden_with_all_below_them(name):
    value = {name: {"a": [SECRET, 7], "b": None, "c": True}, "workspaceId": "1234", "publicKey": "k"}
    shown = redact(value)
    assert shown == {
        name: {"a": ["***", "***"], "b": None, "c": "***"},
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

    assert shape(redact(value)) == shape(value)


LONG = {
    "letters": "a",
    "names and dots": "a.",
    "names": "password",
    "assignments": "password=",
    "quotes": "password='",
    "escaped quotes": 'password=\\"',
    "objects": "secret={",
    "closed": "secret=[] ",
    "tags": "<password>",
    "tags without an end": "<a-b.c",
    "pairs": '"name": "password", "value": ',
    "options": "--password ",
    "dashes": "-a",
    "tokens": "eyJ",
    "dashed tokens": "eyJ-",
    "dotted tokens": "eyJaaaaaaaaaaa.",
    "URLs": "://",
    "users": "://a:",
    "at": "://a:b@",
    "keys": "-----BEGIN PRIVATE KEY-----",
    "begins": "-----BEGIN ",
    "ends": "-----BEGIN PRIVATE KEY----------END ",
    "bearers": "bearer ",
    "blanks": "bearer" + " " * 50,
    "basic": "basic YTph",
    "base64": "A" * 86 + "==",
    "escapes": "%3D",
    "signatures": "%26sig%3D",
    "curl": "-u a ",
    "entra": "abc8Q~",
    "backslashes": "\\",
    "colons": "a:",
    "equals": "a=",
    "arrows": "password->",
    "entities": "password&#61;",
    "triples": 'password="""',
    "xox": "xoxb-",
    "keys and blanks": 'key="password" ',
    "dots": ".",
    "code": "?code=",
    "codes": "/api/?code=a1 ",
    "commands": "mysql -u ",
    "quoted options": "mysql -p'",
    "programs": "curl ",
    "tuples": "('password', ",
    "tuples of text": "('password','",
    "tabs": "password\t",
    "tabs and blanks": "password \t",
    "tags with attributes": "<password a",
    "tags of tags": "<password><a>",
    "nothing but tags": "<",
    "escaped tags": "&lt;password&gt;",
    "CDATA": "<password><![CDATA[",
    "tags of a pair": "<name>password</name><a>",
    "calls": "password=a('",
    "doubled quotes": "password=''",
    "blocks": "password: |\n a\n",
    "unseen": "pass\u200b",
    "terminal": "\x1b[0",
    "terminal's title": "\x1b]0",
    "wide": "\uff50",
    "keys of AWS": "AKIA",
    "SendGrid": "SG." + "a" * 16 + ".",
}


#: A pattern is tried only where the marks are that it needs: with these, all are.
MARKS = "password=x password: y a->b %3D &#61; <a> &lt;b&gt; ('a', ['b']) --c \t \\t "


@pytest.mark.parametrize("kind", LONG)
def test_the_time_grows_with_the_length_and_no_faster(kind, monkeypatch):
    """Four times the text takes about four times as long; a quadratic pattern takes sixteen times."""
    monkeypatch.setattr("airflow_batchext.secrets.redact.LONGEST_TEXT", 10**9)
    unit = LONG[kind]
    short = unit * (15_000 // len(unit))

    def took(text):
        start = time.process_time()
        redact_text(MARKS + text)
        return time.process_time() - start

    least = 0.002  # of less the clock says nothing
    times = [(took(short), took(short * 4))]
    while len(times) < 3 and min(long for _, long in times) >= 10 * max(least, min(times)[0]):
        times.append((took(short), took(short * 4)))
    assert min(long for _, long in times) < 10 * max(least, min(times)[0])


@pytest.mark.parametrize("longest", [LONGEST_TEXT, LONGEST_TEXT // 16])
def test_a_text_is_cut_before_it_is_looked_at_and_no_secret_in_two(longest, monkeypatch):
    """At the real length where some of the cuts come, at a shorter one everywhere."""
    monkeypatch.setattr("airflow_batchext.secrets.redact.LONGEST_TEXT", longest)
    url = f"https://user:{SECRET}@host/ "
    for shift in range(0, len(url), 8 if longest == LONGEST_TEXT else 1):
        shown = redact_text("x" * shift + " " + url * (longest // 16))
        assert len(shown) < longest + 100
        assert SECRET[:3] not in shown
        assert "characters in all" in shown
