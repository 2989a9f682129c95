"""One deadline that everything below obeys: set where somebody waits, known where a request is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar

#: How long the look at a deadline may take.
LAST_LOOK_SECONDS = 2.0

_end: ContextVar[float] = ContextVar("batchext_deadline", default=float("inf"))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Whatever is sent inside ends by then; a deadline outside that is nearer stays.

    Threads that are started inside have to be given the context (``contextvars.copy_context``).
    """
    token = _end.set(min(_end.get(), time.monotonic() + max(0.0, seconds)))
    try:
        yield
    finally:
        _end.reset(token)


def look_within(seconds: float) -> AbstractContextManager[None]:
    """``within``, for a look that somebody's wait ends with: it has two seconds, however late it is."""
    return within(max(seconds, LAST_LOOK_SECONDS))


@asynccontextmanager
async def over_within(seconds: float) -> AsyncIterator[None]:
    """``within`` in an event loop: not only requests, but whatever is awaited inside ends by then.

    Not ``asyncio.wait_for``, which before Python 3.12 swallows a cancellation that comes with the answer.

    :raises TimeoutError: if it was not over.
    """
    with within(seconds):
        async with asyncio.timeout(None if seconds == float("inf") else seconds):
            yield


def seconds_left() -> float:
    """How long is left; infinite without a deadline."""
    return max(0.0, _end.get() - time.monotonic())
