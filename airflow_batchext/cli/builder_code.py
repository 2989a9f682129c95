"""Writes the Python that builds a pool document with `pool_builder`: the same document, member by member."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any, Final

from airflow_batchext import pool_builder
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.loose_json.documents import is_list
from airflow_batchext.parameters import is_template
from airflow_batchext.pool_spec._finding import object_at, objects

_WIDTH: Final = 100
_INDENT: Final = "    "
_IMAGES: Final = {
    name: value for name, value in vars(pool_builder).items() if isinstance(value, pool_builder.Image)
}
_SAID: Final = frozenset({"name", "type", "identity", "properties", "tags", "id", "etag", "systemData"})
_MARKETPLACE: Final = ("publisher", "offer", "sku", "version")
_ALWAYS_NODES = "the builder always says how many nodes: dedicated=0 asks for none, as leaving it out does"
_NO_PARAMETER = "the builder has no parameter for it"
_OWN_IDENTITIES = "the builder says user-assigned identities only"

Lost = list[tuple[str, str]]


class _Call:
    """A call in Python: its name, and the parameters as code."""

    def __init__(self, name: str, parameters: Mapping[str, object]) -> None:
        self.name, self.parameters = name, parameters


class _Name:
    """A name in Python."""

    def __init__(self, name: str) -> None:
        self.name = name


def builder_code(bodies: Sequence[Mapping[str, Any]]) -> tuple[str, Lost]:
    """A module that builds these documents, and what the builder cannot say.

    :param bodies: bodies of the management plane.
    :raises ValueError: if one of them lacks what the builder cannot do without.
    """
    lost: Lost = []
    calls = [_pool(body, lost) for body in bodies]
    used = sorted(
        {name for call in calls for name in _names(call)}, key=lambda name: (not name.isupper(), name)
    )
    imports = "from airflow_batchext.pool_builder import " + ", ".join(used)
    if len(imports) > _WIDTH:
        imports = "from airflow_batchext.pool_builder import (\n"
        imports += "".join(f"{_INDENT}{name},\n" for name in used) + ")"
    value = f"document = {_code(calls[0])}" if len(calls) == 1 else f"documents = {_code(calls)}"
    return f"{imports}\n\n{value}\n", lost


def _pool(body: Mapping[str, Any], lost: Lost) -> _Call:
    properties = dict(object_at(body, "properties"))
    deployment = properties.pop("deploymentConfiguration", None)
    machine = dict(object_at({"at": deployment}, "at", "virtualMachineConfiguration"))
    size, agent = properties.pop("vmSize", None), machine.pop("nodeAgentSkuId", None)
    for name, value in (("vmSize", size), ("nodeAgentSkuId", agent)):
        if not isinstance(value, str):
            raise _lacks(name)
    reference = machine.pop("imageReference", None)
    if not isinstance(reference, Mapping):
        raise _lacks("imageReference")
    image, code = _image(reference, agent, machine)
    parameters: dict[str, object] = {}
    if body.get("name") is not None:
        parameters["name"] = body["name"]
    parameters |= {"image": code, "size": size, **_scale(properties, lost), **_identities(body, lost)}
    extensions = machine.get("extensions")
    if isinstance(extensions, list) and extensions and all(isinstance(e, Mapping) for e in extensions):
        parameters["extensions"] = [_extension(extension, image) for extension in machine.pop("extensions")]
    parameters |= _others(properties)
    if isinstance(body.get("tags"), Mapping) and body["tags"]:
        parameters["tags"] = body["tags"]
    elif body.get("tags"):
        lost.append(("tags", _NO_PARAMETER))
    lost += [(name, _NO_PARAMETER) for name in body if name not in _SAID]
    if isinstance(deployment, Mapping) and deployment.keys() - {"virtualMachineConfiguration"}:
        properties["deploymentConfiguration"], machine = deployment, {}
    if machine:
        parameters["machine"] = machine
    if properties:
        parameters["more"] = properties
    return _Call("pool_document", parameters)


def _lacks(name: str) -> ValueError:
    return ValueError(f"{name} is missing, and the builder cannot do without it (see batchext validate)")


def _image(
    reference: Mapping[str, Any], agent: str, machine: dict[str, Any]
) -> tuple[pool_builder.Image, _Call | _Name]:
    """The image, and its code; a reference that it cannot say goes to the other members."""
    known = {name: reference[name] for name in (*_MARKETPLACE, "id") if isinstance(reference.get(name), str)}
    image = pool_builder.Image(node_agent=agent, **known)
    if image._body() != reference:
        image, known = pool_builder.Image(node_agent=agent), {}
        machine["imageReference"] = reference
    for name, shipped in _IMAGES.items():
        if shipped == image:
            return image, _Name(name)
    if known.get("version") == "latest":
        del known["version"]
    return image, _Call("Image", {"node_agent": agent, **known})


def _scale(properties: dict[str, Any], lost: Lost) -> dict[str, object]:
    scale = properties.pop("scaleSettings", None)
    fixed, auto = object_at({"at": scale}, "at", "fixedScale"), object_at({"at": scale}, "at", "autoScale")
    spelt = {
        "dedicated": fixed.get("targetDedicatedNodes"),
        "low_priority": fixed.get("targetLowPriorityNodes"),
        "formula": auto.get("formula"),
        "resize_timeout": fixed.get("resizeTimeout"),
        "evaluation_interval": auto.get("evaluationInterval"),
    }
    said = {name: value for name, value in spelt.items() if value is not None}
    try:
        built = pool_builder.pool_document(image=pool_builder.UBUNTU_24_04, size="any", **said)
    except ParameterError:  # neither a number of nodes nor a formula, or both
        built = {}
    if scale is None:
        lost.append(("properties.scaleSettings", _ALWAYS_NODES))
        return {"dedicated": 0}
    if object_at(built, "properties").get("scaleSettings") == scale:
        return dict(said)
    properties["scaleSettings"] = scale
    return {"dedicated": 0}


def _identities(body: Mapping[str, Any], lost: Lost) -> dict[str, object]:
    identity = body.get("identity")
    names = [name for name in object_at(body, "identity", "userAssignedIdentities") if isinstance(name, str)]
    if identity is None:
        return {}
    if names and identity == {"type": "UserAssigned", "userAssignedIdentities": {name: {} for name in names}}:
        return {"identities": names}
    lost.append(("identity", _OWN_IDENTITIES))
    return {}


def _others(properties: dict[str, Any]) -> dict[str, object]:
    """Take those members of the properties that the builder has parameters for."""
    said: dict[str, object] = {}
    task = properties.get("startTask")
    if isinstance(task, Mapping):
        line = task.get("commandLine")
        is_usual = isinstance(line, str) and line.strip() and pool_builder._start_task(line) == task
        said["start_task"] = line if is_usual else properties["startTask"]
        del properties["startTask"]
    slots = properties.get("taskSlotsPerNode")
    if slots is not None and _takes("task_slots", slots):
        said["task_slots"] = properties.pop("taskSlotsPerNode")
    network = properties.get("networkConfiguration")
    subnet = network["subnetId"] if isinstance(network, Mapping) and network.keys() == {"subnetId"} else None
    if subnet is not None and _takes("subnet_id", subnet):
        said["subnet_id"] = properties.pop("networkConfiguration")["subnetId"]
    metadata = properties.get("metadata")
    if isinstance(metadata, list) and metadata:
        named = {
            entry["name"]: entry["value"]
            for _, entry in objects(metadata)
            if entry.keys() == {"name", "value"} and isinstance(entry["name"], str)
        }
        if [{"name": name, "value": value} for name, value in named.items()] == metadata:
            said["metadata"] = named
            del properties["metadata"]
    return said


def _takes(parameter: str, value: object) -> bool:
    """Whether the builder takes this value; what it refuses is written among the other members."""
    try:
        pool_builder._DOCUMENT_CHECKS[parameter](parameter, value)
    except ParameterError:
        return is_template(value)
    return True


def _extension(body: Mapping[str, Any], image: pool_builder.Image) -> object:
    """The extension as the shortest of the builder's classes that gives exactly it."""
    for kind, members in _candidates(body):
        with suppress(ParameterError):
            made = kind(**members)
            if made.body(image) == body:
                said = {field.name: getattr(made, field.name) for field in fields(made)}
                unusual = [field.name for field in fields(made) if said[field.name] != field.default]
                return _Call(kind.__name__, {name: said[name] for name in unusual})
    return body


