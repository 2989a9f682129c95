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

from airflow_batchext.batch.data_plane import VOID_STATES, one_line
from airflow_batchext.rules.cells import KINDS, extension_kind, node_kind

if TYPE_CHECKING:
    from airflow_batchext.health import NodeHealth, PoolHealth

_STEP: Final = 12
_SIDE: Final = 10
_MOST_TITLES: Final = 400
# Squares of a few nodes are drawn larger, and fields of many so that two stand side by side.
_FEW: Final = 60
_WIDEST: Final = 530


@dataclass(frozen=True, slots=True)
class Square:
    """One node in one field; its kind is the class of the page's style."""

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
    kind = node_kind(node.phase, node.state, is_unread=bool(node.unread))
    return Square(kind, f"{node.id}: {node.state or 'no state'}")


def _of_extension(health: PoolHealth, node: NodeHealth, name: str) -> Square:
    lowered = name.lower()
    found = next((e for e in node.extensions if e.name.lower() == lowered), None)
    kind = extension_kind(
        node.state,
        found.phase if found else None,
        is_unread=bool(node.unread),
        is_expected=lowered in (one.lower() for one in health.expected),
    )
    if node.state in VOID_STATES:
        said = node.state
    elif node.unread:
        said = node.unread
    else:
        said = f"{found.code}: {found.message}" if found else "not listed"
    return Square(kind, f"{node.id}: {said}")


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
