"""The check of a pool document: what Azure would refuse, or would take and then get no nodes from.

Here is what concerns the pool as a whole, and what is made of the findings of the other `_check` modules.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch.documents import at, is_container, kind_of, quote, rewritten, walk
from airflow_batchext.batch.extension_catalog import node_operating_system
from airflow_batchext.pool_spec._check_leaks import check_leaks
from airflow_batchext.pool_spec._check_machine import check_machine
from airflow_batchext.pool_spec._check_scale import check_scale
from airflow_batchext.pool_spec._check_shape import check_shape
from airflow_batchext.pool_spec._check_start_task import check_start_task
from airflow_batchext.pool_spec._check_surroundings import check_surroundings
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    IDENTITY_PAGE,
    Finding,
    Findings,
    error,
    explained,
    object_at,
    object_member,
    text_member,
    text_of,
    warning,
)
from airflow_batchext.secrets.names import is_secret_member

if TYPE_CHECKING:
    from airflow_batchext.pool_spec._schema import Schema

_DATA_PLANE_MEMBERS = ("id", "vmSize", "virtualMachineConfiguration", "targetDedicatedNodes")
_ARM_SHAPE = (
    'Use ARM\'s shape: {"properties": {"vmSize": …, "deploymentConfiguration": '
    '{"virtualMachineConfiguration": …}, "scaleSettings": …}}'
)
_POOL_TYPE = "Microsoft.Batch/batchAccounts/pools"
_IDENTITY_ID = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.ManagedIdentity"
    r"/userAssignedIdentities/[^/]+",
    re.IGNORECASE,
)
_MOST_FINDINGS = 100
"""More than this nobody reads; it bounds the work on a hostile document."""
_ENOUGH = _MOST_FINDINGS + 1


def check_document(
    document: object, *, pool_id: str | None = None, schema: Schema | None = None
) -> list[Finding]:
    """Say everything that is wrong with a pool document, errors first.

    :param document: what `parse_document` gave, or any other value: nothing makes this raise.
    :param pool_id: the name the pool is going to have; without it the document's ``name`` counts.
    :param schema: the members that a pool may have. Without it, only the rules are applied.
    :return: the findings; an empty list when Azure should take the document as it is.
    """
    if not isinstance(document, Mapping):
        what = f"the document is {kind_of(document)}, not an object"
        return [error("", what, "Give the body of a pool", ARM_PAGE)]
    pool = rewritten(document if pool_id is None else {**document, "name": pool_id})
    found = list(islice(_check_templates(pool), _ENOUGH))
    # Of such a value nothing else is told: what else is wrong there shows once it is rendered.
    silent = {finding.path for finding in found if finding.severity == "error"}
    rules = [finding for finding in islice(_check_pool(pool), _ENOUGH) if finding.path not in silent]
    told = silent | {finding.path for finding in rules}
    shapes: list[Finding] = []
    if schema is not None and not _is_foreign(pool):
        known = {key: value for key, value in pool.items() if key not in _DATA_PLANE_MEMBERS}
        everything = islice(check_shape(known, schema), _ENOUGH)
        shapes = [finding for finding in everything if finding.path not in told]
    meant = {finding.meant for finding in shapes if finding.meant}
    found += [finding for finding in (*rules, *shapes) if not explained(finding, meant)]
    found.sort(key=lambda finding: finding.severity == "warning")
    if len(found) > _MOST_FINDINGS:
        what = f"there are more than {_MOST_FINDINGS} findings"
        found[_MOST_FINDINGS:] = [error("", what, "Mend those that are told, and check again")]
    return found


def _check_templates(pool: Mapping[str, Any]) -> Findings:
    """Find names and values that Jinja should have rendered.

    A template inside a longer text is a warning: it may be meant so, as in a command line with
    ``docker ps --format {{.Names}}``. Below a secret member only that member is named.
    """
    whole_at: dict[str, bool] = {}  # whether the whole text is a template, by the place of the text
    below: dict[int, object] = {}  # what stands below a secret member is told of as one
    for place, value in walk(pool, into=lambda value: id(value) not in below):
        texts = [place.step, value]
        if is_secret_member(place.step) and is_container(value):
            below[id(value)] = value
            texts += [text for inner, item in walk(value) for text in (inner.step, item)]
        for text in texts:
            if isinstance(text, str) and (whole := _is_template(text)) is not None:
                whole_at[place.path] = whole or whole_at.get(place.path, False)
    for path, whole in whole_at.items():
        mend = "Have the document rendered before it is read, or write the value itself"
        yield (error if whole else warning)(path, "this looks like an unrendered template", mend)


def _is_template(text: str) -> bool | None:
    """Whether a text is a template as a whole, None if there is none in it."""
    text = text.strip()
    pairs = (("{{", "}}"), ("{%", "%}"))
    found = [pair for pair in pairs if 0 <= text.find(pair[0]) < text.rfind(pair[1])]
    return any(text.startswith(start) and text.endswith(end) for start, end in found) if found else None


def _is_foreign(pool: Mapping[str, Any]) -> bool:
    """Say whether this is not a pool of the management plane at all, so that its members tell nothing."""
    return "properties" not in pool and ("resources" in pool or any(m in pool for m in _DATA_PLANE_MEMBERS))


def _check_pool(pool: Mapping[str, Any]) -> Findings:
    has_properties = "properties" in pool
    if "resources" in pool and not has_properties:
        what = "this is a template of Azure Resource Manager, not one pool"
        mend = "Give the resource of type Microsoft.Batch/batchAccounts/pools by itself"
        yield error("", what, mend, ARM_PAGE)
        return
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
    identities = yield from _check_identity(pool)
    properties = yield from object_member(pool, "properties", "", "Put the pool's settings in it")
    if properties is None:
        return
    yield from text_member(properties, "vmSize", "properties", "Name a size, such as STANDARD_D2S_V5")
    yield from check_scale(properties)
    yield from check_machine(properties, identities)
    machine = object_at(properties, "deploymentConfiguration", "virtualMachineConfiguration")
    system = node_operating_system(text_of(machine, "nodeAgentSkuId"))
    yield from check_start_task(properties, system)
    yield from check_surroundings(properties)
    yield from check_leaks(properties)


def _check_name(name: object) -> Findings:
    if name is None:
        yield error("name", "the pool has no name", "Give a pool id, or a name in the document")
    elif not isinstance(name, str):
        yield error("name", f"the pool's name is {kind_of(name)}, not a text", "Put it in quotes")
    elif not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        mend = "Use 1 to 64 letters, digits, hyphens and underscores, without the account's name"
        yield error("name", f"{quote(name)} is no name for a pool", mend, ARM_PAGE)


def _check_identity(pool: Mapping[str, Any]) -> Generator[Finding, None, int]:
    """Return how many identities the pool is given, also when it is given them wrongly."""
    identity = yield from object_member(pool, "identity", "")
    if identity is None:
        return 0 if pool.get("identity") is None else 1
    mend = "Write UserAssigned (or None): a pool cannot have a system-assigned identity"
    kind = yield from text_member(identity, "type", "identity", mend)
    known = (kind or "").casefold()
    if kind is not None and known not in ("userassigned", "none"):
        what = f"{quote(kind)} is no type of identity for a pool"
        yield error("identity.type", what, mend, IDENTITY_PAGE)
    mend = 'Write the resource id of each as a key of an empty object: {"/subscriptions/…": {}}'
    required = mend if known == "userassigned" else ""
    ids = yield from object_member(identity, "userAssignedIdentities", "identity", required)
    if required and ids is not None and not ids:
        what = "the identity is UserAssigned, but no identity is named"
        yield error("identity.userAssignedIdentities", what, mend, IDENTITY_PAGE)
    for resource in ids or ():
        if not (isinstance(resource, str) and _IDENTITY_ID.fullmatch(resource)):
            what = "this is not the resource id of a user-assigned identity"
            mend = (
                "Write /subscriptions/…/resourceGroups/…/providers/Microsoft.ManagedIdentity"
                "/userAssignedIdentities/…, not its name, client id or principal id"
            )
            yield error(at("identity.userAssignedIdentities", resource), what, mend, IDENTITY_PAGE)
    return 0 if known == "none" else len(ids or ()) or 1
