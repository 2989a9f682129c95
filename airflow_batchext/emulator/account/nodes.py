"""How nodes come, go and are handled: allocation, and all that is done to a node that lives.

The task runs that an intervention cuts off are handed to ``_released``; whoever keeps the tasks decides what
becomes of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Literal, get_args

from airflow_batchext.emulator.account import lifecycle
from airflow_batchext.emulator.account.extensions import Override
from airflow_batchext.emulator.account.inventory import Inventory
from airflow_batchext.emulator.account.lifecycle import History, NodeState, Resize, StartTask, failure_from
from airflow_batchext.emulator.account.pools import Node, Pool, resize_faults
from airflow_batchext.emulator.account.quotas import node_limits, quota_faults
from airflow_batchext.emulator.scenario import SYSTEM_EXTENSION, ExtensionRun, Outcome, Scenario, seconds
from airflow_batchext.emulator.wire.errors import refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_batchext.emulator.account.work import TaskRun

Option = Literal["requeue", "terminate", "taskcompletion", "retaineddata"]
"""What becomes of the tasks of a node that is rebooted, reimaged, deallocated or removed."""
OPTIONS: tuple[Option, ...] = get_args(Option)
_RETENTION = timedelta(days=7)


class Nodes(Inventory):
    """The nodes of the pools, and what happens to them."""

    # --- what clients ask for ------------------------------------------------------------------------------

    def reboot_node(self, pool: str, node: int | str, option: Option = "requeue") -> None:
        """Reboot a node, in whatever state it is; its extensions and its start task run again."""
        self._restart(pool, node, option, NodeState.REBOOTING)

    def reimage_node(self, pool: str, node: int | str, option: Option = "requeue") -> None:
        """Install a node anew, in whatever state it is."""
        self._restart(pool, node, option, NodeState.REIMAGING)

    def deallocate_node(self, pool: str, node: int | str, option: Option = "requeue") -> None:
        """Give a node's machine back; it stays listed."""
        with self._touching(pool, node) as (found, now):
            at = self._clear(found, now, option)
            found.history = lifecycle.deallocate(found.history, now, self.scenario.timings, at=at)

    def start_node(self, pool: str, node: int | str) -> None:
        """Start a deallocated node."""
        with self._touching(pool, node) as (found, now):
            state = lifecycle.node_at(found.history, now)
            if state is None or state.state is not NodeState.DEALLOCATED:
                raise refusal("OperationInvalidForCurrentState", Reason="The node is not deallocated")
            found.history = lifecycle.start(found.history, now, *self._next_boot(pool, found, now))

    def set_scheduling(
        self, pool: str, node: int | str, *, enabled: bool, option: Option = "requeue"
    ) -> None:
        """Let a node take tasks, or no more. ``option`` is what becomes of those that it has."""
        with self._touching(pool, node) as (found, now):
            if enabled:
                state = lifecycle.node_at(found.history, now)
                if state is not None and state.state is NodeState.OFFLINE:
                    found.history = lifecycle.mark(found.history, now, NodeState.IDLE)
                found.work = replace(found.work, disabled=None, enabled=now)
                self._released((), now, is_terminated=False)
                return
            if option != "taskcompletion":
                self._clear(found, now, option)
            found.work = replace(found.work, disabled=now)

    def remove_nodes(self, pool: str, nodes: Sequence[int | str], option: Option = "requeue") -> Pool:
        """Take nodes out of a pool for good: they leave, and the target is so much less."""
        with self._changing(pool) as (changed, now):
            found = [self.node(pool, node) for node in nodes]
            if any(visible.now.state is NodeState.LEAVING_POOL for visible in found):
                raise refusal("OperationInvalidForCurrentState", Reason="The node is leaving its pool")
            leaving = [visible.node for visible in found]
            scale = changed.definition.scale
            if changed.resize.stopped is not None:  # nobody is to come any more
                dedicated, low_priority = self.counts_at(changed, now)
                scale = replace(scale, dedicated=dedicated, low_priority=low_priority)
            for node in leaving:
                self._leave(node, now, option)
                if node.is_dedicated:
                    scale = replace(scale, dedicated=max(scale.dedicated - 1, 0))
                else:
                    scale = replace(scale, low_priority=max(scale.low_priority - 1, 0))
            changed.definition = replace(changed.definition, scale=scale)
            changed.modified = self.stamp()
            steady = max([changed.resize.steady, now, *(_end(node.history) for node in leaving)])
            changed.resize = Resize(changed.modified, steady, scale.dedicated, scale.low_priority)
            return changed

    def remove_node(self, pool: str, node: int | str) -> None:
        """Take one node out of a pool for good."""
        self.remove_nodes(pool, [node])

    # --- what tests and demos do ---------------------------------------------------------------------------

    def preempt_node(self, pool: str, node: int | str, back_after: float | None = None) -> None:
        """Take a node's machine away. It stays listed as ``preempted``; after some seconds it is back."""
        with self._touching(pool, node) as (found, now):
            boot = self._next_boot(pool, found, now)
            self._clear(found, now, "requeue")
            found.history = lifecycle.preempt(found.history, now, back_after, *boot)

    def mark_node(
        self,
        pool: str,
        node: int | str,
        state: NodeState | str,
        *,
        code: str | None = None,
        message: str = "",
    ) -> None:
        """Put a node in a state (``unusable``, ``starttaskfailed``, …), with an error if a code is given."""
        with self._touching(pool, node) as (found, now):
            marked = NodeState(state)
            if marked not in lifecycle.BUSY:
                self._clear(found, now, "requeue")
            found.history = lifecycle.mark(found.history, now, marked)
            found.errors = ((code, message),) if code else ()

    def set_extension(
        self,
        pool: str,
        node: int | str,
        extension: str,
        *,
        outcome: Outcome,
        code: str | None = None,
        message: str | None = None,
    ) -> None:
        """Change what one extension of a living node shows, from now until the node boots again."""
        self._override(pool, node, extension, ExtensionRun(outcome=outcome, code=code, message=message))

    def upgrade_extension(self, pool: str, node: int | str, extension: str, length: float = 60.0) -> None:
        """Upgrade one extension of a living node: ``updating`` for some seconds, then succeeded."""
        self._override(pool, node, extension, ExtensionRun(seconds=length), is_upgrade=True)

    # --- inside --------------------------------------------------------------------------------------------

    def _override(
        self, pool: str, node: int | str, extension: str, run: ExtensionRun, *, is_upgrade: bool = False
    ) -> None:
        with self._touching(pool, node) as (found, now):
            names = [SYSTEM_EXTENSION] + [item["name"] for item in self.pool(pool).definition.extensions]
            name = next((name for name in names if name.casefold() == extension.casefold()), None)
            if name is None:
                raise refusal("ResourceNotFound", Reason=f"The pool has no extension '{extension}'")
            found.overrides = {**found.overrides, name: Override(now, run, is_upgrade)}

    def _restart(self, pool: str, node: int | str, option: Option, state: NodeState) -> None:
        with self._touching(pool, node) as (found, now):
            boot = self._next_boot(pool, found, now)
            at = self._clear(found, now, option)
            found.history = lifecycle.restart(found.history, now, *boot, at=at, state=state)

    def _next_boot(self, pool: str, node: Node, now: datetime) -> tuple[Scenario, StartTask | None]:
        """The scenario by which a node will boot, and what its start task does then."""
        scenario = self._snapshot()
        boot = lifecycle.boots(node.history, now)
        return scenario, self._start_task(self.pool(pool), node, scenario, boot)

    def _clear(self, node: Node, now: datetime, option: Option) -> datetime | None:
        """Do away with the tasks of a node, or return until when it waits for them."""
        current = node.work.current(now)
        if option in ("requeue", "terminate"):
            if current:
                node.work = node.work.without(current, now)
                self._released(current, now, is_terminated=option == "terminate")
            return None
        ends = [run.end for run in current]
        if any(end is None for end in ends):
            raise refusal("OperationInvalidForCurrentState", Reason="A task of the node never ends")
        until = max((end for end in ends if end is not None), default=None)
        if option == "retaineddata":
            last = until or node.work.freed
            until = last and last + _RETENTION
        if until is None or until <= now:
            return None
        node.work = replace(node.work, closed=now)
        return until

    def _leave(self, node: Node, now: datetime, option: Option = "requeue") -> None:
        at = self._clear(node, now, option)
        node.history = lifecycle.leave(node.history, now, self.scenario.timings, at=at)

    def _released(self, runs: Iterable[TaskRun], now: datetime, *, is_terminated: bool) -> None:
        """Take note of the runs that were cut off."""

    def _start_task(self, pool: Pool, node: Node, scenario: Scenario, boot: int) -> StartTask | None:
        document = pool.definition.properties.get("startTask")
        if document is None:
            return None
        run = scenario.start_task_run(pool.name, node.index, node.id, boot)
        return StartTask(
            run.seconds,
            run.exit_code,
            document["maxTaskRetryCount"],
            waits=document["waitForSuccess"],
            failure=failure_from(run.failure),
        )

    def _start_resize(self, pool: Pool, now: datetime) -> None:
        scale, scenario = pool.definition.scale, self._snapshot()
        timings, rule = scenario.timings, scenario.resize_rule(pool.name)
        # Nodes that are gone are forgotten, and so are those on their way: they belong to the last resize.
        visible = list(self._visible(pool, now))
        pool.nodes = {here.node.id: here.node for here in visible}
        present = [here.node for here in visible if here.now.state is not NodeState.LEAVING_POOL]
        faults = resize_faults(pool, rule)
        come = rule.nodes_allocated if rule is not None else None
        if come is None:
            come = len(present) if faults else scale.dedicated + scale.low_priority
        limits = node_limits(pool, self._pools.values(), scenario.account)
        faults = faults or quota_faults(pool, limits)
        missing: list[bool] = []  # of every node that is to be added: whether it is dedicated
        leaving: list[Node] = []
        for is_dedicated, target in ((True, scale.dedicated), (False, scale.low_priority)):
            here = [node for node in present if node.is_dedicated is is_dedicated]
            leaving += here[target:]
            kept = min(len(here), target)
            wanted = max(min(target, come, limits[is_dedicated]), kept)
            missing += [is_dedicated] * (wanted - kept)
            come -= min(wanted, come)
        option = option_of(scale.deallocation)
        for node in leaving:
            self._leave(node, now, option)
        if rule is not None and rule.steady_after is not None:
            length = rule.steady_after
        elif missing or faults:
            length = timings.allocation + timings.settling
        else:
            length = timings.leaving if leaving else timings.empty_resize
        steady = max([now + seconds(length), *(_end(node.history) for node in leaving)])
        # Nodes with the same start task share one history.
        first_boot = cache(
            partial(lifecycle.first_boot, max(now, steady - seconds(timings.settling)), scenario)
        )
        for is_dedicated in missing:
            node = self._new_node(pool, is_dedicated=is_dedicated)
            node.history = first_boot(self._start_task(pool, node, scenario, 0))
            pool.nodes[node.id] = node
        pool.resize = Resize(pool.modified, steady, scale.dedicated, scale.low_priority, faults)

    def _new_node(self, pool: Pool, *, is_dedicated: bool) -> Node:
        index, pool.next_index = pool.next_index, pool.next_index + 1
        what = f"{self._seed}|{pool.name.casefold()}|{pool.generation}|{index}"
        digest = hashlib.sha256(what.encode()).hexdigest()
        return Node(f"tvmps_{digest}_{'d' if is_dedicated else 'p'}", index, is_dedicated, ())


def option_of(word: str | None) -> Option:
    """The option of that name in whatever case, or the usual one."""
    return next((option for option in OPTIONS if option == (word or "").casefold()), "requeue")


def _end(history: History) -> datetime:
    return history[-1].at
