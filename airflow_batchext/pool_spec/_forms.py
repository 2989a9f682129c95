"""The forms in which pools come, turned into the one form that the rest works with: ARM's body, plain data.

A text or a list may hold several pools. Microsoft's examples wrap the body in the parameters of the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from airflow_batchext.loose_json.documents import at, kind_of
from airflow_batchext.loose_json.sdk_models import plain
from airflow_batchext.loose_json.values import as_text
from airflow_batchext.pool_spec._azurerm import from_azurerm, is_azurerm
from airflow_batchext.pool_spec._snake import from_snake, is_snake
from airflow_batchext.pool_spec._templates import (
    OF_A_RESOURCE,
    is_pool_resource,
    named,
    pools_of_template,
)
from airflow_batchext.pool_spec._terraform import pools_of_terraform
from airflow_batchext.pool_spec._text import DocumentSyntaxError, Part, parse_texts

_BODIES = ("parameters", "pool")
"""What the body is called among the parameters of a call, in Microsoft's examples of either plane."""

_ONLY_BODY = frozenset({"pool", "$schema"})
_BESIDE = ("name", "type", "identity", "tags", "id", "etag")
_OF_THE_CLI = frozenset({"resourceGroup"})


class DocumentChoiceError(ValueError):
    """Of several pools none was chosen, or one that is not there. The message lists their names."""


@dataclass(frozen=True, slots=True)
class PoolDocument:
    """One pool out of a text, a list or a model.

    :param body: the body of ``Pool_Create``, or whatever else stands in its place.
    :param part: in which YAML document of the text it stands, from 0.
    :param path: where in that it stands, "" for the whole.
    :param places: of a form that was turned into the body: where its members stand in the text, by where they
        stand in the body; both from ``path`` on.
    :param lost: what of such a form could not be carried: places in the text, each with the reason.
    """

    body: Any
    part: int = 0
    path: str = ""
    places: Mapping[str, str] = field(default_factory=dict)
    lost: Sequence[tuple[str, str]] = ()

    @property
    def name(self) -> str:
        """The name that it gives itself, or ""."""
        name = self.body.get("name") if isinstance(self.body, Mapping) else None
        return as_text(name)


def parse_pools(text: str, *, source: str) -> list[PoolDocument]:
    """Read the pools in a text: JSON, or YAML, of which there may be several documents; at least one pool.

    :param text: the text; at most 1 MiB.
    :param source: what to call it in an error, such as the file's name. Only ``….json`` must be JSON.
    :raises DocumentSyntaxError: when it is neither, or holds anything but mappings.
    """
    parts = [
        (index, part) for index, part in enumerate(parse_texts(text, source=source)) if part.value is not None
    ]
    if not parts:
        raise DocumentSyntaxError(source, "is empty", 1, 1)
    for _, part in parts:
        if not isinstance(part.value, (dict, list)):
            raise DocumentSyntaxError(source, f"is {kind_of(part.value)}, not a mapping", *part.place)
        for position, entry in enumerate(part.value if isinstance(part.value, list) else ()):
            if not isinstance(entry, dict):
                problem = f"entry {position + 1} of the list is {kind_of(entry)}, not a mapping"
                raise DocumentSyntaxError(source, problem, *part.place)
    pools = list(_pools(parts))
    if not pools:
        raise DocumentSyntaxError(source, "is an empty list", *parts[0][1].place)
    return pools


def pools_in(value: object) -> list[PoolDocument]:
    """The pools in a value: a body, a model of the SDK, or a list of those.

    What is none of them is returned as if it were one: telling of it is the business of `check_document`.
    """
    return list(_pools([(0, Part(value))]))


