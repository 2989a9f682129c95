"""How the management plane writes what it knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_batchext.emulator.documents.codec import write
from airflow_batchext.emulator.documents.pool_changes import scale_settings
from airflow_batchext.emulator.documents.pool_schema import MANAGEMENT
from airflow_batchext.emulator.login.tokens import BATCH, MANAGEMENT_CORE
from airflow_batchext.emulator.login.tokens import MANAGEMENT as MANAGEMENT_RESOURCE
from airflow_batchext.emulator.management.sizes import FAMILIES
from airflow_batchext.emulator.wire.http import Json, wire_time, write_duration

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from airflow_batchext.emulator.account.account import Account
    from airflow_batchext.emulator.account.pools import Pool


def account_id(account: Account) -> str:
    """The resource id of the account."""
    return (
        f"/subscriptions/{account.subscription_id}/resourceGroups/{account.resource_group}"
        f"/providers/Microsoft.Batch/batchAccounts/{account.name}"
    )


def cloud_body(https: str, tenant_id: str, version: str) -> Json:
    """Write where the services of the cloud are: the emulator's own, and Azure's names for the others."""
    authentication = {
        "loginEndpoint": https,
        "audiences": [f"{MANAGEMENT_CORE}/", f"{MANAGEMENT_RESOURCE}/"],
    }
    if version < "2018":
        return {
            "galleryEndpoint": "https://gallery.azure.com/",
            "graphEndpoint": "https://graph.windows.net/",
            "portalEndpoint": "https://portal.azure.com/",
            "authentication": authentication,
        }
    return {
        "name": "BatchextEmulator",
        "portal": "https://portal.azure.com",
        "authentication": {**authentication, "tenant": tenant_id, "identityProvider": "AAD"},
        "resourceManager": f"{https}/",
        "batch": f"{BATCH}/",
        "graph": "https://graph.windows.net/",
        "graphAudience": "https://graph.windows.net/",
        "microsoftGraphResourceId": "https://graph.microsoft.com/",
        "gallery": "https://gallery.azure.com/",
        "media": "https://rest.media.azure.net",
        "sqlManagement": f"{MANAGEMENT_CORE}:8443/",
        "vmImageAliasDoc": "https://aka.ms/azure-cli-vm-image-aliases",
        "suffixes": {
            "storage": "core.windows.net",
            "keyVaultDns": "vault.azure.net",
            "sqlServerHostname": "database.windows.net",
            "acrLoginServer": "azurecr.io",
        },
    }


def subscription_body(account: Account, tenant_id: str) -> Json:
    """Write the subscription."""
    return {
        "id": f"/subscriptions/{account.subscription_id}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": account.subscription_id,
        "tenantId": tenant_id,
        "displayName": "Batch on this machine",
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }


def group_body(account: Account) -> Json:
    """Write the resource group."""
    return {
        "id": f"/subscriptions/{account.subscription_id}/resourceGroups/{account.resource_group}",
        "name": account.resource_group,
        "type": "Microsoft.Resources/resourceGroups",
        "location": account.location,
        "tags": {},
        "properties": {"provisioningState": "Succeeded"},
    }


def account_body(account: Account, resource_id: str, data_host: str) -> Json:
    """Write the account. Its endpoint has no scheme, as in the real answer."""
    settings = account.scenario.account
    modes = ["SharedKey", "AAD", "TaskAuthenticationToken"]
    return {
        "id": resource_id,
        "name": account.name,
        "type": "Microsoft.Batch/batchAccounts",
        "location": account.location,
        "identity": {"type": "None"},
        "properties": {
            "accountEndpoint": data_host,
            "nodeManagementEndpoint": data_host,
            "provisioningState": "Succeeded",
            "poolAllocationMode": "BatchService",
            "publicNetworkAccess": "Enabled" if settings.public_network_access else "Disabled",
            "dedicatedCoreQuota": settings.dedicated_core_quota,
            "lowPriorityCoreQuota": settings.low_priority_core_quota,
            "dedicatedCoreQuotaPerVMFamily": [
                {"name": family, "coreQuota": settings.dedicated_core_quota} for family in FAMILIES
            ],
            "dedicatedCoreQuotaPerVMFamilyEnforced": True,
            "poolQuota": settings.pool_quota,
            "activeJobAndJobScheduleQuota": settings.active_job_quota,
            "encryption": {"keySource": "Microsoft.Batch"},
            "privateEndpointConnections": [],
            "allowedAuthenticationModes": modes if settings.shared_key else modes[1:],
        },
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
        "allocationState": pool.resize.state(now).capitalize(),
        "allocationStateTransitionTime": wire_time(pool.resize.changed(now)),
        **{name: value for name, value in written.items() if name not in last},
        **_scaling(pool, now),
        "currentDedicatedNodes": counts[0],
        "currentLowPriorityNodes": counts[1],
        **_autoscale_run(pool),
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


def _autoscale_run(pool: Pool) -> Json:
    evaluation = pool.evaluation
    if evaluation is None:
        return {}
    run: Json = {"evaluationTime": wire_time(evaluation.at), "results": evaluation.results}
    if evaluation.error is not None:
        message = "The specified auto-scaling formula has evaluation error"
        values = (("Message", evaluation.error),)
        run["error"] = _error("AutoScalingFormulaEvaluationError", message, values)
    return {"autoScaleRun": run}


def _scaling(pool: Pool, now: datetime) -> Json:
    # The deallocation option is not given back here; the real service leaves it out too.
    scaling = {"scaleSettings": scale_settings(pool.definition.scale)}
    if pool.definition.scale.formula is not None:
        return scaling
    return {**scaling, "resizeOperationStatus": resize_status(pool, now)}


def resize_status(pool: Pool, now: datetime) -> Json:
    """Write the last resize of a pool."""
    scale, resize = pool.definition.scale, pool.resize
    status: Json = {"targetDedicatedNodes": resize.dedicated}
    if resize.low_priority:
        status["targetLowPriorityNodes"] = resize.low_priority
    status |= {
        "nodeDeallocationOption": scale.deallocation or "Requeue",
        "resizeTimeout": write_duration(scale.timeout),
        "startTime": wire_time(resize.started),
    }
    errors = resize.errors_at(now)
    if errors:
        status["errors"] = [_error(error.code, error.message, error.values) for error in errors]
    return status


def _error(code: str, message: str, values: Iterable[tuple[str, str]]) -> Json:
    details = [{"code": name, "message": value} for name, value in values]
    return {"code": code, "message": message, "details": details}
