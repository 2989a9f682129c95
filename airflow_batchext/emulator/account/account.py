"""The emulated Batch account: its keys, its pools with their nodes, its jobs. No wire format is known here.

This is also the control surface for tests and demos: take a node away, reboot it, make one extension fail on
one node, delete a pool.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account import lifecycle
from airflow_batchext.emulator.account.autoscale import Evaluation
from airflow_batchext.emulator.account.autoscale_pools import evaluate_formula
from airflow_batchext.emulator.account.jobs import Jobs
from airflow_batchext.emulator.account.lifecycle import Resize, ResizeFault
from airflow_batchext.emulator.account.nodes import Nodes
from airflow_batchext.emulator.account.pools import Fate, Pool
from airflow_batchext.emulator.documents.pool import PoolDefinition, Scale
from airflow_batchext.emulator.scenario import seconds
from airflow_batchext.emulator.wire.errors import RefusedError, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime, timedelta

    from airflow_batchext.emulator.account.clock import Clock
    from airflow_batchext.emulator.account.work import TaskRun
    from airflow_batchext.emulator.scenario import Scenario

_REMEMBERED_DELETIONS = 1000
#: So many formulas are evaluated at once: some seconds.
_MOST_EVALUATIONS = 10_000
_KINDS = {True: "dedicated", False: "low priority"}


class Account(Nodes):
    """A Batch account. Every method takes the lock; hold ``lock`` around calls that belong together."""

    def __init__(self, clock: Clock, scenario: Scenario, seed: int = 0) -> None:
        """Make an empty account with keys of its own."""
        super().__init__(clock, scenario, seed)
        self.name = "batchext"
        self.location = "westeurope"
        self.resource_group = "batchext-rg"
        self.subscription_id = str(uuid.uuid4())
        self.keys = {kind: new_key() for kind in ("primary", "secondary")}
        self.jobs = Jobs(self)
        self._deletions: dict[str, datetime] = {}
        self._generations: Counter[str] = Counter()
        self._is_catching_up = False
        clock.before_jump = self._check_jump

    # --- pools ---------------------------------------------------------------------------------------------

    def create_pool(self, name: str, definition: PoolDefinition) -> Pool:
        """Create a pool; its first resize starts at once."""
        with self.lock:
            existing = self.find(name)
            if existing is not None:
                raise refusal("PoolBeingDeleted" if existing.deleted else "PoolExists")
            if len(self._pools) >= self.scenario.account.pool_quota:
                raise refusal("PoolQuotaReached")
            now = self.clock.now()
            pool = self._create(name, definition, now)
            rule = self.scenario.resize_rule(name)
            after = None if rule is None else rule.deleted_after or rule.recreated_after
            if rule is not None and after is not None:
                pool.fate = Fate(now + seconds(after), comes_back=rule.recreated_after is not None)
            return pool

    def update_pool(self, name: str, definition: PoolDefinition) -> Pool:
        """Replace what a pool asks for; new targets start a resize."""
        with self._changing(name) as (pool, now):
            before, after = pool.definition.scale, definition.scale
            stamp = self.stamp()
            pool.definition = definition
            if after.formula is None:
                pool.evaluation, pool.evaluates = None, None
            elif (after.formula, after.interval) == (before.formula, before.interval):
                # The targets are what the formula came to, not what the document says.
                after = replace(after, dedicated=before.dedicated, low_priority=before.low_priority)
                pool.definition = replace(definition, scale=after)
            else:
                self._scale_by(pool, after, stamp)
                after = pool.definition.scale
            pool.modified = stamp
            # A formula that comes while the pool is resizing starts the resize anew, as recorded.
            restarts = before.formula is None and after.formula is not None and pool.resize.is_running(now)
            if restarts or (after.dedicated, after.low_priority) != (before.dedicated, before.low_priority):
                self._start_resize(pool, now)
            return pool

    def delete_pool(self, name: str, *, at_once: bool = False) -> str:
        """Delete a pool and return the id of the deletion. ``at_once`` skips the time that it takes."""
        with self._changing(name) as (pool, now):
            return self._delete(pool, now, at_once=at_once)

    def recreate_pool(self, name: str) -> Pool:
        """Delete a pool at once and create it anew with the same definition: same name, another pool."""
        with self.lock:
            definition = self.pool(name).definition
            self.delete_pool(name, at_once=True)
            return self.create_pool(name, definition)

    def deletion_ends(self, deletion: str) -> datetime | None:
        """When a deletion is or was finished, or None if there is no such deletion."""
        with self.lock:
            key = deletion.casefold()
            if key in self._deletions:
                return self._deletions[key]
            # Older versions of the service leave the ETag out of the id.
            older = [end for known, end in self._deletions.items() if known.rpartition("-")[0] == key]
            return older[-1] if older else None

    # --- their size ----------------------------------------------------------------------------------------

    def resize_pool(
        self,
        name: str,
        dedicated: int,
        low_priority: int = 0,
        *,
        timeout: timedelta | None = None,
        deallocation: str | None = None,
    ) -> Pool:
        """Give a pool other targets, or the same again; the resize takes its time."""
        with self._changing(name) as (pool, now):
            before = pool.definition.scale
            scale = Scale(dedicated, low_priority, timeout or before.timeout, deallocation)
            return self._rescale(pool, scale, now)

    def stop_resize(self, name: str) -> Pool:
        """Stop the resize of a pool: it keeps the nodes that it has. On a steady pool nothing happens."""
        with self._changing(name) as (pool, now):
            resize = pool.resize
            if not resize.is_running(now) or resize.stopped is not None:
                return pool
            pool.nodes = {
                node.id: node
                for node in pool.nodes.values()
                if lifecycle.so_far(node.history, now)  # those that never came will not come
            }
            counts = dict(zip((True, False), self.counts_at(pool, now), strict=True))
            targets = {True: resize.dedicated, False: resize.low_priority}
            errors = tuple(_stopped(kind) for kind in (True, False) if counts[kind] != targets[kind])
            pool.resize = resize.stop(now, self.scenario.timings.stopping, errors)
            return pool

    def enable_autoscale(self, name: str, formula: str, interval: timedelta | None = None) -> Pool:
        """Scale a pool by a formula, which is evaluated at once, or once the pool is steady."""
        with self._changing(name) as (pool, now):
            scale = replace(pool.definition.scale, formula=formula)
            if interval is not None:
                scale = replace(scale, interval=interval)
            pool.autoscale_enabled = now
            if pool.resize.is_running(now):
                self._evaluate(pool, formula, now)  # a formula that cannot be read is refused at once
                pool.definition = replace(pool.definition, scale=scale)
                pool.evaluation, pool.evaluates = None, pool.resize.steady
                return pool
            stamp = self.stamp(now)
            self._scale_by(pool, scale, stamp)
            return self._rescale(pool, pool.definition.scale, now, stamp)

    def disable_autoscale(self, name: str) -> Pool:
        """Leave a pool at the size that its formula has given it."""
        with self._changing(name) as (pool, now):
            if pool.definition.scale.formula is None:
                return pool
            scale = replace(pool.definition.scale, formula=None)
            pool.evaluation, pool.evaluates = None, None
            if pool.resize.is_running(now):
                # As recorded: only on a steady pool does this begin a resize and change the ETag.
                pool.definition = replace(pool.definition, scale=scale)
                return pool
            return self._rescale(pool, scale, now)

    def evaluate_autoscale(self, name: str, formula: str) -> Evaluation:
        """What a formula comes to on a pool, without doing it."""
        with self.lock:
            return self._evaluate(self.pool(name), formula, self.clock.now())

    # --- inside --------------------------------------------------------------------------------------------

    def _create(self, name: str, definition: PoolDefinition, now: datetime) -> Pool:
        stamp = self.stamp(now)
        idle = Resize(now, now, 0, 0)
        pool = Pool(name, definition, created=stamp, modified=stamp, resize=idle)
        if definition.scale.formula is not None:
            self._scale_by(pool, definition.scale, stamp)
        self._generations[name.casefold()] += 1
        pool.generation = self._generations[name.casefold()]
        self._pools[name.casefold()] = pool
        self._start_resize(pool, now)
        return pool

    def _delete(self, pool: Pool, now: datetime, *, at_once: bool) -> str:
        timings = self.scenario.timings
        pool.nodes = {visible.node.id: visible.node for visible in self._visible(pool, now)}
        leaving = bool(pool.nodes)
        for node in pool.nodes.values():
            self._leave(node, now)
        deletion = f"delete-{pool.name}-{pool.etag.removeprefix('0x')}"
        pool.deleted, pool.evaluates = now, None
        pool.modified = self.stamp(now)  # recorded: ETag and lastModified are new
        pool.gone = now + seconds(max(timings.deletion, timings.leaving if leaving else 0.0))
        if at_once:
            pool.gone = now
        ends = now + seconds(timings.leaving) if leaving else pool.resize.cut(now).steady
        started = now if leaving else pool.resize.started
        pool.resize = Resize(started, ends, 0, 0)
        self._deletions[deletion.casefold()] = pool.gone
        while len(self._deletions) > _REMEMBERED_DELETIONS:
            del self._deletions[next(iter(self._deletions))]
        return deletion

    def _rescale(self, pool: Pool, scale: Scale, now: datetime, stamp: datetime | None = None) -> Pool:
        pool.definition = replace(pool.definition, scale=scale)
        pool.modified = stamp or self.stamp(now)
        self._start_resize(pool, now)
        return pool

    def _evaluate(self, pool: Pool, formula: str, at: datetime) -> Evaluation:
        return evaluate_formula(pool, formula, at, nodes=self.counts_at, tasks=self.jobs.counts_of_pool)

    def _scale_by(self, pool: Pool, scale: Scale, at: datetime) -> bool:
        """Evaluate the formula of the scale settings, and say whether it changes the targets."""
        before = (pool.definition.scale.dedicated, pool.definition.scale.low_priority)
        found = self._evaluate(pool, scale.formula or "", at)
        pool.evaluation, pool.evaluates = found, at + scale.interval
        scale = replace(
            scale, dedicated=found.dedicated, low_priority=found.low_priority, deallocation=found.option
        )
        pool.definition = replace(pool.definition, scale=scale)
        return before != (scale.dedicated, scale.low_priority)

    def _catch_up(self) -> None:
        """Do what has become due, in the order of time: formulas, tasks that end or may start, fates."""
        if self._is_catching_up:
            return
        self._is_catching_up = True
        try:
            now = self.now()
            while True:
                first = min(self._due(now), key=lambda item: item[0], default=None)
                task_event = self.jobs.next_event(now)
                if first is not None and (task_event is None or first[0] <= task_event):
                    first[1]()
                elif task_event is not None:
                    self.jobs.advance(task_event)
                else:
                    break
        finally:
            self._is_catching_up = False
        self._forget_the_gone()

    def _check_jump(self, to: datetime) -> None:
        with self.lock:
            self._catch_up()
            due = sum(
                max(0, (to - pool.evaluates) // pool.definition.scale.interval + 1)
                for pool in self._pools.values()
                if pool.evaluates is not None
            )
        if due > _MOST_EVALUATIONS:
            raise ValueError(
                f"so long a jump is {due:,} evaluations of autoscale formulas, and {_MOST_EVALUATIONS:,} are "
                "made at most: advance in smaller steps, or give the pools a longer evaluation interval"
            )

    def _due(self, now: datetime) -> Iterator[tuple[datetime, Callable[[], None]]]:
        for pool in self._pools.values():
            if pool.evaluates is not None and pool.evaluates <= now:
                yield pool.evaluates, partial(self._evaluate_again, pool, pool.evaluates)
            if pool.fate is not None and pool.fate.at <= now:
                yield pool.fate.at, partial(self._meet_fate, pool, pool.fate)

    def _meet_fate(self, pool: Pool, fate: Fate) -> None:
        pool.fate = None
        if pool.deleted:
            return
        self._delete(pool, fate.at, at_once=fate.comes_back)
        if fate.comes_back:
            self._create(pool.name, pool.definition, fate.at)

    def _evaluate_again(self, pool: Pool, at: datetime) -> None:
        try:
            changes = self._scale_by(pool, pool.definition.scale, at)
        except RefusedError as problem:
            # It was fine when it was given, but comes to something that is not modelled.
            scale = pool.definition.scale
            pool.evaluation = Evaluation(at, scale.dedicated, scale.low_priority, error=problem.message)
            pool.evaluates = at + scale.interval
            return
        if changes:
            pool.modified = self.stamp(at)
            self._start_resize(pool, at)

    def _released(self, runs: Iterable[TaskRun], now: datetime, *, is_terminated: bool) -> None:
        self.jobs.release(runs, now, is_terminated=is_terminated)


def _stopped(is_dedicated: bool) -> ResizeFault:
    kind = _KINDS[is_dedicated]
    message = f"Desired number of {kind} nodes could not be allocated due to a stop resize operation"
    return ResizeFault("ResizeStopped", message)


def new_key() -> str:
    """A key of the account."""
    return base64.b64encode(secrets.token_bytes(64)).decode()
