"""Every member that a pool document may have, on the management plane and on the data plane."""

from __future__ import annotations

from airflow_batchext.emulator.documents.machine_schema import NODE_IDENTITY, REGISTRY, VIRTUAL_MACHINE
from airflow_batchext.emulator.documents.schema import (
    ANY,
    BOOLEAN,
    DURATION,
    INTEGER,
    READ_ONLY,
    SECRET,
    TEXT,
    Many,
    Member,
    Object,
    camel,
    lower,
    same,
)

ELEVATION = lower("NonAdmin", "Admin")
_NAT_POOL = Object(
    "InboundNatPool",
    {
        "name": TEXT,
        "protocol": lower("TCP", "UDP"),
        "backendPort": INTEGER,
        "frontendPortRangeStart": INTEGER,
        "frontendPortRangeEnd": INTEGER,
        "networkSecurityGroupRules": Many(
            Object(
                "NetworkSecurityGroupRule",
                {
                    "priority": INTEGER,
                    "access": lower("Allow", "Deny"),
                    "sourceAddressPrefix": TEXT,
                    "sourcePortRanges": Many(TEXT),
                },
                required=("priority", "access", "sourceAddressPrefix"),
            )
        ),
    },
    required=("name", "protocol", "backendPort", "frontendPortRangeStart", "frontendPortRangeEnd"),
)
_NETWORK = Object(
    "NetworkConfiguration",
    {
        "subnetId": TEXT,
        "dynamicVnetAssignmentScope": same("none", "job"),
        "endpointConfiguration": Object(
            "PoolEndpointConfiguration",
            {"inboundNatPools": Many(_NAT_POOL)},
            {"inboundNatPools": "inboundNATPools"},
        ),
        "publicIPAddressConfiguration": Object(
            "PublicIPAddressConfiguration",
            {
                "provision": lower("BatchManaged", "UserManaged", "NoPublicIPAddresses"),
                "ipAddressIds": Many(TEXT),
                "ipFamilies": Many(same("IPv4", "IPv6")),
                "ipTags": Many(Object("IPTag", {"ipTagType": TEXT, "tag": TEXT})),
            },
        ),
        "enableAcceleratedNetworking": BOOLEAN,
    },
    {"dynamicVnetAssignmentScope": "dynamicVNetAssignmentScope"},
)
RESOURCE_FILES = Many(
    Object(
        "ResourceFile",
        {
            "autoStorageContainerName": TEXT,
            "storageContainerUrl": TEXT,
            "httpUrl": TEXT,
            "blobPrefix": TEXT,
            "filePath": TEXT,
            "fileMode": TEXT,
            "identityReference": NODE_IDENTITY,
        },
    )
)
ENVIRONMENT = Many(Object("EnvironmentSetting", {"name": TEXT, "value": TEXT}, required=("name",)))
USER_IDENTITY = Object(
    "UserIdentity",
    {
        "userName": TEXT,
        "autoUser": Object(
            "AutoUserSpecification", {"scope": lower("Task", "Pool"), "elevationLevel": ELEVATION}
        ),
    },
    {"userName": "username"},
)
CONTAINER = Object(
    "TaskContainerSettings",
    {
        "containerRunOptions": TEXT,
        "imageName": TEXT,
        "registry": REGISTRY,
        "workingDirectory": camel("TaskWorkingDirectory", "ContainerImageDefault"),
        "containerHostBatchBindMounts": Many(
            Object("ContainerHostBatchBindMountEntry", {"source": TEXT, "isReadOnly": BOOLEAN})
        ),
    },
    required=("imageName",),
)
_START_TASK = Object(
    "StartTask",
    {
        "commandLine": TEXT,
        "resourceFiles": RESOURCE_FILES,
        "environmentSettings": ENVIRONMENT,
        "userIdentity": USER_IDENTITY,
        "maxTaskRetryCount": INTEGER,
        "waitForSuccess": BOOLEAN,
        "containerSettings": CONTAINER,
    },
)
_BLOB_MOUNT: dict[str, Member] = {
    "accountName": TEXT,
    "containerName": TEXT,
    "accountKey": SECRET,
    "sasKey": SECRET,
    "blobfuseOptions": TEXT,
    "relativeMountPath": TEXT,
    "identityReference": NODE_IDENTITY,
}
_MOUNT = Object(
    "MountConfiguration",
    {
        "azureBlobFileSystemConfiguration": Object("AzureBlobFileSystemConfiguration", _BLOB_MOUNT),
        "nfsMountConfiguration": Object(
            "NFSMountConfiguration", {"source": TEXT, "relativeMountPath": TEXT, "mountOptions": TEXT}
        ),
        "cifsMountConfiguration": Object(
            "CIFSMountConfiguration",
            {
                "userName": TEXT,
                "source": TEXT,
                "relativeMountPath": TEXT,
                "mountOptions": TEXT,
                "password": SECRET,
            },
            {"userName": "username"},
        ),
        "azureFileShareConfiguration": Object(
            "AzureFileShareConfiguration",
            {
                "accountName": TEXT,
                "azureFileUrl": TEXT,
                "accountKey": SECRET,
                "relativeMountPath": TEXT,
                "mountOptions": TEXT,
            },
        ),
    },
)
_USER_ACCOUNT = Object(
    "UserAccount",
    {
        "name": TEXT,
        "password": SECRET,
        "elevationLevel": ELEVATION,
        "linuxUserConfiguration": Object(
            "LinuxUserConfiguration", {"uid": INTEGER, "gid": INTEGER, "sshPrivateKey": SECRET}
        ),
        "windowsUserConfiguration": Object(
            "WindowsUserConfiguration", {"loginMode": lower("Batch", "Interactive")}
        ),
    },
    required=("name",),
)
_UPGRADE = Object(
    "UpgradePolicy",
    {
        "mode": same("automatic", "manual", "rolling"),
        "automaticOSUpgradePolicy": Object(
            "AutomaticOSUpgradePolicy",
            dict.fromkeys(
                (
                    "disableAutomaticRollback",
                    "enableAutomaticOSUpgrade",
                    "useRollingUpgradePolicy",
                    "osRollingUpgradeDeferral",
                ),
                BOOLEAN,
            ),
        ),
        "rollingUpgradePolicy": Object(
            "RollingUpgradePolicy",
            {
                "enableCrossZoneUpgrade": BOOLEAN,
                "maxBatchInstancePercent": INTEGER,
                "maxUnhealthyInstancePercent": INTEGER,
                "maxUnhealthyUpgradedInstancePercent": INTEGER,
                "pauseTimeBetweenBatches": TEXT,
                "prioritizeUnhealthyInstances": BOOLEAN,
                "rollbackFailedInstancesOnPolicyBreach": BOOLEAN,
            },
        ),
    },
    required=("mode",),
)
_PACKAGES = Many(
    Object(
        "ApplicationPackageReference",
        {"id": TEXT, "version": TEXT},
        {"id": "applicationId"},
        required=("id",),
    )
)
METADATA = Many(Object("MetadataItem", {"name": TEXT, "value": TEXT}, required=("name", "value")))
DEALLOCATION = lower("Requeue", "Terminate", "TaskCompletion", "RetainedData")
FIXED_SCALE = Object(
    "FixedScaleSettings",
    {
        "resizeTimeout": DURATION,
        "targetDedicatedNodes": INTEGER,
        "targetLowPriorityNodes": INTEGER,
        "nodeDeallocationOption": DEALLOCATION,
    },
)
AUTO_SCALE = Object(
    "AutoScaleSettings", {"formula": TEXT, "evaluationInterval": DURATION}, required=("formula",)
)

