"""How the data plane writes pools and nodes: the shapes of recorded traffic."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from uuid import uuid4

from airflow_batchext.emulator.account.job_records import BAD_EXIT
from airflow_batchext.emulator.account.lifecycle import (
    Failure,
    NodeNow,
    NodeState,
    StartTaskNow,
    start_task_at,
)
from airflow_batchext.emulator.account.work import NO_WORK
from airflow_batchext.emulator.data.extension_bodies import settings_text
from airflow_batchext.emulator.documents.codec import write
from airflow_batchext.emulator.documents.machine_schema import IMAGE
from airflow_batchext.emulator.documents.pool_schema import DATA_POOL
from airflow_batchext.emulator.wire.http import Json, wire_time, write_duration

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from airflow_batchext.emulator.account.autoscale import Evaluation
    from airflow_batchext.emulator.account.pools import Pool, VisibleNode
    from airflow_batchext.emulator.account.work import TaskRun
    from airflow_batchext.emulator.scenario import Answers

PUBLIC_ADDRESS, PUBLIC_IPV6_ADDRESS, LOGIN_PORT = "192.0.2.1", "2001:db8::1", 50000
_SIMPLIFIED = "2025-06-01"
"""From this version on the service knows only simplified node communication, and no certificates."""
_SINCE_2024 = "2024-07-01"
"""From this version on nodes list the endpoints that the pool asks for alone."""
_LAST_TIMEOUT = "PT7M9.497S"
"""What was recorded, more than once, of pools that are being deleted."""
_DEALLOCATES = "2024-07-01"
"""Since this version nodes can be deallocated."""
_COUNTED = (
    *("creating", "idle", "leavingPool", "offline", "preempted", "rebooting", "reimaging", "running"),
    *("starting", "startTaskFailed", "unusable", "unknown", "waitingForStartTask"),
)
_COUNTED_LATER = ("deallocated", "deallocating", "upgradingOS")


def pool_body(
    pool: Pool, base: str, counts: tuple[int, int], now: datetime, version: str, answers: Answers
) -> Json:
    """Write a pool."""
    scale, resize = pool.definition.scale, pool.resize
    flat = dict(pool.definition.properties)
    machine = flat.pop("deploymentConfiguration")["virtualMachineConfiguration"]
    internode = flat.pop("interNodeCommunication") == "Enabled"
    written: Json = write(DATA_POOL, {**flat, "virtualMachineConfiguration": machine}, "data")
    if "osDisk" in written["virtualMachineConfiguration"]:
        disk = written["virtualMachineConfiguration"]["osDisk"]
        written["virtualMachineConfiguration"]["osDisk"] = {"ephemeralOSDiskSettings": {}, **disk}
    written |= _told_by_version(written, version)
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
        "allocationState": resize.state(now),
        "allocationStateTransitionTime": wire_time(resize.changed(now)),
        "vmSize": written.pop("vmSize").lower(),
        "resizeTimeout": _LAST_TIMEOUT if pool.deleted else write_duration(scale.timeout),
        "currentDedicatedNodes": counts[0],
        "targetDedicatedNodes": 0 if pool.deleted else scale.dedicated,
        "currentLowPriorityNodes": counts[1],
        "targetLowPriorityNodes": 0 if pool.deleted else scale.low_priority,
    }
    errors = resize.errors_at(now)
    if errors:
        body["resizeErrors"] = [_error(error.code, error.message, error.values) for error in errors]
    body["enableAutoScale"] = scale.formula is not None
    if scale.formula is not None:
        body["autoScaleFormula"] = scale.formula
        body["autoScaleEvaluationInterval"] = write_duration(scale.interval)
        if pool.evaluation is not None:
            body["autoScaleRun"] = evaluation_body(pool.evaluation)
    body["enableInterNodeCommunication"] = internode
    if _SINCE_2024 <= version[:10] < _SIMPLIFIED:
        body["certificateReferences"] = []
    body |= written
    if pool.definition.identity is not None:
        identity = pool.definition.identity
        known = [{"resourceId": name, **ids} for name, ids in identity["userAssignedIdentities"].items()]
        body["identity"] = {"type": identity["type"], "userAssignedIdentities": known}
    if version[:10] < _SIMPLIFIED and any(counts):
        body["currentNodeCommunicationMode"] = "classic"
    return body


def _told_by_version(written: Json, version: str) -> Json:
    """The service's defaults that an answer spells out since a version, each recorded."""
    told: Json = {}
    if version[:10] >= _SIMPLIFIED:
        policy = written["taskSchedulingPolicy"]
        order = policy.get("jobDefaultOrder", "none")
        told["taskSchedulingPolicy"] = {"nodeFillType": policy["nodeFillType"], "jobDefaultOrder": order}
    network = written.get("networkConfiguration")
    if network is not None or _SINCE_2024 <= version[:10] < _SIMPLIFIED:
        told["networkConfiguration"] = {"dynamicVNetAssignmentScope": "none", **(network or {})}
        if version[:10] >= _SINCE_2024:
            told["networkConfiguration"].setdefault("enableAcceleratedNetworking", False)
    return told


