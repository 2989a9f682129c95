"""The types of a snapshot, and their JSON."""

# Annotations are values here: pydantic would look for their names in the package that the classes name.
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from airflow_batchext.batch.data_plane import JOINING_STATES, LEAVING_STATE, Phase

if TYPE_CHECKING:
    from pydantic import TypeAdapter

#: Of the JSON. It is raised when a member changes its meaning or goes; new members come without.
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """An error that the service tells of a pool, a node or a start task.

    :param code: the service's, such as ``AllocationTimedout``.
    :param message: its text, without secrets.
    :param details: what it says besides, as pairs of name and value.
    :param unfolded: of a resize: all of it in a line, with the provider's own error and with advice.
    """

    code: str
    message: str
    details: tuple[tuple[str, str], ...] = ()
    unfolded: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """One status or sub-status of an extension, as it was sent.

    :param code: such as ``ProvisioningState/succeeded``.
    :param level: ``Info``, ``Warning`` or ``Error``, or the service's number for it, as text.
    :param display: the short form (``displayStatus``).
    :param message: what the extension says, without secrets.
    :param time: when it said so, "" where that was not told.
    """

    code: str
    level: str
    display: str
    message: str
    time: str = ""


@dataclass(frozen=True, slots=True)
class ExtensionAsked:
    """One extension as the pool's document asks for it. Protected settings are not known, nor asked for.

    :param name: its name in the pool.
    :param publisher: who publishes it.
    :param type: what the publisher calls it.
    :param version: that is asked for (``typeHandlerVersion``).
    :param settings: with what looks secret hidden; parsed where they came as text.
    :param settings_as_text: whether they came as text.
    :param after: the extensions that it has to wait for.
    :param upgrades_itself: whether Azure may upgrade it on nodes that are up (``enableAutomaticUpgrade``).
    """

    name: str
    publisher: str
    type: str
    version: str
    settings: Any = None
    settings_as_text: bool = False
    after: tuple[str, ...] = ()
    upgrades_itself: bool = False


@dataclass(frozen=True, slots=True)
class ExtensionHealth:
    """One extension on one node.

    :param name: its name in the pool, or ``batchNodeExtension``, which is Batch's own.
    :param phase: how far it is: ``succeeded``, ``pending`` or ``failed``, by the rules of the gate.
    :param code: the code that decided the phase, as the service spelt it.
    :param message: what the extension says, redacted, in all its lines: not safe for a log line as it is.
    :param publisher: who publishes it, as the node says.
    :param type: what the publisher calls it.
    :param version: as the node says.
    :param expected: whether the gate waits for it; Batch's own extension it does not wait for.
    :param time: of the status that decided, where the service says so.
    :param statuses: of its ``instanceView``, as they were sent.
    :param substatuses: of its ``instanceView``, too.
    :param settings: with what looks secret hidden.
    """

    name: str
    phase: Phase
    code: str
    message: str
    publisher: str
    type: str
    version: str
    expected: bool
    time: str = ""
    statuses: tuple[Status, ...] = ()
    substatuses: tuple[Status, ...] = ()
    settings: Any = None


