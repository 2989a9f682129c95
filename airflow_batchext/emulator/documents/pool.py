"""Reads a pool document of either plane into one definition.

One pool seen from both planes is one pool: inside there is one form, in the management plane's spelling, with
the defaults that the service fills in and without the secrets, which are dropped while reading and are never
held by anything that lives longer than the request.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from airflow_batchext.emulator.documents.codec import Plane, Reader, bad, missing
from airflow_batchext.emulator.documents.pool_schema import (
    COMMON,
    DATA_PATCH,
    DATA_POOL,
    DATA_PROPERTIES,
    MANAGEMENT_POOL,
)
from airflow_batchext.emulator.scenario import SYSTEM_EXTENSION
from airflow_batchext.emulator.wire.errors import refusal
from airflow_batchext.emulator.wire.http import Json, write_duration

POOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_DEFAULT_TIMEOUT = timedelta(minutes=15)
_MIN_TIMEOUT = timedelta(minutes=5)
ALWAYS_UPDATABLE = ("metadata", "startTask", "applicationPackages", "targetNodeCommunicationMode")
_MAX_INTERVAL = timedelta(hours=168)
_COMPUTE = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Compute"
_GALLERY = f"{_COMPUTE}/galleries/{{galleryName}}/images/{{galleryImageName}}"
_IMAGE_IDS = (
    f"{_COMPUTE}/images/{{imageName}}",
    f"{_GALLERY}/versions/{{galleryImageVersionName}}",
    _GALLERY,
)
_IMAGE_ID = re.compile("|".join(re.sub(r"\{\w+\}", "[^/]+", form) for form in _IMAGE_IDS), re.IGNORECASE)
_IDENTITY_NAMESPACE = uuid.UUID("5d1f3ad5-6ab7-4f0c-9d86-0d5f8a6c7c11")
_EXAMPLE_IDENTITY = (
    "/example-group/providers/microsoft.managedidentity/userassignedidentities/example-identity"
)
_EXAMPLE_CLIENT_ID = "885b1a3d-f13c-4030-afcf-9f05044d78dc"


@dataclass(frozen=True)
class Scale:
    """How many nodes a pool is to have, and how that is said: fixed, or by a formula and what it came to."""

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
    document = Reader("management", text).read(MANAGEMENT_POOL, body, "")
    properties: Json = document["properties"]
    if "vmSize" not in properties:
        raise missing("properties.vmSize", "management")
    if "virtualMachineConfiguration" not in properties.get("deploymentConfiguration", {}):
        lacks = "deploymentConfiguration"
        if lacks in properties:
            lacks += ".virtualMachineConfiguration"
        raise missing(f"properties.{lacks}", "management")
    settings = properties.pop("scaleSettings", {})
    if "fixedScale" in settings and "autoScale" in settings:
        reason = "Only one of fixedScale and autoScale can be specified"
        raise bad("properties.scaleSettings", "", reason, "management")
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
    document = Reader("data").read(DATA_POOL, body, "")
    pool_id: str = document["id"]
    is_auto = document.get("enableAutoScale", False)
    formula = document.get("autoScaleFormula")
    if is_auto and formula is None:
        raise missing("autoScaleFormula", "data")
    if is_auto and ("targetDedicatedNodes" in document or "targetLowPriorityNodes" in document):
        reason = "Target node counts cannot be specified when enableAutoScale is true"
        raise bad("targetDedicatedNodes", document.get("targetDedicatedNodes", 0), reason, "data")
    scale = _scale(
        "data",
        dedicated=document.get("targetDedicatedNodes", 0),
        low_priority=document.get("targetLowPriorityNodes", 0),
        timeout=document.get("resizeTimeout"),
        formula=formula if is_auto else None,
        interval=document.get("autoScaleEvaluationInterval"),
    )
    definition = PoolDefinition(
        _with_defaults(_properties(document)), scale, tags=document.get("resourceTags", {})
    )
    check_name(pool_id, "data")
    _check(definition, "data")
    return pool_id, definition


def read_patch(body: Json, existing: PoolDefinition, *, is_empty: bool) -> PoolDefinition:
    """Read the body of a data-plane PATCH: what it gives is replaced, what it does not give stays."""
    document = Reader("data").read(DATA_PATCH, body, "")
    changes = _properties(document)
    definition = replace(
        existing,
        properties=_with_defaults({**existing.properties, **changes}),
        tags=document.get("resourceTags", existing.tags),
    )
    for name in changes:
        is_same = definition.properties[name] == existing.properties.get(name)
        if name not in ALWAYS_UPDATABLE and not is_empty and not is_same:
            raise refusal("PropertyCannotBeUpdated", PropertyName=name)
    _check(definition, "data")
    return definition


def read_properties(body: Json, existing: PoolDefinition) -> PoolDefinition:
    """Read the body of ``updateproperties``: what it does not give is taken away."""
    document = Reader("data").read(DATA_PROPERTIES, body, "")
    kept = {name: value for name, value in existing.properties.items() if name not in DATA_PROPERTIES.members}
    given = {name: value for name, value in document.items() if value not in ([], {})}
    return replace(existing, properties=_with_defaults({**kept, **given}))


def read_scale(document: Json, existing: Scale) -> Scale:
    """The scale settings that a call of the data plane asks for, which says nothing of what stays."""
    return _scale(
        "data",
        dedicated=document.get("targetDedicatedNodes", existing.dedicated),
        low_priority=document.get("targetLowPriorityNodes", existing.low_priority),
        timeout=document.get("resizeTimeout", existing.timeout),
        deallocation=document.get("nodeDeallocationOption"),
        formula=document.get("autoScaleFormula", existing.formula),
        interval=document.get("autoScaleEvaluationInterval", existing.interval),
    )


def _properties(document: Json) -> Json:
    properties = {name: document[name] for name in COMMON if name in document}
    if "virtualMachineConfiguration" in document:
        properties["deploymentConfiguration"] = {
            "virtualMachineConfiguration": document["virtualMachineConfiguration"]
        }
    if "enableInterNodeCommunication" in document:
        words = {True: "Enabled", False: "Disabled"}
        properties["interNodeCommunication"] = words[document["enableInterNodeCommunication"]]
    if "applicationPackages" in document:
        properties["applicationPackages"] = document["applicationPackages"]
    return properties


def check_name(name: str, plane: Plane) -> None:
    """Refuse a name that no pool may have."""
    if not POOL_NAME.match(name):
        reason = "A pool name has 1 to 64 characters: letters, digits, hyphens and underscores"
        raise bad("name" if plane == "management" else "id", name, reason, plane)


def _with_defaults(properties: Json) -> Json:
    filled = {
        "vmSize": properties["vmSize"].upper(),
        "interNodeCommunication": properties.get("interNodeCommunication", "Disabled"),
        "taskSlotsPerNode": properties.get("taskSlotsPerNode", 1),
        "taskSchedulingPolicy": {"nodeFillType": "Spread", **properties.get("taskSchedulingPolicy", {})},
    }
    filled |= {name: value for name, value in properties.items() if name not in filled}
    machine: Json = filled["deploymentConfiguration"]["virtualMachineConfiguration"]
    for nat in (
        filled.get("networkConfiguration", {}).get("endpointConfiguration", {}).get("inboundNatPools", [])
    ):
        for rule in nat.get("networkSecurityGroupRules", []):
            rule.setdefault("sourcePortRanges", ["*"])
    if "publisher" in machine["imageReference"]:
        machine["imageReference"].setdefault("version", "latest")
    if "dataDisks" in machine:
        usual = {"lun": 0, "caching": "None", "diskSizeGB": 0, "storageAccountType": "Standard_LRS"}
        machine["dataDisks"] = [{**usual, **disk} for disk in machine["dataDisks"]]
    if "startTask" in filled:
        filled["startTask"] = task_with_defaults(
            {"maxTaskRetryCount": 0, "waitForSuccess": True}, filled["startTask"]
        )
    if "userAccounts" in filled:
        is_windows = "windows" in machine["nodeAgentSkuId"].casefold()
        more = {"windowsUserConfiguration": {"loginMode": "Batch"}} if is_windows else {}
        filled["userAccounts"] = [
            {"name": user["name"], "elevationLevel": "NonAdmin", **more, **user}
            for user in filled["userAccounts"]
        ]
    return filled


def task_with_defaults(usual: Json, task: Json) -> Json:
    """Fill in what the service fills in where any kind of task leaves it out."""
    auto = {"scope": "Pool", "elevationLevel": "NonAdmin"}
    identity = task.get("userIdentity", {})
    if "userName" not in identity:
        identity = {"autoUser": {**auto, **identity.get("autoUser", {})}}
    filled = {**usual, **task, "userIdentity": identity}
    if "containerSettings" in task:
        filled["containerSettings"] = {
            "workingDirectory": "TaskWorkingDirectory",
            **task["containerSettings"],
        }
    return filled


def _identity(identity: Json | None) -> Json | None:
    if identity is None or identity["type"] == "None":
        return None
    given = identity.get("userAssignedIdentities")
    if not isinstance(given, dict) or not given:
        raise missing("identity.userAssignedIdentities", "management")
    known = {
        name: {
            "principalId": str(uuid.uuid5(_IDENTITY_NAMESPACE, f"principal {name.casefold()}")),
            "clientId": _client_id(name),
        }
        for name in given
    }
    return {"type": "UserAssigned", "userAssignedIdentities": known}


def _client_id(identity: str) -> str:
    """The client id of an identity; that of the example documents is the one which they name."""
    if identity.casefold().endswith(_EXAMPLE_IDENTITY):
        return _EXAMPLE_CLIENT_ID
    return str(uuid.uuid5(_IDENTITY_NAMESPACE, f"client {identity.casefold()}"))


def _scale(plane: Plane, **given: Any) -> Scale:
    """The scale settings, checked; what is None is left to the default."""
    scale = Scale(**{name: value for name, value in given.items() if value is not None})
    prefix = "properties.scaleSettings.fixedScale." if plane == "management" else ""
    counts = (("targetDedicatedNodes", scale.dedicated), ("targetLowPriorityNodes", scale.low_priority))
    for name, count in counts:
        if count < 0:
            raise bad(prefix + name, count, "The value must not be negative", plane)
    if scale.timeout < _MIN_TIMEOUT:
        shortest = "The minimum value is 5 minutes"
        raise bad(f"{prefix}resizeTimeout", write_duration(scale.timeout), shortest, plane)
    if not _MIN_TIMEOUT <= scale.interval <= _MAX_INTERVAL:
        name = "autoScaleEvaluationInterval"
        if plane == "management":
            name = "properties.scaleSettings.autoScale.evaluationInterval"
        reason = "The value must be from 5 minutes to 168 hours"
        raise bad(name, write_duration(scale.interval), reason, plane)
    return scale


def _check(definition: PoolDefinition, plane: Plane) -> None:
    root = "virtualMachineConfiguration"
    if plane == "management":
        root = f"properties.deploymentConfiguration.{root}"
    if not definition.properties["vmSize"]:
        raise bad("properties.vmSize" if plane == "management" else "vmSize", "", "It is empty", plane)
    image = definition.machine["imageReference"]
    if "id" in image and not _IMAGE_ID.fullmatch(image["id"]):
        name = "id" if plane == "management" else "virtualMachineImageId"
        first, second, third = _IMAGE_IDS
        reason = f"The specified resource id must be of the format {first}, {second}, or {third}"
        raise bad(f"{root}.imageReference.{name}", image["id"], reason, plane)
    has_id = any(name in image for name in ("id", "sharedGalleryImageId", "communityGalleryImageId"))
    if not has_id:
        for name in ("publisher", "offer", "sku"):
            if name not in image:
                raise missing(f"{root}.imageReference.{name}", plane)
    seen: set[str] = set()
    for index, extension in enumerate(definition.extensions):
        here = f"{root}.extensions[{index}]"
        for name in ("name", "publisher", "type"):
            if not extension[name]:
                raise bad(f"{here}.{name}", "", "It is empty", plane)
        if extension["type"].casefold() == "customscript":
            reason = "The extension type CustomScript is reserved for the Batch service"
            raise bad(f"{here}.type", extension["type"], reason, plane)
        key = extension["name"].casefold()
        if key in seen or key == SYSTEM_EXTENSION.casefold():
            reason = "Extension names must be unique within a pool"
            raise bad(f"{here}.name", extension["name"], reason, plane)
        seen.add(key)
