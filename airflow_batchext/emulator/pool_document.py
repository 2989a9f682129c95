"""Reads a pool document of either plane into one definition, and writes it back in either spelling.

One pool seen from both planes is one pool: inside there is one form, in the management plane's spelling, with
the defaults that the service fills in and without the secrets, which are dropped while reading and are never
held by anything that lives longer than the request.
"""

from __future__ import annotations

import copy
import re
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_batchext.emulator.errors import RefusedError, not_modelled, refusal
from airflow_batchext.emulator.pool_schema import COMMON, DATA_POOL, MANAGEMENT_POOL
from airflow_batchext.emulator.scenario import SYSTEM_EXTENSION
from airflow_batchext.emulator.schema import READ_ONLY, SECRET, Enum, Leaf, Many, Member, Object
from airflow_batchext.emulator.wire import Json, read_duration, write_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

Plane = Literal["management", "data"]

POOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_DEFAULT_TIMEOUT = timedelta(minutes=15)
_MIN_TIMEOUT = timedelta(minutes=5)
_MAX_INTERVAL = timedelta(hours=168)
_IDENTITY_NAMESPACE = uuid.UUID("5d1f3ad5-6ab7-4f0c-9d86-0d5f8a6c7c11")


@dataclass(frozen=True)
class Scale:
    """How many nodes a pool is to have, and how that is said: fixed, or by a constant formula."""

    dedicated: int = 0
    low_priority: int = 0
    timeout: timedelta = _DEFAULT_TIMEOUT
    deallocation: str | None = None
    formula: str | None = None
    interval: timedelta = _DEFAULT_TIMEOUT


@dataclass(frozen=True)
class PoolDefinition:
    """What a client asked for, with the defaults filled in."""

    properties: Json
    """In the management plane's spelling, without scale settings and without secrets."""
    scale: Scale
    identity: Json | None = None
    tags: Json = field(default_factory=dict)

    @property
    def machine(self) -> Json:
        """The virtual machine configuration."""
        machine: Json = self.properties["deploymentConfiguration"]["virtualMachineConfiguration"]
        return machine

    @property
    def extensions(self) -> list[Json]:
        """The extensions that the pool asks for."""
        extensions: list[Json] = self.machine.get("extensions", [])
        return extensions

    @property
    def has_settings_as_text(self) -> bool:
        """Whether settings were given as a JSON string: the service accepts it, and no node ever comes."""
        return any(isinstance(extension.get("settings"), str) for extension in self.extensions)


# --- reading -----------------------------------------------------------------------------------------------


def read_management(body: Json, text: str = "") -> PoolDefinition:
    """Read the body of a management-plane PUT. ``text`` is the raw body, for the position in an error."""
    document = _Reader("management", text).read(MANAGEMENT_POOL, body, "")
    properties: Json = document["properties"]
    if "vmSize" not in properties:
        raise _missing("properties.vmSize", "management")
    if "virtualMachineConfiguration" not in properties.get("deploymentConfiguration", {}):
        lacks = "deploymentConfiguration"
        if lacks in properties:
            lacks += ".virtualMachineConfiguration"
        raise _missing(f"properties.{lacks}", "management")
    settings = properties.pop("scaleSettings", {})
    if "fixedScale" in settings and "autoScale" in settings:
        reason = "Only one of fixedScale and autoScale can be specified"
        raise _bad("properties.scaleSettings", "", reason, "management")
    fixed = settings.get("fixedScale", {})
    auto = settings.get("autoScale", {})
    scale = _scale(
        "management",
        dedicated=fixed.get("targetDedicatedNodes", 0),
        low_priority=fixed.get("targetLowPriorityNodes", 0),
        timeout=fixed.get("resizeTimeout"),
        deallocation=fixed.get("nodeDeallocationOption"),
        formula=auto.get("formula"),
        interval=auto.get("evaluationInterval"),
    )
    definition = PoolDefinition(
        _with_defaults(properties), scale, _identity(document.get("identity")), document.get("tags", {})
    )
    _check(definition, "management")
    return definition


