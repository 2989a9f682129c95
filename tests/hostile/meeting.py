"""How a part of the package meets one bad answer, and what may come of it."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from azure.core.credentials import AccessToken

from airflow_batchext.exceptions import BatchextError, ParameterError
from tests.hostile.service import Answer, Hostile, Trap, seconds

DEADLINE = 1.0
#: What a drip would take is minutes; a loaded machine may take some of the ten seconds between.
PATIENCE = DEADLINE + 10
SHARE = 12
LONGEST_HOLD_SECONDS = 0.1


class Token:
    """A credential that has a token at once."""

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        return AccessToken("token-SENTINEL", 4_000_000_000)


class AsyncToken:
    """The same for event loops."""

    async def get_token(self, *scopes: str, **_: object) -> AccessToken:
        return AccessToken("token-SENTINEL", 4_000_000_000)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def check(hostile: Hostile, trap: Trap, answer: Answer, call: Any) -> str:
    hostile.answer, began, text = answer, seconds(), ""
    try:
        call()
    except ParameterError:  # nothing that the service says is what a DAG's author wrote
        raise
    except BatchextError as error:
        text = str(error)
        assert len(text) < 6000, answer.name
        assert_plain(text)
        assert "SENTINEL" not in text
    assert seconds() - began < PATIENCE, answer.name
    assert trap.heard == [], answer.name
    return text


def assert_plain(text: str) -> None:
    """What is shown has no characters that anybody obeys, and no lines that somebody else has made."""
    odd = {character for character in text if not character.isprintable() and character not in "\n\t"}
    assert not odd, f"{odd} in {text[:2000]!r}"
    assert not [line for line in text.split("\n") if line.startswith("2026-01-01 CRITICAL")]


def share(family: list[Answer], *seed: object) -> list[Answer]:
    drawn = random.Random(repr(seed))
    slow = [answer for answer in family if answer.drip or answer.head_drip]
    return [*drawn.sample(family, SHARE), drawn.choice(slow)]


def select(family: list[Answer], *words: str) -> list[Answer]:
    return [answer for answer in family if any(word in answer.name for word in words)]


#: What the work below takes on the machine where the bound was measured.
_USUAL_SECONDS = 0.011


def slowness() -> float:
    """By how much this machine is slower now than that one, as others use its caches, too; 1 at least."""
    slowest = _USUAL_SECONDS
    for _ in range(12):  # as many as may show one slow moment, as the longest of all holds does
        began = time.thread_time()
        json.loads(json.dumps([{"a": number, "b": str(number)} for number in range(10_000)]))
        slowest = max(slowest, time.thread_time() - began)
    return slowest / _USUAL_SECONDS


@contextmanager
def longest_hold() -> Iterator[Callable[[], float]]:
    """How long an event loop's thread worked at most, in one go, in seconds of the processor.

    Not by the wall: another program on this machine would count.
    """
    longest, real = [0.0], asyncio.events.Handle._run
    # What the collector has to look through of this process is not what an answer costs. It stays so:
    # otherwise each collection in later tests would look through all that was loaded before them.
    gc.freeze()

    def run(handle: Any) -> None:
        began = time.thread_time()
        real(handle)
        longest[0] = max(longest[0], time.thread_time() - began)

    asyncio.events.Handle._run = run  # type: ignore[method-assign]
    try:
        yield lambda: longest[0]
    finally:
        asyncio.events.Handle._run = real  # type: ignore[method-assign]
