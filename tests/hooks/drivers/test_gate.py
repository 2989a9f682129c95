"""What Azure refuses, as the gate and a repair are told of it."""

from __future__ import annotations

import pytest

from airflow_batchext.exceptions import (
    AccessRefusedError,
    ConflictError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from airflow_batchext.hooks._drivers.gate import problem_of
from airflow_batchext.rules.reads import Problem, ProblemKind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AccessRefusedError, ProblemKind.REFUSED),
        (NotFoundError, ProblemKind.MISSING),
        (ConflictError, ProblemKind.CONFLICT),
        (UnavailableError, ProblemKind.PASSING),
        (ServiceError, ProblemKind.REJECTED),
    ],
)
def test_one_translator_tells_every_kind_of_refusal_apart(error, kind):
    refused = error("Could not do it", status=400, code="SomeCode", retry_after=7.0)
    assert problem_of(refused) == Problem(kind, "Could not do it", 7.0, "SomeCode")


def test_an_etag_that_is_no_longer_right_reads_the_same_whatever_the_service_calls_it():
    for code in ("", "ConditionNotMet", "UpdateConditionNotSatisfied"):
        assert problem_of(ConflictError("x", status=412, code=code)).code == "ConditionNotMet"
