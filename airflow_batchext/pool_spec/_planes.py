"""Turns the body of a pool of one plane into that of the other, and says what cannot be carried.

Both planes know most members under the same names, apart from upper and lower case, and the same words, which
the data plane mostly writes in lower case. What differs more is here; all else is read from the two schemas.

Source: ``Pool`` of azure-mgmt-batch and ``BatchPoolCreateOptions`` of azure-batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_batchext.batch.data_plane import OWN_ITEMS
from airflow_batchext.loose_json.documents import at, is_list
from airflow_batchext.loose_json.values import below
from airflow_batchext.pool_spec._finding import object_at
from airflow_batchext.pool_spec._members import MACHINE
from airflow_batchext.pool_spec._schema import Shape
from airflow_batchext.secrets.names import is_secret_member
from airflow_batchext.secrets.references import REFERENCE_MEMBER

if TYPE_CHECKING:
    from airflow_batchext.pool_spec._schema import Member, Schema

_RENAMED: Final[Mapping[tuple[str, str], str]] = {
    ("ImageReference", "id"): "virtualMachineImageId",
    ("ApplicationPackageReference", "id"): "applicationId",
}
"""Members that the data plane calls otherwise, by the type of the management plane."""
_RENAMED_BACK: Final = {new: old for (_, old), new in _RENAMED.items()}
_SAME: Final = (
    *("displayName", "vmSize", "networkConfiguration", "taskSlotsPerNode", "taskSchedulingPolicy"),
    *("userAccounts", "metadata", "startTask", "mountConfiguration", "upgradePolicy"),
)
_FIXED: Final = ("targetDedicatedNodes", "targetLowPriorityNodes", "resizeTimeout")
_CERTIFICATES: Final = "certificateReferences"
_SAID_BY_THE_SERVICE: Final = frozenset(
    {
        *("url", "eTag", "odata.metadata", "lastModified", "creationTime", "state", "stateTransitionTime"),
        *("allocationState", "allocationStateTransitionTime", "currentDedicatedNodes", "resizeErrors"),
        *("currentLowPriorityNodes", "autoScaleRun", "stats", "poolStatistics", "identity"),
        *("currentNodeCommunicationMode", _CERTIFICATES),
    }
)
_PATHS: Final = (
    (f"{MACHINE}.nodeAgentSkuId", "virtualMachineConfiguration.nodeAgentSKUId"),
    (f"{MACHINE}.imageReference.id", "virtualMachineConfiguration.imageReference.virtualMachineImageId"),
    (MACHINE, "virtualMachineConfiguration"),
    ("properties.deploymentConfiguration", "virtualMachineConfiguration"),
    ("properties.scaleSettings.fixedScale", ""),
    ("properties.scaleSettings.autoScale.formula", "autoScaleFormula"),
    ("properties.scaleSettings.autoScale.evaluationInterval", "autoScaleEvaluationInterval"),
    ("properties.scaleSettings.autoScale", "enableAutoScale"),
    ("properties.scaleSettings", ""),
    ("properties.interNodeCommunication", "enableInterNodeCommunication"),
    ("properties.applicationPackages", "applicationPackageReferences"),
    (
        "properties.networkConfiguration.endpointConfiguration.inboundNatPools",
        "networkConfiguration.endpointConfiguration.inboundNATPools",
    ),
    ("properties", ""),
    ("name", "id"),
)
"""Places in the management plane's body with those in the data plane's; the first that fits counts."""
_NO_IDENTITY = "pools of the data plane cannot be given an identity"
_NO_TAGS = "pools of the data plane have no tags"
_FORMULA_SAYS = "enableAutoScale is true, so the formula says how many nodes there are"
_ONLY_RESIZE = "the data plane takes it in a resize only"
UNKNOWN: Final = "the other plane has no such member"


@dataclass(slots=True)
class Converted:
    """A body in the other shape.

    :param body: the body.
    :param lost: what could not be carried: the paths in the old shape, each with the reason.
    """

    body: dict[str, Any]
    lost: list[tuple[str, str]] = field(default_factory=list)


def is_data_plane(body: object) -> bool:
    """Whether a body has the data plane's shape."""
    return (
        isinstance(body, Mapping)
        and "properties" not in body
        and bool({"vmSize", "virtualMachineConfiguration"} & body.keys())
    )


