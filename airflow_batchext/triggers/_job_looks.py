"""Tasks of one triggerer that wait in the same job look at it together: one list an interval for all of them.

The first whose turn it is looks; what it sees serves all who had asked before it began. There is no task in
the background, so nothing is left over when triggers come and go.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_batchext.hooks._drivers.work import Place, look_at_job
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.rules.work import TasksSeen, pause_after
from airflow_batchext.transport import look_within, over_within

if TYPE_CHECKING:
    from airflow_batchext.hooks._requests import Call

#: The job, and the pool where something waits for its nodes, are looked at each so many looks; while tasks of
#: the job run it goes on, and nobody asks why.
EVERY, EVERY_WHILE_TASKS_RUN = 4, 12
_GATHERING_SECONDS = 0.02

_Key = tuple[str, Place, float]
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, SharedJobLooks]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Seen:
    """A look, and when it began, by ``time.monotonic``."""

    look: TasksSeen
    began: float


class SharedJobLooks:
    """The looks at the tasks of one job, for all triggers that wait for one of them.

    :param conn_id: the Airflow connection.
    :param place: the job, and which of its tasks.
    :param interval: seconds between two looks, at least.
    """

    def __init__(self, conn_id: str, place: Place, interval: float) -> None:
        self.users = 0
        # Our own rhythm repeats what failed; the SDK's would delay the deadline.
        self.hook = AzureBatchJobHook(conn_id, retries=0)
        self._place = place
        self._interval = interval
        self._turn = asyncio.Lock()
        self._seen: Seen | None = None
        self._next = float("-inf")
        self._failures = 0
        self._since_whole, self._ran = EVERY_WHILE_TASKS_RUN, False

    def next_look(self) -> float:
        """Seconds until the next look is due."""
        return max(0.0, self._next - time.monotonic())

    async def look(self, since: float, left: float, *, is_last: bool = False) -> TasksSeen:
        """What the tasks are like: a look of our own, unless another's serves.

        :param since: what began before is of no use, by ``time.monotonic``.
        :param left: for so many seconds is another's look waited for.
        :param is_last: whether there will be no other.
        """
        asked = time.monotonic()
        try:
            async with over_within(left):
                await self._turn.acquire()
        except TimeoutError:
            return TasksSeen(problem="another task was looking at the job when the deadline passed")
        try:
            seen = self._seen
            is_fresh = not is_last and self.next_look() > 0
            if seen is not None and seen.began >= since and (is_fresh or seen.began >= asked):
                return seen.look
            if self.users > 1:
                await asyncio.sleep(_GATHERING_SECONDS)
            with look_within(left):
                return await self._look_now(whole=is_last)
        finally:
            self._turn.release()

    async def run(self, call: Call[TasksSeen]) -> TasksSeen:
        """Look at something else, on the same connection."""
        return await self.hook.arun(call)

    async def _look_now(self, *, whole: bool) -> TasksSeen:
        began = time.monotonic()
        whole = whole or self._is_whole_due()
        look = await self.hook.arun(look_at_job(self._place, whole=whole))
        look = look if whole else look.after(self._seen.look if self._seen else None)
        self._since_whole = 1 if whole else self._since_whole + 1
        if whole:
            self._ran = look.runs
        self._seen = Seen(look, began)
        self._failures = self._failures + 1 if look.problem else 0
        # Jobs whose tasks were submitted together need not be looked at together for ever.
        pause = pause_after(self._failures, self._interval, look.retry_after)
        self._next = time.monotonic() + pause * random.uniform(1.0, 1.1)
        return look

    def _is_whole_due(self) -> bool:
        goes_on = self._ran and self._seen is not None and self._seen.look.runs
        return self._since_whole >= (EVERY_WHILE_TASKS_RUN if goes_on else EVERY)


class JobLooksLease:
    """The looks that are shared by all who wait in the same job; the last one closes the connection.

    :param conn_id: the Airflow connection.
    :param place: the job, and which of its tasks.
    :param interval: seconds between two looks, at least.
    """

    def __init__(self, conn_id: str, place: Place, interval: float) -> None:
        self._key: _Key = (conn_id, place, interval)

    async def __aenter__(self) -> SharedJobLooks:
        here = _shared.setdefault(asyncio.get_running_loop(), {})
        self._looks = here.setdefault(self._key, SharedJobLooks(*self._key))
        self._looks.users += 1
        return self._looks

    async def __aexit__(self, *exc: object) -> None:
        self._looks.users -= 1
        if not self._looks.users:
            _shared[asyncio.get_running_loop()].pop(self._key, None)
            await self._looks.hook.aclose()