@dataclass(frozen=True, slots=True)
class StartTaskHealth:
    """The start task of a node.

    :param state: ``running`` or ``completed``.
    :param result: ``success`` or ``failure``, "" while it runs.
    :param exit_code: of its command; None where that has not ended, or did not begin.
    :param retries: how often it was tried again; None where the service did not say.
    :param started: when it last began.
    :param ended: when it ended, "" while it runs.
    :param failure: why it failed, if it did.
    """

    state: str
    result: str
    exit_code: int | None
    retries: int | None
    started: str = ""
    ended: str = ""
    failure: Fault | None = None


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """One node, its extensions, and what the gate makes of them.

    :param id: such as ``tvmps_…_d``.
    :param state: in lower case, "" where the service said none.
    :param state_since: when it came into that state.
    :param allocated: when the pool got it.
    :param last_boot: when it last booted, "" where it has not yet.
    :param dedicated: whether it is no low-priority or Spot node; None where the service did not say.
    :param scheduling: ``enabled`` or ``disabled``, "" where the service did not say.
    :param running_tasks: how many tasks run on it; None where the service did not say.
    :param errors: what the service says is wrong with it.
    :param start_task: how its start task stands; None where the pool has none, or it has not begun.
    :param extensions: as read; empty where they were not.
    :param unread: why its extensions could not be read, "" where they were, or where nobody asks a node
        for them that has no machine now (one that is preempted, say) or is leaving.
    :param failed: why the gate calls it failed, in the gate's words; empty if it does not.
    :param missing: what the gate still waits for on it, in the gate's words.
    """

    id: str
    state: str
    state_since: str
    allocated: str
    last_boot: str
    dedicated: bool | None
    scheduling: str
    running_tasks: int | None
    errors: tuple[Fault, ...] = ()
    start_task: StartTaskHealth | None = None
    extensions: tuple[ExtensionHealth, ...] = ()
    unread: str = ""
    failed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def leaving(self) -> bool:
        """Whether it is on its way out of the pool: it owes the gate nothing, and counts nowhere."""
        return self.state == LEAVING_STATE

    @property
    def phase(self) -> Phase:
        """How far the node is, by the rules of the gate."""
        if self.failed:
            return Phase.FAILED
        return Phase.PENDING if self.missing else Phase.SUCCEEDED

    @property
    def boot(self) -> tuple[str, str, str]:
        """What is equal in two snapshots as long as it is the same node on the same boot."""
        return (self.id, self.last_boot, self.state_since if self.state in JOINING_STATES else "")


@dataclass(frozen=True, slots=True)
class Count:
    """How many nodes are so far, and since when.

    :param nodes: how many.
    :param since: since when the one that has been so for longest; "" if not known.
    """

    nodes: int
    since: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """The nodes of a pool by how far they are.

    :param wanted: how many the pool (or the rule) wants; None where that is not known.
    :param ready: those on which all is as the gate wants it.
    :param pending: those on which something is still waited for.
    :param failed: those that the gate calls failed.
    :param unread: of the pending ones, how many could not be read.
    """

    wanted: int | None
    ready: Count
    pending: Count
    failed: Count
    unread: int = 0


