"""What is wrong with a node, as far as a repair is concerned, in the gate's own words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_batchext.batch.data_plane import (
    BROKEN_STATES,
    CARRYING_STATES,
    JOINING_STATES,
    Extension,
    Node,
    Phase,
    epoch_seconds,
    find_extension,
    one_line,
)
from airflow_batchext.rules.gate import Rules
from airflow_batchext.rules.nodes import agent_troubles, node_report

if TYPE_CHECKING:
    from airflow_batchext.repair.policy import RepairPolicy

#: What a node is picked for that somebody named.
ASKED = "asked for"
_NAME_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Machine:
    """One node with its extensions; these are None where they could not be read, or were not."""

    node: Node
    extensions: Sequence[Extension] | None = None

    @property
    def allocated(self) -> float | None:
        """When it came into the pool, in seconds since the epoch."""
        return epoch_seconds(self.node.allocated)

    @property
    def booted(self) -> int:
        """When its machine booted last, in whole seconds since the epoch; 0 if nobody said."""
        return int(epoch_seconds(self.node.last_boot_time) or 0)


@dataclass(frozen=True, slots=True)
class Symptom:
    """Something to repair. ``failure`` is the same on all nodes that fail in the same way."""

    failure: str
    text: str


@dataclass(frozen=True, slots=True)
class Condition:
    """How a node is: ready, ill, or neither.

    ``is_doubtful`` says that it has failed, or is stuck, but not for long enough to count.
    """

    is_ready: bool = False
    symptom: Symptom | None = None
    is_doubtful: bool = False


def condition(machine: Machine, expected: Sequence[str], policy: RepairPolicy, now: float) -> Condition:
    """How a node is.

    :param expected: the extensions that it must have.
    :param now: the service's time, in seconds since the epoch.
    """
    node = machine.node
    rules = Rules(extension_names=tuple(expected), node_grace=policy.broken_after)
    report = node_report(node, rules, expected, machine.extensions or (), now, now)
    if node.state in BROKEN_STATES:
        # What its extensions say does not matter: it takes no tasks anyway.
        if ("unusable" if node.state == "unusable" else "start_task_failed") not in policy.pick:
            return Condition()
        said = next((text for text in report.failed if f"is {node.state}" in text), "")
        code = node.errors[0].code if node.errors else ""
        symptom = Symptom(_failure(node.state, code), said)
        return Condition(symptom=symptom) if said else Condition(is_doubtful=True)
    if node.state not in CARRYING_STATES:
        return Condition()
    since = since_when(machine)
    lasted = None if since is None else now - since
    if troubles := agent_troubles(node, expected, machine.extensions or ()):
        if "unusable" not in policy.pick:
            return Condition()
        said = next((text for text in report.failed if troubles[0] in text), "")
        if not said or lasted is None or lasted < policy.settle:
            return Condition(is_doubtful=True)  # the status may still be that of the boot before
        code = next((error.code for error in node.errors if error.fatal), "")
        return Condition(symptom=Symptom(_failure("agent", code), said))
    if node.boots_again:
        return Condition(is_doubtful=True)  # what its extensions say is of the boot before
    bad = next((e for e in _found(machine, expected) if e and e.phase is Phase.FAILED), None)
    if bad is not None:
        if "failed" not in policy.pick:
            return Condition()
        if lasted is None or lasted < policy.settle:
            return Condition(is_doubtful=True)  # the status may still be that of the boot before
        said = next((text for text in report.failed if f"extension {bad.name} " in text), report.failed[0])
        return Condition(symptom=Symptom(_failure(bad.name, bad.code), said))
    if not report.missing and node.state not in JOINING_STATES and machine.extensions is not None:
        return Condition(is_ready=True)
    if policy.stuck_after is None:
        return Condition()
    if lasted is None or lasted < policy.stuck_after:
        return Condition(is_doubtful=True)
    return Condition(symptom=_stuck(machine, expected, policy.stuck_after, report.missing))


def _stuck(
    machine: Machine, expected: Sequence[str], seconds: float, missing: Sequence[str]
) -> Symptom | None:
    if machine.node.state in JOINING_STATES:
        text = f"node {machine.node.id} is {machine.node.state}"
        return Symptom(_failure(machine.node.state, ""), f"{text} for more than {seconds:g} seconds")
    if machine.extensions is None:
        return None  # nobody knows
    for name, extension in zip(expected, _found(machine, expected), strict=True):
        if extension is None or extension.phase is Phase.PENDING:
            said = next((text for text in missing if f"extension {name} " in text or text.endswith(name)), "")
            text = f"{said or f'extension {name} of node {machine.node.id} is pending'}"
            code = extension.code if extension else "not listed"
            return Symptom(_failure(name, code), f"{text} for more than {seconds:g} seconds")
    return None


def since_when(machine: Machine) -> float | None:
    """When this boot began, or the node came into a state without a boot, as far as the service says."""
    node = machine.node
    times = [epoch_seconds(node.last_boot_time)]
    if node.state not in CARRYING_STATES - JOINING_STATES or times == [None]:
        times.append(epoch_seconds(node.state_since))
    return max((time for time in times if time is not None), default=machine.allocated)


def _found(machine: Machine, expected: Sequence[str]) -> list[Extension | None]:
    return [find_extension(machine.extensions or (), name) for name in expected]


def _failure(what: str, code: str) -> str:
    said = one_line(f"{what} {code.lower().removeprefix('provisioningstate/')}".strip().lower())
    return said[:_NAME_CHARACTERS]
