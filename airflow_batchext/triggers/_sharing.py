"""Gates and watchers of one triggerer that ask the same of the same pool look at it together.

The first gate whose turn it is looks; those that come while it does so, or soon after, take its verdict. A
gate never takes one that was begun before the gate itself was: it may be about another moment. There is no
task in the background, so nothing is left over when gates come and go.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_batchext.hooks._drivers.gate import alook
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.metrics import PoolGauge
from airflow_batchext.repair.gate import Healing
from airflow_batchext.rules.gate import Outcome, Rules, Verdict
from airflow_batchext.rules.watch import Watch

if TYPE_CHECKING:
    from airflow_batchext.repair.controller import Repair

_Key = tuple[str, str, str, str, str | None, float, bool]
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, SharedLooks]] = WeakKeyDictionary()


class SharedLooks:
    """The looks at one pool, for all gates that ask the same of it.

    :param conn_id: the Airflow connection.
    :param watch: what is remembered between the looks.
    :param interval: seconds between two looks, at least.
    :param follow: when the pool is gone, go on with the next one of its name.
    """

    def __init__(
        self, conn_id: str, watch: Watch | Healing, interval: float, *, follow: bool = False
    ) -> None:
        self.users = 0
        self._follow = follow
        # The gate's own rhythm repeats what failed; the SDK's would delay the deadline.
        self.hook = AzureBatchNodeHook(conn_id, retries=0)
        self.gauge = PoolGauge(watch.pool_id)
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
                self.gauge.show(self._verdict)
                # Pools whose gates were set together need not be looked at together for ever.
                pause = self._watch.pause(self._interval, self._verdict) * random.uniform(1.0, 1.1)
                self._next = time.monotonic() + pause
                gone = self._verdict.outcome is Outcome.FAIL and not self._verdict.nodes
                if self._follow and gone and not self._verdict.unread and isinstance(self._watch, Watch):
                    self._watch = Watch(self._watch.pool_id, self._watch.rules)
            return self._verdict


class SharedLooksLease:
    """The looks that are shared by all who ask for the same; the last one to leave closes the connection.

    Not a generator: a watcher, which is one itself, is still inside when the event loop closes all of them.

    :param conn_id: the Airflow connection.
    :param pool_id: the pool.
    :param rules: what is asked of it, as ``Rules.to_json`` writes it.
    :param interval: seconds between two looks, at least.
    :param pool_created: the pool's ``creationTime``, where it is known.
    :param follow: when the pool is gone, go on with the next one of its name.
    :param repair: mends nodes before the gate fails; such a gate shares its looks with nobody.
    :param deadline: when the gate gives up, in seconds since the epoch.
    """

    def __init__(
        self,
        *,
        conn_id: str,
        pool_id: str,
        rules: Mapping[str, Any],
        interval: float,
        pool_created: str | None = None,
        follow: bool = False,
        repair: Repair | None = None,
        deadline: float = float("inf"),
    ) -> None:
        owner = repair.owner if repair else ""
        self._key: _Key = (
            conn_id, pool_id, json.dumps(rules, sort_keys=True), owner, pool_created, interval, follow
        )  # fmt: skip
        self._rules = Rules.from_json(rules)
        self._repair, self._deadline = repair, deadline

    async def __aenter__(self) -> SharedLooks:
        here = _shared.setdefault(asyncio.get_running_loop(), {})
        self._looks = here.get(self._key) or self._new()
        here[self._key] = self._looks
        self._looks.users += 1
        return self._looks

    async def __aexit__(self, *exc: object) -> None:
        self._looks.users -= 1
        if not self._looks.users:
            _shared[asyncio.get_running_loop()].pop(self._key, None)
            self._looks.gauge.close()
            await self._looks.hook.aclose()

    def _new(self) -> SharedLooks:
        conn_id, pool_id, _, _, pool_created, interval, follow = self._key
        gate = Watch(pool_id, self._rules, pool_created=pool_created)
        watch: Watch | Healing = gate
        if self._repair is not None:
            watch = Healing(gate, self._repair, seconds_left=lambda: self._deadline - time.time())
        return SharedLooks(conn_id, watch, interval, follow=follow)
