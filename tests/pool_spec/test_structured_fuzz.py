"""Documents without a mistake have no error in any form; a mistake of each kind is told where it stands."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_batchext.cli.convert import converted
from airflow_batchext.emulator.documents.pool import read_management
from airflow_batchext.emulator.wire.errors import RefusedError
from airflow_batchext.pool_spec import Finding, PoolDocument, parse_pools, request_body
from airflow_batchext.pool_spec._planes import to_data_plane
from airflow_batchext.pool_spec._sdk_schema import check_pool, data_plane_schema, pool_schema
from tests.examples import examples
from tests.pool_spec.documents import ABSENT, paths_of, steps, value_at, with_change
from tests.pool_spec.test_snake import as_dict
from tests.pool_spec.valid import VALID

SLOW = settings(deadline=None, max_examples=examples(80), suppress_health_check=list(HealthCheck))
ARM, DATA = pool_schema(), data_plane_schema()
TYPE = "Microsoft.Batch/batchAccounts/pools"
#: Members below which a text, or anything, may stand.
FREE = ("settings", "protectedSettings", "tags", "metadata", "environmentSettings", "displayName", "identity")
COMMANDS = ("commandLine", "formula")


def errors(body: Any) -> list[Finding]:
    return [finding for finding in check_pool(body) if finding.severity == "error"]


def told_at(path: str, findings: list[Finding]) -> bool:
    """Whether one of them is told there, within, or at the very object that it stands in."""
    return any(f.path == path or f.path.startswith((f"{path}.", f"{path}[")) for f in findings)


def refused(body: Any) -> str | None:
    try:
        read_management(copy.deepcopy(request_body(body)))
    except RefusedError as error:
        return str(error)
    return None


FORMS = {
    "json": lambda body: json.dumps(body),
    "yaml": lambda body: yaml.safe_dump(body, allow_unicode=True),
    "a list": lambda body: json.dumps([body]),
    "an answer": lambda body: json.dumps({"value": [body]}),
    "an example": lambda body: json.dumps({"parameters": {"poolName": body["name"], "parameters": body}}),
    "a page": lambda body: json.dumps({"name": body["name"], "type": TYPE, "parameters": body}),
    "a resource": lambda body: json.dumps(
        {**body, "type": TYPE, "apiVersion": "1", "dependsOn": [], "name": f"a/{body['name']}", "zones": None}
    ),
    "az resource show": lambda body: json.dumps({**body, "id": "/x", "resourceGroup": "g", "sku": None}),
    "a template": lambda body: converted([PoolDocument(body)], "template")[0],
    "as_dict of an older SDK": lambda body: json.dumps(as_dict(body)),
}


@given(VALID)
@SLOW
def test_a_valid_document_has_no_error_and_the_emulator_takes_it(body):
    assert errors(body) == []
    assert refused(body) is None


@pytest.mark.parametrize("form", FORMS)
@given(body=VALID)
@settings(SLOW, max_examples=25)
def test_a_valid_document_has_no_error_in_any_form(form, body):
    (pool,) = parse_pools(FORMS[form](body), source="x")
    assert errors(pool.body) == []
    assert pool.name == body["name"]
    assert request_body(pool.body)["properties"] == request_body(body)["properties"]


@given(VALID)
@SLOW
def test_a_valid_document_goes_to_the_other_plane_and_comes_back_without_an_error(body):
    text, lost = converted([PoolDocument(body)], "data-plane")
    assert {path for path, _ in lost} <= {
        "identity",
        "tags",
        "properties.scaleSettings.fixedScale.nodeDeallocationOption",
    }
    back, more = converted(parse_pools(text, source="x"), "arm")
    assert more == []
    without_identity = [finding for finding in errors(json.loads(back)) if "identity" not in finding.problem]
    assert without_identity == []


def places(body: dict[str, Any], *, below: tuple[str, ...] = FREE) -> list[str]:
    """The paths of what is Azure's, not the user's."""
    return [
        path
        for path in paths_of(body)
        if not any(step in below for step in steps(path)[:-1]) and steps(path)[-1] != "name"
    ]


@given(VALID, st.data())
@SLOW
def test_a_misspelt_member_is_told_where_it_stands(body, data):
    named = [path for path in places(body) if isinstance(steps(path)[-1], str) and "." in path]
    path = data.draw(st.sampled_from(named))
    holder, _, name = path.rpartition(".")
    at = data.draw(st.integers(1, len(name) - 1)) if len(name) > 1 else 0
    wrong = data.draw(
        st.sampled_from([name[:at] + name[at + 1 :], name[:at] + "x" + name[at:], f"{name}Typo"])
    )
    if not wrong or wrong in value_at(body, holder):
        return
    changed = with_change(f"{holder}.{wrong}", value_at(body, path), with_change(path, ABSENT, body))
    known = ARM.homes.keys() | {member.casefold() for member in value_at(body, holder)}
    if wrong.casefold() in known:  # it became another member
        return
    assert told_at(f"{holder}.{wrong}", errors(changed)), check_pool(changed)


WRONG_TYPES = [{"x": 1}, [{"x": [1]}], [[]], 3.25]


@given(VALID, st.data(), st.sampled_from(WRONG_TYPES))
@SLOW
def test_a_value_of_a_wrong_type_is_told_where_it_stands(body, data, value):
    below = (*FREE, "tags")
    path = data.draw(
        st.sampled_from([path for path in places(body, below=below) if steps(path)[-1] not in FREE])
    )
    if isinstance(value_at(body, path), dict) and isinstance(value, dict):
        return
    if isinstance(value_at(body, path), list) and value == [[]]:
        value = [[], None]
    assert told_at(path, errors(with_change(path, value, body)))


UNFILLED = ["[parameters('x')]", "${x}", "$(x)", "<x>", "{{ x }}", "[concat(variables('a'), 'b')]", "#{x}#"]


@given(VALID, st.data(), st.sampled_from(UNFILLED))
@SLOW
def test_what_nobody_filled_in_is_told_where_it_stands(body, data, text):
    secrets = ("password", "accountKey", "sasKey")
    texts = [
        path
        for path in places(body, below=(*FREE, *COMMANDS))
        if not isinstance(value_at(body, path), (dict, list)) and steps(path)[-1] not in (*COMMANDS, *FREE)
        if steps(path)[-1] not in secrets or text.startswith("[")
    ]
    path = data.draw(st.sampled_from(texts))
    assert told_at(path, errors(with_change(path, text, body)))


@given(VALID, st.data())
@SLOW
def test_null_in_a_list_is_told(body, data):
    lists = [path for path in places(body) if isinstance(value_at(body, path), list)]
    if lists:
        path = data.draw(st.sampled_from(lists))
        changed = with_change(path, [*value_at(body, path), None], body)
        assert told_at(path, errors(changed))


@given(VALID, st.data())
@SLOW
def test_what_the_emulator_refuses_when_something_is_missing_is_an_error(body, data):
    path = data.draw(st.sampled_from([path for path in paths_of(body) if path != "name"]))
    changed = with_change(path, ABSENT, body)
    said = refused(changed)
    assert said is None or errors(changed), said


@given(VALID, st.data())
@SLOW
def test_what_the_emulator_refuses_of_a_value_of_another_place_is_an_error(body, data):
    """The pieces are all right by themselves: only where they stand is wrong."""
    everywhere = [path for path in paths_of(body) if path != "name"]
    path, other = data.draw(st.sampled_from(everywhere)), data.draw(st.sampled_from(everywhere))
    changed = with_change(path, copy.deepcopy(value_at(body, other)), body)
    said = refused(changed)
    # A word that nobody knows is a warning: services grow.
    words = [finding for finding in check_pool(changed) if "that azure-mgmt-batch" in finding.problem]
    assert said is None or errors(changed) or words, said


@given(VALID, st.data())
@SLOW
def test_the_order_and_the_case_of_names_is_no_error(body, data):
    def turned(value: Any, free: bool = False) -> Any:
        if isinstance(value, dict):
            items = [(key, turned(item, free or key in FREE)) for key, item in reversed(value.items())]
            return {key if free or not spelt else key.upper(): item for key, item in items}
        return [turned(item, free) for item in value] if isinstance(value, list) else value

    spelt = data.draw(st.booleans())
    changed = {name: turned(item, name != "properties") for name, item in body.items()}
    assert errors(changed) == []


@given(VALID, st.data())
@SLOW
def test_the_same_mistake_in_the_data_planes_shape_is_told_there(body, data):
    from airflow_batchext.pool_spec._check_data_plane import check_data_plane

    there = to_data_plane(body, ARM, DATA).body
    name = data.draw(st.sampled_from([name for name in there if name not in ("id", "metadata")]))
    changed = {key: item for key, item in there.items() if key != name} | {f"{name}Typo": there[name]}
    found = check_data_plane(changed, ARM, DATA, lambda other: check_pool(other, pool_id="p"))
    assert f"{name}Typo" in {finding.path for finding in found}
