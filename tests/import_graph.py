"""Which module of the package imports which, wherever the import stands: read, not run."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

PACKAGE = "airflow_batchext"
ROOT = Path(__file__).parent.parent

#: By module, what it imports of the package; the package's name is left out.
Graph = Mapping[str, frozenset[str]]


@cache
def sources() -> Mapping[Path, str]:
    """The package's own, by their paths in it."""
    package = ROOT / PACKAGE
    return {path.relative_to(package): path.read_text("utf-8") for path in package.rglob("*.py")}


def graph(read: Mapping[Path, str] | None = None) -> dict[str, frozenset[str]]:
    """The graph of the package: imports inside functions and under ``TYPE_CHECKING`` too.

    :param read: its sources, by their paths in it.
    """
    files = {_name(Path(PACKAGE, path)): (path, text) for path, text in (read or sources()).items()}
    return {
        _short(name): frozenset(_short(found) for found in _imported(name, *file, files) if found != name)
        for name, file in files.items()
    }


def circles(arrows: Graph) -> list[list[str]]:
    """The sets of modules (or rooms) that all import each other, be it through others; none is best."""
    reached = {name: _reached(arrows, name) for name in arrows}
    found = {
        frozenset({name, *(other for other in reached[name] if name in reached.get(other, ()))})
        for name in arrows
        if name in reached[name]
    }
    return sorted(sorted(circle) for circle in found)


def room(module: str) -> str:
    """The room that a module stands in; a loose one is its own."""
    return module.partition(".")[0]


def rooms(arrows: Graph) -> dict[str, frozenset[str]]:
    """The graph of the rooms: what one module of a room imports, the room does.

    A room inside a room is one too: beside those that stand with it, not beside the loose modules of the room
    that it stands in, which may stand above it and below it.
    """
    inner = {module.rpartition(".")[0] for module in arrows if "." in module}
    found: dict[str, set[str]] = {}
    for module, imported in arrows.items():
        here = _rooms_around(module, inner)
        for other in imported:
            for ours, theirs in zip(here, _rooms_around(other, inner), strict=False):
                if ours != theirs:
                    found.setdefault(ours, set()).add(theirs)
                    found.setdefault(theirs, set())
                    break
    return {name: frozenset(others) for name, others in found.items()}


def _rooms_around(module: str, inner: set[str]) -> list[str]:
    """The rooms that a module stands in, from the outermost; a loose module in the root is its own."""
    parts = module.split(".")
    around = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    return [around[0], *(name for name in around[1:] if name in inner)]


def _reached(arrows: Graph, start: str) -> set[str]:
    reached: set[str] = set()
    open_ends = [start]
    while open_ends:
        for name in arrows.get(open_ends.pop(), ()):
            if name not in reached:
                reached.add(name)
                open_ends.append(name)
    return reached


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _short(name: str) -> str:
    return name.partition(".")[2]


def _imported(name: str, path: Path, source: str, files: Collection[str]) -> Iterator[str]:
    here = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for dotted in _said(here, source):
        # What is imported from a module is a module itself, or stands in it.
        known = [part for part in (dotted, dotted.rpartition(".")[0]) if part in files]
        yield from known[:1]


@cache
def _said(here: str, source: str) -> tuple[str, ...]:
    """All that a source in that package imports, dotted."""
    said: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            said += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = here.split(".")[: len(here.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            said += [f"{base}.{alias.name}" for alias in node.names]
    return tuple(said)
