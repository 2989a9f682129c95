"""Watches a pool for Airflow's assets: its events start the DAGs that are scheduled on them.

A watcher never ends. Airflow would start it again at once, so whatever goes wrong here is said in the
triggerer's log and tried again, later and later. What has been told is kept in the store that Airflow 3.3 has
for the state of an asset, so that a triggerer that starts anew tells nothing twice and misses nothing that
the pool still shows.

DAG files construct it, and parsing is hot: what it works with is imported when it runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_batchext.defaults import (
    DEFAULT_CONN_ID,
    DEFAULT_NODE_GRACE_SECONDS,
    WATCHER_MAX_AGE_SECONDS,
)
from airflow_batchext.parameters import (
    Check,
    check_count,
    check_names,
    check_pause,
    check_pool_id,
    check_seconds,
    check_text,
    optional,
    pool_id_of,
    settle,
    some_of,
)
from airflow_batchext.triggers._base import DeclaredTrigger

if TYPE_CHECKING:
    from airflow_batchext.live.writer import Live
    from airflow_batchext.rules.events import EventKind, Told
    from airflow_batchext.triggers._sharing import SharedLooks, SharedLooksLease

_KEY = "batchext_pool_events"
_KEY_DIGITS = 16
# The triggerer hands events on about once a second. What was told is kept only then: if it dies before, the
# next one tells it again, which is better than not at all.
_HANDED_ON_SECONDS = 5.0
_LONGEST_PAUSE = 300.0


@dataclass(kw_only=True, eq=False)
class AzureBatchPoolEventTrigger(DeclaredTrigger, BaseEventTrigger):
    """Looks at a pool for ever, and fires an event for each thing that happens to it.

    For the ``AssetWatcher`` of an asset: ``assets.watched_pool_asset`` makes both. All watchers that ask the
    same of a pool with the same interval look at it together, whichever events they are after.

    The payload has ``event``, ``pool_id``, ``pool_created``,
    ``at``, ``extensions``, ``nodes_ready``, ``nodes_wanted``, and of what concerns single nodes ``nodes``,
    ``nodes_concerned`` and ``reasons``. It is delivered at least once: a triggerer that is killed within
    seconds of an event may tell it again.

    Before Airflow 3.3, and where one watcher is that of several assets, there is no store: then a triggerer
    that starts takes what it sees first for known.

    :param pool_id: the pool; it need not exist yet, and may go and come again.
    :param azure_batchext_conn_id: the Airflow connection; it needs the data plane alone.
    :param events: which events to fire: of ``ready``, ``failed`` and ``lost``.
    :param poll_interval: seconds (or a timedelta) between looks; by default ``[batchext] poll_interval``.
    :param extension_names: the extensions that count; by default all that the pool asks for.
    :param min_nodes: with how many nodes the pool is ready; by default its target as it is then.
    :param node_grace: seconds (or a timedelta) for which a node may be unusable before it counts as failed.
    :raises ParameterError: if one of them cannot be used.
    """

    pool_id: str
    azure_batchext_conn_id: str = DEFAULT_CONN_ID
    events: list[str] = field(default_factory=lambda: ["ready"])
    poll_interval: float | None = None
    extension_names: list[str] | None = None
    min_nodes: int | None = None
    node_grace: float = DEFAULT_NODE_GRACE_SECONDS

    checks: ClassVar[Mapping[str, Check]] = {
        "pool_id": pool_id_of,
        "azure_batchext_conn_id": check_text,
        "events": lambda name, value: list(some_of("ready", "failed", "lost")(name, value)),
        "poll_interval": optional(check_pause),
        "extension_names": optional(lambda name, value: list(check_names(name, value))),
        "min_nodes": optional(check_count),
        "node_grace": check_seconds,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, self.checks)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield events, and never end."""
        watching = _Watching(self)
        try:
            while True:
                payloads, pause = await watching.step()
                for payload in payloads:
                    yield TriggerEvent(payload)
                await asyncio.sleep(pause)
        finally:
            await watching.end()

    def wanted(self) -> frozenset[EventKind]:
        """Which events to fire.

        :raises ParameterError: if there is no such event.
        """
        from airflow_batchext.rules.events import EventKind

        settle(self, self.checks)
        return frozenset(EventKind(event) for event in self.events)

    def looks(self) -> SharedLooksLease:
        """The looks at the pool; its rules wait, so that every node is named whatever has failed.

        :raises ParameterError: if a parameter cannot be used.
        """
        from airflow_batchext.rules.gate import Rules
        from airflow_batchext.triggers._sharing import SharedLooksLease

        settle(self, self.checks)
        rules = Rules(
            extension_names=None if self.extension_names is None else tuple(self.extension_names),
            min_nodes=self.min_nodes,
            node_grace=self.node_grace,
            on_failure="wait",
            max_age=WATCHER_MAX_AGE_SECONDS,
        )
        return SharedLooksLease(
            conn_id=self.azure_batchext_conn_id,
            pool_id=check_pool_id(self.pool_id),
            rules=rules.to_json(),
            interval=self.interval(),
        )

    def interval(self) -> float:
        """Seconds between two looks."""
        from airflow.providers.common.compat.sdk import conf

        if self.poll_interval is not None:
            return self.poll_interval
        return float(conf.getfloat("batchext", "poll_interval", fallback=30.0))


