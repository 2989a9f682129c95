"""No secret shows, wherever it is, and each is found."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from airflow_batchext.pool_spec import (
    check_document,
    expected_extensions,
    find_secrets,
    request_body,
)
from airflow_batchext.secrets.names import is_secret_member
from airflow_batchext.secrets.redact import redact
from tests.pool_spec.documents import DOCUMENTS, EXTENSION, GOOD, SECRET_PLACES, SENTINEL, with_change


@pytest.mark.parametrize("path", SECRET_PLACES)
@pytest.mark.parametrize("secret", [SENTINEL, [SENTINEL], {"key": SENTINEL}, [{"a": [{"b": SENTINEL}]}]])
def test_a_secret_shows_nowhere(path, secret):
    document = with_change(path, secret)
    assert SENTINEL not in f"{check_document(document)}{[str(f) for f in check_document(document)]}"
    for shown in (
        redact(document),
        redact([[document]]),
        redact({"d": (document,)}),
    ):
        assert SENTINEL not in json.dumps(shown)
        assert "***" in json.dumps(shown)
    ((where, value),) = find_secrets(document)
    assert value == SENTINEL
    assert where.startswith(path)
    assert SENTINEL not in where
    assert SENTINEL in json.dumps(request_body(document))


def test_what_is_shown_keeps_names_and_everything_else():
    document = with_change(f"{EXTENSION}.protectedSettings", {"a": 1, "b": [True, None, "x"], "c": {}})
    shown = redact(document)
    expected = {"a": "***", "b": ["***", None, "***"], "c": {}}
    assert shown == with_change(f"{EXTENSION}.protectedSettings", expected)
    assert redact(GOOD) == GOOD


def test_a_secret_text_that_is_json_is_found_whole_and_in_parts():
    text = json.dumps({"key": SENTINEL, "number": 7, "empty": "", "flag": True})
    document = {"protectedSettings": text, "password": "{not json"}
    assert list(find_secrets(document)) == [
        ("protectedSettings", text),
        ("protectedSettings.key", SENTINEL),
        ("protectedSettings.number", 7),
        ("password", "{not json"),
    ]


def test_the_signature_of_a_shared_access_url_is_a_secret():
    url = f"https://x.blob.core.windows.net/c/f?sv=2024&sig={SENTINEL}%3D&se=2030"
    document = {"properties": {"startTask": {"resourceFiles": [{"httpUrl": url}]}}}
    assert list(find_secrets(document)) == [
        ("properties.startTask.resourceFiles[0].httpUrl", f"{SENTINEL}%3D")
    ]
    shown = redact(document)["properties"]["startTask"]["resourceFiles"][0]["httpUrl"]
    assert shown == "https://x.blob.core.windows.net/c/f?sv=2024&sig=***&se=2030"


def test_a_secret_text_that_is_bottomless_json_is_found_whole():
    text = "[" * 900 + "1" + "]" * 900
    for bottomless in (text, "[" * 200_000):
        assert next(find_secrets({"password": bottomless})) == ("password", bottomless)
        assert len(list(find_secrets({"password": bottomless}))) <= 2


def planted(node: Any, *, hidden: bool = False) -> Any:
    """A copy with the sentinel in place of every value below a secret member."""
    if isinstance(node, dict):
        return {key: planted(item, hidden=hidden or is_secret_member(key)) for key, item in node.items()}
    if isinstance(node, list):
        return [planted(item, hidden=hidden) for item in node]
    return SENTINEL if hidden else node


@given(DOCUMENTS)
def test_no_secret_shows_wherever_it_was_planted(document):
    document = planted(document)
    findings = check_document(document)
    assert SENTINEL not in repr(findings)
    assert SENTINEL not in "".join(map(str, findings))
    assert SENTINEL not in repr(redact(document))
    count = repr(document).count(SENTINEL)
    assert sum(value == SENTINEL for _, value in find_secrets(document)) == count


@given(DOCUMENTS)
def test_nothing_makes_showing_or_sending_raise_or_change_its_input(document):
    before = repr(document)
    redact(document)
    for _, value in find_secrets(document):
        assert isinstance(value, (str, int, float))
        assert not isinstance(value, bool)
        assert value != ""
    if isinstance(document, dict):
        assert not {"name", "type", "id", "etag"} & set(request_body(document))
        assert all(expected_extensions(document))
    assert repr(document) == before
