"""The check of a pool document: what Azure would refuse, or would take and then get no nodes from.

Here is what concerns the pool as a whole; its extensions are looked at in `_check_extensions`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import Any

from airflow_batchext import extension_catalog as catalog
from airflow_batchext.pool_spec._check_extensions import check_extensions
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    IDENTITY_PAGE,
    Finding,
    Findings,
    error,
    object_member,
    text_member,
    warning,
)
from airflow_batchext.pool_spec._paths import MACHINE, at, kind_of, quote
from airflow_batchext.pool_spec._request import whole_number
from airflow_batchext.pool_spec._secrets import is_secret_member

_DATA_PLANE_MEMBERS = ("id", "vmSize", "virtualMachineConfiguration", "targetDedicatedNodes")
_ARM_SHAPE = (
    'Use ARM\'s shape: {"properties": {"vmSize": …, "deploymentConfiguration": '
    '{"virtualMachineConfiguration": …}, "scaleSettings": …}}'
)
_POOL_TYPE = "Microsoft.Batch/batchAccounts/pools"
_SHORTEST_RESIZE = timedelta(minutes=5)
_DURATION = re.compile(
    r"P(?=.)(?:(?P<weeks>\d{1,6})W)?(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?(?:(?P<seconds>\d{1,9}(?:\.\d+)?)S)?)?",
    re.ASCII,
)


def check_document(document: object, *, pool_id: str | None = None) -> list[Finding]:
    """Say everything that is wrong with a pool document, errors first.

    :param document: what `parse_document` gave, or any other value: nothing makes this raise.
    :param pool_id: the name the pool is going to have; without it the document's ``name`` counts.
    :return: the findings; an empty list when Azure should take the document as it is.
    """
    if not isinstance(document, Mapping):
        what = f"the document is {kind_of(document)}, not an object"
        return [error("", what, "Give the body of a pool", ARM_PAGE)]
    pool = document if pool_id is None else {**document, "name": pool_id}
    templates = list(_check_templates(pool))
    # Of such a value nothing else is told: what else is wrong there shows once it is rendered.
    explained = {finding.path for finding in templates if finding.severity == "error"}
    others = (finding for finding in _check_pool(pool) if finding.path not in explained)
    return sorted([*templates, *others], key=lambda finding: finding.severity == "warning")


def _check_templates(pool: Mapping[str, Any]) -> Findings:
    """Find names and values that Jinja should have rendered.

    A template inside a longer text is a warning: it may be meant so, as in a command line with
    ``docker ps --format {{.Names}}``. Below a secret member only that member is named.
    """
    whole_at: dict[str, bool] = {}  # whether the whole text is a template, by the place of the text
    seen: set[int] = set()  # a value that holds itself would have no end
    waiting: deque[tuple[str, object, bool]] = deque([("", pool, False)])
    while waiting:
        path, value, secret = waiting.popleft()
        if isinstance(value, str):
            text = value.strip()
            for start, end in (("{{", "}}"), ("{%", "%}")):
                if 0 <= text.find(start) < text.rfind(end):
                    whole = text.startswith(start) and text.endswith(end)
                    whole_at[path] = whole or whole_at.get(path, False)
        elif isinstance(value, (Mapping, list, tuple)) and id(value) not in seen:
            seen.add(id(value))
            for step, item in value.items() if isinstance(value, Mapping) else enumerate(value):
                place = path if secret else at(path, step)
                hidden = secret or is_secret_member(step)
                waiting += [(place, step, hidden), (place, item, hidden)]
    for path, whole in whole_at.items():
        mend = "Have the document rendered before it is read, or write the value itself"
        yield (error if whole else warning)(path, "this looks like an unrendered template", mend)


def _check_pool(pool: Mapping[str, Any]) -> Findings:
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
    has_identity = yield from _check_identity(pool)
    properties = yield from object_member(pool, "properties", "", "Put the pool's settings in it")
    if properties is None:
        return
    yield from text_member(properties, "vmSize", "properties", "Name a size, such as STANDARD_D2S_V5")
    yield from _check_scale(properties)
    yield from _check_machine(properties, has_identity=has_identity)


def _check_name(name: object) -> Findings:
    if name is None:
        yield error("name", "the pool has no name", "Give a pool id, or a name in the document")
    elif not isinstance(name, str):
        yield error("name", f"the pool's name is {kind_of(name)}, not a text", "Put it in quotes")
    elif not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        mend = "Use 1 to 64 letters, digits, hyphens and underscores, without the account's name"
        yield error("name", f"{quote(name)} is no name for a pool", mend, ARM_PAGE)


def _check_identity(pool: Mapping[str, Any]) -> Generator[Finding, None, bool]:
    """Return whether the pool is given an identity, also when it is given one wrongly."""
    identity = yield from object_member(pool, "identity", "")
    if identity is None:
        return pool.get("identity") is not None
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
    return known != "none"


def _check_scale(properties: Mapping[str, Any]) -> Findings:
    path = "properties.scaleSettings"
    scale = yield from object_member(properties, "scaleSettings", "properties")
    if scale is None:
        return
    if scale.get("fixedScale") is not None and scale.get("autoScale") is not None:
        yield error(path, "both fixedScale and autoScale are given", "Keep one of the two", ARM_PAGE)
    yield from object_member(scale, "autoScale", path)
    fixed = yield from object_member(scale, "fixedScale", path)
    if fixed is not None:
        yield from _check_fixed_scale(fixed, f"{path}.fixedScale")


def _check_fixed_scale(fixed: Mapping[str, Any], path: str) -> Findings:
    for member in ("targetDedicatedNodes", "targetLowPriorityNodes"):
        value = fixed.get(member)
        number = whole_number(value)
        if value is not None and (number is None or number < 0):
            what = f"{member} is negative" if number is not None else f"{member} is not a whole number"
            yield error(f"{path}.{member}", what, "Give a whole number of nodes, 0 or more")
    timeout = fixed.get("resizeTimeout")
    if timeout is not None:
        duration = _duration(timeout)
        if duration is None or duration < _SHORTEST_RESIZE:
            what = "is not an ISO 8601 duration" if duration is None else "is shorter than 5 minutes"
            mend = "Give PT5M or more, such as PT15M (15 minutes)"
            yield error(f"{path}.resizeTimeout", f"resizeTimeout {what}", mend, ARM_PAGE)


def _duration(value: object) -> timedelta | None:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    return timedelta(**{unit: float(number) for unit, number in match.groupdict("0").items()})


def _check_machine(properties: Mapping[str, Any], *, has_identity: bool) -> Findings:
    path = "properties.deploymentConfiguration"
    required = "Describe the nodes in deploymentConfiguration.virtualMachineConfiguration"
    deployment = yield from object_member(properties, "deploymentConfiguration", "properties", required)
    if deployment is None:
        return
    if deployment.get("cloudServiceConfiguration") is not None:
        what = "Azure has retired cloudServiceConfiguration, and its nodes cannot have extensions"
        mend = "Use virtualMachineConfiguration instead"
        yield error(f"{path}.cloudServiceConfiguration", what, mend, catalog.SUPPORTED_EXTENSIONS_PAGE)
        required = ""  # that is said now
    machine = yield from object_member(deployment, "virtualMachineConfiguration", path, required)
    if machine is None:
        return
    image = 'Name a marketplace image: {"publisher": …, "offer": …, "sku": …, "version": "latest"}'
    yield from object_member(machine, "imageReference", MACHINE, image)
    mend = "Name the node agent of the image, such as batch.node.ubuntu 24.04"
    agent = yield from text_member(machine, "nodeAgentSkuId", MACHINE, mend)
    system = catalog.node_operating_system(agent or "")
    yield from check_extensions(machine.get("extensions"), system, has_identity=has_identity)