class _Watching:
    """One watcher at work."""

    def __init__(self, trigger: AzureBatchPoolEventTrigger) -> None:
        self._trigger = trigger
        self._memory = _Memory(trigger)
        self._since = time.monotonic()
        self._open: tuple[SharedLooksLease, SharedLooks] | None = None
        self._live: Live | None = None
        self._failures = 0
        self._said = ""

    async def step(self) -> tuple[list[dict[str, Any]], float]:
        """Look, if it is time; what is to be fired then, and how many seconds to wait after that."""
        from airflow.providers.common.compat.sdk import AirflowException

        from airflow_batchext.batch.data_plane import one_line

        try:
            payloads, pause = await self._look()
        # Whatever ends the watcher makes Airflow start it again at once, for ever.
        except Exception as error:
            await self.close()
            self._failures += 1
            # Of others nobody knows what their texts hold.
            told = f": {error}" if isinstance(error, AirflowException) else ""
            text = "it goes on in a while: " + one_line(f"{type(error).__name__}{told}")
            self._say(text, failed=True)
            pause = min(2.0**self._failures, _LONGEST_PAUSE)
            if self._live is not None:
                self._live.sees_pool(self._trigger.pool_id, text, None)
                self._live.waits(pause)
            return [], pause
        self._failures = 0
        return payloads, pause

    async def end(self) -> None:
        """Give back the looks, and tell nothing more."""
        await self.close()
        if self._live is not None:
            self._live.close()

    async def close(self) -> None:
        """Give back the looks."""
        lease, self._open = self._open, None
        if lease:
            await lease[0].__aexit__(None, None, None)

    async def _look(self) -> tuple[list[dict[str, Any]], float]:
        from airflow_batchext.metrics import pool_event
        from airflow_batchext.rules.events import news

        wanted, memory = self._trigger.wanted(), self._memory
        if self._open is None:
            shared = self._trigger.looks()
            self._open = shared, await shared.__aenter__()
            await memory.load()
            self._live = self._live or self._told_live()
        looks = self._open[1]
        await memory.keep()
        verdict = await looks.verdict(self._since, only_tells=True)
        self._say(verdict.summary)
        if self._live is not None:
            self._live.sees(verdict, looks.watch, looks.hook.known_connection)
        known = memory.lasts or memory.told is not None
        memory.told, found = news(memory.told, verdict)
        due = [event for event in found if known and event.kind in wanted]
        for event in due:
            self._trigger.log.info("Pool %s: event %s", self._trigger.pool_id, event.kind.value)
            pool_event(self._trigger.pool_id, event.kind.value)
        now = datetime.fromtimestamp(looks.hook.service_time(), tz=UTC)
        at = now.isoformat(timespec="seconds").replace("+00:00", "Z")
        pause = _HANDED_ON_SECONDS if due else max(0.0, looks.next_look())
        if self._live is not None:
            self._live.waits(pause)
        return [event.payload(verdict, at) for event in due], pause

    def _told_live(self) -> Live | None:
        """What it tells the live page; None where Airflow has no place for that."""
        from airflow_batchext.live.form import Snapshot
        from airflow_batchext.live.writer import of_watcher

        trigger, memory = self._trigger, self._memory
        if not memory.lasts:
            return None
        about = Snapshot(
            kind="events",
            pool=trigger.pool_id,
            connection=trigger.azure_batchext_conn_id,
            mode="watcher",
            rules=f"events of pool {trigger.pool_id}: {', '.join(trigger.events)}",
            started=time.time(),
            interval=trigger.interval(),
        )
        return of_watcher(memory.store, memory.about, getattr(trigger, "trigger_id", None), lambda: about)

    def _say(self, text: str, *, failed: bool = False) -> None:
        if text != self._said:
            self._said = text
            level = logging.WARNING if failed else logging.INFO
            self._trigger.log.log(level, "Watching pool %s: %s", self._trigger.pool_id, text)


class _Memory:
    """What a watcher has told: kept in the asset's store if there is one, else in this process alone.

    :param trigger: the watcher. Others of the same asset have a memory of their own.
    """

    def __init__(self, trigger: AzureBatchPoolEventTrigger) -> None:
        self.told: Told | None = None
        self._kept: Told | None = None
        self._loaded = False
        #: Airflow's store for the state of the asset; None where there is none.
        self.store: Any = getattr(trigger, "asset_state_store", None)
        self._log = trigger.log
        _, kwargs = trigger.serialize()
        kwargs.pop("poll_interval", None)
        digest = hashlib.sha256(json.dumps(kwargs, sort_keys=True).encode()).hexdigest()
        #: What tells it from other watchers of the same asset.
        self.about = digest[:_KEY_DIGITS]
        self._key = f"{_KEY}/{self.about}"

    @property
    def lasts(self) -> bool:
        """Whether it outlives the process."""
        return self.store is not None

    async def load(self) -> None:
        """Learn what an earlier process has told."""
        from airflow_batchext.rules.events import Told

        if self._loaded or self.store is None:
            return
        try:
            self.told = self._kept = Told.from_json(await self.store.aget(self._key))
        except ValueError:
            # Airflow keeps one row for watchers that are alike, and does not say whose store to take.
            self._log.warning("This watcher is that of several assets, so what it tells is not remembered")
            self.store = None
        self._loaded = True

    async def keep(self) -> None:
        """Keep what has been told, unless it is kept already."""
        if self.store is not None and self.told is not None and self.told != self._kept:
            await self.store.aset(self._key, self.told.to_json())
        self._kept = self.told
