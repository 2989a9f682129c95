"""What a task that waits tells the live page, in whatever mode: it hands over what it has just seen.

It can neither fail nor delay the wait, and reads nothing of Azure. Off with ``[batchext] status_page``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    conf,
)

from airflow_batchext.exceptions import (
    AccessRefusedError,
    BatchextError,
    ConnectionFieldsError,
    GateRefusedError,
    ParameterError,
    PoolTimeoutError,
    TaskTimeoutError,
    TriggerFailedError,
)
from airflow_batchext.links import portal_url
from airflow_batchext.live._triggerer import OfAsset, OfTask, TriggererWay
from airflow_batchext.live._worker import WorkerWay, takes_threads
from airflow_batchext.live.form import Picture
from airflow_batchext.live.picture import LookSaid, look_of
from airflow_batchext.live.snapshot import XCOM_KEY, read_snapshot, to_json
from airflow_batchext.live.story import Story
from airflow_batchext.repair.gate import RepairingGate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_batchext.connection import BatchConnection
    from airflow_batchext.live.form import Outcome, Snapshot, WorkSaid
    from airflow_batchext.repair.status import Progress
    from airflow_batchext.rules.gate import Verdict
    from airflow_batchext.rules.watch import Watch

log = logging.getLogger(__name__)

_LATE = (AirflowTaskTimeout, AirflowSensorTimeout, PoolTimeoutError, TaskTimeoutError)
_REFUSED = (AccessRefusedError, ConnectionFieldsError, GateRefusedError, ParameterError, TriggerFailedError)


class Way(Protocol):
    """How a task writes."""

    def offer(self, make: Callable[[], Snapshot], *, changed: bool, is_last: bool = False) -> None:
        """Write a snapshot, if it is time."""

    def close(self) -> None:
        """Write nothing more."""


class Live:
    """What one wait tells: it ``sees`` something, ``waits`` for the next look, and ``ends``.

    :param way: makes how it is written; it returns None where it is not.
    :param about: makes what is known of it before the first look.
    """

    def __init__(self, way: Callable[[], Way | None], about: Callable[[], Snapshot] | None = None) -> None:
        self._way: Way | None = None
        self._connection: BatchConnection | None = None
        self._story: Story | None = None
        self._look: LookSaid | None = None
        with self._harmless():
            if about is not None and conf.getboolean("batchext", "status_page", fallback=True):
                self._way, self._story = way(), Story(about())

    def sees(
        self, verdict: Verdict, watch: Watch | RepairingGate, connection: BatchConnection | None
    ) -> None:
        """Note what a gate's look has come to.

        :param watch: that of the look.
        :param connection: if it is known.
        """
        with self._harmless():
            if self._story is None:
                return
            if isinstance(watch, RepairingGate):
                self._story.sees_repair(watch.progress)
                watch = watch.watch
            self._connected(self._story, connection, watch.pool_id)
            # Kept, so that those who are told it next find it.
            look = self._look = look_of(verdict, watch, time.time())
            self._story.sees(
                look.summary,
                look.reasons,
                at=look.at,
                draw=look.picture if look.knows_nodes else None,
                extensions=look.extensions,
                counts=look.counts,
            )

    def sees_pool(self, pool_id: str, text: str, connection: BatchConnection | None) -> None:
        """Note what a look at a pool has come to that is waited for."""
        with self._harmless():
            if self._story is not None:
                self._connected(self._story, connection, pool_id)
                self._story.sees(text, (text,), at=time.time())

    def sees_repair(self, pool_id: str, progress: Progress, connection: BatchConnection | None) -> None:
        """Note how far a repair is."""
        with self._harmless():
            if self._story is not None:
                self._story.sees_repair(progress)
                self.sees_pool(pool_id, progress.text, connection)

    def sees_work(self, pool_id: str, text: str, work: WorkSaid, connection: BatchConnection | None) -> None:
        """Note how far the Batch tasks of an operator are.

        :param text: the same in words, and why nothing starts.
        """
        with self._harmless():
            if self._story is not None:
                self._connected(self._story, connection, pool_id)
                self._story.sees_work(work)
                counts = (work.succeeded, work.failed)
                self._story.sees(text, (text,), at=time.time(), counts=counts)

    def waits(self, pause: float, *, elsewhere: bool = False) -> None:
        """Tell what was seen, if it is time.

        :param pause: seconds until the next look.
        :param elsewhere: whether another process makes it.
        """
        with self._harmless():
            if self._story is not None and self._way is not None:
                changed = self._story.waits(time.time(), pause)
                self._way.offer(self._story.snapshot, changed=changed, is_last=elsewhere)

    def handed_over(self, pause: float) -> dict[str, Any] | None:
        """What was seen, for the trigger that goes on: it tells it, which spares Airflow a request.

        Without the picture, which would make the trigger's row large, and soon comes anew.

        :param pause: seconds until the next look.
        """
        with self._harmless():
            if self._story is not None:
                self._story.waits(time.time(), pause)
                return to_json(replace(self._story.snapshot(), picture=Picture(), reasons=()))
        return None

    def begins(self) -> None:
        """Tell what was handed over."""
        with self._harmless():
            if self._story is not None and self._way is not None:
                self._way.offer(self._story.snapshot, changed=True)

    def ends(self, outcome: Outcome, text: str, *, work: WorkSaid | None = None) -> None:
        """Tell how it has ended.

        :param text: why, with the causes that are known.
        :param work: how far the Batch tasks of an operator were then, if that is known.
        """
        with self._harmless():
            if self._story is not None and self._way is not None:
                if work is not None:
                    self._story.sees_work(work)
                self._story.ends(outcome, text, time.time())
                snapshot = self._story.snapshot()
                self._way.offer(lambda: snapshot, changed=True, is_last=True)

    def xcoms(self) -> Mapping[str, Any]:
        """The XCom itself, for the event of a task that ends in the triggerer."""
        with self._harmless():
            if self._story is not None and self._way is not None:
                return {XCOM_KEY: to_json(self._story.snapshot())}
        return {}

    def close(self) -> None:
        """Tell nothing more."""
        with self._harmless():
            if self._way is not None:
                self._way.close()

    def _connected(self, story: Story, connection: BatchConnection | None, pool_id: str) -> None:
        if connection is None or connection is self._connection:
            return
        self._connection = connection
        account = connection.account_name or urlsplit(connection.account_url).hostname or ""
        story.knows(account=account, portal=portal_url(connection, pool_id))

    def _harmless(self) -> _Harmless:
        """Whatever goes wrong within, the wait goes on, and tells nothing more."""
        return _Harmless(self)

    def _falls_silent(self, error: Exception) -> None:
        self._way = self._story = None
        log.warning("Nothing more is told to the live page: %s", type(error).__name__)


class _Harmless:
    """A fault of ours in what is told is none of the gate. No generator, as each look comes here thrice."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Exception):
            self._live._falls_silent(error)
            return True
        return False


