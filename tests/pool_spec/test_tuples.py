"""A tuple anywhere in a document is a list everywhere."""

from __future__ import annotations

import json
from typing import Any

from airflow.serialization.helpers import serialize_template_field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_batchext.concealment import conceal, literal_secrets, reveal
from airflow_batchext.pool_spec import (
    check_document,
    expected_extensions,
    find_differences,
    find_secrets,
    pools_in,
    request_body,
)
from airflow_batchext.pool_spec._sdk_schema import check_pool
from airflow_batchext.secret_references import from_environment, look_up_secrets
from airflow_batchext.secrets.redact import redact
from airflow_batchext.secrets.references import literal_leaves, only_references, with_stand_ins
from tests.examples import examples
from tests.pool_spec.bodies import BODIES
from tests.pool_spec.documents import DOCUMENTS, EXTENSION, with_change
from tests.secrets.kinds import SECRET, values

SECRETS = st.sampled_from(sorted(values(SECRET))).map(lambda kind: [{"x": [values(SECRET)[kind]]}])
PLACES = st.sampled_from(
    [f"{EXTENSION}.settings", f"{EXTENSION}.protectedSettings", "properties.startTask.environmentSettings"]
)
WITH_SECRETS = st.builds(with_change, PLACES, SECRETS | st.just([from_environment("PATH")]))
ANY = WITH_SECRETS | DOCUMENTS | BODIES
QUICK = settings(deadline=None, max_examples=examples(100), suppress_health_check=list(HealthCheck))


def with_tuples(value: Any, choose: Any) -> Any:
    """The same document with some of its lists as tuples."""
    if isinstance(value, dict):
        return {key: with_tuples(item, choose) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [with_tuples(item, choose) for item in value]
        return tuple(items) if choose() else items
    return value


def shown(value: Any) -> str:
    return json.dumps(value, default=str)


FUNCTIONS = {
    "check": lambda d: list(map(str, check_document(d))),
    "check with the models": lambda d: list(map(str, check_pool(d, pool_id="p"))),
    "redact": redact,
    "find_secrets": lambda d: list(find_secrets(d)),
    "references": lambda d: with_stand_ins(d),
    "only references": only_references,
    "literal leaves": lambda d: list(literal_leaves(d)),
    "look up": look_up_secrets,
    "conceal": lambda d: shown(serialize_template_field(conceal(d), "pool_document")),
    "literal secrets": lambda d: list(literal_secrets(conceal(d))),
    "reveal": lambda d: reveal(conceal(d)),
    "pools": lambda d: [(pool.body, pool.path) for pool in pools_in(d)],
}
OF_MAPPINGS = {
    "body": request_body,
    "extensions": expected_extensions,
    "asked": lambda d: list(map(str, find_differences({"properties": {}}, d))),
    "existing": lambda d: list(map(str, find_differences(d, {"properties": {}}))),
    "itself": lambda d: [str(found) for found in find_differences(request_body(d), d) if found.counts],
}


@QUICK
@given(ANY, st.data())
def test_every_function_takes_a_tuple_for_a_list(document, data):
    given_ = with_tuples(document, lambda: data.draw(st.booleans()))
    plain = json.loads(json.dumps(given_))
    functions = {**FUNCTIONS, **(OF_MAPPINGS if isinstance(document, dict) else {})}
    for name, function in functions.items():
        assert shown(function(given_)) == shown(function(plain)), name


def test_a_tuple_of_documents_is_a_list_of_them():
    documents = (with_change("name", "a"), with_change("name", "b"))
    assert [pool.name for pool in pools_in(documents)] == ["a", "b"]
    secret = ({"properties": {"userAccounts": ({"name": "u", "password": SECRET},)}},)
    assert SECRET not in shown(serialize_template_field(conceal(secret), "pool_document"))
    assert list(literal_secrets(conceal(secret))) == ["[0].properties.userAccounts[0].password"]
