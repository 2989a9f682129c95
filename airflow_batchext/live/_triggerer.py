"""Writes snapshots from the triggerer: beside whatever waits there, few at a time, the latest of each task.

Nothing here is awaited by a look. A write that hangs is given up; it may still come through, so nothing newer
of its task is written until it has ended, lest the older one comes last.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakKeyDictionary

from airflow_batchext.links import live_link_xcom
from airflow_batchext.live.bounds import LARGEST_STATE
from airflow_batchext.live.form import Picture
from airflow_batchext.live.pace import PER_SECOND, Pace
from airflow_batchext.live.snapshot import XCOM_KEY, read_snapshot, to_json, to_text
from airflow_batchext.live.story import continued, remembered

if TYPE_CHECKING:
    from airflow_batchext.live.form import Snapshot

log = logging.getLogger(__name__)

#: So many writes are under way at a time; and so many may hang before nothing more is written.
_AT_ONCE, _MOST_HANGING = 4, 20
_GIVEN_UP_AFTER_SECONDS = 10.0
_FEW_NODES: Final = 20


async def store(instance: Any, value: str) -> None:
    """Write an XCom of a task that waits in this triggerer."""
    await _send(_place(instance), value)


async def leave_link(instance: Any) -> None:
    """Write the link to the live page of a task that no worker has begun: else nobody leaves it."""
    for key, url in live_link_xcom(instance).items():
        await _send({**_place(instance), "key": key}, url)


async def _send(place: dict[str, Any], value: object) -> None:
    from airflow.sdk.execution_time.xcom import XCom

    if hasattr(XCom, "aset"):
        await XCom.aset(value=value, **place)
        return
    # Before Airflow 3.2: the message that it sends.
    from airflow.sdk.execution_time.comms import SetXCom
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    await SUPERVISOR_COMMS.asend(SetXCom(value=XCom.serialize_value(value, **place), **place))


async def stored(instance: Any) -> object:
    """The XCom that an earlier process of the task has written; None if there is none."""
    from airflow.sdk.execution_time.xcom import XCom

    return await XCom.aget_one(**_place(instance)) if hasattr(XCom, "aget_one") else None


def _place(instance: Any) -> dict[str, Any]:
    return {
        "key": XCOM_KEY,
        "dag_id": instance.dag_id,
        "task_id": instance.task_id,
        "run_id": instance.run_id,
        "map_index": instance.map_index,
    }


class Shelf(Protocol):
    """Where one that waits in the triggerer keeps what it tells."""

    async def read(self) -> object:
        """What an earlier process has left there."""

    def goes_on(self, now: Snapshot, earlier: Snapshot | None) -> Snapshot:
        """What is known now, with what of that is to stay."""

    async def write(self, snapshot: Snapshot, *, is_first: bool) -> None:
        """Put it there; ``is_first``: this process has not done so before."""


class OfTask:
    """The XCom of a task.

    :param instance: the task instance.
    """

    def __init__(self, instance: Any) -> None:
        self._instance = instance

    async def read(self) -> object:
        """The snapshot that is there, as JSON."""
        return await stored(self._instance)

    def goes_on(self, now: Snapshot, earlier: Snapshot | None) -> Snapshot:
        """With all that this process does not know."""
        return continued(now, earlier, at=time.time())

    async def write(self, snapshot: Snapshot, *, is_first: bool) -> None:
        """Write the XCom, and the link to the page where nobody else does."""
        await store(self._instance, to_text(snapshot))
        if is_first and snapshot.mode == "start_from_trigger":
            await leave_link(self._instance)


class OfAsset:
    """The store that Airflow has for the state of an asset; it is made for smaller things than XComs are.

    :param kept: the store.
    :param about: what tells this watcher of the asset from others of it.
    :param trigger_id: the row of the watcher's trigger, by which the page finds what it has written.
    """

    def __init__(self, kept: Any, about: str, trigger_id: int | None) -> None:
        self._kept, self._key, self._trigger_id = kept, f"{XCOM_KEY}/{about}", trigger_id

    async def read(self) -> object:
        """The snapshot that is there, as JSON."""
        return await self._kept.aget(self._key)

    def goes_on(self, now: Snapshot, earlier: Snapshot | None) -> Snapshot:
        """With the past alone."""
        return remembered(now, earlier, at=time.time())

    async def write(self, snapshot: Snapshot, *, is_first: bool) -> None:
        """Keep as much of it as Airflow takes without a warning."""
        ours = {"trigger": self._trigger_id}
        most = LARGEST_STATE - len(json.dumps(ours))
        picture = snapshot.picture
        value = to_json(replace(snapshot, picture=replace(picture, nodes=picture.nodes[:_FEW_NODES])))
        if len(json.dumps(value)) > most:
            capped = (*snapshot.capped, "the picture of the nodes")
            value = to_json(replace(snapshot, picture=Picture(picture.counts), capped=capped), most)
        await self._kept.aset(self._key, {**value, **ours})


class TriggererWay:
    """How one that waits in the triggerer writes.

    :param shelf: where.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._queue = _queue()
        self._pace = Pace()
        self._make: Callable[[], Snapshot] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._earlier: Snapshot | None = None
        self._knows_earlier = self._is_last = False
        self.due = float("inf")

    def offer(self, make: Callable[[], Snapshot], *, changed: bool, is_last: bool = False) -> None:
        """Write a snapshot, if it is time, soon.

        :param make: makes it when it is written.
        :param changed: whether it says anything new.
        :param is_last: whether the task has ended: it is written whenever it was written last.
        """
        now = self._queue.clock()
        due = now if is_last else self._pace.due(now, changed=changed)
        if due is None:
            return
        self._make, self.due, self._is_last = make, due, is_last
        self._queue.add(self, first=is_last)

    def close(self) -> None:
        """Write nothing more, but for what is the last."""
        if not self._is_last:
            self._queue.drop(self)

    @property
    def is_writing(self) -> bool:
        """Whether a write has not ended yet, given up or not."""
        return self._writing is not None and not self._writing.done()

    def write(self) -> asyncio.Task[None]:
        """Begin to write what was offered last."""
        make, self._make = self._make, None
        self._pace.wrote(self._queue.clock())
        self._writing = asyncio.create_task(self._write(make), name="batchext-live")
        self._writing.add_done_callback(lambda _: self._queue.wake())
        return self._writing

    async def _write(self, make: Callable[[], Snapshot] | None) -> None:
        try:
            if make is None:
                return
            snapshot = make()
            is_first = not self._knows_earlier
            if is_first:
                self._earlier = read_snapshot(await self._shelf.read())
                self._knows_earlier = True
            await self._shelf.write(self._shelf.goes_on(snapshot, self._earlier), is_first=is_first)
        # Whatever Airflow, its database, or a backend for XComs of the user's own makes of it: no gate fails.
        except Exception as error:
            self._pace.failed(self._queue.clock())
            log.debug("The live page was not written: %s", type(error).__name__)


