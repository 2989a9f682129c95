"""What do a pool, its nodes and their extensions say, and is that enough to let work start?

Pure: no I/O, no clock, no Airflow, no Azure SDK. It reads bodies as the Batch data plane sends them
(plain dicts) with nothing taken for granted: Azure's models call nearly every field optional, enums
change case between planes, and recorded, documented and specified shapes differ. What is missing or
not understood is never taken for readiness.

Source: Batch data plane, operations ``Pools_GetPool``, ``Nodes_ListNodes``, ``Nodes_ListNodeExtensions``;
the how-to "Use extensions with Batch pools"; recorded traffic of the SDKs' tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache

from airflow_batchext.batch.node_counts import counts, pair
from airflow_batchext.batch.provider_errors import provider_errors
from airflow_batchext.batch.resize_codes import FATAL_RESIZE_CODES
from airflow_batchext.loose_json.values import (
    as_mapping,
    as_name,
    as_sequence,
    as_text,
    below,
    read_json,
    total,
    visible,
)
from airflow_batchext.secrets.redact import redact_text

#: A node in one of these states has a VM whose extensions' success counts. ``creating`` is among them:
#: recorded nodes were still ``creating`` when their extensions had all succeeded.
CARRYING_STATES = frozenset({"creating", "starting", "waitingforstarttask", "idle", "running", "offline"})

#: In these states there is no VM, or the one there is about to be another one: what its extensions said
#: is about the past, success and failure alike.
VOID_STATES = frozenset({"preempted", "deallocating", "deallocated", "rebooting", "reimaging", "upgradingos"})

#: In one of these states a node may be when a gate opens: there is a machine, and its extensions are asked.
#: (Of a node whose state is ``unknown`` nobody knows whether it has one.)
MACHINE_STATES = CARRYING_STATES | {"unusable", "starttaskfailed"}

#: Joining the pool: the VM behind the node may be new though ``lastBootTime`` is still missing or old.
JOINING_STATES = frozenset({"creating", "starting", "waitingforstarttask"})

#: Broken, perhaps for good: Batch keeps trying to recover such a node for a while.
BROKEN_STATES = frozenset({"unusable", "starttaskfailed"})

#: On its way out: it owes the gate nothing.
LEAVING_STATE = "leavingpool"

#: The extension that Batch itself puts on every node, to install its agent; nobody else may use its name.
BATCH_OWN_EXTENSION = "batchNodeExtension"

#: Joining, and without a sign yet that Batch's agent runs there: in later states it has reported to Batch.
AGENTLESS_STATES = frozenset({"creating", "starting"})

#: Errors of a node after which it runs no task, whatever its state says: Microsoft's pages "Node in unusable
#: state" (agent, disk, mounts; the first one ``starting``, too) and "Pool and node errors" (packages).
FATAL_NODE_CODES = frozenset(
    {"batchagentinstallationfailure", "diskfull", "mountconfigurationerror", "applicationpackageerror"}
)

#: The item of a pool's metadata in which a repair (``airflow_batchext.repair``) writes down what it is at.
REPAIR_ITEM = "batchext-repair"
#: The one that says which run of a DAG made the pool for itself (``airflow_batchext.origin``).
RUN_ITEM = "batchext-run"
#: Items of a pool's metadata that no document is about.
OWN_ITEMS = (REPAIR_ITEM, RUN_ITEM)

_TIME = re.compile(r"(?P<seconds>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?P<rest>\.\d+)?(Z|\+00:00)")
_CODE_PREFIX = "provisioningstate/"
_SHOWN_CHARACTERS = 600
#: So much of a text, and of what is shown of it, is looked at: no word is cut that a secret may begin.
_LOOKED_AT = 4_500


class Phase(str, Enum):
    """How far an extension is on one node."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension on one node, as last reported.

    ``code`` and ``message`` are those that decided the phase, as the service spelt them; ``upgrades_itself``
    says that the platform may upgrade it at any time.
    """

    name: str
    instance_name: str
    phase: Phase
    code: str
    message: str
    upgrades_itself: bool = False


@dataclass(frozen=True, slots=True)
class NodeError:
    """An error that a node tells: the code, and all of it in a line."""

    code: str
    text: str

    @property
    def fatal(self) -> bool:
        """Whether no task will run on the node, whatever its state says."""
        return self.code.lower() in FATAL_NODE_CODES


@dataclass(frozen=True, slots=True)
class Node:
    """One compute node. ``state`` is in lower case, "" where the service said none.

    ``is_busy`` says that it runs tasks.
    """

    id: str
    state: str
    last_boot_time: str
    state_since: str
    errors: tuple[NodeError, ...]
    allocated: str = ""
    is_dedicated: bool = True
    is_busy: bool = False

    @property
    def leaving(self) -> bool:
        """Whether the node is on its way out of the pool."""
        return self.state == LEAVING_STATE

    @property
    def boot(self) -> tuple[str, str, str]:
        """What must stay equal for an earlier success to hold: the same node on the same boot.

        Node id and ``allocationTime`` survive a preemption, ``lastBootTime`` does not; while a node
        joins, it may still be the old one, so there the time of the state change counts too.
        """
        return (self.id, self.last_boot_time, self.state_since if self.state in JOINING_STATES else "")

    @property
    def is_void(self) -> bool:
        """Whether what its extensions say is of the past: it has no machine, or boots again."""
        return self.state in VOID_STATES or self.boots_again

    @property
    def boots_again(self) -> bool:
        """Whether it has begun to join anew, and tells of no boot since: of an earlier one it does.

        A node that joins for the first time has no boot time until it has booted; one that comes back after a
        reboot or a reimage still shows the old one, and what else it shows may be as old.
        """
        if self.state not in ("creating", "starting"):
            return False
        booted, since = epoch_seconds(self.last_boot_time), epoch_seconds(self.state_since)
        return booted is not None and since is not None and booted < since


@dataclass(frozen=True, slots=True)
class ResizeError:
    """Why a resize ended short of its target: the code, and all of it in a line."""

    code: str
    text: str

    @property
    def fatal(self) -> bool:
        """Whether nothing will bring the nodes as things are."""
        return self.code.lower() in FATAL_RESIZE_CODES


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool, with enum-like fields in lower case.

    ``target`` and ``current`` count dedicated and low-priority nodes together, ``targets`` and ``currents``
    each of the two; None where the service did not say. ``upgrades_itself`` names the extensions that the
    platform may upgrade at any time; ``unscaled`` says why the target is not yet what the pool's own formula
    makes it, "" if it is or there is none; ``repair_target`` is what the target was before a repair began to
    replace nodes, None if none does.
    """

    id: str
    state: str
    allocation_state: str
    allocation_since: str
    created: str
    target: int | None
    current: int | None
    extension_names: tuple[str, ...]
    resize_errors: tuple[ResizeError, ...] = ()
    autoscale: bool = False
    upgrades_itself: frozenset[str] = frozenset()
    repair_target: int | None = None
    targets: tuple[int, int] | None = None
    currents: tuple[int, int] | None = None
    unscaled: str = ""

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """What must be equal in two reads for them to be about the same moment of the pool."""
        resize = (self.allocation_state, self.allocation_since, self.target, self.targets)
        return (self.state, self.created, self.unscaled, *resize)