@dataclass(frozen=True, slots=True)
class PoolHealth:
    """How a pool is.

    Times are the service's texts (``2026-01-31T12:00:00.1234567Z``), "" where it said none.

    :param id: the pool's name.
    :param taken_at: when it was read, by the service's clock, in seconds since the epoch.
    :param outcome: what the gate would do: ``open``, ``wait`` or ``fail``.
    :param summary: how far it is and what it waits for, in one line, in the gate's words.
    :param reasons: all that it waits for or fails for, in the gate's words.
    :param unread: why pool or node list could not be read at all, "" if they were. What is missing then is
        empty, not known to be nothing.
    :param refused: whether that was for want of permission.
    :param state: of the pool: ``active`` or ``deleting``.
    :param state_since: when it came into that state.
    :param created: when it was created.
    :param allocation_state: ``steady``, ``resizing`` or ``stopping``.
    :param allocation_since: when it came into that state.
    :param target_dedicated: how many dedicated nodes it is to have; None where the service did not say.
    :param target_low_priority: how many low-priority or Spot nodes it is to have.
    :param current_dedicated: how many dedicated nodes it has.
    :param current_low_priority: how many low-priority or Spot nodes it has.
    :param resize_timeout: how long Azure tries to get its nodes, as ISO 8601 writes it (``PT15M``).
    :param vm_size: of its machines.
    :param image: ``publisher``, ``offer``, ``sku``, ``version``, or ``virtualMachineImageId`` of one's own.
    :param node_agent: the SKU of the agent on its nodes.
    :param secure_boot: whether the pool asks for it; None where it does not say.
    :param subnet: the resource id of the subnet that its nodes are in, "" where not said.
    :param public_addresses: how nodes get public IP addresses (``batchmanaged``, …), "" where not said.
    :param identities: the pool's managed identities: client id ("" if not told) by resource id.
    :param autoscale: whether a formula says how many nodes it has.
    :param autoscale_error: why the formula could not be evaluated the last time.
    :param resize_errors: why the last resize did not bring all nodes.
    :param expected: the extensions that the gate waits for.
    :param extensions: as the pool asks for them.
    :param totals: its nodes by how far they are.
    :param nodes: as the service listed them.
    :param schema_version: of the JSON: it rises when a member changes its meaning or goes.
    """

    id: str
    taken_at: float
    outcome: Literal["open", "wait", "fail"]
    summary: str
    reasons: tuple[str, ...] = ()
    unread: str = ""
    refused: bool = False
    state: str = ""
    state_since: str = ""
    created: str = ""
    allocation_state: str = ""
    allocation_since: str = ""
    target_dedicated: int | None = None
    target_low_priority: int | None = None
    current_dedicated: int | None = None
    current_low_priority: int | None = None
    resize_timeout: str = ""
    vm_size: str = ""
    image: Mapping[str, str] = field(default_factory=dict)
    node_agent: str = ""
    secure_boot: bool | None = None
    subnet: str = ""
    public_addresses: str = ""
    identities: Mapping[str, str] = field(default_factory=dict)
    autoscale: bool = False
    autoscale_error: Fault | None = None
    resize_errors: tuple[Fault, ...] = ()
    expected: tuple[str, ...] = ()
    extensions: tuple[ExtensionAsked, ...] = ()
    totals: Totals = Totals(None, Count(0), Count(0), Count(0))
    nodes: tuple[NodeHealth, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def node(self, node_id: str) -> NodeHealth | None:
        """The node of that id, or None.

        :param node_id: such as ``tvmps_…_d``.
        """
        return next((node for node in self.nodes if node.id == node_id), None)

    def nodes_in(self, phase: Phase) -> list[NodeHealth]:
        """The nodes that are so far, as the service listed them; none that leaves.

        :param phase: ``succeeded``, ``pending`` or ``failed``.
        """
        return [node for node in self.nodes if node.phase is phase and not node.leaving]

    def asked(self, name: str) -> ExtensionAsked | None:
        """The extension of that name as the pool asks for it, or None.

        :param name: in any case.
        """
        return next((item for item in self.extensions if item.name.lower() == name.lower()), None)

    def failing_first(self) -> list[NodeHealth]:
        """All nodes: the failed ones, the pending ones, the ready ones."""
        order = (Phase.FAILED, Phase.PENDING, Phase.SUCCEEDED)
        return sorted(self.nodes, key=lambda node: order.index(node.phase))


def earliest(times: Iterable[str]) -> str:
    """The earliest of the service's times; "" if there is none."""
    return min((time for time in times if time), default="")


def to_json(health: PoolHealth) -> dict[str, Any]:
    """A snapshot as plain JSON.

    :param health: the snapshot.
    """
    found: dict[str, Any] = _adapter().dump_python(health, mode="json")
    return found


def from_json(data: Mapping[str, Any]) -> PoolHealth:
    """The snapshot that ``to_json`` wrote; members of a later version are passed over.

    :param data: the JSON, read.
    :raises ValueError: if it is none.
    """
    return _adapter().validate_python(data)


def json_schema() -> dict[str, Any]:
    """What the JSON looks like, as a JSON Schema."""
    return _adapter().json_schema(mode="serialization")


@cache
def _adapter() -> "TypeAdapter[PoolHealth]":
    from pydantic import TypeAdapter

    return TypeAdapter(PoolHealth)
