"""Gates and watchers of one triggerer that ask the same of the same pool look at it together.

The first gate whose turn it is looks; what it comes to serves those whose own it may be (``rules.sharing``).
There is no task in the background, so nothing is left over when gates come and go.
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

from airflow_batchext.hooks._drivers.diagnosis import acauses, the_rest
from airflow_batchext.hooks._drivers.gate import alook
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.metrics import PoolGauge
from airflow_batchext.repair.gate import RepairingGate
from airflow_batchext.rules.deadline import NEVER, Deadline
from airflow_batchext.rules.gate import Outcome, Rules, Verdict
from airflow_batchext.rules.sharing import Taken
from airflow_batchext.rules.watch import Watch
from airflow_batchext.transport import LAST_LOOK_SECONDS, over_within

if TYPE_CHECKING:
    from airflow_batchext.repair.controller import Repair

# Gates on one pool wake at the same moment: one look serves all that have asked before it begins.
_GATHERING_SECONDS = 0.02
_NOT_OUR_TURN = "the pool: another gate was looking at it when the deadline passed"

_Key = tuple[str, str, str, str, float]
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, SharedLooks]] = WeakKeyDictionary()


class SharedLooks:
    """The looks at one pool, for all gates that ask the same of it.

    :param conn_id: the Airflow connection.
    :param watch: what is remembered between the looks.
    :param interval: seconds between two looks, at least.
    """

    def __init__(self, conn_id: str, watch: Watch | RepairingGate, interval: float) -> None:
        self.users = 0
        # The gate's own rhythm repeats what failed; the SDK's would delay the deadline.
        self.hook = AzureBatchNodeHook(conn_id, retries=0)
        self.gauge = PoolGauge(conn_id, watch.pool_id)
        self.watch = watch
        self._interval = interval
        self._turn, self._asking = asyncio.Lock(), asyncio.Lock()
        self._why: tuple[str, str] | None = None
        self._taken: Taken | None = None
        self._next = float("-inf")

    def next_look(self) -> float:
        """Seconds until the next look is due; not more than the interval before the first one."""
        return self._next - time.monotonic()

    async def verdict(
        self,
        gate_since: float,
        *,
        deadline: Deadline = NEVER,
        is_last: bool = False,
        only_tells: bool = False,
    ) -> Verdict:
        """What the pool is like: a look of our own, unless another's serves.

        :param gate_since: when the gate was set, by ``time.monotonic``.
        :param deadline: of this gate: neither is another's look waited for longer, nor does one last longer.
        :param is_last: look at everything: there will be no other time.
        :param only_tells: of a watcher, for which a look of the same interval is as good as its own.
        """
        asked = time.monotonic()
        async with self._turn_before(deadline) as is_ours:
            if not is_ours:
                return Verdict(Outcome.WAIT, (_NOT_OUR_TURN,), unread=True, cut=True)
            if self.users > 1:
                await asyncio.sleep(_GATHERING_SECONDS)
            taken, is_due = self._taken, self.next_look() <= 0
            if taken and taken.serves(
                since=gate_since, asked=asked, is_due=is_due, is_last=is_last, only_tells=only_tells
            ):
                return taken.verdict
            began = time.monotonic()
            verdict = await alook(self.hook, self.watch, deadline=deadline, whole=is_last)
            self._taken = Taken(verdict, began, is_whole=is_last)
            self.gauge.show(verdict)
            # Pools whose gates were set together need not be looked at together for ever.
            pause = self.watch.pause(self._interval, verdict) * random.uniform(1.0, 1.1)
            self._next = time.monotonic() + pause
            return verdict

    async def causes(self, verdict: Verdict, rules: Rules, deadline: Deadline) -> str:
        """Why the pool is not ready, for all gates that end for the same reasons (``diagnosis.acauses``)."""
        reasons, pool_id = verdict.listed(), self.watch.pool_id
        try:
            async with over_within(deadline.at_least(LAST_LOOK_SECONDS).left), self._asking:
                if self._why is None or self._why[0] != reasons:
                    self._why = reasons, await acauses(self.hook, pool_id, rules, deadline, verdict=verdict)
                return self._why[1]
        except TimeoutError:
            return the_rest(self.hook, pool_id, rules)

    @asynccontextmanager
    async def _turn_before(self, deadline: Deadline) -> AsyncIterator[bool]:
        """Wait for our turn to look, but not beyond the deadline; say whether it came."""
        try:
            async with over_within(deadline.left):
                await self._turn.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            self._turn.release()


class SharedLooksLease:
    """The looks that are shared by all who ask for the same; the last one to leave closes the connection.

    Not a generator: a watcher, which is one itself, is still inside when the event loop closes all of them.

    :param conn_id: the Airflow connection.
    :param pool_id: the pool.
    :param rules: what is asked of it, as ``Rules.to_json`` writes it.
    :param interval: seconds between two looks, at least.
    :param pool_created: the ``creationTime`` of the pool that is to be repaired, where it is known.
    :param repair: repairs nodes before the gate fails; such a gate shares its looks with nobody.
    :param deadline: when the gate gives up.
    """

    def __init__(
        self,
        *,
        conn_id: str,
        pool_id: str,
        rules: Mapping[str, Any],
        interval: float,
        pool_created: str | None = None,
        repair: Repair | None = None,
        deadline: Deadline = NEVER,
    ) -> None:
        owner = repair.owner if repair else ""
        self._key: _Key = (conn_id, pool_id, json.dumps(rules, sort_keys=True), owner, interval)
        self._rules = Rules.from_json(rules)
        self._pool_created = pool_created
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
        conn_id, pool_id, _, _, interval = self._key
        if self._repair is None:
            return SharedLooks(conn_id, Watch(pool_id, self._rules, follows=True), interval)
        watch = Watch(pool_id, self._rules, pool_created=self._pool_created)
        return SharedLooks(conn_id, RepairingGate(watch, self._repair, deadline=self._deadline), interval)
