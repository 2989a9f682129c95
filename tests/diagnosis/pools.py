"""Snapshots of pools of any size, for reports: made of bodies, as the data plane sends them."""

from __future__ import annotations

import hashlib
from typing import Any

from airflow_batchext.batch.data_plane import epoch_seconds
from airflow_batchext.health import PoolHealth, pool_health
from airflow_batchext.rules.reads import Problem, ProblemKind
from tests import shapes

NOW = epoch_seconds("2026-01-01T01:00:00.0000000Z") or 0.0
NO_RIGHT = (
    "Failed to download https://kv1.vault.azure.net/secrets/c1: 403 Forbidden: The user, group or "
    "application does not have secrets get permission on key vault 'kv1'"
)
#: What must neither run, nor turn the page around, nor stick out of it.
HOSTILE = (
    "<script>window.ran=1;fetch('http://evil.example/x')</script>",
    "<img src=http://evil.example/i.png onerror=window.ran=1>",
    "</title></svg></style><iframe src='http://evil.example/'></iframe>",
    "\"'><svg onload=window.ran=1><a href='javascript:window.ran=1'>x</a>",
    "{{ 7*7 }}{% raw %} ${window.ran=1} [x](javascript:window.ran=1) |a|b| `code` **bold**",
    "\u202eevil txt\u2066 \u200f right \x1b[31mred\x07 \x00 nul\r\nline\u2028line",
    "x" * 4096,
    "שלום" * 500,
)


def node_id(number: int) -> str:
    return f"tvmps_{hashlib.sha256(str(number).encode()).hexdigest()}_d"


def extension(name: str, publisher: str, kind: str, code: str, message: str) -> dict[str, Any]:
    body = shapes.recorded(name, f"ProvisioningState/{code}")
    body["instanceView"]["statuses"][0]["message"] = message
    body["vmExtension"] |= {"publisher": publisher, "type": kind}
    return body


def sized(nodes: int) -> PoolHealth:
    """A pool of so many nodes, of which some are not ready, for known reasons and an unknown one."""
    bodies, listed = [], {}
    for number in range(nodes):
        name = node_id(number)
        state, change = "idle", {}
        vault = ("succeeded", "Successfully started Key Vault extension service.")
        monitor = ("succeeded", "Enable succeeded")
        if number % 50 == 3:
            vault = ("transitioning", NO_RIGHT)
        elif number % 170 == 1:
            monitor = ("failed/51", "Enable failed with exit code 51")
        elif number % 90 == 22:
            state = "preempted"
        elif number % 400 == 75:
            state, change = (
                "unusable",
                {"errors": [{"code": "DiskFull", "message": "There is not enough disk space"}]},
            )
        elif number % 7 == 4:
            state = "running"
        minute = 3 + number * 8 // max(nodes, 1)
        since = f"2026-01-01T00:{minute:02d}:{number % 60:02d}.0000000Z"
        bodies.append(
            shapes.node(
                name,
                state,
                since,
                stateTransitionTime=since,
                allocationTime=f"2026-01-01T00:02:{number % 60:02d}.0000000Z",
                isDedicated=True,
                runningTasksCount=int(state == "running"),
                **change,
            )
        )
        listed[name] = [
            shapes.specified(),
            extension("secretext", "Microsoft.Azure.KeyVault", "KeyVaultForLinux", *vault),
            extension("monitor", "Microsoft.Azure.Monitor", "AzureMonitorLinuxAgent", *monitor),
        ]
    return taken(bodies, listed, nodes)


def hostile() -> PoolHealth:
    """A pool in which every text that others write is an attack."""
    bodies, listed = [], {}
    for number, text in enumerate(HOSTILE * 2):
        name = node_id(number)
        error = {"code": text, "message": text, "errorDetails": [{"name": text, "value": text}]}
        bodies.append(
            shapes.node(
                name if number % 2 else f"{text[:60]}{number}",
                "unusable" if number % 3 else text[:50],
                stateTransitionTime=text[:80] if number % 2 else "2026-01-01T00:10:00.0000000Z",
                errors=[error],
                startTaskInfo={
                    "state": text,
                    "result": "failure",
                    "failureInfo": error,
                    "startTime": text[:40],
                },
            )
        )
        body = extension(text[:100] if number % 2 else "secretext", text, text, "failed/1", text)
        body["instanceView"]["subStatuses"] = [shapes.status(text, text)]
        body["vmExtension"]["settings"] = {text: text}
        listed[bodies[-1]["id"]] = [body]
    names = [{"name": "secretext", "publisher": HOSTILE[0], "type": HOSTILE[1], "settings": HOSTILE[2]}]
    names += [{"name": text[:100], "type": text, "provisionAfterExtensions": [text]} for text in HOSTILE]
    return taken(
        bodies,
        listed,
        30,
        vmSize=HOSTILE[0],
        resizeErrors=[
            {"code": text, "message": text, "values": [{"name": text, "value": text}]} for text in HOSTILE
        ],
        networkConfiguration={"subnetId": HOSTILE[6]},
        identity={"userAssignedIdentities": [{"resourceId": text, "clientId": text} for text in HOSTILE]},
        virtualMachineConfiguration={
            "extensions": names,
            "imageReference": {"publisher": HOSTILE[3], "offer": HOSTILE[5]},
            "nodeAgentSKUId": HOSTILE[1],
        },
    )


def taken(bodies: Any, listed: Any, target: int, **change: Any) -> PoolHealth:
    machine = {
        "imageReference": {
            "publisher": "microsoft-dsvm",
            "offer": "ubuntu-hpc",
            "sku": "2204",
            "version": "latest",
        },
        "nodeAgentSKUId": "batch.node.ubuntu 22.04",
        "extensions": [
            {
                "name": "secretext",
                "publisher": "Microsoft.Azure.KeyVault",
                "type": "KeyVaultForLinux",
                "typeHandlerVersion": "3.0",
                "settings": {"secretsManagementSettings": {"requireInitialSync": True}},
            },
            {
                "name": "monitor",
                "publisher": "Microsoft.Azure.Monitor",
                "type": "AzureMonitorLinuxAgent",
                "typeHandlerVersion": "1.33",
            },
        ],
    }
    pool = {
        "targetDedicatedNodes": target,
        "currentDedicatedNodes": len(bodies),
        "vmSize": "standard_d4s_v5",
        "virtualMachineConfiguration": machine,
        "identity": {
            "userAssignedIdentities": [
                {
                    "resourceId": "/subscriptions/0/resourceGroups/g/providers/Microsoft.ManagedIdentity/"
                    "userAssignedIdentities/render-nodes",
                    "clientId": "3f1c0b0e-9d1c-4a52-8a57-6a2a6a3d9c11",
                }
            ]
        },
        **change,
    }
    return pool_health("render-nightly", shapes.pool(**pool), bodies, listed, now=NOW)


def partly_read() -> PoolHealth:
    """A pool of which one node could not be read."""
    problem = Problem(ProblemKind.PASSING, "Could not list extensions: 503 ServerBusy")
    return taken([shapes.node("n1"), shapes.node("n2")], {"n1": [shapes.recorded()], "n2": problem}, 2)
