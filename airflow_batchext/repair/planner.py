"""What comes next in a repair, from what is observed, what is remembered, and what the policy allows.

=====================================================  ==============================================
what is observed                                       what follows
=====================================================  ==============================================
a repair has taken nodes away                          the targets are put back as they were before
somebody gave the pool other targets meanwhile         theirs are left, and that is told
a node was rebooted, and is ready on its new boot      it helped
it fails again, or is not back in time                 it did not help: the next step is tried
a node to which something was done is not ready        it is waited for, then the next step is tried
a successor fails in the way its predecessor did       the replacement did not help
a step helped nobody with this failure, twice          it is of no use against it
a node to be repaired runs tasks                       it is waited for, unless ``include_running``
nothing can be done to a node that is ill              failed, once nothing else is under way
a named node is not there, or no successor came        failed, once nothing else is under way
all that was asked for is ready, nothing under way     done
=====================================================  ==============================================

A replacement needs a steady pool, and one batch of replacements is seen through before the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_batchext import parameters
from airflow_batchext.batch.data_plane import JOINING_STATES, VOID_STATES, one_line
from airflow_batchext.repair.journal import IN_VAIN, UNDER_WAY, Journal, Record, node_key
from airflow_batchext.repair.picking import Picked
from airflow_batchext.repair.requests import Remove, Resize, Restart
from airflow_batchext.repair.symptoms import ASKED, Machine, Symptom, condition
from airflow_batchext.rules.gate import Rules, resize_failure

if TYPE_CHECKING:
    from airflow_batchext.batch.node_counts import Nodes
    from airflow_batchext.batch.whole_pool import WholePool
    from airflow_batchext.repair.policy import RepairPolicy

#: What has had no effect by then is asked for again: it may never have reached Azure.
_ASK_AGAIN_SECONDS = 60

Act = Restart | Remove | Resize


@dataclass(slots=True)
class Plan:
    """What comes next.

    :param acts: what is to be done now.
    :param hopeless: nodes that are ill and for which nothing is left to do, each with the reason.
    :param waiting: what is waited for, in words.
    """

    acts: list[Act] = field(default_factory=list)
    hopeless: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


class Planner:
    """Decides once; notes in the journal what is found and what is to be done.

    :param machines: the nodes that are listed, with their extensions.
    :param owner: stands for whoever repairs.
    :param refused: what Azure refused at the look before, by node and step, with its words.
    :param node_ids: repair exactly these nodes, whatever they are like; None for those that the policy picks.
    :param seconds_left: until somebody gives up.
    :param rules: of the gate that asks for it: as many nodes as they let fail may stay ill; None lets none.
    :param begins: whether anything may be begun.
    """

    def __init__(
        self,
        observed: WholePool,
        machines: Sequence[Machine],
        journal: Journal,
        policy: RepairPolicy,
        now: float,
        *,
        owner: str,
        refused: Mapping[tuple[str, str], str],
        node_ids: Sequence[str] | None = None,
        seconds_left: float = float("inf"),
        rules: Rules | None = None,
        begins: bool = True,
    ) -> None:
        self.observed, self.journal, self.policy, self.now = observed, journal, policy, now
        self.owner, self.refused, self.seconds_left = owner, refused, seconds_left
        self.begins = begins
        self.here = {node_key(m.node.id): m for m in machines if not m.node.leaving}
        names = policy.extension_names
        expected = observed.pool.extension_names if names is None else names
        self.conditions = {k: condition(m, expected, policy, now) for k, m in self.here.items()}
        self.picked = Picked(self.here, self.conditions, journal, policy, now, owner=owner, node_ids=node_ids)
        self.tolerance = rules.tolerance(observed.pool, len(self.here)) if rules else 0
        self.plan = Plan()

    def decide(self) -> Plan:
        """Do it all, in the order that matters."""
        self._update_records()
        self._update_successors()
        self._put_targets_back()
        self._ask_again()
        if self.begins:
            self._repair_nodes()
        elif len(self.picked.ill()) > self.tolerance:
            self.plan.waiting.append("nothing more is begun so late")
        # A repair is at work until every node for which it was asked is ready, or nothing more can be done.
        self.plan.waiting += [
            f"node {node.id} ({node.state or 'no state'}) is not ready yet" for node in self.picked.unready()
        ]
        self.plan.hopeless += [
            f"pool {self.observed.pool.id} has no node {one_line(node_id)[:60]}"
            for node_id in self.picked.missing()
        ]
        unread = sum(
            machine.extensions is None and machine.node.state not in VOID_STATES
            for machine in self.here.values()
        )
        if unread:
            self.plan.waiting.append(f"the extensions of {_nodes(unread)} could not be read")
        pool = self.observed.pool
        is_short = sum(self.observed.nodes) < sum(self.observed.targets) and not pool.autoscale
        if self.observed.is_steady and is_short and not self.journal.is_pending:
            if pool.resize_errors:
                self.plan.hopeless.append(resize_failure(pool, Rules()))
            elif self.picked.has_own(("unknown",)):
                has, wanted = sum(self.observed.nodes), sum(self.observed.targets)
                self.plan.hopeless.append(
                    f"pool {pool.id} has {has} of {wanted} nodes: none came for one that was replaced"
                )
        doubtful = sum(health.is_doubtful for health in self.conditions.values())
        if doubtful:
            self.plan.waiting.append(f"{_nodes(doubtful)} may become ready without help")
        if not self.observed.is_steady:
            self.plan.waiting.append(f"pool {pool.id} is {pool.allocation_state or 'in no known state'}")
        return self.plan

    # --- what has come of it -------------------------------------------------------------------------------

    def _update_records(self) -> None:
        for record in list(self.journal.records):
            if record.state != "open":
                continue
            machine, passed = self.here.get(record.key), self.now - record.at
            if (record.key, record.step) in self.refused:
                record.state = "refused"
            elif machine is None and record.step == "replace":
                record.state = "gone"
            elif machine is None:
                record.state = "vanished"
            elif record.step != "replace":
                self._update_restart(record, machine, passed)
            elif self.conditions[record.key].is_ready and record.failure != ASKED:
                self.journal.records.remove(record)  # it has become ready by itself, and may stay
            elif passed > self.policy.step_timeout:
                record.state = "failed"

    def _update_restart(self, record: Record, machine: Machine, passed: float) -> None:
        health = self.conditions[record.key]
        has_booted = machine.booted not in (0, record.booted)
        if health.is_ready and (has_booted or self.now - record.asked >= self.policy.settle):
            record.state = "helped"
        elif (health.symptom is not None and has_booted) or passed > self.policy.step_timeout:
            record.state = "failed"

    def _update_successors(self) -> None:
        """See what became of the nodes that came for those that were replaced."""
        gone = [record for record in self.journal.records if record.state == "gone"]
        if not gone or self.journal.targets is not None or not self.observed.is_steady:
            return
        since = min(record.asked for record in gone)
        new = {k: self.conditions[k] for k, m in self.here.items() if (m.allocated or 0) > since}
        on_time = self.now - since <= self.policy.step_timeout
        unsettled = sum(not health.is_ready and health.symptom is None for health in new.values())
        is_short = sum(self.observed.nodes) < sum(self.observed.targets)
        if is_short and not self.observed.pool.resize_errors and on_time:
            return
        if unsettled and on_time:
            self.plan.waiting.append(f"{unsettled} new nodes are not ready yet")
            return
        failures = [health.symptom.failure for health in new.values() if health.symptom is not None]
        ready = sum(health.is_ready for health in new.values())
        for record in gone:
            if record.failure in failures:
                failures.remove(record.failure)
                record.state = "failed"
            elif ready:
                ready -= 1
                record.state = "helped"
            elif unsettled:
                unsettled -= 1
                record.state = "failed"  # it came, and hangs
            else:
                record.state = "unknown"

    def _put_targets_back(self) -> None:
        journal, observed = self.journal, self.observed
        if journal.targets is None:
            return
        to_go = [r for r in journal.records if r.step == "replace" and r.state == "open"]
        wanted, has = _told(journal.targets), _told(observed.targets)
        if observed.pool.autoscale:
            self.journal.note(
                f"pool {observed.pool.id} scales itself by a formula since: how many nodes "
                "it has is up to that"
            )
        elif observed.targets == journal.targets:
            if to_go:
                return  # the removal has not happened (yet)
        elif observed.targets not in journal.lowered:
            self.journal.note(
                f"somebody has set the targets of pool {observed.pool.id} to {has} while nodes "
                f"were replaced; they were {wanted} before, and are left as they are"
            )
        elif observed.is_steady:
            self.plan.acts.append(Resize(*journal.targets, observed.etag))
            return
        else:
            self.plan.waiting.append(
                f"nodes leave pool {observed.pool.id}; its targets will be {wanted} again"
            )
            return
        journal.targets, journal.lowered = None, ()

    # --- what is to be done --------------------------------------------------------------------------------

    def _ask_again(self) -> None:
        """Ask for what has had no effect so far: perhaps it has never reached Azure."""
        again: list[Machine] = []
        room = self._most_at_once - self.journal.count(("gone",))
        for record in self.journal.records:
            machine = self.here.get(record.key)
            if record.state != "open" or machine is None:
                continue
            room -= 1
            self.plan.waiting.append(f"node {machine.node.id} is being repaired ({record.step})")
            is_young = self.now - record.asked < _ASK_AGAIN_SECONDS
            # The journal may be somebody else's: what was once begun has to be what would be done now, too.
            is_wanted = room >= 0 and record.step in self.policy.order and self.picked.wants(record)
            if is_young or machine.node.is_busy or not self.begins or not is_wanted:
                continue  # a node that ends its tasks first is still running
            if record.step == "replace":
                is_whole = self.observed.pool.autoscale or self.observed.targets == self.journal.targets
                if self.observed.is_steady and is_whole:
                    again.append(machine)
                    record.asked = int(self.now)
            elif (
                machine.node.state not in VOID_STATES | JOINING_STATES
                and machine.booted in (0, record.booted)
                and not self.conditions[record.key].is_ready
            ):
                record.asked = int(self.now)
                self.plan.acts.append(self._restart(record.step, machine))
        if again:
            self._remove(again)

    def _repair_nodes(self) -> None:
        to_replace: list[Machine] = []
        under_way = self.journal.count(UNDER_WAY)
        room = self._most_at_once - under_way
        busy, held = 0, 0
        # Nodes leave the pool before others are touched: successors are to be seen first.
        is_replacing = self.journal.count(UNDER_WAY, step="replace") > 0 or self.journal.targets is not None
        ill = [item for item in self.picked.ill() if not self.journal.count(UNDER_WAY, key=item[0])]
        # Those for whom nothing is left, and those that run tasks, are the first that may stay as they are.
        ill.sort(
            key=lambda item: (self._next_step(item[0], item[2].failure)[0] is None, item[1].node.is_busy)
        )
        for key, machine, symptom in ill[: max(0, len(ill) - self.tolerance)]:
            step, why = self._next_step(key, symptom.failure)
            if step is None:
                self.plan.hopeless.append(f"{symptom.text} [{why}]")
                continue
            if machine.node.is_busy and not self.policy.include_running:
                busy += 1
                continue
            if step == "replace" and self.seconds_left < parameters.REPLACEMENT_SECONDS:
                self.plan.hopeless.append(f"{symptom.text} [{too_late(self.seconds_left)}]")
                continue
            waits_for_pool = step == "replace" and (is_replacing or not self.observed.is_steady)
            if room <= 0 or waits_for_pool or not self._may_be_tried(step, symptom.failure):
                held += 1
                continue
            room -= 1
            self._record(step, key, machine, symptom)
            if step == "replace":
                to_replace.append(machine)
            else:
                self.plan.acts.append(self._restart(step, machine))
        if to_replace:
            if not self.observed.pool.autoscale:
                self.journal.targets = self.observed.targets
            self._remove(to_replace)
        if busy:
            self.plan.waiting.append(f"{_nodes(busy)} to be repaired run tasks, and are waited for")
        if held:
            self.plan.waiting.append(f"{_nodes(held)} wait for their turn")

    def _next_step(self, key: str, failure: str) -> tuple[str | None, str]:
        """What to try next on this node; or None, and what was tried."""
        tried: list[str] = []
        is_asked = failure == ASKED
        # What the pool remembers of failures is everybody's; what somebody asks for is theirs alone.
        known = [r for r in self.journal.records if not is_asked or r.owner == self.owner]
        for step in self.policy.order:
            mine = [r for r in known if (r.key, r.step) == (key, step) and r.state not in UNDER_WAY]
            if len(mine) >= self.policy.attempts:
                said = self.refused.get((key, step))
                refused = f"{step} was refused" + (f": {said}" if said else "")
                tried.append(refused if mine[-1].state == "refused" else f"{step} did not help")
            elif self._is_useless(step, failure):
                count = self.journal.count(IN_VAIN, step=step, failure=failure)
                tried.append(f"{step} helped none of {_nodes(count)} with this failure")
            elif not is_asked and self.journal.is_over and self.journal.rounds >= self.policy.rounds:
                tried.append(f"it was repaired {self.journal.rounds} times already")
                break
            elif len(known) >= self.policy.max_actions:
                tried.append(f"all {self.policy.max_actions} actions are used up")
                break
            else:
                return step, ""
        return None, "; ".join(tried)

    def _is_useless(self, step: str, failure: str) -> bool:
        in_vain = self.journal.count(IN_VAIN, step=step, failure=failure)
        helped = self.journal.count(("helped",), step=step, failure=failure)
        return failure != ASKED and not helped and in_vain >= self.policy.give_up_after

    def _may_be_tried(self, step: str, failure: str) -> bool:
        """Whether one more node may try this now: what has helped nobody yet is tried on few."""
        if failure == ASKED or self.picked.has_helped(step, failure):
            return True
        tried = self.journal.count((*IN_VAIN, *UNDER_WAY), step=step, failure=failure)
        return tried < self.policy.give_up_after

    @property
    def _most_at_once(self) -> int:
        return self.policy.most_at_once(max(len(self.here), sum(self.observed.targets)))

    def _record(self, step: str, key: str, machine: Machine, symptom: Symptom) -> None:
        if self.journal.is_over:
            self.journal.rounds, self.journal.is_over = self.journal.rounds + 1, False
        now, is_dedicated = int(self.now), machine.node.is_dedicated
        record = Record(key, step, symptom.failure, now, now, machine.booted, is_dedicated, owner=self.owner)
        self.journal.records.append(record)

    def _restart(self, step: str, machine: Machine) -> Restart:
        return Restart(step, machine.node.id, self._on_tasks)

    def _remove(self, machines: list[Machine]) -> None:
        dedicated = sum(machine.node.is_dedicated for machine in machines)
        less = (dedicated, len(machines) - dedicated)
        # The service may count down from the targets, or (where it never reached them) from what is there.
        self.journal.lowered = tuple(
            dict.fromkeys(_minus(whole, less) for whole in (self.observed.targets, self.observed.nodes))
        )
        if self.observed.pool.autoscale:
            self.journal.lowered = ()
            self.journal.note(
                f"pool {self.observed.pool.id} scales itself by a formula: whether others come for the "
                "removed nodes is up to that"
            )
        node_ids = tuple(machine.node.id for machine in machines)
        self.plan.acts.append(Remove(node_ids, self._on_tasks, self.observed.etag))

    @property
    def _on_tasks(self) -> str:
        # A task may have started since the node was read: Azure lets it end.
        return self.policy.on_tasks if self.policy.include_running else "taskcompletion"


def too_late(seconds_left: float) -> str:
    """Why no node is replaced any more."""
    return (
        f"to replace it {parameters.REPLACEMENT_SECONDS:g} seconds have to be left until the timeout, "
        f"and {max(seconds_left, 0):.0f} are"
    )


def _minus(whole: Nodes, less: Nodes) -> Nodes:
    return max(whole[0] - less[0], 0), max(whole[1] - less[1], 0)


def _told(targets: Nodes) -> str:
    return f"{targets[0]} dedicated and {targets[1]} low-priority nodes"


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"
