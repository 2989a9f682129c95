"""What a known cause is, and how it is looked for in a snapshot."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from airflow_batchext.batch.data_plane import AGENTLESS_STATES, VOID_STATES, Phase, epoch_seconds, one_line
from airflow_batchext.diagnosis._provider import reported

if TYPE_CHECKING:
    from airflow_batchext.health import ExtensionHealth, Fault, NodeHealth, PoolHealth

#: For so long an extension may be on its way without anything being wrong with it.
STUCK_SECONDS: Final = 600.0

Certainty = Literal["told", "elsewhere", "plausible"]
"""``told``: the service says so itself. ``elsewhere``: reported of ordinary machines, or of the service
that the extension asks. ``plausible``: it follows from the rules."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One place where a cause shows.

    :param said: what is seen there, in one safe line.
    :param node: the node, "" where it is the pool.
    :param extension: the extension on it, "" where it is the node itself.
    """

    said: str
    node: str = ""
    extension: str = ""


#: Finds the places where a cause shows.
Matcher = Callable[["PoolHealth"], "Iterator[Hit]"]


@dataclass(frozen=True, slots=True)
class Cause:
    """One known cause.

    :param id: stays the same for ever: programs decide by it.
    :param title: the cause in a few words.
    :param seen: how it shows.
    :param remedy: what to do about it.
    :param link: where to read on.
    :param evidence: where it was documented or reported.
    :param certainty: how well that is known.
    :param weight: how near it is to the root, from 0 to 100: what is told outright comes before what is
        inferred, and a cause before its consequences.
    :param document: whether it lies in the pool's document (identities, settings, image, size …), so that an
        extension that has succeeded on any node rules it out for this extension.
    :param matcher: finds the places where it shows.
    :param general: it holds only where nothing more particular explains the same place.
    """

    id: str
    title: str
    seen: str
    remedy: str
    link: str
    evidence: tuple[str, ...]
    certainty: Certainty
    weight: int
    matcher: Matcher
    general: bool = False
    document: bool = False


def short_of_nodes(health: PoolHealth) -> bool:
    """Whether the last resize ended without all nodes: only then its errors are about now."""
    current, target = sizes(health)
    return health.allocation_state == "steady" and current < target


def sizes(health: PoolHealth) -> tuple[int, int]:
    """How many nodes the pool has, and its target; both 0 where it does not say."""
    current = (health.current_dedicated, health.current_low_priority)
    target = (health.target_dedicated, health.target_low_priority)
    if current == (None, None) or target == (None, None):
        return (0, 0)
    return sum(filter(None, current)), sum(filter(None, target))


def resize(*codes: str, saying: str = "", without: str = "") -> Matcher:
    """Looks for an error of the last resize.

    :param codes: its code is one of these; none means any.
    :param saying: a pattern that its text has to match.
    :param without: a pattern that it must not match.
    """
    wanted = frozenset(code.lower() for code in codes)
    pattern, exception = _pattern(saying), _pattern(without)

    def matcher(health: PoolHealth) -> Iterator[Hit]:
        if not short_of_nodes(health):
            return
        for error in health.resize_errors:
            text = fault_text(error)
            if wanted and error.code.lower() not in wanted:
                continue
            if (saying and not pattern.search(text)) or (without and exception.search(text)):
                continue
            yield Hit(one_line(error.unfolded or text))

    return matcher


def node_error(*codes: str, saying: str = "") -> Matcher:
    """Looks for an error of a node, by its code or its text."""
    wanted = frozenset(code.lower() for code in codes)
    pattern = _pattern(saying)

    def matcher(health: PoolHealth) -> Iterator[Hit]:
        for node in staying(health):
            for error in node.errors:
                text = fault_text(error)
                if error.code.lower() in wanted or (saying and pattern.search(text)):
                    yield Hit(f"node {node.id} ({node.state or 'no state'}): {one_line(text)}", node.id)

    return matcher


def states(*wanted: str, but_for_errors: bool = False) -> Matcher:
    """Looks for nodes in one of these states.

    :param but_for_errors: only for those that tell no error.
    """

    def matcher(health: PoolHealth) -> Iterator[Hit]:
        for node in health.nodes:
            if node.state in wanted and not (but_for_errors and node.errors):
                since = f" since {node.state_since}" if node.state_since else ""
                told = ", and tells no error" if but_for_errors else ""
                yield Hit(f"node {node.id} is {node.state}{since}{told}", node.id)

    return matcher


def extension_says(
    *types: str, saying: str, phases: Iterable[Phase] = (Phase.FAILED, Phase.PENDING)
) -> Matcher:
    """Looks for an extension that says something.

    :param types: types of extensions; none means any.
    :param saying: a pattern in one of its messages or codes.
    """
    pattern, allowed = _pattern(saying), frozenset(phases)

    def matcher(health: PoolHealth) -> Iterator[Hit]:
        for node, extension in unready(health, *types):
            if extension.phase in allowed and pattern.search(said_by(extension)):
                yield hit(node, extension)

    return matcher


def unready(health: PoolHealth, *types: str) -> Iterator[tuple[NodeHealth, ExtensionHealth]]:
    """Extensions that failed or are on their way, with their nodes.

    :param types: in lower case; none means any.
    """
    listed = (
        (node, extension)
        for node in staying(health)
        if node.state not in VOID_STATES
        for extension in node.extensions
    )
    for node, extension in (*listed, *(reported(health) if short_of_nodes(health) else ())):
        if extension.phase is not Phase.SUCCEEDED and (
            not types or type_of(health, extension).lower() in types
        ):
            yield node, extension


def stuck(health: PoolHealth, *types: str) -> Iterator[tuple[NodeHealth, ExtensionHealth]]:
    """Of these, those that failed, or have been on their way for long."""
    for node, extension in unready(health, *types):
        if is_stuck(health, node, extension):
            yield node, extension


def is_stuck(health: PoolHealth, node: NodeHealth, extension: ExtensionHealth) -> bool:
    """Whether an extension that is not ready failed, or has been on its way for long."""
    # The first boot of a Windows node has been seen to take nine minutes, before anything could report.
    is_booting = node.state in AGENTLESS_STATES and not node.last_boot
    limit = 2 * STUCK_SECONDS if is_booting else STUCK_SECONDS
    return extension.phase is Phase.FAILED or pending_for(health, node, extension) >= limit


def pending_for(health: PoolHealth, node: NodeHealth, extension: ExtensionHealth) -> float:
    """For how many seconds an extension has been on its way, as far as can be told."""
    known = (extension.time, node.last_boot, node.allocated, node.state_since)
    since = next((seconds for time in known if (seconds := epoch_seconds(time)) is not None), health.taken_at)
    return health.taken_at - since


def staying(health: PoolHealth) -> Iterator[NodeHealth]:
    """The nodes that are not on their way out."""
    return (node for node in health.nodes if not node.leaving)


def type_of(health: PoolHealth, extension: ExtensionHealth) -> str:
    """An extension's type: as the node tells it, else as the pool asks for it."""
    asked = health.asked(extension.name)
    return extension.type or (asked.type if asked else "")


def said_by(extension: ExtensionHealth) -> str:
    """All that an extension says: its codes, messages and sub-statuses."""
    statuses = (*extension.statuses, *extension.substatuses)
    return "\n".join(
        [extension.code, extension.message, *(text for s in statuses for text in (s.code, s.message))]
    )


def hit(node: NodeHealth, extension: ExtensionHealth, why: str = "") -> Hit:
    """An extension in the gate's words, with what makes it a sign."""
    where = f"node {node.id} ({node.state or 'no state'})" if node.id else "the resize of the pool"
    said = f"{where}: {said_of(extension)}"
    return Hit(f"{said}; {why}" if why else said, node.id, extension.name)


def said_of(extension: ExtensionHealth) -> str:
    """What an extension reports, in the gate's words."""
    message = f": {one_line(extension.message, 300)}" if extension.message else ""
    return f"extension {extension.name} reports {one_line(extension.code) or 'no status'}{message}"


def fault_text(fault: Fault) -> str:
    """A fault in a text: code, message, details, and what was unfolded."""
    details = "; ".join(f"{name}={value}" for name, value in fault.details)
    return f"{fault.code}: {fault.message}" + (f" ({details})" if details else "")


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)