def read_extension(body: object) -> Extension:
    """Read one item of a node's extension list (or one ``GET`` of an extension).

    The verdict follows ``instanceView.statuses``: codes are compared in lower case and by prefix
    (``ProvisioningState/failed/1`` is a failure), ``level`` is ignored (a number on the wire, a word in
    the specification), ``subStatuses`` too. Without such a status ``provisioningState`` decides. Where the
    two contradict each other, success and failure alike, the extension is pending.
    """
    item = as_mapping(body)
    vm_extension = as_mapping(item.get("vmExtension"))
    view = as_mapping(item.get("instanceView"))
    provisioning = as_name(item.get("provisioningState"))
    instance_name = as_name(view.get("name"))

    decisive = Phase.PENDING
    code, message = provisioning, ""
    statuses = [
        as_mapping(status)
        for status in as_sequence(view.get("statuses"))
        if as_name(below(status, "code")).lower().startswith(_CODE_PREFIX)
    ]
    if statuses:
        phases = [_phase_of_code(as_name(status.get("code"))) for status in statuses]
        decisive = next(phase for phase in (Phase.FAILED, Phase.PENDING, Phase.SUCCEEDED) if phase in phases)
        status = statuses[phases.index(decisive)]
        code = as_name(status.get("code"))
        message = as_text(status.get("message")) or as_text(status.get("displayStatus"))
        if provisioning and decisive is not Phase.PENDING and decisive is not _phase_of_code(provisioning):
            decisive = Phase.PENDING
            message = f"provisioningState is {provisioning}, while the status says: {message}"
    elif provisioning:
        decisive = _phase_of_code(provisioning)
    return Extension(
        name=as_name(vm_extension.get("name")) or instance_name,
        instance_name=instance_name,
        phase=decisive,
        code=code,
        message=message,
        upgrades_itself=vm_extension.get("enableAutomaticUpgrade") is True,
    )


