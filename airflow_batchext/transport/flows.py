"""What takes several steps, written once for threads and for event loops: flows, and the two drivers of them.

A flow is a generator in the manner of httpx's auth flow: it yields what it wants, is sent what came of it
(or thrown the error), and returns its result. Pure itself: whatever blocks or is awaited is in the answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
Wanted = TypeVar("Wanted")
Wanted_co = TypeVar("Wanted_co", covariant=True)

Flow = Generator[Wanted, Any, Result]


class Flowing(Protocol[Wanted_co, Result_co]):
    """A flow, or what begins one."""

    def __iter__(self) -> Generator[Wanted_co, Any, Result_co]: ...


def drive(flow: Flowing[Wanted, Result], answer: Callable[[Wanted], Any]) -> Result:
    """Run a flow to its result.

    :param answer: gives what the flow wants; ``operator.call`` where it wants something to be called.
    :raises Exception: what an answer raises, unless the flow catches it.
    """
    steps = iter(flow)
    step: Callable[[], Wanted] = partial(next, steps)
    try:
        while True:
            wanted = step()
            try:
                step = partial(steps.send, answer(wanted))
            except Exception as error:
                step = partial(steps.throw, error)
    except StopIteration as end:
        result: Result = end.value
        return result


async def adrive(
    flow: Flowing[Wanted, Result],
    answer: Callable[[Wanted], Awaitable[Any]],
    *,
    make: Callable[[Callable[[], Any]], Awaitable[Any]] | None = None,
) -> Result:
    """``drive`` where answers are awaited.

    :param make: makes a step of the flow, for flows whose steps take long.
    """
    steps = iter(flow)
    step: Callable[[], Wanted] = partial(next, steps)
    while True:
        made = partial(_made, step)
        wanted, is_result = made() if make is None else await make(made)
        if is_result:
            result: Result = wanted
            return result
        try:
            step = partial(steps.send, await answer(wanted))
        except Exception as error:
            step = partial(steps.throw, error)


def _made(step: Callable[[], Any]) -> tuple[Any, bool]:
    """What a step wants; or the flow's result, and True."""
    try:
        return step(), False
    except StopIteration as end:
        return end.value, True
