"""The rules of the gate: given what was read, does it open, wait or fail, and why?

Pure: no I/O, no clock of its own, no Airflow. ``watch`` decides what to read and asks here what it means.

=====================================================  ==============================================
what is seen                                           verdict
=====================================================  ==============================================
sign-in or permission refused                          fail
the pool does not exist, or is being deleted           fail
the pool was created anew under the same name          fail
its resize ended short of the nodes that are needed    fail: a fatal code at once, another after
                                                       ``resize_grace``; wait: an autoscale pool
an expected extension failed on a node that stays      fail (*); wait: one that has just booted again
a node unusable, its start task failed, or a sign      fail (*)
that it will never run a task (below), for longer
than ``node_grace``
something could not be read                            wait
the pool is not ``active``, or not ``steady``          wait
fewer nodes than ``min_nodes``, or than the target     wait
(of each kind)
no node that is ready, or fewer than ``min_nodes``     wait; fail, if the failed ones are why
a pool's own formula was not evaluated                 wait, unless ``min_nodes``
a repair has taken nodes away to replace them          wait, unless ``min_nodes``
no nodes and none wanted, unless ``allow_empty``       wait
a node in a state other than ``node_states``           wait
a node that joins tells of another error, or Batch's   wait
own extension has not succeeded on it yet
an expected extension missing, not succeeded, unread,  wait
or read longer ago than ``max_age``
pool or nodes changed while they were read             wait
otherwise                                              open
=====================================================  ==============================================

(*) With ``on_failure="wait"`` these, and a failed resize, are waited for until the deadline. Up to
``max_failed_nodes`` nodes may fail so without closing the gate or holding it up, as long as enough are left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, Literal

from airflow_batchext.batch.data_plane import (
    CARRYING_STATES,
    MACHINE_STATES,
    Pool,
    epoch_seconds,
)
from airflow_batchext.batch.node_names import shortened
from airflow_batchext.defaults import DEFAULT_MAX_AGE_SECONDS, DEFAULT_NODE_GRACE_SECONDS


@dataclass(frozen=True, slots=True)
class Rules:
    """What a gate asks for.

    :param extension_names: extensions to wait for; None means those that the pool itself asks for.
    :param allow_empty: let a pool pass that has no nodes and wants none.
    :param min_nodes: how many ready nodes are enough; None means the pool's target as it is now.
    :param node_states: states in which a node may be when the gate opens, of those in which it has a machine;
        None means all in which that is usable (``data_plane.CARRYING_STATES``).
    :param on_failure: "fail" at once, or "wait": somebody may fix it before the deadline.
    :param max_failed_nodes: how many nodes may fail without closing the gate.
    :param node_grace: seconds for which a node may be unusable, have a failed start task, or be without
        Batch's agent.
    :param resize_grace: seconds for which a resize may have failed for a reason that may go away.
    :param max_age: how many seconds old, at most, what is known of any node's extensions may be when the gate
        opens; what is older is read once more before. 0 reads all of them in the look that opens it.
    """

    extension_names: tuple[str, ...] | None = None
    allow_empty: bool = False
    min_nodes: int | None = None
    node_states: frozenset[str] | None = None
    on_failure: Literal["fail", "wait"] = "fail"
    max_failed_nodes: int = 0
    node_grace: float = DEFAULT_NODE_GRACE_SECONDS
    resize_grace: float = 0.0
    max_age: float = DEFAULT_MAX_AGE_SECONDS

    def to_json(self) -> dict[str, Any]:
        """The rules as plain JSON; ``Rules.from_json`` reads it back."""
        return {
            rule.name: sorted(value) if isinstance(value, (tuple, frozenset)) else value
            for rule in fields(self)
            if (value := getattr(self, rule.name)) != rule.default
        }

    @classmethod
    def from_json(cls, rules: Mapping[str, Any]) -> Rules:
        """The rules that ``to_json`` wrote; what it left out has its default."""
        given = dict(rules)
        if given.get("extension_names") is not None:
            given["extension_names"] = tuple(given["extension_names"])
        if given.get("node_states") is not None:
            given["node_states"] = frozenset(given["node_states"])
        return cls(**given)

    def expected(self, pool: Pool) -> tuple[str, ...]:
        """The extensions that every node of the pool must have."""
        return pool.extension_names if self.extension_names is None else self.extension_names

    def needed(self, pool: Pool) -> int | None:
        """How many nodes the pool must have; None where it does not say."""
        return pool.target if self.min_nodes is None else self.min_nodes

    def allows(self, state: str) -> bool:
        """Whether a node may be in this state when the gate opens."""
        return state in MACHINE_STATES and state in (self.node_states or CARRYING_STATES)

    def tolerance(self, pool: Pool, count: int) -> int:
        """How many of ``count`` nodes may have failed.

        Once the pool has all the nodes that it is to have, not so many that too few would be left.
        """
        enough = max(1, self.min_nodes or 0)
        has_all = pool.allocation_state == "steady" and pool.target is not None and count >= pool.target
        if has_all and count >= enough:
            return min(self.max_failed_nodes, count - enough)
        return self.max_failed_nodes


class Outcome(str, Enum):
    """What one look at the pool comes to."""

    OPEN = "open"
    WAIT = "wait"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node as the verdict saw it.

    ``codes`` has each expected extension's code, "" where none was seen. ``failed`` and ``missing`` say in
    words why the node is not ready; it is if both are empty. ``unread`` says that nothing is known against
    it, but that its extensions were not read. ``read_at`` is when the read began that it rests on, by the
    service's clock; None if it rests on none.
    """

    state: str
    codes: Mapping[str, str]
    failed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unread: bool = False
    is_dedicated: bool = True
    read_at: float | None = None

    @property
    def ready(self) -> bool:
        """Whether the node owes the gate nothing more."""
        return not self.failed and not self.missing


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one look came to: the outcome, every reason for it in words, and what was seen.

    ``retry_after`` is how long the service asked to be left alone, in seconds; ``unread`` says that pool or
    node list could not be read at all; ``moved`` that all was well, but something changed while it was read;
    ``cut`` that the deadline passed before all was read; ``is_missing`` that there is no such pool;
    ``refused`` that sign-in or permission were. ``began`` is when the first read of the look began, ``ended``
    when its last one ended, by the service's clock.
    """

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    pool: Pool | None = None
    expected: tuple[str, ...] = ()
    nodes: Mapping[str, NodeReport] = field(default_factory=dict)
    needed: int | None = None
    retry_after: float | None = None
    unread: bool = False
    moved: bool = False
    cut: bool = False
    is_missing: bool = False
    refused: bool = False
    began: float = 0.0
    ended: float = 0.0

    @property
    def ready(self) -> int:
        """How many nodes owe the gate nothing more."""
        return sum(node.ready for node in self.nodes.values())

    @property
    def age(self) -> float:
        """How old the oldest reading is on which it rests, when its last read ended, in seconds."""
        read = [node.read_at for node in self.nodes.values() if node.read_at is not None]
        return max(0.0, self.ended - min([self.began, *read]))

    def is_older(self, max_age: float) -> bool:
        """Whether it rests on a reading that is older than that, and was not made in this look."""
        return self.age > max(max_age, self.ended - self.began)

    @property
    def far_from_ready(self) -> bool:
        """Whether more than a few nodes (one in twenty) are still to come or to become ready."""
        wanted = max(self.needed or 0, len(self.nodes))
        return wanted - self.ready > max(1, wanted // 20)

    @property
    def summary(self) -> str:
        """How far it is and what it waits for, in one line; the same as long as nothing changes."""
        if self.needed is None and self.reasons:
            return self.listed(3)  # the nodes were not read, or the pool does not say how many it wants
        wanted = "an unknown number of" if self.needed is None else max(self.needed, len(self.nodes))
        progress = f"{self.ready} of {wanted} nodes ready"
        return f"{progress}; {self.listed(3)}" if self.reasons else progress

    def listed(self, most: int = 20) -> str:
        """The reasons in one text, ids of nodes short: at most ``most``, and how many more there are."""
        shown = shortened("; ".join(self.reasons[:most]), self.nodes)
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
            "oldest_reading_seconds": round(self.age, 3),
        }


def hopeless(pool: Pool, rules: Rules, now: float, known_created: str | None) -> str:
    """Why this pool can never satisfy the gate, in words, or "".

    :param now: the service's time, in seconds since the epoch.
    :param known_created: the ``creationTime`` of the pool on which the gate was set, if it is known.
    """
    if pool.state == "deleting":
        return f"pool {pool.id} is being deleted"
    if known_created and pool.created and pool.created != known_created:
        return created_anew(pool, known_created)
    if rules.on_failure == "fail" and _fails_for_good(pool, rules, now):
        return resize_failure(pool, rules)
    return ""


def created_anew(pool: Pool, known_created: str) -> str:
    """That a pool is not the one on which the gate was set, in words."""
    return (
        f"pool {pool.id} was deleted and created anew: the gate was set on the one of {known_created}, "
        f"this one is of {pool.created}"
    )


def pool_misses(pool: Pool, rules: Rules, dedicated: int, low_priority: int) -> Iterator[str]:
    """What the pool itself still lacks, with so many nodes that stay, of each kind."""
    count = dedicated + low_priority
    if pool.state != "active":
        yield f"pool {pool.id} is {pool.state or 'in no known state'}, not active"
    if pool.allocation_state != "steady":
        yield f"pool {pool.id} is {pool.allocation_state or 'in no known allocation state'}"
    needed = rules.needed(pool)
    if _short(pool, rules) and pool.resize_errors:
        yield resize_failure(pool, rules)
    if needed is None:
        yield f"pool {pool.id} does not say how many nodes it should have"
    elif absent := _absent(pool, rules, dedicated, low_priority):
        yield f"{absent} of {needed} nodes are not there yet" + _kinds(pool, rules, dedicated, low_priority)
    if pool.unscaled and (rules.min_nodes is None or not count):
        yield f"the autoscale formula of pool {pool.id} {pool.unscaled}"
    before = pool.repair_target
    if rules.min_nodes is None and before is not None and before > (needed or 0):
        yield f"nodes of pool {pool.id} are being replaced: its target was {before}, meanwhile it is {needed}"
    if count == 0 and needed == 0 and not rules.allow_empty:
        yield f"pool {pool.id} has no nodes and its target is 0 (allow_empty=True lets it pass)"


def _absent(pool: Pool, rules: Rules, dedicated: int, low_priority: int) -> int:
    """How many nodes are missing; of the pool's target, nodes of one kind do not stand for the other."""
    needed = rules.needed(pool) or 0
    if rules.min_nodes is not None or pool.targets is None:
        return max(0, needed - dedicated - low_priority)
    return max(0, pool.targets[0] - dedicated) + max(0, pool.targets[1] - low_priority)


