"""The check of identities: those that the pool has, and those that anything in it signs in with."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from airflow_batchext.batch.extension_catalog import lookup
from airflow_batchext.loose_json.documents import at, quote, walk
from airflow_batchext.pool_spec._finding import (
    IDENTITY_PAGE,
    Finding,
    Findings,
    error,
    object_at,
    object_member,
    objects,
    text_member,
    text_of,
    warning,
)
from airflow_batchext.pool_spec._members import MACHINE
from airflow_batchext.secrets.names import is_secret_member

_IDENTITY_ID = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.ManagedIdentity"
    r"/userAssignedIdentities/[^/]+",
    re.IGNORECASE,
)
_NO_ID = "this is not the resource id of a user-assigned identity"
_ID_FIX = (
    "Write /subscriptions/…/resourceGroups/…/providers/Microsoft.ManagedIdentity"
    "/userAssignedIdentities/…, not its name, client id or principal id"
)
_IDENTIFIER_NAMES: Final = ("mi_res_id", "object_id", "client_id")
_MOST = 20_000


def check_identity(pool: Mapping[str, Any]) -> Generator[Finding, None, int]:
    """How many identities the pool is given, also when it is given them wrongly."""
    identity = yield from object_member(pool, "identity", "")
    if identity is None:
        return 0 if pool.get("identity") is None else 1
    fix = "Write UserAssigned (or None): a pool cannot have a system-assigned identity"
    kind = yield from text_member(identity, "type", "identity", fix)
    known = (kind or "").casefold()
    if kind is not None and known not in ("userassigned", "none"):
        what = f"{quote(kind)} is no type of identity for a pool"
        yield error("identity.type", what, fix, IDENTITY_PAGE)
    fix = 'Write the resource id of each as a key of an empty object: {"/subscriptions/…": {}}'
    required = fix if known == "userassigned" else ""
    ids = yield from object_member(identity, "userAssignedIdentities", "identity", required)
    if required and ids is not None and not ids:
        what = "the identity is UserAssigned, but no identity is named"
        yield error("identity.userAssignedIdentities", what, fix, IDENTITY_PAGE)
    if known == "none" and ids:
        what = "identities are named, and the type is None"
        yield error("identity.type", what, "Write UserAssigned, or take them out", IDENTITY_PAGE)
    for resource in ids or ():
        if not (isinstance(resource, str) and _IDENTITY_ID.fullmatch(resource.strip())):
            place = at("identity.userAssignedIdentities", resource)
            yield error(place, _NO_ID, _ID_FIX, IDENTITY_PAGE)
    return 0 if known == "none" else len(ids or ()) or 1


def check_used_identities(pool: Mapping[str, Any]) -> Findings:
    """Find identities that something in the pool signs in with, and that the pool does not have.

    That is every ``identityReference``, and the ``identifier-value`` of an extension's settings.
    """
    owned = _owned(pool)
    for path, resource in _references(pool.get("properties"), "properties"):
        if not isinstance(resource, str) or not resource.strip():
            fix = "Write the resource id of one of the pool's"
            yield error(f"{path}.resourceId", "the reference names no identity", fix, IDENTITY_PAGE)
        elif not _IDENTITY_ID.fullmatch(resource.strip()):
            yield error(f"{path}.resourceId", _NO_ID, _ID_FIX, IDENTITY_PAGE)
        elif owned is not None and _key(resource) not in owned:
            yield error(f"{path}.resourceId", *_not_owned(resource, owned))
    machine = object_at(pool, "properties", "deploymentConfiguration", "virtualMachineConfiguration")
    for index, extension in objects(machine.get("extensions")):
        known = lookup(text_of(extension, "publisher"), text_of(extension, "type"))
        if owned or known is None or not known.needs_identity:  # else that is told of the extension itself
            yield from _check_settings(extension.get("settings"), at(f"{MACHINE}.extensions", index), owned)


def _check_settings(settings: object, path: str, owned: frozenset[str] | None) -> Findings:
    for place, identity in _below(settings, f"{path}.settings"):
        name, value = identity.get("identifier-name"), identity.get("identifier-value")
        if isinstance(name, str) and name.strip() and name.strip() not in _IDENTIFIER_NAMES:
            what = f"{quote(name)} is no identifier-name that the agent reads"
            fix = f"Write {', '.join(_IDENTIFIER_NAMES[:-1])} or {_IDENTIFIER_NAMES[-1]}"
            yield warning(f"{place}.identifier-name", what, fix, IDENTITY_PAGE)
        elif isinstance(value, str) and value.strip():
            yield from _check_value(str(name).strip(), value, f"{place}.identifier-value", owned)


def _check_value(name: str, value: str, path: str, owned: frozenset[str] | None) -> Findings:
    is_id = _IDENTITY_ID.fullmatch(value.strip()) is not None
    if name == "mi_res_id" and not is_id:
        yield warning(path, _NO_ID, _ID_FIX, IDENTITY_PAGE)
    elif name in ("object_id", "client_id") and is_id:
        what = f"this is a resource id, and identifier-name is {name}"
        yield warning(path, what, "Write mi_res_id as identifier-name", IDENTITY_PAGE)
    elif is_id and owned is not None and _key(value) not in owned:
        yield warning(path, *_not_owned(value, owned))


def _not_owned(resource: str, owned: frozenset[str]) -> tuple[str, str, str]:
    name = quote(resource.rstrip("/").rpartition("/")[2])
    has = "it has none" if not owned else "it has others"
    fix = "Add its resource id to identity.userAssignedIdentities, or name one that is there"
    return f"the pool does not have the identity {name}: {has}", fix, IDENTITY_PAGE


def _owned(pool: Mapping[str, Any]) -> frozenset[str] | None:
    """The ids of the pool's identities, None where they are given so that nobody can tell."""
    identity = pool.get("identity")
    if identity is None:
        return None if "identity" in object_at(pool, "properties") else frozenset()
    if not isinstance(identity, Mapping):
        return None
    ids, kind = identity.get("userAssignedIdentities"), str(identity.get("type")).strip().casefold()
    if kind == "none":
        return frozenset()
    if kind != "userassigned" or not isinstance(ids, Mapping) or not ids:
        return None
    if not all(isinstance(key, str) and _IDENTITY_ID.fullmatch(key.strip()) for key in ids):
        return None
    return frozenset(map(_key, ids))


def _key(resource: str) -> str:
    return resource.strip().strip("/").casefold()


def _references(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Yield the place and the resource id of each ``identityReference``."""
    for place, item in _below(value, path):
        reference = item.get("identityReference")
        if isinstance(reference, Mapping) and not place.endswith((".settings", ".protectedSettings")):
            yield at(place, "identityReference"), reference.get("resourceId")


def _below(value: object, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every object below a value, but for what is secret."""
    secret: dict[int, object] = {}
    for place, item in islice(walk(value, path=path, into=lambda item: id(item) not in secret), _MOST):
        if is_secret_member(place.step):
            secret[id(item)] = item
        elif isinstance(item, Mapping):
            yield place.path, item