def counts_body(states: Counter[str], version: str) -> dict[str, int]:
    """Write how many nodes are in which state, in the words and the order of the service."""
    names = (*_COUNTED, *_COUNTED_LATER) if version[:10] >= _DEALLOCATES else _COUNTED
    return {**{name: states[name.lower()] for name in names}, "total": sum(states.values())}


def evaluation_body(evaluation: Evaluation) -> Json:
    """Write what an autoscale formula came to."""
    body: Json = {"timestamp": wire_time(evaluation.at), "results": evaluation.results}
    if evaluation.error is not None:
        message = "The specified auto-scaling formula has evaluation error"
        values = (("Message", evaluation.error),)
        body["error"] = _error("AutoScalingFormulaEvaluationError", message, values)
    return body


def _error(code: str, message: str, values: Iterable[tuple[str, str]]) -> Json:
    written = [{"name": name, "value": value} for name, value in values]
    return {"code": code, "message": message, **({"values": written} if written else {})}


_TAKE_NO_TASK = frozenset({NodeState.OFFLINE, NodeState.DEALLOCATING, NodeState.DEALLOCATED})
"""States in which a node's scheduling shows as disabled; the latter two were recorded so."""


def has_ipv6(pool: Pool) -> bool:
    """Whether a pool asks for addresses of both families."""
    network = pool.definition.properties.get("networkConfiguration", {})
    return "IPv6" in network.get("publicIPAddressConfiguration", {}).get("ipFamilies", ())


class NodeWriter:
    """Writes the nodes of one pool at one time. What they have in common is written once."""

    def __init__(self, pool: Pool, base: str, version: str, now: datetime) -> None:
        """Write for a client that asks at ``base`` in that version."""
        self._pool = pool
        self._base = base
        self._now = now
        self._url = f"{base}/pools/{pool.name}/nodes/"
        self._is_old = version[:10] < _SIMPLIFIED
        self._shows_start_task = version[:10] < _SINCE_2024
        properties = pool.definition.properties
        self._size = properties["vmSize"].lower()
        task = properties.get("startTask")
        self._start_task = None if task is None else write(DATA_POOL.members["startTask"], task, "data")
        image = write(IMAGE, pool.definition.machine["imageReference"], "data")
        is_of_2024 = version[:10] >= _SINCE_2024
        exact = image.get("version", "latest") if is_of_2024 else _exact(image)
        self._machine = {"imageReference": {**image, "exactVersion": exact}}
        agent = pool.definition.machine["nodeAgentSkuId"]
        self._has_ipv6 = has_ipv6(pool)
        self._endpoints = _endpoints(properties, agent, with_login=not is_of_2024)
        self._alike: dict[tuple[int, bool], tuple[NodeNow, str]] = {}

    def write(self, visible: VisibleNode) -> Json:
        """Write a node. Until its agent has reported it has no boot time and no agent."""
        node = visible.node
        return self._filled(
            self._common(visible),
            node.id,
            _address(node.index),
            str(node.index),
            lambda front: front + node.index,
        )

    def text(self, visible: VisibleNode) -> str:
        """Write the same as JSON. Thousands of nodes differ in nothing but their number and their id."""
        node, now = visible.node, visible.now
        if node.work is not NO_WORK or node.errors:
            return json.dumps(self.write(visible), separators=(",", ":"))
        key = (id(now), node.is_dedicated)
        if key not in self._alike:
            self._alike[key] = (now, self._template(visible))
        values = {"id": node.id, "address": _address(node.index), "number": node.index}
        ports = {f"port{front}": front + node.index for _, front, _ in self._endpoints}
        return self._alike[key][1] % {**values, **ports}

    def _template(self, visible: VisibleNode) -> str:
        """A format for the nodes that are like this one."""
        mark = uuid4().hex  # nothing that a client chose has it

        def port(front: int) -> str:
            return f"{mark}port{front}d"

        body = self._filled(self._common(visible), f"{mark}ids", f"{mark}addresss", f"{mark}numbers", port)
        text = json.dumps(body, separators=(",", ":")).replace("%", "%%")
        text = re.sub(f'"{mark}(port[0-9]+)d"', r"%(\1)d", text)
        return re.sub(f"{mark}(id|address|number)s", r"%(\1)s", text)

    def _filled(
        self, body: Json, node_id: str, address: str, number: str, port: Callable[[int], int | str]
    ) -> Json:
        body["id"] = node_id
        body["url"] = self._url + node_id
        body["ipAddress"] = address
        if self._has_ipv6:
            body["ipv6Address"] = f"fd00::{address}"
        body["affinityId"] = f"TVM:{node_id}"
        if self._endpoints:
            body["endpointConfiguration"] = {
                "inboundEndpoints": [
                    {**endpoint, "name": f"{name}.{number}", "frontendPort": port(front)}
                    for name, front, endpoint in self._endpoints
                ]
            }
        return body

    def _common(self, visible: VisibleNode) -> Json:
        """Write everything in its order, with room for what tells one node from another."""
        node, now = visible.node, visible.now
        running = [run for run in node.work.running(self._now) if not run.prepares] if node.work.runs else []
        is_offline = now.state in _TAKE_NO_TASK or node.work.disabled is not None
        body: Json = {
            "id": "",
            "url": "",
            "state": now.state.value,
            "schedulingState": "disabled" if is_offline else "enabled",
            "stateTransitionTime": wire_time(now.since),
        }
        if now.last_boot is not None:
            body["lastBootTime"] = wire_time(now.last_boot)
        body |= {
            "allocationTime": wire_time(now.allocated),
            "ipAddress": "",
            "affinityId": "",
            "vmSize": self._size,
            "totalTasksRun": node.work.done,
            "totalTasksSucceeded": node.work.succeeded,
            "runningTasksCount": len(running),
            "runningTaskSlotsCount": sum(run.slots for run in running),
        }
        if running:
            body["recentTasks"] = [_recent(self._base, run) for run in running]
        if self._start_task is not None:
            task = start_task_at(now, self._now)
            if task is not None or self._shows_start_task:
                body["startTask"] = self._start_task
            if task is not None:
                body["startTaskInfo"] = start_task_info(task)
        if now.last_boot is not None and self._is_old:
            body["certificateReferences"] = []
        if node.errors:
            body["errors"] = [{"code": code, "message": message} for code, message in node.errors]
        body["isDedicated"] = node.is_dedicated
        if self._endpoints:
            body["endpointConfiguration"] = {}
        if now.last_boot is not None:
            body["nodeAgentInfo"] = {"lastUpdateTime": wire_time(now.last_boot), "version": "1.10.0"}
        body["virtualMachineInfo"] = self._machine
        return body