def _kinds(pool: Pool, rules: Rules, dedicated: int, low_priority: int) -> str:
    if rules.min_nodes is not None or pool.targets is None or not all(pool.targets):
        return ""
    wanted = pool.targets
    return f" (dedicated {dedicated} of {wanted[0]}, low-priority {low_priority} of {wanted[1]})"


def judge(
    pool: Pool,
    rules: Rules,
    reports: Mapping[str, NodeReport],
    *,
    refused: Sequence[str] = (),
    retry_after: float | None = None,
) -> Verdict:
    """Put what the pool lacks and what its nodes say together.

    :param refused: reads that were refused for want of permission.
    """
    dedicated = sum(report.is_dedicated for report in reports.values())
    missing = list(pool_misses(pool, rules, dedicated, len(reports) - dedicated))
    failed = [report for report in reports.values() if report.failed]
    reasons = [reason for report in failed for reason in report.failed]
    expected, needed = rules.expected(pool), rules.needed(pool)
    tolerance = rules.tolerance(pool, len(reports))
    is_tolerated = len(failed) <= tolerance
    is_closed = rules.on_failure == "fail" and not is_tolerated
    if refused or is_closed:
        if is_closed and rules.max_failed_nodes:
            reasons.insert(0, _too_many(len(failed), tolerance, rules))
        told = (*refused, *reasons)
        return Verdict(
            Outcome.FAIL, told, pool, expected, reports, needed, retry_after, refused=bool(refused)
        )
    for report in reports.values():
        if not (report.failed and is_tolerated):
            missing += (*report.failed, *report.missing)
    ready = sum(report.ready for report in reports.values())
    if reports and not missing and ready < max(1, rules.min_nodes or 0):
        missing += [f"{ready} of {len(reports)} nodes are ready", *reasons]
    outcome = Outcome.WAIT if missing else Outcome.OPEN
    return Verdict(outcome, tuple(missing), pool, expected, reports, needed, retry_after)


