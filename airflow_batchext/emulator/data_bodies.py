"""How the data plane writes pools, nodes and node extensions: the shapes of recorded traffic.

Where the recordings are silent (``settings``, failures) the shapes are those of Microsoft's how-to, or a
choice that the scenario's ``answers`` can turn.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_batchext.emulator.lifecycle import ExtensionNow, NodeState
from airflow_batchext.emulator.machine_schema import IMAGE
from airflow_batchext.emulator.pool_document import write
from airflow_batchext.emulator.pool_schema import DATA_POOL
from airflow_batchext.emulator.pools import Pool, VisibleNode, waits_for_certificates
from airflow_batchext.emulator.scenario import SYSTEM_EXTENSION, Answers
from airflow_batchext.emulator.wire import Json, wire_time, write_duration

if TYPE_CHECKING:
    from datetime import datetime

_SIMPLIFIED = "2025-06-01"
"""From this version on the service knows only simplified node communication, and no certificates."""

_SYSTEM = {
    "name": SYSTEM_EXTENSION,
    "publisher": "Microsoft.Azure.Extensions",
    "type": "CustomScript",
    "typeHandlerVersion": "2.0",
    "autoUpgradeMinorVersion": True,
}
_SYSTEM_LOG = "\n".join(
    f"+ [{second // 60:02d}:{second % 60:02d}] bootstrap.sh: step {second} of the node agent's set-up is done"
    for second in range(60)
)
_WORDS = {
    None: ("transitioning", 0, "Transitioning", "Creating"),
    "hang": ("transitioning", 0, "Transitioning", "Creating"),
    "succeed": ("succeeded", 0, "Provisioning succeeded", "Succeeded"),
    "fail": ("failed", 2, "Provisioning failed", "Failed"),
}
_LEVELS = ("Info", "Warning", "Error")


def pool_body(
    pool: Pool, base: str, counts: tuple[int, int], now: datetime, version: str, answers: Answers
) -> Json:
    """Write a pool."""
    scale, resize = pool.definition.scale, pool.resize
    flat = dict(pool.definition.properties)
    machine = flat.pop("deploymentConfiguration")["virtualMachineConfiguration"]
    internode = flat.pop("interNodeCommunication") == "Enabled"
    written: Json = write(DATA_POOL, {**flat, "virtualMachineConfiguration": machine}, "data")
    if answers.pool_settings == "string":
        for extension in written["virtualMachineConfiguration"].get("extensions", []):
            if "settings" in extension:
                extension["settings"] = settings_text(extension["settings"])
    named = {"displayName": written.pop("displayName")} if "displayName" in written else {}
    body: Json = {
        "id": pool.name,
        **named,
        "url": f"{base}/pools/{pool.name}",
        "eTag": pool.etag,
        "lastModified": wire_time(pool.modified),
        "creationTime": wire_time(pool.created),
        "state": "deleting" if pool.deleted else "active",
        "stateTransitionTime": wire_time(pool.deleted or pool.created),
        "allocationState": "resizing" if resize.is_running(now) else "steady",
        "allocationStateTransitionTime": wire_time(resize.changed(now)),
        "vmSize": written.pop("vmSize").lower(),
        "resizeTimeout": write_duration(scale.timeout),
        "currentDedicatedNodes": counts[0],
        "targetDedicatedNodes": scale.dedicated,
        "currentLowPriorityNodes": counts[1],
        "targetLowPriorityNodes": scale.low_priority,
        "enableAutoScale": scale.formula is not None,
        "enableInterNodeCommunication": internode,
        **written,
    }
    if scale.formula is not None:
        results = (
            f"$TargetDedicatedNodes={scale.dedicated};$TargetLowPriorityNodes={scale.low_priority};"
            "$NodeDeallocationOption=requeue"
        )
        body["autoScaleFormula"] = scale.formula
        body["autoScaleEvaluationInterval"] = write_duration(scale.interval)
        body["autoScaleRun"] = {"timestamp": wire_time(pool.scaled), "results": results}
    errors = resize.errors_at(now)
    if errors:
        body["resizeErrors"] = [
            {
                "code": error.code,
                "message": error.message,
                "values": [{"name": name, "value": value} for name, value in error.values],
            }
            for error in errors
        ]
    if pool.definition.identity is not None:
        identity = pool.definition.identity
        known = [{"resourceId": name, **ids} for name, ids in identity["userAssignedIdentities"].items()]
        body["identity"] = {"type": identity["type"], "userAssignedIdentities": known}
    if version[:10] < _SIMPLIFIED and not resize.is_running(now):
        body["currentNodeCommunicationMode"] = "classic"
    return body


def node_body(pool: Pool, visible: VisibleNode, base: str, version: str) -> Json:
    """Write a node. While it is being created it has no boot time and no agent yet."""
    node, now = visible.node, visible.now
    properties = pool.definition.properties
    image = write(IMAGE, pool.definition.machine["imageReference"], "data")
    place = node.index + 4
    body: Json = {
        "id": node.id,
        "url": f"{base}/pools/{pool.name}/nodes/{node.id}",
        "state": now.state.value,
        "schedulingState": "disabled" if now.state is NodeState.OFFLINE else "enabled",
        "stateTransitionTime": wire_time(now.since),
    }
    if now.last_boot is not None:
        body["lastBootTime"] = wire_time(now.last_boot)
    body |= {
        "allocationTime": wire_time(now.allocated),
        "ipAddress": f"10.{place >> 16 & 255}.{place >> 8 & 255}.{place & 255}",
        "affinityId": f"TVM:{node.id}",
        "vmSize": properties["vmSize"].lower(),
        "totalTasksRun": 0,
        "totalTasksSucceeded": 0,
        "runningTasksCount": 0,
        "runningTaskSlotsCount": 0,
    }
    if now.last_boot is not None and version[:10] < _SIMPLIFIED:
        body["certificateReferences"] = []
    body |= {"isDedicated": node.is_dedicated, "endpointConfiguration": _endpoints(properties, node.index)}
    if now.last_boot is not None:
        body["nodeAgentInfo"] = {"lastUpdateTime": wire_time(now.last_boot), "version": "1.10.0"}
    body["virtualMachineInfo"] = {"imageReference": {**image, "exactVersion": _exact(image)}}
    if node.errors:
        body["errors"] = [{"code": code, "message": message} for code, message in node.errors]
    return body


def extension_body(pool: Pool, name: str, now: ExtensionNow, answers: Answers) -> Json:
    """Write one extension of a node. Protected settings are not known any more and so cannot be told."""
    wanted = next((item for item in pool.definition.extensions if item["name"] == name), {})
    word, level, display, provisioning = _WORDS[now.outcome]
    code = f"ProvisioningState/{word}"
    if now.outcome == "fail" and now.code:
        code = now.code if now.code.casefold().startswith("provisioningstate/") else f"{code}/{now.code}"
    status = {
        "code": code,
        "level": level if answers.level == "number" else _LEVELS[level],
        "displayStatus": display,
        "message": _message(name, wanted, now),
    }
    return {
        "provisioningState": provisioning,
        "instanceView": {"name": name, "statuses": [status]},
        "vmExtension": dict(_SYSTEM) if name == SYSTEM_EXTENSION else _described(wanted, answers),
    }


def settings_text(settings: object) -> str:
    """Write settings as a node gives them: indented JSON in a string, with Windows line ends."""
    if isinstance(settings, str):
        return settings
    return json.dumps(settings, indent=2, ensure_ascii=False).replace("\n", "\r\n")


def _described(wanted: Json, answers: Answers) -> Json:
    order = ("name", "publisher", "type", "typeHandlerVersion", "autoUpgradeMinorVersion")
    described = {key: wanted[key] for key in (*order, "enableAutomaticUpgrade") if key in wanted}
    if "settings" in wanted:
        settings = wanted["settings"]
        described["settings"] = settings_text(settings) if answers.node_settings == "string" else settings
    if "provisionAfterExtensions" in wanted:
        described["provisionAfterExtensions"] = wanted["provisionAfterExtensions"]
    return described


def _message(name: str, wanted: Json, now: ExtensionNow) -> str:
    if now.message is not None:
        return now.message
    if now.waits_for:
        return f"Waiting for {', '.join(now.waits_for)}"
    if name == SYSTEM_EXTENSION:
        if now.outcome == "succeed":
            return f"Enable succeeded: \n[stdout]\n{_SYSTEM_LOG}\n\n[stderr]\n"
        return "Enable failed" if now.outcome == "fail" else "Enable in progress"
    if now.outcome == "fail":
        return f"Enabling the extension '{name}' failed: the handler reported an error"
    syncs = waits_for_certificates(wanted)
    if now.outcome == "succeed":
        started = f"Successfully started Key Vault extension service. {now.since:%Y-%m-%dT%H:%M:%SZ}"
        return started if syncs else "Plugin enabled"
    return "Waiting for the first download of all certificates" if syncs else "Enabling the plugin"


def _endpoints(properties: Json, index: int) -> Json:
    def endpoint(name: str, protocol: str, front: int, back: int) -> Json:
        return {
            "name": f"{name}.{index}",
            "protocol": protocol,
            "publicIPAddress": "192.0.2.1",
            "publicFQDN": "node.batchext.invalid",
            "frontendPort": front,
            "backendPort": back,
        }

    pools = properties.get("networkConfiguration", {}).get("endpointConfiguration", {})
    endpoints = [
        endpoint(
            nat["name"], nat["protocol"].lower(), nat["frontendPortRangeStart"] + index, nat["backendPort"]
        )
        for nat in pools.get("inboundNatPools", [])
    ]
    endpoints.append(endpoint("SSHRule", "tcp", 50000 + index, 22))
    return {"inboundEndpoints": endpoints}


def _exact(image: Json) -> str:
    version = image.get("version", "latest")
    return "1.0.20251101" if version == "latest" else str(version)