def _phase_of_code(code: str) -> Phase:
    word = code.lower().removeprefix(_CODE_PREFIX)
    if word == "succeeded":
        return Phase.SUCCEEDED
    if word.split("/", 1)[0] in ("failed", "canceled", "cancelled"):
        return Phase.FAILED
    return Phase.PENDING


def find_extension(extensions: Sequence[Extension], name: str) -> Extension | None:
    """The extension of that name, or None; the least advanced one if the node lists it twice.

    Names compare without case. Microsoft's how-to shows an item whose ``vmExtension.name`` is another
    than the one that was asked for while ``instanceView.name`` is that one; so the latter serves where
    the former finds nothing.
    """
    wanted = name.lower()
    found = [e for e in extensions if e.name.lower() == wanted] or [
        e for e in extensions if e.instance_name.lower() == wanted
    ]
    if len(found) < 2:
        return found[0] if found else None
    order = (Phase.FAILED, Phase.PENDING, Phase.SUCCEEDED)
    return min(found, key=lambda e: order.index(e.phase))


def read_node(body: object) -> Node:
    """Read one item of a pool's node list."""
    item = as_mapping(body)
    state, running = as_name(item.get("state")).lower(), item.get("runningTasksCount")
    return Node(
        id=as_name(item.get("id")),
        state=state,
        last_boot_time=as_name(item.get("lastBootTime")),
        state_since=as_name(item.get("stateTransitionTime")),
        errors=tuple(
            NodeError(as_name(below(error, "code")), _error_text(error))
            for error in as_sequence(item.get("errors"))
        ),
        allocated=as_name(item.get("allocationTime")),
        is_dedicated=item.get("isDedicated") is not False,
        is_busy=state == "running" or (isinstance(running, int) and running > 0),
    )


def read_pool(body: object) -> Pool:
    """Read the body of ``GET /pools/{id}`` of the data plane."""
    item = as_mapping(body)
    machine = as_mapping(item.get("virtualMachineConfiguration"))
    extensions = [as_mapping(extension) for extension in as_sequence(machine.get("extensions"))]
    names = [as_name(extension.get("name")) for extension in extensions]
    targets, currents = counts(item, "target"), counts(item, "current")
    return Pool(
        id=as_name(item.get("id")),
        state=as_name(item.get("state")).lower(),
        allocation_state=as_name(item.get("allocationState")).lower(),
        allocation_since=as_name(item.get("allocationStateTransitionTime")),
        created=as_name(item.get("creationTime")),
        target=total(*targets),
        current=total(*currents),
        targets=pair(*targets),
        currents=pair(*currents),
        extension_names=tuple(name for name in names if name),
        resize_errors=tuple(
            ResizeError(as_name(below(error, "code")), _error_text(error))
            for error in as_sequence(item.get("resizeErrors"))
        ),
        autoscale=item.get("enableAutoScale") is True,
        upgrades_itself=frozenset(
            as_name(extension.get("name")).lower()
            for extension in extensions
            if extension.get("enableAutomaticUpgrade") is True
        ),
        unscaled=_unscaled(item),
        repair_target=_repair_target(item),
    )