class _Queue:
    """All that wait in one event loop, and want to write."""

    def __init__(self) -> None:
        self._waiting: dict[TriggererWay, None] = {}
        self._hanging: set[asyncio.Task[None]] = set()
        self._runner: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()

    @staticmethod
    def clock() -> float:
        """The event loop's time."""
        return asyncio.get_running_loop().time()

    def add(self, way: TriggererWay, *, first: bool) -> None:
        """Let it write when it is due; the last ones before the others."""
        if first:
            self._waiting = {way: None, **{each: None for each in self._waiting if each is not way}}
        else:
            self._waiting[way] = None
        self.wake()
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())

    def drop(self, way: TriggererWay) -> None:
        """It writes nothing more."""
        self._waiting.pop(way, None)

    def wake(self) -> None:
        """Look anew who may write."""
        self._woken.set()

    async def _run(self) -> None:
        """Write until nobody wants to any more."""
        under_way: set[asyncio.Task[None]] = set()
        while self._waiting:
            under_way = {task for task in under_way if not task.done()}
            if len(under_way) >= _AT_ONCE:
                done, _ = await asyncio.wait(
                    under_way, timeout=_GIVEN_UP_AFTER_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    self._give_up(under_way)
                    under_way = set()
                continue
            # As many as may at once, and then as long a pause: to wake up costs as much as to write.
            begun = 0
            while len(under_way) < _AT_ONCE and (way := self._next()) is not None:
                del self._waiting[way]
                under_way.add(way.write())
                begun += 1
            if begun:
                await asyncio.sleep(begun / PER_SECOND)
            else:
                await self._sleep()
        self._give_up({task for task in under_way if not task.done()})
        self._runner = None

    def _next(self) -> TriggererWay | None:
        """Who writes next; None if nobody may now."""
        self._hanging = {task for task in self._hanging if not task.done()}
        if len(self._hanging) >= _MOST_HANGING:
            return None
        now = self.clock()
        return next((way for way in self._waiting if way.due <= now and not way.is_writing), None)

    async def _sleep(self) -> None:
        """Until somebody may be due."""
        self._woken.clear()
        due = min((way.due for way in self._waiting if not way.is_writing), default=float("inf"))
        # Of those that are due already one writes next, unless too many hang.
        pause = due - self.clock() if due > self.clock() else float("inf")
        with suppress(TimeoutError):
            async with asyncio.timeout(None if pause == float("inf") else pause):
                await self._woken.wait()

    def _give_up(self, tasks: set[asyncio.Task[None]]) -> None:
        # Neither cancelled: Airflow's channel of before 3.3 would be out of step then.
        self._hanging |= tasks


_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue] = WeakKeyDictionary()


def _queue() -> _Queue:
    return _queues.setdefault(asyncio.get_running_loop(), _Queue())
