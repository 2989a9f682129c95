"""Both drivers run a flow alike, whatever it wants and whatever goes wrong."""

from __future__ import annotations

import asyncio
from functools import partial
from operator import call

import pytest

from airflow_batchext.transport.flows import adrive, drive


def threaded(flow, answer):
    return drive(flow, answer)


def looped(flow, answer):
    async def answered(wanted):
        await asyncio.sleep(0)
        return answer(wanted)

    return asyncio.run(adrive(flow, answered))


@pytest.fixture(params=[threaded, looped])
def driven(request):
    return request.param


def test_what_it_wants_is_answered_in_turn(driven):
    def flow():
        first = yield 1
        second = yield first + 1
        return first, second

    asked = []
    assert driven(flow(), lambda wanted: asked.append(wanted) or wanted * 10) == (10, 110)
    assert asked == [1, 11]


def test_a_flow_that_wants_nothing_has_its_result_at_once(driven):
    def flow():
        return 7
        yield

    assert driven(flow(), pytest.fail) == 7


def test_it_can_want_things_called(driven):
    def flow():
        return (yield partial(divmod, 7, 2))

    assert driven(flow(), call) == (3, 1)


@pytest.mark.parametrize("kind", [ValueError, OSError, KeyError])
def test_an_error_is_thrown_to_where_it_was_wanted_and_may_be_caught(driven, kind):
    def flow():
        try:
            yield "bad"
        except kind:
            return (yield "good")

    def answer(wanted):
        if wanted == "bad":
            raise kind("no")
        return wanted

    assert driven(flow(), answer) == "good"


def test_an_error_that_it_does_not_catch_is_the_callers_and_what_it_holds_is_let_go(driven):
    let_go = []

    def flow():
        try:
            yield "bad"
        finally:
            let_go.append(True)

    def answer(wanted):
        raise KeyError(wanted)

    with pytest.raises(KeyError, match="bad"):
        driven(flow(), answer)
    assert let_go == [True]


def test_an_error_raised_again_with_another_in_its_place_hides_the_first(driven):
    def flow():
        try:
            yield "bad"
        except KeyError:
            raise LookupError("told otherwise") from None

    def answer(wanted):
        raise KeyError("a secret")

    with pytest.raises(LookupError, match="told otherwise") as raised:
        driven(flow(), answer)
    assert raised.value.__suppress_context__


async def test_a_cancellation_is_no_answer():
    caught = []

    def flow():
        try:
            yield "for ever"
        except Exception as error:  # a flow that catches everything
            caught.append(error)

    async def answer(wanted):
        await asyncio.Event().wait()

    task = asyncio.create_task(adrive(flow(), answer))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caught == []
