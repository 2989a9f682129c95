"""What is known of single members of a pool's body, for comparing two bodies: defaults, keys, casing.

Paths are as in a document; ``[]`` stands for every item of a list. Sources: recorded answers of the
management plane, the REST specification's examples, and docstrings of azure-mgmt-batch 19. What is in none of
them is not in these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MACHINE: Final = "properties.deploymentConfiguration.virtualMachineConfiguration"
"""The place of what virtual machines and their extensions are to be like."""


#: Members that the service alone writes.
READ_ONLY: Final = frozenset(
    {
        *("id", "name", "type", "etag", "systemData"),
        "properties.lastModified",
        "properties.creationTime",
        "properties.provisioningState",
        "properties.provisioningStateTransitionTime",
        "properties.allocationState",
        "properties.allocationStateTransitionTime",
        "properties.currentDedicatedNodes",
        "properties.currentLowPriorityNodes",
        "properties.currentNodeCommunicationMode",
        "properties.autoScaleRun",
        "properties.resizeOperationStatus",
        f"{MACHINE}.imageReference.exactVersion",
        # Taken, and never given back: azure-rest-api-specs issue 20948.
        "properties.scaleSettings.fixedScale.nodeDeallocationOption",
    }
)

#: What the service takes where a body says nothing.
DEFAULTS: Final[Mapping[str, Any]] = {
    "properties.interNodeCommunication": "Disabled",
    "properties.taskSlotsPerNode": 1,
    "properties.taskSchedulingPolicy.nodeFillType": "Spread",
    "properties.taskSchedulingPolicy.jobDefaultOrder": "None",
    "properties.scaleSettings.fixedScale.targetDedicatedNodes": 0,
    "properties.scaleSettings.fixedScale.targetLowPriorityNodes": 0,
    "properties.scaleSettings.fixedScale.resizeTimeout": "PT15M",
    "properties.scaleSettings.autoScale.evaluationInterval": "PT15M",
    "properties.startTask.maxTaskRetryCount": 0,
    "properties.startTask.waitForSuccess": True,
    "properties.startTask.userIdentity.autoUser.scope": "Pool",
    "properties.startTask.userIdentity.autoUser.elevationLevel": "NonAdmin",
    "properties.startTask.containerSettings.workingDirectory": "TaskWorkingDirectory",
    "properties.startTask.containerSettings.containerHostBatchBindMounts[].isReadOnly": False,
    "properties.userAccounts[].elevationLevel": "NonAdmin",
    "properties.userAccounts[].windowsUserConfiguration.loginMode": "Batch",
    "properties.networkConfiguration.dynamicVnetAssignmentScope": "none",
    "properties.networkConfiguration.enableAcceleratedNetworking": False,
    "properties.networkConfiguration.publicIPAddressConfiguration.provision": "BatchManaged",
    "properties.networkConfiguration.publicIPAddressConfiguration.ipFamilies": ["IPv4"],
    "properties.networkConfiguration.endpointConfiguration.inboundNatPools[]"
    ".networkSecurityGroupRules[].sourcePortRanges": ["*"],
    f"{MACHINE}.nodePlacementConfiguration.policy": "Regional",
    f"{MACHINE}.windowsConfiguration.enableAutomaticUpdates": True,
    f"{MACHINE}.imageReference.version": "latest",
    f"{MACHINE}.dataDisks[].caching": "None",
    f"{MACHINE}.dataDisks[].storageAccountType": "Standard_LRS",
}

#: Members that the service never adds by itself: one that is there and is not asked for is a difference. Any
#: other member that a document does not mention is taken for the service's own.
NEVER_ADDED: Final = frozenset(
    {
        "identity",
        "properties.displayName",
        "properties.startTask",
        "properties.startTask.resourceFiles",
        "properties.startTask.environmentSettings",
        "properties.startTask.containerSettings",
        "properties.startTask.userIdentity.userName",
        "properties.metadata",
        "properties.applicationPackages",
        "properties.userAccounts",
        "properties.mountConfiguration",
        "properties.networkConfiguration.subnetId",
        "properties.networkConfiguration.endpointConfiguration",
        "properties.networkConfiguration.publicIPAddressConfiguration.ipAddressIds",
        f"{MACHINE}.dataDisks",
        f"{MACHINE}.licenseType",
        f"{MACHINE}.containerConfiguration",
        f"{MACHINE}.diskEncryptionConfiguration",
        f"{MACHINE}.extensions",
        f"{MACHINE}.extensions[].settings",
        f"{MACHINE}.extensions[].provisionAfterExtensions",
    }
)

#: Members that say nothing of what is wanted where a document leaves them out: size and tags are often given
#: by other hands (a resize, a policy).
OTHERS_MAY_SET: Final = frozenset({"properties.scaleSettings", "tags"})

#: Lists whose items are told apart by a member; their order means nothing.
KEYS: Final[Mapping[str, str]] = {
    "extensions": "name",
    "metadata": "name",
    "applicationPackages": "id",
    "userAccounts": "name",
    "environmentSettings": "name",
    "dataDisks": "lun",
    "inboundNatPools": "name",
    "networkSecurityGroupRules": "priority",
    "containerRegistries": "registryServer",
    "ipTags": "ipTagType",
}

#: Members whose texts have their casing for a reason; all other texts (names, ids, sizes, words) Azure takes
#: in any case.
VERBATIM: Final = frozenset(
    {
        *("commandLine", "value", "formula", "displayName", "userName"),
        *("httpUrl", "storageContainerUrl", "blobPrefix", "filePath", "fileMode"),
        *("containerRunOptions", "imageName", "containerImageNames"),
        *("source", "mountOptions", "blobfuseOptions", "relativeMountPath"),
        *("settings", "tags"),
    }
)

#: Members whose values are not repeated in messages: people put secrets there though Azure shows them.
UNSHOWN: Final = frozenset({"commandLine", "containerRunOptions", "mountOptions", "blobfuseOptions"})
