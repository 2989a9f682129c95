"""What is believed of a journal: no more than the pool itself bears out, as others may have written it.

A repair acts on what it remembers in two ways. It puts targets back: by no more nodes than were taken away,
none fewer than there are, and no more than it would take away at once itself. And it asks again for what has
had no effect: for nodes that it would pick now, by steps that it would take now, and for no more of them than
it would repair at once (``planner``). That a step has helped is believed where a node shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_batchext.repair.journal import UNDER_WAY
from airflow_batchext.repair.policy import MOST_AT_ONCE

if TYPE_CHECKING:
    from airflow_batchext.batch.node_counts import Nodes
    from airflow_batchext.batch.whole_pool import WholePool
    from airflow_batchext.repair.journal import Journal
    from airflow_batchext.repair.policy import RepairPolicy


def bound(
    journal: Journal, observed: WholePool, policy: RepairPolicy, now: float, *, own_targets: Nodes | None
) -> None:
    """Bound what a journal says by what its pool says; what is cut off is noted in it.

    :param now: the service's time, in seconds since the epoch.
    :param own_targets: what this very process has written down as the targets before; it is believed.
    """
    for record in journal.records:
        # Nothing was written down, asked or booted in the future.
        record.at, record.asked = min(record.at, int(now)), min(record.asked, int(now))
        record.booted = min(record.booted, int(now))
    told = journal.targets
    if told is None or told == own_targets or observed.targets not in journal.lowered:
        return
    journal.targets = _borne_out(told, journal, observed.targets, policy)
    if journal.targets != told:
        journal.note(
            f"the journal in the pool's metadata says that the targets were {told[0]} dedicated and "
            f"{told[1]} low-priority nodes; no more than {journal.targets[0]} and {journal.targets[1]} are "
            "borne out by nodes that were taken away, so no others are put back"
        )


def _borne_out(told: Nodes, journal: Journal, now: Nodes, policy: RepairPolicy) -> Nodes:
    away = [r.is_dedicated for r in journal.records if r.step == "replace" and r.state in UNDER_WAY]
    taken = away.count(True), away.count(False)
    most = min(sum(taken), MOST_AT_ONCE, policy.max_actions)
    room = max(count for count in range(most + 1) if count <= policy.most_at_once(sum(now) + count))
    back: list[int] = []
    for wanted, is_now, gone in zip(told, now, taken, strict=True):
        back.append(max(0, min(wanted - is_now, gone, room - sum(back))))
    return now[0] + back[0], now[1] + back[1]
