"""Calls, driven in both ways: what each asks for is answered in turn, what that raises thrown into it."""

from __future__ import annotations

import asyncio

import pytest

from airflow_batchext.exceptions import ConflictError, NotFoundError
from airflow_batchext.hooks._requests import DATA, ReadConnection, Request, body_of, pages
from airflow_batchext.transport.flows import adrive, drive

FIRST = Request(DATA, "list", "GET", "/pools", body_of)


def run(call, answer):
    return drive(call, answer)


def arun(call, answer):
    async def answered(step):
        return answer(step)

    return asyncio.run(adrive(call, answered))


@pytest.fixture(params=[run, arun])
def driven(request):
    return request.param


def test_a_request_is_sent_and_gives_its_answer(driven):
    sent = []
    assert driven(FIRST, lambda step: sent.append(step) or {"a": 1}) == {"a": 1}
    assert sent == [FIRST]


def test_a_refusal_is_thrown_into_the_flow_which_may_make_something_of_it(driven):
    def flow():
        try:
            yield from FIRST
        except NotFoundError:
            return (yield ReadConnection())

    def answer(step):
        if isinstance(step, Request):
            raise NotFoundError("gone")
        return "the fields"

    assert driven(flow(), answer) == "the fields"


def test_a_refusal_that_no_flow_catches_is_the_callers(driven):
    def refuse(step):
        raise ConflictError("no")

    with pytest.raises(ConflictError, match="no"):
        driven(FIRST, refuse)


def test_pages_follow_the_link_with_its_own_query_and_ours_version(driven):
    answers = {
        "/pools": {
            "value": [{"id": "a"}],
            "odata.nextLink": "https://host/pools?$skiptoken=x%26y&api-version=1",
        },
        "https://host/pools": {"value": [{"id": "b"}]},
    }
    sent = []
    found = driven(pages(FIRST), lambda step: sent.append(step) or answers[step.url])
    assert found == [{"id": "a"}, {"id": "b"}]
    assert sent[1].http().url == "https://host/pools?%24skiptoken=x%26y&api-version=2025-06-01"