def outcome_of(error: BaseException | None, *, is_worded: bool = False) -> tuple[Outcome, str]:
    """How a task has ended that ended with this error, or with none, and why.

    :param is_worded: whether nobody but we ourselves can have raised Airflow's own errors.
    """
    if error is None:
        return "done", ""
    # Of others nobody knows what their texts hold.
    ours = (BatchextError, AirflowFailException, AirflowSkipException) if is_worded else BatchextError
    text = str(error) if isinstance(error, ours) else type(error).__name__
    if is_worded and isinstance(error, AirflowSkipException):
        return "done", text
    if isinstance(error, _LATE):
        return "timeout", text
    return "refused" if isinstance(error, _REFUSED) else "failed", text


def in_triggerer(trigger: Any, about: Callable[[], Snapshot], told: Mapping[str, Any] | None = None) -> Live:
    """What the task of a trigger tells; nothing where it has none, as in ``dag.test()``.

    :param told: what the worker has handed over.
    """
    instance = getattr(trigger, "task_instance", None)
    if instance is None:
        return silent()
    known = read_snapshot(told)
    live = Live(lambda: TriggererWay(OfTask(instance)), about if known is None else lambda: known)
    if known is not None:
        live.begins()
    return live


def of_watcher(kept: Any, which: str, trigger_id: int | None, about: Callable[[], Snapshot]) -> Live:
    """What a watcher tells, which belongs to an asset and to no task.

    :param kept: the store that Airflow has for the state of the asset.
    :param which: tells it from other watchers of the asset.
    :param trigger_id: the row of its trigger.
    """
    return Live(lambda: TriggererWay(OfAsset(kept, which, trigger_id)), about)


def silent() -> Live:
    """Who tells nothing."""
    return Live(lambda: None)


def on_worker(
    instance: Any, about: Callable[[], Snapshot], *, goes_on: bool = False, memory: Any = None
) -> Live:
    """What a task on a worker tells.

    :param instance: the task instance; None in a unit test.
    :param goes_on: whether an earlier process of this try has told something.
    :param memory: Airflow's store for the state of the task, where each process begins with no XComs.
    """

    if instance is None:
        return silent()

    def way() -> Way | None:
        return WorkerWay(instance, goes_on=goes_on, memory=memory) if takes_threads() else None

    return Live(way, about)
