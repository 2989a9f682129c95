"""The check of a pool's shape: every member is known, of the right kind, and may be set; none is missing.

What Azure knows comes in as a `Schema`. What it once knew, or knows elsewhere under another name, is here:
those are the members that people carry over from older documents, the data plane, the CLI and Terraform.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch import extension_catalog as catalog
from airflow_batchext.loose_json.documents import at, kind_of, quote
from airflow_batchext.loose_json.values import whole_number
from airflow_batchext.pool_spec._durations import parse_duration
from airflow_batchext.pool_spec._finding import ARM_PAGE, Findings, error, missing, warning
from airflow_batchext.pool_spec._request import boolean
from airflow_batchext.secrets.names import squash

if TYPE_CHECKING:
    from airflow_batchext.pool_spec._schema import Member, Schema, Shape

_RETIRED = "Azure has taken it out of pools (api-version 2025-06-01)"
_REPLACED: Mapping[str, tuple[str, str]] = {
    "applicationid": ("that is its name on the data plane", "Write id: the resource id of the application"),
    "applicationlicenses": (_RETIRED, "Take it out"),
    "applicationpackagereferences": ("that is its name on the data plane", "Write applicationPackages"),
    "autoscaleformula": ("that is its name on the data plane", "Write scaleSettings.autoScale.formula"),
    "autoscaleevaluationinterval": (
        "that is its name on the data plane",
        "Write scaleSettings.autoScale.evaluationInterval",
    ),
    "blobsource": ("that is an older name", "Write httpUrl, or storageContainerUrl"),
    "certificatereferences": (_RETIRED, "Let the Key Vault extension bring the certificates"),
    "certificates": (_RETIRED, "Let the Key Vault extension bring the certificates"),
    "currentnodecommunicationmode": (_RETIRED, "Take it out"),
    "enableautoscale": ("the data plane asks so", "Give scaleSettings.autoScale instead"),
    "enableinternodecommunication": ("the data plane asks so", 'Write interNodeCommunication: "Enabled"'),
    "imageid": ("no object has it", "Write imageReference.id"),
    "location": ("a pool is where its account is", "Take it out"),
    "maxtaskspernode": ("that is an older name", "Write taskSlotsPerNode"),
    "resourcetags": ("that is its name on the data plane", "Write tags, at the top of the document"),
    "runelevated": (
        "that is an older name",
        'Write userIdentity: {"autoUser": {"elevationLevel": "Admin"}}',
    ),
    "storageimagereference": ("that is its name in Terraform", "Write imageReference"),
    "targetspotnodes": ("Spot nodes are still called low-priority", "Write targetLowPriorityNodes"),
    "targetnodecommunicationmode": (_RETIRED, "Take it out"),
    "username": ("no object has it here", "Write userName"),
    "virtualmachineimageid": ("that is its name on the data plane", "Write id"),
}
_MOVED = {
    ("DataDisk", "storageAccountType"): (
        "Azure's own examples still have it here, its models have it in managedDisk",
        "Write managedDisk.storageAccountType",
    )
}
_ELSEWHERE_KNOWN = {"VMExtension": frozenset(catalog.EXTENSION_MEMBERS)}
_NEWER = {
    "hardwareprofile": ("hardwareProfile", "2026-08-01"),
    "vmskuprofile": ("vmSkuProfile", "2026-08-01"),
}
"""Members that later versions of the service know, by their squashed names."""
_MAY_BE_BLANK = frozenset({"value"})
_KINDS = {
    "text": ("a text", "Put it in quotes"),
    "integer": ("a whole number", "Write a whole number, without quotes"),
    "number": ("a number", "Write a number, without quotes"),
    "boolean": ("true or false", "Write true or false, without quotes"),
    "duration": ("a duration", "Write an ISO 8601 duration, such as PT15M (15 minutes)"),
    "object": ("an object", "Write an object"),
    "list": ("a list", "Write a list, also for one"),
    "map": ("an object", "Write an object"),
}
"""What each kind of value is, and how to fix one that is of another."""


def check_shape(pool: Mapping[str, Any], schema: Schema) -> Findings:
    """Find members that are unknown, of a wrong kind, read-only or missing, anywhere in a pool.

    The name, the id and the like at the top may stay: they are not sent.
    """
    top = {name: member for name, member in schema.types[schema.root].items() if not member.read_only}
    tolerated = schema.types[schema.root].keys() - top.keys()
    given = {key: value for key, value in pool.items() if key not in tolerated}
    yield from _members(given, top, schema.root, "", schema)


def _members(
    value: Mapping[Any, Any], members: Mapping[str, Member], type_name: str, path: str, schema: Schema
) -> Findings:
    for key, item in value.items():
        member = members.get(key) if isinstance(key, str) else None
        place = at(path, key)
        if member is None:
            yield from _unknown(key, value, members, type_name, path, schema)
        elif member.read_only and item is not None:
            what = f"{key} is said by Azure, it cannot be set"
            yield warning(place, what, "Take it out", ARM_PAGE)
        elif isinstance(item, str) and not item.strip() and member.required and key not in _MAY_BE_BLANK:
            yield error(place, f"{key} is empty", "Give it: Azure requires it", ARM_PAGE)
        elif item is not None:
            yield from _value(item, member.shape, key, place, schema)
    for name, member in members.items():
        if member.required and not member.read_only and value.get(name) is None:
            words = member.shape.values
            fix = f"Write {' or '.join(words)}" if words else "Give it: Azure requires it"
            yield missing(at(path, name), name, fix)


def _unknown(
    key: object,
    value: Mapping[Any, Any],
    members: Mapping[str, Member],
    type_name: str,
    path: str,
    schema: Schema,
) -> Findings:
    """The finding of a member that the object does not have, and of what was probably meant."""
    if key in _ELSEWHERE_KNOWN.get(type_name, ()):
        return
    place = at(path, key)
    what = f"there is no member {quote(key)} {f'in {_last(path)}' if path else 'at the top of a pool'}"
    if not isinstance(key, str):
        what = f"{kind_of(key)} stands where the name of a member has to be"
        yield error(place, what, "Write its name, as a text", ARM_PAGE)
        return
    if (type_name, key) in _MOVED:
        why, fix = _MOVED[type_name, key]
        yield warning(place, f"{what}: {why}", fix, ARM_PAGE)
        return
    spelt = {squash(name): name for name in members}
    same = spelt.get(squash(key))
    if same is not None:
        meant = at(path, same) if same not in value else ""
        yield error(place, what, f"It is spelt {same}", ARM_PAGE, meant=meant)
        return
    newer, version = _NEWER.get(squash(key), ("", ""))
    if newer and newer not in spelt.values():
        what += f" that azure-mgmt-batch {schema.version} knows: it is known from api-version {version} on"
        yield error(place, what, "Install a newer azure-mgmt-batch, or do without it", ARM_PAGE)
        return
    homes = schema.homes.get(squash(key), ())
    if squash(key) in _REPLACED and not homes:
        why, fix = _REPLACED[squash(key)]
        # For example imageReference, which then is not missing.
        written = at(path, fix.removeprefix("Write "))
        yield error(place, f"{what}: {why}", fix, ARM_PAGE, meant=written)
        return
    near = get_close_matches(squash(key)[:64], spelt, n=1, cutoff=0.9 if homes else 0.75)
    if near:
        name = spelt[near[0]]
        meant = at(path, name) if name not in value else ""
        yield error(place, what, f"Did you mean {name}?", ARM_PAGE, meant=meant)
    elif len(homes) == 1 or (homes and len(set(homes)) <= 2):
        home = f"at {homes[0].replace('[]', '[…]')}" if "." in homes[0] else "at the top of the document"
        yield error(place, what, f"It belongs {home}", ARM_PAGE, meant=homes[0])
    else:
        yield error(place, what, "Take it out: Azure refuses unknown members", ARM_PAGE)


def _value(value: object, shape: Shape, name: str, path: str, schema: Schema) -> Findings:
    """Check one value that is not null."""
    if shape.kind == "any":
        return
    if not _is_of(value, shape.kind):
        wanted, _ = _KINDS[shape.kind]
        yield error(path, f"{name} is {_is(value, shape.kind)}, not {wanted}", _fix(value, shape))
    elif shape.values:
        yield from _known_value(value, shape.values, name, path, schema)
    elif shape.kind == "object" and isinstance(value, Mapping):
        yield from _members(value, schema.types[shape.type_name], shape.type_name, path, schema)
    elif shape.of is not None:
        for step, item in _entries(value):
            place, entry = at(path, step), f"{name}[{step}]" if shape.kind == "list" else quote(step)
            if item is None:
                yield error(place, f"an entry of {name} is null", "Take it out, or give a value")
            else:
                yield from _value(item, shape.of, entry, place, schema)


def _entries(value: object) -> Iterator[tuple[object, object]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, (list, tuple)):
        yield from enumerate(value)


def _is_of(value: object, kind: str) -> bool:
    if kind == "text":
        return isinstance(value, str)
    if kind == "integer":  # Jinja renders texts only; the request converts them
        return whole_number(value) is not None
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "boolean":
        return boolean(value) is not None
    if kind == "duration":
        return parse_duration(value) is not None
    if kind == "list":
        return isinstance(value, (list, tuple))
    return isinstance(value, Mapping)


def _is(value: object, kind: str) -> str:
    spelt = isinstance(value, str) and kind in ("integer", "boolean", "number", "duration")
    return "a text" if spelt else kind_of(value)


def _fix(value: object, shape: Shape) -> str:
    entry = shape.of
    if shape.kind == "list" and entry is not None and isinstance(value, Mapping):
        if entry.type_name in ("MetadataItem", "EnvironmentSetting"):
            return 'Write a list: [{"name": "…", "value": "…"}]'
        return "Write a list of objects, also for one"
    if shape.values:
        return f"Write {' or '.join(shape.values)}"
    if shape.kind == "text" and isinstance(value, (Mapping, list, tuple)):
        return "Write a text"
    return _KINDS[shape.kind][1]


def _known_value(value: object, known: tuple[str, ...], name: str, path: str, schema: Schema) -> Findings:
    spelt = {word.casefold(): word for word in known}
    if not isinstance(value, str) or value.casefold() in spelt:
        return
    near = get_close_matches(value.casefold()[:64], spelt, n=1, cutoff=0.6)
    fix = f"Did you mean {spelt[near[0]]}?" if near else f"Known are {', '.join(known)}"
    what = f"{quote(value)} is no {name} that azure-mgmt-batch {schema.version} knows"
    yield warning(path, what, fix, ARM_PAGE)


def _last(path: str) -> str:
    return path.rpartition(".")[2] or path
