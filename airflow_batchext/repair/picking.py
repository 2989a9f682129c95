"""Which nodes a repair is about: the ill ones, those that it still waits for, and those that are not there.

A repair answers for every node that it was asked for: that the policy picks or somebody named, and those that
came for them. It is done when all of them are ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_batchext.batch.data_plane import VOID_STATES
from airflow_batchext.repair.journal import IN_VAIN, UNDER_WAY, node_key
from airflow_batchext.repair.symptoms import ASKED, Condition, Machine, Symptom, since_when

if TYPE_CHECKING:
    from airflow_batchext.batch.data_plane import Node
    from airflow_batchext.repair.journal import Journal, Record
    from airflow_batchext.repair.policy import RepairPolicy


class Picked:
    """The nodes that a repair is about, at one look.

    :param here: the nodes of the pool that do not leave, by key.
    :param conditions: how they are.
    :param now: the service's time, in seconds since the epoch.
    :param owner: stands for whoever repairs.
    :param node_ids: exactly these, whatever they are like; None for those that the policy picks.
    """

    def __init__(
        self,
        here: Mapping[str, Machine],
        conditions: Mapping[str, Condition],
        journal: Journal,
        policy: RepairPolicy,
        now: float,
        *,
        owner: str,
        node_ids: Sequence[str] | None = None,
    ) -> None:
        self._here, self._conditions = here, conditions
        self._journal, self._policy, self._now, self._owner = journal, policy, now, owner
        self._named = None if node_ids is None else {node_key(node_id): node_id for node_id in node_ids}

    def ill(self) -> list[tuple[str, Machine, Symptom]]:
        """Those to which something is to be done, each with the reason."""
        found = []
        for key, machine in sorted(self._here.items(), key=lambda item: item[1].node.id):
            if self._is_meant(key, machine):
                symptom = (
                    self._conditions[key].symptom or self._late(key, machine) or self._asked(key, machine)
                )
                if symptom is not None:
                    found.append((key, machine, symptom))
        return found

    def unready(self) -> list[Node]:
        """Those that are neither ready nor ill, but have to become ready."""
        found = []
        for key, machine in self._here.items():
            health = self._conditions[key]
            if health.is_ready or health.symptom is not None or not self._is_meant(key, machine):
                continue
            is_named = self._named is not None and key in self._named
            if (is_named or self._last(key, machine) is not None) and not self._late(key, machine):
                found.append(machine.node)
        return found

    def wants(self, record: Record) -> bool:
        """Whether something is to be done to the node of a record that is under way."""
        machine, health = self._here[record.key], self._conditions[record.key]
        if self._named is not None:
            return self._is_meant(record.key, machine)
        return health.symptom is not None or (record.owner == self._owner and not health.is_ready)

    def missing(self) -> list[str]:
        """Ids of those that somebody named and that are not there, unless they were replaced."""
        replaced = {
            record.key
            for record in self._journal.records
            if record.step == "replace" and record.owner == self._owner and record.state != "refused"
        }
        named = (self._named or {}).items()
        return [node_id for key, node_id in named if key not in self._here and key not in replaced]

    def has_own(self, states: Iterable[str], key: str | None = None) -> bool:
        """Whether this repair itself has done something (to that node) that came to this."""
        mine = {"owner": self._owner} if key is None else {"owner": self._owner, "key": key}
        return bool(self._journal.count(states, **mine))

    def has_helped(self, step: str, failure: str) -> bool:
        """Whether it has helped a node that shows it: the journal may be somebody else's."""
        since = {
            key: self._here[key].allocated or 0 for key, health in self._conditions.items() if health.is_ready
        }
        return any(
            record.key in since or (step == "replace" and any(at > record.asked for at in since.values()))
            for record in self._journal.records
            if (record.step, record.failure, record.state) == (step, failure, "helped")
        )

    def _is_meant(self, key: str, machine: Machine) -> bool:
        return self._named is None or key in self._named or self._predecessor(machine) is not None

    def _asked(self, key: str, machine: Machine) -> Symptom | None:
        """That somebody named it is enough, but once in a run."""
        if self._named is None or key not in self._named or machine.node.state in VOID_STATES:
            return None
        had = ("helped", "open", "failed") if self._conditions[key].is_ready else ("helped", "open")
        if self.has_own(had, key):
            return None
        return Symptom(ASKED, f"node {machine.node.id} ({machine.node.state}) was asked for")

    def _late(self, key: str, machine: Machine) -> Symptom | None:
        """What is wrong with a node that is not back in time after something was done to it."""
        last = self._last(key, machine)
        if last is None or self._conditions[key].is_ready:
            return None
        passed = self._now - max(last.at, since_when(machine) or 0.0)
        if passed < self._policy.step_timeout:
            return None
        told = f"node {machine.node.id} ({machine.node.state or 'no state'})"
        if last.key == key:
            return Symptom(last.failure, f"{told} is not ready {passed:.0f} seconds after its {last.step}")
        return Symptom(last.failure, f"{told} came for one that was replaced, and is not ready")

    def _last(self, key: str, machine: Machine) -> Record | None:
        """What was done to the node, or to its predecessor, on account of which it has to become ready."""
        done = next((record for record in reversed(self._journal.records) if record.key == key), None)
        if done is None:
            return self._predecessor(machine)
        is_ours = done.state in IN_VAIN or done.owner == self._owner
        return done if is_ours and done.state not in UNDER_WAY else None

    def _predecessor(self, machine: Machine) -> Record | None:
        """The last node that this repair has replaced before this one came, if any."""
        for record in reversed(self._journal.records):
            is_replaced = record.step == "replace" and record.state in ("helped", "failed", "unknown")
            if (
                is_replaced
                and record.key not in self._here
                and record.asked < (machine.allocated or 0)
                and record.owner == self._owner
                and (self._named is None or record.key in self._named)
            ):
                return record
        return None
