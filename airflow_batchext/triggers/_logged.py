"""Waits until what a trigger has logged is in the log of its task.

Airflow's triggerer is two processes (``TriggerRunnerSupervisor``, 3.3.2): what the triggers log goes to the
other one through a socket, which it reads in pieces of 4 KiB, one for each time that it answers anything
else. An end of a task goes another way. So on a loaded machine a task had ended before the line that says why
was in its log; and as that is closed when the trigger has ended, the line went into the triggerer's own,
where nobody looks for it. After as many answers as there are pieces it has read them.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from weakref import WeakKeyDictionary

from airflow_batchext.hooks._base import amask
from airflow_batchext.transport import over_within

# All that a socket holds (Linux: 208 KiB), and so all that can have been logged and not been read.
_PIECES = 52
#: The reason of an end is in an XCom, too: nobody waits for ever.
_LONGEST_SECONDS = 20.0


class _Channel:
    """What the triggers of one event loop have logged; all that end together wait together."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._read_until = float("-inf")

    async def read(self) -> None:
        """Wait until everything is read that was logged before."""
        logged_at = time.monotonic()
        async with self._turn:
            if self._read_until >= logged_at:
                return
            began = time.monotonic()
            for _ in range(_PIECES):
                await _ask()
            self._read_until = began


_channels: WeakKeyDictionary[asyncio.AbstractEventLoop, _Channel] = WeakKeyDictionary()


async def logged() -> None:
    """Wait until what was logged is in the task's log, so that its end may be told."""
    channel = _channels.setdefault(asyncio.get_running_loop(), _Channel())
    with suppress(TimeoutError):
        async with over_within(_LONGEST_SECONDS):
            await channel.read()


async def _ask() -> None:
    """Ask the other process for something: to mask nothing is what costs it least."""
    await amask([""])
