"""Finds the pools in an ARM template, as people write it and as Bicep makes it.

An expression is evaluated where everything that it needs stands in the template: parameters with a default,
variables, ``concat`` and ``format``. Any other stays as it is, and the check tells of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from airflow_batchext.loose_json.documents import at, is_list, rewritten

POOL_TYPE: Final = "microsoft.batch/batchaccounts/pools"
_DEEPEST = 20
_CALL = re.compile(r"\s*(?P<name>parameters|variables|concat|format)\s*\(", re.IGNORECASE)
_LITERAL = re.compile(r"\s*(?:'(?P<text>(?:[^']|'')*)'|(?P<number>-?\d+))")
_MOST_CALLS, _LONGEST = 10_000, 2_000
"""These bound the work on a hostile template."""
_MISSING: Final = object()
#: Members that a resource of a template has, and the body of a pool has not.
OF_A_RESOURCE: Final = frozenset(
    {"apiVersion", "dependsOn", "comments", "condition", "copy", "scope", "existing", "metadata"}
)


def pools_of_template(template: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and body of each pool among the resources of a template, nested ones too."""
    values = _Values(template)
    for path, resource in _resources(template, "", 0):
        body = rewritten(resource, lambda value, _: values.evaluated(value), name=values.evaluated_name)
        body = {key: item for key, item in body.items() if key not in OF_A_RESOURCE and item is not None}
        yield path, {**body, **named(resource, values.evaluated(resource.get("name")))}


def named(resource: Mapping[str, Any], name: object) -> dict[str, Any]:
    """The name of a pool's resource without that of its account, as far as it can be told."""
    if not isinstance(name, str):
        return {}
    if name.startswith("["):  # of an expression whose account alone is not known the pool's part is enough
        last = re.search(r"[/']([A-Za-z0-9_-]{1,64})'\s*\)\s*\]$", name)
        return {"name": last[1]} if last and "/" in name else {"name": name}
    return {"name": name.rpartition("/")[2]}


def is_pool_resource(resource: object) -> bool:
    """Whether a value is the resource of a pool, in a template or as it is by itself."""
    kind = resource.get("type") if isinstance(resource, Mapping) else None
    return isinstance(kind, str) and kind.strip().casefold() == POOL_TYPE


def _resources(holder: Mapping[str, Any], path: str, depth: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    listed = holder.get("resources")
    entries: list[tuple[object, Any]] = []
    if is_list(listed):
        entries = list(enumerate(listed))
    elif isinstance(listed, Mapping):  # a template with symbolic names
        entries = list(listed.items())
    for step, resource in entries if depth < _DEEPEST else ():
        if not isinstance(resource, Mapping):
            continue
        place = at(at(path, "resources"), step)
        kind = str(resource.get("type")).casefold()
        if kind == POOL_TYPE or (kind == "pools" and path):
            yield place, {**resource, "type": "Microsoft.Batch/batchAccounts/pools"}
        yield from _resources(resource, place, depth + 1)
        properties = resource.get("properties")
        inner = properties.get("template") if isinstance(properties, Mapping) else None
        if isinstance(inner, Mapping):  # a deployment within the deployment
            below = at(at(place, "properties"), "template")
            yield from _resources(inner, below, depth + 1)


class _Values:
    def __init__(self, template: Mapping[str, Any]) -> None:
        self._parameters = template.get("parameters")
        self._variables = template.get("variables")
        self._left = _MOST_CALLS

    def evaluated(self, value: Any) -> Any:
        """What a value comes to; the very same one if that cannot be told."""
        if not (isinstance(value, str) and value.startswith("[") and value.endswith("]")):
            return value
        if value.startswith("[["):
            return value[1:]  # so a template writes a text in brackets
        if len(value) > _LONGEST:
            return value
        found, rest = self._expression(value[1:-1], 0)
        return value if found is _MISSING or rest.strip() else found

    def evaluated_name(self, name: Any) -> Any:
        """What the name of a member comes to, as far as that is a name."""
        found = self.evaluated(name)
        return found if isinstance(found, str) else name

    def _expression(self, text: str, depth: int) -> tuple[Any, str]:
        literal = _LITERAL.match(text)
        if literal is not None:
            rest = text[literal.end() :]
            if literal["number"] is not None:
                return int(literal["number"]), rest
            return literal["text"].replace("''", "'"), rest
        call = _CALL.match(text)
        self._left -= 1
        if call is None or depth > _DEEPEST or self._left < 0:
            return _MISSING, text
        arguments, rest = [], text[call.end() :]
        while not rest.lstrip().startswith(")"):
            value, rest = self._expression(rest, depth + 1)
            if value is _MISSING:
                return _MISSING, text
            arguments.append(value)
            rest = rest.lstrip()
            if rest.startswith(","):
                rest = rest[1:]
            elif not rest.startswith(")"):
                return _MISSING, text
        return self._called(call["name"].casefold(), arguments, depth), rest.lstrip()[1:]

    def _called(self, name: str, arguments: list[Any], depth: int) -> Any:
        if name == "parameters" and len(arguments) == 1 and isinstance(self._parameters, Mapping):
            parameter = self._parameters.get(arguments[0])
            given = parameter.get("defaultValue", _MISSING) if isinstance(parameter, Mapping) else _MISSING
            return self._inner(given, depth)
        if name == "variables" and len(arguments) == 1 and isinstance(self._variables, Mapping):
            return self._inner(self._variables.get(arguments[0], _MISSING), depth)
        if not arguments or any(isinstance(item, (Mapping, list)) for item in arguments):
            return _MISSING
        if sum(len(str(item)) for item in arguments) > _LONGEST:
            return _MISSING
        if name == "concat":
            return "".join(map(str, arguments))
        if name == "format":
            return re.sub(
                r"\{(\d{1,3})\}",
                lambda found: str((*arguments, *[""] * 1000)[int(found[1]) + 1]),
                str(arguments[0]),
            )
        return _MISSING

    def _inner(self, value: Any, depth: int) -> Any:
        if isinstance(value, str) and value.startswith("[") and not value.startswith("[["):
            found, rest = self._expression(value[1:-1], depth + 1)
            return _MISSING if rest.strip() else found
        return value
