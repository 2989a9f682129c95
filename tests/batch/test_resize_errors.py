"""Why a resize brought no nodes, in words."""

from __future__ import annotations

import json

import pytest

from airflow_batchext.batch.resize_codes import _PASSING, ADVICE, FATAL_RESIZE_CODES
from airflow_batchext.batch.resize_errors import resize_errors


def body(*errors):
    return {"properties": {"resizeOperationStatus": {"errors": list(errors)}}}


def text(**error):
    (found,) = resize_errors(body(error))
    return found.text


def test_every_fatal_code_has_advice():
    assert set(ADVICE) == FATAL_RESIZE_CODES | _PASSING


def test_code_message_details_and_advice_are_in_one_line():
    details = [{"code": "Reason", "message": "The server\nencountered an error"}]
    assert text(code="AllocationTimedOut", message="Not enough.", details=details) == (
        "AllocationTimedOut: Not enough (Reason: The server\\nencountered an error). Azure did not find "
        "enough machines within the resize timeout. Try again later, give a longer resizeTimeout, or take "
        "another vmSize or region."
    )


def test_the_providers_own_error_is_unfolded():
    inner = {"code": "SkuNotAvailable", "message": "no such size here"}
    provider = {"error": {"code": "BadRequest", "message": "see details", "details": [inner]}}
    details = [
        {"code": "Provider Error Json", "message": json.dumps(provider)},
        {"code": "Provider Error Json Truncated", "message": "False"},
    ]
    said = text(code="AllocationFailed", message="Desired number", details=details)
    assert "(BadRequest: see details; SkuNotAvailable: no such size here)" in said
    assert "Truncated" not in said


@pytest.mark.parametrize("cut", ['{"error": {"code": "Bad', "[1]", "1", "x" * 5000, "[" * 100_000])
def test_a_providers_error_that_cannot_be_read_is_shown_as_it_is_but_not_whole(cut):
    said = text(
        code="AllocationFailed", message="m", details=[{"code": "Provider Error Json", "message": cut}]
    )
    assert "Provider Error Json: " in said
    assert len(said) < 1200


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"properties": None},
        {"properties": {"resizeOperationStatus": []}},
        {"properties": {"resizeOperationStatus": {"errors": "x"}}},
    ],
)
def test_a_body_without_errors_has_none(odd):
    assert resize_errors(odd) == ()


def test_an_error_that_says_nothing_is_still_one():
    assert text() == "no code: no message"
    assert resize_errors(body("x"))[0].text == "no code: no message"


def test_which_ones_are_hopeless_is_known():
    assert resize_errors(body({"code": "AccountCoreQuotaReached"}))[0].fatal
    assert not resize_errors(body({"code": "AllocationTimedout"}))[0].fatal
