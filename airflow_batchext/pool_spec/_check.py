"""The check of a pool document: what Azure would refuse, or would take and then get no nodes from.

Here is what concerns the pool as a whole, and what is made of the findings of the other `_check` modules.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_batchext.loose_json.documents import kind_of, quote, rewritten
from airflow_batchext.pool_spec._check_identities import check_identity, check_used_identities
from airflow_batchext.pool_spec._check_leaks import check_leaks
from airflow_batchext.pool_spec._check_machine import check_machine, operating_system
from airflow_batchext.pool_spec._check_network import check_network
from airflow_batchext.pool_spec._check_scale import check_scale
from airflow_batchext.pool_spec._check_security import check_security
from airflow_batchext.pool_spec._check_shape import check_shape
from airflow_batchext.pool_spec._check_sizes import check_size
from airflow_batchext.pool_spec._check_start_task import check_start_task
from airflow_batchext.pool_spec._check_surroundings import check_surroundings
from airflow_batchext.pool_spec._check_unfilled import check_unfilled
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    Finding,
    Findings,
    error,
    explained,
    object_at,
    object_member,
    text_member,
    warning,
)
from airflow_batchext.pool_spec._places import old_place
from airflow_batchext.pool_spec._recognise import not_a_pool
from airflow_batchext.pool_spec._respell import Respelt, respell

if TYPE_CHECKING:
    from airflow_batchext.pool_spec._schema import Schema

_DATA_PLANE_MEMBERS = ("id", "vmSize", "virtualMachineConfiguration", "targetDedicatedNodes")
_ARM_SHAPE = (
    'Use ARM\'s shape: {"properties": {"vmSize": …, "deploymentConfiguration": '
    '{"virtualMachineConfiguration": …}, "scaleSettings": …}}'
)
_POOL_TYPE = "Microsoft.Batch/batchAccounts/pools"
_MOST_FINDINGS = 100
"""More than this nobody reads; it bounds the work on a hostile document."""
_ENOUGH = _MOST_FINDINGS + 1


def check_document(
    document: object,
    *,
    pool_id: str | None = None,
    schema: Schema | None = None,
    today: date | None = None,
) -> list[Finding]:
    """Everything that is wrong with a pool document, errors first.

    :param document: what `parse_document` gave, or any other value: nothing makes this raise.
    :param pool_id: the name the pool is going to have; without it the document's ``name`` counts.
    :param schema: the members that a pool may have. Without it, only the rules are applied.
    :param today: the date. Without it, what Azure will retire at some time is not told.
    :return: the findings; an empty list when Azure should take the document as it is.
    """
    if not isinstance(document, Mapping):
        what = f"the document is {kind_of(document)}, not an object"
        return [error("", what, "Give the body of a pool", ARM_PAGE)]
    pool = rewritten(document if pool_id is None else {**document, "name": pool_id})
    respelt = Respelt(pool) if schema is None else respell(pool, schema)
    pool = respelt.document
    other = not_a_pool(pool)
    if other is not None:
        return [other]
    found = list(islice(check_unfilled(pool), _ENOUGH))
    # Of such a value nothing else is told: what else is wrong there shows once it is rendered.
    silent = {finding.path for finding in found if finding.severity == "error"}
    rules = [finding for finding in islice(_check_pool(pool, today), _ENOUGH) if finding.path not in silent]
    told = silent | {finding.path for finding in rules}
    covered = tuple(finding.path for finding in rules if finding.covers)
    shapes: list[Finding] = []
    if schema is not None and not _is_foreign(pool):
        known = {key: value for key, value in pool.items() if key not in _DATA_PLANE_MEMBERS}
        everything = islice(check_shape(known, schema), _ENOUGH)
        shapes = [
            finding
            for finding in everything
            if finding.path not in told and not _lies_below(finding.path, covered)
        ]
    meant = {finding.meant for finding in shapes if finding.meant}
    found += [finding for finding in (*rules, *shapes) if not explained(finding, meant)]
    found = [replace(finding, path=old_place(finding.path, respelt.old_places)) for finding in found]
    found += islice(_check_case(respelt), _ENOUGH)
    found.sort(key=lambda finding: finding.severity == "warning")
    if len(found) > _MOST_FINDINGS:
        what = f"there are more than {_MOST_FINDINGS} findings"
        found[_MOST_FINDINGS:] = [error("", what, "Fix those that are told, and check again")]
    return found


def _check_case(respelt: Respelt) -> Findings:
    for new, old in respelt.old_places.items():
        name, written = new.rpartition(".")[2], old.rpartition(".")[2]
        what = f"{quote(written)} is not how Azure writes this name, though it may read it"
        yield warning(old, what, f"It is spelt {name}", ARM_PAGE)


def _lies_below(path: str, places: Collection[str]) -> bool:
    return any(path.startswith((f"{place}.", f"{place}[")) for place in places)


def _is_foreign(pool: Mapping[str, Any]) -> bool:
    """Whether this is not a pool of the management plane at all, so that its members tell nothing."""
    return "properties" not in pool and any(m in pool for m in _DATA_PLANE_MEMBERS)


def _check_pool(pool: Mapping[str, Any], today: date | None) -> Findings:
    has_properties = "properties" in pool
    flat = [m for m in _DATA_PLANE_MEMBERS if m in pool and not (m == "id" and has_properties)]
    if flat:
        what = f"{', '.join(flat)} at the top is the data plane's shape of a pool"
        yield error("", what, _ARM_SHAPE, ARM_PAGE)
        if not has_properties:
            return
    yield from _check_name(pool.get("name"))
    kind = pool.get("type")
    if kind is not None and not (isinstance(kind, str) and kind.casefold() == _POOL_TYPE.casefold()):
        yield error("type", "this is not the type of a Batch pool", f"Leave it out or write {_POOL_TYPE}")
    identities = yield from check_identity(pool)
    properties = yield from object_member(pool, "properties", "", "Put the pool's settings in it")
    if properties is None:
        return
    yield from text_member(properties, "vmSize", "properties", "Name a size, such as STANDARD_D2S_V5")
    yield from check_scale(properties)
    yield from check_size(properties, today)
    yield from check_machine(properties, identities, today)
    machine = object_at(properties, "deploymentConfiguration", "virtualMachineConfiguration")
    system = operating_system(machine)
    yield from check_security(properties, system, identities=identities)
    yield from check_network(properties)
    yield from check_start_task(properties, system)
    yield from check_surroundings(properties, system)
    yield from check_used_identities(pool)
    yield from check_leaks(properties)


def _check_name(name: object) -> Findings:
    if name is None:
        yield error("name", "the pool has no name", "Give a pool id, or a name in the document")
    elif not isinstance(name, str):
        yield error("name", f"the pool's name is {kind_of(name)}, not a text", "Put it in quotes")
    elif not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        fix = "Use 1 to 64 letters, digits, hyphens and underscores, without the account's name"
        yield error("name", f"{quote(name)} is no name for a pool", fix, ARM_PAGE)
