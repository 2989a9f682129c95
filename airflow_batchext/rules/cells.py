"""How a node, and an extension on it, look in a picture of a pool: the report's, and the live page's.

Pure: no I/O, no clock, no Airflow.
"""

from __future__ import annotations

from typing import Final, Literal

from airflow_batchext.batch.data_plane import VOID_STATES, Phase

Kind = Literal["failed", "pending", "unread", "void", "ready"]
#: The kinds of cells, the worst first.
KINDS: Final[tuple[Kind, ...]] = ("failed", "pending", "unread", "void", "ready")
_KIND_OF: Final[dict[Phase, Kind]] = {
    Phase.FAILED: "failed",
    Phase.PENDING: "pending",
    Phase.SUCCEEDED: "ready",
}


def node_kind(phase: Phase, state: str, *, is_unread: bool) -> Kind:
    """The kind of a node's own cell.

    :param phase: how far it is, by the rules of the gate.
    :param is_unread: whether its extensions could not be, or have not been, read.
    """
    if phase is Phase.PENDING:
        return "void" if state in VOID_STATES else "unread" if is_unread else "pending"
    return _KIND_OF[phase]


def extension_kind(state: str, phase: Phase | None, *, is_unread: bool, is_expected: bool) -> Kind:
    """The kind of the cell of one extension on one node.

    :param state: of the node.
    :param phase: of the extension; None where the node does not list it.
    :param is_expected: whether the gate waits for it.
    """
    if state in VOID_STATES:
        return "void"
    if is_unread:
        return "unread"
    if phase is None:
        return "pending" if is_expected else "void"
    return _KIND_OF[phase]
