"""How the members of a pool are described: which there are, of what kind, and who may set them.

The description itself is not written here. It is read from the models of the installed Azure SDK (see
`airflow_batchext.pool_spec._sdk_schema`) and comes in as data, so that the rules stay free of the SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from airflow_batchext.secrets.names import squash

Kind = Literal["text", "integer", "number", "boolean", "duration", "object", "list", "map", "any"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value has to be.

    :param kind: its kind. Nothing is asked of ``"any"``.
    :param of: what the entries of a list, or the values of a map, have to be.
    :param type_name: which object it is; its members are in the schema under this name.
    :param values: the known values of a text. A service grows, so another value is doubtful, not wrong.
    """

    kind: Kind
    of: Shape | None = None
    type_name: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object: what it has to be, whether it must be there, and whether only Azure sets it."""

    shape: Shape
    required: bool = False
    read_only: bool = False


@dataclass(frozen=True)
class Schema:
    """The members of each type of object, by their names in the REST API; the pool itself is ``root``.

    :param version: of the SDK that it was read from, for messages.
    """

    types: Mapping[str, Mapping[str, Member]]
    root: str
    version: str

    @cached_property
    def homes(self) -> Mapping[str, tuple[str, ...]]:
        """The paths of the objects that have a member of this (squashed) name, those near the top first."""
        found: dict[str, list[str]] = {}
        waiting = [("", self.root)]
        seen = {self.root}
        for path, type_name in waiting:
            for name, member in self.types[type_name].items():
                if member.read_only:
                    continue
                shape, below = member.shape, f"{path}.{name}" if path else name
                found.setdefault(squash(name), []).append(below)
                while shape.of is not None:
                    shape, below = shape.of, f"{below}[]"
                if shape.type_name and shape.type_name not in seen:
                    seen.add(shape.type_name)
                    waiting.append((below, shape.type_name))
        return {name: tuple(paths) for name, paths in found.items()}
