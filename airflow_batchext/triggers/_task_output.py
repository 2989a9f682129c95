"""Writes what a Batch task has written into a log, as it runs; it never fails anything."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_batchext.batch.task_output import OutputSeen
from airflow_batchext.hooks._drivers.task_output import OutputLook, read_output
from airflow_batchext.rules.work import pause_after
from airflow_batchext.transport import within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from airflow_batchext.batch.work import TaskSeen
    from airflow_batchext.hooks._requests import Call
    from airflow_batchext.hooks.job import AzureBatchJobHook

#: For so long is a node asked for what is new, in seconds.
LIVE_SECONDS = 20.0
#: The same for the rest, when it has ended.
REST_SECONDS = 60.0
#: So many tasks are read at the same time, in one triggerer, and a new one begins each so many seconds.
_AT_ONCE, _EVERY_SECONDS = 4, 0.2


class TaskOutput:
    """What a Batch task has written so far, and a log into which it goes.

    :param log: the task's.
    :param interval: seconds between two looks while the task runs, at least.
    :param kept: what ``to_json`` has said, to go on where another one was.
    """

    def __init__(self, log: Any, interval: float, kept: Mapping[str, Any] | None = None) -> None:
        self.has_told = False
        self._log, self._interval = log, interval
        self.seen = OutputSeen.from_json(kept) if kept else OutputSeen()
        self._said, self._failures, self._next = "", 0, float("-inf")

    @property
    def wait(self) -> float:
        """Seconds until the next look is due."""
        return max(0.0, self._next - time.monotonic())

    def read(self, job_id: str, task: TaskSeen) -> Call[OutputLook]:
        """What is to be asked while it runs, for ``tell``."""
        return read_output(job_id, task, self.seen, is_last=False)

    def read_rest(self, job_id: str, task: TaskSeen, most: int) -> Call[OutputLook]:
        """What is to be asked when it has ended, for ``tell``.

        :param most: if more than so many bytes of a file are not read yet, its end alone is.
        """
        return read_output(job_id, task, self.seen, is_last=True, most=most)

    def tell(self, task: TaskSeen, look: OutputLook, *, is_last: bool = False) -> None:
        """Write what was read into the log; what keeps us from it is told once."""
        if look.lines and self.seen.of_run(look.seen.run).is_unread:
            self._log.info("Output of its run on node %s:", task.node_id or "of no name")
        self.seen = look.seen
        for line in look.lines:
            self.has_told = True
            self._log.info("%s", line)
        self._failures = self._failures + 1 if look.problem else 0
        self._next = time.monotonic() + pause_after(self._failures, self._interval, look.retry_after)
        if look.problem and is_last:
            self._log.warning("Its output could not be read: %s", look.problem)
        elif look.problem and look.problem != self._said:
            self._log.info("Its output cannot be read now: %s", look.problem)
        self._said = look.problem


class Follower:
    """Reads beside the looks what a task writes; those do not wait for it.

    :param output: where it goes.
    :param job_id: the job of the task.
    """

    def __init__(self, output: TaskOutput, job_id: str) -> None:
        self._output, self._job_id = output, job_id
        self._task: TaskSeen | None = None
        self._runs = asyncio.Event()

    def see(self, task: TaskSeen | None) -> None:
        """Take note of how the task is."""
        self._task = task
        if task is not None and task.state == "running":
            self._runs.set()
        else:
            self._runs.clear()

    @asynccontextmanager
    async def following(self, hook: AzureBatchJobHook) -> AsyncIterator[None]:
        """Read on within; what goes wrong with that is nobody's concern."""
        task = asyncio.create_task(self._run(hook))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, hook: AzureBatchJobHook) -> None:
        while True:
            await self._runs.wait()
            async with turns().turn():
                if (task := self._task) is None or not self._runs.is_set():
                    continue
                with within(LIVE_SECONDS):
                    look = await hook.arun(self._output.read(self._job_id, task))
            self._output.tell(task, look)
            await asyncio.sleep(self._output.wait)


class Turns:
    """Whose turn it is to ask a node, in one event loop: the triggerer's other waits come first."""

    def __init__(self) -> None:
        self._free, self._line, self._next = asyncio.Semaphore(_AT_ONCE), asyncio.Lock(), float("-inf")

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Ask a node within, when it is one's turn."""
        async with self._line:
            await asyncio.sleep(max(0.0, self._next - time.monotonic()))
            await self._free.acquire()
            self._next = time.monotonic() + _EVERY_SECONDS
        try:
            yield
        finally:
            self._free.release()


_all: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns() -> Turns:
    """Those of this event loop."""
    return _all.setdefault(asyncio.get_running_loop(), Turns())
