"""What a gate would have to say if it knew all that the emulator knows, at one moment.

It is written anew from the rules in ``docs/gate.md``, in the plainest way, and shares nothing with the code
under test: no wire, no memory, no order of reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_batchext.emulator.account.account import Account
    from airflow_batchext.emulator.account.pools import Pool, VisibleNode

_USABLE = {"creating", "starting", "waitingforstarttask", "idle", "running", "offline"}
_ABOUT_THE_PAST = {"preempted", "deallocating", "deallocated", "rebooting", "reimaging", "upgradingos"}
_BROKEN = {"unusable", "starttaskfailed"}
_JOINING = {"creating", "starting"}
_NO_TASKS = {
    "BatchAgentInstallationFailure",
    "DiskFull",
    "MountConfigurationError",
    "ApplicationPackageError",
}
_FATAL = {"AccountCoreQuotaReached", "UnsupportedVMSize", "FailedIdentityOperation"}

OWN = "batchNodeExtension"

Words = tuple[str, ...]
"""What a text has to have in it to name a reason."""


@dataclass(frozen=True)
class Truth:
    """The verdict, why, and everything on which it rests."""

    outcome: Literal["open", "wait", "fail"]
    failures: tuple[Words, ...]
    missing: tuple[Words, ...]
    nodes: frozenset[str]
    created: datetime | None
    everything: object
    """Equal at two moments between which nothing has moved."""


Shown = dict[str, "Mapping[str, str | None]"]
"""By the ids of nodes: what each extension, by its name as the emulator has it, has come to."""


def shown_now(account: Account, pool_id: str) -> Shown:
    """What the extensions of each node have come to now, for several truths of one moment."""
    with account.lock:
        pool = account.find(pool_id)
        if pool is None or pool.deleted is not None:
            return {}
        return {
            node.node.id: {name: now.outcome for name, now in account.extensions_of(pool, node).items()}
            for node in account.nodes(pool_id)
        }


def truth(
    account: Account,
    pool_id: str,
    gate: dict[str, Any],
    known: datetime | None,
    slack: float = 0.0,
    shown: Shown | None = None,
) -> Truth:
    """Judge the pool as it is now.

    :param gate: the sensor's parameters.
    :param known: when the pool was created on which the gate was set; None if the gate does not know.
    :param slack: how many seconds later than asked a grace time ends.
    :param shown: what ``shown_now`` says at this very moment, where it has been asked already.
    """
    with account.lock:
        now, pool = account.clock.now(), account.find(pool_id)
        if pool is None:
            return Truth("fail", (("does not exist",),), (), frozenset(), None, "no pool")
        if pool.deleted is not None:
            return Truth("fail", (("is being deleted",),), (), frozenset(), pool.created, "deleted")
        nodes = [node for node in account.nodes(pool_id) if node.now.state.value != "leavingpool"]
        if known is not None and pool.created != known:
            return Truth("fail", (("created anew",),), (), _ids(nodes), pool.created, pool.created)
        target = pool.definition.scale.dedicated + pool.definition.scale.low_priority
        needed = gate.get("min_nodes", target)
        failures = _failed_resize(account, pool, gate, needed, now, slack)
        missing: list[Words] = []
        if pool.resize.is_running(now):
            missing.append((pool.resize.state(now),))
        kinds = _absent(pool, nodes, gate)
        if kinds:
            missing.append((f"{kinds} of {needed} nodes",))
        if pool.definition.scale.formula is not None and ("min_nodes" not in gate or not nodes):
            if pool.evaluation is None:
                missing.append(("has not been evaluated yet",))
            elif pool.evaluation.error:
                missing.append(("could not be evaluated",))
        if not nodes and not needed and not gate.get("allow_empty"):
            missing.append(("has no nodes",))

        is_named = "batchnodeextension" in map(str.lower, gate.get("extension_names") or [])
        every = shown_now(account, pool_id) if shown is None else shown
        asked = {node.node.id: _extensions(every[node.node.id], pool, node, gate) for node in nodes}
        failed_nodes, late_nodes = [], []
        for node in nodes:
            node_id, state = node.node.id, node.now.state.value
            is_allowed = state in {s.lower() for s in gate.get("node_states", _USABLE)}
            boots = _boots_again(node)
            bad = [
                (node_id, f"extension {name} reports")
                for name, outcome in asked[node_id].items()
                if outcome == "fail"
            ]
            broken_for = (now - node.now.since).total_seconds()
            agent = every[node_id][OWN]
            has_no_agent = state not in _ABOUT_THE_PAST and (
                (agent == "fail" and not is_named) or any(code in _NO_TASKS for code, _ in node.node.errors)
            )
            is_broken = has_no_agent or (not is_allowed and state in _BROKEN)
            if is_broken and broken_for >= gate.get("node_grace", 900.0) + slack:
                # What an extension says is known only when it is read.
                last = "extension batchNodeExtension" if agent == "fail" and not is_named else state
                bad.append((node_id, "for more than", last))
            if bad:
                failed_nodes.append((node_id, bad))
            elif not is_allowed or boots or is_broken or (state in _JOINING and node.node.errors):
                late_nodes.append((node_id, state))
            elif state in _JOINING and agent != "succeed" and not is_named:
                late_nodes.append((node_id, "batchNodeExtension"))
            elif late := [name for name, outcome in asked[node_id].items() if outcome != "succeed"]:
                late_nodes.append((node_id, late[0]))
        may_fail, enough = gate.get("max_failed_nodes", 0), max(1, gate.get("min_nodes", 0))
        if not pool.resize.is_running(now) and len(nodes) >= max(target, enough):
            may_fail = min(may_fail, len(nodes) - enough)
        too_many = len(failed_nodes) > may_fail
        if too_many:
            reasons = [reason for _, bad in failed_nodes for reason in bad]
            if gate.get("on_failure") != "wait":
                failures += reasons
            missing += [(node_id,) for node_id, _ in failed_nodes]
        missing += late_nodes
        if nodes and not missing and len(nodes) - len(failed_nodes) < enough:
            missing.append(("nodes are ready",))
        everything = (
            *(pool.created, pool.definition.scale, pool.resize.state(now), pool.resize.errors_at(now)),
            [(n.node.id, n.now.state, n.now.since, n.now.boot.number, n.now.last_boot) for n in nodes],
            [sorted(extensions.items(), key=str) for extensions in asked.values()],
            [(every[n.node.id][OWN], n.node.errors) for n in nodes],
            (outcome := "fail" if failures else "wait" if missing else "open"),
        )
        return Truth(outcome, tuple(failures), tuple(missing), _ids(nodes), pool.created, everything)


def _absent(pool: Pool, nodes: list[VisibleNode], gate: dict[str, Any]) -> int:
    """How many nodes are missing; those of one kind do not stand for the other, unless any will do."""
    if "min_nodes" in gate:
        return max(0, int(gate["min_nodes"]) - len(nodes))
    scale = pool.definition.scale
    dedicated = sum(node.node.is_dedicated for node in nodes)
    return max(0, scale.dedicated - dedicated) + max(0, scale.low_priority - (len(nodes) - dedicated))


def _boots_again(node: VisibleNode) -> bool:
    """Whether it joins, and shows the boot before."""
    now = node.now
    return (
        now.state.value in ("creating", "starting")
        and now.last_boot is not None
        and now.last_boot < now.since
    )


def _ids(nodes: list[VisibleNode]) -> frozenset[str]:
    return frozenset(node.node.id for node in nodes)


def own_extension(account: Account, pool: Pool, node: VisibleNode) -> str | None:
    """What has become of Batch's own extension on a node."""
    return account.extensions_of(pool, node)[OWN].outcome