def _too_many(failed: int, tolerance: int, rules: Rules) -> str:
    may = f"{failed} nodes failed, {tolerance} may"
    return may if tolerance == rules.max_failed_nodes else f"{may}, or too few are left"


def _short(pool: Pool, rules: Rules) -> bool:
    """Whether a resize has ended short of what the gate needs."""
    if pool.allocation_state != "steady" or rules.needed(pool) is None or pool.current is None:
        return False
    dedicated, low_priority = pool.currents or (pool.current, 0)
    return _absent(pool, rules, dedicated, low_priority) > 0


def _fails_for_good(pool: Pool, rules: Rules, now: float) -> bool:
    """Whether a failed resize is a reason to fail. Errors of an older, made-good resize stay listed."""
    if not pool.resize_errors or not _short(pool, rules):
        return False
    if any(error.fatal for error in pool.resize_errors):
        return True
    if pool.autoscale:
        return False  # the next evaluation of the formula resizes again
    since = epoch_seconds(pool.allocation_since)
    return rules.resize_grace <= 0 or (since is not None and now - since >= rules.resize_grace)


def resize_failure(pool: Pool, rules: Rules) -> str:
    """How a resize ended short of what is needed, and why, in a line."""
    errors = "; ".join(error.text for error in pool.resize_errors)
    return f"the resize of pool {pool.id} ended with {pool.current} of {rules.needed(pool)} nodes: {errors}"
