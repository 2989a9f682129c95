"""Bodies of pools that the service takes, made by Hypothesis along the emulator's own schema."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from airflow_batchext.emulator.account.lifecycle import Resize
from airflow_batchext.emulator.account.pools import Pool
from airflow_batchext.emulator.documents.pool import read_management
from airflow_batchext.emulator.documents.pool_schema import MANAGEMENT_POOL
from airflow_batchext.emulator.documents.schema import Enum, Leaf, Many, Member, Object
from airflow_batchext.emulator.management.bodies import pool_body

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORD = st.text("abcXYZ019-_", min_size=1, max_size=8)
JSON = st.recursive(
    st.booleans() | st.integers() | WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=5,
)
_UNIQUE = {"name", "lun", "priority", "registryServer", "id", "ipTagType"}


def _in_any_case(words: Iterable[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([form for word in sorted(words) for form in (word, word.lower(), word.upper())])


# No strategy is made while another one draws, as by ``flatmap``: that takes longer than the draw.
def _duration() -> st.SearchStrategy[str]:
    forms = [lambda m: f"PT{m}M", lambda m: f"PT{m * 60}S", lambda m: f"PT0H{m:02}M00S"]
    return st.builds(lambda form, minutes: form(minutes), st.sampled_from(forms), st.integers(5, 600))


def _leaf(kind: str) -> st.SearchStrategy[Any]:
    return {
        "text": WORD,
        "integer": st.integers(0, 100),
        "boolean": st.booleans(),
        "duration": _duration(),
        "any": st.dictionaries(WORD, JSON, max_size=3),
        "secret": WORD.map(lambda word: f"S3NTINEL{word}"),
    }[kind]


def _value(member: Member, name: str) -> st.SearchStrategy[Any]:
    if isinstance(member, Leaf):
        return _leaf("duration" if member.kind == "span" else member.kind)
    if isinstance(member, Enum):
        return _in_any_case(member.words)
    if isinstance(member, Many):
        return st.lists(_value(member.of, name), max_size=3).map(_told_apart)
    return _object(member)


def _object(schema: Object) -> st.SearchStrategy[dict[str, Any]]:
    members = {
        name: _value(member, name)
        for name, member in schema.members.items()
        if not (isinstance(member, Leaf) and member.kind == "read-only")
    }
    required = {name: members.pop(name) for name in schema.required}
    return st.fixed_dictionaries(required, optional=members)


def _told_apart(items: list[Any]) -> list[Any]:
    """Items that differ in what they are known by, as in any list of a person."""
    kept: dict[str, Any] = {}
    for item in items:
        keys = (
            [str(item[name]).casefold() for name in sorted(_UNIQUE & item.keys())]
            if isinstance(item, dict)
            else []
        )
        kept.setdefault("|".join(keys) or str(item), item)
    if len({tuple(sorted(_UNIQUE & item.keys())) for item in kept.values() if isinstance(item, dict)}) > 1:
        return list(kept.values())[:1]
    return list(kept.values())


_IMAGE = st.fixed_dictionaries(
    {"publisher": WORD, "offer": WORD, "sku": WORD},
    optional={"version": st.sampled_from(["latest", "1.2.3"])},
)
_SCALE = st.one_of(
    st.fixed_dictionaries(
        {"targetDedicatedNodes": st.integers(0, 9)},
        optional={"targetLowPriorityNodes": st.integers(0, 9), "resizeTimeout": _duration()},
    ).map(lambda fixed: {"fixedScale": fixed}),
    st.fixed_dictionaries(
        {"formula": st.sampled_from(["$TargetDedicatedNodes=1", "$TargetDedicatedNodes = 2;"])},
        optional={"evaluationInterval": _duration()},
    ).map(lambda auto: {"autoScale": auto}),
)
_IDENTITY = st.lists(WORD, min_size=1, max_size=2, unique_by=str.casefold).map(
    lambda names: {
        "type": "UserAssigned",
        "userAssignedIdentities": {f"/subscriptions/0/identities/{name}": {} for name in names},
    }
)


def _finished(parts: tuple[Any, ...]) -> dict[str, Any]:
    properties, image, scale, identity, tags = parts
    machine = properties["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine["imageReference"] = image
    body = {"properties": properties}
    properties.pop("scaleSettings", None)
    if scale is not None:
        properties["scaleSettings"] = scale
    for index, extension in enumerate(machine.get("extensions", [])):
        extension |= {"type": "KeyVaultForLinux", "name": f"e{index}"}
    if identity is not None:
        body["identity"] = identity
    if tags:
        body["tags"] = tags
    return body


def _bodies() -> st.SearchStrategy[dict[str, Any]]:
    schema = MANAGEMENT_POOL.members["properties"]
    assert isinstance(schema, Object)
    machine = schema.members["deploymentConfiguration"].members["virtualMachineConfiguration"]  # type: ignore[union-attr]
    properties = st.builds(
        lambda found, made: {
            **found,
            "vmSize": "Standard_D2s_v3",
            "deploymentConfiguration": {"virtualMachineConfiguration": made},
        },
        _object(schema),
        _object(machine),  # type: ignore[arg-type]
    )
    tags = st.dictionaries(WORD, WORD, max_size=2)
    return st.tuples(properties, _IMAGE, st.none() | _SCALE, st.none() | _IDENTITY, tags).map(_finished)


BODIES = _bodies()


def _whole(member: Member) -> st.SearchStrategy[Any]:
    """A value with all that may be in it: each member of an object, one entry in each list."""
    if isinstance(member, Object):
        return st.fixed_dictionaries(
            {
                name: _whole(inner)
                for name, inner in member.members.items()
                if not (isinstance(inner, Leaf) and inner.kind == "read-only")
                and name not in OF_OLDER_VERSIONS
            }
        )
    if isinstance(member, Many):
        return _whole(member.of).map(lambda item: [item])
    return _value(member, "")


#: What the emulator takes from older clients, and the SDKs of today do not know.
OF_OLDER_VERSIONS = {"targetNodeCommunicationMode", "applicationLicenses"}
_OLD_PLACE_OF_A_DISK = "storageAccountType"


def _one_scale(body: dict[str, Any], other: str) -> dict[str, Any]:
    machine = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    for disk in machine["dataDisks"]:
        disk.pop(_OLD_PLACE_OF_A_DISK)
    del body["properties"]["scaleSettings"][other]
    return {**body, "name": "p"}


#: Bodies with every member, so far as one does not exclude another. The service would not take them.
WHOLE_BODIES = st.builds(_one_scale, _whole(MANAGEMENT_POOL), st.sampled_from(["fixedScale", "autoScale"]))


def read_back(body: dict[str, Any]) -> dict[str, Any]:
    """What the service returns of a pool that was made with this body."""
    definition = read_management(body)
    dedicated, low = definition.scale.dedicated, definition.scale.low_priority
    resize = Resize(NOW, NOW + timedelta(minutes=2), dedicated, low)
    pool = Pool("p", definition, created=NOW, modified=NOW, resize=resize)
    return pool_body(pool, "/subscriptions/0/batchAccounts/a", 'W/"0x1"', (0, 0), NOW)