def read_data(body: Json) -> tuple[str, PoolDefinition]:
    """Read the body of a data-plane POST: the id of the pool, and what it asks for."""
    document = _Reader("data", "").read(DATA_POOL, body, "")
    pool_id: str = document["id"]
    is_auto = document.get("enableAutoScale", False)
    formula = document.get("autoScaleFormula")
    if is_auto and formula is None:
        raise _missing("autoScaleFormula", "data")
    if is_auto and ("targetDedicatedNodes" in document or "targetLowPriorityNodes" in document):
        reason = "Target node counts cannot be specified when enableAutoScale is true"
        raise _bad("targetDedicatedNodes", document.get("targetDedicatedNodes", 0), reason, "data")
    scale = _scale(
        "data",
        dedicated=document.get("targetDedicatedNodes", 0),
        low_priority=document.get("targetLowPriorityNodes", 0),
        timeout=document.get("resizeTimeout"),
        deallocation=None,
        formula=formula if is_auto else None,
        interval=document.get("autoScaleEvaluationInterval"),
    )
    properties = {name: document[name] for name in COMMON if name in document}
    properties["deploymentConfiguration"] = {
        "virtualMachineConfiguration": document["virtualMachineConfiguration"]
    }
    if document.get("enableInterNodeCommunication"):
        properties["interNodeCommunication"] = "Enabled"
    if "applicationPackages" in document:
        properties["applicationPackages"] = document["applicationPackages"]
    definition = PoolDefinition(_with_defaults(properties), scale, tags=document.get("resourceTags", {}))
    check_name(pool_id, "data")
    _check(definition, "data")
    return pool_id, definition


def check_name(name: str, plane: Plane) -> None:
    """Refuse a name that no pool may have."""
    if not POOL_NAME.match(name):
        reason = "A pool name has 1 to 64 characters: letters, digits, hyphens and underscores"
        raise _bad("name" if plane == "management" else "id", name, reason, plane)


class _Reader:
    """Walks a document along the schema; what comes out is in the management plane's spelling."""

    def __init__(self, plane: Plane, text: str) -> None:
        self._plane = plane
        self._text = text

    def read(self, member: Member, value: Any, path: str) -> Any:
        if isinstance(member, Leaf):
            return self._leaf(member, value, path)
        if isinstance(member, Enum):
            return self._word(member, value, path)
        if isinstance(member, Many):
            if not isinstance(value, list):
                raise _bad(path, "", "An array is expected", self._plane)
            return [self.read(member.of, item, f"{path}[{index}]") for index, item in enumerate(value)]
        return self._object(member, value, path)

    def _object(self, schema: Object, value: Any, path: str) -> Json:
        if not isinstance(value, dict):
            raise _bad(path, "", "An object is expected", self._plane)
        read = {}
        names = {self._spelling(schema, name): name for name in schema.members}
        for name, item in value.items():
            here = f"{path}.{name}" if path else name
            if name not in names:
                raise self._unknown(schema, name, here)
            member = schema.members[names[name]]
            if item is None or member in (SECRET, READ_ONLY):
                continue
            read[names[name]] = self.read(member, item, here)
        for name in schema.required:
            if name not in read:
                spelling = self._spelling(schema, name)
                raise _missing(f"{path}.{spelling}" if path else spelling, self._plane)
        # Answers come in the order of the schema, whatever the order of the request.
        return {name: read[name] for name in schema.members if name in read}

    def _spelling(self, schema: Object, name: str) -> str:
        return name if self._plane == "management" else schema.data_names.get(name, name)

    def _unknown(self, schema: Object, name: str, path: str) -> RefusedError:
        if self._plane == "data":
            reason = f"The property '{name}' does not exist on type '{schema.name}'"
            return refusal("InvalidRequestBody", PropertyName=name, Reason=reason)
        line, position = _position(self._text, name)
        return refusal(
            "InvalidRequestBody",
            message=f"Could not find member '{name}' on object of type '{schema.name}'. "
            f"Path '{path}', line {line}, position {position}.",
        )

    def _leaf(self, leaf: Leaf, value: Any, path: str) -> Any:
        kind = leaf.kind
        if kind == "any":
            return copy.deepcopy(value)
        if kind == "duration":
            duration = read_duration(value) if isinstance(value, str) else None
            if duration is None:
                raise _bad(path, value, "An ISO 8601 duration is expected", self._plane)
            return duration
        good = {
            "text": isinstance(value, str),
            "boolean": isinstance(value, bool),
            "integer": isinstance(value, int) and not isinstance(value, bool),
        }[kind]
        if not good:
            raise _bad(path, value, f"A value of type {kind} is expected", self._plane)
        return value

    def _word(self, enum: Enum, value: Any, path: str) -> str:
        if isinstance(value, str):
            for word in enum.words:
                if word.casefold() == value.casefold():
                    return word
        raise _bad(path, value, f"One of {', '.join(enum.words)} is expected", self._plane)