COMMON: dict[str, Member] = {
    "displayName": TEXT,
    "vmSize": TEXT,
    "taskSlotsPerNode": INTEGER,
    "taskSchedulingPolicy": Object(
        "TaskSchedulingPolicy",
        {"jobDefaultOrder": lower("None", "CreationTime"), "nodeFillType": same("Spread", "Pack")},
    ),
    "networkConfiguration": _NETWORK,
    "startTask": _START_TASK,
    "userAccounts": Many(_USER_ACCOUNT),
    "metadata": METADATA,
    "mountConfiguration": Many(_MOUNT),
    "upgradePolicy": _UPGRADE,
    # Gone from the newest version of the service, but older clients still send them.
    "targetNodeCommunicationMode": TEXT,
    "applicationLicenses": Many(TEXT),
}
"""Members that both planes have; recorded answers of the data plane write ``Spread`` with a capital too."""

_FIRST = ("displayName", "vmSize")
_THEN = ("taskSlotsPerNode", "taskSchedulingPolicy")
MANAGEMENT = Object(
    "PoolProperties",
    {
        **{name: COMMON[name] for name in _FIRST},
        "interNodeCommunication": same("Enabled", "Disabled"),
        **{name: COMMON[name] for name in _THEN},
        "deploymentConfiguration": Object(
            "DeploymentConfiguration", {"virtualMachineConfiguration": VIRTUAL_MACHINE}
        ),
        "scaleSettings": Object("ScaleSettings", {"fixedScale": FIXED_SCALE, "autoScale": AUTO_SCALE}),
        **{name: member for name, member in COMMON.items() if name not in (*_FIRST, *_THEN)},
        "applicationPackages": _PACKAGES,
        **dict.fromkeys(
            (
                "lastModified",
                "creationTime",
                "provisioningState",
                "provisioningStateTransitionTime",
                "allocationState",
                "allocationStateTransitionTime",
                "currentDedicatedNodes",
                "currentLowPriorityNodes",
                "currentNodeCommunicationMode",
                "autoScaleRun",
                "resizeOperationStatus",
            ),
            READ_ONLY,
        ),
    },
)
MANAGEMENT_POOL = Object(
    "Pool",
    {
        "properties": MANAGEMENT,
        "identity": Object(
            "BatchPoolIdentity",
            {"type": same("UserAssigned", "None"), "userAssignedIdentities": ANY},
            required=("type",),
        ),
        "tags": ANY,
        **dict.fromkeys(("id", "name", "type", "etag", "systemData"), READ_ONLY),
    },
    required=("properties",),
)
_BEFORE_THE_MACHINE = (
    *("displayName", "vmSize", "startTask", "userAccounts", "metadata", "taskSlotsPerNode"),
    "taskSchedulingPolicy",
)
DATA_POOL = Object(
    "Pool",
    {
        "id": TEXT,
        **{name: COMMON[name] for name in _BEFORE_THE_MACHINE},
        "virtualMachineConfiguration": VIRTUAL_MACHINE,
        **{name: member for name, member in COMMON.items() if name not in _BEFORE_THE_MACHINE},
        "resizeTimeout": DURATION,
        "targetDedicatedNodes": INTEGER,
        "targetLowPriorityNodes": INTEGER,
        "enableAutoScale": BOOLEAN,
        "autoScaleFormula": TEXT,
        "autoScaleEvaluationInterval": DURATION,
        "enableInterNodeCommunication": BOOLEAN,
        "applicationPackages": _PACKAGES,
        "resourceTags": ANY,
    },
    {"applicationPackages": "applicationPackageReferences"},
    required=("id", "vmSize", "virtualMachineConfiguration"),
)
_CHANGED_BY_CALLS_OF_THEIR_OWN = (
    *("id", "resizeTimeout", "targetDedicatedNodes", "targetLowPriorityNodes"),
    *("enableAutoScale", "autoScaleFormula", "autoScaleEvaluationInterval"),
)
DATA_PATCH = Object(
    "PoolPatchParameter",
    {
        name: member
        for name, member in DATA_POOL.members.items()
        if name not in _CHANGED_BY_CALLS_OF_THEIR_OWN
    },
    DATA_POOL.data_names,
)
DATA_PROPERTIES = Object(
    "PoolUpdatePropertiesParameter",
    {
        "startTask": COMMON["startTask"],
        "certificateReferences": READ_ONLY,
        "applicationPackages": _PACKAGES,
        "metadata": METADATA,
        "targetNodeCommunicationMode": TEXT,
    },
    DATA_POOL.data_names,
    required=("applicationPackages", "metadata"),
)
"""What ``updateproperties`` replaces."""
DATA_RESIZE = Object("PoolResizeParameter", FIXED_SCALE.members)
DATA_AUTO_SCALE = Object(
    "PoolEnableAutoScaleParameter", {"autoScaleFormula": TEXT, "autoScaleEvaluationInterval": DURATION}
)
DATA_EVALUATION = Object(
    "PoolEvaluateAutoScaleParameter", {"autoScaleFormula": TEXT}, required=("autoScaleFormula",)
)
DATA_REMOVAL = Object(
    "NodeRemoveParameter",
    {"nodeList": Many(TEXT), "resizeTimeout": DURATION, "nodeDeallocationOption": DEALLOCATION},
    required=("nodeList",),
)
