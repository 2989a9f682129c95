"""How the management plane writes an account and a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_batchext.emulator.pool_document import write
from airflow_batchext.emulator.pool_schema import MANAGEMENT
from airflow_batchext.emulator.wire import Json, wire_time, write_duration

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_batchext.emulator.account import Account
    from airflow_batchext.emulator.pools import Pool


def account_body(account: Account, resource_id: str, data_host: str) -> Json:
    """Write the account. Its endpoint has no scheme, as in the real answer."""
    return {
        "id": resource_id,
        "name": account.name,
        "type": "Microsoft.Batch/batchAccounts",
        "location": account.location,
        "identity": {"type": "None"},
        "properties": {
            "accountEndpoint": data_host,
            "provisioningState": "Succeeded",
            "poolAllocationMode": "BatchService",
            "publicNetworkAccess": "Enabled",
            "dedicatedCoreQuota": 20000,
            "lowPriorityCoreQuota": 20000,
            "dedicatedCoreQuotaPerVMFamilyEnforced": False,
            "poolQuota": 100,
            "activeJobAndJobScheduleQuota": 300,
            "allowedAuthenticationModes": ["SharedKey", "AAD", "TaskAuthenticationToken"],
        },
        "tags": {},
    }


def pool_body(pool: Pool, account_id: str, etag: str, counts: tuple[int, int], now: datetime) -> Json:
    """Write a pool."""
    definition = pool.definition
    written: Json = write(MANAGEMENT, definition.properties, "management")
    first = {name: written.pop(name) for name in ("displayName",) if name in written}
    last = ("metadata", "startTask", "applicationPackages", "mountConfiguration", "upgradePolicy")
    properties: Json = {
        **first,
        "lastModified": wire_time(pool.modified),
        "creationTime": wire_time(pool.created),
        "provisioningState": "Deleting" if pool.deleted else "Succeeded",
        "provisioningStateTransitionTime": wire_time(pool.deleted or pool.created),
        "allocationState": "Resizing" if pool.resize.is_running(now) else "Steady",
        "allocationStateTransitionTime": wire_time(pool.resize.changed(now)),
        **{name: value for name, value in written.items() if name not in last},
        **_scaling(pool, now),
        "currentDedicatedNodes": counts[0],
        "currentLowPriorityNodes": counts[1],
        **{name: value for name, value in written.items() if name in last},
    }
    body: Json = {
        "id": f"{account_id}/pools/{pool.name}",
        "name": pool.name,
        "type": "Microsoft.Batch/batchAccounts/pools",
        "etag": etag,
        "properties": properties,
    }
    if definition.identity is not None:
        body["identity"] = definition.identity
    if definition.tags:
        body["tags"] = definition.tags
    return body


def _scaling(pool: Pool, now: datetime) -> Json:
    scale = pool.definition.scale
    if scale.formula is not None:
        results = (
            f"$TargetDedicatedNodes={scale.dedicated};$TargetLowPriorityNodes={scale.low_priority};"
            "$NodeDeallocationOption=requeue"
        )
        automatic = {"formula": scale.formula, "evaluationInterval": write_duration(scale.interval)}
        return {
            "scaleSettings": {"autoScale": automatic},
            "autoScaleRun": {"evaluationTime": wire_time(pool.scaled), "results": results},
        }
    timeout = write_duration(scale.timeout)
    resize = pool.resize
    # The deallocation option is not given back among the scale settings; the real service leaves it out too.
    status: Json = {"targetDedicatedNodes": resize.dedicated}
    if resize.low_priority:
        status["targetLowPriorityNodes"] = resize.low_priority
    status |= {
        "nodeDeallocationOption": scale.deallocation or "Requeue",
        "resizeTimeout": timeout,
        "startTime": wire_time(resize.started),
    }
    errors = resize.errors_at(now)
    if errors:
        status["errors"] = [
            {
                "code": error.code,
                "message": error.message,
                "details": [{"code": name, "message": value} for name, value in error.values],
            }
            for error in errors
        ]
    return {
        "scaleSettings": {
            "fixedScale": {
                "targetDedicatedNodes": scale.dedicated,
                "targetLowPriorityNodes": scale.low_priority,
                "resizeTimeout": timeout,
            }
        },
        "resizeOperationStatus": status,
    }
