"""What has to be read next, so that the rules of the gate (``verdict``) can be applied, and no more.

Pure: it decides, somebody else reads. ``Watch.look`` is a generator in the manner of httpx's auth flow:
it yields what it wants to know next, is sent the answer, and returns a verdict. The sensor and the
trigger drive the same generator with their own reader, so all modes follow the same rules, and a test
can play any history without a socket or a clock.

A gate cannot open while one node is known to be pending. So, like a SAT solver that watches two literals
of a clause, most looks are a glance at what kept the gate closed the last time: the pool while it is being
resized, or a few pending nodes. Only if that does not hold any more, and at every fourth look anyhow, pool
and node list are read too, and extensions until one is pending. In a large pool each node's extensions are
thus read about once. That a node fails which is not being watched is noticed all the same: the nodes take
turns, so that each pending one has been read within ``notice_seconds``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from airflow_batchext.batch.data_plane import (
    CARRYING_STATES,
    VOID_STATES,
    Extension,
    Node,
    Phase,
    Pool,
)
from airflow_batchext.rules.gate import (
    NodeReport,
    Outcome,
    Rules,
    Verdict,
    extensions_phase,
    hopeless,
    judge,
    node_report,
    unread_report,
)

#: A failure on any node is noticed within this time (or at the next look, if that comes later).
DEFAULT_NOTICE_SECONDS = 300.0

# Between two whole looks: news of the pool and of its nodes' states are at most so late.
_MOST_GLANCES = 3
_LONGEST_GLANCING = 120.0
_WITNESSES = 2
_FIRST_BATCH = 16
_STILL_AFTER = 20
# When all was well but something moved meanwhile, so many looks follow one another as quickly as this.
_MOST_HURRIED = 3
_HURRIED_PAUSE = 5.0
_LONGEST_PAUSE = 300


@dataclass(frozen=True, slots=True)
class ReadPool:
    """Asks for the pool; answered by a ``Pool`` or a ``Problem``."""


@dataclass(frozen=True, slots=True)
class ReadNodes:
    """Asks for the pool's whole node list; answered by a sequence of ``Node`` or a ``Problem``."""


@dataclass(frozen=True, slots=True)
class ReadExtensions:
    """Asks for the extensions of these nodes; answered by a mapping from node id to what was found.

    Each value is a sequence of ``Extension`` or a ``Problem``.
    """

    node_ids: tuple[str, ...]


class ProblemKind(str, Enum):
    """Why something was not read or done, as far as the gate or a repair tells the cases apart."""

    REFUSED = "refused"
    """Sign-in or permission."""
    MISSING = "missing"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    PASSING = "passing"
    """What was to be done may have been done all the same."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was not read or not done. ``retry_after`` is what the service asked for, in seconds."""

    kind: ProblemKind
    text: str
    retry_after: float | None = None
    code: str = ""


Read = ReadPool | ReadNodes | ReadExtensions
NodeAnswer = Sequence[Extension] | Problem
Answer = Pool | Sequence[Node] | Mapping[str, NodeAnswer] | Problem


@dataclass(slots=True)
class _Seen:
    """What is known of one node: since when it is in its state, and what its extensions said on this boot."""

    boot: tuple[str, str, str]
    state: str
    state_from: float
    read_at: float
    answer: NodeAnswer | None = None
    phase: Phase = Phase.PENDING


