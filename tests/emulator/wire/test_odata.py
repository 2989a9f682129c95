"""The ``$filter`` of a list: what it keeps, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_batchext.emulator.wire.errors import RefusedError
from airflow_batchext.emulator.wire.odata import Kind, read_filter

FIELDS: dict[str, Kind] = {
    "name": "text",
    "properties/time": "time",
    "properties/count": "number",
    "properties/on": "boolean",
    "properties/auto": "object",
}
ITEM = {
    "name": "Pool-1",
    "properties": {"time": "2026-11-22T10:00:00.1234567Z", "count": 3, "on": True, "auto": {"formula": "x"}},
}


def keeps(text: str, item: dict[str, Any] | None = None) -> bool:
    return read_filter(text, FIELDS)(ITEM if item is None else item)


@pytest.mark.parametrize(
    "text",
    [
        "name eq 'pool-1'",
        "NAME EQ 'POOL-1'",
        "name ne 'pool-2' and properties/count eq 3",
        "startswith(name, 'pool-')",
        "not startswith(name,'x')",
        "name eq 'x' or name eq 'y' or name eq 'pool-1'",
        "name eq 'pool-1' or name eq 'y' and name eq 'x'",
        "(name eq 'pool-1' or name eq 'y') and not (name eq 'x')",
        "properties/time gt datetime'2026-11-22T09:59:59Z'",
        "properties/time le '2026-11-22T10:00:00.123456Z'",
        "properties/time lt DateTime'2026-11-23T00:00:00'",
        "properties/count ge 2.5",
        "properties/on eq true",
        "properties/auto ne null",
        " name  eq  'pool-1' ",
    ],
)
def test_what_is_kept(text: str) -> None:
    assert keeps(text)


@pytest.mark.parametrize(
    "text",
    [
        "name gt 'pool-1'",
        "name eq 'it''s'",
        "not (name eq 'pool-1')",
        "(name eq 'pool-1' or name eq 'y') and name eq 'y'",
        "properties/time ge datetime'2026-11-22T10:00:01Z'",
        "properties/auto eq null",
        "properties/on eq false",
    ],
)
def test_what_is_not_kept(text: str) -> None:
    assert not keeps(text)


def test_what_is_not_there_is_null_and_has_no_order() -> None:
    assert keeps("properties/auto eq null", {"name": "x"})
    assert keeps("name ne 'y'", {})
    assert not keeps("properties/count lt 5", {})


def test_quotes_are_doubled() -> None:
    assert keeps("name eq 'it''s'", {"name": "IT'S"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "ends too early"),
        ("name", "ends too early"),
        ("name eq", "ends too early"),
        ("name is 'x'", "'is' is not an operator"),
        ("vmSize eq 'x'", "'vmSize' is not a property"),
        ("name eq x", "a value is expected instead of 'x'"),
        ("name eq 5", "5 is not a value of the type text"),
        ("properties/count eq '5'", "'5' is not a value of the type number"),
        ("properties/time eq 'soon'", "'soon' is not a value of the type time"),
        ("name gt null", "null has no order"),
        ("name eq 'x' name", "'name' is not expected"),
        ("(name eq 'x'", "')' is missing"),
        ("name eq 'x", "cannot be read from"),
        ("'x' eq name", "a property is expected"),
        ("startswith(properties/count, 5)", "startswith is for text"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_filter(text, FIELDS)
    problem = caught.value
    assert (problem.status, problem.code) == (400, "InvalidQueryParameterValue")
    assert says in problem.values["Reason"]


def test_other_functions_are_not_modelled() -> None:
    with pytest.raises(RefusedError, match="the function 'endswith'") as caught:
        read_filter("endswith(name, 'x')", FIELDS)
    assert caught.value.status == 501
