"""What has to be read next, so that the rules of the gate (``gate``) can be applied, and no more.

Pure: it decides, somebody else reads. ``Watch.look`` is a generator in the manner of httpx's auth flow:
it yields what it wants to know next, is sent the answer, and returns a verdict. The sensor and the
trigger drive the same generator with their own reader, so all modes follow the same rules, and a test
can play any history without a socket or a clock.

A gate cannot open while one node is known to be pending. So, like a SAT solver that watches two literals
of a clause, most looks are a glance at what kept the gate closed the last time: the pool while it is being
resized, or a few pending nodes. Only if that does not hold any more, and at every fourth look anyhow, pool
and node list are read too, and extensions until one is pending. In a large pool each node's extensions are
thus read about once, and once more before the gate opens if that was long ago. That a node fails which is not
being watched is noticed all the same: the nodes take turns, so that each pending one has been read within
``notice_seconds``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace

from airflow_batchext.batch.data_plane import VOID_STATES, Node, Phase, Pool, epoch_seconds
from airflow_batchext.rules.gate import NodeReport, Outcome, Rules, Verdict, hopeless, judge, pool_misses
from airflow_batchext.rules.memory import Memory, Seen
from airflow_batchext.rules.pace import Pace
from airflow_batchext.rules.reads import (
    Answer,
    Problem,
    ProblemKind,
    Read,
    ReadExtensions,
    ReadNodes,
    ReadPool,
)
from airflow_batchext.rules.unread import held_by, nodes_unread, pool_unread

#: A failure on any node is noticed within this time (or at the next look, if that comes later).
DEFAULT_NOTICE_SECONDS = 300.0

# Between two whole looks: news of the pool and of its nodes' states are at most so late.
_MOST_GLANCES = 3
_LONGEST_GLANCING = 120.0
_WITNESSES = 2
_FIRST_BATCH = 16
# What has to be read once more is read a little before it is too old, so that the last reads find it young.
_RENEWAL_SECONDS = 30.0
# A node that joins boots within a minute, and then all is to be read again: of many such nodes none is read.
_BOOT_SECONDS = 60.0
_MANY_BOOTING = 500


class Watch:
    """What is remembered between two looks at one pool.

    :param pool_id: the pool's id.
    :param rules: what the gate asks for.
    :param pool_created: the pool's ``creationTime`` where it is known already; a pool with another one
        is not the pool on which this gate was set. Learnt at the first look if None.
    :param follows: go on with the next pool of the name, as one that it never saw: those who share the watch
        know themselves which pool is theirs (``sharing.OwnPool``).
    :param notice_seconds: within which time a failure on any node is noticed; 0 reads every node that is
        not ready at every look, as one has to who will not remember anything at the next.
    """

    def __init__(
        self,
        pool_id: str,
        rules: Rules | None = None,
        *,
        pool_created: str | None = None,
        follows: bool = False,
        notice_seconds: float = DEFAULT_NOTICE_SECONDS,
    ) -> None:
        self.pool_id = pool_id
        self.rules = rules or Rules()
        self.pool_created = pool_created
        self.notice_seconds = notice_seconds
        self._follows = follows
        self._memory = Memory(self.rules)
        self._waiting: Verdict | None = None
        self._glances = 0
        self._last_whole = 0.0
        self._last_share: float | None = None
        self._pace = Pace()
        # Of the look that is being made.
        self._clock: Callable[[], float] = lambda: 0.0
        self._latest = float("-inf")
        self._fresh: set[str] = set()
        self._retry_after = 0.0
        self._is_cut = False
        self._spared = False

    def look(self, clock: Callable[[], float], *, whole: bool = False) -> Generator[Read, Answer, Verdict]:
        """Read as much as the verdict needs.

        :param clock: tells the service's time, in seconds since the epoch.
        :param whole: read pool and node list too, whatever the last look has shown, and in a small pool the
            extensions of every pending node: what is missing can be told in full then.
        """
        self._clock, self._latest, self._fresh, self._retry_after = clock, float("-inf"), set(), 0.0
        # Perhaps by our own clock, as long as no answer has told the service's: no later time rests on it.
        began = clock()
        self._is_cut = self._spared = False
        verdict = None
        if self._waiting and not whole and self._may_glance(began):
            self._glances += 1
            verdict = yield from self._glance(self._waiting)
        if verdict is None:
            verdict = yield from self._whole_look(whole=whole)
            waits = verdict.outcome is Outcome.WAIT and not verdict.unread and not self._spared
            self._waiting = verdict if waits else None
        return replace(verdict, began=began, ended=self._now(), cut=self._is_cut)

    def _now(self) -> float:
        """The service's time, which does not go back within a look: answers tell it in whole seconds."""
        self._latest = max(self._latest, self._clock())
        return self._latest

    # --- a glance ------------------------------------------------------------------------------------------

    def _may_glance(self, now: float) -> bool:
        lately = now - self._last_whole < min(_LONGEST_GLANCING, self.notice_seconds)
        return lately and self._glances < _MOST_GLANCES

    def _glance(self, last: Verdict) -> Generator[Read, Answer, Verdict | None]:
        """Look whether what kept the gate closed still does.

        :return: the last verdict if so; None if it takes a whole look to know.
        """
        if last.pool and last.pool.allocation_state != "steady":
            pool = yield from self._read_pool()
            if isinstance(pool, Problem):
                return held_by(pool, last)
            return last if replace(pool, id=last.pool.id) == last.pool else None
        expected = self.rules.expected(last.pool) if last.pool else ()
        pending = self._pending(self._memory)
        due = self._share(pending, matters=True)
        if not due:
            return None
        known = [i for i in self._witnesses(pending, last.nodes) if i not in due]
        for batch in (due, known[:_WITNESSES]):
            yield from self._read(batch, expected)
            seen = [self._memory[node_id] for node_id in batch]
            problem = next((node.problem for node in seen if node.problem), None)
            if problem:
                return held_by(problem, last)
            if any(node.phase is Phase.FAILED for node in seen):
                return None
            if any(self._memory[i].phase is Phase.PENDING for i in self._witnesses(batch, last.nodes)):
                return last
        return None

    def _witnesses(self, node_ids: Iterable[str], reports: Mapping[str, NodeReport]) -> list[str]:
        """Those of the nodes that keep the gate closed as long as they are pending: no failed ones do."""
        return [
            i
            for i in node_ids
            if (self._memory[i].answer is not None or self._memory[i].problem)
            and not ((report := reports.get(i)) and report.failed)
        ]

    # --- a whole look --------------------------------------------------------------------------------------

    def _whole_look(self, *, whole: bool) -> Generator[Read, Answer, Verdict]:
        pool = yield from self._read_pool()
        now = self._now()
        self._glances, self._last_whole = 0, now
        if isinstance(pool, Problem):
            return self._without_pool(pool)
        pool = replace(pool, id=pool.id or self.pool_id)
        if self._follows and self.pool_created not in (None, pool.created):
            self._forget()
        reason = hopeless(pool, self.rules, now, self.pool_created)
        if reason:
            return Verdict(Outcome.FAIL, (reason,), pool)
        self.pool_created = self.pool_created or pool.created or None
        expected = self.rules.expected(pool)

        listed = yield from self._read_nodes()
        if isinstance(listed, Problem):
            return nodes_unread(listed, pool)
        nodes = [node for node in listed if not node.leaving]
        self._memory.settle(nodes, now)
        # Also where nobody asks for extensions: Batch's own says whether its agent is there.
        if whole and len(nodes) <= _FIRST_BATCH:
            yield from self._read(self._pending([node.id for node in nodes]), expected)
        else:
            yield from self._read_what_matters(pool, nodes, expected, whole=whole)
        verdict = self._judge(pool, nodes, expected)
        is_sure = False
        while verdict.outcome is Outcome.OPEN or (verdict.outcome is Outcome.FAIL and not is_sure):
            if verdict.outcome is Outcome.FAIL:
                # What failed at an earlier look may have been repaired since, or its machine be gone by now.
                failed = [i for i in self._pending(verdict.nodes) if verdict.nodes[i].failed]
                yield from self._read([i for i in failed if i not in self._fresh], expected)
                listed = yield from self._read_nodes()
                if isinstance(listed, Problem):
                    return nodes_unread(listed, pool)
                nodes, is_sure = [node for node in listed if not node.leaving], True
                self._memory.settle(nodes, self._now())
                verdict = self._judge(pool, nodes, expected)
                continue
            soon = min(_RENEWAL_SECONDS, self.rules.max_age / 10)
            again = self._to_renew(pool, nodes, expected, within=soon)
            if again:
                yield from self._read(again, expected)
                verdict, is_sure = self._judge(pool, nodes, expected), False
                continue
            # The reads above are of different moments: they hold together only if nothing moved meanwhile.
            nodes_again = yield from self._read_nodes()
            if isinstance(nodes_again, Problem):
                return nodes_unread(nodes_again, pool)
            pool_again = yield from self._read_pool()
            if isinstance(pool_again, Problem):
                return self._without_pool(pool_again)
            has_moved = pool_again.fingerprint != pool.fingerprint
            if has_moved or self._moments(nodes_again) != self._moments(nodes):
                moved = f"pool {self.pool_id} or its nodes changed while they were read"
                return replace(verdict, outcome=Outcome.WAIT, reasons=(moved,), moved=True)
            if not self._to_renew(pool, nodes, expected, within=0.0):
                return verdict
        return verdict

    def _without_pool(self, problem: Problem) -> Verdict:
        if problem.kind is ProblemKind.MISSING and self._follows:
            self._forget()
        return pool_unread(problem, self.pool_id)

    def _forget(self) -> None:
        self._memory.clear()
        self.pool_created, self._waiting, self._last_share = None, None, None

    def _to_renew(
        self, pool: Pool, nodes: Sequence[Node], expected: Sequence[str], *, within: float
    ) -> list[str]:
        """The nodes that have to be read once more in this look before the gate opens.

        They were read too long ago (or will have been, so many seconds from now), or have an extension that
        may have upgraded itself since.
        """
        now = self._now() + within
        return [
            node.id
            for node in nodes
            if node.id not in self._fresh
            and not node.is_void
            and (
                self._memory[node.id].is_older(self.rules.max_age, now)
                or self._memory.upgrades_itself(node.id, pool.upgrades_itself, expected)
            )
        ]

    def seen(self) -> Mapping[str, Seen]:
        """What is remembered of the nodes, by their ids."""
        return self._memory.seen

    def pause(self, interval: float, verdict: Verdict) -> float:
        """How long to wait for the next look, in seconds; see ``Pace``."""
        return self._pace.pause(interval, verdict)

    # --- what is read of the extensions --------------------------------------------------------------------

    def _read_what_matters(
        self, pool: Pool, nodes: Sequence[Node], expected: Sequence[str], *, whole: bool
    ) -> Generator[Read, Answer, None]:
        """Read extensions until it is plain that the gate cannot open, or that it can."""
        pending = self._pending([node.id for node in nodes])
        if not whole:
            booting = [i for i in pending if self._boots(i)]
            if len(booting) > _MANY_BOOTING:
                pending = [i for i in pending if not self._boots(i)]
                self._spared = True
        matters = self._judge(pool, nodes, None).outcome is Outcome.OPEN  # but for the extensions
        is_there = not any(pool_misses(pool, self.rules, *self._kinds(nodes)))
        yield from self._read(self._share(pending, matters=matters or is_there), expected)
        if not matters:
            return
        # Those that kept it closed last time are asked first; those that failed by themselves do not.
        reports = {node.id: self._memory.report(node, None, self._now()) for node in nodes}
        known = [i for i in self._witnesses(pending, reports) if i not in self._fresh]
        batches = [known[:_WITNESSES]]
        rest = [i for i in pending if i not in self._fresh and i not in known[:_WITNESSES]]
        size = _FIRST_BATCH
        while rest:
            batches.append(rest[:size])
            rest, size = rest[size:], size * 2
        for batch in batches:
            if self._is_blocked(pool, nodes, expected):
                return
            yield from self._read(batch, expected)

    def _kinds(self, nodes: Sequence[Node]) -> tuple[int, int]:
        dedicated = sum(node.is_dedicated for node in nodes)
        return dedicated, len(nodes) - dedicated

    def _boots(self, node_id: str) -> bool:
        """Whether the node has just begun to join: what it says now counts for nothing once it has booted."""
        seen = self._memory[node_id]
        if seen.node.state not in ("creating", "starting"):
            return False
        since = epoch_seconds(seen.node.state_since) or seen.state_from
        return self._now() - since < _BOOT_SECONDS

    def _pending(self, node_ids: Iterable[str]) -> list[str]:
        """Those of the nodes whose extensions are worth a read: on a machine, and not known to be ready."""
        now = self._now()
        return [
            node_id
            for node_id in node_ids
            if node_id
            and self._memory[node_id].node.state not in VOID_STATES
            and not self._memory.is_known(node_id, now)
        ]

    def _share(self, pending: Sequence[str], *, matters: bool) -> list[str]:
        """The nodes whose turn it is: those that were not read for longest.

        :param matters: whether the gate is closed because of them alone.
        """
        if self.notice_seconds <= 0 or not pending:
            return list(pending)
        now = self._now()
        oldest_first = sorted(pending, key=lambda node_id: self._memory[node_id].tried_at)
        last, self._last_share = self._last_share, now
        if last is None:
            # What has failed before the gate was set is told at once, where that costs little.
            return oldest_first[:_FIRST_BATCH] if matters or len(pending) <= _FIRST_BATCH else []
        passed = max(0.0, now - last)
        turn = math.ceil(len(pending) * passed / self.notice_seconds)
        due = [i for i in oldest_first if now + passed - self._memory[i].tried_at > self.notice_seconds]
        return oldest_first[: max(turn, len(due))]

    def _is_blocked(self, pool: Pool, nodes: Sequence[Node], expected: Sequence[str]) -> bool:
        """Whether one of the nodes just read keeps the gate closed."""
        now, failed = self._now(), 0
        for node in nodes:
            if node.id in self._fresh:
                report = self._memory.report(node, expected, now)
                failed += bool(report.failed)
                if report.missing and not report.failed:
                    return True
        return failed > self.rules.tolerance(pool, len(nodes))

    def _judge(self, pool: Pool, nodes: Sequence[Node], expected: Sequence[str] | None) -> Verdict:
        """What it comes to; with None expected, but for what the extensions say."""
        now = self._now()
        reports = {node.id: self._memory.report(node, expected, now) for node in nodes}
        problems = [] if expected is None else [self._memory[node.id].problem for node in nodes]
        refused = [problem.text for problem in problems if problem and problem.kind is ProblemKind.REFUSED]
        return judge(pool, self.rules, reports, refused=refused[:1], retry_after=self._retry_after or None)

    def _moments(self, nodes: Sequence[Node]) -> frozenset[tuple[object, ...]]:
        """What must be equal in two node lists for them to be about the same nodes, on the same boot."""
        return frozenset((*n.boot, self.rules.allows(n.state)) for n in nodes if not n.leaving)

    # --- reading -------------------------------------------------------------------------------------------

    def _read(self, node_ids: Sequence[str], expected: Sequence[str]) -> Generator[Read, Answer, None]:
        if not node_ids:
            return
        began = self._now()
        answers = yield ReadExtensions(tuple(node_ids))
        if isinstance(answers, Problem):
            answers = dict.fromkeys(node_ids, answers)
        if not isinstance(answers, Mapping):
            raise TypeError(f"ReadExtensions was answered with {type(answers).__name__}")
        for answer in answers.values():
            self._note(answer)
        self._memory.note(answers, node_ids, expected, began)
        self._fresh.update(node_ids)

    def _read_pool(self) -> Generator[Read, Answer, Pool | Problem]:
        answer = yield ReadPool()
        self._note(answer)
        if isinstance(answer, (Pool, Problem)):
            return answer
        raise TypeError(f"ReadPool was answered with {type(answer).__name__}")

    def _read_nodes(self) -> Generator[Read, Answer, Sequence[Node] | Problem]:
        answer = yield ReadNodes()
        self._note(answer)
        if isinstance(answer, (Problem, Sequence)):
            return answer
        raise TypeError(f"ReadNodes was answered with {type(answer).__name__}")

    def _note(self, answer: object) -> None:
        """Note of an answer what it says of the service, and of the deadline."""
        if isinstance(answer, Problem):
            self._retry_after = max(self._retry_after, answer.retry_after or 0.0)
            self._is_cut = self._is_cut or answer.kind is ProblemKind.LATE