def _extensions(
    shown: Mapping[str, str | None], pool: Pool, node: VisibleNode, gate: dict[str, Any]
) -> dict[str, str | None]:
    """What each extension that the gate asks for has come to on this node; none where it is of the past."""
    if node.now.state.value in _ABOUT_THE_PAST or _boots_again(node):
        return {}
    wanted = gate.get("extension_names") or [item["name"] for item in pool.definition.extensions]
    found = {name.lower(): outcome for name, outcome in shown.items()}
    return {name: found.get(name.lower()) for name in wanted}


def _failed_resize(
    account: Account, pool: Pool, gate: dict[str, Any], needed: int, now: datetime, slack: float
) -> list[Words]:
    errors = pool.resize.errors_at(now)
    counts, scale = account.counts_at(pool, now), pool.definition.scale
    is_short = sum(counts) < needed
    if "min_nodes" not in gate:
        is_short = counts[0] < scale.dedicated or counts[1] < scale.low_priority
    if not errors or not is_short or gate.get("on_failure") == "wait":
        return []
    if not any(error.code in _FATAL for error in errors):
        if pool.definition.scale.formula is not None:
            return []  # the formula is evaluated again, and brings another resize
        if (now - pool.resize.steady).total_seconds() < gate.get("resize_grace", 0.0) + slack:
            return []
    return [("the resize of pool", errors[0].code)]
