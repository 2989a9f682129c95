"""Where in a pool document a secret may be referred to: in the members that Azure takes and never shows.

What stands anywhere else can be read by everybody who may read the pool, so a secret that is looked up for
it would get out.

Source: https://learn.microsoft.com/rest/api/batchmanagement/pool/create
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from airflow_batchext.batch.data_plane import OWN_ITEMS, REPAIR_ITEM
from airflow_batchext.loose_json.documents import at, is_list
from airflow_batchext.pool_spec._finding import Finding, error
from airflow_batchext.pool_spec._members import MACHINE
from airflow_batchext.secrets.references import is_reference, malformed_references

_MOUNTS = "properties.mountConfiguration.[]"
SECRET_PLACES: Final = (
    f"{MACHINE}.extensions.[].protectedSettings",
    f"{MACHINE}.containerConfiguration.containerRegistries.[].password",
    "properties.startTask.containerSettings.registry.password",
    "properties.userAccounts.[].password",
    "properties.userAccounts.[].linuxUserConfiguration.sshPrivateKey",
    f"{_MOUNTS}.azureBlobFileSystemConfiguration.accountKey",
    f"{_MOUNTS}.azureBlobFileSystemConfiguration.sasKey",
    f"{_MOUNTS}.azureFileShareConfiguration.accountKey",
    f"{_MOUNTS}.cifsMountConfiguration.password",
)
"""The members below which references are looked up; ``[]`` stands for each entry of a list."""

TOO_DEEP: Final = object()
"""What ``shown_values`` gives for all that lies too deep."""

_MOST_DEPTH: Final = 64
_MOST_FINDINGS: Final = 50
_STEPS: Final = tuple(tuple(place.split(".")) for place in SECRET_PLACES)
_FIX: Final = (
    "Move it to where Azure hides it (protectedSettings of an extension, a password, a key), or have the "
    "node fetch it with the pool's identity"
)


def shown_values(document: object) -> Iterator[tuple[str, object]]:
    """Yield path and value of every text, number and reference in a document that Azure shows to readers.

    What stands in several places is gone into wherever Azure shows it, also if it is hidden elsewhere.
    """
    waiting: list[tuple[str, tuple[str, ...], object]] = [("", (), document)]
    # Nothing of Azure's is deeper; a path for each step of a bottomless one would have no end.
    seen: set[int] = set()
    while waiting:
        path, steps, value = waiting.pop()
        if any(steps[: len(place)] == place for place in _STEPS):
            continue
        if is_reference(value) or not (isinstance(value, Mapping) or is_list(value)):
            yield path, value
        elif len(steps) > _MOST_DEPTH:
            yield path, TOO_DEEP
        elif id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, Mapping):
                below = [(at(path, key), (*steps, str(key)), item) for key, item in value.items()]
                if "$secret" in value:  # beside others it is no reference, but was meant as one
                    yield path, {"$secret": value["$secret"]}
            else:
                below = [(at(path, index), (*steps, "[]"), item) for index, item in enumerate(value)]
            waiting += reversed(below)


def check_references(document: object) -> list[Finding]:
    """A finding for each reference to a secret that is malformed, or stands where Azure shows it."""
    what = "a secret is referred to where everybody who may read the pool sees it, so it is not looked up"
    found = [
        error(path, problem, "Write the reference in one of these forms")
        for path, problem in islice(malformed_references(document), _MOST_FINDINGS)
    ]
    for path, value in shown_values(document):
        if value is TOO_DEEP:
            found.append(error(path, f"nests more than {_MOST_DEPTH} levels deep", "Leave that out"))
        elif is_reference(value):
            found.append(error(path, what, _FIX))
        if len(found) >= _MOST_FINDINGS:
            break
    return found


def check_reserved(document: object) -> list[Finding]:
    """A finding for metadata under the name of a repair's journal, or of a run's mark: these are believed."""
    own = {name.casefold(): name for name in OWN_ITEMS}
    whose = {REPAIR_ITEM: "of a repair's own journal"}
    return [
        error(
            at("properties.metadata", index),
            f"the name {own[name]!r} is that {whose.get(own[name], 'by which a run marks its own pools')}",
            "Leave it out, or give it another name",
        )
        for properties in _spelt(document, "properties")
        for items in _spelt(properties, "metadata")
        for index, item in enumerate(items if is_list(items) else ())
        for name in [str(name).strip().casefold() for name in _spelt(item, "name")][:1]
        if name in own
    ]


def _spelt(value: object, member: str) -> Iterator[object]:
    """What an object has under a name, in whatever case: Resource Manager reads each."""
    for name, below in value.items() if isinstance(value, Mapping) else ():
        if isinstance(name, str) and name.strip().casefold() == member:
            yield below