def to_data_plane(body: Mapping[str, Any], management: Schema, data: Schema) -> Converted:
    """Turn the body of ``Pool_Create`` into that of the data plane's ``Pools_CreatePool``."""
    cast = _Cast(management, data, Converted({}), lambda of, name: _RENAMED.get((of, name), name))
    properties = object_at(body, "properties")
    members = management.types["PoolProperties"]
    targets = data.types[data.root]
    out = cast.found.body
    if isinstance(body.get("name"), str):
        out["id"] = body["name"]
    for name in _SAME:
        if properties.get(name) is not None:
            path = f"properties.{name}"
            out[name] = cast.value(properties[name], members[name].shape, targets[name].shape, path)
    machine = object_at(properties, "deploymentConfiguration").get("virtualMachineConfiguration")
    if machine is not None:
        name = "virtualMachineConfiguration"
        shape = management.types["DeploymentConfiguration"][name].shape
        out[name] = cast.value(machine, shape, targets[name].shape, MACHINE)
    _scale_forth(object_at(properties, "scaleSettings"), cast.found)
    talks = properties.get("interNodeCommunication")
    if isinstance(talks, str):
        out["enableInterNodeCommunication"] = talks.casefold() == "enabled"
    packages = properties.get("applicationPackages")
    if packages is not None:
        name = "applicationPackageReferences"
        shape = members["applicationPackages"].shape
        out[name] = cast.value(packages, shape, targets[name].shape, "properties.applicationPackages")
    for member, why in (("identity", _NO_IDENTITY), ("tags", _NO_TAGS)):
        if body.get(member):
            cast.found.lost.append((member, why))
    others = {"deploymentConfiguration", "scaleSettings", "interNodeCommunication", "applicationPackages"}
    for name in properties.keys() - {*_SAME, *others}:
        if name not in members or not members[name].read_only:
            cast.found.lost.append((at("properties", name), UNKNOWN))
    return cast.found


def to_management_plane(body: Mapping[str, Any], management: Schema, data: Schema) -> Converted:
    """Turn the body of the data plane's ``Pools_CreatePool``, or an answer, into that of ``Pool_Create``."""
    properties: dict[str, Any] = {}
    found = Converted({"properties": properties})
    cast = _Cast(data, management, found, lambda _, name: _RENAMED_BACK.get(name, name))
    members, targets = data.types[data.root], management.types["PoolProperties"]
    if isinstance(body.get("id"), str):
        cast.found.body = {"name": body["id"], "properties": properties}
    for name in _SAME:
        if body.get(name) is not None:
            properties[name] = cast.value(body[name], members[name].shape, targets[name].shape, name)
    name = "virtualMachineConfiguration"
    if body.get(name) is not None:
        shape = management.types["DeploymentConfiguration"][name].shape
        machine = cast.value(body[name], members[name].shape, shape, name)
        properties["deploymentConfiguration"] = {name: machine}
    scale = _scale_back(body, cast.found)
    if scale:
        properties["scaleSettings"] = scale
    talks = body.get("enableInterNodeCommunication")
    if isinstance(talks, bool):
        properties["interNodeCommunication"] = "Enabled" if talks else "Disabled"
    name = "applicationPackageReferences"
    if body.get(name) is not None:
        shape = targets["applicationPackages"].shape
        properties["applicationPackages"] = cast.value(body[name], members[name].shape, shape, name)
    if isinstance(body.get("identity"), Mapping):
        cast.found.body["identity"] = _identity(body["identity"])
    if body.get("resourceTags"):
        cast.found.body["tags"] = body["resourceTags"]
    known = {*members, "resourceTags", *_SAID_BY_THE_SERVICE}
    if body.get(_CERTIFICATES):  # an empty list is the service's own
        known.remove(_CERTIFICATES)
    cast.found.lost += [(at("", key), UNKNOWN) for key in body if key not in known and body[key] is not None]
    return cast.found