class Watch:
    """What is remembered between two looks at one pool.

    :param pool_id: the pool's id.
    :param rules: what the gate asks for.
    :param pool_created: the pool's ``creationTime`` where it is known already; a pool with another one
        is not the pool on which this gate was set. Learnt at the first look if None.
    :param notice_seconds: within which time a failure on any node is noticed; 0 reads every node that is
        not ready at every look, as one has to who will not remember anything at the next.
    """

    def __init__(
        self,
        pool_id: str,
        rules: Rules | None = None,
        *,
        pool_created: str | None = None,
        notice_seconds: float = DEFAULT_NOTICE_SECONDS,
    ) -> None:
        self.pool_id = pool_id
        self.rules = rules or Rules()
        self.pool_created = pool_created
        self.notice_seconds = notice_seconds
        self._seen: dict[str, _Seen] = {}
        self._waiting: Verdict | None = None
        self._glances = 0
        self._last_whole = 0.0
        self._last_share: float | None = None
        self._last_summary = ""
        self._unread_looks = 0
        self._still_looks = 0
        self._moved_looks = 0

    def look(self, clock: Callable[[], float], *, whole: bool = False) -> Generator[Read, Answer, Verdict]:
        """Read as much as the verdict needs.

        :param clock: tells the service's time, in seconds since the epoch.
        :param whole: read pool and node list too, whatever the last look has shown, and in a small pool the
            extensions of every pending node: what is missing can be told in full then.
        """
        if self._waiting and not whole and self._may_glance(clock()):
            self._glances += 1
            held = yield from self._glance(self._waiting, clock())
            if held:
                return held
        verdict = yield from self._whole_look(clock, whole=whole)
        waits = verdict.outcome is Outcome.WAIT and not verdict.unread
        self._waiting = verdict if waits else None
        return verdict

    def _may_glance(self, now: float) -> bool:
        lately = now - self._last_whole < min(_LONGEST_GLANCING, self.notice_seconds)
        return lately and self._glances < _MOST_GLANCES

    def _glance(self, last: Verdict, now: float) -> Generator[Read, Answer, Verdict | None]:
        """Look whether what kept the gate closed still does.

        :return: the last verdict if so; None if it takes a whole look to know.
        """
        if last.pool and last.pool.allocation_state != "steady":
            pool = yield from _read_pool()
            if isinstance(pool, Problem):
                return _held_by(pool, last)
            return last if replace(pool, id=last.pool.id) == last.pool else None
        expected = self.rules.expected(last.pool) if last.pool else ()
        due = self._share(self._pending(self._seen), now, matters=True)
        if not due:
            return None
        fresh: set[str] = set()
        yield from self._read(due, expected, now, fresh)
        answers = [self._seen[node_id].answer for node_id in due]
        problem = next((answer for answer in answers if isinstance(answer, Problem)), None)
        if problem:
            return _held_by(problem, last)
        phases = {self._seen[node_id].phase for node_id in due}
        return last if Phase.PENDING in phases and Phase.FAILED not in phases else None

    def _whole_look(self, clock: Callable[[], float], *, whole: bool) -> Generator[Read, Answer, Verdict]:
        pool = yield from _read_pool()
        now = clock()
        self._glances, self._last_whole = 0, now
        if isinstance(pool, Problem):
            return pool_unread(pool, self.pool_id)
        pool = replace(pool, id=pool.id or self.pool_id)
        reason = hopeless(pool, self.rules, now, self.pool_created)
        if reason:
            return Verdict(Outcome.FAIL, (reason,), pool)
        self.pool_created = self.pool_created or pool.created or None
        expected = self.rules.expected(pool)

        listed = yield from _read_nodes()
        if isinstance(listed, Problem):
            return nodes_unread(listed, pool)
        nodes = [node for node in listed if not node.leaving]
        self._settle(nodes, now)
        fresh: set[str] = set()
        # Also where nobody asks for extensions: Batch's own says whether its agent is there.
        if whole and len(nodes) <= _FIRST_BATCH:
            yield from self._read(self._pending([node.id for node in nodes]), expected, now, fresh)
        else:
            yield from self._read_what_matters(pool, nodes, expected, now, fresh)
        verdict = self._judge(pool, nodes, expected, now)
        if verdict.outcome is Outcome.OPEN and pool.upgrades_itself.intersection(map(str.lower, expected)):
            # What has upgraded itself since may be unready again, though node and boot are the same.
            again = [node.id for node in nodes if node.id not in fresh and node.state not in VOID_STATES]
            yield from self._read(again, expected, now, fresh)
            verdict = self._judge(pool, nodes, expected, now)
        if verdict.outcome is not Outcome.OPEN:
            return verdict

        # The reads above are of different moments: they hold together only if nothing moved meanwhile.
        pool_again = yield from _read_pool()
        if isinstance(pool_again, Problem):
            return pool_unread(pool_again, self.pool_id)
        nodes_again = yield from _read_nodes()
        if isinstance(nodes_again, Problem):
            return nodes_unread(nodes_again, pool)
        if pool_again.fingerprint == pool.fingerprint and self._moments(nodes_again) == self._moments(nodes):
            return verdict
        moved = f"pool {self.pool_id} or its nodes changed while they were read"
        return replace(verdict, outcome=Outcome.WAIT, reasons=(moved,), moved=True)

    def pause(self, interval: float, verdict: Verdict) -> float:
        """How long to wait for the next look, in seconds; never less than the service asks for.

        Shorter when the end is near, as all was well but for something that moved meanwhile; longer while
        nothing can be read, and while nothing moves and the end is far.

        :param interval: what the user asked for.
        :param verdict: what the last look came to.
        """
        self._unread_looks = self._unread_looks + 1 if verdict.unread else 0
        self._still_looks = self._still_looks + 1 if verdict.summary == self._last_summary else 0
        self._moved_looks = self._moved_looks + 1 if verdict.moved else 0
        self._last_summary = verdict.summary
        if 0 < self._moved_looks <= _MOST_HURRIED:
            return max(min(interval, _HURRIED_PAUSE), verdict.retry_after or 0.0)
        factor = 1
        if self._unread_looks > 1:
            factor = min(2 ** (self._unread_looks - 1), _LONGEST_PAUSE)
        elif self._still_looks >= _STILL_AFTER and verdict.far_from_ready:
            factor = 2
        return max(interval, min(interval * factor, _LONGEST_PAUSE), verdict.retry_after or 0.0)

    def _settle(self, nodes: Sequence[Node], now: float) -> None:
        """Keep what is known only of nodes that are still there, on the boot it is of."""
        kept: dict[str, _Seen] = {}
        for node in nodes:
            seen = self._seen.get(node.id)
            if seen is None or seen.boot != node.boot:
                seen = _Seen(node.boot, node.state, now, now)
            elif seen.state != node.state:
                if seen.state not in CARRYING_STATES:  # what it said then may be older than its trouble
                    seen.answer, seen.phase = None, Phase.PENDING
                seen.state, seen.state_from = node.state, now
            kept[node.id] = seen
        self._seen = kept

    def _read_what_matters(
        self, pool: Pool, nodes: Sequence[Node], expected: Sequence[str], now: float, fresh: set[str]
    ) -> Generator[Read, Answer, None]:
        """Read extensions until it is plain that the gate cannot open, or that it can."""
        pending = self._pending([node.id for node in nodes])
        matters = self._judge(pool, nodes, None, now).outcome is Outcome.OPEN
        yield from self._read(self._share(pending, now, matters=matters), expected, now, fresh)
        if not matters:
            return
        # Those that kept it closed last time are asked first.
        known = [i for i in pending if i not in fresh and self._seen[i].answer is not None]
        batches = [known[:_WITNESSES]]
        rest = [i for i in pending if i not in fresh and i not in known[:_WITNESSES]]
        size = _FIRST_BATCH
        while rest:
            batches.append(rest[:size])
            rest, size = rest[size:], size * 2
        for batch in batches:
            if self._blocked(fresh):
                return
            yield from self._read(batch, expected, now, fresh)

    def _pending(self, node_ids: Iterable[str]) -> list[str]:
        """Those of the nodes whose extensions are worth a read: on a machine, and not known to be ready."""
        return [
            node_id
            for node_id in node_ids
            if node_id
            and self._seen[node_id].state not in VOID_STATES
            and self._seen[node_id].phase is not Phase.SUCCEEDED
        ]

    def _share(self, pending: Sequence[str], now: float, *, matters: bool) -> list[str]:
        """The nodes whose turn it is: those that were not read for longest.

        :param matters: whether the gate is closed because of them alone.
        """
        if self.notice_seconds <= 0 or not pending:
            return list(pending)
        oldest_first = sorted(pending, key=lambda node_id: self._seen[node_id].read_at)
        last, self._last_share = self._last_share, now
        if last is None:
            # What has failed before the gate was set is told at once, where that costs little.
            return oldest_first[:_FIRST_BATCH] if matters or len(pending) <= _FIRST_BATCH else []
        passed = max(0.0, now - last)
        turn = math.ceil(len(pending) * passed / self.notice_seconds)
        due = [i for i in oldest_first if now + passed - self._seen[i].read_at > self.notice_seconds]
        return oldest_first[: max(turn, len(due))]

    def _blocked(self, fresh: set[str]) -> bool:
        """Whether one of the nodes just read keeps the gate closed."""
        failed = sum(self._seen[node_id].phase is Phase.FAILED for node_id in fresh)
        pending = any(self._seen[node_id].phase is Phase.PENDING for node_id in fresh)
        return pending or failed > self.rules.max_failed_nodes

    def _read(
        self, node_ids: Sequence[str], expected: Sequence[str], now: float, fresh: set[str]
    ) -> Generator[Read, Answer, None]:
        if not node_ids:
            return
        answers = yield from _read_extensions(tuple(node_ids))
        for node_id in node_ids:
            seen = self._seen[node_id]
            seen.answer = answers.get(node_id, ())
            seen.phase, seen.read_at = _phase(seen.answer, expected, seen.state), now
        fresh.update(node_ids)

    def _judge(
        self, pool: Pool, nodes: Sequence[Node], expected: Sequence[str] | None, now: float
    ) -> Verdict:
        """What it comes to; with None expected, but for what the extensions say."""
        reports: dict[str, NodeReport] = {}
        refused: list[str] = []
        retry_after = 0.0
        for node in nodes:
            seen = self._seen[node.id]
            if expected is None:
                reports[node.id] = node_report(node, self.rules, (), (), now, seen.state_from)
            elif not isinstance(seen.answer, Sequence):
                problem = seen.answer if isinstance(seen.answer, Problem) else None
                why = problem.text if problem else ""
                reports[node.id] = unread_report(node, self.rules, expected, now, seen.state_from, why)
                if problem is not None:
                    retry_after = max(retry_after, problem.retry_after or 0.0)
                    if problem.kind is ProblemKind.REFUSED:
                        refused.append(problem.text)
            else:
                reports[node.id] = node_report(node, self.rules, expected, seen.answer, now, seen.state_from)
        return judge(pool, self.rules, reports, refused=refused[:1], retry_after=retry_after or None)

    def _moments(self, nodes: Sequence[Node]) -> frozenset[tuple[object, ...]]:
        """What must be equal in two node lists for them to be about the same nodes, on the same boot."""
        return frozenset((*n.boot, self.rules.allows(n.state)) for n in nodes if not n.leaving)