def _candidates(
    body: Mapping[str, Any],
) -> Iterator[tuple[type[pool_builder.AnyExtension], dict[str, Any]]]:
    """The builder's classes that may give it, each with its members."""
    name, version = body.get("name"), body.get("typeHandlerVersion")
    after = body.get("provisionAfterExtensions", ())
    publisher, kind = body.get("publisher"), body.get("type")
    if not all(isinstance(text, str) for text in (name, version, publisher, kind)) or not is_list(after):
        return
    common: dict[str, Any] = {"name": name, "after": after}
    settings = object_at(body, "settings")
    vault = object_at(settings, "secretsManagementSettings")
    if vault:
        own: dict[str, Any] = {
            "certificates": vault.get("observedCertificates"),
            "client_id": object_at(settings, "authenticationSettings").get("msiClientId"),
            "require_initial_sync": vault.get("requireInitialSync"),
        }
        interval = vault.get("pollingIntervalInS")
        if isinstance(interval, str) and interval.isascii() and interval.isdigit() and len(interval) < 10:
            own["polling_interval"] = int(interval)
        if isinstance(own["certificates"], list):
            for store in (None, vault.get("certificateStoreLocation")):
                for written in (None, version):
                    members = {**common, **own, "store": store, "version": written}
                    yield pool_builder.KeyVaultExtension, members
    agent = object_at(settings, "authentication", "managedIdentity").get("identifier-value")
    if isinstance(agent, str) and isinstance(version, str):
        yield pool_builder.AzureMonitorAgentExtension, {**common, "identity": agent, "version": version}
    if publisher == "Microsoft.HpcCompute":
        for vendor in ("nvidia", "amd"):
            for written in (None, version):
                yield pool_builder.GpuDriverExtension, {**common, "vendor": vendor, "version": written}
    own_settings, secrets = body.get("settings"), body.get("protectedSettings")
    if all(value is None or isinstance(value, Mapping) for value in (own_settings, secrets)):
        members = {
            **common,
            "publisher": publisher,
            "type": kind,
            "version": version,
            "settings": own_settings,
            "protected_settings": secrets,
            "auto_upgrade_minor_version": body.get("autoUpgradeMinorVersion", True),
            "enable_automatic_upgrade": body.get("enableAutomaticUpgrade"),
        }
        yield pool_builder.Extension, members


