"""A pool as a table for the terminal: what failed and what is on its way first, the ready ones counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from airflow_batchext.batch.data_plane import VOID_STATES, Phase, epoch_seconds, one_line
from airflow_batchext.batch.node_names import short_id

if TYPE_CHECKING:
    from rich.console import RenderableType

    from airflow_batchext.health import NodeHealth, PoolHealth

STYLES: Final = {Phase.SUCCEEDED: "green", Phase.PENDING: "yellow", Phase.FAILED: "bold red"}
MARKS: Final = {Phase.SUCCEEDED: "✔", Phase.PENDING: "…", Phase.FAILED: "✘"}
_OUTCOMES: Final = {
    "open": ("ready", "green"),
    "wait": ("not ready yet", "yellow"),
    "fail": ("failed", "bold red"),
}
_FEW: Final = 12


def pool_table(health: PoolHealth, most: int) -> RenderableType:
    """The table and what is above and below it.

    :param most: how many nodes are shown; ready ones only if all nodes are few.
    """
    word, style = _OUTCOMES[health.outcome]
    head = Text(f"pool {health.id}: ")
    head.append(word, style)
    if health.state:
        head.append(
            f"  ({health.state}, {health.allocation_state}{_age(health, health.allocation_since)})", "dim"
        )
    parts: list[RenderableType] = [head, *(Text(f"  {one_line(text, 400)}") for text in _told(health))]
    nodes = [node for node in health.failing_first() if not node.leaving]
    unready = [node for node in nodes if node.phase is not Phase.SUCCEEDED]
    shown = nodes if len(nodes) <= _FEW else unready
    if shown:
        parts.append(_nodes(health, shown[:most]))
    if more := shown[most:]:
        ready = sum(node.phase is Phase.SUCCEEDED for node in more)
        counts = (
            f"{len(more) - ready:,} more that are not ready" if len(more) > ready else "",
            f"{ready:,} more that are ready" if ready else "",
        )
        parts.append(Text("and " + " and ".join(filter(None, counts)), "dim"))
    totals = health.totals
    counted = (
        ("failed", totals.failed.nodes, "bold red"),
        ("pending", totals.pending.nodes, "yellow"),
        ("ready", totals.ready.nodes, "green"),
    )
    below = Text()
    for name, count, colour in counted:
        below.append(f"{count:,} {name}  ", colour if count else "dim")
    missing = max(0, (totals.wanted or 0) - len(nodes))
    if missing:
        below.append(f"{missing:,} not there yet", "dim")
    parts.append(below)
    parts += [Text(f"resize error: {one_line(error.unfolded)}", "red") for error in health.resize_errors]
    return Group(*parts)


def _told(health: PoolHealth) -> list[str]:
    """How far the pool is, and what it lacks itself; what its nodes lack stands in the table."""
    of_nodes = {sentence for node in health.nodes for sentence in (*node.failed, *node.missing)}
    progress = [] if health.unread else [health.summary.partition("; ")[0]]
    return [*progress, *(reason for reason in health.reasons if reason not in of_nodes)]


def _nodes(health: PoolHealth, nodes: list[NodeHealth]) -> Table:
    names = list(health.expected) or list(dict.fromkeys(e.name for node in nodes for e in node.extensions))
    table = Table("node", "state", *(one_line(name, 40) for name in names), "why")
    ids = [node.id for node in health.nodes]
    for node in nodes:
        style = STYLES[node.phase]
        cells = [_extension(node, name) for name in names]
        why = "; ".join(_without_node(node, reason) for reason in (*node.failed, *node.missing))
        state = Text(f"{one_line(node.state, 40) or 'no state'}{_age(health, node.state_since)}", style)
        shown = Text(one_line(short_id(node.id, ids), 100))
        table.add_row(shown, state, *cells, Text(one_line(why, 160), "dim"))
    return table


def _extension(node: NodeHealth, name: str) -> Text:
    if node.state in VOID_STATES:
        return Text("-", "dim")
    if node.unread:
        return Text("? unread", "magenta")
    found = next((e for e in node.extensions if e.name.lower() == name.lower()), None)
    if found is None:
        return Text("… not listed", "yellow")
    word = one_line(found.code.partition("/")[2] or found.code, 40)
    return Text(f"{MARKS[found.phase]} {word}", STYLES[found.phase])


def _without_node(node: NodeHealth, reason: str) -> str:
    """The reason without the node's id and state, which stand beside it."""
    return reason.removeprefix(f"node {node.id} ").removeprefix(f"({node.state or 'no state'}): ")


def _age(health: PoolHealth, since: str) -> str:
    start = epoch_seconds(since)
    if start is None:
        return ""
    seconds = max(0.0, health.taken_at - start)
    if seconds < 120:
        return f" {seconds:.0f} s"
    return f" {seconds / 60:.0f} min" if seconds < 7200 else f" {seconds / 3600:.0f} h"