def _unscaled(pool: Mapping[str, object]) -> str:
    """Why the target of a pool that scales itself is not what its formula makes it, or ""."""
    if pool.get("enableAutoScale") is not True:
        return ""
    run = as_mapping(pool.get("autoScaleRun"))
    if not run:
        return "has not been evaluated yet"
    return f"could not be evaluated: {_error_text(run['error'])}" if run.get("error") else ""


def _repair_target(pool: Mapping[str, object]) -> int | None:
    """What the target was before the repair that the pool's journal tells of, as far as that still holds.

    A repair lowers the targets to some that it has written down, and for so long as it writes down. Other
    targets, or a resize after that, are somebody else's.
    """
    items = map(as_mapping, as_sequence(pool.get("metadata")))
    written = next((as_text(item.get("value")) for item in items if item.get("name") == REPAIR_ITEM), "")
    journal = as_mapping(read_json(written))
    lowered = [
        pair(*both) for both in map(as_sequence, as_sequence(journal.get("lowered"))) if len(both) == 2
    ]
    now = pair(*counts(pool, "target"))
    resized, until = epoch_seconds(as_name(pool.get("allocationStateTransitionTime"))), journal.get("until")
    is_later = resized is not None and isinstance(until, (int, float)) and 0 < until < resized
    if is_later or (lowered and now not in lowered):
        return None
    return total(*as_sequence(journal.get("targets")))


@lru_cache(maxsize=8192)  # each look compares the same times of each node
def epoch_seconds(time: str) -> float | None:
    """A time of the service (``2026-01-01T00:00:00.1234567Z``) in seconds since the epoch, or None."""
    match = _TIME.fullmatch(time)
    if match is None:
        return None
    try:
        return datetime.fromisoformat(f"{match['seconds']}+00:00").timestamp() + float(match["rest"] or 0)
    except ValueError:
        return None


def one_line(text: str, limit: int = _SHOWN_CHARACTERS) -> str:
    """Text from a machine, made safe for a log line or an error: one line, bounded, nothing invisible.

    Line ends, control characters, right-to-left marks and the like are shown as escapes; what looks like a
    secret is hidden.
    """
    shown = visible(redact_text(text.strip(), max(limit, _LOOKED_AT) + _LOOKED_AT))
    if len(shown) <= limit:
        return shown
    return f"{shown[:limit]}… ({len(text):,} characters in all)"


def _error_text(body: object) -> str:
    """One resize error or node error in a line: code, message, and the details it carries."""
    error = as_mapping(body)
    details = []
    for value in [*as_sequence(error.get("values")), *as_sequence(error.get("errorDetails"))]:
        name, told = as_text(below(value, "name")), as_text(below(value, "value"))
        if name.endswith("Json Truncated"):
            continue
        errors = told_by_provider(told) if name.endswith("Json") else []
        details += errors or [f"{name}={told}"]
    text = f"{as_text(error.get('code')) or 'no code'}: {as_text(error.get('message')) or 'no message'}"
    return one_line(f"{text} ({'; '.join(details)})" if details else text)


def told_by_provider(text: str) -> list[str]:
    """What the provider of the machines says in its JSON, each error on a line; nothing if it is none."""
    return [f"{one_line(code)}: {one_line(message)}" for code, message in provider_errors(text)]
