"""Gates of one triggerer that ask the same of the same pool look at it together.

The first gate whose turn it is looks; those that come while it does so, or soon after, take its verdict. A
gate never takes one that was begun before the gate itself was: it may be about another moment. There is no
task in the background, so nothing is left over when gates come and go.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.watching import alook
from airflow_batchext.repair.healing import Healing
from airflow_batchext.verdict import Rules, Verdict
from airflow_batchext.watch import Watch

if TYPE_CHECKING:
    from airflow_batchext.repair.course import Repair

_Key = tuple[str, str, str, str, str | None, float]
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, SharedLooks]] = WeakKeyDictionary()


class SharedLooks:
    """The looks at one pool, for all gates that ask the same of it.

    :param conn_id: the Airflow connection.
    :param watch: what is remembered between the looks.
    :param interval: seconds between two looks, at least.
    """

    def __init__(self, conn_id: str, watch: Watch | Healing, interval: float) -> None:
        self.users = 0
        # The gate's own rhythm repeats what failed; the SDK's would delay the deadline.
        self.hook = AzureBatchNodeHook(conn_id, retries=0)
        self._watch = watch
        self._interval = interval
        self._turn = asyncio.Lock()
        self._verdict: Verdict | None = None
        self._began = float("-inf")
        self._next = float("-inf")

    def next_look(self) -> float:
        """Seconds until the next look is due; not more than the interval before the first one."""
        return self._next - time.monotonic()

    async def verdict(self, gate_since: float, *, last: bool = False) -> Verdict:
        """What the pool is like: a look of our own if one is due, else the last one.

        :param gate_since: when the gate was set, by ``time.monotonic``.
        :param last: look now, and at everything: there will be no other time.
        """
        async with self._turn:
            if last or self._verdict is None or self._began < gate_since or self.next_look() <= 0:
                self._began = time.monotonic()
                self._verdict = await alook(self.hook, self._watch, whole=last)
                # Pools whose gates were set together need not be looked at together for ever.
                pause = self._watch.pause(self._interval, self._verdict) * random.uniform(1.0, 1.1)
                self._next = time.monotonic() + pause
            return self._verdict


@asynccontextmanager
async def shared_looks(
    *,
    conn_id: str,
    pool_id: str,
    rules: Mapping[str, Any],
    pool_created: str | None,
    interval: float,
    repair: Repair | None = None,
    deadline: float = float("inf"),
) -> AsyncIterator[SharedLooks]:
    """The looks that are shared by all who ask for the same; the last one to leave closes the connection.

    :param repair: mends nodes before the gate fails; such a gate shares its looks with nobody.
    :param deadline: when the gate gives up, in seconds since the epoch.
    """
    here = _shared.setdefault(asyncio.get_running_loop(), {})
    owner = repair.owner if repair else ""
    key = (conn_id, pool_id, json.dumps(rules, sort_keys=True), owner, pool_created, interval)
    looks = here.get(key)
    if looks is None:
        gate = Watch(pool_id, Rules.from_json(rules), pool_created=pool_created)
        watch: Watch | Healing = gate
        if repair is not None:
            watch = Healing(gate, repair, seconds_left=lambda: deadline - time.time())
        looks = here[key] = SharedLooks(conn_id, watch, interval)
    looks.users += 1
    try:
        yield looks
    finally:
        looks.users -= 1
        if not looks.users:
            here.pop(key, None)
            await looks.hook.aclose()