def _phase(answer: NodeAnswer, expected: Sequence[str], state: str) -> Phase:
    if isinstance(answer, Problem):
        return Phase.PENDING
    return extensions_phase(state, expected, answer)


def pool_unread(problem: Problem, pool_id: str) -> Verdict:
    """The verdict where the pool could not be read."""
    if problem.kind is ProblemKind.MISSING:
        return Verdict(Outcome.FAIL, (f"pool {pool_id} does not exist (any more): {problem.text}",))
    return _unread(problem, f"pool {pool_id}", None)


def nodes_unread(problem: Problem, pool: Pool) -> Verdict:
    """The verdict where the pool's node list could not be read."""
    return _unread(problem, "the node list", pool)


def _unread(problem: Problem, what: str, pool: Pool | None) -> Verdict:
    outcome = Outcome.FAIL if problem.kind is ProblemKind.REFUSED else Outcome.WAIT
    reason = f"{what} could not be read: {problem.text}"
    return Verdict(outcome, (reason,), pool, retry_after=problem.retry_after, unread=True)


def _held_by(problem: Problem, last: Verdict) -> Verdict | None:
    """What a glance without an answer comes to: it waits if that may pass, else a whole look has to tell."""
    if problem.kind in (ProblemKind.REFUSED, ProblemKind.MISSING):
        return None
    return replace(last, retry_after=problem.retry_after, unread=True)


def _read_pool() -> Generator[Read, Answer, Pool | Problem]:
    answer = yield ReadPool()
    if isinstance(answer, (Pool, Problem)):
        return answer
    raise TypeError(f"ReadPool was answered with {type(answer).__name__}")


def _read_nodes() -> Generator[Read, Answer, Sequence[Node] | Problem]:
    answer = yield ReadNodes()
    if isinstance(answer, Problem):
        return answer
    if isinstance(answer, Sequence):
        return answer
    raise TypeError(f"ReadNodes was answered with {type(answer).__name__}")


def _read_extensions(node_ids: tuple[str, ...]) -> Generator[Read, Answer, Mapping[str, NodeAnswer]]:
    answer = yield ReadExtensions(node_ids)
    if isinstance(answer, Mapping):
        return answer
    raise TypeError(f"ReadExtensions was answered with {type(answer).__name__}")
