"""The check of a pool's extensions: each by itself, and the order in which they wait for one another.

What is known of publishers and types comes from `extension_catalog`; here are the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from airflow_batchext.batch import extension_catalog as catalog
from airflow_batchext.batch.data_plane import BATCH_OWN_EXTENSION
from airflow_batchext.batch.documents import at, kind_of, quote
from airflow_batchext.pool_spec._check_settings import check_settings
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    IDENTITY_PAGE,
    Findings,
    error,
    text_member,
    warning,
)
from airflow_batchext.pool_spec._members import MACHINE

_BASE = f"{MACHINE}.extensions"
_PAGE = catalog.SUPPORTED_EXTENSIONS_PAGE
_OF_SETTINGS = ("authenticationSettings", "secretsManagementSettings")
_VERSION = re.compile(r"\d{1,4}\.\d{1,5}")


def check_extensions(entries: object, system: catalog.OperatingSystem | None, *, identities: int) -> Findings:
    """Find what is wrong with ``extensions``.

    :param entries: the value of the member, whatever it is.
    :param system: what the pool's nodes run, if that is known.
    :param identities: how many identities the pool has that an extension can sign in with.
    """
    if entries is None:
        return
    if not isinstance(entries, (list, tuple)):
        mend = "Write a list of objects, also for one extension"
        yield error(_BASE, f"extensions is {kind_of(entries)}, not a list", mend, _PAGE)
        return
    first_of: dict[str, int] = {}  # the first extension of each name, in lower case
    for index, entry in enumerate(entries):
        path = at(_BASE, index)
        if not isinstance(entry, Mapping):
            mend = "Write an object with name, publisher and type"
            yield error(path, f"the extension is {kind_of(entry)}, not an object", mend)
            continue
        name = yield from text_member(entry, "name", path, "Give the extension a name of its own")
        if name is not None:
            yield from _check_name(name, f"{path}.name", first_of)
            first_of.setdefault(name.casefold(), index)
        yield from _check_members(entry, path)
        yield from _check_kind(entry, path, system, identities=identities)
    yield from _check_order(entries, first_of)


def _check_name(name: str, path: str, first_of: Mapping[str, int]) -> Findings:
    first = first_of.get(name.casefold())
    if first is not None:
        what = f"the name {quote(name)} is taken by extensions[{first}]"
        yield error(path, what, "Give each extension another name")
    if name.casefold() == BATCH_OWN_EXTENSION.casefold():
        what = f"{BATCH_OWN_EXTENSION} is the extension that Batch itself puts on every node"
        yield error(path, what, "Choose another name")


def _check_members(entry: Mapping[str, Any], path: str) -> Findings:
    for key in entry:
        if key not in catalog.EXTENSION_MEMBERS:
            near = catalog.nearest_member(key) if isinstance(key, str) else None
            mend = f"Did you mean {near}?" if near else "Take it out: Azure refuses unknown members"
            if key in _OF_SETTINGS:
                mend = "Move it into settings"
            yield error(at(path, key), f"an extension has no member {quote(key)}", mend, ARM_PAGE)
    for member in ("settings", "protectedSettings"):
        value = entry.get(member)
        if isinstance(value, str):
            what = f"{member} is a string, not an object; Azure takes it, and then no node can be allocated"
            yield error(f"{path}.{member}", what, "Pass the object itself, not its JSON text", _PAGE)
        elif value is not None and not isinstance(value, Mapping):
            yield error(f"{path}.{member}", f"{member} is {kind_of(value)}, not an object", "Write an object")
    if entry.get("protectedSettings") is not None and entry.get("protectedSettingsFromKeyVault") is not None:
        what = "both protectedSettings and protectedSettingsFromKeyVault are given"
        yield error(f"{path}.protectedSettings", what, "Keep one of the two", ARM_PAGE)
    version = entry.get("typeHandlerVersion")
    if version is not None and not isinstance(version, str):
        what = f"typeHandlerVersion is {kind_of(version)}, not a string"
        yield error(f"{path}.typeHandlerVersion", what, 'Put it in quotes, such as "1.0"')
    elif isinstance(version, str) and not _VERSION.fullmatch(version.strip()):
        what = f"{quote(version)} is not a version as it is asked for: major and minor, no more"
        yield warning(f"{path}.typeHandlerVersion", what, 'Write it like "3.0"', _PAGE)


def _check_kind(
    entry: Mapping[str, Any], path: str, system: catalog.OperatingSystem | None, *, identities: int
) -> Findings:
    """Check publisher and type against what is known of them."""
    publisher = yield from text_member(entry, "publisher", path, "Name it, such as Microsoft.Azure.KeyVault")
    kind = yield from text_member(entry, "type", path, "Name it, such as KeyVaultForLinux")
    if kind is not None and kind.casefold() in catalog.RESERVED_TYPES:
        what = f"the type {kind} is reserved for Batch itself"
        yield error(f"{path}.type", what, "Use the pool's startTask to run a script", _PAGE)
        return
    if kind is None or publisher is None:
        return
    known = catalog.lookup(publisher, kind)
    if known is None:
        near = catalog.nearest(publisher, kind)
        hint = f"Did you mean {near}? " if near else ""
        what = f"the documentation does not list {quote(f'{publisher}/{kind}')} for Batch"
        yield warning(f"{path}.type", what, f"{hint}Others must be enabled by a support request", _PAGE)
        return
    if system is not None and system != known.operating_system:
        other = catalog.counterpart(known, system)
        what = f"{known.type} is for {known.operating_system.title()}, the nodes run {system.title()}"
        mend = f"Use {other}" if other else "Take it out, or choose another image"
        yield error(f"{path}.type", what, mend, known.link)
    if known.needs_identity and not identities:
        what = f"{known.type} signs in with an identity of the pool, and the pool has none"
        yield warning(path, what, "Add a UserAssigned identity to the document", IDENTITY_PAGE)
    yield from check_settings(entry.get("settings"), f"{path}.settings", known, identities=identities)


def _check_order(entries: Sequence[Any], first_of: Mapping[str, int]) -> Findings:
    """Check that ``provisionAfterExtensions`` names others of the pool, and in no circle."""
    waits: dict[int, list[int]] = {}
    for index, entry in enumerate(entries):
        after = entry.get("provisionAfterExtensions") if isinstance(entry, Mapping) else None
        if after is None:
            continue
        path = f"{at(_BASE, index)}.provisionAfterExtensions"
        if not isinstance(after, (list, tuple)):
            what = f"provisionAfterExtensions is {kind_of(after)}, not a list"
            yield error(path, what, "Write a list of names of extensions")
            continue
        for position, name in enumerate(after):
            place = at(path, position)
            if not isinstance(name, str):
                what = f"the entry is {kind_of(name)}, not a name"
                yield error(place, what, "Write the name of an extension")
                continue
            target = first_of.get(name.casefold())
            if target is None:
                mend = "Name another extension of this pool, or take it out"
                yield error(place, f"the pool has no extension {quote(name)}", mend)
            elif target == index:
                yield error(place, f"the extension {quote(name)} waits for itself", "Take it out")
            else:
                waits.setdefault(index, []).append(target)
    for circle in _circles(waits):
        path = f"{at(_BASE, circle[0])}.provisionAfterExtensions"
        names = " after ".join(quote(entries[index]["name"]) for index in (*circle, circle[0]))
        yield error(path, f"extensions wait for each other in a circle: {names}", "Break the circle")


def _circles(waits: Mapping[int, Sequence[int]]) -> Iterator[list[int]]:
    """Yield circles that share no member, each from its first member on, in the order of waiting."""
    left = dict(waits)
    for _ in range(10):  # plenty for a person to mend; bounds the work on a hostile document
        circle = _circle(left)
        if not circle:
            return
        start = circle.index(min(circle))
        yield circle[start:] + circle[:start]
        left = {index: others for index, others in left.items() if index not in circle}


def _circle(waits: Mapping[int, Sequence[int]]) -> list[int]:
    """Return one circle, empty when there is none."""
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as found:
        circle: list[int] = found.args[1][:0:-1]  # it comes closed, and what is waited for comes first
        return circle
    return []
