"""The rules of the gate for one node: what its state, its errors and its extensions have against it.

Pure, as ``gate``, where the rules and what is reported stand.

A node never runs a task where Batch's agent could not be installed: Batch's own extension
(``batchNodeExtension``) failed on it, or one of its errors is among ``data_plane.FATAL_NODE_CODES``; its
state may be any. Once a node is ``waitingforstarttask``, ``idle`` or ``running``, its agent has reported to
Batch: an own extension that is not done is waited for no longer there (who wants it to be names it among
``extension_names``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from airflow_batchext.batch.data_plane import (
    AGENTLESS_STATES,
    BATCH_OWN_EXTENSION,
    BROKEN_STATES,
    VOID_STATES,
    Extension,
    Node,
    Phase,
    epoch_seconds,
    find_extension,
    one_line,
)
from airflow_batchext.rules.gate import NodeReport, Rules


def node_report(
    node: Node,
    rules: Rules,
    expected: Sequence[str],
    extensions: Sequence[Extension],
    now: float,
    first_seen: float,
    *,
    read_at: float | None = None,
    is_doubtful: bool = False,
) -> NodeReport:
    """What a node's state and its extensions mean for the gate.

    :param extensions: as last read on this boot of the node.
    :param now: the service's time, in seconds since the epoch.
    :param first_seen: when the node was first seen in this state, for states without a time.
    :param read_at: when they were read; None if they were not.
    :param is_doubtful: a failure may still be that of the boot before.
    """
    failed: list[str] = []
    missing: list[str] = []
    where = f"node {node.id} ({node.state or 'no state'})"
    broken, said = _state_misses(node, rules, expected, extensions)
    if broken and _seconds_in_state(node, now, first_seen) >= rules.node_grace:
        failed.append(f"{said} for more than {rules.node_grace:g} seconds")
    elif said:
        missing.append(said)
    codes: dict[str, str] = {}
    for name in expected:
        extension = find_extension(extensions, name)
        codes[name] = extension.code if extension else ""
        if node.is_void:
            continue  # what it reports is about a machine of the past: its state says all there is
        if extension is None:
            missing.append(f"{where} does not list extension {name} yet")
            continue
        if extension.phase is Phase.SUCCEEDED:
            continue
        said = f"{where}: {_reports(extension, name)}"
        if extension.phase is Phase.FAILED and is_doubtful:
            missing.append(f"{said} (which may be of the boot before)")
        elif extension.phase is Phase.FAILED and node.state:  # without a state it may be one that leaves
            failed.append(said)
        else:
            missing.append(said)
    return NodeReport(
        node.state, codes, tuple(failed), tuple(missing), is_dedicated=node.is_dedicated, read_at=read_at
    )


def _seconds_in_state(node: Node, now: float, first_seen: float) -> float:
    since = epoch_seconds(node.state_since)
    return now - (first_seen if since is None or since > now else since)


def agent_troubles(node: Node, expected: Sequence[str], extensions: Sequence[Extension]) -> tuple[str, ...]:
    """Why no task will ever run on a node that has a machine, in words; empty if nothing says so.

    :param expected: the extensions that the gate waits for; Batch's own is judged like any other among them.
    """
    if not node.state or node.state in VOID_STATES:
        return ()  # without a state it may be one that leaves
    # A failure of the boot before has until the end of the grace time to be told anew.
    own = _own_extension(expected, extensions)
    said = [_reports(own, own.name)] if own is not None and own.phase is Phase.FAILED else []
    return (*said, *(error.text for error in node.errors if error.fatal))


def extensions_phase(state: str, expected: Sequence[str], extensions: Sequence[Extension]) -> Phase:
    """How far a node is by its extensions: as far as the least advanced of those that count in its state."""
    found = [find_extension(extensions, name) for name in expected]
    phases = [extension.phase if extension else Phase.PENDING for extension in found]
    own = _own_extension(expected, extensions)
    if own is not None and (own.phase is Phase.FAILED or state in AGENTLESS_STATES):
        phases.append(own.phase)
    return next((phase for phase in (Phase.FAILED, Phase.PENDING) if phase in phases), Phase.SUCCEEDED)


def _own_extension(expected: Sequence[str], extensions: Sequence[Extension]) -> Extension | None:
    """Batch's own extension, unless the gate waits for it as for the others."""
    if BATCH_OWN_EXTENSION.lower() in map(str.lower, expected):
        return None
    return find_extension(extensions, BATCH_OWN_EXTENSION)


def _reports(extension: Extension, name: str) -> str:
    message = f": {one_line(extension.message)}" if extension.message else ""
    code = one_line(extension.code) or "no status"
    return f"extension {name} reports {code}{message}"


def _state_misses(
    node: Node, rules: Rules, expected: Sequence[str], extensions: Sequence[Extension]
) -> tuple[bool, str]:
    """What a node's state, its errors and Batch's own extension have against it, and whether it is broken."""
    where = f"node {node.id} ({node.state or 'no state'})"
    troubles = agent_troubles(node, expected, extensions)
    others = [error.text for error in node.errors if error.text not in troubles]
    if not rules.allows(node.state) and (node.state in BROKEN_STATES or not troubles):
        told = [*troubles, *others]
        said = f"node {node.id} is {node.state or 'in no known state'}"
        return node.state in BROKEN_STATES, f"{said} ({'; '.join(told)})" if told else said
    if troubles:
        return True, f"{where} will never run a task: {'; '.join(troubles)}"
    if node.boots_again:
        return False, f"node {node.id} is {node.state} and has not told of its new boot yet"
    if node.state in AGENTLESS_STATES:
        if others:
            return False, f"{where} tells of an error: {'; '.join(others)}"
        own = _own_extension(expected, extensions)
        if own is not None and own.phase is not Phase.SUCCEEDED:
            return False, f"{where}: {_reports(own, own.name)}"
    return False, ""


def unread_report(
    node: Node, rules: Rules, expected: Sequence[str], now: float, first_seen: float, why: str = ""
) -> NodeReport:
    """The report on a node whose extensions nobody has read on this boot, or could not.

    :param why: why they could not be read; "" if nobody has tried.
    """
    state = node_report(node, rules, (), (), now, first_seen)
    said = f" could not be read: {why}" if why else " have not been read yet"
    missing, unread = state.missing, state.ready
    if not node.is_void:
        missing += (f"extensions of node {node.id}{said}",)
    return replace(state, codes=dict.fromkeys(expected, ""), missing=missing, unread=unread)
