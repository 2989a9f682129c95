"""Every member of a virtual machine configuration: image, disks, security, extensions."""

from __future__ import annotations

from airflow_batchext.emulator.documents.schema import (
    ANY,
    BOOLEAN,
    INTEGER,
    READ_ONLY,
    SECRET,
    TEXT,
    Many,
    Object,
    camel,
    lower,
    same,
)

_CACHING = lower("None", "ReadOnly", "ReadWrite")
_STORAGE = lower("Standard_LRS", "Premium_LRS", "StandardSSD_LRS")
NODE_IDENTITY = Object("ComputeNodeIdentityReference", {"resourceId": TEXT})
REGISTRY = Object(
    "ContainerRegistry",
    {"username": TEXT, "password": SECRET, "registryServer": TEXT, "identityReference": NODE_IDENTITY},
)
_ENCRYPTION_SET = Object("DiskEncryptionSetParameters", {"id": TEXT})
_MANAGED_DISK = Object(
    "ManagedDisk",
    {
        "storageAccountType": _STORAGE,
        "securityProfile": Object(
            "VMDiskSecurityProfile",
            {
                "securityEncryptionType": same("NonPersistedTPM", "VMGuestStateOnly", "DiskWithVMGuestState"),
                "diskEncryptionSet": _ENCRYPTION_SET,
            },
        ),
        "diskEncryptionSet": _ENCRYPTION_SET,
    },
)
_HOST_ENDPOINT = Object(
    "HostEndpointSettings",
    {"mode": same("Audit", "Enforce"), "inVMAccessControlProfileReferenceId": TEXT},
)
_SECURITY = Object(
    "SecurityProfile",
    {
        "securityType": lower("trustedLaunch", "confidentialVM"),
        "encryptionAtHost": BOOLEAN,
        "uefiSettings": Object("UefiSettings", {"secureBootEnabled": BOOLEAN, "vTpmEnabled": BOOLEAN}),
        "proxyAgentSettings": Object(
            "ProxyAgentSettings",
            {"enabled": BOOLEAN, "imds": _HOST_ENDPOINT, "wireServer": _HOST_ENDPOINT},
        ),
    },
)
_EXTENSION = Object(
    "VMExtension",
    {
        "name": TEXT,
        "publisher": TEXT,
        "type": TEXT,
        "typeHandlerVersion": TEXT,
        "autoUpgradeMinorVersion": BOOLEAN,
        "enableAutomaticUpgrade": BOOLEAN,
        "settings": ANY,
        "protectedSettings": SECRET,
        "provisionAfterExtensions": Many(TEXT),
    },
    required=("name", "publisher", "type"),
)
IMAGE = Object(
    "ImageReference",
    {
        "publisher": TEXT,
        "offer": TEXT,
        "sku": TEXT,
        "version": TEXT,
        "id": TEXT,
        "sharedGalleryImageId": TEXT,
        "communityGalleryImageId": TEXT,
        "exactVersion": READ_ONLY,
    },
    {"id": "virtualMachineImageId"},
)
VIRTUAL_MACHINE = Object(
    "VirtualMachineConfiguration",
    {
        "imageReference": IMAGE,
        "nodeAgentSkuId": TEXT,
        "windowsConfiguration": Object("WindowsConfiguration", {"enableAutomaticUpdates": BOOLEAN}),
        "dataDisks": Many(
            Object(
                "DataDisk",
                {
                    "lun": INTEGER,
                    "caching": _CACHING,
                    "diskSizeGB": INTEGER,
                    "storageAccountType": _STORAGE,
                    "managedDisk": _MANAGED_DISK,
                },
                required=("lun", "diskSizeGB"),
            )
        ),
        "licenseType": TEXT,
        "containerConfiguration": Object(
            "ContainerConfiguration",
            {
                "type": camel("DockerCompatible", "CriCompatible"),
                "containerImageNames": Many(TEXT),
                "containerRegistries": Many(REGISTRY),
            },
            required=("type",),
        ),
        "diskEncryptionConfiguration": Object(
            "DiskEncryptionConfiguration",
            {
                "targets": Many(lower("OsDisk", "TemporaryDisk")),
                "customerManagedKey": Object(
                    "DiskCustomerManagedKey",
                    {
                        "keyUrl": TEXT,
                        "rotationToLatestKeyVersionEnabled": BOOLEAN,
                        "identityReference": NODE_IDENTITY,
                    },
                ),
            },
        ),
        "nodePlacementConfiguration": Object(
            "NodePlacementConfiguration", {"policy": lower("Regional", "Zonal")}
        ),
        "extensions": Many(_EXTENSION),
        "osDisk": Object(
            "OSDisk",
            {
                "ephemeralOSDiskSettings": Object("DiffDiskSettings", {"placement": lower("CacheDisk")}),
                "managedDisk": _MANAGED_DISK,
                "diskSizeGB": INTEGER,
                "writeAcceleratorEnabled": BOOLEAN,
                # Recorded answers of the data plane write this one with capitals, unlike that of a data disk.
                "caching": same("None", "ReadOnly", "ReadWrite"),
            },
        ),
        "securityProfile": _SECURITY,
        "serviceArtifactReference": Object("ServiceArtifactReference", {"id": TEXT}, required=("id",)),
    },
    {"nodeAgentSkuId": "nodeAgentSKUId"},
    required=("imageReference", "nodeAgentSkuId"),
)