def choose_pool(pools: list[PoolDocument], name: str | None, *, source: str) -> PoolDocument:
    """The one pool, or of several the one of a name; upper and lower case do not matter.

    :param name: the pool that is wanted. A single pool is returned whatever its name.
    :param source: what to call the whole in an error.
    :raises DocumentChoiceError: if several remain, or none.
    """
    if len(pools) == 1:
        return pools[0]
    names = ", ".join(pool.name[:64] or "(no name)" for pool in pools[:20])
    names += ", …" if len(pools) > 20 else ""
    if not pools:
        raise DocumentChoiceError(f"{source} holds no pool")
    if not name:
        raise DocumentChoiceError(f"{source} holds {len(pools)} pools: {names}. Say which one by its name")
    found = [pool for pool in pools if pool.name.casefold() == name.casefold()]
    if len(found) == 1:
        return found[0]
    count = f"{len(found)} pools" if found else "no pool"
    raise DocumentChoiceError(f"{source} holds {count} of the name {name[:64]!r}; it has: {names}")


def _pools(parts: Iterable[tuple[int, Part]]) -> Iterator[PoolDocument]:
    for index, part in parts:
        given = plain(part.value)
        if isinstance(given, (list, tuple)):
            for position, entry in enumerate(given):
                yield _unwrapped(plain(entry), index, at("", position))
        elif isinstance(given, Mapping) and "properties" not in given:
            found = list(_several(given, index))
            yield from found or [_unwrapped(given, index, "")]
        else:
            yield _unwrapped(given, index, "")


def _several(value: Mapping[str, Any], part: int) -> Iterator[PoolDocument]:
    """Yield the pools in a template, in the answer of a list, or in Terraform's JSON."""
    if "resources" in value:
        for path, body in pools_of_template(value):
            yield PoolDocument(body, part, path)
        return
    entries = value.get("value")
    if isinstance(entries, (list, tuple)) and all(isinstance(entry, Mapping) for entry in entries):
        for position, entry in enumerate(entries):
            yield _unwrapped(entry, part, at("value", position))
        return
    for path, found in pools_of_terraform(value):
        yield PoolDocument(found.body, part, path, found.places, tuple(found.lost))


def _unwrapped(value: object, part: int, path: str) -> PoolDocument:
    """Take the body out of what is around it: an example of the REST API, a page, an answer, a template."""
    if not isinstance(value, Mapping):
        return PoolDocument(value, part, path)
    parameters = value.get("parameters")
    if isinstance(parameters, Mapping) and not value.keys() & {"properties", "resources"}:
        for member in _BODIES:  # an example of the REST API names all parameters of the call
            body = parameters.get(member)
            if isinstance(body, Mapping):
                name = parameters.get("poolName")
                named = {"name": name, **body} if isinstance(name, str) else body
                return PoolDocument(named, part, at(at(path, "parameters"), member))
        if isinstance(parameters.get("properties"), Mapping):  # so on Microsoft's pages
            outside = {key: item for key, item in value.items() if key in _BESIDE}
            return PoolDocument({**outside, **parameters}, part, at(path, "parameters"))
    inner = value.get("pool")
    if isinstance(inner, Mapping) and value.keys() <= _ONLY_BODY:  # so in articles about the data plane
        return _unwrapped(inner, part, at(path, "pool"))
    if is_azurerm(value):
        found = from_azurerm(value)
        return PoolDocument(found.body, part, path, found.places, tuple(found.lost))
    if is_snake(value):
        with suppress(RecursionError):  # without a bottom it is told of by the check
            body, places = from_snake(value)
            return PoolDocument(body, part, path, places)
    return PoolDocument(_without_surroundings(value), part, path)


def _without_surroundings(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out what the CLI and templates write around the body of a pool, and what says nothing there."""
    if not isinstance(value.get("properties"), Mapping):
        return value
    is_resource = is_pool_resource(value)
    around = OF_A_RESOURCE | _OF_THE_CLI if is_resource else _OF_THE_CLI
    gone = {key for key, item in value.items() if key in around or (item is None and key != "properties")}
    name = value.get("name")
    is_compound = is_resource and isinstance(name, str) and "/" in name
    if not gone and not is_compound:
        return value
    kept = {key: item for key, item in value.items() if key not in gone}
    return {**kept, **named(value, name)} if is_compound else kept
