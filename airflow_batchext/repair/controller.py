"""In which order a repair reads, writes down and does things: one look at a time.

``Repair.look`` is a generator in the manner of ``watch.Watch.look``: it yields what it wants read or done, is
sent what came of it, and returns how far the repair is. All that has to be known at the next look is in the
pool's journal, so the next look may be another process's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_batchext.batch.data_plane import VOID_STATES
from airflow_batchext.batch.node_names import shortened
from airflow_batchext.repair.belief import bound
from airflow_batchext.repair.journal import (
    ITEM,
    Journal,
    JournalError,
    node_key,
    owner_key,
    read_journal,
    with_journal,
)
from airflow_batchext.repair.planner import Act, Plan, Planner
from airflow_batchext.repair.requests import (
    ReadWholePool,
    Remove,
    RepairRequest,
    Resize,
    Restart,
    WriteMetadata,
)
from airflow_batchext.repair.status import DEFAULT_LEASE_SECONDS, Progress, Stage
from airflow_batchext.repair.symptoms import Machine
from airflow_batchext.rules.reads import Problem, ProblemKind, ReadExtensions, ReadNodes

if TYPE_CHECKING:
    from airflow_batchext.batch.node_counts import Nodes
    from airflow_batchext.batch.whole_pool import WholePool
    from airflow_batchext.repair.policy import RepairPolicy
    from airflow_batchext.rules.gate import Rules

_MOST_HURRIED = 3
_LONGEST_PAUSE_SECONDS = 300.0

#: Conflicts that only say that something is on its way already, or was another thing a moment ago.
_PASSING_CONFLICTS = frozenset(
    {
        "ConditionNotMet",
        "NodeBeingCreated",
        "NodeBeingRebooted",
        "NodeBeingReimaged",
        "NodeBeingStarted",
        "PoolBeingCreated",
        "PoolBeingResized",
    }
)

Result = TypeVar("Result")
#: What a repair yields and is sent, until it comes to its result.
RepairFlow = Generator[RepairRequest, Any, Result]


@dataclass(slots=True)
class _Known:
    """What one process remembers; nothing is lost with it but reads."""

    node_ids: dict[str, str] = field(default_factory=dict)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    targets: Nodes | None = None


class Repair:
    """The repair of one pool.

    :param pool_id: the pool.
    :param policy: what may be done.
    :param owner: who repairs it: the same text in each try of the same task, another one for anybody else.
    :param node_ids: repair exactly these nodes, whatever they are like; None for those that the policy picks.
    :param keeps_journal: leave the journal in the pool when it is done, until ``finish``.
    :param dry_run: do nothing, and write nothing down.
    :param lease: for so many seconds after each look nobody else repairs the pool.
    """

    def __init__(
        self,
        pool_id: str,
        policy: RepairPolicy,
        *,
        owner: str,
        node_ids: Sequence[str] | None = None,
        keeps_journal: bool = False,
        dry_run: bool = False,
        lease: float = DEFAULT_LEASE_SECONDS,
    ) -> None:
        self.pool_id, self.policy, self.node_ids = pool_id, policy, node_ids
        self.owner, self.owner_name = owner_key(owner), owner
        self.keeps_journal, self.dry_run, self.lease = keeps_journal, dry_run, lease
        self.pool_created: str | None = None
        #: Whether the journal said at the last look that something is under way; None before the first one.
        self.is_pending: bool | None = None
        self._known = _Known()
        self._hurried = self._unread = 0

    def look(
        self,
        clock: Callable[[], float],
        *,
        seconds_left: float = float("inf"),
        rules: Rules | None = None,
        begins: bool = True,
    ) -> RepairFlow[Progress]:
        """Look at the pool, and do what comes next.

        :param clock: tells the service's time, in seconds since the epoch.
        :param seconds_left: until somebody gives up.
        :param rules: of the gate that asks for it: as many nodes as they let fail may stay ill.
        :param begins: whether anything may be begun; else what is under way is seen through alone.
        """
        progress = yield from self._look(clock, seconds_left, rules, begins)
        return replace(progress, text=shortened(progress.text, self._known.node_ids.values()))

    def _look(
        self, clock: Callable[[], float], seconds_left: float, rules: Rules | None, begins: bool
    ) -> RepairFlow[Progress]:
        opened = yield from self._open(clock)
        if isinstance(opened, Progress):
            return opened
        observed, journal = opened
        machines = yield from self._read_machines(observed)
        if isinstance(machines, Problem):
            return _stopped(machines, f"the nodes of pool {self.pool_id}")
        now = clock()
        before = copy.deepcopy(journal)
        journal.forget(now - self.policy.memory)
        if not journal.is_being_used:
            journal.notes.clear()  # they were told by whoever has ended
        planner = Planner(
            observed,
            machines,
            journal,
            self.policy,
            now,
            owner=self.owner,
            refused=self._known.refused,
            node_ids=self.node_ids,
            seconds_left=seconds_left,
            rules=rules,
            begins=begins,
        )
        plan = planner.decide()
        if self.dry_run:
            return self._told(_stage(plan, journal), plan, journal)
        return (yield from self._carry_out(plan, before, journal, observed, now))

    def glance(self) -> RepairFlow[bool]:
        """Whether a repair is under way, by the pool's journal alone."""
        observed = yield ReadWholePool()
        if isinstance(observed, Problem):
            return self.is_pending or False
        try:
            journal = read_journal(observed.metadata)
        except JournalError:
            journal = None
        self.is_pending = journal is not None and journal.is_pending
        return journal is not None and journal.is_being_used

    def finish(self) -> RepairFlow[bool | None]:
        """Take the journal out of the pool, if it is ours.

        :return: whether something is under way; None if that could not be read.
        """
        observed = yield ReadWholePool()
        if isinstance(observed, Problem):
            return None
        try:
            journal = read_journal(observed.metadata)
        except JournalError:
            return False
        if journal is None or journal.is_pending:
            return journal is not None
        if journal.by in ("", self.owner):
            yield WriteMetadata(with_journal(observed.metadata, None), observed.etag)
        return False

    def give_back(self, clock: Callable[[], float]) -> RepairFlow[Progress]:
        """Put the targets back if nodes are being replaced, and let others repair the pool."""
        opened = yield from self._open(clock)
        if isinstance(opened, Progress):
            return opened
        observed, journal = opened
        if journal.by != self.owner:
            return Progress(Stage.DONE)
        etag = observed.etag
        if journal.targets is None or observed.targets == journal.targets:
            journal.by, journal.until = "", 0
            yield WriteMetadata(with_journal(observed.metadata, journal), etag)
            return Progress(Stage.DONE)
        told = self._unrestored(observed, journal)
        if observed.targets not in journal.lowered:
            return Progress(Stage.FAILED, told)
        if not observed.is_steady:
            return Progress(Stage.WORKING, told)
        problem = yield Resize(*journal.targets, etag)
        if isinstance(problem, Problem):
            return Progress(Stage.WORKING, f"{told}: {problem.text}", retry_after=problem.retry_after)
        return Progress(Stage.WORKING, soon=True)

    def pause(self, interval: float, progress: Progress) -> float:
        """How long to wait for the next look, in seconds; longer while nothing can be read."""
        self._hurried = self._hurried + 1 if progress.soon else 0
        self._unread = self._unread + 1 if progress.unread else 0
        if 0 < self._hurried <= _MOST_HURRIED:
            return progress.retry_after or 0.0
        backed_off = min(interval * 2.0 ** min(self._unread, 10), max(interval, _LONGEST_PAUSE_SECONDS))
        return max(backed_off if self._unread else interval, progress.retry_after or 0.0)

    # --- reading -------------------------------------------------------------------------------------------

    def _open(self, clock: Callable[[], float]) -> RepairFlow[tuple[WholePool, Journal] | Progress]:
        observed = yield ReadWholePool()
        if isinstance(observed, Problem):
            return _stopped(observed, f"pool {self.pool_id}")
        pool = observed.pool
        if pool.state == "deleting":
            return Progress(Stage.FAILED, f"pool {self.pool_id} is being deleted")
        if self.pool_created and pool.created and self.pool_created != pool.created:
            return Progress(Stage.FAILED, f"pool {self.pool_id} was deleted and created anew")
        self.pool_created = self.pool_created or pool.created
        try:
            journal = read_journal(observed.metadata) or Journal()
        except JournalError as error:
            return Progress(Stage.FAILED, f"pool {self.pool_id}: {error}")
        self.is_pending = journal.is_pending
        bound(journal, observed, self.policy, clock(), own_targets=self._known.targets)
        if journal.is_others(self.owner, clock()):
            return Progress(Stage.WORKING, f"pool {self.pool_id} is being repaired by {journal.by_name}")
        return observed, journal

    def _read_machines(self, observed: WholePool) -> RepairFlow[list[Machine] | Problem]:
        answer = yield ReadNodes()
        if isinstance(answer, Problem):
            return answer
        nodes = [node for node in answer if node.id]
        self._known.node_ids |= {node_key(node.id): node.id for node in nodes}
        asked = [node.id for node in nodes if not node.leaving and node.state not in VOID_STATES]
        read: Any = (yield ReadExtensions(tuple(asked))) if asked else {}
        if not isinstance(read, Mapping):
            read = dict.fromkeys(asked, read)
        for problem in read.values():
            if isinstance(problem, Problem) and problem.kind is ProblemKind.REFUSED:
                return problem
        found = {node_id: said for node_id, said in read.items() if isinstance(said, Sequence)}
        return [Machine(node, found.get(node.id)) for node in nodes]

    # --- doing ---------------------------------------------------------------------------------------------

    def _carry_out(
        self, plan: Plan, before: Journal, journal: Journal, observed: WholePool, now: float
    ) -> RepairFlow[Progress]:
        stage = _stage(plan, journal)
        progress = self._told(stage, plan, journal)
        kept: Journal | None = journal
        if stage is Stage.WORKING:
            is_long_enough = before.by == self.owner and before.until - now > self.lease / 2
            journal.by, journal.by_name = self.owner, self.owner_name
            journal.until = before.until if is_long_enough else int(now + self.lease)
        else:
            journal.by, journal.by_name, journal.until = "", "", 0
            journal.is_over = stage is Stage.DONE
            is_of_use = self.keeps_journal or stage is Stage.FAILED or self.node_ids is not None
            kept = journal if is_of_use and journal.records else None
        self.is_pending = journal.is_pending or bool(plan.acts)
        self._known.targets = journal.targets
        metadata = with_journal(observed.metadata, kept)
        etag = observed.etag
        # Nothing is under way and nothing to be done: whoever only waits need not keep others out.
        if stage is Stage.WORKING and not self.is_pending and not before.by and not before.records:
            return progress
        if metadata != observed.metadata:
            written = yield WriteMetadata(metadata, etag)
            if isinstance(written, Problem):
                return self._unwritten(written)
            etag = written or etag
        for act in plan.acts:
            for key in _keys(act):
                self._known.refused.pop(key, None)
        for act in plan.acts:
            problem = yield act if isinstance(act, Restart) else replace(act, etag=etag)
            if isinstance(problem, Problem):
                stopped = self._not_done(act, problem)
                if stopped is not None:
                    return stopped
        has_refused = any(key in self._known.refused for act in plan.acts for key in _keys(act))
        return replace(progress, soon=True) if has_refused else progress

    def _unwritten(self, problem: Problem) -> Progress:
        match problem.kind:
            case ProblemKind.CONFLICT:
                text = f"pool {self.pool_id} was changed by somebody else meanwhile"
                return Progress(Stage.WORKING, text, soon=True)
            case ProblemKind.PASSING | ProblemKind.MISSING | ProblemKind.LATE:
                return Progress(Stage.WORKING, problem.text, retry_after=problem.retry_after, unread=True)
            case _:
                text = f'the metadata item "{ITEM}" could not be written, so nothing was done: {problem.text}'
                return Progress(Stage.FAILED, text)

    def _not_done(self, act: Act, problem: Problem) -> Progress | None:
        """Note why something was not done; return how the look ends, unless it goes on."""
        match problem.kind:
            case ProblemKind.REFUSED:
                return Progress(Stage.FAILED, problem.text)
            case ProblemKind.PASSING | ProblemKind.LATE:
                return Progress(Stage.WORKING, problem.text, retry_after=problem.retry_after, unread=True)
            case ProblemKind.MISSING:
                return None  # the node is gone: the next look sees that
            case ProblemKind.CONFLICT if problem.code in _PASSING_CONFLICTS:
                return None
        if isinstance(act, Resize):
            return Progress(Stage.FAILED, problem.text)
        self._known.refused |= dict.fromkeys(_keys(act), problem.text)
        return None

    # --- telling -------------------------------------------------------------------------------------------

    def _told(self, stage: Stage, plan: Plan, journal: Journal) -> Progress:
        acts = tuple(_described(act) for act in plan.acts)
        reasons = plan.hopeless if stage is Stage.FAILED else [*acts, *plan.waiting, *plan.hopeless]
        text = "; ".join(reasons[:12]) + (f"; and {len(reasons) - 12} more" if len(reasons) > 12 else "")
        if journal.notes:
            text = "; ".join([*filter(None, [text]), *journal.notes])
        actions = tuple(
            {
                "node": self._known.node_ids.get(record.key, f"(gone) {record.key}"),
                "step": record.step,
                "for": record.failure,
                "result": record.state,
            }
            for record in journal.records
            if record.owner == self.owner
        )
        return Progress(stage, text, acts, actions, notes=tuple(journal.notes))

    def _unrestored(self, observed: WholePool, journal: Journal) -> str:
        wanted = journal.targets or observed.targets
        return (
            f"the targets of pool {self.pool_id} are {observed.targets[0]} dedicated and "
            f"{observed.targets[1]} low-priority nodes instead of {wanted[0]} and {wanted[1]}, as nodes were "
            "being replaced; the next repair of it puts them back"
        )


def _stage(plan: Plan, journal: Journal) -> Stage:
    if plan.acts or plan.waiting or journal.is_pending:
        return Stage.WORKING
    return Stage.FAILED if plan.hopeless else Stage.DONE


def _stopped(problem: Problem, what: str) -> Progress:
    text = f"{what} could not be read: {problem.text}"
    if problem.kind in (ProblemKind.REFUSED, ProblemKind.MISSING):
        return Progress(Stage.FAILED, text)
    return Progress(Stage.WORKING, text, retry_after=problem.retry_after, unread=True)


def _keys(act: Act) -> list[tuple[str, str]]:
    """Which step on which nodes it is."""
    match act:
        case Restart():
            return [(node_key(act.node_id), act.step)]
        case Remove():
            return [(node_key(node_id), "replace") for node_id in act.node_ids]
        case Resize():
            return []


def _described(act: Act) -> str:
    match act:
        case Restart():
            return f"{act.step} node {act.node_id}"
        case Remove():
            return f"replace {', '.join(act.node_ids)}"
        case Resize():
            return f"put the targets back to {act.dedicated} dedicated, {act.low_priority} low-priority nodes"
