"""The check of a pool's extensions: each by itself, and the order in which they wait for one another.

What is known of publishers and types comes from `extension_catalog`; here are the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from graphlib import CycleError, TopologicalSorter
from typing import Any

from airflow_batchext.batch import extension_catalog as catalog
from airflow_batchext.batch.data_plane import BATCH_OWN_EXTENSION
from airflow_batchext.batch.retirements import EXTENSIONS, retirement_of
from airflow_batchext.loose_json.documents import at, kind_of, quote
from airflow_batchext.pool_spec._check_images import end_of
from airflow_batchext.pool_spec._check_settings import Nodes, check_settings
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    IDENTITY_PAGE,
    Findings,
    error,
    text_member,
    text_of,
    warning,
)
from airflow_batchext.pool_spec._members import MACHINE
from airflow_batchext.secrets.names import squash

_BASE = f"{MACHINE}.extensions"
_PAGE = catalog.SUPPORTED_EXTENSIONS_PAGE
_OF_SETTINGS = ("authenticationSettings", "secretsManagementSettings")
_FROM_VAULT = "protectedsettingsfromkeyvault"
_TOLD = -1
_VERSION = re.compile(r"\d{1,4}\.\d{1,5}")


def check_extensions(entries: object, nodes: Nodes, today: date | None) -> Findings:
    """Find what is wrong with ``extensions``.

    :param entries: the value of the member, whatever it is.
    :param nodes: what is known of the nodes.
    :param today: the date; without it, ends that are announced are not told.
    """
    if entries is None:
        return
    if not isinstance(entries, (list, tuple)):
        fix = "Write a list of objects, also for one extension"
        yield error(_BASE, f"extensions is {kind_of(entries)}, not a list", fix, _PAGE)
        return
    first_of: dict[str, int] = {}  # the first extension of each name, in lower case
    handlers: dict[str, int] = {}  # the first extension of each publisher and type
    for index, entry in enumerate(entries):
        path = at(_BASE, index)
        if not isinstance(entry, Mapping):
            fix = "Write an object with name, publisher and type"
            yield error(path, f"the extension is {kind_of(entry)}, not an object", fix)
            continue
        if isinstance(entry.get("properties"), Mapping):
            what = "this is an extension as a resource of a virtual machine has it"
            fix = "Write what stands in its properties into the extension itself, and only its name beside it"
            yield replace(error(path, what, fix, _PAGE), covers=True)
            first_of.setdefault(text_of(entry, "name").casefold(), index)
            continue
        name = yield from text_member(entry, "name", path, "Give the extension a name of its own")
        if name is not None:
            yield from _check_name(name, f"{path}.name", first_of)
            first_of.setdefault(name.casefold(), index)
        yield from _check_members(entry, path)
        yield from _check_kind(entry, path, nodes, today)
        yield from _check_handler(entry, path, index, handlers)
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
            fix = f"Did you mean {near}?" if near else "Take it out: Azure refuses unknown members"
            if isinstance(key, str) and squash(key) == _FROM_VAULT:
                fix = (
                    'Write protectedSettings, with {"$secret": …} in place of each secret: it is looked up '
                    "when the pool is created"
                )
            if key in _OF_SETTINGS:
                fix = "Move it into settings"
            yield error(at(path, key), f"an extension has no member {quote(key)}", fix, ARM_PAGE)
    for member in ("settings", "protectedSettings"):
        value = entry.get(member)
        if isinstance(value, str):
            what = f"{member} is a string, not an object; Azure takes it, and then no node can be allocated"
            yield error(f"{path}.{member}", what, "Pass the object itself, not its JSON text", _PAGE)
        elif value is not None and not isinstance(value, Mapping):
            yield error(f"{path}.{member}", f"{member} is {kind_of(value)}, not an object", "Write an object")
    version = entry.get("typeHandlerVersion")
    if version is not None and not isinstance(version, str):
        what = f"typeHandlerVersion is {kind_of(version)}, not a string"
        yield error(f"{path}.typeHandlerVersion", what, 'Put it in quotes, such as "1.0"')
    elif isinstance(version, str) and not _VERSION.fullmatch(version.strip()):
        what = f"{quote(version)} is not a version as it is asked for: major and minor, no more"
        yield warning(f"{path}.typeHandlerVersion", what, 'Write it like "3.0"', _PAGE)


def _check_kind(entry: Mapping[str, Any], path: str, nodes: Nodes, today: date | None) -> Findings:
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
    other = catalog.lookup_other(publisher, kind)
    if known is None:
        yield from _check_unlisted(publisher, kind, path)
    ended = retirement_of(f"{publisher.strip()}/{kind.strip()}", EXTENSIONS)
    if ended is not None and today is not None and ended.is_near(today):
        yield end_of(ended, f"{path}.publisher", today)
    either = known or other
    if either is None:
        return
    if nodes.system is not None and nodes.system != either.operating_system:
        other = catalog.counterpart(either, nodes.system)
        what = f"{either.type} is for {either.operating_system.title()}, the nodes run {nodes.system.title()}"
        fix = f"Use {other}" if other else "Take it out, or choose another image"
        yield error(f"{path}.type", what, fix, either.link)
    if either.needs_identity and not nodes.identities:
        what = f"{either.type} signs in with an identity of the pool, and the pool has none"
        yield warning(path, what, "Add a UserAssigned identity to the document", IDENTITY_PAGE)
    yield from check_settings(entry, path, either, nodes)


def _check_unlisted(publisher: str, kind: str, path: str) -> Findings:
    """The finding of an extension that Batch's page does not list, and of what was probably meant."""
    swapped = catalog.lookup(kind, publisher) or catalog.lookup_other(kind, publisher)
    if swapped is not None or (kind.casefold().startswith("microsoft.") and "." not in publisher):
        what = "publisher and type have changed places"
        yield error(f"{path}.type", what, f"Write publisher {quote(kind)} and type {quote(publisher)}", _PAGE)
        return
    near = catalog.nearest(publisher, kind)
    hint = f"Did you mean {near}? " if near else ""
    what = f"the documentation does not list {quote(f'{publisher}/{kind}')} for Batch"
    yield warning(f"{path}.type", what, f"{hint}Others must be enabled by a support request", _PAGE)


def _check_handler(entry: Mapping[str, Any], path: str, index: int, handlers: dict[str, int]) -> Findings:
    """Check that no other extension is of the same publisher and type."""
    publisher, kind = text_of(entry, "publisher"), text_of(entry, "type")
    handler = f"{publisher}/{kind}".casefold()
    first = handlers.setdefault(handler, index)
    if publisher and kind and first not in (index, _TOLD):
        handlers[handler] = _TOLD
        what = f"extensions[{first}] is of this publisher and type, and a machine takes one of them"
        fix = "Write what both are to do into one of them, such as all certificates"
        yield error(path, what, fix, "https://github.com/MicrosoftDocs/azure-docs/issues/55085")


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
                fix = "Name another extension of this pool, or take it out"
                yield error(place, f"the pool has no extension {quote(name)}", fix)
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
    for _ in range(10):  # plenty for a person to fix; bounds the work on a hostile document
        circle = _circle(left)
        if not circle:
            return
        start = circle.index(min(circle))
        yield circle[start:] + circle[:start]
        left = {index: others for index, others in left.items() if index not in circle}


def _circle(waits: Mapping[int, Sequence[int]]) -> list[int]:
    """One circle, empty when there is none."""
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as found:
        circle: list[int] = found.args[1][:0:-1]  # it comes closed, and what is waited for comes first
        return circle
    return []
