"""A reference to a secret is taken where Azure hides what is there, and nowhere else, for every member."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_batchext.pool_spec import Schema, check_references, shown_values
from airflow_batchext.pool_spec._sdk_schema import check_pool, pool_schema
from airflow_batchext.pool_spec._secret_places import SECRET_PLACES
from airflow_batchext.secrets.names import SECRET_MEMBERS
from airflow_batchext.secrets.references import references_in

REFERENCE = {"$secret": {"environment": "HOME"}}


def members(schema: Schema, name: str, above: tuple[str, ...] = (), path: str = "") -> Iterator[str]:
    """The place of every member of a pool that the SDK knows, ``[]`` for each entry of a list."""
    for member, described in schema.types[name].items():
        place, shape = f"{path}.{member}".lstrip("."), described.shape
        yield place
        while shape.kind in ("list", "map") and shape.of is not None:
            place, shape = f"{place}.{'[]' if shape.kind == 'list' else 'any'}", shape.of
            yield place
        if shape.kind == "object" and shape.type_name not in above:
            yield from members(schema, shape.type_name, (*above, name), place)


def at_place(place: str, value: Any) -> Any:
    """A document with nothing but a value at a place."""
    for step in reversed(place.split(".")):
        value = [value] if step == "[]" else {step: value}
    return value


SCHEMA = pool_schema()
assert SCHEMA is not None
PLACES = list(members(SCHEMA, SCHEMA.root))


def is_below(place: str) -> bool:
    return any(f"{place}.".startswith(f"{secret}.") for secret in SECRET_PLACES)


def test_the_places_are_members_that_the_sdk_knows_and_all_of_them_that_are_secret():
    assert len(PLACES) > 200
    assert set(SECRET_PLACES) <= set(PLACES)
    # What Azure calls so and shows: settings of an extension are free text to it.
    assert {place for place in PLACES if place.rpartition(".")[2] in SECRET_MEMBERS} == set(SECRET_PLACES)


@pytest.mark.parametrize("below", ["", ".password", ".[]", ".protectedSettings.key"])
def test_every_member_is_one_or_the_other(below):
    for place in (place + below for place in PLACES):
        document = at_place(place, REFERENCE)
        told = [finding.path for finding in check_references(document)]
        assert len(told) == (0 if is_below(place) else 1), place
        assert len(list(references_in(document))) == 1
        assert told == [] or told == [place.replace(".[]", "[0]")]


@pytest.mark.parametrize(
    "place",
    [
        "properties.deploymentConfiguration.virtualMachineConfiguration.extensions.[].settings.workspaceKey",
        "properties.deploymentConfiguration.virtualMachineConfiguration.extensions.[].settings.protectedSettings.a",
        "properties.deploymentConfiguration.virtualMachineConfiguration.extensions.[].protectedsettings",
        "properties.startTask.environmentSettings.[].value",
        "properties.metadata.[].value",
        "properties.displayName",
        "tags.password",
        "password",
        "properties.password",
        "protectedSettings",
    ],
)
@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: (it,), lambda it: {**it, "beside": 1}])
def test_names_that_sound_secret_do_not_make_a_place_one(place, wrap):
    findings = check_pool(at_place(place, wrap(REFERENCE)), pool_id="p")
    told = [f for f in findings if "a secret is referred to where everybody" in f.problem]
    assert len(told) == 1
    assert told[0].severity == "error"
    assert "HOME" not in str(told[0])


def test_a_document_without_a_bottom_has_an_end():
    body: dict[str, Any] = {"properties": {}}
    body["properties"]["startTask"] = [body, (body,)]
    assert check_references(body) == []
    assert list(shown_values({"a": 1, "b": [None, "x"]})) == [("a", 1), ("b[0]", None), ("b[1]", "x")]