def without_read_only(body: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """A body of the management plane without what only Azure can set; the name stays."""
    found = _settable(body, Shape("object", type_name=schema.root), schema)
    return {**({"name": body["name"]} if "name" in body else {}), **found}


def _settable(value: Any, shape: Shape, schema: Schema) -> Any:
    if shape.kind == "object" and isinstance(value, Mapping):
        members = schema.types[shape.type_name]
        return {
            name: item if name not in members else _settable(item, members[name].shape, schema)
            for name, item in value.items()
            if name not in members or not members[name].read_only
        }
    if shape.kind == "list" and shape.of is not None and is_list(value):
        return [_settable(item, shape.of, schema) for item in value]
    if shape.kind == "map" and shape.of is not None and isinstance(value, Mapping):
        return {name: _settable(item, shape.of, schema) for name, item in value.items()}
    return value


def data_plane_path(path: str) -> str:
    """Where the data plane's body has what stands at a path of the management plane's."""
    for ours, theirs in _PATHS:
        if path == ours or path.startswith((f"{ours}.", f"{ours}[")):
            return f"{theirs}{path[len(ours) :]}".lstrip(".")
    return path


def as_asked_for(answer: Mapping[str, Any], management: Schema) -> Converted:
    """Turn the answer to ``Pool_Get`` into a document that asks for the same pool.

    What the service alone says is left out. Secrets, which it never gives back, become references where a
    pool cannot do without them; those of extensions are noted as lost: nobody can tell of them.
    """
    cast = _Cast(management, management, Converted({}), lambda _, name: name)
    root = Shape("object", type_name=management.root)
    body = cast.value(answer, root, root, "")
    identity = object_at(body, "identity")
    if identity:
        owned = object_at(identity, "userAssignedIdentities")
        body["identity"] = {**identity, "userAssignedIdentities": {resource: {} for resource in owned}}
    properties = object_at(body, "properties")
    if is_list(properties.get("metadata")):
        others = [i for i in properties["metadata"] if below(i, "name") not in OWN_ITEMS]
        body["properties"] = {**properties, "metadata": others}
    name = answer.get("name")
    named = {"name": name} if isinstance(name, str) else {}
    cast.found.lost.clear()  # what no schema knows was the service's own
    asked = _with_references(body, root, management, str(name or "pool"), "", cast.found)
    cast.found.body = {**named, **asked}
    return cast.found


def _with_references(
    value: Mapping[str, Any], shape: Shape, schema: Schema, prefix: str, path: str, found: Converted
) -> dict[str, Any]:
    result = dict(value)
    for name, member in schema.types[shape.type_name].items():
        place, inner = at(path, name), member.shape
        if is_secret_member(name) and name not in value:
            if name == "protectedSettings":
                found.lost.append((place, "the service does not give protected settings back: add them"))
            elif member.required:
                label = str(value.get("name") or value.get("accountName") or value.get("userName") or "")
                variable = "_".join(part for part in (prefix, label, name) if part)
                result[name] = {REFERENCE_MEMBER: {"variable": variable}}
        elif inner.kind == "object" and isinstance(value.get(name), Mapping):
            result[name] = _with_references(value[name], inner, schema, prefix, place, found)
        elif inner.of is not None and inner.of.kind == "object" and is_list(value.get(name)):
            result[name] = [
                _with_references(item, inner.of, schema, prefix, at(place, index), found)
                for index, item in enumerate(value[name])
            ]
    return result


def _scale_forth(scale: Mapping[str, Any], found: Converted) -> None:
    fixed, auto = object_at(scale, "fixedScale"), object_at(scale, "autoScale")
    found.body |= {name: fixed[name] for name in _FIXED if fixed.get(name) is not None}
    if fixed.get("nodeDeallocationOption") is not None:
        path = "properties.scaleSettings.fixedScale.nodeDeallocationOption"
        found.lost.append((path, _ONLY_RESIZE))
    if auto:
        found.body["enableAutoScale"] = True
        for name, member in (
            ("autoScaleFormula", "formula"),
            ("autoScaleEvaluationInterval", "evaluationInterval"),
        ):
            if auto.get(member) is not None:
                found.body[name] = auto[member]


def _identity(told: Mapping[str, Any]) -> dict[str, Any]:
    """The identities of an answer, which lists them, as a request names them."""
    owned = told.get("userAssignedIdentities")
    if is_list(owned):
        owned = [entry.get("resourceId") for entry in owned if isinstance(entry, Mapping)]
    elif not isinstance(owned, Mapping):
        return dict(told)
    names = [name for name in owned if isinstance(name, str)]
    return {**told, "userAssignedIdentities": {name: {} for name in names}}


def _scale_back(body: Mapping[str, Any], found: Converted) -> dict[str, Any]:
    if body.get("enableAutoScale") is True:
        auto = {
            "formula": body.get("autoScaleFormula"),
            "evaluationInterval": body.get("autoScaleEvaluationInterval"),
        }
        is_answer = bool(_SAID_BY_THE_SERVICE & body.keys() - {"identity"})
        if not is_answer:  # where the service says how many the formula came to
            targets = [name for name in _FIXED[:2] if body.get(name) is not None]
            found.lost += [(name, _FORMULA_SAYS) for name in targets]
        return {"autoScale": {name: value for name, value in auto.items() if value is not None}}
    for name in ("autoScaleFormula", "autoScaleEvaluationInterval"):
        if body.get(name) is not None:
            found.lost.append((name, "enableAutoScale is not true"))
    fixed = {name: body[name] for name in _FIXED if body.get(name) is not None}
    return {"fixedScale": fixed} if fixed else {}


class _Cast:
    """Carries values from one schema into the other."""

    def __init__(self, source: Schema, target: Schema, found: Converted, rename: Any) -> None:
        self._source, self._target, self.found, self._rename = source, target, found, rename

    def value(self, value: Any, source: Shape, target: Shape, path: str) -> Any:
        """A value as the other plane has it; what it has no place for is noted."""
        if source.kind == "object" and target.kind == "object" and isinstance(value, Mapping):
            return self._object(value, source, target, path)
        if source.of is not None and target.of is not None and source.kind == "list" and is_list(value):
            return [
                self.value(item, source.of, target.of, at(path, index)) for index, item in enumerate(value)
            ]
        if target.values and isinstance(value, str):
            return next((word for word in target.values if word.casefold() == value.casefold()), value)
        return value

    def _object(self, value: Mapping[str, Any], source: Shape, target: Shape, path: str) -> dict[str, Any]:
        members, others = self._source.types[source.type_name], self._target.types[target.type_name]
        spelt: dict[str, tuple[str, Member]] = {
            name.casefold(): (name, member) for name, member in others.items()
        }
        given = {name.casefold(): (name, member) for name, member in members.items()}
        result: dict[str, Any] = {}
        for key, item in value.items():
            if item is None:
                continue
            own = given.get(key.casefold()) if isinstance(key, str) else None
            if own is not None and own[1].read_only:
                continue
            other = spelt.get(self._rename(source.type_name, own[0]).casefold()) if own is not None else None
            if own is None or other is None:
                self.found.lost.append((at(path, key), UNKNOWN))
            else:
                result[other[0]] = self.value(item, own[1].shape, other[1].shape, at(path, key))
        return result