def _names(value: object) -> Iterator[str]:
    if isinstance(value, (_Call, _Name)):
        yield value.name
    if isinstance(value, _Call):
        for parameter in value.parameters.values():
            yield from _names(parameter)
    elif isinstance(value, list):
        for item in value:
            yield from _names(item)


def _code(value: object, depth: int = 0) -> str:
    if isinstance(value, _Name):
        return value.name
    if isinstance(value, str):
        return _text(value, depth)
    inner = _INDENT * (depth + 1)
    if isinstance(value, _Call):
        start, end = f"{value.name}(", ")"
        parts = [f"{name}={_code(item, depth + 1)}" for name, item in value.parameters.items()]
    elif isinstance(value, Mapping):
        start, end = "{", "}"
        parts = [f"{_code(key, depth + 1)}: {_code(item, depth + 1)}" for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        start, end = "[", "]"
        parts = [_code(item, depth + 1) for item in value]
    else:
        return repr(value)
    line = f"{start}{', '.join(parts)}{end}"
    if "\n" not in line and len(line) + len(inner) <= _WIDTH:
        return line
    return "\n".join([start, *(f"{inner}{part}," for part in parts), f"{_INDENT * depth}{end}"])


def _text(value: str, depth: int) -> str:
    """A text as Python; one of several lines with a piece for each."""
    pieces = [f"{line}\n" for line in value.split("\n")]
    pieces[-1] = pieces[-1][:-1]
    quoted = [
        json.dumps(piece, ensure_ascii=False) if piece.rstrip("\n").isprintable() else repr(piece)
        for piece in pieces
        if piece
    ]
    if len(quoted) < 2:
        return "".join(quoted) or '""'
    inner = _INDENT * (depth + 1)
    return "\n".join(["(", *(f"{inner}{piece}" for piece in quoted), f"{_INDENT * depth})"])
