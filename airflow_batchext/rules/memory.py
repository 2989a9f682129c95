"""What is remembered of a pool's nodes from one look to the next, of which boot, and for how long.

Pure: no I/O, no clock of its own, no Airflow.

An answer holds for the boot of the node that it is of, and is as old as the read that brought it. A read
that fails changes nothing of a success that is known: it grows older. But one that says that the node is not
there, or is busy with becoming another one, does. A failure that a node tells of soon after a boot that was
seen to begin may be of the boot before, unless that was well: it counts only if it is read again later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_batchext.batch.data_plane import (
    CARRYING_STATES,
    VOID_STATES,
    Extension,
    Node,
    Phase,
    epoch_seconds,
    find_extension,
)
from airflow_batchext.rules.nodes import extensions_phase, node_report, unread_report
from airflow_batchext.rules.reads import NodeAnswer, Problem

if TYPE_CHECKING:
    from airflow_batchext.rules.gate import NodeReport, Rules

#: So long after a boot that was seen to begin a failure may still be that of the boot before.
SETTLE_SECONDS = 120.0


@dataclass(slots=True)
class Seen:
    """What is known of one node on its boot.

    ``state_from`` is when it was first seen in its state, ``tried_at`` when its extensions were asked for
    last, ``read_at`` when the read began that ``answer`` is of; ``problem`` is why the last read gave none.
    """

    node: Node
    state_from: float
    tried_at: float
    answer: Sequence[Extension] | None = None
    read_at: float = float("-inf")
    phase: Phase = Phase.PENDING
    problem: Problem | None = None
    doubtful_until: float = float("-inf")

    def is_older(self, seconds: float, now: float) -> bool:
        """Whether the answer is older than that."""
        return self.read_at < now - seconds


class Memory:
    """What is known of the nodes of one pool.

    :param rules: what the gate asks for.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._seen: dict[str, Seen] = {}

    def __getitem__(self, node_id: str) -> Seen:
        return self._seen[node_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen)

    @property
    def seen(self) -> Mapping[str, Seen]:
        """What is known of each node, by its id."""
        return self._seen

    def clear(self) -> None:
        """Forget all: it is another pool."""
        self._seen = {}

    def settle(self, nodes: Sequence[Node], now: float) -> None:
        """Keep what is known only of nodes that are still there, on the boot it is of."""
        self._seen = {node.id: _settled(self._seen.get(node.id), node, now) for node in nodes}

    def note(
        self,
        answers: Mapping[str, NodeAnswer],
        node_ids: Sequence[str],
        expected: Sequence[str],
        began: float,
    ) -> None:
        """Remember what the extensions of these nodes said to a read that began then."""
        for node_id in node_ids:
            seen, answer = self._seen[node_id], answers.get(node_id, ())
            seen.tried_at = began
            if isinstance(answer, Problem):
                seen.problem = answer
                if seen.phase is not Phase.SUCCEEDED or not answer.says_nothing:
                    seen.answer, seen.phase = None, Phase.PENDING
            else:
                seen.answer, seen.read_at, seen.problem = answer, began, None
                seen.phase = extensions_phase(seen.node.state, expected, answer)

    def is_known(self, node_id: str, now: float) -> bool:
        """Whether the node is known to be ready; what could not be renewed in time is not known any more."""
        seen = self._seen[node_id]
        if seen.phase is not Phase.SUCCEEDED:
            return False
        return seen.problem is None or not seen.is_older(self.rules.max_age, now)

    def report(self, node: Node, expected: Sequence[str] | None, now: float) -> NodeReport:
        """What is known of a node, as the rules have it; with None expected, but for its extensions."""
        seen = self._seen[node.id]
        if expected is None:
            return node_report(node, self.rules, (), (), now, seen.state_from)
        if seen.answer is None or (seen.problem and not self.is_known(node.id, now)):
            why = seen.problem.text if seen.problem else ""
            return unread_report(node, self.rules, expected, now, seen.state_from, why)
        return node_report(
            node,
            self.rules,
            expected,
            seen.answer,
            now,
            seen.state_from,
            read_at=None if node.is_void else seen.read_at,
            is_doubtful=seen.read_at < seen.doubtful_until,
        )

    def upgrades_itself(self, node_id: str, names: frozenset[str], expected: Sequence[str]) -> bool:
        """Whether one of the expected extensions may have been upgraded since it was read.

        :param names: of those for which the pool says so, in lower case; others say so themselves.
        """
        answer = self._seen[node_id].answer or ()
        return any(
            name.lower() in names or bool((found := find_extension(answer, name)) and found.upgrades_itself)
            for name in expected
        )


def _settled(seen: Seen | None, node: Node, now: float) -> Seen:
    if seen is None:
        return Seen(node, now, now)
    before = seen.node
    if before.boot != node.boot:
        # A boot that was seen to begin; not the first one of a node that had none.
        is_new = before.state in VOID_STATES or (
            bool(before.last_boot_time) and before.last_boot_time != node.last_boot_time
        )
        since = epoch_seconds(node.last_boot_time)
        began = now if since is None or since > now else since
        may_be_old = is_new and seen.phase is not Phase.SUCCEEDED
        until = began + SETTLE_SECONDS if may_be_old else seen.doubtful_until
        return Seen(node, now, now, doubtful_until=max(until, seen.doubtful_until))
    if before.state != node.state and before.state not in CARRYING_STATES:
        # What it said then may be older than its trouble.
        seen.answer, seen.phase = None, Phase.PENDING
    if (before.state, before.state_since) != (node.state, node.state_since):
        seen.state_from = now
    seen.node = node
    return seen
