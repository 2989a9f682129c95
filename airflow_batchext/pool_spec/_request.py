"""Turns a pool document into the body that is PUT, and says which extensions it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_batchext.loose_json.documents import rewritten
from airflow_batchext.loose_json.values import as_text, whole_number
from airflow_batchext.pool_spec._durations import plain_duration
from airflow_batchext.pool_spec._finding import objects
from airflow_batchext.pool_spec._members import MACHINE

_READ_ONLY = ("name", "type", "id", "etag", "systemData")
_NAT_POOLS = "properties.networkConfiguration.endpointConfiguration.inboundNatPools.[]"
_ROLLING = "properties.upgradePolicy.rollingUpgradePolicy"
_AUTOMATIC = "properties.upgradePolicy.automaticOSUpgradePolicy"
# A test compares the lists with the models of the SDK.
INTEGER_MEMBERS = (
    "properties.taskSlotsPerNode",
    "properties.scaleSettings.fixedScale.targetDedicatedNodes",
    "properties.scaleSettings.fixedScale.targetLowPriorityNodes",
    "properties.startTask.maxTaskRetryCount",
    "properties.userAccounts.[].linuxUserConfiguration.uid",
    "properties.userAccounts.[].linuxUserConfiguration.gid",
    f"{_NAT_POOLS}.backendPort",
    f"{_NAT_POOLS}.frontendPortRangeStart",
    f"{_NAT_POOLS}.frontendPortRangeEnd",
    f"{_NAT_POOLS}.networkSecurityGroupRules.[].priority",
    f"{_ROLLING}.maxBatchInstancePercent",
    f"{_ROLLING}.maxUnhealthyInstancePercent",
    f"{_ROLLING}.maxUnhealthyUpgradedInstancePercent",
    f"{MACHINE}.dataDisks.[].lun",
    f"{MACHINE}.dataDisks.[].diskSizeGB",
    f"{MACHINE}.osDisk.diskSizeGB",
)
BOOLEAN_MEMBERS = (
    "properties.startTask.waitForSuccess",
    "properties.startTask.containerSettings.containerHostBatchBindMounts.[].isReadOnly",
    "properties.networkConfiguration.enableAcceleratedNetworking",
    f"{_AUTOMATIC}.disableAutomaticRollback",
    f"{_AUTOMATIC}.enableAutomaticOSUpgrade",
    f"{_AUTOMATIC}.useRollingUpgradePolicy",
    f"{_AUTOMATIC}.osRollingUpgradeDeferral",
    f"{_ROLLING}.enableCrossZoneUpgrade",
    f"{_ROLLING}.prioritizeUnhealthyInstances",
    f"{_ROLLING}.rollbackFailedInstancesOnPolicyBreach",
    f"{MACHINE}.windowsConfiguration.enableAutomaticUpdates",
    f"{MACHINE}.diskEncryptionConfiguration.customerManagedKey.rotationToLatestKeyVersionEnabled",
    f"{MACHINE}.extensions.[].autoUpgradeMinorVersion",
    f"{MACHINE}.extensions.[].enableAutomaticUpgrade",
    f"{MACHINE}.osDisk.writeAcceleratorEnabled",
    f"{MACHINE}.securityProfile.encryptionAtHost",
    f"{MACHINE}.securityProfile.uefiSettings.secureBootEnabled",
    f"{MACHINE}.securityProfile.uefiSettings.vTpmEnabled",
    f"{MACHINE}.securityProfile.proxyAgentSettings.enabled",
)
DURATION_MEMBERS = (
    "properties.scaleSettings.fixedScale.resizeTimeout",
    "properties.scaleSettings.autoScale.evaluationInterval",
    f"{_ROLLING}.pauseTimeBetweenBatches",  # a plain text in the models
)


def request_body(document: Mapping[str, Any]) -> dict[str, Any]:
    """What is PUT for this document: a deep copy without the read-only members at its top.

    Jinja renders texts only, so whole numbers and booleans given as text become numbers and booleans
    where Azure knows nothing else; durations that .NET does not read (``P1W``) are written anew. Everything
    else stays as it is, empty ``protectedSettings`` too.
    """
    body: dict[str, Any] = rewritten({key: item for key, item in document.items() if key not in _READ_ONLY})
    for path in INTEGER_MEMBERS:
        _convert(body, path.split("."), whole_number)
    for path in BOOLEAN_MEMBERS:
        _convert(body, path.split("."), boolean)
    for path in DURATION_MEMBERS:
        _convert(body, path.split("."), plain_duration)
    return body


def expected_extensions(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the extensions that the document asks for, in its order.

    What has no name is left out: telling of it is the business of `check_document`.
    """
    node: Any = document
    for member in (*MACHINE.split("."), "extensions"):
        node = node.get(member) if isinstance(node, Mapping) else None
    names = (entry.get("name") for _, entry in objects(node))
    return tuple(name for name in names if isinstance(name, str) and name)


def boolean(value: object) -> bool | None:
    """A boolean, also one that is spelt in a text; None for anything else."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(as_text(value).strip().lower())


def _convert(node: Any, steps: Sequence[str], to: Callable[[object], object]) -> None:
    """Convert in place what a path leads to; ``[]`` in the path is every entry of a list."""
    step, rest = steps[0], steps[1:]
    if step == "[]":
        for item in node if isinstance(node, list) else ():
            _convert(item, rest, to)
    elif isinstance(node, dict) and step in node:
        if rest:
            _convert(node[step], rest, to)
        elif (value := to(node[step])) is not None:
            node[step] = value
