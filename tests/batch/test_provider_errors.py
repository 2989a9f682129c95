"""The provider's JSON is read to its last word, and nothing that it may be makes that fail."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.provider_errors import provider_errors

INNER = {"code": "VMExtensionProvisioningError", "message": "extension 'e' failed"}


@pytest.mark.parametrize(
    "wrapped",
    [
        {"error": {"code": "DeploymentFailed", "details": [INNER]}},
        {"code": "DeploymentFailed", "details": [INNER, {"code": "other"}]},
        {"error": {"code": "DeploymentFailed", "innererror": INNER}},
        {"error": {"code": "DeploymentFailed", "details": [], "innererror": {"details": [INNER]}}},
    ],
)
def test_the_last_word_comes_last(wrapped):
    found = list(provider_errors(json.dumps(wrapped)))
    assert found == [("DeploymentFailed", ""), (INNER["code"], INNER["message"])]


def test_one_without_end_is_read_so_far():
    error = {"code": "c"}
    for _ in range(50):
        error = {"code": "c", "innererror": error}
    assert list(provider_errors(json.dumps(error))) == [("c", "")] * 5


@given(st.text(max_size=40) | st.recursive(st.none() | st.text(), st.lists, max_leaves=4).map(json.dumps))
def test_of_anything_else_nothing_is_told(text):
    assert list(provider_errors(text)) == []
