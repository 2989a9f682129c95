"""Finds the pools in Terraform's JSON (``.tf.json``, ``terraform show -json``) that carry ARM's own body.

The resource ``azapi_resource`` does. ``azurerm_batch_pool`` has names and a shape of its own, which are not
turned into ARM's here: it is named for what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_batchext.batch.documents import at, walk
from airflow_batchext.pool_spec._templates import POOL_TYPE

_AZAPI = "azapi_resource"
_OF_TERRAFORM = frozenset({"resource", "terraform_version", "planned_values", "values", "terraform"})


def pools_of_terraform(value: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and body of each pool that is an ``azapi_resource``."""
    if not _OF_TERRAFORM & value.keys() or "vmSize" in value:
        return
    for place, item in walk(value):
        if not isinstance(item, Mapping):
            continue
        if item.get("type") == _AZAPI and isinstance(item.get("values"), Mapping):
            yield from _pool(item["values"], at(place.path, "values"))
        elif _is_below_azapi(place.path):
            yield from _pool(item, place.path)


def _is_below_azapi(path: str) -> bool:
    way = path.replace("[", ".[").split(".")
    return len(way) in (3, 4) and way[0] == "resource" and way[1] == _AZAPI


def _pool(resource: Mapping[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = resource.get("type")
    if not isinstance(kind, str) or kind.partition("@")[0].casefold() != POOL_TYPE:
        return
    body, place = resource.get("body"), at(path, "body")
    if isinstance(body, str):  # versions before 2 of the provider have it as text
        try:
            body, place = json.loads(body), path
        except (ValueError, RecursionError):
            return
    if isinstance(body, Mapping) and isinstance(body.get("properties"), Mapping):
        name = resource.get("name")
        yield place, {**({"name": name} if isinstance(name, str) else {}), **body}
