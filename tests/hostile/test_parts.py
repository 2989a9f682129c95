"""Every operator, sensor mode, trigger, command and notifier meets a hostile service, as the hooks do.

Each meets its share of the family in `make test`, and a larger one, with all that is slow, in
`make test-slow`.
"""

from __future__ import annotations

import random
import time
from contextlib import suppress

import pytest

from airflow_batchext.credentials import forget_tokens
from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks._base import BatchHook
from airflow_batchext.transport import _answers
from tests.hostile.meeting import (
    LONGEST_HOLD_SECONDS,
    AsyncToken,
    Token,
    assert_plain,
    check,
    longest_hold,
    peak,
    select,
    slowness,
)
from tests.hostile.parts import PARTS
from tests.hostile.service import Answer, Hostile, Trap, heavy_answers, loud_answers


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign-in that worked: the bad answers are those of the planes."""

    def credential(self: object, connection: object, *, asynchronous: bool = False) -> object:
        return AsyncToken() if asynchronous else Token()

    monkeypatch.setattr(BatchHook, "_credential", credential)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Test button may send to this machine."""
    monkeypatch.setenv("AIRFLOW__BATCHEXT__TEST_HOSTS", "127.0.0.1")


@pytest.fixture
def meet(hostile: Hostile, trap: Trap, conn_id: str, capsys, listed):
    """Have a part meet answers, and look at all that came of it."""

    def run(part: str, answers: list[Answer]) -> None:
        hostile.answer = loud_answers(part, 0)[-1]
        with suppress(BatchextError):
            PARTS[part](conn_id)  # what is imported at the first use is not what an answer costs
        capsys.readouterr()
        before = peak()
        with longest_hold() as held:
            for answer in answers:
                check(hostile, trap, answer, lambda: PARTS[part](conn_id))
                # How slow the machine is takes long to tell: it is asked only where it matters.
                assert held() < LONGEST_HOLD_SECONDS or held() < LONGEST_HOLD_SECONDS * slowness(), (
                    f"the event loop was held for {held():.3f} s: {answer.name}"
                )
                out, err = capsys.readouterr()
                assert "SENTINEL" not in out + err, answer.name
                assert "Traceback" not in out + err, answer.name
                assert_plain(out + err)
        assert peak() - before < 250, "of which the server, in the same process, has its part"

    return run


def shared(family: list[Answer], part: str, count: int, *, slow: bool) -> list[Answer]:
    drawn = random.Random(part)
    slow_ones = [answer for answer in family if answer.drip or answer.head_drip]
    fast = [answer for answer in family if answer not in slow_ones]
    return [*drawn.sample(fast, count), *(slow_ones if slow else ())]


@pytest.mark.parametrize("part", PARTS)
def test_every_part_ends_in_time_with_our_own_errors_and_no_word_raw(meet, family, trap, signed_in, part):
    away = [a for a in select(family, "nextLink", "30") if trap.url[8:] in f"{a.body!r}{a.headers}"]
    drawn = random.Random(f"{part} led away").choice(away)
    loud, _, one = loud_answers(part, 1)
    meet(part, [*shared(family, part, 1, slow=False), drawn, loud, one])


def test_the_largest_answers_hold_no_event_loop(meet, signed_in):
    """As large, and of as many parts, as is believed; those that cost most."""
    heavy = heavy_answers(_answers.MOST_BYTES, _answers.MOST_VALUES)
    costly = select(heavy, "fractions", "members", "letters", "closers", "lists", "nodes")
    assert len(costly) > 6
    meet("gate's trigger", costly)


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_part_meets_more_of_it(meet, family, signed_in, part):
    heavy = heavy_answers(_answers.MOST_BYTES, _answers.MOST_VALUES)
    meet(part, [*shared(family, part, 40, slow=True), *heavy, *loud_answers(part, 40)])


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_part_meets_it_at_the_sign_in(meet, family, part):
    *some, slow = shared(family, f"{part} signs in", 5, slow=True)
    for answer in (*some[:5], slow):
        forget_tokens()
        meet(part, [answer])


def test_a_callback_that_works_for_long_is_found():
    import asyncio

    async def work() -> None:
        until = time.thread_time() + 10 * LONGEST_HOLD_SECONDS
        while time.thread_time() < until:
            pass

    with longest_hold() as held:
        asyncio.run(work())
        assert held() > LONGEST_HOLD_SECONDS * slowness()