def _address(index: int) -> str:
    place = index + 4
    return f"10.{place >> 16 & 255}.{place >> 8 & 255}.{place & 255}"


def _recent(base: str, run: TaskRun) -> Json:
    return {
        "taskUrl": f"{base}/jobs/{run.job}/tasks/{run.task}",
        "jobId": run.job,
        "taskId": run.task,
        "taskState": "running",
        "executionInfo": {"startTime": wire_time(run.start)},
    }


def start_task_info(task: StartTaskNow) -> Json:
    """Write how a start task is."""
    info: Json = {
        "state": "running" if task.ended is None else "completed",
        "startTime": wire_time(task.started),
    }
    if task.ended is not None:
        info["endTime"] = wire_time(task.ended)
        if task.exit_code is not None:
            info["exitCode"] = task.exit_code
        if task.has_failed:
            info["failureInfo"] = failure_info(task.failure or BAD_EXIT)
        info["result"] = "failure" if task.has_failed else "success"
    info["retryCount"] = task.retries
    if task.retried is not None:
        info["lastRetryTime"] = wire_time(task.retried)
    return info


def failure_info(failure: Failure) -> Json:
    """Write why a task failed."""
    info: Json = {"category": failure.category, "code": failure.code, "message": failure.message}
    if failure.details:
        info["details"] = [{"name": name, "value": value} for name, value in failure.details]
    return info


def _endpoints(properties: Json, agent: str, *, with_login: bool) -> list[tuple[str, int, Json]]:
    """The endpoints of every node, each with a name and a port to which a node adds its number."""

    def endpoint(name: str, protocol: str, front: int, back: int) -> tuple[str, int, Json]:
        shown = {
            "name": name,
            "protocol": protocol,
            "publicIPAddress": PUBLIC_ADDRESS,
            "publicFQDN": "node.batchext.invalid",
            "frontendPort": front,
            "backendPort": back,
        }
        return name, front, shown

    pools = properties.get("networkConfiguration", {}).get("endpointConfiguration", {})
    endpoints = [
        endpoint(nat["name"], nat["protocol"].lower(), nat["frontendPortRangeStart"], nat["backendPort"])
        for nat in pools.get("inboundNatPools", [])
    ]
    if not with_login:
        return endpoints
    login = 3389 if "windows" in agent.casefold() else 22
    return [*endpoints, endpoint("SSHRule", "tcp", LOGIN_PORT, login)]


def _exact(image: Json) -> str:
    version = image.get("version", "latest")
    return "1.0.20251101" if version == "latest" else str(version)
