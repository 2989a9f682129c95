"""Finds the pools in Terraform's JSON: ``.tf.json``, and what ``terraform show -json`` prints.

The resource ``azapi_resource`` carries ARM's own body. That of ``azurerm_batch_pool`` is made of its
attributes: see `airflow_batchext.pool_spec._azurerm`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from airflow_batchext.loose_json.documents import at, walk
from airflow_batchext.loose_json.values import read_json
from airflow_batchext.pool_spec._azurerm import FromTerraform, from_azurerm, lacking
from airflow_batchext.pool_spec._templates import POOL_TYPE

_AZAPI: Final = "azapi_resource"
_AZURERM: Final = "azurerm_batch_pool"
_OF_TERRAFORM: Final = frozenset({"resource", "terraform_version", "planned_values", "values", "terraform"})


def pools_of_terraform(value: Mapping[str, Any]) -> Iterator[tuple[str, FromTerraform]]:
    """Yield the place of each pool among the resources, and what it is in ARM's shape."""
    for kind, resource, path in _resources(value):
        yield from _pool(kind, resource, path)


def lacking_in_terraform(value: Mapping[str, Any]) -> list[str]:
    """What the first pool that Terraform would refuse itself lacks; nothing if there is none."""
    found = (lacking(resource) for kind, resource, _ in _resources(value) if kind == _AZURERM)
    return next(filter(None, found), [])


def _resources(value: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    if not _OF_TERRAFORM & value.keys() or "vmSize" in value:
        return
    root = "planned_values" if isinstance(value.get("planned_values"), Mapping) else ""  # not what was before
    for place, item in walk(value[root] if root else value, path=root):
        if not isinstance(item, Mapping):
            continue
        inner, kind = item.get("values"), item.get("type")
        if kind in (_AZAPI, _AZURERM) and isinstance(inner, Mapping) and item.get("mode") != "data":
            yield str(kind), inner, at(place.path, "values")
        else:
            way = place.path.replace("[", ".[").split(".")
            names = [step for step in way if not step.startswith("[")]
            if len(names) == 3 and names[0] == "resource" and names[1] in (_AZAPI, _AZURERM):
                yield names[1], item, place.path


def _pool(kind: str, resource: Mapping[str, Any], path: str) -> Iterator[tuple[str, FromTerraform]]:
    if kind == _AZURERM:
        if not lacking(resource):
            yield path, from_azurerm(resource)
        return
    type_name = resource.get("type")
    if not isinstance(type_name, str) or type_name.partition("@")[0].casefold() != POOL_TYPE:
        return
    body, place = resource.get("body"), at(path, "body")
    if isinstance(body, str):  # versions before 2 of the provider have it as text
        body, place = read_json(body), path
    if isinstance(body, Mapping) and isinstance(body.get("properties"), Mapping):
        name = resource.get("name")
        yield place, FromTerraform({**({"name": name} if isinstance(name, str) else {}), **body})
