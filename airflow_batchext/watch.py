"""When does the gate open, when must it fail, and what has to be read to know?

Pure: it decides, somebody else reads. ``Watch.look`` is a generator in the manner of httpx's auth flow:
it yields what it wants to know next, is sent the answer, and returns a verdict. The sensor and the
trigger drive the same generator with their own reader, so all modes follow the same rules, and a test
can play any history without a socket or a clock.

The rules, in the order in which they are applied:

=====================================================  =========
what is seen                                           verdict
=====================================================  =========
sign-in or permission refused                          fail
the pool does not exist, or is being deleted           fail
the pool was created anew under the same name          fail
its resize ended with errors, short of the target      fail
an expected extension failed on a node that stays      fail
anything could not be read (throttled, 5xx, 404/409    wait
on a node, an unreadable answer, …)
the pool is not ``active`` and ``steady``              wait
fewer nodes than the target, or the target unknown     wait
no nodes and a target of none, unless ``allow_empty``  wait
a node without a usable VM (preempted, rebooting,      wait
unusable, start task failed, …)
an expected extension is missing or not succeeded      wait
pool or nodes changed while they were read             wait
otherwise                                              open
=====================================================  =========
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from airflow_batchext.readiness import (
    CARRYING_STATES,
    VOID_STATES,
    Extension,
    Node,
    Phase,
    Pool,
    find_extension,
    one_line,
)


class Outcome(str, Enum):
    """What one look at the pool comes to."""

    OPEN = "open"
    WAIT = "wait"
    FAIL = "fail"


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
    """Why a read gave no answer, as far as the rules tell the cases apart."""

    REFUSED = "refused"
    MISSING = "missing"
    PASSING = "passing"


@dataclass(frozen=True, slots=True)
class Problem:
    """A read that gave no answer. ``retry_after`` is what the service asked for, in seconds."""

    kind: ProblemKind
    text: str
    retry_after: float | None = None


Read = ReadPool | ReadNodes | ReadExtensions
NodeAnswer = Sequence[Extension] | Problem
Answer = Pool | Sequence[Node] | Mapping[str, NodeAnswer] | Problem


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node as the verdict saw it: its state, and each expected extension's code ("" if not seen)."""

    state: str
    codes: Mapping[str, str]
    ready: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one look came to: the outcome, every reason for it in words, and what was seen."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    pool: Pool | None = None
    expected: tuple[str, ...] = ()
    nodes: Mapping[str, NodeReport] = field(default_factory=dict)
    retry_after: float | None = None

    @property
    def summary(self) -> str:
        """How far it is and what it waits for, in one line; the same as long as nothing changes."""
        ready = sum(node.ready for node in self.nodes.values())
        target = self.pool.target if self.pool else None
        wanted = "an unknown number of" if target is None else max(target, len(self.nodes))
        progress = f"{ready} of {wanted} nodes ready"
        return f"{progress}; {self.listed(3)}" if self.reasons else progress

    def listed(self, most: int = 20) -> str:
        """The reasons in one text: at most ``most`` of them, and how many more there are."""
        shown = "; ".join(self.reasons[:most])
        more = len(self.reasons) - most
        return f"{shown}; and {more} more" if more > 0 else shown

    def report(self) -> dict[str, object]:
        """What was seen, as plain JSON."""
        return {
            "pool_id": self.pool.id if self.pool else "",
            "pool_created": self.pool.created if self.pool else "",
            "outcome": self.outcome.value,
            "extensions": list(self.expected),
            "nodes": {
                node_id: {"state": node.state, "extensions": dict(node.codes)}
                for node_id, node in self.nodes.items()
            },
        }


