"""Writes the names of members as Azure does where a document has them in other upper and lower case.

The service reads names in any case. The rules here, and what is read of a document later, know one spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_batchext.loose_json.documents import at

if TYPE_CHECKING:
    from airflow_batchext.pool_spec._schema import Member, Schema, Shape

_DEEPEST = 64


@dataclass(slots=True)
class Respelt:
    """A document with all names as Azure writes them.

    :param document: the document; the very same one if nothing had to be renamed.
    :param old_places: the paths of renamed members, with those that they had.
    """

    document: Any
    old_places: dict[str, str] = field(default_factory=dict)


def respell(document: Mapping[str, Any], schema: Schema) -> Respelt:
    """Rename the members of a pool that are written in another case, as far as the schema knows them.

    What would then stand there twice keeps its name, and so does all that belongs to the user.
    """
    found = Respelt(document)
    renamed = _object(document, schema.types[schema.root], "", "", schema, found)
    if found.old_places:
        found.document = renamed
    return found


def _object(
    value: Mapping[Any, Any],
    members: Mapping[str, Member],
    new: str,
    old: str,
    schema: Schema,
    found: Respelt,
) -> dict[Any, Any]:
    spelt = {name.casefold(): name for name in members}
    result: dict[Any, Any] = {}
    for key, item in value.items():
        name = key
        if isinstance(key, str) and key not in members:
            right = spelt.get(key.casefold())
            name = right if right is not None and right not in value and right not in result else key
        place, before = at(new, name), at(old, key)
        if name != key:
            found.old_places[place] = before
        member = members.get(name) if isinstance(name, str) else None
        result[name] = item if member is None else _value(item, member.shape, place, before, schema, found)
    return result


def _value(value: Any, shape: Shape, new: str, old: str, schema: Schema, found: Respelt) -> Any:
    if new.count(".") > _DEEPEST:
        return value
    if shape.kind == "object" and isinstance(value, Mapping):
        return _object(value, schema.types[shape.type_name], new, old, schema, found)
    if shape.kind == "list" and shape.of is not None and isinstance(value, (list, tuple)):
        return [
            _value(item, shape.of, at(new, index), at(old, index), schema, found)
            for index, item in enumerate(value)
        ]
    return value
