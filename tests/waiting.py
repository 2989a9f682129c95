"""Waits for what has to come, however slow the machine is, and a clock that no machine hurries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

#: Seconds in which whatever is waited for has come, on a machine that does much else.
PATIENCE = 90.0


async def until(check: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait until something is true, in pauses of which other tasks have at least as many."""
    for _ in range(int(seconds / 0.02)):
        if check():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("waited in vain")


class TickingClock:
    """Stands for ``time`` in a module: each time it is asked, a hundredth of a second has passed."""

    def __init__(self, sleep: Callable[[float], None] = lambda seconds: None) -> None:
        self._asked = 0
        self.sleep = sleep

    def time(self) -> float:
        self._asked += 1
        return 1_000_000 + self._asked / 100
