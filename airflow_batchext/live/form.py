"""What one waiting task knows at one moment, as the live page shows it; ``live.snapshot`` stores it.

Pure: no I/O, no clock, no Airflow. All times are seconds since the epoch, by the clock of the machine that
waits: those of readings, which the service tells, are moved to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from airflow_batchext.rules.cells import KINDS, Kind

WaitKind = Literal["gate", "create", "update", "resize", "delete", "repair", "work", "events"]
WAIT_KINDS: Final[tuple[str, ...]] = get_args(WaitKind)
Mode = Literal["deferrable", "start_from_trigger", "poke", "reschedule", "worker", "watcher"]
MODES: Final[tuple[str, ...]] = get_args(Mode)
Outcome = Literal["waiting", "done", "failed", "timeout", "refused"]
OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)

#: The letter of each kind of cell.
LETTERS: Final[dict[Kind, str]] = {kind: kind[0] for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many nodes are how far.

    :param wanted: how many there should be; None where that is not known.
    :param unread: of the pending ones, how many have not been read, or could not be.
    """

    wanted: int | None = None
    ready: int = 0
    pending: int = 0
    failed: int = 0
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Field:
    """A cell for each node, as a letter (``LETTERS``); all fields have the nodes in the same order.

    :param name: of the extension; "" for the nodes themselves.
    """

    name: str
    cells: str


@dataclass(frozen=True, slots=True)
class ExtensionSaid:
    """What one extension on one node said."""

    name: str
    kind: Kind
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class NodeSaid:
    """A node that is not ready.

    :param since: since when it is in its state; None where that is not known.
    :param read: when its extensions were read; None if they were not.
    :param says: why it is not ready, in the gate's words.
    """

    id: str
    kind: Kind
    state: str = ""
    since: float | None = None
    read: float | None = None
    is_dedicated: bool = True
    says: tuple[str, ...] = ()
    extensions: tuple[ExtensionSaid, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """A pool's nodes.

    :param fields: the nodes' own first, then one for each extension; empty where nothing is known of nodes.
    :param ages: for each node in the fields' order, how many seconds before the look its extensions were
        read; None if they were not.
    :param nodes: those that are not ready: the first ones in the order of the fields.
    """

    counts: Counts = Counts()
    fields: tuple[Field, ...] = ()
    ages: tuple[int | None, ...] = ()
    nodes: tuple[NodeSaid, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """That something was otherwise than at the look before."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Point:
    """How many nodes were ready, and had failed, from then on; of work, how many tasks had succeeded."""

    at: float
    ready: int
    failed: int = 0


@dataclass(frozen=True, slots=True)
class RepairStep:
    """What was done to one node.

    :param step: ``reboot``, ``reimage`` or ``replace``.
    :param why: what it was done for.
    :param result: what came of it (``repair.journal.STATES``).
    """

    node: str
    step: str
    why: str = ""
    result: str = ""


@dataclass(frozen=True, slots=True)
class RepairSaid:
    """How far a repair is."""

    text: str = ""
    steps: tuple[RepairStep, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkSaid:
    """How far the Batch tasks of one operator are.

    :param jobs: in which jobs of Azure Batch they are.
    :param waiting: how many have no node yet.
    :param running: how many have one.
    :param failed: how many have ended, and not well.
    """

    jobs: tuple[str, ...] = ()
    waiting: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """Where more is to be seen."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one waiting task knows.

    :param account: the Batch account's name or host; "" where the connection does not tell it.
    :param rules: for what is waited, in words.
    :param started: since when.
    :param deadline: until when; None for ever.
    :param interval: seconds between two looks.
    :param looked: when it was looked last; None before the first look.
    :param next_look: when it is to be looked next; None once it has ended.
    :param stale_at: from when on nobody looks any more, if nothing newer is written by then; None once it
        has ended.
    :param summary: how far it is, in a line.
    :param reasons: what is waited for, or why it has ended.
    :param causes: once it has failed: the likeliest cause with what helps first.
    :param more: once it has failed: the command that tells the rest.
    :param capped: what was left out, in words.
    """

    kind: WaitKind
    pool: str
    connection: str = ""
    account: str = ""
    mode: Mode = "deferrable"
    rules: str = ""
    started: float | None = None
    deadline: float | None = None
    interval: float | None = None
    looked: float | None = None
    next_look: float | None = None
    stale_at: float | None = None
    outcome: Outcome = "waiting"
    summary: str = ""
    reasons: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    picture: Picture = Picture()
    history: tuple[Change, ...] = ()
    points: tuple[Point, ...] = ()
    repair: RepairSaid | None = None
    work: WorkSaid | None = None
    causes: tuple[str, ...] = ()
    more: str = ""
    links: tuple[Link, ...] = ()
    capped: tuple[str, ...] = ()
