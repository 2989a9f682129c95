"""The check of rules across members: security, disks, zones, and upgrades of the nodes' system."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_batchext.loose_json.documents import at
from airflow_batchext.loose_json.values import whole_number
from airflow_batchext.pool_spec._durations import parse_duration
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    IDENTITY_PAGE,
    Findings,
    error,
    missing,
    object_at,
    objects,
    text_of,
    warning,
    words_of,
)
from airflow_batchext.pool_spec._members import MACHINE
from airflow_batchext.pool_spec._request import boolean

if TYPE_CHECKING:
    from airflow_batchext.batch.extension_catalog import OperatingSystem

_ROLLING = "properties.upgradePolicy.rollingUpgradePolicy"
_AUTOMATIC = "properties.upgradePolicy.automaticOSUpgradePolicy"
_UPGRADE_PAGE = "https://learn.microsoft.com/azure/batch/batch-upgrade-policy"
_DISK_PAGE = "https://learn.microsoft.com/azure/batch/disk-encryption"
_KEY_PAGE = "https://learn.microsoft.com/azure/batch/batch-customer-managed-key"
_KEY_URL = re.compile(r"https://[^/\s]+/keys/[^/\s?]+(?P<version>/[0-9A-Za-z]+)?/?", re.IGNORECASE)
_PERCENTAGES = {
    "maxBatchInstancePercent": 5,
    "maxUnhealthyInstancePercent": 5,
    "maxUnhealthyUpgradedInstancePercent": 0,
}
_ZONES_PAGE = "https://learn.microsoft.com/azure/batch/create-pool-availability-zones"
_INFINIBAND = re.compile(r"standard_(?:h[a-z]*|n[cd])\d+[a-z0-9-]*r[a-z]*(?:_\w+)?", re.IGNORECASE)
"""Sizes with InfiniBand have an r among the letters after their number."""
_ONE_VERSION = re.compile(r"/versions/(?!latest/?$)[^/]+/?$", re.IGNORECASE)
_LICENSES = ("Windows_Server", "Windows_Client")
_PLACEMENTS = ("cachedisk",)


def check_security(
    properties: Mapping[str, Any], system: OperatingSystem | None, *, identities: int
) -> Findings:
    """Find what of a pool's security, disks, zones and upgrades excludes each other.

    :param system: what the pool's nodes run, if that is known.
    :param identities: how many identities the pool has.
    """
    machine = object_at(properties, "deploymentConfiguration", "virtualMachineConfiguration")
    yield from _check_profile(machine)
    yield from _check_data_disks(machine)
    yield from _check_encryption(machine, system, identities=identities)
    yield from _check_license(machine, system)
    yield from _check_upgrades(properties, machine, system)
    yield from _check_zones(properties, machine)


def _check_profile(machine: Mapping[str, Any]) -> Findings:
    profile, path = object_at(machine, "securityProfile"), f"{MACHINE}.securityProfile"
    kind = text_of(profile, "securityType").casefold()
    uefi = object_at(profile, "uefiSettings")
    if not kind and any(value is not None for value in uefi.values()):
        what = "uefiSettings are given without a securityType, and are enabled by one only"
        yield error(f"{path}.securityType", what, "Write trustedLaunch or confidentialVM", ARM_PAGE)
    disk = object_at(machine, "osDisk", "managedDisk", "securityProfile")
    encryption = text_of(disk, "securityEncryptionType")
    place = f"{MACHINE}.osDisk.managedDisk.securityProfile"
    if kind == "confidentialvm":
        if not encryption:
            what = "a confidential machine has to say what of its disk is encrypted"
            fix = (
                "Write osDisk.managedDisk.securityProfile.securityEncryptionType: VMGuestStateOnly, "
                "DiskWithVMGuestState or NonPersistedTPM"
            )
            yield error(f"{path}.securityType", what, fix, ARM_PAGE)
        if "vTpmEnabled" in uefi and not boolean(uefi["vTpmEnabled"]):
            what = "a confidential machine needs a vTPM"
            yield error(f"{path}.uefiSettings.vTpmEnabled", what, "Write true", ARM_PAGE)
        if encryption.casefold() == "diskwithvmgueststate" and boolean(profile.get("encryptionAtHost")):
            what = "encryptionAtHost and DiskWithVMGuestState exclude each other"
            yield warning(f"{path}.encryptionAtHost", what, "Write false", ARM_PAGE)
    elif disk:
        what = "the encryption of a disk's guest state is for securityType confidentialVM only"
        yield error(place, what, "Take it out, or write confidentialVM as securityType", ARM_PAGE)


def _check_data_disks(machine: Mapping[str, Any]) -> Findings:
    for index, disk in objects(machine.get("dataDisks")):
        if object_at(disk, "managedDisk", "securityProfile"):
            path = f"{at(f'{MACHINE}.dataDisks', index)}.managedDisk.securityProfile"
            what = "only the disk of the system has a securityProfile"
            yield warning(path, what, "Write it into osDisk.managedDisk", ARM_PAGE)
    placement = object_at(machine, "osDisk", "ephemeralOSDiskSettings").get("placement")
    if isinstance(placement, str) and placement.strip().casefold() not in _PLACEMENTS:
        path = f"{MACHINE}.osDisk.ephemeralOSDiskSettings.placement"
        yield warning(path, "an ephemeral disk lies in the CacheDisk", "Write CacheDisk", ARM_PAGE)
    size = whole_number(object_at(machine, "osDisk").get("diskSizeGB"))
    if size is not None and size < 1:
        yield error(f"{MACHINE}.osDisk.diskSizeGB", "the disk has no size", "Give its size in GB", ARM_PAGE)


def _check_encryption(
    machine: Mapping[str, Any], system: OperatingSystem | None, *, identities: int
) -> Findings:
    disks, path = object_at(machine, "diskEncryptionConfiguration"), f"{MACHINE}.diskEncryptionConfiguration"
    targets = words_of(disks, "targets")
    image = object_at(machine, "imageReference")
    if disks and system == "linux" and any(image.get(m) for m in ("id", "sharedGalleryImageId")):
        what = "disks of Linux nodes with an image of one's own cannot be encrypted by Batch"
        yield error(path, what, "Take it out, or write securityProfile.encryptionAtHost", _DISK_PAGE)
    elif "osdisk" in targets and system == "linux" and disks.get("customerManagedKey") is None:
        # With a key of one's own the disk of the system is what is encrypted, on Linux too perhaps.
        what = "Linux nodes encrypt TemporaryDisk only"
        yield error(f"{path}.targets", what, "Take OsDisk out", _DISK_PAGE)
    elif targets == {"osdisk"} and system == "windows":
        what = "Windows nodes encrypt OsDisk and TemporaryDisk together"
        yield error(f"{path}.targets", what, "Name both", _DISK_PAGE)
    if targets and boolean(object_at(machine, "securityProfile").get("encryptionAtHost")):
        what = "disks are encrypted by Batch and at the host"
        yield warning(path, what, "Keep one of the two", _DISK_PAGE)
    key = object_at(disks, "customerManagedKey")
    if not key:
        return
    place = f"{path}.customerManagedKey"
    if targets and "osdisk" not in targets:
        what = "a key of one's own encrypts the disk of the system, and OsDisk is no target"
        yield error(f"{path}.targets", what, "Name OsDisk, or take the key out", _KEY_PAGE)
    if not identities and key.get("identityReference") is None:
        what = "a key of one's own is read with an identity of the pool, and the pool has none"
        yield error(place, what, "Add it to identity.userAssignedIdentities", IDENTITY_PAGE)
    url = key.get("keyUrl")
    if url is None:
        yield missing(f"{place}.keyUrl", "keyUrl", "Give the URL of the key with its version")
    elif isinstance(url, str):
        match = _KEY_URL.fullmatch(url.strip())
        if match is None or not match["version"]:
            what = (
                "this is not the URL of a version of a key" if match is None else "the URL names no version"
            )
            fix = "Write https://VAULT.vault.azure.net/keys/NAME/VERSION: the version is required"
            yield error(f"{place}.keyUrl", what, fix, _KEY_PAGE)
    if key.get("identityReference") is None and identities:
        fix = 'Write {"resourceId": "/subscriptions/…"}: one of the pool\'s identities'
        yield error(f"{place}.identityReference", "no identity is named to read the key with", fix, _KEY_PAGE)


def _check_license(machine: Mapping[str, Any], system: OperatingSystem | None) -> Findings:
    kind, path = machine.get("licenseType"), f"{MACHINE}.licenseType"
    if kind is not None and system == "linux":
        what = "licenseType is for Windows, and the nodes run Linux"
        yield warning(path, what, "Take it out", ARM_PAGE)
    elif isinstance(kind, str) and kind not in _LICENSES:
        fix = f"Write {' or '.join(_LICENSES)}"
        if kind.casefold() in {"none", *(word.casefold() for word in _LICENSES)} or not kind.strip():
            yield warning(path, "this is no licenseType as Azure writes them", fix, ARM_PAGE)
        else:
            yield error(path, "there is no such licenseType", fix, ARM_PAGE)


def _check_upgrades(
    properties: Mapping[str, Any], machine: Mapping[str, Any], system: OperatingSystem | None
) -> Findings:
    policy = object_at(properties, "upgradePolicy")
    if not policy:
        return
    automatic = object_at(policy, "automaticOSUpgradePolicy")
    rolling = object_at(policy, "rollingUpgradePolicy")
    yield from _check_percentages(rolling)
    windows = object_at(machine, "windowsConfiguration").get("enableAutomaticUpdates")
    upgrades = boolean(automatic.get("enableAutomaticOSUpgrade"))
    if upgrades and boolean(windows):
        what = "Windows updates itself, and Batch upgrades the system: the two exclude each other"
        path = f"{MACHINE}.windowsConfiguration.enableAutomaticUpdates"
        yield error(path, what, "Write false here, or in enableAutomaticOSUpgrade", _UPGRADE_PAGE)
    elif upgrades and system == "windows" and windows is None:
        what = "Batch upgrades the system, and Windows updates itself unless it is told not to"
        fix = "Write windowsConfiguration.enableAutomaticUpdates: false"
        yield warning(f"{_AUTOMATIC}.enableAutomaticOSUpgrade", what, fix, _UPGRADE_PAGE)
    if upgrades:
        yield from _check_upgraded_image(machine)
    zonal = _is_zonal(machine)
    if rolling.get("enableCrossZoneUpgrade") is not None and not zonal:
        what = "enableCrossZoneUpgrade is for Zonal placement only"
        fix = "Take it out, or write nodePlacementConfiguration.policy: Zonal"
        yield error(f"{_ROLLING}.enableCrossZoneUpgrade", what, fix, _UPGRADE_PAGE)
    mode = text_of(policy, "mode").casefold()
    if mode == "manual" and upgrades:
        what = "the mode is manual, and the system is to be upgraded by itself"
        yield warning("properties.upgradePolicy.mode", what, "Write automatic or rolling", _UPGRADE_PAGE)
    elif mode == "rolling" and not rolling:
        what = "the mode is rolling, and no rollingUpgradePolicy is given"
        yield warning("properties.upgradePolicy", what, "Give a rollingUpgradePolicy", _UPGRADE_PAGE)
    if boolean(automatic.get("useRollingUpgradePolicy")) and not rolling:
        what = "useRollingUpgradePolicy asks for a policy that is not given"
        yield warning(
            f"{_AUTOMATIC}.useRollingUpgradePolicy", what, "Give a rollingUpgradePolicy", _UPGRADE_PAGE
        )


def _is_zonal(machine: Mapping[str, Any]) -> bool:
    return text_of(object_at(machine, "nodePlacementConfiguration"), "policy").casefold() == "zonal"


def _check_upgraded_image(machine: Mapping[str, Any]) -> Findings:
    image = object_at(machine, "imageReference")
    version, path = text_of(image, "version"), f"{MACHINE}.imageReference"
    fix = "Write latest, or leave the upgrades to yourself"
    if version and version.casefold() != "latest":
        what = "Batch upgrades the system of images of the version latest only"
        yield error(f"{path}.version", what, fix, _UPGRADE_PAGE)
    elif _ONE_VERSION.search(text_of(image, "id")):
        what = "the image is one version of a gallery's, so there is no newer one for Batch to upgrade to"
        yield warning(f"{path}.id", what, "Name the image without /versions/…", _UPGRADE_PAGE)


def _check_zones(properties: Mapping[str, Any], machine: Mapping[str, Any]) -> Findings:
    talks = text_of(properties, "interNodeCommunication").casefold() == "enabled"
    if talks and _is_zonal(machine) and _INFINIBAND.fullmatch(text_of(properties, "vmSize")):
        what = "nodes in several zones cannot talk over InfiniBand, which this size has"
        fix = "Write Regional, disable interNodeCommunication, or take a size without InfiniBand"
        yield error(f"{MACHINE}.nodePlacementConfiguration.policy", what, fix, _ZONES_PAGE)


def _check_percentages(rolling: Mapping[str, Any]) -> Findings:
    for member, least in _PERCENTAGES.items():
        value = whole_number(rolling.get(member))
        if value is not None and not least <= value <= 100:
            what = f"{member} is {value}"
            yield error(f"{_ROLLING}.{member}", what, f"Give {least} to 100 percent", ARM_PAGE)
    batch, unhealthy = (whole_number(rolling.get(f"max{w}InstancePercent")) for w in ("Batch", "Unhealthy"))
    if batch is not None and unhealthy is not None and 5 <= unhealthy < batch <= 100:
        what = "maxBatchInstancePercent is more than maxUnhealthyInstancePercent"
        yield error(f"{_ROLLING}.maxBatchInstancePercent", what, "Lower it, or raise the other", ARM_PAGE)
    pause = rolling.get("pauseTimeBetweenBatches")
    if isinstance(pause, str) and parse_duration(pause) is None:
        what = "pauseTimeBetweenBatches is not an ISO 8601 duration"
        yield error(f"{_ROLLING}.pauseTimeBetweenBatches", what, "Write it like PT30S", ARM_PAGE)