def _position(text: str, member: str) -> tuple[int, int]:
    match = re.search(rf'"{re.escape(member)}"\s*:', text)
    if match is None:
        return 1, 0
    before = text[: match.end()]
    return before.count("\n") + 1, match.end() - (before.rfind("\n") + 1)


def _with_defaults(properties: Json) -> Json:
    filled = {
        "vmSize": properties["vmSize"].upper(),
        "interNodeCommunication": properties.get("interNodeCommunication", "Disabled"),
        "taskSlotsPerNode": properties.get("taskSlotsPerNode", 1),
        "taskSchedulingPolicy": {"nodeFillType": "Spread", **properties.get("taskSchedulingPolicy", {})},
    }
    filled |= {name: value for name, value in properties.items() if name not in filled}
    image = filled["deploymentConfiguration"]["virtualMachineConfiguration"]["imageReference"]
    if "publisher" in image:
        image.setdefault("version", "latest")
    return filled


def _identity(identity: Json | None) -> Json | None:
    if identity is None or identity["type"] == "None":
        return None
    given = identity.get("userAssignedIdentities")
    if not isinstance(given, dict) or not given:
        raise _missing("identity.userAssignedIdentities", "management")
    known = {
        name: {
            "principalId": str(uuid.uuid5(_IDENTITY_NAMESPACE, f"principal {name.casefold()}")),
            "clientId": str(uuid.uuid5(_IDENTITY_NAMESPACE, f"client {name.casefold()}")),
        }
        for name in given
    }
    return {"type": "UserAssigned", "userAssignedIdentities": known}


def _scale(
    plane: Plane,
    *,
    dedicated: int,
    low_priority: int,
    timeout: timedelta | None,
    deallocation: str | None,
    formula: str | None,
    interval: timedelta | None,
) -> Scale:
    prefix = "properties.scaleSettings.fixedScale." if plane == "management" else ""
    counts = (("targetDedicatedNodes", dedicated), ("targetLowPriorityNodes", low_priority))
    for name, count in counts:
        if count < 0:
            raise _bad(prefix + name, count, "The value must not be negative", plane)
    if timeout is not None and timeout < _MIN_TIMEOUT:
        raise _bad(f"{prefix}resizeTimeout", write_duration(timeout), "The minimum value is 5 minutes", plane)
    if interval is not None and not _MIN_TIMEOUT <= interval <= _MAX_INTERVAL:
        name = "autoScaleEvaluationInterval"
        if plane == "management":
            name = "properties.scaleSettings.autoScale.evaluationInterval"
        raise _bad(name, write_duration(interval), "The value must be from 5 minutes to 168 hours", plane)
    if formula is not None:
        dedicated, low_priority = _evaluate(formula)
    return Scale(
        dedicated,
        low_priority,
        timeout or _DEFAULT_TIMEOUT,
        deallocation,
        formula,
        interval or _DEFAULT_TIMEOUT,
    )