class Watch:
    """The rules of the gate, and what it remembers between two looks at one pool.

    :param pool_id: the pool's id, for the texts.
    :param extension_names: extensions to wait for; None means those that the pool itself asks for.
    :param allow_empty: let a pool pass that has no nodes and wants none.
    :param pool_created: the pool's ``creationTime`` where it is known already; a pool with another one
        is not the pool on which this gate was set. Learnt at the first look if None.
    """

    def __init__(
        self,
        pool_id: str,
        *,
        extension_names: Sequence[str] | None = None,
        allow_empty: bool = False,
        pool_created: str | None = None,
    ) -> None:
        self.pool_id = pool_id
        self.extension_names = None if extension_names is None else tuple(extension_names)
        self.allow_empty = allow_empty
        self.pool_created = pool_created
        self._succeeded: dict[tuple[str, str, str], dict[str, str]] = {}

    def look(self) -> Generator[Read, Answer, Verdict]:
        """Read the pool, its nodes, and the extensions not yet known to have succeeded; then judge."""
        pool = yield from _read_pool()
        if isinstance(pool, Problem):
            return self._pool_unread(pool)
        hopeless = self._hopeless(pool)
        if hopeless:
            return Verdict(Outcome.FAIL, (hopeless,), pool)
        self.pool_created = self.pool_created or pool.created or None
        expected = pool.extension_names if self.extension_names is None else self.extension_names

        nodes = yield from _read_nodes()
        if isinstance(nodes, Problem):
            return _unread(nodes, "the node list", pool, expected)
        nodes = [node for node in nodes if not node.leaving]
        self._forget_all_but(nodes)

        unsure = tuple(n.id for n in nodes if n.boot not in self._succeeded and n.state not in VOID_STATES)
        answers = (yield from _read_extensions(unsure)) if unsure and expected else {}
        verdict = self._judge(pool, expected, nodes, answers)
        if verdict.outcome is not Outcome.OPEN:
            return verdict

        # The reads above are of different moments: they hold together only if nothing moved meanwhile.
        pool_again = yield from _read_pool()
        nodes_again = yield from _read_nodes()
        if (
            isinstance(pool_again, Pool)
            and pool_again.fingerprint == pool.fingerprint
            and not isinstance(nodes_again, Problem)
            and _moments(nodes_again) == _moments(nodes)
        ):
            return verdict
        reason = f"pool {self.pool_id} or its nodes changed while they were read"
        return Verdict(Outcome.WAIT, (reason,), pool, expected, verdict.nodes)

    def _pool_unread(self, problem: Problem) -> Verdict:
        if problem.kind is ProblemKind.MISSING:
            return Verdict(Outcome.FAIL, (f"pool {self.pool_id} does not exist (any more): {problem.text}",))
        return _unread(problem, f"pool {self.pool_id}", None, ())

    def _hopeless(self, pool: Pool) -> str:
        """Why this pool can never satisfy the gate, or ""."""
        if pool.state == "deleting":
            return f"pool {self.pool_id} is being deleted"
        if self.pool_created and pool.created and pool.created != self.pool_created:
            return (
                f"pool {self.pool_id} was deleted and created anew: the gate was set on the one of "
                f"{self.pool_created}, this one is of {pool.created}"
            )
        if pool.resize_failed:
            return (
                f"the resize of pool {self.pool_id} ended with {_or_unknown(pool.current)} of "
                f"{_or_unknown(pool.target)} nodes: {'; '.join(pool.resize_errors)}"
            )
        return ""

    def _forget_all_but(self, nodes: Sequence[Node]) -> None:
        """Keep only successes of boots that still run; a node without a VM loses its own."""
        kept = {node.boot for node in nodes if node.state not in VOID_STATES}
        self._succeeded = {boot: codes for boot, codes in self._succeeded.items() if boot in kept}

    def _judge(
        self,
        pool: Pool,
        expected: tuple[str, ...],
        nodes: Sequence[Node],
        answers: Mapping[str, NodeAnswer],
    ) -> Verdict:
        failed: list[str] = []
        missing = list(self._pool_misses(pool, len(nodes)))
        reports: dict[str, NodeReport] = {}
        retry_after: float | None = None
        for node in nodes:
            remembered = self._succeeded.get(node.boot)
            answer = answers.get(node.id, ())
            node_failed: list[str] = []
            node_misses: list[str] = []
            if node.state not in CARRYING_STATES:
                errors = f" ({'; '.join(node.errors)})" if node.errors else ""
                node_misses.append(f"node {node.id} is {node.state or 'in no known state'}{errors}")
            if remembered is not None:
                codes = remembered
            elif isinstance(answer, Problem):
                codes = dict.fromkeys(expected, "")
                text = f"extensions of node {node.id} could not be read: {answer.text}"
                (node_failed if answer.kind is ProblemKind.REFUSED else node_misses).append(text)
                retry_after = max(retry_after or 0.0, answer.retry_after or 0.0) or None
            else:
                codes = {}
                for name in expected:
                    extension = find_extension(answer, name)
                    codes[name] = extension.code if extension else ""
                    # What a node without a VM reports is about the past: its state says all there is.
                    if node.state not in VOID_STATES:
                        _sort_by_phase(node, name, extension, node_failed, node_misses)
            ready = not node_failed and not node_misses
            if ready:
                self._succeeded[node.boot] = codes
            reports[node.id] = NodeReport(node.state, codes, ready)
            failed += node_failed
            missing += node_misses
        outcome = Outcome.FAIL if failed else Outcome.WAIT if missing else Outcome.OPEN
        return Verdict(outcome, tuple(failed or missing), pool, expected, reports, retry_after)

    def _pool_misses(self, pool: Pool, count: int) -> Generator[str, None, None]:
        if pool.state != "active":
            yield f"pool {self.pool_id} is {pool.state or 'in no known state'}, not active"
        if pool.allocation_state != "steady":
            yield f"pool {self.pool_id} is {pool.allocation_state or 'in no known allocation state'}"
        if pool.target is None:
            yield f"pool {self.pool_id} does not say how many nodes it should have"
        elif count < pool.target:
            yield f"{pool.target - count} of {pool.target} nodes are not there yet"
        if count == 0 and pool.target == 0 and not self.allow_empty:
            yield f"pool {self.pool_id} has no nodes and its target is 0 (allow_empty=True lets it pass)"


def _sort_by_phase(
    node: Node, name: str, extension: Extension | None, failed: list[str], missing: list[str]
) -> None:
    where = f"node {node.id} ({node.state or 'no state'})"
    if extension is None:
        missing.append(f"{where} does not list extension {name} yet")
        return
    message = f": {one_line(extension.message)}" if extension.message else ""
    said = f"{where}: extension {name} reports {one_line(extension.code) or 'no status'}{message}"
    if extension.phase is Phase.FAILED:
        failed.append(said)
    elif extension.phase is Phase.PENDING:
        missing.append(said)


def _unread(problem: Problem, what: str, pool: Pool | None, expected: tuple[str, ...]) -> Verdict:
    outcome = Outcome.FAIL if problem.kind is ProblemKind.REFUSED else Outcome.WAIT
    reason = f"{what} could not be read: {problem.text}"
    return Verdict(outcome, (reason,), pool, expected, retry_after=problem.retry_after)


def _moments(nodes: Sequence[Node]) -> frozenset[tuple[object, ...]]:
    """What must be equal in two node lists for them to be about the same nodes, up and on the same boot."""
    return frozenset((*n.boot, n.state in CARRYING_STATES) for n in nodes if not n.leaving)


def _or_unknown(count: int | None) -> str:
    return "an unknown number" if count is None else str(count)


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
