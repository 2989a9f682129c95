"""The picture of a pool: a small square for each node, in one field for the nodes and one for each extension.

A node has the same place in every field, and those that are not ready come first. Of the ready ones all
squares are one path, so that two thousand nodes make a small file; the others have a title each, up to a
limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from airflow_batchext.batch.data_plane import VOID_STATES, Phase, one_line

if TYPE_CHECKING:
    from airflow_batchext.health import NodeHealth, PoolHealth

_STEP: Final = 12
_SIDE: Final = 10
_MOST_TITLES: Final = 400
# Squares of a few nodes are drawn larger, and fields of many so that two stand side by side.
_FEW: Final = 60
_WIDEST: Final = 530

#: How a square looks, the worst first: classes of the page's style.
KINDS: Final = ("failed", "pending", "unread", "void", "ready")
_KIND_OF: Final = {Phase.FAILED: "failed", Phase.PENDING: "pending", Phase.SUCCEEDED: "ready"}


@dataclass(frozen=True, slots=True)
class Square:
    """One node in one field."""

    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the picture: the nodes themselves, or one extension on them."""

    name: str
    counts: tuple[tuple[str, int], ...]
    drawing: Markup


def fields(health: PoolHealth) -> list[Field]:
    """All fields of a pool's picture."""
    staying = (node for node in health.nodes if not node.leaving)
    nodes = sorted(staying, key=lambda node: KINDS.index(_of_node(node).kind))
    drawn = [_field("nodes", [_of_node(node) for node in nodes])]
    names = dict.fromkeys((*health.expected, *(e.name for node in nodes for e in node.extensions)))
    drawn += [_field(name, [_of_extension(health, node, name) for node in nodes]) for name in names]
    return drawn if nodes else []


def _of_node(node: NodeHealth) -> Square:
    kind = _KIND_OF[node.phase]
    if kind == "pending":
        kind = "void" if node.state in VOID_STATES else "unread" if node.unread else kind
    return Square(kind, f"{node.id}: {node.state or 'no state'}")


def _of_extension(health: PoolHealth, node: NodeHealth, name: str) -> Square:
    lowered = name.lower()
    found = next((e for e in node.extensions if e.name.lower() == lowered), None)
    if node.state in VOID_STATES:
        return Square("void", f"{node.id}: {node.state}")
    if node.unread:
        return Square("unread", f"{node.id}: {node.unread}")
    if found is None:
        expected = lowered in (one.lower() for one in health.expected)
        return Square("pending" if expected else "void", f"{node.id}: not listed")
    return Square(_KIND_OF[found.phase], f"{node.id}: {found.code}: {found.message}")


def _field(name: str, squares: Sequence[Square]) -> Field:
    columns = max(8, min(80, math.ceil(math.sqrt(len(squares) * 2.4))))
    rows = math.ceil(len(squares) / columns) or 1
    parts = []
    for kind in KINDS:
        places = [number for number, square in enumerate(squares) if square.kind == kind]
        titled = [] if kind == "ready" else places[:_MOST_TITLES]
        plain = places[len(titled) :]
        for number in titled:
            title = escape(one_line(squares[number].title, 200))
            parts.append(
                f'<path class="{kind}" d="{_path(number, columns, kind)}"><title>{title}</title></path>'
            )
        if plain:
            parts.append(f'<path class="{kind}" d="{"".join(_path(n, columns, kind) for n in plain)}"/>')
    counts = tuple(
        (kind, count) for kind in KINDS if (count := sum(square.kind == kind for square in squares))
    )
    size = f"0 0 {columns * _STEP} {rows * _STEP}"
    told = ", ".join(f"{count} {kind}" for kind, count in counts)
    width = columns * _STEP * 1.6 if len(squares) <= _FEW else min(columns * _STEP, _WIDEST)
    return Field(
        name,
        counts,
        # All of it is numbers and words of ours, but for the titles, which are escaped.
        Markup(  # noqa: S704 - as said above
            f'<svg viewBox="{size}" role="img" aria-label="{escape(one_line(name, 80))}: {told}" '
            f'style="width:{width:.0f}px">{"".join(parts)}</svg>'
        ),
    )


def _path(number: int, columns: int, kind: str) -> str:
    """A square; a cross in it says failed, to whom red and green are the same."""
    x, y = number % columns * _STEP + 1, number // columns * _STEP + 1
    square = f"M{x} {y}h{_SIDE}v{_SIDE}h-{_SIDE}z"
    if kind == "failed":
        return f"{square}m2 2l6 6m0-6l-6 6"
    if kind == "pending":
        return f"{square}m2 5h6"
    return square