def _evaluate(formula: str) -> tuple[int, int]:
    """Evaluate a formula of constants; refuse any other rather than guess."""
    targets = {"$TargetDedicatedNodes": 0, "$TargetLowPriorityNodes": 0}
    statements = [statement.strip() for statement in formula.split(";") if statement.strip()]
    for statement in statements:
        match = re.match(r"^(\$Target(?:Dedicated|LowPriority)Nodes)\s*=\s*(\d{1,6})$", statement)
        if match:
            targets[match[1]] = int(match[2])
        elif not re.match(r"^\$NodeDeallocationOption\s*=\s*requeue$", statement, re.IGNORECASE):
            statements = []
            break
    if not statements:
        raise not_modelled(
            "an autoscale formula other than constants such as "
            "'$TargetDedicatedNodes=2;$TargetLowPriorityNodes=0'"
        )
    return targets["$TargetDedicatedNodes"], targets["$TargetLowPriorityNodes"]


def _check(definition: PoolDefinition, plane: Plane) -> None:
    root = "virtualMachineConfiguration"
    if plane == "management":
        root = f"properties.deploymentConfiguration.{root}"
    if not definition.properties["vmSize"]:
        raise _bad("properties.vmSize" if plane == "management" else "vmSize", "", "It is empty", plane)
    image = definition.machine["imageReference"]
    has_id = any(name in image for name in ("id", "sharedGalleryImageId", "communityGalleryImageId"))
    if not has_id:
        for name in ("publisher", "offer", "sku"):
            if name not in image:
                raise _missing(f"{root}.imageReference.{name}", plane)
    seen: set[str] = set()
    for index, extension in enumerate(definition.extensions):
        here = f"{root}.extensions[{index}]"
        for name in ("name", "publisher", "type"):
            if not extension[name]:
                raise _bad(f"{here}.{name}", "", "It is empty", plane)
        if extension["type"].casefold() == "customscript":
            reason = "The extension type CustomScript is reserved for the Batch service"
            raise _bad(f"{here}.type", extension["type"], reason, plane)
        key = extension["name"].casefold()
        if key in seen or key == SYSTEM_EXTENSION.casefold():
            reason = "Extension names must be unique within a pool"
            raise _bad(f"{here}.name", extension["name"], reason, plane)
        seen.add(key)


def _values(path: str, plane: Plane) -> Iterator[tuple[str, str]]:
    yield "PropertyName", re.sub(r"\[\d+\]$", "", path.rsplit(".", 1)[-1])
    if plane == "management":
        yield "PropertyPath", path


def _missing(path: str, plane: Plane) -> RefusedError:
    return refusal("MissingRequiredProperty", values=dict(_values(path, plane)))


def _bad(path: str, value: object, reason: str, plane: Plane) -> RefusedError:
    # Only plain values are shown: anything larger might hold a secret.
    shown = str(value)[:1000] if isinstance(value, (str, int, float)) else ""
    values = {**dict(_values(path, plane)), "PropertyValue": shown, "Reason": reason}
    return refusal("InvalidPropertyValue", values=values)


# --- writing -----------------------------------------------------------------------------------------------


def write(member: Member, value: Any, plane: Plane) -> Any:
    """Write a value that was read, in the spelling of a plane."""
    if isinstance(member, Object):
        names = member.data_names if plane == "data" else {}
        return {
            names.get(name, name): write(member.members[name], item, plane) for name, item in value.items()
        }
    if isinstance(member, Many):
        return [write(member.of, item, plane) for item in value]
    if isinstance(member, Enum):
        return member.words[value] if plane == "data" else value
    return copy.deepcopy(value) if isinstance(value, (dict, list)) else value
